"""What an import could do nothing with gets 400 at once, in whatever way it comes, and the same as from a dry run."""

import struct

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from annotations import refusing
from annotations.models import ImportJob
from projects.models import Project
from tests.annotations.test_sources import patched, zipped
from tests.annotations.test_ways_in import coco, file, packed, picture, uploaded

pytestmark = pytest.mark.django_db

OTHER = b'{"shapes": [], "version": "5.0"}'


@pytest.fixture
def address(project):
    return f"/api/v1/projects/{project.pk}/coco"


@pytest.fixture(params=["file", "upload", "key"])
def post(request, address, as_curator, curator, project, settings):
    """`post(content, **fields)` sends a zip, in each of the ways in."""
    settings.IMPORT_PREFIX = "incoming/"

    def send(content, **fields):
        if request.param == "file":
            return as_curator.post(address, {"file": file(content, "set.zip"), **fields}, format="multipart")
        if request.param == "upload":
            upload = uploaded(curator, project, content, "set.zip")
            return as_curator.post(address, {"upload": str(upload.pk), **fields}, format="json")
        default_storage.save("incoming/set.zip", ContentFile(content))
        return as_curator.post(address, {"key": "incoming/set.zip", **fields}, format="json")

    return send


@pytest.mark.parametrize("dry_run", [False, True], ids=["import", "dry run"])
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"labels/a.json": OTHER, "a.png": picture()}, "labels/a.json"),
        ({"a.json": b"[1, 2]"}, "a.json"),
        ({"a.json": b'{"images": [{'}, "not valid JSON"),
        ({"a.png": picture()}, "a.png"),
        ({}, "COCO file"),
    ],
    ids=["another thing", "a list", "broken", "pictures", "nothing"],
)
def test_a_zip_without_a_coco_file_is_400(post, files, words, dry_run):
    answer = post(packed(**files), dry_run=dry_run)

    assert answer.status_code == 400
    assert "no COCO file" in answer.json()["message"]
    assert words in answer.json()["message"]
    assert not ImportJob.objects.exists()


LYING = zipped(("train.json", coco("a.png")))
LIES = {
    "shorter than it is": patched(LYING, "central", 24, struct.pack("<I", 10)),
    "another checksum": patched(LYING, "central", 16, bytes(4)),
    "packed into less": patched(LYING, "central", 20, struct.pack("<I", 5)),
}


@pytest.mark.parametrize("dry_run", [False, True], ids=["import", "dry run"])
@pytest.mark.parametrize("looked_at", [refusing.LOOKED_AT, 5], ids=["small", "large"])
@pytest.mark.parametrize("lie", LIES)
def test_an_entry_that_lies_is_400(post, lie, looked_at, dry_run, monkeypatch):
    monkeypatch.setattr(refusing, "LOOKED_AT", looked_at)

    answer = post(LIES[lie], dry_run=dry_run)

    assert answer.status_code == 400
    assert "'train.json' in set.zip is damaged" in answer.json()["message"]
    assert not ImportJob.objects.exists()


def test_a_split_for_a_file_that_is_not_there_is_400_in_a_zip_too(post):
    answer = post(packed(**{"train.json": coco("a.png")}), splits='{"x.json": "val"}')
    assert answer.status_code == 400


def test_a_good_zip_among_other_json_is_taken(post):
    assert post(packed(**{"train.json": coco("a.png"), "notes.json": OTHER})).status_code == 202


@pytest.mark.parametrize("dry_run", [False, True], ids=["import", "dry run"])
def test_a_prefix_without_a_coco_file_is_400(address, as_curator, settings, dry_run):
    settings.IMPORT_PREFIX = "incoming/"
    default_storage.save("incoming/set/labels.json", ContentFile(OTHER))
    default_storage.save("incoming/set/a.png", ContentFile(picture()))

    answer = as_curator.post(address, {"prefix": "incoming/set", "dry_run": dry_run}, format="json")

    assert answer.status_code == 400
    assert "labels.json" in answer.json()["message"]
    assert not ImportJob.objects.exists()


def test_a_prefix_with_much_json_is_left_to_the_import(address, as_curator, settings, monkeypatch):
    settings.IMPORT_PREFIX = "incoming/"
    monkeypatch.setattr(refusing, "LOOKED_AT", 5)
    default_storage.save("incoming/set/labels.json", ContentFile(OTHER))

    assert as_curator.post(address, {"prefix": "incoming/set"}, format="json").status_code == 202


@pytest.mark.parametrize("field", ["file", "images"])
def test_a_file_that_is_only_called_a_zip_is_400(address, as_curator, field):
    sent = {"file": file(coco("a.png"), "train.json")}
    sent[field] = file(b"hello", "pictures.ZIP")

    answer = as_curator.post(address, sent, format="multipart")

    assert answer.status_code == 400
    assert "no usable zip" in answer.json()["message"]
    assert not ImportJob.objects.exists()


@pytest.mark.parametrize("field", ["images_upload", "images_key"])
def test_stored_pictures_that_are_no_zip_are_400(address, as_curator, curator, project, settings, field):
    settings.IMPORT_PREFIX = "incoming/"
    default_storage.save("incoming/pictures.zip", ContentFile(b"none"))
    places = {
        "images_upload": lambda: str(uploaded(curator, project, b"none", "pictures.zip").pk),
        "images_key": lambda: "incoming/pictures.zip",
    }
    data = uploaded(curator, project, coco("a.png"), "train.json")

    answer = as_curator.post(address, {"upload": str(data.pk), field: places[field]()}, format="json")

    assert answer.status_code == 400
    assert "no usable zip" in answer.json()["message"]


@pytest.mark.parametrize("dry_run", [False, True], ids=["import", "dry run"])
@pytest.mark.parametrize(
    ("name", "value"), [("MAX_ARCHIVE_ENTRIES", 1), ("MAX_ARCHIVE_BYTES", 100)], ids=["entries", "bytes"]
)
def test_a_zip_beyond_the_caps_is_413(post, settings, name, value, dry_run):
    setattr(settings, name, value)

    answer = post(packed(**{"train.json": coco("a.png"), "a.png": picture()}), dry_run=dry_run)

    assert answer.status_code == 413
    assert not ImportJob.objects.exists()


def test_a_folder_without_a_coco_file_is_refused_naming_what_is_there(tmp_path, owner):
    (tmp_path / "labels.json").write_bytes(OTHER)
    for path, words in ((tmp_path, r"labels\.json"), (tmp_path / "pictures", r"found: a\.png")):
        path.mkdir(exist_ok=True)
        if path != tmp_path:
            (path / "a.png").write_bytes(picture())
        with pytest.raises(CommandError, match=f"no COCO file.*{words}"):
            call_command("import_coco", str(path), "--project", "New", "--owner", owner.email)
    assert not Project.objects.filter(name="New").exists()
