"""Which server to run: the same application under several, asked over many connections while others watch a task.

For each server: requests a second and p95 of a small answer, of a page of 50 images, and of that page while so many
event streams are open; memory of its processes, and whether it gives up nothing when it is told to load anew.

    python -m bench.http [--images 20000] [--clients 8] [--streams 50] [--seconds 5] [--json]

Servers that are not installed are left out: `pip install granian gunicorn uvicorn-worker hypercorn` for all of them. It
has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set.
"""

import argparse
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "bench"))
os.environ["JWT_ACCESS_MINUTES"] = "600"
os.environ |= {"API_USER_RATE": "1000000/min", "API_ADDRESS_RATE": "1000000/min"}  # calls are counted as ever

APPLICATION, PROCESSES = "cocohub.asgi:application", 2
# What must be installed, the command line, and the signal that loads the application anew (None: there is none).
SERVERS: dict[str, tuple[tuple[str, ...], str, signal.Signals | None]] = {
    "uvicorn": (
        ("uvicorn",),
        "uvicorn {application} --port {port} --workers {processes} --lifespan off --log-level warning",
        signal.SIGHUP,
    ),
    "gunicorn + uvicorn": (
        ("gunicorn", "uvicorn_worker"),
        "gunicorn {application} -b 127.0.0.1:{port} -w {processes} -k uvicorn_worker.UvicornWorker --log-level warning",
        signal.SIGHUP,
    ),
    "granian": (
        ("granian",),
        "granian {application} --interface asginl --port {port} --workers {processes} --log-level warning",
        signal.SIGHUP,
    ),
    "hypercorn": (
        ("hypercorn",),
        "hypercorn {application} -b 127.0.0.1:{port} -w {processes} --log-level error",
        None,
    ),
}


class Client:
    """One connection that stays open, and how long each answer took (ms)."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Authorization": f"Bearer {token}"}
        self.taken: list[float] = []
        self.failed = 0

    def get(self, path: str) -> bytes:
        """The body of a good answer."""
        began = time.perf_counter()
        try:
            self.connection.request("GET", path, headers=self.headers)
            answer = self.connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                self.failed += 1
        except (OSError, http.client.HTTPException):
            self.failed += 1
            self.connection.close()
            time.sleep(0.05)
            return b""
        self.taken.append(1000 * (time.perf_counter() - began))
        return body


def ask(port: int, token: str, path: str, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second over so many clients, their p95 in ms, and how many failed."""
    until = time.perf_counter() + seconds
    crowd = [Client(port, token) for _ in range(clients)]

    def work(client: Client) -> None:
        while time.perf_counter() < until:
            client.get(path)

    threads = [threading.Thread(target=work, args=(client,)) for client in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = sorted(each for client in crowd for each in client.taken)
    return {
        "a second": len(taken) / seconds,
        "p95": taken[max(0, round(0.95 * len(taken)) - 1)] if taken else 0,
        "failed": sum(client.failed for client in crowd),
    }


@contextmanager
def streams(port: int, token: str, path: str, number: int) -> Iterator[list[int]]:
    """So many open event streams; how many of them have had an event."""
    opened, heard = [], []
    for _ in range(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream"})
        answer = connection.getresponse()
        if answer.status == 200 and answer.fp.readline():
            heard.append(answer.status)
        opened.append(connection)
    try:
        yield heard
    finally:
        for connection in opened:
            connection.close()


@contextmanager
def served(command: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = command.format(application=APPLICATION, port=port, processes=PROCESSES).split()
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=os.environ)
    try:
        client = Client(port, "")
        for _ in range(300):
            if client.get("/api/v1/health/live"):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{words[0]} did not come up")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def memory(process: psutil.Process) -> float:
    """MiB of the process and its children, what they share counted once."""
    return sum(each.memory_full_info().uss for each in [process, *process.children(recursive=True)]) / 2**20


def loads_anew(port: int, process: psutil.Process, number: signal.Signals | None, token: str) -> str:
    """How many requests were lost while the application was loaded anew under load."""
    if number is None:
        return "cannot"
    seen: dict[str, float] = {}
    asking = threading.Thread(target=lambda: seen.update(ask(port, token, "/api/v1/health/live", 4, 12)))
    asking.start()
    time.sleep(1)
    process.send_signal(number)
    asking.join()
    return f"{seen['failed']:.0f} lost"


def measure(name: str, project: Any, task: Any, token: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one server."""
    _, command, reload = SERVERS[name]
    page = f"/api/v1/projects/{project.pk}/assets"
    told: dict[str, Any] = {"server": name}
    with served(command) as (port, process):
        ask(port, token, page, options.clients, 1)  # warm
        told["small"] = ask(port, token, f"/api/v1/projects/{project.pk}", options.clients, options.seconds)
        told["page"] = ask(port, token, page, options.clients, options.seconds)
        with streams(port, token, f"/api/v1/tasks/{task.pk}/events", options.streams) as heard:
            told["page while watched"] = ask(port, token, page, options.clients, options.seconds)
            told["streams"] = len(heard)
        told["MiB"] = memory(process)
        told["reload"] = loads_anew(port, process, reload, token)
    return told


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from accounts import tokens
    from bench.query import build
    from projects.models import Task

    call_command("migrate", verbosity=0, interactive=False)
    project = build(options.images, False, {})
    later = timezone.now() + timedelta(hours=1)
    task = Task.objects.create(
        project=project, kind=Task.Kind.EXPORT, status=Task.Status.RUNNING, lease_until=later, created_by=project.owner
    )
    token = str(tokens.issue(project.owner).access)
    print(f"{PROCESSES} processes, {options.clients} clients; requests a second (p95 ms)")
    print(
        f"{'server':<20}{'small':>16}{'page':>16}{f'page, {options.streams} streams':>20}{'heard':>8}{'MiB':>6}  reload"
    )
    table = []
    try:
        for name, (needed, _, _) in SERVERS.items():
            if missing := [each for each in needed if importlib.util.find_spec(each) is None]:
                print(f"{name:<20}  not installed: {', '.join(missing)}")
                continue
            told = measure(name, project, task, token, options)
            table.append(told)
            cells = [
                f"{each['a second']:.0f} ({each['p95']:.0f})" + f" {each['failed']} failed" * bool(each["failed"])
                for each in (told["small"], told["page"], told["page while watched"])
            ]
            print(
                f"{name:<20}{cells[0]:>16}{cells[1]:>16}{cells[2]:>20}{told['streams']:>8}{told['MiB']:>6.0f}"
                f"  {told['reload']}",
                flush=True,
            )
    finally:
        task.delete()
    if options.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
