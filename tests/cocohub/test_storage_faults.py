"""Storage that fails in the middle of things, on the local disk and in a bucket: told clearly, tried again where that
may help, nothing lost that was acknowledged, no half files.

The bucket is moto's server, or any S3 (tests/faults/buckets.py says how), behind a wire that is cut, held, slowed or
answers in its place.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import pytest
from botocore.exceptions import BotoCoreError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from annotations import services as imports
from annotations.models import ImportJob, ResumableUpload
from assets import buckets, shelves, storage
from assets import tasks as thumbnails
from assets.models import ImageAsset
from cocohub import storekeeping
from exports import services as exports
from exports.models import ExportJob
from projects import faults, jobs
from projects.models import Project, Task
from tests.annotations.coco.reading import good
from tests.annotations.test_uploads import begin, send
from tests.assets.drawings import file_of
from tests.faults import buckets as test_buckets
from tests.faults.wire import Wire

# Claims have a connection of their own: progress is told in the middle of a COPY.
pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("a.jpg", "b.jpg", "c.jpg")
SILENCE = 0.5  # seconds after which the bucket is given up


@dataclass
class Store:
    """A storage and its faults: each makes it fail until `mend`."""

    name: str
    faults: dict[str, Callable[[], object]]
    mend: Callable[[], object]

    @contextmanager
    def failing(self, fault: str) -> Iterator[None]:
        """While this lasts."""
        self.faults[fault]()
        try:
            yield
        finally:
            self.mend()


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, str, str]]:
    """Endpoint and keys of an S3."""
    with test_buckets.server() as found:
        yield found


def in_bucket(wire: Wire) -> Store:
    return Store(
        "s3",
        {
            "5xx": lambda: wire.answer(503, "SlowDown"),
            "silent": wire.hold,
            "cut": wire.cut,
            "refused": lambda: wire.answer(403, "InvalidAccessKeyId"),
            "full": lambda: wire.answer(507, "XMinioStorageFull"),
        },
        wire.mend,
    )


def on_disk(monkeypatch) -> Store:
    real = storage.os.fsync

    def fail(number: int) -> None:
        def raised(descriptor: int) -> None:
            raise OSError(number, "as the disk says")

        monkeypatch.setattr(storage.os, "fsync", raised)

    return Store(
        "disk",
        {
            "full": lambda: fail(errno.ENOSPC),
            "refused": lambda: fail(errno.EROFS),
            "5xx": lambda: fail(errno.EIO),
            "gone": lambda: fail(errno.ESTALE),
        },
        lambda: monkeypatch.setattr(storage.os, "fsync", real),
    )


@pytest.fixture
def wire(s3, settings, monkeypatch) -> Iterator[Wire]:
    """The storage of the test is a bucket behind this."""
    endpoint, access, secret = s3
    monkeypatch.setattr(buckets, "ATTEMPTS", 2)
    with test_buckets.bucket_at(endpoint, access, secret) as name, test_buckets.wire_to(endpoint) as wire:
        options = {
            "bucket_name": name, "endpoint_url": wire.url, "access_key": access, "secret_key": secret,
            "region_name": "us-east-1", "addressing_style": "path", "signature_version": "s3v4",
            "file_overwrite": True, "timeout_seconds": SILENCE,
        }  # fmt: skip
        backend = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        yield wire
        wire.mend()


@pytest.fixture
def store(request, monkeypatch) -> Store | None:
    """`disk` or `s3`, by the parameter; None where a test has a wire of its own. Whatever stores comes after it."""
    if not hasattr(request, "param"):
        return None
    return in_bucket(request.getfixturevalue("wire")) if request.param == "s3" else on_disk(monkeypatch)


# (store, fault, whether it may pass by itself, words that tell it)
FAULTS = [
    ("s3", "5xx", True, "did not answer"),
    ("s3", "silent", True, "did not answer"),
    ("s3", "cut", True, "did not answer"),
    ("s3", "refused", False, "refuses this installation's credentials"),
    ("s3", "full", False, "no space left"),
    ("disk", "full", False, "no space left"),
    ("disk", "refused", False, "disk does not serve"),
    ("disk", "5xx", False, "disk does not serve"),
    ("disk", "gone", False, "disk does not serve"),
]
every_fault = pytest.mark.parametrize(
    ("store", "fault", "passes", "words"), FAULTS, indirect=["store"], ids=[f"{one[0]}-{one[1]}" for one in FAULTS]
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch) -> None:
    """Nobody rings for workers."""
    monkeypatch.setattr(jobs.current_app, "send_task", lambda *args, **options: None, raising=False)


@pytest.fixture
def run_task() -> Callable[[Task, jobs.Work], Task]:
    """What a worker would do, here and now."""

    def run(task: Task, work: jobs.Work) -> Task:
        jobs.run(task.pk, work)
        task.refresh_from_db()
        return task

    return run


def keys(prefix: str = "") -> set[str]:
    return {stored.key for stored in shelves.below(prefix)}


def due(task: Task) -> None:
    """As if it had waited for its next turn."""
    Task.objects.filter(pk=task.pk, status=Task.Status.QUEUED).update(lease_until=timezone.now())


def sent_files() -> dict:
    pictures = [SimpleUploadedFile(name, file_of("JPEG", 640, 480 - at)) for at, name in enumerate(NAMES)]
    text = SimpleUploadedFile("instances.json", json.dumps(good()).encode())
    return {"file": text, "images": pictures}


@pytest.fixture
def upload(as_owner, project, store):
    """`upload()` sends a data set with its pictures, and gives the answer."""

    def post():
        return as_owner.post(f"/api/v1/projects/{project.pk}/coco", sent_files(), format="multipart")

    return post


@pytest.fixture
def received(upload, project) -> ImportJob:
    """An import that waits."""
    assert upload().status_code == 202
    return ImportJob.objects.get(project=project)


@pytest.fixture
def imported(received, run_task, project) -> Project:
    """A project with three pictures and no thumbnails."""
    assert run_task(received.task, imports.run_import).status == "succeeded"
    return project


def fails_as_told(task: Task, passes: bool, words: str) -> None:
    assert words in task.message, task.message
    assert task.status == ("queued" if passes else "failed")
    assert "Something went wrong on our side" not in task.message


def whole(project: Project) -> None:
    """Every file is what its row and its name say; none is there that is not referred to."""
    assert list(storekeeping.flaws(checksums=True)) == []
    for key in keys(f"images/{project.pk}/"):
        found = hashlib.sha256(storage.read(key).read()).hexdigest()
        assert found in key


# --- A client sends ---------------------------------------------------------------------------------------------------


@every_fault
def test_an_upload_that_storage_does_not_take_is_no_import(upload, project, store, fault, passes, words):
    with store.failing(fault):
        answer = upload()
    assert answer.status_code == (507 if fault == "full" else 503), answer.content
    assert answer["Content-Type"] == "application/json"
    assert answer["Retry-After"] if answer.status_code == 503 else True
    assert set(answer.json()) <= {"message", "detail", "fieldErrors"}
    assert not ImportJob.objects.exists()
    assert not Task.objects.exists()
    assert all("/." not in key for key in keys())  # no draft of a file
    assert upload().status_code == 202


@pytest.mark.parametrize("fault", ["5xx", "silent", "cut", "refused", "full"])
@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_an_upload_in_parts_keeps_what_was_acknowledged(as_owner, project, store, fault):
    where = begin(as_owner, f"/api/v1/projects/{project.pk}/uploads", 9)["Location"]
    assert send(as_owner, where, 0, b"abc").status_code == 204
    with store.failing(fault):
        assert send(as_owner, where, 3, b"def").status_code == (507 if fault == "full" else 503)
    assert as_owner.head(where, headers={"Tus-Resumable": "1.0.0"})["Upload-Offset"] == "3"
    assert send(as_owner, where, 3, b"def").status_code == 204
    with store.failing(fault):  # as it becomes whole
        assert send(as_owner, where, 6, b"ghi").status_code >= 500
    assert send(as_owner, where, 6, b"ghi").status_code == 204
    found = ResumableUpload.objects.get()
    assert storage.read(found.key).read() == b"abcdefghi"


# --- Workers ----------------------------------------------------------------------------------------------------------


@every_fault
def test_an_import_lands_whole_once_storage_is_well(received, project, run_task, store, fault, passes, words):
    kept = keys("uploads/")
    with store.failing(fault):
        task = run_task(received.task, imports.run_import)
    fails_as_told(task, passes, words)
    assert not ImageAsset.objects.exists()
    assert keys("uploads/") == kept  # to be tried again
    if not passes:
        Task.objects.filter(pk=task.pk).update(status="queued", attempt=0, lease_until=None, log="")
    due(task)
    assert run_task(task, imports.run_import).status == "succeeded", task.message
    assert ImageAsset.objects.exclude(uri="").count() == len(NAMES)
    whole(project)


@every_fault
def test_thumbnails_are_made_once_storage_is_well(
    imported, run_task, store, fault, passes, words, settings, tmp_path, monkeypatch
):
    settings.THUMBNAIL_DECODERS = 1
    monkeypatch.setattr(thumbnails.tempfile, "gettempdir", lambda: str(tmp_path))
    task = thumbnails.enqueue(imported, imported.owner)
    with store.failing(fault):
        task = run_task(task, thumbnails._lead)
    fails_as_told(task, passes, words)
    assert not ImageAsset.objects.exclude(thumbnail_uri="").exists()
    assert not ImageAsset.objects.filter(status="broken").exists()  # no picture is to blame
    if not passes:
        Task.objects.filter(pk=task.pk).update(status="queued", attempt=0, lease_until=None, log="")
    due(task)
    assert run_task(task, thumbnails._lead).status == "succeeded"
    assert ImageAsset.objects.exclude(thumbnail_uri="").count() == len(NAMES)
    whole(imported)


def ask_for_export(project: Project) -> ExportJob:
    wanted = exports.Wanted(package=True, pictures=True)
    return exports.start_export(user=project.owner, project=project, wanted=wanted)


@every_fault
def test_an_export_is_there_whole_or_not_at_all(imported, run_task, as_owner, store, fault, passes, words):
    job = ask_for_export(imported)
    with store.failing(fault):
        task = run_task(job.task, exports.run_export)
    fails_as_told(task, passes, words)
    address = f"/api/v1/projects/{imported.pk}/exports/{job.pk}/download"
    assert as_owner.get(address).status_code == 404
    assert not [key for key in keys(f"exports/{imported.pk}/")]
    if not passes:
        Task.objects.filter(pk=task.pk).update(status="queued", attempt=0, lease_until=None, log="")
    due(task)
    assert run_task(task, exports.run_export).status == "succeeded"
    assert b"".join(as_owner.get(address).streaming_content)[:2] == b"PK"


# --- A client takes away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["5xx", "silent", "cut", "refused"])
@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_download_that_cannot_begin_says_so(imported, run_task, as_owner, store, fault):
    job = ask_for_export(imported)
    assert run_task(job.task, exports.run_export).status == "succeeded"
    with store.failing(fault):
        answer = as_owner.get(f"/api/v1/projects/{imported.pk}/exports/{job.pk}/download")
    assert answer.status_code == 503, answer
    assert "torage" in answer.json()["message"]


def test_a_download_whose_file_is_lost_says_so(imported, run_task, as_owner):
    job = ask_for_export(imported)
    address = f"/api/v1/projects/{imported.pk}/exports/{job.pk}/download"
    assert "once the export has succeeded" in as_owner.get(address).json()["message"]
    run_task(job.task, exports.run_export)
    job.refresh_from_db()
    default_storage.delete(job.payload_uri)
    answer = as_owner.get(address)
    assert (answer.status_code, answer.json()["message"]) == (
        404, "The file of this export is not in storage any more. Export anew."
    )  # fmt: skip


def test_an_answer_that_breaks_off_is_no_whole_file(wire):
    content = bytes(range(256)) * 4096
    storage.put("exports/1/x.zip", BytesIO(content))
    wire.cut_answers(200_000)
    with pytest.raises(Exception) as broken:  # noqa: PT011 - whatever it is, it is one that is tried again
        storage.read("exports/1/x.zip").read()
    assert faults.is_temporary(broken.value), repr(broken.value)
    wire.mend()
    assert storage.read("exports/1/x.zip").read() == content


def test_a_slow_bucket_is_waited_for(wire, imported, run_task):
    wire.slow(0.05)
    assert run_task(ask_for_export(imported).task, exports.run_export).status == "succeeded"


def test_one_error_of_the_bucket_is_asked_again_and_nobody_notices(wire, upload):
    wire.answer(503, "SlowDown", only=b"PUT", times=1)
    assert upload().status_code == 202
    assert wire.answered == 1


def test_a_half_file_is_never_in_the_bucket(wire):
    """The connection breaks in the middle of sending."""
    storage.put("images/1/aa/x.jpeg", BytesIO(b"before"))
    wire.break_requests(1000)
    with pytest.raises(BotoCoreError):
        storage.put("images/1/aa/x.jpeg", BytesIO(b"z" * 500_000))
    wire.mend()
    assert storage.read("images/1/aa/x.jpeg").read() == b"before"
