"""Web, worker and beat as three processes of one terminal, for demos and for developers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

STOP_SECONDS = 12  # how long a process may take to finish what it is doing
YOUNG_SECONDS = 15  # a process that ends within these could not start: its port is taken, or its settings are wrong
MOST_FALLS = 5  # one after the other, of a process that did start once
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


class Part:
    """One of the processes, which is started again when it dies: killed by the system, say, when memory was short."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.env = env
        self.stood = False  # whether it ever ran for a while
        self.falls = 0  # in a row, each soon after its start
        self.start()

    def start(self) -> None:
        """In a session of its own: Ctrl-C comes to us, and each is asked to stop in order."""
        self.started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                self.command, stdout=log, stderr=log, start_new_session=True, cwd=settings.BASE_DIR, env=self.env
            )

    def runs(self) -> bool:
        """Whether it does, or does again; False if it could not start, or falls again and again."""
        code = self.process.poll()
        is_old = time.monotonic() - self.started >= YOUNG_SECONDS
        if is_old:
            self.stood, self.falls = True, 0
        if code is None:
            return True
        end = f"{self.name} ended with code {code}; see {self.log}"
        self.falls += not is_old
        if not self.stood or self.falls > MOST_FALLS:
            print(end, file=sys.stderr)
            return False
        print(f"{end}. It is started again.", file=sys.stderr, flush=True)
        time.sleep(self.falls)
        self.start()
        return True


def serve(host: str, port: int, workers: int = 2) -> int:
    """Run all three until Ctrl-C, or until one of them cannot be started; 0 if they were asked to stop."""
    logs = Path(settings.HOME) / "log"
    logs.mkdir(parents=True, exist_ok=True)
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    running: list[Part] = []
    try:
        for name, command in commands(host, port, workers).items():
            running.append(Part(name, command, logs / f"{name}.log", environment(host, port)))
        while not asked:
            if not all(part.runs() for part in running):
                return 1
            time.sleep(0.2)
        return 0
    finally:
        for part in running:
            part.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for part in running:
            try:
                part.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.process.kill()
        for number, handler in previous.items():
            signal.signal(number, handler)
