"""How long the server is at each page of the workplace and each list of the admin, in a project with many images.

The project is the one of `bench.query`, made in SQL and kept; audit lines and tasks are put in beside it and taken back
at the end. Pages are asked for in this process by a curator who is no superuser, and their time is that of the whole
answer: queries, templates and all. The floor is a page of the admin in the same frame that reads no images. Printed
for each: median and worst milliseconds, how often the floor that is, the number of queries and the slowest of them.

    python -m bench.workplace [--images 20000] [--runs 7] [--figures]

A page that takes over 400 ms, or asks the database to count or to skip more rows than lists are long, is marked, and
ends the benchmark with exit code 1. It has a home of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set.
"""

import argparse
import re
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from bench import query as bench

LIMIT = 400  # milliseconds of the server's time
OFFSET = 10_000  # rows that a list may skip at most
AUDIT_LINES, TASKS = 200_000, 20_000
DEEP = 0.9  # how far into the project the deep pages are
# A count that reads all rows of a large table; those of capped lists have a LIMIT within.
LONG = ("assets_imageasset", "annotations_annotation", "projects_auditlog", "projects_task")
WHOLE_COUNT = re.compile(rf'^SELECT COUNT\(\*\) AS "__count" FROM "({"|".join(LONG)})"')
SKIPPED = re.compile(r" OFFSET (\d+)")

_AUDIT = """
    INSERT INTO projects_auditlog (project_id, project_name, actor, action, door, request_id, detail, created_at)
    SELECT %(project)s, 'bench', 'bench@localhost', 'asset.updated', 'api', '', jsonb_build_object('asset', n),
        now() - n * interval '1 second'
    FROM generate_series(1, %(number)s) AS n
"""


def addresses(project: Any) -> Iterator[tuple[str, str]]:
    """(what it is, its address) of every page that is measured."""
    from django.urls import reverse

    from annotations.models import Annotation
    from assets.models import ImageAsset

    def page(name: str, *more: Any, **asked: Any) -> str:
        return reverse(f"workplace:{name}", args=[project.pk, *more]) + (f"?{urlencode(asked)}" if asked else "")

    def listed(model: str, **asked: Any) -> str:
        return reverse(f"admin:{model}_changelist") + (f"?{urlencode(asked)}" if asked else "")

    rows = ImageAsset.objects.filter(project=project)
    first = rows.order_by("id").values_list("pk", flat=True)[0]
    last = rows.order_by("-id").values_list("pk", flat=True)[0]
    deep = rows.filter(pk__gte=first + (last - first) * DEEP).order_by("id")[:120]
    far, shown = deep[0], ",".join(str(row.pk) for row in deep[:60])
    annotation = Annotation.objects.filter(project=project, image=far.pk).order_by("id").first()
    yield "home", reverse("admin:index")
    yield "grid", page("images")
    yield "table", page("images", view="table")
    for sort in ("-id", "file", "-annotations", "width"):
        yield f"grid by {sort}", page("images", sort=sort)
    for q in ("tag:rare", "category:class3", "has(category:class1 area>50000)", "-tag:tag7 width>1024"):
        yield f"grid, {q}", page("images", q=q)
        yield f"facets, {q}", page("facets", q=q)
        yield f"image far in, {q}", page("image", far.pk, q=q)
    yield "facets", page("facets")
    for sort in ("id", "-annotations", "file"):
        yield f"next images far in, {sort}", page("more", sort=sort, cursor=_cursor(rows, far, sort))
    for q in ("category:class3", "has(category:class1 area>50000)"):
        yield f"next images far in, {q}", page("more", q=q, cursor=_cursor(rows, far, "id"))
    yield "boxes", page("boxes", ids=shown)
    yield "completion", page("complete", q="tag:tag1")
    yield "image", page("image", far.pk)
    yield "image by file", page("image", far.pk, sort="file")
    yield "objects", page("objects", far.pk)
    for name in ("insights", "categories", "imports", "exports", "cvat"):
        yield name, page(name)
    yield "charts", page("insight-charts")
    yield "two selections", page("insights", a="split:train", b="split:val")
    yield "charts of two selections", page("insight-charts", a="split:train", b="split:val")
    of_project = {"project": project.pk}
    for model, filters in LISTS.items():
        yield f"list {model}", listed(model)
        if model != "projects_project":
            yield f"list {model}, one project", listed(model, **of_project)
        if model in LONG:
            yield f"list {model}, last page", listed(model, p=OFFSET // PER_PAGE)
        for asked in filters:
            yield f"list {model}, {urlencode(asked)}", listed(model, **asked)
    yield "admin's image", reverse("admin:assets_imageasset_change", args=[far.pk])
    if annotation is not None:
        yield "admin's annotation", reverse("admin:annotations_annotation_change", args=[annotation.pk])


PER_PAGE = 50
LISTS: dict[str, tuple[dict[str, str], ...]] = {
    "assets_imageasset": (
        {"q": "000077"}, {"q": "nothing like it"}, {"status__exact": "broken"}, {"status__exact": "approved"},
        {"o": "-6"}, {"o": "9"},
    ),
    "annotations_annotation": (
        {"q": "class79"}, {"q": "7300000"}, {"q": "nothing"}, {"is_machine__exact": "1"}, {"crowd": "1"},
        {"crowd": "0"}, {"kind__exact": "1"},
    ),
    "projects_auditlog": ({"q": "bench@localhost"}, {"q": "nothing"}, {"door": "task"}, {"o": "2"}),
    "projects_project": (),
    "projects_membership": (),
    "annotations_category": ({"q": "class7"},),
    "annotations_bulkedit": (),
    "projects_task": ({"q": "nothing"}, {"status__exact": "failed"}, {"o": "-3"}),
}  # fmt: skip


def _cursor(rows: Any, row: Any, sort: str) -> str:
    from accounts.api.pagination import keys_of, write_cursor
    from cocohub.workplace import paging

    return write_cursor(keys_of(rows, paging.SORTS[sort][1]), row, False)


def visitor(project: Any) -> Any:
    """A browser in which a curator of the project has logged in, who has a project of their own as well."""
    from django.test import Client

    from accounts.models import User
    from projects.models import Membership, Project, Role

    user = User.objects.create_user(f"bench-{time.time_ns()}@localhost", is_staff=True)
    Membership.objects.create(project=project, user=user, role=Role.CURATOR)
    own = Project.objects.create(name="of the bench", owner=user)
    Membership.objects.create(project=own, user=user, role=Role.OWNER)
    client = Client()
    client.force_login(user)
    return client


def lines(project: Any) -> None:
    """Audit lines and tasks, as years leave them."""
    from django.db import connection

    from projects.models import Membership, Role, Task

    with connection.cursor() as cursor:
        cursor.execute(_AUDIT, {"project": project.pk, "number": AUDIT_LINES})
        Task.objects.bulk_create(
            (Task(project=project, kind=Task.Kind.THUMBNAILS, status=Task.Status.SUCCEEDED) for _ in range(TASKS)),
            batch_size=2_000,
        )
        cursor.execute("ANALYZE projects_auditlog, projects_task")
    Membership.objects.filter(project=project, user__email__startswith="bench-").update(role=Role.MANAGER)


def results_of(project: Any) -> None:
    """Count and keep what the charts show, as a worker does."""
    from insights import results
    from insights.metrics import METRICS, families

    for _, metrics in families(METRICS):
        results.keep(project, "", results.count(project, "", [metric.name for metric in metrics]))


def measure(client: Any, address: str, runs: int) -> dict[str, Any]:
    """Milliseconds, queries and faults of a page."""
    from django.core.cache import caches
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from annotations.remembering import MEMORY

    taken = []
    for number in range(runs + 1):
        caches[MEMORY].clear()  # as for who asks first
        start = time.perf_counter()
        answer = client.get(address)
        content = answer.content
        if number:
            taken.append(1000 * (time.perf_counter() - start))
        assert answer.status_code == 200, (address, answer.status_code, content[:500])
    caches[MEMORY].clear()
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    asked = [(float(each["time"]) * 1000, each["sql"]) for each in queries.captured_queries]
    faults = [sql for _, sql in asked if WHOLE_COUNT.match(sql)]
    faults += [sql for _, sql in asked if any(int(skip) > OFFSET for skip in SKIPPED.findall(sql))]
    return {
        "median": statistics.median(taken), "worst": max(taken), "queries": len(asked), "faults": faults,
        "slowest": max(asked, default=(0.0, "")), "size": len(content) / 1024,
    }  # fmt: skip


def main() -> int:
    """Measure, print, and tell by the exit code whether all is as it must be."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction
    from django.test.utils import setup_test_environment
    from django.urls import reverse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    parser.add_argument(
        "--figures", action="store_true", help="count the charts' figures first, so that they are at hand"
    )
    parser.add_argument("--sql", action="store_true", help="print the slowest query of what takes over a quarter")
    options = parser.parse_args()
    call_command("migrate", verbosity=0, interactive=False)
    project = bench.build(options.images, False, {})
    setup_test_environment(debug=False)  # lets the test client's host in
    bad = []
    with transaction.atomic():
        client = visitor(project)
        lines(project)
        if options.figures:
            with bench.timed("figures", {}):
                results_of(project)
        floor = measure(client, reverse("admin:password_change"), options.runs)["median"]
        print(f"floor {floor:.1f} ms: a page of the admin that reads no images")
        print(f"{'page':<66}{'median':>9}{'worst':>9}{'floors':>8}{'queries':>9}{'slowest':>9}{'KiB':>7}")
        for name, address in addresses(project):
            if options.only not in name:
                continue
            found = measure(client, address, options.runs)
            mark = "  SLOW" if found["median"] > LIMIT else ""
            mark += "  COUNTS OR SKIPS ALL" if found["faults"] else ""
            print(
                f"{name[:64]:<66}{found['median']:>6.0f} ms{found['worst']:>6.0f} ms{found['median'] / floor:>8.1f}"
                f"{found['queries']:>9}{found['slowest'][0]:>6.0f} ms{found['size']:>7.0f}{mark}",
                flush=True,
            )
            if mark:
                bad.append(name)
            if options.sql and (mark or found["median"] > LIMIT / 4):
                print(f"    {found['slowest'][1][:3000]}")
                for sql in found["faults"]:
                    print(f"    ! {sql[:600]}")
        transaction.set_rollback(True)
    print(f"{len(bad)} pages over {LIMIT} ms, or that count or skip all rows (aim: none)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
