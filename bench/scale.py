"""How each stage grows with the project: the main job at several sizes, and the slope between them.

Makes a COCO file of each size (7 annotations an image), imports it, reads pages, counts and facets, tags every image,
computes all insights, and exports the file again. The slope is that of seconds over images on logarithmic axes: 1 is
in proportion, 0 does not depend on the size.

    python -m bench.scale [--images 10000 100000 1000000] [--json]

It has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set; the projects
that it makes are deleted when it has ended. A million images take ten minutes and 25 GB of disk.
"""

import argparse
import json
import math
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "bench"))
os.environ["QUERY_TIMEOUT_MS"] = "600000"

QUERY = "has(category:class1 area>3000) width>1024"
PAGE = 50


def took(work: Callable[[], object], times: int = 1) -> float:
    """Seconds; the median of so many times."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]


def stages(images: int, folder: Path) -> dict[str, float]:
    """Seconds of each stage of a project with so many images."""
    from django.test import Client

    from accounts import tokens
    from accounts.api.pagination import keys_of, write_cursor
    from accounts.models import User
    from annotations import bulk
    from annotations.changes import Change, Selection
    from annotations.importing import FileToImport, import_files
    from annotations.models import Kind
    from annotations.report import Report
    from assets.models import ImageAsset
    from assets.services import Edit
    from bench.query import settle
    from bench.watching import write_coco
    from exports import rendering
    from insights import refreshing
    from insights.metrics import METRICS, families
    from projects import deletion, jobs, services

    path = folder / f"{images}.json"
    write_coco(path, images)
    owner = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    project = services.create_project(user=owner, name=f"scale {images} {time.time_ns()}")
    told: dict[str, float] = {}
    try:
        told["import"] = took(
            lambda: import_files(project=project, files=[FileToImport(path, "train")], report=Report())
        )
        settle()
        told["import again, unchanged"] = took(
            lambda: import_files(project=project, files=[FileToImport(path, "train")], report=Report())
        )
        client = Client(headers={"Authorization": f"Bearer {tokens.issue(owner).access}"})
        here = f"/api/v1/projects/{project.pk}/assets"

        def read(address: str = here, **params: str) -> Any:
            project.touch()  # as if somebody had just written: nothing is remembered
            answer = client.get(address, params)
            assert answer.status_code == 200, answer.content[:300]
            return answer.json()

        read()
        told["first page"] = took(read, 5)
        told["page of a query"] = took(lambda: read(q=QUERY), 5)
        row = ImageAsset.objects.filter(project=project).order_by("id")[images * 9 // 10]
        cursor = write_cursor(keys_of(ImageAsset.objects.all(), ("id",)), row, False)
        told["page at nine tenths"] = took(lambda: read(cursor=cursor, counted=f"~{images}"), 5)
        told["facets of a query"] = took(lambda: read(f"{here}/facets", q=QUERY), 3)
        told["a tag for every image"] = took(
            lambda: bulk.perform_here(
                user=owner,
                project=project,
                selection=Selection(),
                change=Change(Edit(add_tags=["seen"])),
                progress=lambda phase, done, total: None,
            )
        )
        settle()
        passes = [("", [metric.name for metric in of_pass]) for _, of_pass in families(list(METRICS))]
        told["all insights"] = took(lambda: list(refreshing.compute(project, passes)))
        with Path(os.devnull).open("wb") as target, rendering.frozen():
            rows = ImageAsset.objects.filter(project=project)
            told["export"] = took(
                lambda: rendering.write_document(rendering.Selection(project, rows), target, kind=Kind.OBJECT)
            )
    finally:
        task = services.delete_project(user=owner, project=project)
        told["delete the project"] = took(lambda: jobs.run(task.pk, deletion.delete_project))
        path.unlink()
    return told


def slope(few: float, many: float, ratio: float) -> float:
    """Of seconds over images, on logarithmic axes."""
    return math.log(max(many, 1e-6) / max(few, 1e-6)) / math.log(ratio)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    import django

    django.setup()
    from django.core.management import call_command

    import annotations.tasks  # noqa: F401 - says who does bulk edits

    call_command("migrate", verbosity=0, interactive=False)
    sizes = sorted(options.images)
    table: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for images in sizes:
            table[images] = stages(images, Path(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{images:,} images: {sum(table[images].values()):.0f} s, peak memory {peak:.0f} MiB", flush=True)
    print(f"\n{'seconds':<26}" + "".join(f"{size:>12,}" for size in sizes) + f"{'slope':>8}")
    for name in table[sizes[0]]:
        cells = [table[size][name] for size in sizes]
        last = f"{slope(cells[-2], cells[-1], sizes[-1] / sizes[-2]):>8.2f}" if len(sizes) > 1 else ""
        print(f"{name:<26}" + "".join(f"{cell:>12.3f}" for cell in cells) + last)
    if options.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
