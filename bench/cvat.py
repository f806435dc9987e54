"""How long an export to CVAT and the pull take and where the time goes: 10,000 images, 70,000 annotations, the double.

The double of the tests plays CVAT, in a process of its own. What counts is our cost beyond its answers: total time less
the time spent waiting for them, as a share of that waiting (aim: under 30 %). The same is done with a part of the
images first, in tasks of the same size: the peak of memory must not grow with the export. Then one shape in a hundred
is moved in the double, and everything is pulled: what is told must be what was moved, no more.

    python -m bench.cvat [--images 10000] [--per-task 500] [--quick] [--json]

The double answers a good deal faster than a server does. It is made as slow as the recorded one (CVAT 2.54 on a small
machine: 0.5 ms for each shape that is created, 0.14 ms for each that is read) unless --quick is given; the making of
frames costs nothing, for that was not measured.
"""

import argparse
import io
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
NAME = "bench cvat"
PICTURES = 100  # different ones; images share them
SIZE = (640, 480)
EACH = 7  # annotations of an image: five outlines, a crowd, a box
AIM = 0.30
CREATED, READ = 0.0005, 0.00014  # seconds for a shape, on the recorded server
ANSWERS, PAUSES = "waiting for answers", "pauses until frames are made"


def document(images: int) -> dict[str, Any]:
    """A COCO document."""
    rng = Random(7)
    width, height = SIZE
    annotations = []
    for image in range(1, images + 1):
        for number in range(EACH):
            x, y = rng.randint(10, width - 210), rng.randint(10, height - 210)
            record: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": 1 + number % 5,
                "bbox": [x, y, 200, 200],
                "area": 40000,
                "iscrowd": 0,
                "attributes": {"color": rng.choice(["red", "green", "blue"]), "parked": number % 2 == 0},
            }
            if number < 5:
                points = [round(value + rng.random(), 2) for at in range(20) for value in _edge(x, y, at)]
                record["segmentation"] = [points]
            elif number == 5:
                start, run = x * height + y, 150
                counts = [start] + [run, height - run] * 99 + [run]
                counts.append(width * height - sum(counts))
                record |= {"iscrowd": 1, "segmentation": {"size": [height, width], "counts": counts}}
            annotations.append(record)
    return {
        "images": [
            {"id": number, "file_name": f"{number:06}.jpg", "width": width, "height": height}
            for number in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, 6)],
    }


def _edge(x: int, y: int, at: int) -> tuple[int, int]:
    """A point of a jagged circle."""
    side, step = divmod(at, 5)
    along = step * 40
    return [(x + along, y), (x + 199, y + along), (x + 199 - along, y + 199), (x, y + 199 - along)][side]


def prepare(images: int, home: Path) -> None:
    """A project with these images and their pictures."""
    from django.db import connection

    from accounts.models import User
    from annotations.importing import FileToImport, import_files
    from annotations.report import Report
    from assets import storage
    from projects.commands import migrate_embedded
    from projects.models import Project
    from projects.services import create_project

    migrate_embedded()
    user = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    Project.objects.filter(name=f"{NAME} {images}", owner=user).update(name=f"old {time.time()}")
    project = create_project(user=user, name=f"{NAME} {images}")
    path = home / "bench.json"
    path.write_text(json.dumps(document(images)))
    import_files(project=project, files=[FileToImport(path, "train")], report=Report())
    path.unlink()
    stored = []
    for number in range(PICTURES):
        noise = Image.effect_noise((40, 30), 120).resize(SIZE, Image.Resampling.BICUBIC)
        content = io.BytesIO()
        Image.merge("RGB", [noise, noise.rotate(number % 4 * 90).resize(SIZE), noise]).save(content, "JPEG", quality=88)
        sha256, size = storage.digest(content)
        stored.append((storage.put(storage.image_key(project.pk, sha256, "jpeg"), content), sha256, size))
    with connection.cursor() as cursor:
        for number, (uri, sha256, size) in enumerate(stored):
            cursor.execute(
                "UPDATE assets_imageasset SET uri = %s, checksum = %s, size_bytes = %s, format = 'jpeg', "
                "status = 'ready' WHERE project_id = %s AND coco_id %% %s = %s",
                [uri, sha256, size, project.pk, PICTURES, number],
            )
        cursor.execute("VACUUM ANALYZE assets_imageasset, annotations_annotation")


class Clock:
    """Seconds by phase; those of a phase inside another count for the inner one only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time spent inside."""
        self._switch()
        self._inside.append(name)
        try:
            yield
        finally:
            self._switch()
            self._inside.pop()

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Have a function counted as a phase, where it is not done by a thread beside."""
        work: Callable[..., Any] = getattr(owner, attribute)

        def counted(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return work(*args, **options)
            with self.phase(name):
                return work(*args, **options)

        setattr(owner, attribute, counted)


def run(images: int, per_task: int) -> dict[str, Any]:
    """One export, timed from within."""
    from exports.cvat import annotating
    from exports.cvat.transport import Transport
    from exports.models import ExportJob
    from exports.sending import ahead, pipeline, services
    from exports.sending.options import Options
    from exports.services import Wanted
    from projects import jobs
    from projects.models import Project

    project = Project.objects.select_related("owner").get(name=f"{NAME} {images}")
    clock = Clock()
    clock.wrap(pipeline, "freeze", "freeze the snapshot")
    clock.wrap(ahead.Zips, "take", "wait for zips of pictures")
    clock.wrap(ahead.Pens, "take", "wait for shapes to be drawn")
    clock.wrap(annotating, "create", "send and count shapes")
    clock.wrap(Transport, "_once", ANSWERS)
    clock.wrap(time, "sleep", PAUSES)
    job = services.start(
        user=project.owner, project=project, wanted=Wanted(), options=Options(images_per_task=per_task)
    )
    started, busy = time.perf_counter(), time.process_time()
    with clock.phase("the rest"):
        jobs.run(job.task_id, pipeline.run)
    total, busy = time.perf_counter() - started, time.process_time() - busy
    job = ExportJob.objects.select_related("task").get(pk=job.pk)
    assert job.status == "succeeded", job.task.message
    assert job.task.result["images"] == images
    assert job.task.result["annotations"] == images * EACH
    tasks = len(job.task.result["tasks"])
    return figures(
        f"export of {images:,} images with {images * EACH:,} annotations in {tasks} tasks", clock, total, busy
    )


def move_some(job: Any, client: Any) -> int:
    """Move one shape in a hundred by a pixel, as people would; how many."""
    from dataclasses import replace

    number = 0
    for task in job.cvat_tasks.all():
        shapes = client.annotations("tasks", task.cvat_id).shapes
        moved = [
            replace(shape, points=(shape.points[0] - 1, *shape.points[1:]))
            for shape in shapes
            if shape.type == "polygon"
        ][:: 100 * 5 // EACH]
        client.save(task.cvat_id, "update", moved)
        number += len(moved)
    return number


def pull(images: int) -> dict[str, Any]:
    """Everything read back and compared, timed from within."""
    from exports import connecting
    from exports.cvat.shapes import Annotations
    from exports.cvat.transport import Transport
    from exports.models import ExportJob
    from exports.pulling import loading, reading, services

    job = ExportJob.objects.to_cvat().select_related("project__owner").order_by("-pk")[0]
    with connecting.client_of(job.project) as client:
        moved = move_some(job, client)
    clock = Clock()
    clock.wrap(loading, "base_of", "read the snapshot")
    clock.wrap(loading, "ours_of", "look what has changed here")
    clock.wrap(reading.differing, "compare", "compare")
    clock.wrap(reading, "_store", "store differences")
    clock.wrap(reading.remarks, "fetch", "read remarks")
    clock.wrap(Annotations, "read", "read CVAT's shapes")
    clock.wrap(Transport, "_once", ANSWERS)
    clock.wrap(time, "sleep", PAUSES)
    asked = services.start_pull(user=job.project.owner, job=job, everything=True)
    started, busy = time.perf_counter(), time.process_time()
    with clock.phase("the rest"):
        done = services.perform_here(asked)
    total, busy = time.perf_counter() - started, time.process_time() - busy
    assert done.state == "succeeded", done.task and done.task.message
    found = {name: done.result[name] for name in ("added", "changed", "deleted", "unchanged")}
    assert found == {"added": 0, "changed": moved, "deleted": 0, "unchanged": images * EACH - moved}, found
    return figures(f"pull of {images * EACH:,} annotations, {moved:,} of them moved", clock, total, busy)


def figures(what: str, clock: Clock, total: float, busy: float) -> dict[str, Any]:
    """What is told of a run."""
    waiting = clock.seconds[ANSWERS] + clock.seconds[PAUSES]
    return {
        "what": what,
        "seconds": total,
        "phases": {name: seconds for name, seconds in clock.seconds.items() if seconds},
        "beyond": (total - waiting) / waiting,
        "cpu": busy,
        "cpu_share": busy / waiting,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _apart(what: str, images: int, per_task: int) -> str:
    command = [sys.executable, "-m", "bench.cvat", "--only", what, "--images", str(images), "--per-task", str(per_task)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def slow(port: int) -> None:
    """The double, as slow as the recorded server."""
    from tests.cvat_double import Double

    with Double(port) as double:
        answer = double.server.answer

        def slowly(method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
            given = answer(method, path, query, headers, body)
            if path.endswith("/annotations"):
                shapes = given.body.count(b'"rotation"') - given.body.count(b'"elements": [{')
                time.sleep(max(0, shapes) * (CREATED if method == "PATCH" else READ))
            return given

        double.server.answer = slowly  # type: ignore[method-assign]
        print(double.token, flush=True)
        while True:
            time.sleep(60)


@contextmanager
def stand_in(quick: bool) -> Iterator[None]:
    """The double in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.cvat_double", "--port", str(port)]
    if not quick:
        command = [sys.executable, "-m", "bench.cvat", "--only", "slow", "--images", str(port)]
    double = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert double.stdout is not None
        token = double.stdout.readline().rpartition(" ")[2].strip()
        os.environ |= {"CVAT_API_URL": f"http://127.0.0.1:{port}", "CVAT_API_TOKEN": token, "CVAT_ALLOWED_HOSTS": ""}
        yield
    finally:
        double.kill()
        double.wait()


def main() -> None:
    """A part (four tasks, or a tenth), then all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--per-task", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="the double as quick as it is")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["prepare", "run", "pull", "slow"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only == "slow":
        slow(options.images)
    if options.only:
        import django

        django.setup()
        from django.conf import settings

        if options.only == "prepare":
            prepare(options.images, Path(settings.HOME))
        else:
            done = run(options.images, options.per_task) if options.only == "run" else pull(options.images)
            print(json.dumps(done))
        return
    found = []
    for images in (max(options.images // 10, 4 * options.per_task), options.images):
        _apart("prepare", images, options.per_task)
        with stand_in(options.quick):
            found += [json.loads(_apart(what, images, options.per_task)) for what in ("run", "pull")]
    if options.json:
        print(json.dumps(found))
        return
    for one in found:
        print(f"{one['what']}: {one['seconds']:.1f} s, peak {one['peak_mib']:.0f} MiB")
        for name, seconds in sorted(one["phases"].items(), key=lambda phase: -phase[1]):
            print(f"  {name:<28} {seconds:8.2f} s")
        aim = f"   (aim: under {AIM:.0%})" if one["what"].startswith("export") else ""
        print(f"  beyond the double's answers: {one['beyond']:.0%} of them{aim}")
        print(f"  our own processor time, also while waiting: {one['cpu']:.1f} s, {one['cpu_share']:.0%} of them")
    for what, (part, whole) in (("export", found[::2]), ("pull", found[1::2])):
        print(f"memory of all / of a part, {what}: {whole['peak_mib'] / part['peak_mib']:.2f}")


if __name__ == "__main__":
    main()
