"""The kinds of jobs: what there is before one, how a client starts it, and when all that comes of it has come."""

import io
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import urllib3
from django.db import connections
from PIL import Image

from accounts.models import User
from annotations.importing import FileToImport, import_files
from annotations.models import BulkEdit, ImportJob
from annotations.report import Report
from annotations.sources import Folder
from assets import tasks as asset_tasks
from exports import connecting
from exports.models import CvatTask, ExportJob
from exports.sending import services as sending
from exports.sending.options import Options
from exports.services import Wanted
from insights import refreshing, results
from projects import services
from projects.models import Project, Task
from tests.faults.house import wait_until

WIDTH, HEIGHT = 96, 72
PICTURES = 24
BOXES = 240
MANY_IMAGES = 2_600  # more than a bulk edit does within a request
PULLED = 60
FORM = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60))


@dataclass
class Run:
    """One job and what it works on."""

    number: int
    user: User
    url: str  # of the web
    token: Callable[[], str]
    folder: Path
    project: Project = field(init=False)
    export: ExportJob | None = None

    @property
    def name(self) -> str:
        """Of the project; nothing else is called so."""
        return f"faults-run-{self.number}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request of a client. Raises OSError (urllib3's errors as such) where the server is away or unwell."""
        headers = {"Authorization": f"Bearer {self.token()}", **options.pop("headers", {})}
        try:
            answer = FORM.request(method, f"{self.url}/api/v1{path}", headers=headers, **options)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(str(error)) from error
        if answer.status >= 500 or answer.status == 429:
            raise OSError(f"{answer.status}: {answer.data[:200]!r}")
        if answer.status >= 400:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.data[:500]!r}")
        return json.loads(answer.data) if answer.data else None

    def insist(self, started: Callable[[], bool], start: Callable[[], Any]) -> None:
        """As a careful client: where no answer came, look whether it has begun before asking again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                start()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            if started():
                return


@dataclass(frozen=True)
class Kind:
    """A kind of job."""

    name: str
    prepare: Callable[[Run], None]
    start: Callable[[Run], None]
    main: str  # kind of the task that is harmed
    cvat: bool = False
    insights: bool = False


def document(images: int, annotations: int, seed: int = 7) -> dict[str, Any]:
    """Boxes, polygons, unknown fields, numbers with digits, and some flaws of each sort of treatment."""
    chance = random.Random(seed)
    records: list[dict[str, Any]] = []
    for number in range(1, annotations + 1):
        x, y, w, h = (round(chance.uniform(1, 30), 2) for _ in range(4))
        record: dict[str, Any] = {
            "id": number, "image_id": 1 + number % images, "category_id": 1 + number % 3, "bbox": [x, y, w, h],
            "area": round(w * h, 3), "iscrowd": 0, "odd": number,
        }  # fmt: skip
        if number % 3 == 0:
            record["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if number % 40 == 0:
            record["category_id"] = 99  # left out and told
        if number % 50 == 0:
            record["area"] = "12.5"  # repaired and told
        records.append(record)
    pictures = [
        {"id": number, "file_name": f"{number:05}.jpg", "width": WIDTH, "height": HEIGHT, "shade": number % 5}
        for number in range(1, images + 1)
    ]
    names = ("car", "bus", "person")
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"info": {"year": 2026}, "images": pictures, "annotations": records, "categories": categories}


def picture(number: int) -> bytes:
    """A picture of its own, the same in every run."""
    content = io.BytesIO()
    Image.effect_mandelbrot((WIDTH, HEIGHT), (-2, -1.2, 0.5 + number / 90, 1.2), 10 + number % 40).save(content, "JPEG")
    return content.getvalue()


def material(folder: Path, images: int = PICTURES, annotations: int = BOXES) -> tuple[Path, Path]:
    """A COCO file and the folder of its pictures, made once."""
    place = folder / f"material-{images}-{annotations}"
    text, pictures = place / "instances_train.json", place / "pictures"
    if not text.exists():
        pictures.mkdir(parents=True, exist_ok=True)
        if images <= PICTURES:
            for number in range(1, images + 1):
                (pictures / f"{number:05}.jpg").write_bytes(picture(number))
        text.write_text(json.dumps(document(images, annotations)))
    return text, pictures


# --- Before -----------------------------------------------------------------------------------------------------------


def empty(run: Run) -> None:
    """A project with nothing in it."""
    run.project = services.create_project(user=run.user, name=run.name)


def imported(run: Run, images: int = PICTURES, annotations: int = BOXES) -> None:
    """A project with images, whose thumbnails are not made."""
    empty(run)
    text, pictures = material(run.folder, images, annotations)
    source = Folder(pictures) if images <= PICTURES else None
    import_files(project=run.project, files=[FileToImport(text, "train")], report=Report(), pictures=source)
    run.project.refresh_from_db()


def many(run: Run) -> None:
    """A project with many images without pictures."""
    imported(run, MANY_IMAGES, MANY_IMAGES)


def sent(run: Run) -> None:
    """A project whose images are in CVAT, where somebody has worked on them."""
    imported(run)
    job = sending.start(user=run.user, project=run.project, wanted=Wanted(), options=Options(images_per_task=8))
    wait_until(lambda: Task.objects.get(pk=job.task_id).is_finished, 60, "the images are in CVAT")
    run.export = ExportJob.objects.select_related("task", "project").get(pk=job.pk)
    if run.export.task.status != Task.Status.SUCCEEDED:
        raise AssertionError(run.export.task.message)
    with connecting.client_of(run.project) as client:
        left = PULLED
        for task in CvatTask.objects.filter(job=job).order_by("number"):
            number = int(task.cvat_id or 0)
            shapes = [shape for shape in client.annotations("tasks", number).shapes if shape.type == "rectangle"]
            shapes = sorted(shapes, key=lambda shape: shape.id or 0)[: left // 3 + 1]
            moved = [replace(shape, points=tuple(value + 2 for value in shape.points)) for shape in shapes[5:]]
            client.save(number, "update", moved)
            client.save(number, "delete", shapes[:3])
            drawn = [
                replace(shape, id=None, points=(2.0, 2.0, 20.0 + at, 20.0), attributes=(), source="manual")
                for at, shape in enumerate(shapes[5:8])
            ]
            client.save(number, "create", drawn)


# --- By a client ------------------------------------------------------------------------------------------------------


def start_import(run: Run) -> None:
    """Send the file and its pictures."""
    text, pictures = material(run.folder)
    fields: list[Any] = [("file", (text.name, text.read_bytes(), "application/json"))]
    fields += [("images", (path.name, path.read_bytes(), "image/jpeg")) for path in sorted(pictures.iterdir())]
    run.insist(
        lambda: ImportJob.objects.filter(project=run.project).exists(),
        lambda: run.ask("POST", f"/projects/{run.project.pk}/coco", fields=fields),
    )


def start_thumbnails(run: Run) -> None:
    """As after an import."""
    asset_tasks.enqueue(run.project, run.user)


def start_insights(run: Run) -> None:
    """As who looks at the dashboard first."""
    refreshing.request(run.project)


def start_bulk(run: Run) -> None:
    """A tag and a value for every image."""
    body = {"q": "", "add_tags": ["seen", "night"], "metadata": {"round": 3}}
    run.insist(
        lambda: BulkEdit.objects.filter(project=run.project).exists(),
        lambda: run.ask("POST", f"/projects/{run.project.pk}/assets/bulk", json=body),
    )


def start_export(run: Run) -> None:
    """A zip with the pictures."""
    run.insist(
        lambda: ExportJob.objects.filter(project=run.project).exists(),
        lambda: run.ask("POST", f"/projects/{run.project.pk}/exports/coco", json={"q": "", "pictures": True}),
    )


def start_sending(run: Run) -> None:
    """To CVAT, in three tasks."""
    run.insist(
        lambda: ExportJob.objects.filter(project=run.project).exists(),
        lambda: run.ask("POST", f"/projects/{run.project.pk}/exports/cvat", json={"q": "", "images_per_task": 8}),
    )


def start_pull(run: Run) -> None:
    """Read what was done in CVAT and take it over."""
    assert run.export is not None
    path = f"/projects/{run.project.pk}/exports/cvat/{run.export.pk}/pulls"
    run.insist(
        lambda: Task.objects.filter(project=run.project, kind=Task.Kind.CVAT_PULL).exists(),
        lambda: run.ask("POST", path, json={"policy": "accept"}),
    )


KINDS = {
    kind.name: kind
    for kind in (
        Kind("import", empty, start_import, Task.Kind.IMPORT),
        Kind("thumbnails", imported, start_thumbnails, Task.Kind.THUMBNAILS),
        Kind("insights", imported, start_insights, Task.Kind.INSIGHTS, insights=True),
        Kind("bulk", many, start_bulk, Task.Kind.BULK_EDIT),
        Kind("export", imported, start_export, Task.Kind.EXPORT),
        Kind("send", imported, start_sending, Task.Kind.EXPORT, cvat=True),
        Kind("pull", sent, start_pull, Task.Kind.CVAT_PULL, cvat=True),
    )
}


def everything_is_done(run: Run, kind: Kind) -> bool:
    """Nothing of the project waits or runs, and what comes of the job has come."""
    tasks = Task.objects.filter(project=run.project)
    # What follows is looked for first: it is there before what it follows from has ended for good.
    expected = {kind.main, Task.Kind.THUMBNAILS} if kind.name == "import" else {kind.main}
    if not expected <= set(tasks.values_list("kind", flat=True)):
        return False
    tasks = tasks if kind.insights else tasks.exclude(kind=Task.Kind.INSIGHTS)
    if tasks.unfinished().exists():
        return False
    return not kind.insights or not results.behind(run.project)


def in_background(work: Callable[[], None]) -> Callable[[], None]:
    """Begin work in a thread; what is given waits for it and raises what it raised."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=guarded)
    thread.start()

    def join() -> None:
        thread.join()
        if errors:
            raise errors[0]

    return join
