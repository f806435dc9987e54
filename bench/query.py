"""Queries, pages, facets and bulk edits of a large project: over HTTP, and as the bare SQL of the same thing.

Builds the project in SQL (kept for the next run), starts a real server and asks it. With `--images 1000000` there are
7,300,000 annotations, as COCO has for that many images; the default is small and shows that the benchmark works.

    python -m bench.query [--images 20000] [--runs 30] [--rebuild] [--only-reading] [--json]

It has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "bench"))
os.environ["JWT_ACCESS_MINUTES"] = "600"
os.environ |= {"API_USER_RATE": "1000000/min", "API_ADDRESS_RATE": "1000000/min"}  # calls are counted as ever

PAGE_P95, OVER_SQL, FACETS, RATE, BULK = 60, 25, 150, 150, 2.0  # what is aimed at: ms, ms, ms, requests/s, times
CLIENTS, SERVERS = 8, 2
KEEP = ("--timeout-keep-alive", "600")  # seconds: the client waits while the same thing is asked in SQL
WARM, SECONDS = 2, 8  # of the run with many clients: those that do not count, and those that do
QUERIES = [
    "",
    "tag:tag7",
    "tag:rare",
    "-tag:tag7",
    "width>1024",
    "width:640..1280 height>700",
    "status:approved",
    "split:val",
    "category:class3",
    "category:class79",
    "-category:class0",
    "has(category:class1 area>50000)",
    "category:class5 area>90000",
    "count(category:class0)>=4",
    "metadata.color:red",
    "metadata.color:red metadata.license:3",
    "metadata.iso>3000 tag:tag1",
    "file:*77.jpg",
    "annotations:0",
    "tag:(tag1 OR tag2) category:class10 width>1024 -status:rejected",
]
IMAGES = """
    INSERT INTO assets_imageasset (project_id, split_id, coco_id, position, file_name, width, height, tags, issues,
        status, metadata, annotation_count, checksum, uri, thumbnail_uri, format)
    SELECT %(project)s, CASE WHEN n %% 10 = 0 THEN %(val)s ELSE %(train)s END, n, n, lpad(n::text, 12, '0') || '.jpg',
        320 + (n::bigint * 7919) %% 1600, 240 + (n::bigint * 104729) %% 1200,
        ARRAY['tag' || n %% 40] || CASE WHEN n %% 9973 = 0 THEN ARRAY['rare'] ELSE '{}' END,
        CASE WHEN n %% 500 = 0 THEN ARRAY['size_differs'] ELSE '{}' END,
        (ARRAY['ready', 'ready', 'ready', 'in_review', 'approved', 'rejected', 'missing'])[1 + n %% 7],
        jsonb_build_object('license', n %% 8, 'color', (ARRAY['red', 'green', 'blue', 'black'])[1 + n * 31 %% 4],
            'iso', (n * 13) %% 6400, 'camera', jsonb_build_object('lens', n %% 5 * 10)),
        CASE WHEN n %% 20 = 0 THEN 0 ELSE (n::bigint * 7919) %% 15 + (n %% 3 = 0)::int * 2 END,
        md5((n / 2)::text), '', '', ''
    FROM generate_series(1, %(images)s) AS n
"""
ANNOTATIONS = """
    INSERT INTO annotations_annotation (project_id, split_id, image_id, category_id, kind, coco_id, position, bbox,
        area, iscrowd, attributes)
    SELECT project_id, split_id, id, %(category)s + floor(80 * power((hashint8(number) & 65535) / 65536.0, 3))::int, 0,
        number, number, jsonb_build_array(number %% 500, number %% 300, number %% 401 + 8, number %% 307 + 8),
        (number %% 401 + 8) * (number %% 307 + 8), 0, NULL
    FROM (
        SELECT project_id, split_id, id, row_number() OVER (ORDER BY id, k) AS number
        FROM assets_imageasset CROSS JOIN LATERAL generate_series(1, annotation_count) AS k
        WHERE project_id = %(project)s
    ) AS numbered
"""


@contextmanager
def timed(what: str, told: dict[str, Any]) -> Iterator[None]:
    """Print and keep how many seconds the block took."""
    before = time.perf_counter()
    yield
    told[what] = round(time.perf_counter() - before, 2)
    print(f"{what}: {told[what]:,.2f} s", flush=True)


def build(images: int, rebuild: bool, told: dict[str, Any]) -> Any:
    """The project of this size, made if there is none."""
    from django.db import connection

    from accounts.models import User
    from annotations.models import Annotation, Category
    from assets.models import ImageAsset, Split
    from projects.models import Membership, Project, Role

    owner = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    name = f"{images} images"
    project = Project.objects.filter(name=name).first()
    if project is not None and not rebuild:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE assets_imageasset")  # a migration may ask for other statistics
        return project
    if project is not None:
        for model in (Annotation, Category, ImageAsset, Split):
            model.objects.filter(project=project)._raw_delete("default")
        project.delete()
    project = Project.objects.create(name=name, owner=owner)
    Membership.objects.create(project=project, user=owner, role=Role.OWNER)
    splits = {split: Split.objects.create(project=project, name=split).pk for split in ("train", "val")}
    categories = Category.objects.bulk_create(
        Category(project=project, coco_id=number, name=f"class{number}", supercategory=f"group{number // 10}")
        for number in range(80)
    )
    words = {"project": project.pk, "images": images, "category": categories[0].pk, **splits}
    with connection.cursor() as cursor:
        with timed("building images", told):
            cursor.execute(IMAGES, words)
            cursor.execute("ANALYZE assets_imageasset")
        with timed("building annotations", told):
            cursor.execute(ANNOTATIONS, words)
            told["annotations"] = cursor.rowcount
        with timed("vacuum and statistics", told):
            settle()
    return project


def settle() -> None:
    """What autovacuum does in time."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) assets_imageasset")
        cursor.execute("VACUUM (ANALYZE) annotations_annotation")


class Client:
    """One connection to the server that stays open."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **params: Any) -> Any:
        """The answer's JSON."""
        self.connection.request("GET", f"{path}?{urlencode(params)}" if params else path, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:500])
        return json.loads(body)


@contextmanager
def server() -> Iterator[int]:
    """A real server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "cocohub.asgi:application", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning", "--lifespan", "off", "--workers", str(SERVERS), *KEEP],
        cwd=ROOT,
        env=os.environ,
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def milliseconds(work: Callable[[], Any], runs: int, before: Callable[[], None] = lambda: None) -> tuple[float, float]:
    """Median and 95th percentile of so many runs, after two that do not count; `before` each, something untimed."""
    taken = []
    for number in range(runs + 2):
        before()
        began = time.perf_counter()
        work()
        if number > 1:
            taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken), sorted(taken)[max(0, round(0.95 * len(taken)) - 1)]


def alternately(one: Callable[[], Any], other: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Median of the other, and how often the median of the one it is; taken in turns, so that both meet the same."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for work, times in zip((one, other), taken, strict=True):
            began = time.perf_counter()
            work()
            if number:
                times.append(1000 * (time.perf_counter() - began))
    first, second = map(statistics.median, taken)
    return second, second / first


def raw(rows: Any) -> Callable[[], Any]:
    """The bare SQL of a queryset."""
    from django.db import connection

    sql, params = rows.query.sql_with_params()

    def run() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()

    return run


def ask(project: Any, client: Client, runs: int) -> list[dict[str, Any]]:
    """Each query: page over HTTP (again, and p95 with an edit before each) and as SQL, deep page, count, facets."""
    from django.db.models import F

    from annotations.counting import count
    from annotations.query import filter_images
    from assets.models import ImageAsset

    path = f"/api/v1/projects/{project.pk}/assets"

    def edited() -> None:
        type(project).objects.filter(pk=project.pk).update(revision=F("revision") + 1)

    heads = "".join(f"{name:>8}" for name in ("p95", "edited", "SQL", "deep", "count", "facets"))
    print(f"{'query':<58}{'API p50':>9}{heads}{'found':>12}  (ms)")
    table = []
    for q in QUERIES:
        rows = filter_images(ImageAsset.objects.select_related("split"), project, q)
        deep = deep_page(rows)
        line: dict[str, Any] = {"q": q}
        line["api"], line["api_p95"] = milliseconds(lambda q=q: client.get(path, q=q), runs)
        line["edited"] = milliseconds(lambda q=q: client.get(path, q=q), runs, before=edited)[1]
        line["sql"], _ = milliseconds(raw(rows.order_by("id")[:50]), runs)
        line["deep"] = None
        if deep:  # as the link from the page before has it
            first = client.get(path, q=q)
            told = f"{'' if first['count_is_exact'] else '~'}{first['count']}"
            later = {"q": q, "cursor": deep, "counted": told}
            line["deep"], line["deep over first"] = alternately(
                lambda q=q: client.get(path, q=q), lambda later=later: client.get(path, **later), runs
            )
        line["count"], _ = milliseconds(lambda rows=rows: count(rows), max(3, runs // 5))
        asked = lambda q=q: client.get(f"{path}/facets", q=q)  # noqa: E731
        line["facets"], _ = milliseconds(asked, max(3, runs // 5), before=edited)
        line["found"], line["exact"] = count(rows)
        table.append(line)
        shown = "".join(f"{line[name] or 0:>8.1f}" for name in ("api_p95", "edited", "sql", "deep", "count", "facets"))
        about = " " if line["exact"] else "~"
        print(f"{q or '(everything)':<58}{line['api']:>9.1f}{shown}{about}{line['found']:>11,}", flush=True)
    return table


def deep_page(rows: Any) -> str:
    """A cursor at nine tenths of the list; empty for a list without a second page."""
    from accounts.api.pagination import keys_of, write_cursor

    total = rows.count()
    if total <= 100:
        return ""
    row = rows.order_by("id")[total * 9 // 10 - 1]
    return write_cursor(keys_of(rows, ("id",)), row, False)


def many_clients(project: Any, port: int, token: str) -> float:
    """Page requests a second over several clients, once every process of the server has had its first."""
    done: list[int] = []
    path = f"/api/v1/projects/{project.pk}/assets"
    start = time.perf_counter() + WARM
    until = start + SECONDS

    def work(number: int) -> None:
        client, asked, counted = Client(port, token), 0, 0
        while (now := time.perf_counter()) < until:
            client.get(path, q=QUERIES[(number * 3 + asked) % len(QUERIES)])
            asked += 1
            counted += now >= start
        done.append(counted)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / SECONDS


def bulk_edit(project: Any, port: int, token: str, told: dict[str, Any]) -> None:
    """A tag for every image: the bare UPDATE, the bulk edit with somebody reading, and its undoing."""
    from django.db import connection

    from annotations import bulk
    from annotations.changes import Change, Selection
    from assets.services import Edit

    with timed("bare UPDATE", told), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE assets_imageasset SET tags = tags || '{bare}', version = version + 1, updated_at = now() "
            "WHERE project_id = %s",
            [project.pk],
        )
    settle()
    change, seen = Change(Edit(add_tags=[f"bulk{time.time():.0f}"])), []
    ended = threading.Event()

    def read() -> None:
        client = Client(port, token)
        while not ended.is_set():
            before = time.perf_counter()
            client.get(f"/api/v1/projects/{project.pk}/assets", q="tag:rare")
            seen.append(1000 * (time.perf_counter() - before))
            time.sleep(0.05)

    steps: list[int] = []
    reader = threading.Thread(target=read)
    reader.start()
    with timed("bulk edit", told):
        edit = bulk.perform_here(
            user=project.owner, project=project, selection=Selection(), change=change,
            progress=lambda phase, done, total: steps.append(done),
        )  # fmt: skip
    ended.set()
    reader.join()
    told["bulk over bare"] = round(told["bulk edit"] / told["bare UPDATE"], 2)
    told["steps of progress"] = len(steps)
    told["readers meanwhile, p95 ms"] = round(sorted(seen)[max(0, round(0.95 * len(seen)) - 1)], 1)
    settle()
    with timed("undo", told):
        undone = bulk.start_undo(user=project.owner, edit=edit)
        if undone.task:
            from projects import jobs

            jobs.run(undone.task.pk, bulk.run)
    left = project.assets.filter(tags__contains=list(change.edit.add_tags)).count()
    assert left == 0, left
    settle()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--only-reading", action="store_true", help="no bulk edit, which takes minutes")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    import django

    django.setup()
    from django.core.management import call_command

    import annotations.tasks  # noqa: F401 - says who does bulk edits
    from accounts import tokens

    call_command("migrate", verbosity=0, interactive=False)
    told: dict[str, Any] = {"images": options.images}
    project = build(options.images, options.rebuild, told)
    token = str(tokens.issue(project.owner).access)
    with server() as port:
        client = Client(port, token)
        client.get(urlsplit(f"/api/v1/projects/{project.pk}").path)
        table = ask(project, client, options.runs)
        told["requests a second"] = round(many_clients(project, port, token), 1)
        print(f"{told['requests a second']} requests a second over {CLIENTS} clients (aim: {RATE})")
        if not options.only_reading:
            bulk_edit(project, port, token, told)
    worst = max(line["api_p95"] for line in table)
    over = max(line["api"] - line["sql"] for line in table)
    deeper = sorted((line["deep over first"] for line in table if line["deep"]), reverse=True) or [0.0]
    facets = max((line["facets"] for line in table if line["exact"]), default=0)
    late = [line["edited"] for line in table]
    print(
        f"slowest page p95 {worst:.1f} ms (aim: {PAGE_P95}); after an edit {max(late):.1f} ms, "
        f"{sum(each > PAGE_P95 for each in late)} of {len(late)} over the aim; "
        f"API over SQL {over:.1f} ms (aim: {OVER_SQL})"
    )
    print(
        f"deep page over first {deeper[0]:.2f}, without that query {max(deeper[1:], default=0):.2f} (aim: 1.20); "
        f"facets of up to 10,000 images {facets:.0f} ms (aim: {FACETS})"
    )
    print(f"bulk edit {told.get('bulk over bare', '-')} times the bare UPDATE (aim: {BULK}); {told}")
    if options.json:
        print(json.dumps({**told, "queries": table}))


if __name__ == "__main__":
    main()
