"""A real worker, killed with a signal 9 while it takes over what was done in CVAT, at random moments."""

import random
import time

import pytest
from django.utils import timezone

from annotations.models import Annotation
from exports.models import CvatDifference, CvatProject, CvatPull, CvatTask, ExportJob
from exports.pulling import services
from projects import jobs
from projects.models import AuditLog, Task
from tests import factories
from tests.conftest import wait_until
from tests.exports.sending import scenes

NUMBER = 1_600  # differences: four transactions
KILLS = 4


def document() -> dict:
    boxes = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
        for number in range(1, NUMBER + 1)
    ]
    image = {"id": 1, "file_name": "1.jpg", "width": scenes.WIDTH, "height": scenes.HEIGHT}
    return {"images": [image], "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}


@pytest.fixture
def found(celery_worker, project, tmp_path) -> ExportJob:
    """Many boxes were made wider in CVAT, some were deleted. CVAT itself is not asked any more."""
    scenes.load(project, "train", document(), tmp_path)
    there = CvatProject.objects.create(project=project, server="https://cvat.example", name="there", cvat_id=3)
    task = factories.make_task(project, Task.Kind.EXPORT, status=Task.Status.SUCCEEDED)
    job = ExportJob.objects.create(project=project, task=task, target="cvat", cvat_project=there)
    part = CvatTask.objects.create(
        project=project, job=job, cvat_project=there, number=1, name="one", cvat_id=4, step=CvatTask.Step.SENT
    )
    pull = CvatPull.objects.create(project=project, job=job)
    CvatDifference.objects.bulk_create(
        CvatDifference(
            project=project, job=job, pull=pull, cvat_task=part, key=str(row.coco_id), frame=0, image_id=row.image_id,
            annotation_id=row.pk, version=row.version, before={"bbox": [1, 1, 5, 5], "category": row.category_id},
            kind="deleted" if row.coco_id % 10 == 0 else "changed",
            after={} if row.coco_id % 10 == 0 else {"bbox": [1, 1, 9, 5], "area": 45},
        )
        for row in Annotation.objects.order_by("pk")
    )  # fmt: skip
    return job


def test_each_difference_is_taken_over_once_however_often_the_worker_dies(found, celery_worker, owner):
    chance = random.Random(3)
    work = services.start_apply(user=owner, job=found, policy="accept")
    for _ in range(KILLS):
        wait_until(lambda: Task.objects.get(pk=work.task_id).status != Task.Status.QUEUED, 60)
        time.sleep(chance.uniform(0.05, 0.8))
        celery_worker.kill()
        # Its lease runs out, and the sweeper rings for another. (That the turns are counted is tested elsewhere.)
        left = Task.objects.filter(pk=work.task_id, status=Task.Status.RUNNING)
        celery_worker.empty_broker()
        left.update(status=Task.Status.QUEUED, lease_until=timezone.now(), attempt=0, published_at=None)
        celery_worker.start()
        jobs.sweep()
    wait_until(lambda: Task.objects.get(pk=work.task_id).is_finished, 120, lambda: celery_worker.log.decode()[-3000:])
    assert Task.objects.get(pk=work.task_id).status == Task.Status.SUCCEEDED

    work.refresh_from_db()
    assert work.result == {"taken_over": NUMBER, "refused": 0, "left": 0}
    rows = Annotation.objects.all()
    assert rows.count() == NUMBER - NUMBER // 10
    assert {(tuple(row.bbox), row.version, row.source) for row in rows} == {((1, 1, 9, 5), 2, "cvat")}
    assert AuditLog.objects.filter(action="annotation.updated").count() == rows.count()
    assert AuditLog.objects.filter(action="annotation.deleted").count() == NUMBER // 10
    assert AuditLog.objects.filter(action="cvat.taken_over").count() == 1
