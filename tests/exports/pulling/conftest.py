"""An export that is in CVAT, an annotator who works on it, and a worker who pulls."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from accounts.models import User
from exports import connecting
from exports.cvat.client import Client
from exports.cvat.records import Label
from exports.cvat.shapes import Shape
from exports.models import CvatDifference, CvatPull, CvatTask, ExportJob
from exports.pulling import reading, services
from exports.sending import pipeline
from exports.sending import services as sending
from exports.sending.options import Options
from exports.services import Wanted, write_to
from projects import jobs
from projects.models import Project, Task
from tests.cvat_double import Double
from tests.exports.sending import scenes


@pytest.fixture
def cvat(settings) -> Iterator[Double]:
    """The installation's CVAT."""
    with Double() as running:
        settings.CVAT_API_URL = running.url
        settings.CVAT_API_TOKEN = running.token
        settings.CVAT_ALLOWED_HOSTS = []
        settings.CVAT_ORGANIZATION = ""
        settings.CVAT_TOKEN_SCHEME = "Bearer"
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Nobody waits."""
    monkeypatch.setattr(pipeline, "pause_of", lambda claim: lambda seconds: claim.check())
    monkeypatch.setattr(reading, "pause_of", lambda claim: lambda seconds: claim.check())


@pytest.fixture
def scene(transactional_db, project, tmp_path) -> Project:
    """The project with both splits and their pictures."""
    scenes.load(project, "train", scenes.TRAIN, tmp_path)
    scenes.load(project, "val", scenes.VAL, tmp_path)
    project.refresh_from_db()
    return project


@pytest.fixture
def client(cvat, project) -> Iterator[Client]:
    """A client of the CVAT, as the project has it."""
    with connecting.client_of(project) as client:
        yield client


def send(user: User, project: Project, q: str = "", **options: Any) -> ExportJob:
    """An export, in CVAT to its last shape."""
    wanted = Wanted(q=q, split=options.pop("split", ""), sources=options.pop("sources", ()))
    job = sending.start(user=user, project=project, wanted=wanted, options=Options(**options))
    jobs.run(job.task_id, pipeline.run)
    job = ExportJob.objects.select_related("task", "project").get(pk=job.pk)
    assert job.task.status == Task.Status.SUCCEEDED, job.task.message
    return job


@pytest.fixture
def sent(cvat, scene, owner) -> ExportJob:
    """The scene's train split in CVAT, in tasks of three images."""
    return send(owner, scene, split="train", images_per_task=3)


def pull(user: User, job: ExportJob, **options: Any) -> CvatPull:
    """Pull, here and now."""
    done = services.perform_here(services.start_pull(user=user, job=job, **options))
    assert done.task is not None
    assert done.task.status == Task.Status.SUCCEEDED, done.task.message
    return done


def apply(user: User, job: ExportJob, policy: str, differences: list[int] | None = None) -> CvatPull:
    """Take over, here and now."""
    done = services.perform_here(services.start_apply(user=user, job=job, policy=policy, differences=differences))
    assert done.task is not None
    assert done.task.status == Task.Status.SUCCEEDED, done.task.message
    return done


def undo(user: User, work: CvatPull) -> CvatPull:
    """Put back, here and now."""
    done = services.perform_here(services.start_undo(user=user, pull=work))
    assert done.task is not None
    assert done.task.status == Task.Status.SUCCEEDED, done.task.message
    return done


def open_differences(job: ExportJob) -> list[CvatDifference]:
    """Those that wait for a decision."""
    return list(CvatDifference.objects.filter(job=job).open().order_by("pk"))


def exported(project: Project, split: str = "train") -> bytes:
    """The COCO file of a split, to the letter."""
    target = io.BytesIO()
    write_to(target, project, Wanted(split=split), lambda phase, done, total: None)
    return target.getvalue()


def records(project: Project, split: str = "train") -> dict[int, dict[str, Any]]:
    """The annotations of the COCO file, by id."""
    return {one["id"]: one for one in json.loads(exported(project, split))["annotations"]}


class Desk:
    """What an annotator sees and does: shapes by their coco_id, saved as CVAT's editor saves them."""

    def __init__(self, client: Client, job: ExportJob) -> None:
        self.client = client
        self.tasks = list(CvatTask.objects.filter(job=job).select_related("cvat_project").order_by("number"))
        project = self.tasks[0].cvat_project
        assert project is not None
        self.labels: dict[str, Label] = {label.name: label for label in client.labels(int(project.cvat_id or 0))}
        self.by_id = {label.id: label for label in self.labels.values()}

    def shapes(self, task: CvatTask) -> list[Shape]:
        """All shapes of a task."""
        return list(self.client.annotations("tasks", int(task.cvat_id or 0)).shapes)

    def key_of(self, shape: Shape) -> str:
        """Its coco_id."""
        attribute = self.by_id[shape.label_id].attribute("coco_id")
        return (attribute and shape.value(attribute.id)) or ""

    def of(self, key: str) -> tuple[CvatTask, list[Shape]]:
        """The shapes with this coco_id, and their task."""
        for task in self.tasks:
            if own := [shape for shape in self.shapes(task) if self.key_of(shape) == key]:
                return task, own
        raise LookupError(key)

    def change(self, key: str, make: Callable[[Shape], Shape], at: int = 0) -> Shape:
        """Save a changed shape of an annotation."""
        task, own = self.of(key)
        new = make(own[at])
        self.save(task, "update", [new])
        return new

    def delete(self, key: str) -> None:
        """Delete an annotation."""
        task, own = self.of(key)
        self.save(task, "delete", own)

    def draw(self, task: CvatTask, *shapes: Shape) -> list[Shape]:
        """Draw something new."""
        return self.save(task, "create", list(shapes))

    def save(self, task: CvatTask, action: Any, shapes: list[Shape]) -> list[Shape]:
        """As the editor does."""
        return self.client.save(int(task.cvat_id or 0), action, shapes)

    def valued(self, shape: Shape, **values: str) -> Shape:
        """The shape with other attribute values, by CVAT's names."""
        label = self.by_id[shape.label_id]
        specs = {label.attribute(name).id: value for name, value in values.items()}
        return replace(shape, attributes=tuple((spec, specs.get(spec, value)) for spec, value in shape.attributes))


@pytest.fixture
def desk(client, sent) -> Desk:
    """Where an annotator works on the export."""
    return Desk(client, sent)
