"""A few disturbances of two kinds of jobs, so that the harness stays true; all of them: `make faults`."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISTURBANCES = 3


def test_harmed_jobs_leave_what_undisturbed_ones_leave(tmp_path):
    told = tmp_path / "told.json"
    home = os.environ["COCOHUB_HOME"]
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--kind", "import", "--kind", "send", "--runs", str(DISTURBANCES),
         "--seed", "20", "--home", f"{home}/faults", "--json", str(told)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = json.loads(told.read_text())["kinds"]
    assert [(kind["kind"], kind["disturbances"], kind["wrong"]) for kind in kinds] == [
        ("import", DISTURBANCES, []),
        ("send", DISTURBANCES, []),
    ]
