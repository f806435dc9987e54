"""A disk that is full in the middle of an import: it fails in clear words, and nothing is half there (49)."""

import errno
import hashlib
import subprocess
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from annotations import services
from annotations.one_file import FileToImport
from annotations.sources import Folder
from assets import storage
from cocohub.health import parts
from projects.models import Project, Task
from tests.annotations.coco.reading import good, text_of
from tests.annotations.documents import import_document, rows_of
from tests.assets.drawings import encoded

pytestmark = pytest.mark.django_db(transaction=True)  # progress goes through a connection of its own

SMALL = 1024 * 1024  # bytes of the disk
FILLED = SMALL - 200_000


@pytest.fixture
def small_disk(tmp_path, settings):
    """Storage on a file system of one MiB that is nearly full; gives the file that fills it."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        settings.STORAGES = _stored_in(settings, place)
        filler = place / "filler"
        filler.write_bytes(bytes(FILLED))
        yield filler
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def full_store(tmp_path, settings, monkeypatch):
    """Storage whose disk takes 200,000 bytes while its file `filler` is there, by the words of the disk itself."""
    place = tmp_path / "small"
    place.mkdir()
    settings.STORAGES = _stored_in(settings, place)
    filler = place / "filler"
    filler.write_bytes(b"full")
    sync = storage.os.fsync

    def full(descriptor):
        taken = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        if filler.exists() and taken > SMALL - FILLED:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(storage.os, "fsync", full)
    return filler


def _stored_in(settings, place):
    default = settings.STORAGES["default"]
    return {**settings.STORAGES, "default": {**default, "OPTIONS": {**default.get("OPTIONS", {}), "location": place}}}


@pytest.fixture(params=["small_disk", "full_store"])
def filler(request):
    """What must go for there to be room: on a real disk, and where none can be made, in the storage layer."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of 100 KB each: the second does not fit."""
    root = tmp_path / "pictures"
    root.mkdir()
    for name in "abc":
        (root / f"{name}.jpg").write_bytes(encoded(Image.effect_noise((640, 480), 60).convert("RGB"), quality=60))
    return Folder(root)


def run(owner, project, pictures, tmp_path) -> Task:
    """Import the document with its pictures, as a worker does."""
    path = tmp_path / "train.json"
    path.write_bytes(text_of(good()))
    return services.import_here(
        user=owner, project=project, files=[FileToImport(path, "train")], pictures=pictures, file_name="train.json",
        progress=lambda phase, done, total: None,
    )  # fmt: skip


def stored() -> list[Path]:
    """Files in storage, those that are being written with them, but for what fills it and reports."""
    files = [path for path in Path(default_storage.path("")).rglob("*") if path.is_file()]
    return [path for path in files if path.name != "filler" and path.parent.name != "logs"]


def test_an_import_that_fills_the_disk_fails_cleanly_and_succeeds_once_there_is_room(
    filler, owner, project, pictures, tmp_path
):
    import_document(project, {**good(), "annotations": []})
    before, revision = rows_of(project), Project.objects.get(pk=project.pk).revision

    task = run(owner, project, pictures, tmp_path)

    assert task.status == Task.Status.FAILED
    assert "no space left" in task.message
    assert rows_of(project) == before
    assert (Project.objects.get(pk=project.pk).revision, Project.objects.get(pk=project.pk).status) == (
        revision,
        Project.Status.READY,
    )
    for path in stored():  # what is there is whole
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem

    filler.unlink()
    task = run(owner, project, pictures, tmp_path)

    assert (task.status, task.result["images_with_picture"]) == (Task.Status.SUCCEEDED, 3)
    assert len(stored()) == 3


def test_a_disk_without_room_for_a_report_fails_in_clear_words_all_the_same(
    small_disk, owner, project, pictures, tmp_path
):
    free = SMALL - FILLED
    while free > 0:  # to the last page
        try:
            with small_disk.open("ab") as file:
                file.write(bytes(min(free, 4096)))
        except OSError:
            break
        free -= 4096

    task = run(owner, project, pictures, tmp_path)

    assert (task.status, task.log) == (Task.Status.FAILED, "")
    assert "no space left" in task.message
    assert not project.assets.exists()
    assert not stored()


def test_a_full_disk_is_not_ready(small_disk, settings):
    settings.MIN_FREE_BYTES = 500_000
    with pytest.raises(parts.Unwell, match="bytes left"):
        parts.storage()
    small_disk.unlink()
    assert parts.storage()["free_bytes"] > 500_000
