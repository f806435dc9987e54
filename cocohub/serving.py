"""Web, worker and beat as three processes of one terminal, for demos and for developers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

STOP_SECONDS = 12  # how long a process may take to finish what it is doing
# Listens on all addresses, of which this one is always there.
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound
QUEUES = "imports,thumbnails,insights,exports,sweeps"


def commands(host: str, port: int, workers: int) -> dict[str, list[str]]:
    """The command line of each process; production runs the same ones, each in a place of its own."""
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "cocohub"]
    return {
        "web": [python, "-m", "uvicorn", "cocohub.asgi:application", "--host", host, "--port", str(port),
                "--log-level", "warning", "--no-proxy-headers", "--lifespan", "off",
                "--timeout-graceful-shutdown", "5"],
        "worker": [*celery, "worker", "-Q", QUEUES, "-c", str(workers), "-l", "warning", "--without-gossip",
                   "--without-mingle"],
        "beat": [*celery, "beat", "-l", "warning", "--pidfile="],
    }  # fmt: skip


def address(host: str, port: int) -> str:
    """Where a browser of this machine finds it."""
    return f"http://{ANYWHERE.get(host, host)}:{port}"


def environment(host: str, port: int) -> dict[str, str]:
    """What the processes get: links back lead to where they listen, unless PUBLIC_URL says where people come from."""
    said = settings.PUBLIC_URL != settings.PUBLIC_URL_UNSAID
    return dict(os.environ) if said else {**os.environ, "PUBLIC_URL": address(host, port)}


def serve(host: str, port: int, workers: int = 2) -> int:
    """Run all three until Ctrl-C, or until one of them ends; 0 if they were asked to stop."""
    logs = Path(settings.HOME) / "log"
    logs.mkdir(parents=True, exist_ok=True)
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands(host, port, workers).items():
            with (logs / f"{name}.log").open("ab") as log:
                # A session of its own: Ctrl-C comes to us, and each is asked to stop in order.
                running[name] = subprocess.Popen(  # noqa: S603 - our own words
                    command,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=settings.BASE_DIR,
                    env=environment(host, port),
                )
        while not asked:
            for name, process in running.items():
                if process.poll() is not None:
                    print(f"{name} ended with code {process.returncode}; see {logs / f'{name}.log'}", file=sys.stderr)
                    return 1
            time.sleep(0.2)
        return 0
    finally:
        for process in running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)
