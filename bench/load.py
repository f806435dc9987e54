"""A working day in half an hour: people read, tag, draw, export and watch, while one import follows the other.

Starts web, worker and beat as they run in production. Readers and writers each have a think time and a connection that
stays open; every answer that is not the expected one is a fault. Memory (what a process has for itself, USS) is
sampled; it is flat where the last third of the run has no more than the second third, but for `SLACK`.

    python -m bench.load [--minutes 30] [--readers 6] [--writers 3] [--images 100000] [--json]

It has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set.
"""

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from bench.watching import everything, upload, write_coco

THINK = (0.05, 0.4)  # seconds between two requests of one person
IDLE = 2.0  # seconds after which a connection is opened anew
SAMPLED = 5.0  # seconds between two looks at the memory
SLACK = 16  # MiB that the last third may have more than the second
IMPORTED = 20_000  # images of each import
ENDS = 600  # seconds that a task may take
QUERIES = [
    "", "tag:tag7", "-tag:tag7", "width>1024", "status:approved", "split:val", "category:class3", "file:*77.jpg",
    "has(category:class1 area>50000)", "count(category:class0)>=4", "metadata.color:red metadata.iso>3000",
    "tag:(tag1 OR tag2) category:class10",
]  # fmt: skip


class Person:
    """Somebody with a connection of their own."""

    def __init__(self, day: "Day", seed: int) -> None:
        self.day, self.random = day, random.Random(seed)
        self.connection = http.client.HTTPConnection("127.0.0.1", day.port, timeout=120)
        self.last = 0.0

    def ask(self, name: str, method: str, path: str, body: Any = None, expected: tuple[int, ...] = (200,)) -> Any:
        """One request; what was answered, None if it was not what is expected."""
        headers = {**self.day.headers, **({"Content-Type": "application/json"} if body is not None else {})}
        content = None if body is None else json.dumps(body)
        before = time.perf_counter()
        if before - self.last > IDLE:
            self.connection.close()  # the server closes what is idle, too, and both at once would be a fault
        try:
            self.connection.request(method, path, body=content, headers=headers)
            answer = self.connection.getresponse()
            found = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.day.fault(f"{method} {path}: {error!r}")
            return None
        self.last = time.perf_counter()
        self.day.took(name, 1000 * (self.last - before))
        if answer.status not in expected:
            self.day.fault(f"{method} {path}: {answer.status} {found[:200]!r}")
            return None
        return json.loads(found) if found and answer.headers.get_content_type() == "application/json" else found

    def think(self) -> None:
        """Look at what came."""
        self.day.ended.wait(self.random.uniform(*THINK))


class Day:
    """What everybody shares: where to ask, how long answers took, what went wrong."""

    def __init__(self, port: int, token: str, project: int, minutes: float) -> None:
        self.port, self.project, self.category = port, project, 0
        self.headers = {"Authorization": f"Bearer {token}"}
        self.base = f"/api/v1/projects/{project}"
        self.ended = threading.Event()
        self.until = time.monotonic() + 60 * minutes
        self.taken: dict[str, list[float]] = {}  # ms
        self.faults: list[str] = []
        self.imports: list[float] = []  # seconds
        self.memory: dict[str, list[tuple[float, float]]] = {}  # MiB by moment
        self._lock = threading.Lock()

    def took(self, name: str, milliseconds: float) -> None:
        """An answer has come."""
        with self._lock:
            self.taken.setdefault(name, []).append(milliseconds)

    def fault(self, words: str) -> None:
        """Something went wrong."""
        with self._lock:
            self.faults.append(words)

    def goes_on(self) -> bool:
        """Whether there is time left."""
        return not self.ended.is_set() and time.monotonic() < self.until


# --- People -----------------------------------------------------------------------------------------------------------


def read(me: Person) -> None:
    """Pages, the pages after them, facets, one image, charts."""
    day = me.day
    while day.goes_on():
        q = me.random.choice(QUERIES)
        page = me.ask("page", "GET", f"{day.base}/assets?{urlencode({'q': q, 'page_size': 50})}")
        for _ in range(me.random.randrange(3)):
            me.think()
            if page and page["next"]:
                page = me.ask("next page", "GET", page["next"].split(str(day.port), 1)[1])
        if page and page["results"]:
            one = me.random.choice(page["results"])["id"]
            me.ask("image", "GET", f"{day.base}/assets/{one}")
            me.ask("its annotations", "GET", f"{day.base}/assets/{one}/annotations")
        me.think()
        way = me.random.random()
        if way < 0.3:
            me.ask("facets", "GET", f"{day.base}/assets/facets?{urlencode({'q': q})}")
        elif way < 0.4:
            me.ask("completion", "GET", f"{day.base}/assets/query/complete?q=category:cl&cursor=11")
        elif way < 0.5:
            me.ask("dashboard", "GET", f"{day.base}/insights/dashboard")
        elif way < 0.6:
            me.ask("lists", "GET", me.random.choice(["/api/v1/projects", f"{day.base}/audit", f"{day.base}/tasks"]))
        me.think()


def write(me: Person) -> None:
    """Tags, boxes, bulk edits and their undoing, exports."""
    day = me.day
    while day.goes_on():
        page = me.ask("page", "GET", f"{day.base}/assets?{urlencode({'q': me.random.choice(QUERIES)})}")
        if not page or not page["results"]:
            continue
        one = me.random.choice(page["results"])["id"]
        me.ask("tag", "PATCH", f"{day.base}/assets/{one}", {"add_tags": ["seen"], "metadata": {"by": "load"}})
        me.think()
        box = {"image": one, "category": day.category, "bbox": [10, 10, 50, 60]}
        if made := me.ask("draw", "POST", f"{day.base}/annotations", box, (201,)):
            where = f"{day.base}/annotations/{made['id']}"
            me.ask("move", "PATCH", where, {"bbox": [12, 10, 50, 60]})
            me.ask("erase", "DELETE", where, expected=(204,))
        me.think()
        way = me.random.random()
        if way < 0.15:
            few = {"ids": [row["id"] for row in page["results"]], "add_tags": [f"by{me.random.randrange(9)}"]}
            if edit := me.ask("bulk edit", "POST", f"{day.base}/assets/bulk", few):
                undo = f"{day.base}/bulk-edits/{edit['id']}/undo"
                me.ask("undo", "POST", undo, {"skip_changed": True}, (200, 202))
        elif way < 0.18:
            me.ask("export", "POST", f"{day.base}/exports/coco", {"q": "tag:rare"}, (202,))
        me.think()


def import_again(me: Person, file: Path) -> None:
    """A new project, a file, its events to the last, and the project is deleted."""
    day = me.day
    while day.goes_on():
        made = me.ask("new project", "POST", "/api/v1/projects", {"name": f"day {time.time_ns()}"}, (201,))
        if made is None:
            return
        before = time.monotonic()
        task = upload(day.port, day.headers, made["id"], file)
        connection = http.client.HTTPConnection("127.0.0.1", day.port, timeout=ENDS)
        connection.request("GET", f"/api/v1/tasks/{task}/events", headers=day.headers)
        connection.getresponse().read()
        connection.close()
        ended = me.ask("task", "GET", f"/api/v1/tasks/{task}")
        if ended and ended["status"] != "succeeded":
            day.fault(f"import: {ended['status']} {ended['message']}")
        day.imports.append(time.monotonic() - before)
        me.ask("delete project", "DELETE", f"/api/v1/projects/{made['id']}", expected=(202,))
        day.ended.wait(20)


# --- Memory -----------------------------------------------------------------------------------------------------------


def sample(day: Day) -> None:
    """What each process of ours has for itself, until the day has ended."""
    began = time.monotonic()
    while not day.ended.wait(SAMPLED):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                role = next((role for role in ("uvicorn", "worker", "beat") if role in words), None)
                if role is None and "spawn_main" in words:
                    role = "uvicorn"
                if role:
                    used = process.memory_full_info().uss / 2**20
                    name = f"{role} {process.pid}"
                    day.memory.setdefault(name, []).append((time.monotonic() - began, used))


def growth(samples: list[tuple[float, float]], seconds: float) -> tuple[float, float, float]:
    """Medians (MiB) of the three thirds of the run, of a process that was there all the time."""
    thirds: list[list[float]] = [[], [], []]
    for moment, used in samples:
        thirds[min(2, int(3 * moment / seconds))].append(used)
    first, second, third = (statistics.median(part) for part in thirds)
    return first, second, third


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--images", type=int, default=100_000, help="of the project that people work on")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    import django

    django.setup()
    from accounts import tokens
    from annotations.models import Category
    from bench.query import build
    from projects.commands import migrate_embedded

    migrate_embedded()
    project = build(options.images, False, {})
    token = str(tokens.issue(project.owner).access)
    with everything() as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "day.json")
        write_coco(file, IMPORTED)
        day = Day(port, token, project.pk, options.minutes)
        day.category = Category.objects.filter(project=project).order_by("pk").values_list("pk", flat=True)[0]
        works: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(import_again, (Person(day, 0), file))]
        works += [(read, (Person(day, 1 + n),)) for n in range(options.readers)]
        works += [(write, (Person(day, 1_000 + n),)) for n in range(options.writers)]
        watching = threading.Thread(target=sample, args=(day,))
        people = [threading.Thread(target=work, args=args) for work, args in works]
        began = time.monotonic()
        for thread in (watching, *people):
            thread.start()
        for thread in people:
            thread.join(60 * options.minutes + ENDS)
        seconds = time.monotonic() - began
        day.ended.set()
        watching.join(60)
    sys.exit(report(day, seconds, options.json))


def report(day: Day, seconds: float, as_json: bool) -> int:
    """Print what was seen; 1 if anything went wrong."""
    total = sum(map(len, day.taken.values()))
    print(
        f"{total:,} requests in {seconds / 60:.1f} minutes ({total / seconds:.0f} a second), {len(day.faults)} faults"
    )
    for words in day.faults[:10]:
        print(f"  {words}")
    print(f"{len(day.imports)} imports of {IMPORTED:,} images, median {statistics.median(day.imports):.0f} s")
    print(f"{'asked for':<16}{'answers':>9}{'median':>9}{'p95':>9}{'p99':>9}{'slowest':>9}  (ms)")
    told: dict[str, Any] = {"seconds": round(seconds), "faults": day.faults, "imports": day.imports, "taken": {}}
    for name, taken in sorted(day.taken.items()):
        taken.sort()
        at = [taken[round(share * (len(taken) - 1))] for share in (0.5, 0.95, 0.99, 1)]
        told["taken"][name] = [len(taken), *at]
        print(f"{name:<16}{len(taken):>9,}" + "".join(f"{value:>9.1f}" for value in at))
    grown = False
    print(f"{'process':<16}{'1st third':>11}{'2nd':>9}{'3rd':>9}  (MiB of its own, median)")
    for name, samples in sorted(day.memory.items()):
        if samples[-1][0] - samples[0][0] < 0.9 * seconds:
            continue  # it came or went meanwhile
        first, second, third = growth(samples, seconds)
        grown = grown or third > second + SLACK
        told.setdefault("memory", {})[name] = [first, second, third]
        print(f"{name:<16}{first:>11.0f}{second:>9.0f}{third:>9.0f}{'  grows' if third > second + SLACK else ''}")
    if as_json:
        print(json.dumps(told))
    return int(bool(day.faults) or grown)


if __name__ == "__main__":
    main()
