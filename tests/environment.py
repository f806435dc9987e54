"""Environment of the test run, set before Django reads its settings.

Tests have a home of their own, so they never share a database, a broker or storage with a running installation.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "test"))
os.environ["COCOHUB_ENV"] = "development"
