"""A worker that stood still until another had taken its task over leaves what the other stored as it is."""

from datetime import timedelta

import orjson
import pytest
from django.utils import timezone

from assets import storage
from assets.models import ImageAsset, Split
from exports import services
from exports.models import ExportJob
from exports.sending import freezing, pipeline
from exports.sending import services as sending
from exports.sending.options import Options
from exports.snapshots import Snapshot
from projects import jobs
from projects.models import Task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def images(project):
    split = Split.objects.create(project=project, name="train")
    names = dict(enumerate(("a.jpg", "b.jpg", "c.jpg"), start=1))
    return [
        ImageAsset.objects.create(
            project=project, split=split, coco_id=number, position=number, file_name=name, width=8, height=8
        )
        for number, name in names.items()
    ]


def taken_over(task: Task, work: jobs.Work) -> None:
    """The lease has run out, one image is gone meanwhile, and another worker does the whole task."""
    ImageAsset.objects.filter(project=task.project, coco_id=3).delete()
    Task.objects.filter(pk=task.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    jobs.run(task.pk, work)


def test_the_file_of_an_export_is_that_of_the_turn_whose_numbers_are_told(project, owner, images, monkeypatch):
    job = services.start_export(user=owner, project=project, wanted=services.Wanted())
    put, late = storage.put, []

    def stand_still(key, content):
        if not late:
            late.append(key)
            taken_over(job.task, services.run_export)
        return put(key, content)

    monkeypatch.setattr(services.storage, "put", stand_still)
    jobs.run(job.task_id, services.run_export)
    job = ExportJob.objects.select_related("task").get()
    task = job.task
    assert (task.status, task.attempt, task.result["images"]) == ("succeeded", 2, 2)
    assert len(orjson.loads(storage.read(job.payload_uri).read())["images"]) == 2
    assert late
    assert late != [job.payload_uri]


def test_the_snapshot_for_cvat_is_that_of_the_turn_whose_rows_there_are(project, owner, images, settings, monkeypatch):
    settings.CVAT_API_URL, settings.CVAT_API_TOKEN = "https://cvat.example.com", "x" * 40
    job = sending.start(user=owner, project=project, wanted=services.Wanted(), options=Options())
    freeze, put, late = freezing.freeze, storage.put, []

    def stop(job, claim):
        freeze(job, claim)
        raise jobs.TryLater("Only the snapshot is looked at here.")

    def stand_still(key, content):
        if not late and key.endswith("images.jsonl"):
            late.append(key)
            taken_over(job.task, pipeline.run)
        return put(key, content)

    monkeypatch.setattr(pipeline, "freeze", stop)
    monkeypatch.setattr(freezing.storage, "put", stand_still)
    jobs.run(job.task_id, pipeline.run)
    job = ExportJob.objects.get()
    about = orjson.loads(storage.read(f"{job.snapshot_uri}/snapshot.json").read())
    number = job.cvat_tasks.get().number
    lines = storage.read(f"{job.snapshot_uri}/{Snapshot.images_key(number)}").read().splitlines()
    assert late
    assert not late[0].startswith(f"{job.snapshot_uri}/")
    assert about["tasks"][0]["images"] == job.cvat_tasks.get().images == len(lines) == 2
