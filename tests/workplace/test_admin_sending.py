"""An import in the workplace before it is started: sent in parts, named in storage, looked at; its report's links."""

import uuid

import orjson
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from annotations.models import ImportJob, ResumableUpload
from assets.models import ImageAsset
from cocohub.workplace import report_links
from projects.models import Role
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff

CONTENT = orjson.dumps(scenes.VAL)


def send(client, work, content=CONTENT, name="instances_val.json", step=100) -> str:
    key = client.post(work("imports/uploads"), {"name": name, "length": len(content)}).json()["id"]
    for offset in range(0, len(content), step):
        answer = client.post(
            work(f"imports/uploads/{key}?offset={offset}"),
            content[offset : offset + step],
            content_type="application/octet-stream",
        )
        assert answer.status_code == 200, answer.content
    assert answer.json() == {"offset": len(content), "whole": True}
    return key


def survey(client, work, **form):
    return client.post(work("imports/survey"), form)


def test_a_file_is_sent_in_parts_looked_at_and_imported(by_curator, project, work):
    key = send(by_curator, work)
    answer = survey(by_curator, work, upload=key)
    assert answer.status_code == 200
    page = answer.json()["html"]
    assert 'data-split-of="instances_val.json"' in page
    assert 'value="val"' in page
    assert not ImportJob.objects.exists()
    assert not ImageAsset.objects.exists()
    started = by_curator.post(work("imports"), {"upload": key}, headers={"Accept": "application/json"})
    job = ImportJob.objects.get()
    assert (started.json()["next"], job.file_name) == (work(f"imports/{job.pk}"), "instances_val.json")


def test_a_part_that_comes_twice_is_told_where_to_go_on(by_curator, work):
    key = by_curator.post(work("imports/uploads"), {"name": "a.json", "length": 6}).json()["id"]
    for expected in (200, 409):
        answer = by_curator.post(
            work(f"imports/uploads/{key}?offset=0"), b"abc", content_type="application/octet-stream"
        )
        assert answer.status_code == expected
    assert answer.json()["detail"]["offset"] == 3


@pytest.mark.parametrize("length", ["", "x", "-1", "9" * 30, "\u0663"])
def test_a_length_that_is_none_is_refused(by_curator, work, length):
    assert by_curator.post(work("imports/uploads"), {"name": "a", "length": length}).status_code == 400
    assert not ResumableUpload.objects.exists()


def test_what_lies_in_storage_is_named(by_curator, project, work):
    default_storage.save("incoming/set1/annotations/instances_val.json", ContentFile(CONTENT))
    page = survey(by_curator, work, prefix="incoming/set1").json()["html"]
    assert "annotations/instances_val.json" in page
    form = {"prefix": "incoming/set1/", "splits": '{"annotations/instances_val.json": "test"}'}
    by_curator.post(work("imports"), form, headers={"Accept": "application/json"})
    assert ImportJob.objects.get().splits == {"annotations/instances_val.json": "test"}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"prefix": "../etc"},
        {"prefix": "projects/1/"},
        {"prefix": "incoming/nothing"},
        {"upload": "x"},
        {"upload": str(uuid.UUID(int=7))},
        {"splits": "[", "prefix": "incoming/set1"},
        {"split": "a\u0000b", "prefix": "incoming/set1"},
    ],
)
def test_what_cannot_be_imported_is_refused_in_words(by_curator, work, form):
    default_storage.save("incoming/set1/a.json", ContentFile(CONTENT))
    answer = survey(by_curator, work, **form)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_file_and_a_prefix_are_too_much(by_curator, work):
    default_storage.save("incoming/set1/a.json", ContentFile(CONTENT))
    file = SimpleUploadedFile("a.json", CONTENT)
    assert survey(by_curator, work, file=file, prefix="incoming/set1").status_code == 400


def test_viewers_and_strangers_send_nothing(project, by_curator, work):
    key = send(by_curator, work)
    for client, status in (
        (browser_of(staff(project, Role.VIEWER)), 403),
        (browser_of(staff(factories.make_project(), Role.MANAGER)), 404),
    ):
        assert client.post(work("imports/uploads"), {"name": "a", "length": 3}).status_code == status
        part = client.post(work(f"imports/uploads/{key}?offset=0"), b"x", content_type="application/octet-stream")
        assert part.status_code == status
        assert survey(client, work, upload=key).status_code == status


def test_uploads_of_another_project_are_not_there(by_curator, work):
    other = factories.make_project()
    manager = browser_of(staff(other, Role.MANAGER))
    key = send(manager, lambda page: f"/admin/work/{other.pk}/{page}")
    assert survey(by_curator, work, upload=key).status_code == 400
    part = by_curator.post(work(f"imports/uploads/{key}?offset=0"), b"x", content_type="application/octet-stream")
    assert part.status_code == 404


# --- Links from the report --------------------------------------------------------------------------------------------


@pytest.fixture
def job(project):
    return ImportJob(project=project, file_name="set.zip")


@pytest.mark.parametrize(
    ("path", "raw", "linked"),
    [
        ("instances_train.json: $.annotations[3].bbox", '{"id": 9, "image_id": %d, "bbox": [', True),
        ("instances_train.json: $.images[77]", '{"file_name": "x", "id": %d}', True),
        ("instances_val.json: $.images[0]", '{"id": %d}', False),
        ("instances_train.json: $.annotations[3]", '{"image_id": 999999}', False),
        ("instances_train.json: $.annotations[3]", '{"image_id": "%d"}', False),
        ("instances_train.json: $.categories[3]", '{"id": %d}', False),
        ("instances_train.json", "", False),
    ],
)
def test_problems_lead_to_their_images(job, images, path, raw, linked):
    problem = {"path": path, "raw": raw.replace("%d", str(images["a"].coco_id))}
    report_links.add_links(job, [problem])
    assert problem.get("image") == (images["a"].pk if linked else None)


def test_problems_of_images_without_a_record_are_found_by_their_place(job, images):
    ImageAsset.objects.filter(pk=images["b"].pk).update(position=5)
    job.split = "train"
    problem = {"path": "$.images[5].file_name", "raw": ""}
    report_links.add_links(job, [problem])
    assert problem["image"] == images["b"].pk


def test_problems_of_the_only_coco_file_in_a_zip_lead_to_its_images(job, images):
    job.task = factories.make_task(job.project, result={"split": "train"})
    problem = {"path": "$.images[0]", "raw": f'{{"id": {images["a"].coco_id}}}'}
    report_links.add_links(job, [problem])
    assert problem["image"] == images["a"].pk


def test_two_hundred_problems_cost_two_queries(job, images, django_assert_max_num_queries):
    job.split = "train"
    problems = [{"path": f"$.annotations[{n}]", "raw": f'{{"image_id": {n}}}'} for n in range(100)]
    problems += [{"path": f"$.images[{n}]", "raw": ""} for n in range(100)]
    with django_assert_max_num_queries(10):  # two, and what their time limit costs
        report_links.add_links(job, problems)


def test_a_plain_form_sends_file_and_pictures_at_once(by_curator, work):
    form = {"file": SimpleUploadedFile("instances_val.json", CONTENT), "images": SimpleUploadedFile("v.jpg", b"x")}
    assert by_curator.post(work("imports"), form).status_code == 302
    assert default_storage.open(ImportJob.objects.get().upload_uri).read() == CONTENT
