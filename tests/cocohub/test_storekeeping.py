"""Storage and rows held against each other: orphans go, what is referred to never does, what is missing is told."""

import io
import json
from datetime import timedelta

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.utils import timezone
from moto import mock_aws

from annotations.models import ImportJob, ResumableUpload
from assets import shelves, storage
from assets.models import ImageAsset, Split
from cocohub import storekeeping
from exports.models import ExportJob
from projects.models import Task
from tests import factories

pytestmark = pytest.mark.django_db
LATER = timedelta(days=2)
SUM, OTHER = "ab" * 32, "cd" * 32
TASK = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(params=["local", "s3"], autouse=True)
def store(request, settings, tmp_path):
    """Both kinds of storage, empty."""
    if request.param == "local":
        local = {"BACKEND": "assets.storage.LocalStorage", "OPTIONS": {"location": str(tmp_path / "storage")}}
        settings.STORAGES = {**settings.STORAGES, "default": local}
        yield request.param
        return
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="test")
        options = {"bucket_name": "test", "region_name": "us-east-1", "access_key": "x", "secret_key": "x"}
        backend = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": {**options, "file_overwrite": True}}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        yield request.param


def put(key, content=b"x"):
    return storage.put(key, io.BytesIO(content))


def keys():
    return {stored.key for stored in shelves.below("")}


@pytest.fixture
def kept(project):
    """Everything that rows refer to, of each kind."""
    split = Split.objects.create(project=project, name="train")
    image = ImageAsset.objects.create(
        project=project, split=split, coco_id=1, checksum=SUM, size_bytes=1, format="JPEG",
        uri=put(storage.image_key(project.pk, SUM, "JPEG")), thumbnail_uri=put(storage.thumbnail_key(project.pk, SUM)),
    )  # fmt: skip
    task = factories.make_task(project, Task.Kind.EXPORT, status="succeeded")
    ExportJob.objects.create(project=project, task=task, payload_uri=put(f"exports/{project.pk}/{task.pk}/2.json"))
    sent = factories.make_task(project, Task.Kind.EXPORT, status="succeeded")
    folder = f"exports/{project.pk}/{sent.pk}/1"
    ExportJob.objects.create(
        project=project, task=sent, snapshot_uri=folder, payload_uri=put(f"{folder}/coco.zip"), target="cvat"
    )
    put(f"{folder}/tasks/0.jsonl")
    imported = factories.make_task(project, status="succeeded")
    Task.objects.filter(pk=imported.pk).update(log=put(storage.log_key(imported.pk)))
    listed = put(storage.upload_key(project.pk, "aa11", "images.json"))
    put(storage.upload_key(project.pk, "aa11", "images", "0"))
    ImportJob.objects.create(project=project, task=imported, images_uri=listed)
    upload = ResumableUpload.objects.create(project=project, length=3, expires_at=timezone.now())
    put(storage.upload_key(project.pk, str(upload.pk), "tail"))
    put("incoming/theirs.zip")
    assert image.uri in keys()
    return keys()


@pytest.fixture
def lost(project, kept):
    """One file of each kind that no row refers to."""
    return {
        put(storage.image_key(project.pk, OTHER, "PNG")),
        put(storage.thumbnail_key(project.pk, OTHER)),
        put(storage.image_key(999_999, SUM, "JPEG")),  # the picture is another project's
        put(f"exports/{project.pk}/{TASK}.zip"),
        *(
            put(f"exports/{project.pk}/{job.task_id}/7.zip") for job in ExportJob.objects.all()
        ),  # of turns that were lost
        put(f"logs/{TASK}.json"),
        put(storage.upload_key(project.pk, "bb22", "data")),
    }


def test_what_rows_refer_to_is_no_orphan(kept):
    assert list(storekeeping.orphans(now=timezone.now() + LATER)) == []
    assert storekeeping.delete_orphans(now=timezone.now() + LATER) == (0, 0)
    assert keys() == kept


def test_orphans_are_found_and_deleted_and_nothing_else(kept, lost):
    later = timezone.now() + LATER
    assert {orphan.stored.key for orphan in storekeeping.orphans(now=later)} == lost
    assert keys() == kept | lost
    assert storekeeping.delete_orphans(now=later) == (len(lost), len(lost))
    assert keys() == kept


def test_young_files_are_left_alone(kept, lost):
    assert list(storekeeping.orphans()) == []
    assert storekeeping.delete_orphans() == (0, 0)
    assert keys() == kept | lost


def test_nothing_is_deleted_of_a_project_that_is_importing(project, kept, lost):
    factories.make_task(project, status="queued")
    storekeeping.delete_orphans(now=timezone.now() + LATER)
    assert {key for key in lost if f"/{project.pk}/" in key} <= keys()


def test_a_picture_referred_to_since_it_was_found_stays(project, kept, lost, monkeypatch):
    """Found as an orphan, and taken up by an import that ends before it is deleted."""
    key = storage.image_key(project.pk, OTHER, "PNG")
    found = list(storekeeping.orphans(now=timezone.now() + LATER))
    ImageAsset.objects.create(project=project, split=project.splits.get(), coco_id=2, checksum=OTHER, uri=key)
    monkeypatch.setattr(storekeeping, "orphans", lambda **_: iter(found))
    storekeeping.delete_orphans(now=timezone.now() + LATER)
    assert key in keys()


def test_what_a_killed_process_was_writing_goes(project, kept):
    """Also beside what is referred to; not while it is young."""
    ours = [key.rpartition("/") for key in kept if not key.startswith("incoming/")]
    drafts = {f"{folder}/.{name}.0123456789ab" for folder, _, name in ours}
    for key in drafts:
        put(key)
    assert storekeeping.delete_orphans() == (0, 0)
    assert storekeeping.delete_orphans(now=timezone.now() + LATER) == (len(drafts), len(drafts))
    assert keys() == kept


def test_the_report_of_a_failure_goes_once_the_task_has_succeeded_without_one(project):
    again = factories.make_task(project, Task.Kind.INSIGHTS, status="succeeded")
    running = factories.make_task(project, Task.Kind.INSIGHTS, status="running")
    old, young = put(storage.log_key(again.pk)), put(storage.log_key(running.pk))
    storekeeping.delete_orphans(now=timezone.now() + LATER)
    assert old not in keys()
    assert young in keys()


def test_foreign_files_are_not_touched(kept):
    put("images/readme.txt")
    put("images/1/notes.jpg")
    put("backups/2026.dump")
    storekeeping.delete_orphans(now=timezone.now() + LATER)
    assert {"images/readme.txt", "images/1/notes.jpg", "backups/2026.dump"} <= keys()


def test_each_flaw_of_a_file_is_told(project, kept):
    split = project.splits.get()
    right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # SHA-256 of "x"

    def add(number, checksum, **fields):
        return ImageAsset.objects.create(project=project, split=split, coco_id=number, checksum=checksum, **fields)

    add(2, right, uri=put(storage.image_key(project.pk, right, "PNG")), size_bytes=1)
    add(3, OTHER, uri="images/gone.png", thumbnail_uri="thumbnails/gone.webp")
    add(4, "ef" * 32, uri=put(storage.image_key(project.pk, "ef" * 32, "PNG")), size_bytes=7)
    ExportJob.objects.update(payload_uri="exports/gone.json")

    found = {(flaw.code, flaw.key) for flaw in storekeeping.flaws(checksums=False)}
    expected = {
        ("missing", "images/gone.png"),
        ("missing", "thumbnails/gone.webp"),
        ("missing", "exports/gone.json"),
        ("wrong_size", storage.image_key(project.pk, "ef" * 32, "PNG")),
    }
    assert found == expected
    read = {(flaw.code, flaw.key) for flaw in storekeeping.flaws(checksums=True)}
    assert read == expected | {("wrong_checksum", storage.image_key(project.pk, SUM, "JPEG"))}


def test_the_command_says_so_and_ends_with_1(project, kept, capsys):
    call_command("verify_storage", "--json")
    assert json.loads(capsys.readouterr().out)["flaws"] == []
    default_storage.delete(storage.image_key(project.pk, SUM, "JPEG"))
    with pytest.raises(SystemExit) as ended:
        call_command("verify_storage", "--json")
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["flaws_by_code"] == {"missing": 1}
    with pytest.raises(SystemExit):
        call_command("verify_storage")
    assert "missing" in capsys.readouterr().out


def test_the_command_refuses_what_it_does_not_know():
    with pytest.raises(CommandError, match="unrecognized"):
        call_command("verify_storage", "--what")
