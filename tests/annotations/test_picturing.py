"""Pictures of an import: found, looked at, stored once; where record and picture differ, the picture counts."""

import io
import zipfile
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from annotations import picturing
from annotations.sources import Archive, Folder, Stored
from assets import storage
from assets.models import ImageAsset
from tests.annotations.coco.reading import good
from tests.annotations.documents import codes, export_document, import_document, rows_of, typed
from tests.assets.drawings import FORMATS, encoded, file_of, huge_png, quarters, with_exif

PICTURE = encoded(quarters(640, 480))


@pytest.fixture
def folder(tmp_path):
    """`folder({name: bytes})` writes pictures and gives them as a source."""

    def make(files: dict[str, bytes], name: str = "pictures") -> Folder:
        root = tmp_path / name
        for file, content in files.items():
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        root.mkdir(exist_ok=True)
        return Folder(root)

    return make


def image(project, coco_id=1) -> ImageAsset:
    """The project's image of this id."""
    return ImageAsset.objects.get(project=project, coco_id=coco_id)


def stored_files() -> list[Path]:
    """All files in storage."""
    return [path for path in Path(default_storage.path("")).rglob("*") if path.is_file()]


# --- Pictures that are there, and that are not ----------------------------------------------------------------------


def test_picture_is_stored_under_its_checksum_and_never_under_its_name(project, folder):
    document = good()
    document["images"][0]["file_name"] = "../../etc/a.jpg"
    pictures = folder({"a.jpg": PICTURE, "b.jpg": encoded(quarters(640, 480), quality=30), "c.jpg": file_of("PNG")})

    outcome, report = import_document(project, document, pictures=pictures)

    first = image(project)
    assert first.uri == f"images/{project.pk}/{first.checksum[:2]}/{first.checksum}.jpeg"
    assert (first.status, first.format, first.size_bytes) == ("ready", "jpeg", len(PICTURE))
    assert default_storage.open(first.uri).read() == PICTURE
    assert image(project, 3).format == "png"  # whatever its name says
    assert (outcome.total.pictures, outcome.total.images_missing, codes(report)) == (3, 0, {})
    assert export_document(project) == document


def test_same_bytes_are_stored_once(project, folder, monkeypatch):
    puts = []
    put = storage.put
    monkeypatch.setattr(picturing.storage, "put", lambda key, content: puts.append(key) or put(key, content))
    pictures = folder(dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE))
    monkeypatch.setattr(picturing, "READERS", 1)

    import_document(project, good(), pictures=pictures)
    import_document(project, good(), split="val", pictures=pictures)

    assert len(puts) == len(stored_files()) == 1
    assert len({asset.uri for asset in ImageAsset.objects.filter(project=project)}) == 1


def test_missing_pictures_are_told_and_unwanted_ones_are_not_stored(project, folder):
    pictures = folder({"a.jpg": PICTURE, "other.jpg": file_of("PNG"), "notes.txt": b"text"})

    outcome, report = import_document(project, good(), pictures=pictures)

    assert codes(report) == {"missing_picture": 2, "unreferenced_picture": 1}
    assert (outcome.total.images_missing, len(stored_files())) == (2, 1)
    assert image(project, 2).status == "missing"
    assert [row["examples"][0]["path"] for row in report.table()] == ["$.images[1].file_name", "other.jpg"]


def test_import_without_pictures_says_so_once(project):
    _, report = import_document(project, good())

    assert codes(report) == {"no_pictures_given": 1}


def test_ambiguous_pictures_are_told_and_none_is_taken(project, folder):
    pictures = folder({"x/a.jpg": PICTURE, "y/a.jpg": file_of("PNG"), "b.jpg": PICTURE, "c.jpg": PICTURE})

    _, report = import_document(project, good(), pictures=pictures)

    assert codes(report) == {"ambiguous_picture": 1, "unreferenced_picture": 2}
    assert image(project).status == "missing"


def test_picture_that_two_names_want_is_told_and_none_gets_it(project, folder):
    document = good()
    document["images"][0]["file_name"] = "x/1.jpg"
    document["images"][1]["file_name"] = "y/1.jpg"

    _, report = import_document(project, document, pictures=folder({"1.jpg": PICTURE, "c.jpg": PICTURE}))

    assert codes(report) == {"ambiguous_picture": 2, "unreferenced_picture": 1}


def test_picture_with_other_folders_is_taken_and_told(project, folder):
    document = good()
    document["images"] = document["images"][:1]
    document["images"][0]["file_name"] = "video1/1.jpg"
    document["annotations"] = document["annotations"][:1]

    _, report = import_document(project, document, pictures=folder({"video2/1.jpg": PICTURE}))

    assert codes(report) == {"picture_by_base_name": 1}
    assert image(project).status == "ready"


def test_images_of_one_file_name_share_its_picture(project, folder):
    document = good()
    for record in document["images"]:
        record["file_name"] = "a.jpg"

    outcome, report = import_document(project, document, pictures=folder({"a.jpg": PICTURE}))

    assert codes(report) == {}
    assert (outcome.total.pictures, outcome.total.images_with_picture) == (1, 3)
    assert {asset.status for asset in ImageAsset.objects.filter(project=project)} == {"ready"}


def test_split_finds_its_own_folder(project, folder):
    files = {f"train/{name}.jpg": PICTURE for name in "abc"}
    files |= {f"val/{name}.jpg": file_of("JPEG", 640, 481) for name in "abc"}
    pictures = folder(files)

    import_document(project, good(), good(), splits=["train", "val"], pictures=pictures)

    heights = ImageAsset.objects.filter(project=project).values_list("split__name", "height").distinct()
    assert dict(heights) == {"train": 480, "val": 481}


# --- Pictures that are none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"text", b"%!PS-Adobe", b"8BPS"],
)
def test_what_is_no_picture_is_told_and_not_stored(project, folder, content):
    pictures = folder({"a.jpg": content, "b.jpg": PICTURE, "c.jpg": PICTURE})

    outcome, report = import_document(project, good(), pictures=pictures)

    assert codes(report) == {"broken_picture": 1}
    assert (image(project).status, image(project).uri) == ("broken", "")
    assert image(project).issues == ["file_broken"]
    assert (outcome.total.images_broken, outcome.total.pictures, len(stored_files())) == (1, 2, 1)
    assert outcome.total.issues["file_broken"] == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_that_is_cut_off_is_told_at_once(project, folder, format_):
    whole = encoded(Image.effect_noise((640, 480), 90).convert("RGB"), format_)
    pictures = folder({"a.jpg": whole[: len(whole) * 9 // 10], "b.jpg": whole, "c.jpg": PICTURE})

    outcome, report = import_document(project, good(), pictures=pictures)

    told = report.table()[0]["examples"][0] if codes(report) == {"broken_picture": 1} else report.table()
    assert told["path"] == "$.images[0].file_name"
    assert (image(project).status, image(project).issues) == ("broken", ["file_broken"])
    assert image(project, 2).status == "ready"
    assert (outcome.total.images_broken, outcome.total.issues["file_broken"]) == (1, 1)


def test_a_cut_off_picture_takes_no_good_ones_place(project, folder):
    import_document(project, good(), pictures=folder(dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE)))
    stored = rows_of(project)

    _, report = import_document(project, good(), pictures=folder({"a.jpg": PICTURE[:-100]}, "later"))

    assert codes(report)["broken_picture"] == 1
    assert rows_of(project) == stored


def test_a_picture_that_could_not_be_decoded_is_no_news(project, folder):
    pictures = folder(dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE))
    import_document(project, good(), pictures=pictures)
    ImageAsset.objects.filter(project=project, coco_id=1).update(status="broken", issues=["file_broken"])
    stored = rows_of(project)

    outcome, _ = import_document(project, good(), pictures=pictures)

    assert rows_of(project) == stored
    assert (outcome.total.changed, outcome.total.images_broken) == (False, 1)


def test_bomb_is_refused_by_its_header(project, folder):
    pictures = folder({"a.jpg": huge_png(30_000), "b.jpg": PICTURE, "c.jpg": PICTURE})

    _, report = import_document(project, good(), pictures=pictures)

    assert codes(report) == {"broken_picture": 1}


def test_damaged_entry_of_a_zip_is_told_and_the_rest_lands(project):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in "abc":
            archive.writestr(f"{name}.jpg", PICTURE)
        archive.writestr("../d.jpg", PICTURE)
        archive.writestr("__MACOSX/._a.jpg", b"")
    content = bytearray(target.getvalue())
    content[60] ^= 255

    outcome, report = import_document(project, good(), pictures=Archive(io.BytesIO(content)))

    assert codes(report) == {"broken_picture": 1, "unsafe_entry": 1, "ignored_entry": 1}
    assert outcome.total.pictures == 2


def test_link_out_of_the_folder_is_not_followed(project, folder, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(PICTURE)
    pictures = folder({"b.jpg": PICTURE, "c.jpg": PICTURE})
    (pictures.root / "a.jpg").symlink_to(tmp_path / "secret.jpg")

    _, report = import_document(project, good(), pictures=pictures)

    assert codes(report) == {"broken_picture": 1}


def test_storage_that_fails_fails_the_import(project, folder, monkeypatch):
    def fail(key, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picturing.storage, "put", fail)

    with pytest.raises(OSError, match="No space left"):
        import_document(project, good(), pictures=folder({"a.jpg": PICTURE}))

    assert not ImageAsset.objects.filter(project=project).exists()


# --- Sizes (15, 37) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "issues"),
    [
        ({"width": 1, "height": 1}, "size_differs", ["size_differs"]),
        ({"width": 480, "height": 640}, "size_differs", ["size_differs"]),
        ({"width": 640, "height": 0}, "size_filled_in", []),
        ({"width": None, "height": "tall"}, "size_filled_in", []),
    ],
)
def test_picture_counts_where_the_record_says_another_size(project, folder, fields, code, issues):
    document = good()
    document["images"][0] |= fields

    _, report = import_document(project, document, pictures=folder(dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE)))

    assert codes(report)[code] == 1
    first = image(project)
    assert (first.width, first.height, first.issues, first.metadata) == (640, 480, issues, {})
    assert export_document(project)["images"][0] == {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}


def test_missing_size_is_read_from_the_picture(project, folder):
    document = good()
    document["images"][0] = {"id": 1, "file_name": "a.jpg", "license": 3}

    _, report = import_document(project, document, pictures=folder(dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE)))

    assert codes(report) == {"width_missing": 1, "height_missing": 1, "size_filled_in": 1}
    assert export_document(project)["images"][0] == {
        "id": 1, "file_name": "a.jpg", "license": 3, "width": 640, "height": 480,
    }  # fmt: skip


def test_size_of_a_picture_that_is_shown_turned_is_left_and_flagged(project, folder):
    turned = encoded(quarters(480, 640), exif=with_exif(6))  # stored 480 x 640, shown 640 x 480

    _, report = import_document(project, good(), pictures=folder({"a.jpg": turned, "b.jpg": PICTURE, "c.jpg": PICTURE}))

    assert codes(report) == {"size_turned": 1}
    first = image(project)
    assert (first.width, first.height, first.issues) == (640, 480, ["size_turned"])
    assert export_document(project) == good()


def test_size_of_stored_pixels_is_right_whatever_turns_them(project, folder):
    document = good()
    document["images"][0] |= {"width": 480, "height": 640}
    pictures = folder({"a.jpg": encoded(quarters(480, 640), exif=with_exif(6)), "b.jpg": PICTURE, "c.jpg": PICTURE})

    _, report = import_document(project, document, pictures=pictures)

    assert codes(report) == {}


# --- Again ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [True, False])
def test_importing_again_with_or_without_pictures_changes_nothing(project, folder, again):
    document = good()
    document["images"][0] |= {"width": "wide", "height": 7}  # the picture says otherwise
    pictures = folder({"a.jpg": PICTURE, "b.jpg": PICTURE, "c.jpg": b"broken"})
    import_document(project, document, pictures=pictures)
    stored = rows_of(project)

    outcome, _ = import_document(project, document, pictures=pictures if again else None)

    assert rows_of(project) == stored
    assert outcome.total.changed is False
    assert (outcome.total.images_missing, outcome.total.images_broken) == (0, 1)


def test_pictures_may_come_later(project, folder):
    import_document(project, good())
    ImageAsset.objects.filter(project=project, coco_id=2).update(status="approved", tags=["night"])

    outcome, _ = import_document(project, good(), pictures=folder({"a.jpg": PICTURE, "b.jpg": PICTURE, "c.jpg": b""}))

    assert [image(project, key).status for key in (1, 2, 3)] == ["ready", "approved", "broken"]
    assert image(project, 2).uri
    assert image(project, 2).tags == ["night"]
    assert outcome.total.images_changed == 3
    assert typed(export_document(project)) == typed(good())


def test_another_picture_replaces_the_stored_one_and_its_thumbnail(project, folder):
    files = {"a.jpg": PICTURE, "b.jpg": PICTURE, "c.jpg": PICTURE}
    import_document(project, good(), pictures=folder(files))
    ImageAsset.objects.filter(project=project).update(thumbnail_uri="thumbnails/old")
    files["a.jpg"] = encoded(quarters(640, 480), quality=20)

    import_document(project, good(), pictures=folder(files, "others"))

    assert [image(project, key).thumbnail_uri for key in (1, 2)] == ["", "thumbnails/old"]
    assert default_storage.open(image(project).uri).read() == files["a.jpg"]


def test_uploads_are_taken_as_pictures(project):
    key = storage.put("uploads/x/images/0", io.BytesIO(PICTURE))

    outcome, _ = import_document(project, good(), pictures=Stored({"a.jpg": key, "b.jpg": key, "c.jpg": key}))

    assert outcome.total.pictures == 3
