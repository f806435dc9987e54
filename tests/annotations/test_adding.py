"""Pictures that come later than their records: broken ones are told, boxes are judged by the true sizes."""

import pytest

from annotations.adding import Added, add_pictures
from annotations.models import Annotation
from annotations.report import Report
from annotations.sources import Folder
from assets.models import ImageAsset
from tests.annotations.coco.reading import good
from tests.annotations.documents import codes, import_document, rows_of
from tests.assets.drawings import encoded, quarters

PICTURE = encoded(quarters(640, 480))


@pytest.fixture
def add(project, tmp_path):
    """`add({name: bytes})` gives pictures to the project's images."""

    def work(files: dict[str, bytes]) -> tuple[Added, Report]:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        for name, content in files.items():
            (root / name).write_bytes(content)
        report = Report()
        return add_pictures(project=project, pictures=Folder(root), report=report), report

    return work


def image(project, coco_id) -> ImageAsset:
    """The project's image of this id."""
    return ImageAsset.objects.get(project=project, coco_id=coco_id)


@pytest.mark.parametrize("content", [b"", b"<svg/>", PICTURE[:20], PICTURE[:-200]], ids=["empty", "svg", "head", "cut"])
def test_an_image_whose_picture_is_broken_is_broken(project, add, content):
    document = good()
    document["images"][0]["width"] = "wide"
    import_document(project, document)
    stored = image(project, 1)

    added, report = add({"a.jpg": content, "b.jpg": PICTURE})

    broken = image(project, 1)
    assert (broken.status, broken.issues) == ("broken", ["file_broken"])
    assert codes(report)["broken_picture"] == 1
    assert (added.images_changed, added.images_broken, added.images_missing) == (2, 1, 1)
    if not broken.uri:  # nothing else is known of it
        assert (broken.width, broken.metadata) == (stored.width, stored.metadata)


def test_a_broken_picture_again_is_no_news_and_a_good_one_is(project, add):
    import_document(project, good())
    for content in (PICTURE[:-200], b"none"):
        add({"a.jpg": content})
    stored = rows_of(project)
    for content in (PICTURE[:-200], b"none"):
        assert add({"a.jpg": content})[0].images_changed == 0
    assert rows_of(project) == stored

    added, _ = add({"a.jpg": PICTURE})

    assert (image(project, 1).status, image(project, 1).issues, added.images_broken) == ("ready", [], 0)


def test_an_approved_image_without_a_picture_gets_one_and_stays_approved(project, add):
    import_document(project, good())
    ImageAsset.objects.filter(project=project, coco_id=1).update(status="approved")

    added, _ = add({"a.jpg": PICTURE})

    assert added.images_with_picture == 1
    assert (image(project, 1).status, bool(image(project, 1).uri)) == ("approved", True)


@pytest.fixture
def boxes(project):
    """A record that is too small, one that is too large, each with a box near its edge."""
    document = good()
    document["images"] = [
        {"id": 1, "file_name": "a.jpg", "width": 100, "height": 100},
        {"id": 2, "file_name": "b.jpg", "width": 2000, "height": 2000},
    ]
    shape = {"category_id": document["categories"][0]["id"], "iscrowd": 0, "segmentation": [], "area": 1}
    document["annotations"] = [
        {"id": 1, "image_id": 1, "bbox": [90, 10, 60, 20], **shape},
        {"id": 2, "image_id": 2, "bbox": [600, 450, 100, 100.5], **shape},
        {"id": 3, "image_id": 2, "bbox": [-1, 5, 1.5, 9], **shape},
        {"id": 4, "image_id": 2, "bbox": [600, 400, 41, 81], **shape},
    ]
    import_document(project, document)
    return document


def issues(project) -> dict[int, list[str] | None]:
    """The issues of each annotation."""
    return dict(Annotation.objects.filter(project=project).values_list("coco_id", "issues").order_by("coco_id"))


def test_boxes_are_judged_by_the_true_size_when_it_comes(project, boxes, add):
    assert issues(project) == {1: ["bbox_outside"], 2: None, 3: ["bbox_tiny", "bbox_outside"], 4: None}
    versions = set(Annotation.objects.filter(project=project).values_list("version", flat=True))

    added, report = add({"a.jpg": PICTURE, "b.jpg": PICTURE})

    assert issues(project) == {1: None, 2: ["bbox_outside"], 3: ["bbox_tiny", "bbox_outside"], 4: None}
    assert (added.sizes_changed, added.boxes_judged) == (2, 2)
    told = next(row for row in report.table() if row["code"] == "bbox_outside")
    assert [example["path"] for example in told["examples"]] == ["train: $.annotations[1].bbox"]
    assert set(Annotation.objects.filter(project=project).values_list("version", flat=True)) == versions


def test_they_are_judged_as_an_import_would_have(project, boxes, add, tmp_path):
    add({"a.jpg": PICTURE, "b.jpg": PICTURE})
    later = issues(project)
    Annotation.objects.filter(project=project).delete()
    ImageAsset.objects.filter(project=project).delete()
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    (tmp_path / "b.jpg").write_bytes(PICTURE)

    import_document(project, boxes, pictures=Folder(tmp_path))

    assert issues(project) == later


def test_a_file_of_images_alone_that_brings_pictures_has_the_stored_boxes_judged(project, boxes, tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    (tmp_path / "b.jpg").write_bytes(PICTURE)

    import_document(project, {**boxes, "annotations": []}, pictures=Folder(tmp_path))

    assert issues(project) == {1: None, 2: ["bbox_outside"], 3: ["bbox_tiny", "bbox_outside"], 4: None}


def test_an_image_of_odd_size_is_told_when_its_size_comes(project, boxes, add):
    add({"a.jpg": encoded(quarters(640, 12))})

    assert image(project, 1).issues == ["size_differs", "size_odd"]
