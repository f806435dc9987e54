"""What goes wrong between here and CVAT, and what CVAT does wrong in silence: nothing is lost, doubled or misplaced."""

import hashlib
import io
import json
from collections import Counter
from threading import Thread

import pytest
from django.db import connections
from PIL import Image

from accounts.errors import ServiceError
from assets import storage
from assets.models import ImageAsset
from exports.cvat import annotating, projecting
from exports.models import CvatImage, CvatTask, ExportJob
from exports.sending import deleting, pipeline, services
from projects import jobs
from projects.models import Task
from projects.reports import open_report
from tests.cvat_double.answers import Answer, as_json
from tests.cvat_double.state import Bucket
from tests.exports.sending import scenes
from tests.exports.sending.looking import (
    frames_and_pictures,
    frames_as_recorded,
    intercept,
    keys_in,
    tasks_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Calls are given up soon."""
    monkeypatch.setattr(annotating, "SETTLE", 0.0)
    monkeypatch.setattr(projecting, "SETTLE", 0.0)


def due(job: ExportJob) -> ExportJob:
    """As if the pause were over."""
    Task.objects.filter(pk=job.task_id, status="queued").update(lease_until=None)
    return job


def check(job, cvat, client) -> None:
    """Everything is there once, in its place."""
    assert job.status == "succeeded", job.task.message
    assert len(cvat.state.projects) == 1
    tasks = tasks_of(job)
    assert sorted(cvat.state.tasks) == sorted(task.cvat_id for task in tasks)
    for task in tasks:
        assert frames_and_pictures(cvat, task) == frames_as_recorded(task)
    counted = sum((keys_in(client, task) for task in tasks), Counter())
    assert counted == {"11": 2, "12": 1, "13": 2, "14": 1, "15": 1, "16": 1, "18": 1}


CALLS = [
    ("POST", r"/projects$"),
    ("POST", r"/tasks$"),
    ("POST", r"/data/$"),
    ("PATCH", r"/data/[\w-]+$"),
    ("POST", r"/data$"),
    ("GET", r"/requests/"),
    ("GET", r"/data/meta"),
    ("PATCH", r"annotations\?action=create"),
]


@pytest.mark.parametrize("fault", ["cut", "drop", "status_after", "status"])
@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda value: value.strip("/$"))
def test_an_answer_that_never_comes_makes_nothing_twice(scene, cvat, client, start, work, fault, method, path):
    rule = cvat.fault(fault, method=method, path=path, status=502)

    job = start(scene, q="split:train", images_per_task=3)
    for _ in range(3):
        job = work(due(job))
        if job.status != "queued":
            break

    assert rule.hits
    check(job, cvat, client)


def test_cvat_that_is_throttling_is_asked_again_later(scene, cvat, client, start, work):
    cvat.fault("status", method="POST", path="/tasks$", status=429, seconds=300, times=1)
    job = work(start(scene, q="split:train"))
    assert job.status == "queued"
    assert "busy" in job.task.message
    left = job.task.lease_until - job.task.heartbeat_at
    assert 290 < left.total_seconds() < 310
    check(work(due(job)), cvat, client)


def test_cvat_that_stays_away_fails_the_export_and_a_retry_goes_on(scene, cvat, client, start, work, owner):
    rule = cvat.fault("status", method="PATCH", path="annotations", status=503, times=1_000)
    job = start(scene, q="split:train", images_per_task=3)
    for _ in range(3):
        job = work(due(job))
    assert job.status == "failed"
    assert "Tried 3 times" in job.task.message
    assert [task.step for task in tasks_of(job)] == [CvatTask.Step.FRAMED, CvatTask.Step.FRAMED]
    rule.times = 0

    check(work(services.retry(user=owner, job=job)), cvat, client)


def test_attempts_are_counted_anew_with_every_task_that_arrives(scene, cvat, client, start, work):
    """CVAT is restarted every now and then; a long export must not end with the third time."""
    job = start(scene, q="split:train", images_per_task=1)
    for _ in range(5):
        cvat.fault("status", method="PATCH", path="annotations", status=503, times=5, skip=1)
        job = work(due(job))
        cvat.state.fault_rules.clear()
    assert job.status != "failed", job.task.message
    check(work(due(job)), cvat, client)


def test_two_exports_at_once_make_one_project_with_each_label_once(scene, cvat, client, start):
    cvat.fault("delay", method="POST", path="/projects$", seconds=0.5, times=2)
    exports = [start(scene, q="split:train"), start(scene, q="split:val")]

    def work(job: ExportJob) -> None:
        try:
            jobs.run(job.task_id, pipeline.run)
        finally:
            connections.close_all()

    threads = [Thread(target=work, args=[job]) for job in exports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    done = ExportJob.objects.select_related("task", "cvat_project")
    assert [job.status for job in done] == ["succeeded", "succeeded"], [job.task.message for job in done]
    (project,) = {job.cvat_project for job in done}
    assert list(cvat.state.projects) == [project.cvat_id]
    names = [label.name for label in client.labels(project.cvat_id)]
    assert len(names) == len(set(names))


def test_a_token_that_was_revoked_fails_at_once_in_cvats_words(scene, cvat, start, work):
    job = start(scene, q="split:train")
    cvat.state.tokens.clear()
    job = work(job)
    assert job.status == "failed"
    assert job.task.attempt == 1
    assert "does not accept the token" in job.task.message
    assert cvat.token not in job.task.message


def test_a_creation_that_fails_is_begun_anew_with_a_new_task(scene, cvat, client, start, work):
    cvat.state.options.fail_creations = 1
    job = work(start(scene, q="split:train"))
    check(job, cvat, client)
    assert [task.cvat_id for task in tasks_of(job)] == [2]


def test_a_creation_that_fails_twice_ends_in_cvats_words_and_a_retry_has_two_more(
    scene, cvat, client, start, work, owner
):
    cvat.state.options.fail_creations = 2
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "CVAT could not make task 1" in job.task.message
    assert "Tried 2 times" in job.task.message
    check(work(services.retry(user=owner, job=job)), cvat, client)


def test_a_request_that_cvat_has_forgotten_is_finished_by_its_task(scene, cvat, client, start, work):
    """Known for 500 seconds after its end only."""
    met = intercept(cvat, "POST", "/data", lambda answer: cvat.state.advance(1_000) or answer)
    job = work(start(scene, q="split:train"))
    assert met
    check(job, cvat, client)


def test_a_task_that_somebody_deleted_is_made_again(scene, cvat, client, start, work):
    def delete(answer):
        cvat.state.tasks.clear()
        return answer

    intercept(cvat, "POST", "/data/", delete)
    check(work(start(scene, q="split:train")), cvat, client)


# --- In silence -------------------------------------------------------------------------------------------------------


def test_frames_that_are_not_the_images_sent_stop_the_export(scene, cvat, start, work):
    def renamed(answer: Answer) -> Answer:
        meta = json.loads(answer.body)
        meta["frames"][0]["name"], meta["frames"][1]["name"] = "0.jpg", meta["frames"][1]["name"]
        return as_json(meta)

    intercept(cvat, "GET", "/data/meta", renamed)
    job = work(start(scene, q="split:train"))

    assert job.status == "failed"
    assert "other frames" in job.task.message
    assert "'0.jpg' was not sent" in job.task.message
    assert cvat.state.tasks == {}
    with open_report(job.task) as file:
        assert len(json.load(file)["detail"]["frames"]) == 2


def test_a_frame_of_another_size_stops_the_export(scene, cvat, start, work):
    def turned(answer: Answer) -> Answer:
        meta = json.loads(answer.body)
        frame = meta["frames"][0]
        frame["width"], frame["height"] = frame["height"], frame["width"]
        return as_json(meta)

    intercept(cvat, "GET", "/data/meta", turned)
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "48 x 64, expected 64 x 48" in job.task.message


def test_shapes_that_cvat_drops_stop_the_export(scene, cvat, start, work):
    def dropped(answer: Answer) -> Answer:
        job = next(job for job in cvat.state.jobs.values() if job.shapes)
        shape_id = next(iter(job.shapes))
        del job.shapes[shape_id]
        body = json.loads(answer.body)
        body["shapes"] = [shape for shape in body["shapes"] if shape["id"] != shape_id]
        return as_json(body)

    intercept(cvat, "PATCH", "/annotations", dropped)
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "1 of 9 shapes were dropped" in job.task.message
    assert tasks_of(job)[0].step == CvatTask.Step.FRAMED


def test_a_number_that_moves_on_the_way_stops_the_export(scene, cvat, start, work):
    def moved(answer: Answer) -> Answer:
        for job in cvat.state.jobs.values():
            for shape in job.shapes.values():
                if shape["type"] == "rectangle":
                    shape["points"] = [value + 0.001 for value in shape["points"]]
        return answer

    intercept(cvat, "PATCH", "/annotations", moved)
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "otherwise than they were sent" in job.task.message
    assert "12 differs" in job.task.message


def test_a_value_that_changes_on_the_way_stops_the_export(scene, cvat, start, work):
    def changed(answer: Answer) -> Answer:
        for job in cvat.state.jobs.values():
            for shape in job.shapes.values():
                for value in shape["attributes"]:
                    value["value"] = "green" if value["value"] == "red" else value["value"]
        return answer

    intercept(cvat, "PATCH", "/annotations", changed)
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "11 differs" in job.task.message


def test_tasks_never_overlap(scene, cvat, start, work):
    job = work(start(scene, q="split:train", images_per_job=2))
    (task,) = tasks_of(job)
    spans = [(own.start_frame, own.stop_frame) for own in task.jobs.all()]
    assert spans == [(0, 1), (2, 3), (4, 4)]


# --- Pictures that cannot go ------------------------------------------------------------------------------------------


def replace(image: ImageAsset, content: bytes) -> None:
    storage.put(image.uri, io.BytesIO(content))
    ImageAsset.objects.filter(pk=image.pk).update(checksum=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: replace(image, scenes.picture(3)[:-200]), "cannot be decoded"),
        (lambda image: replace(image, b"no picture at all"), "cannot be decoded"),
        (lambda image: replace(image, scenes.picture(3, (48, 64))), "annotations would be in the wrong places"),
        (lambda image: storage.default_storage.delete(image.uri), "has been deleted since"),
        (lambda image: ImageAsset.objects.filter(pk=image.pk).update(checksum="0" * 64), "is not the one"),
        (lambda image: ImageAsset.objects.filter(pk=image.pk).update(uri=""), "there is no picture"),
        (lambda image: ImageAsset.objects.filter(pk=image.pk).update(format="heic"), "CVAT takes no heic"),
    ],
    ids=["truncated", "junk", "turned", "deleted", "another", "none", "format"],
)
def test_a_picture_that_would_spoil_the_task_is_left_out_with_its_annotations(
    scene, cvat, client, start, work, spoil, reason
):
    image = ImageAsset.objects.get(project=scene, split__name="train", coco_id=1)
    spoil(image)

    job = work(start(scene, q="split:train"))

    assert job.status == "succeeded", job.task.message
    assert len(cvat.state.tasks) == 1
    assert set(keys_in(client, tasks_of(job)[0])) == scenes.SENT_OF_TRAIN - {"11", "12"}
    assert job.task.result["left_out"] == {"images": 1, "annotations": 3, "parts": 0}
    with open_report(job.task) as file:
        detail = json.load(file)["detail"]
    assert reason in detail["images"][0]["reason"]
    assert {item["coco_id"] for item in detail["annotations"]} == {"11", "12", "17"}


def test_a_task_without_any_usable_picture_is_not_left_in_cvat(scene, cvat, start, work):
    ImageAsset.objects.filter(project=scene, split__name="val").update(uri="")
    job = work(start(scene))
    assert job.status == "succeeded", job.task.message
    assert [task.step for task in tasks_of(job)] == [CvatTask.Step.SENT, CvatTask.Step.EMPTY]
    assert len(cvat.state.tasks) == 1
    assert job.task.result["left_out"] == {"images": 1, "annotations": 2, "parts": 0}


def test_a_picture_that_goes_between_two_turns_begins_the_task_anew(scene, cvat, client, start, work):
    cvat.fault("status", method="PATCH", path=r"/data/[\w-]+$", status=502, times=50)
    job = work(start(scene, q="split:train"))
    assert job.status == "queued"
    (task,) = tasks_of(job)
    assert task.step == CvatTask.Step.CREATED
    assert task.zip_sha256
    ImageAsset.objects.filter(project=scene, split__name="train", coco_id=5).get()
    storage.default_storage.delete(CvatImage.objects.get(task=task, name="9.jpg").asset.uri)
    cvat.state.fault_rules.clear()

    job = work(due(job))

    assert job.status == "succeeded", job.task.message
    assert len(cvat.state.tasks) == 1
    assert set(keys_in(client, tasks_of(job)[0])) == scenes.SENT_OF_TRAIN - {"18"}


# --- Stopped ----------------------------------------------------------------------------------------------------------


def test_cancelled_in_the_middle_it_stops_and_goes_on_when_asked(scene, cvat, client, start, work, owner):
    job = start(scene, q="split:train", images_per_task=3)

    def cancel(answer: Answer) -> Answer:
        Task.objects.filter(pk=job.task_id).update(cancel_requested=True)
        return answer

    intercept(cvat, "GET", "/data/meta", cancel)
    job = work(job)
    assert job.status == "cancelled"
    first, second = tasks_of(job)
    assert first.step == CvatTask.Step.FRAMED
    assert second.step in (CvatTask.Step.MAKING, CvatTask.Step.FRAMED)  # it is looked for four times a second
    assert cvat.calls("PATCH", "annotations") == []

    check(work(services.retry(user=owner, job=job)), cvat, client)


# --- From the bucket --------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(cvat, settings):
    """Our storage as a bucket that CVAT reads as well."""

    def read(key: str) -> bytes | None:
        stored = storage.read(key)
        return stored.read() if stored else None

    settings.S3_BUCKET, settings.CVAT_CLOUD_STORAGE = "pictures", 3
    cvat.state.buckets[3] = Bucket("pictures", read)


def test_cvat_reads_the_pictures_from_the_bucket_itself(scene, bucket, cvat, client, start, work):
    job = work(start(scene, q="split:train", images_per_task=3, from_bucket=True))

    check(job, cvat, client)
    assert not cvat.calls("PATCH", "/data/")
    for task in tasks_of(job):
        assert task.from_bucket
        assert {image.name for image in task.sent_images.all()} == {
            image.asset.uri for image in task.sent_images.select_related("asset")
        }


def test_a_task_with_a_picture_that_cvat_would_turn_is_uploaded_after_all(scene, bucket, cvat, client, start, work):
    picture = Image.open(io.BytesIO(scenes.picture(3)))
    exif = picture.getexif()
    exif[0x0112] = 3
    content = io.BytesIO()
    picture.save(content, "JPEG", exif=exif)
    replace(ImageAsset.objects.get(project=scene, split__name="train", coco_id=1), content.getvalue())

    job = work(start(scene, q="split:train", images_per_task=3, from_bucket=True))

    assert job.status == "succeeded", job.task.message
    assert [task.from_bucket for task in tasks_of(job)] == [False, True]
    assert sum((keys_in(client, task) for task in tasks_of(job)), Counter()).total() == 9


def test_a_picture_that_goes_from_the_bucket_before_cvat_reads_it_is_left_out(scene, bucket, cvat, client, start, work):
    uri = ImageAsset.objects.get(project=scene, split__name="train", coco_id=5).uri
    intercept(cvat, "POST", "/tasks", lambda answer: storage.default_storage.delete(uri) or answer)
    real = cvat.state.buckets[3].read
    cvat.state.buckets[3] = Bucket("pictures", lambda key: None if key == uri else real(key))

    job = work(start(scene, q="split:train", from_bucket=True))

    assert job.status == "succeeded", job.task.message
    assert set(keys_in(client, tasks_of(job)[0])) == scenes.SENT_OF_TRAIN - {"18"}


def test_a_bucket_that_is_another_one_is_told(scene, bucket, cvat, start, work):
    cvat.state.buckets[3] = Bucket("other", lambda key: None)
    job = work(start(scene, q="split:train", from_bucket=True))
    assert job.status == "failed"
    assert "is the bucket 'other', ours is 'pictures'" in job.task.message
    assert cvat.state.projects == {}


def test_without_a_bucket_nothing_is_queued(scene, cvat, start):
    with pytest.raises(ServiceError, match="takes S3 as storage") as refusal:
        start(scene, from_bucket=True)
    assert "from_bucket" in refusal.value.fields
    assert not ExportJob.objects.exists()


def test_a_task_that_nobody_knew_of_is_deleted_too(scene, cvat, client, start, work, owner):
    """CVAT made it, its answer was lost, and then CVAT was away."""
    cvat.fault("cut", method="POST", path="/tasks$")
    cvat.fault("status", method="GET", path=r"/tasks\?", status=502, times=1_000, skip=1)
    job = work(start(scene, q="split:train"))
    assert job.status == "queued"
    assert [task.cvat_id for task in tasks_of(job)] == [None]
    assert len(cvat.state.tasks) == 1
    cvat.state.fault_rules.clear()

    job = services.delete_in_cvat(user=owner, job=services.cancel(user=owner, job=job))
    jobs.run(job.deletion_id, deleting.run)

    assert cvat.state.tasks == {}
    assert [task.step for task in tasks_of(job)] == [CvatTask.Step.DELETED]
    assert len(cvat.state.projects) == 1


def test_a_deletion_goes_on_where_cvat_was_away(scene, cvat, client, start, work, owner):
    job = work(start(scene, q="split:train", images_per_task=1))
    job = services.delete_in_cvat(user=owner, job=job)
    cvat.fault("status", method="DELETE", path="/tasks/", status=503, times=100, skip=2)
    jobs.run(job.deletion_id, deleting.run)
    assert len(cvat.state.tasks) == 3
    cvat.state.fault_rules.clear()
    Task.objects.filter(pk=job.deletion_id).update(lease_until=None)

    jobs.run(job.deletion_id, deleting.run)

    assert cvat.state.tasks == {}
    assert Task.objects.get(pk=job.deletion_id).result == {"deleted": 5}
