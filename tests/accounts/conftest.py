"""What the tests of people and tokens share."""

import time
from types import SimpleNamespace

import pytest

from accounts import throttling


@pytest.fixture(autouse=True)
def one_window(monkeypatch):
    """Tries are counted in windows: all that a test tries falls into one, however slow the machine."""
    hour = time.time() // 3600 * 3600
    monkeypatch.setattr(throttling, "time", SimpleNamespace(time=lambda: hour + 30.5, monotonic=time.monotonic))
