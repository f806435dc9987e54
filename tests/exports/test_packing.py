"""Exports as a zip or a folder: which files, under which names, and always the same bytes."""

import io
import json
import zipfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.sources import Archive, Folder
from assets.models import ImageAsset
from exports.packing import FolderAdder, ZipAdder, _picture_name, _Places, write_package
from exports.rendering import Selection
from tests.annotations.coco.reading import good
from tests.annotations.documents import export_document, import_document
from tests.assets.drawings import encoded, quarters
from tests.factories import make_project

PICTURES = {name: encoded(quarters(640, 480), quality=quality) for name, quality in (("a", 90), ("b", 60), ("c", 30))}


@pytest.fixture
def pictures(tmp_path) -> Folder:
    """Pictures of the good document, and some more."""
    root = tmp_path / "pictures"
    root.mkdir()
    for name, content in PICTURES.items():
        (root / f"{name}.jpg").write_bytes(content)
    return Folder(root)


def packed(project, *, with_pictures=True) -> tuple[bytes, list[str]]:
    """The project's zip, and the notes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        selection = Selection(project, ImageAsset.objects.filter(project=project))
        rendered = write_package(selection, ZipAdder(archive), pictures=with_pictures)
    return target.getvalue(), rendered.notes


def contents(content: bytes) -> dict[str, bytes]:
    """The files of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


def test_package_has_a_file_for_each_split_and_kind(project):
    captions = {**good(), "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    panoptic = {**good(), "annotations": [{"image_id": 1, "segments_info": []}]}
    import_document(project, good(), captions, panoptic, good(), splits=["train", "train", "train", "val"])

    content, notes = packed(project)

    files = contents(content)
    assert sorted(files) == [
        "annotations/captions_train.json",
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        "annotations/panoptic_train.json",
    ]
    assert json.loads(files["annotations/instances_train.json"]) == good()
    assert json.loads(files["annotations/captions_train.json"]) == captions
    assert notes == ["6 image(s) have no stored picture."]


def test_package_has_the_pictures_as_they_came(project, pictures):
    import_document(project, good(), good(), splits=["train", "val"], pictures=pictures)

    files = contents(packed(project)[0])

    assert {name: content for name, content in files.items() if name.startswith("images/")} == {
        f"images/{split}/{name}.jpg": content for split in ("train", "val") for name, content in PICTURES.items()
    }
    assert not any(name.startswith("images/") for name in contents(packed(project, with_pictures=False)[0]))


def test_package_can_be_imported_again(project, owner, pictures):
    import_document(project, good(), pictures=pictures)
    content, _ = packed(project)
    again = make_project(owner)

    document = contents(content)["annotations/instances_train.json"]
    outcome, _ = import_document(again, document, pictures=Archive(io.BytesIO(content)))

    assert export_document(again) == good()
    assert (outcome.total.pictures, outcome.total.images_missing) == (3, 0)


def test_same_project_gives_the_same_bytes_on_every_system(project, pictures, monkeypatch):
    import_document(project, good(), pictures=pictures)

    first = packed(project)[0]
    monkeypatch.setattr(zipfile.sys, "platform", "win32")
    second = packed(project)[0]

    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {(info.date_time, info.create_system) for info in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}


def test_pictures_are_not_packed_twice(project, pictures):
    import_document(project, good(), pictures=pictures)

    with zipfile.ZipFile(io.BytesIO(packed(project)[0])) as archive:
        methods = {info.filename: info.compress_type for info in archive.infolist()}

    assert methods.pop("annotations/instances_train.json") == zipfile.ZIP_DEFLATED
    assert set(methods.values()) == {zipfile.ZIP_STORED}


def test_folder_gets_the_same_files(project, pictures, tmp_path):
    import_document(project, good(), pictures=pictures)
    root = tmp_path / "out"

    write_package(Selection(project, ImageAsset.objects.filter(project=project)), FolderAdder(root), pictures=True)

    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == contents(packed(project)[0])


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["a/b", "a_b"], ["instances_a_b.json", "instances_a_b_{1}.json"]),
        (["Train", "train"], ["instances_Train.json", "instances_train_{1}.json"]),
        (["..", "."], ["instances_default.json", "instances_default_{1}.json"]),
        (["../../etc"], ["instances__.._etc.json"]),
        (["학습", "a b"], ["instances_학습.json", "instances_a_b.json"]),
    ],
)
def test_no_two_splits_share_a_file(project, names, files):
    for name in names:
        import_document(project, good(), split=name)
    keys = list(project.splits.order_by("pk").values_list("pk", flat=True))

    found = contents(packed(project)[0])

    assert sorted(found) == sorted(f"annotations/{file.format(*keys)}" for file in files)


# --- Names of pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("a.jpg", "images/s/a.jpg"),
        ("x/a.jpg", "images/s/x/a.jpg"),
        ("../../etc/passwd", "images/s/etc/passwd"),
        ("/etc/passwd", "images/s/etc/passwd"),
        (r"..\..\x.jpg", "images/s/x.jpg"),
        (r"C:\x\a.jpg", "images/s/C_/x/a.jpg"),
        ("./a//b.jpg", "images/s/a/b.jpg"),
        ("http://host/a.jpg", "images/s/http_/host/a.jpg"),
        ("", "images/s/7.jpeg"),
        (None, "images/s/7.jpeg"),
        ("..", "images/s/7.jpeg"),
        ("x" * 256, "images/s/7.jpeg"),
        ("한" * 86 + "/a.jpg", "images/s/7.jpeg"),
        ("고양이.jpg", "images/s/고양이.jpg"),
    ],
)
def test_pictures_stay_below_the_folder_of_their_split(file_name, name):
    assert _picture_name(file_name, "s", 7, "jpeg") == name


@given(st.text(max_size=30) | st.text("./\\:a", max_size=12))
def test_no_file_name_leads_out_of_the_package(file_name):
    path = PurePosixPath(_picture_name(file_name, "s", 7, "jpeg"))

    assert path.parts[:2] == ("images", "s")
    assert len(path.parts) > 2
    assert ".." not in path.parts


def test_pictures_of_one_name_are_all_there(project, pictures, tmp_path):
    """Two names that become one, a name that is also a folder, one name in two cases: nothing is left out."""
    document = good()
    for record, name in zip(document["images"], ["x/a.jpg", "../x/a.jpg", "x"], strict=True):
        record["file_name"] = name
    import_document(project, document)
    for record, name in zip(document["images"], "abc", strict=True):
        _give_picture(project, record["id"], name)

    content, notes = packed(project)

    files = {name: content for name, content in contents(content).items() if name.startswith("images/")}
    assert files == {
        "images/train/x/a.jpg": PICTURES["a"],
        "images/train/_2.jpeg": PICTURES["b"],
        "images/train/_3.jpeg": PICTURES["c"],
    }
    assert notes == ["2 picture(s) are named by their id (images/.../_ID), for others have their file names."]
    root = tmp_path / "out"
    write_package(Selection(project, ImageAsset.objects.filter(project=project)), FolderAdder(root), pictures=True)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.jp*g")} == set(files)


def _give_picture(project, coco_id, name):
    from assets import storage

    key = storage.put(f"images/{project.pk}/{name}.jpeg", io.BytesIO(PICTURES[name]))
    ImageAsset.objects.filter(project=project, coco_id=coco_id).update(uri=key, format="jpeg")


def test_images_that_share_a_picture_share_its_file(project, pictures):
    document = good()
    for record in document["images"]:
        record["file_name"] = "a.jpg"
    import_document(project, document, pictures=pictures)

    content, notes = packed(project)

    assert [name for name in contents(content) if name.startswith("images/")] == ["images/train/a.jpg"]
    assert notes == []


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        ("i/a", "i/a", True),
        ("i/a", "i/b", True),
        ("i/a", "I/A", True),
        ("i/a", "i/a/b", False),
        ("i/a/b", "i/a", False),
        ("i/a/b", "i/a/c", True),
        ("i/a/b", "i/A", False),
    ],
)
def test_names_are_free_where_no_file_and_no_folder_is(first, second, free):
    places = _Places()
    assert places.take(first, "same")

    assert places.is_free(second, "same") is free
    if first.casefold() == second.casefold():
        assert not places.is_free(second, "another")
        assert not places.take(second, "same")
