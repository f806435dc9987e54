"""File locks that every process of an installation shares, and waiting for them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cocohub.embedded.account import inherit_owner

if sys.platform != "win32":
    import fcntl

POLL_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """A descriptor of the lock file; closing it everywhere frees the lock. A left-over file is harmless."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    inherit_owner(path)
    return descriptor


def locked(descriptor: int) -> bool:
    """Try to take the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait(done: Callable[[], bool], seconds: float) -> bool:
    """Ask `done` again and again until it is true; False if that took longer than `seconds`."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_SECONDS)
    return True
