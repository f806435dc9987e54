"""How an import feels to everybody else: many watch its events, others query meanwhile, one worker imports.

Starts web, worker and beat as they run in production, sends a COCO file that it makes up, and asks all kinds of things
until the import has ended. What counts is the slowest answer: nobody should wait for a second.

    python -m bench.watching [--images 50000] [--watchers 20] [--readers 4] [--json]

It has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "bench"))
os.environ["JWT_ACCESS_MINUTES"] = "600"
os.environ |= {"API_USER_RATE": "1000000/min", "API_ADDRESS_RATE": "1000000/min"}  # calls are counted as ever

SLOWEST = 1_000  # ms: what is aimed at
PER_IMAGE = 7
PAUSE = 0.05  # seconds between two questions of a reader
LONGEST = 900  # seconds that the import may take
QUERIES = ["", "category:class3", "has(category:class1 area>3000)", "width>1024 -category:class0", "annotations>=7"]


def write_coco(path: Path, images: int) -> None:
    """A COCO file with boxes and polygons."""
    with path.open("w") as file:
        file.write('{"images": [')
        for n in range(images):
            width, height = 640 + n * 7919 % 1280, 480 + n * 7907 % 720
            file.write(f'{"," if n else ""}{{"id":{n},"file_name":"{n:012}.jpg","width":{width},"height":{height}}}')
        file.write('], "annotations": [')
        for n in range(images * PER_IMAGE):
            x, y, w, h = n % 300, n % 200, 8 + n % 97, 8 + n % 89
            outline = f"{x},{y},{x + w},{y},{x + w},{y + h},{x + w / 2},{y + h / 2},{x},{y + h}"
            file.write(
                f'{"," if n else ""}{{"id":{n},"image_id":{n // PER_IMAGE},"category_id":{n * n % 80},'
                f'"bbox":[{x},{y},{w},{h}],"area":{w * h * 3 / 4},"iscrowd":0,"segmentation":[[{outline}]]}}'
            )
        names = [{"id": n, "name": f"class{n}"} for n in range(80)]
        file.write(f'], "categories": {json.dumps(names)}}}')


@contextmanager
def everything() -> Iterator[int]:
    """Web, worker and beat; the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


class Crowd:
    """Who watches and reads while the import runs, and how long each answer took."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}"}
        self.ended = threading.Event()
        self.taken: dict[str, list[float]] = {}  # ms
        self.events = 0
        self.gaps: list[float] = []  # seconds between two events of one watcher
        self.faults: list[str] = []

    def read(self, paths: list[tuple[str, str]]) -> None:
        """Ask for one thing after the other until the import has ended."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        turn = 0
        while not self.ended.is_set():
            name, path = paths[turn % len(paths)]
            turn += 1
            before = time.perf_counter()
            connection.request("GET", path, headers=self.headers)
            answer = connection.getresponse()
            answer.read()
            self.taken.setdefault(name, []).append(1000 * (time.perf_counter() - before))
            if answer.status != 200:
                self.faults.append(f"{path}: {answer.status}")
            time.sleep(PAUSE)

    def watch(self, task: str) -> None:
        """Follow the events to the last."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST)
        before = time.perf_counter()
        connection.request("GET", f"/api/v1/tasks/{task}/events", headers=self.headers)
        answer = connection.getresponse()
        self.taken.setdefault("first event", [])
        is_first, last = True, before
        while line := answer.readline():
            if not line.startswith((b"event:", b":")):
                continue
            now = time.perf_counter()
            if is_first:
                self.taken["first event"].append(1000 * (now - before))
                is_first = False
            self.events += line.startswith(b"event:")
            self.gaps.append(now - last)
            last = now
            if line.startswith(b"event: end"):
                return
        self.faults.append("a stream of events ended without its end")


def upload(port: int, headers: dict[str, str], project: int, path: Path) -> str:
    """Send the file; the task that imports it."""
    boundary = "a-line-that-is-in-no-coco-file"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="train.json"\r\n\r\n'
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    connection.request("POST", f"/api/v1/projects/{project}/coco", body=body, headers={**headers, **kind})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    assert answer.status == 202, (answer.status, content)
    task = content["task"]
    return str(task["id"] if isinstance(task, dict) else task)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--watchers", type=int, default=20)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    import django

    django.setup()
    from accounts import tokens
    from bench.query import build
    from projects import services
    from projects.commands import migrate_embedded
    from projects.models import Task

    migrate_embedded()
    there = build(20_000, False, {})  # a project to be read
    user = there.owner
    project = services.create_project(user=user, name=f"watched {time.time_ns()}")
    token = str(tokens.issue(user).access)
    with everything() as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train.json")
        write_coco(file, options.images)
        crowd = Crowd(port, token)
        paths = [("project", f"/api/v1/projects/{project.pk}"), ("projects", "/api/v1/projects")]
        for one in (there, project):
            assets = f"/api/v1/projects/{one.pk}/assets"
            paths += [("assets", f"{assets}?{urlencode({'q': q})}") for q in QUERIES]
            paths += [("facets", f"{assets}/facets?{urlencode({'q': QUERIES[1]})}")]
        size = file.stat().st_size / 2**20
        task = upload(port, crowd.headers, project.pk, file)
        paths.append(("task", f"/api/v1/tasks/{task}"))
        watchers = [threading.Thread(target=crowd.watch, args=(task,)) for _ in range(options.watchers)]
        turned = [paths[n:] + paths[:n] for n in range(0, 3 * options.readers, 3)]
        readers = [threading.Thread(target=crowd.read, args=(turn,)) for turn in turned]
        before = time.perf_counter()
        for thread in (*watchers, *readers):
            thread.start()
        for thread in watchers:
            thread.join(LONGEST)
        seconds = time.perf_counter() - before
        crowd.ended.set()
        for thread in readers:
            thread.join(60)
        ended = Task.objects.get(pk=task)
    told: dict[str, Any] = {"images": options.images, "seconds": round(seconds, 1), "status": ended.status}
    print(f"import of {options.images:,} images ({size:.0f} MiB) {ended.status} in {seconds:.1f} s")
    print(f"{'asked for':<14}{'answers':>9}{'median':>9}{'p95':>9}{'slowest':>9}  (ms)")
    for name, taken in sorted(crowd.taken.items()):
        taken.sort()
        told[name] = [len(taken), taken[len(taken) // 2], taken[round(0.95 * (len(taken) - 1))], taken[-1]]
        print(f"{name:<14}{told[name][0]:>9,}" + "".join(f"{value:>9.1f}" for value in told[name][1:]))
    told["slowest"] = max(taken[-1] for taken in crowd.taken.values())
    print(f"{crowd.events:,} events to {options.watchers} watchers; longest silence {max(crowd.gaps):.1f} s")
    print(
        f"slowest answer {told['slowest']:.0f} ms (aim: under {SLOWEST}); {len(crowd.faults)} faults {crowd.faults[:3]}"
    )
    if options.json:
        print(json.dumps(told))
    sys.exit(bool(crowd.faults) or ended.status != Task.Status.SUCCEEDED)


if __name__ == "__main__":
    main()
