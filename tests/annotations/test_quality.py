"""Flaws that are valid COCO become issues: found, filtered, counted, and the same after a second import."""

import json

import pytest

from annotations import query
from annotations.coco.quality import box_issue, strays
from annotations.importing import FileToImport, import_files
from annotations.models import Annotation
from annotations.report import Report
from assets.models import ImageAsset


@pytest.mark.parametrize(
    ("box", "bounds", "issue"),
    [
        ((0, 0, 1.9, 50), None, "bbox_tiny"),
        ((0, 0, 2, 2), None, ""),
        ((0, 0, 10, 10), (0, 0, 10, 10), ""),
        ((0, 0, 10, 10), (0, 0, 10, 5.1), ""),
        ((0, 0, 10, 10), (0, 0, 10, 4.9), "bbox_mismatch"),
        ((0, 0, 10, 10), (20, 0, 30, 10), "bbox_mismatch"),
        ((0, 0, 10, 10), (0, 20, 10, 30), "bbox_mismatch"),
        ((0, 0, 4, 4), (0, 0, 10, 10), "bbox_mismatch"),
    ],
)
def test_a_box_by_itself(box, bounds, issue):
    assert box_issue(*box, bounds) == issue


@pytest.mark.parametrize(
    ("box", "bounds", "far"),
    [
        ((10, 10, 1, 30), None, False),
        ((10, 10, 1, 30), (9, 9, 12, 41), False),
        ((10, 10, 0, 30), (8, 10, 12, 40), False),
        ((10, 10, 0, 30), (7.9, 10, 12, 40), True),
        ((0.2, 0.3, 0.1, 0.1), (200, 300, 260, 350), True),
        ((10, 10, 1, 1), (10, 10, 11, 13.1), True),
    ],
)
def test_the_outline_of_a_tiny_box_may_lie_elsewhere_too(box, bounds, far):
    assert strays(*box, bounds) is far


SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]
DATA = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
        {"id": 2, "file_name": "b.png", "width": 100, "height": 8},
        {"id": 3, "file_name": "c.png", "width": 2000, "height": 100},
        {"id": 4, "file_name": "d.png", "width": 100, "height": 80},
        {"id": 5, "file_name": "e.png", "width": 100, "height": 80},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "segmentation": SQUARE, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10.0, 10], "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [10, 10, 10, 10], "iscrowd": 0},
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": [50, 1, 10, 5], "segmentation": SQUARE, "iscrowd": 0},
        {"id": 5, "image_id": 3, "category_id": 1, "bbox": [5, 5, 1, 30], "iscrowd": 0},
        {"id": 6, "image_id": 4, "category_id": 1, "bbox": [90, 5, 30, 30], "iscrowd": 0},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "emu"}],
}


@pytest.fixture
def load(project, tmp_path):
    def load(data=DATA):
        path = tmp_path / "data.json"
        path.write_text(json.dumps(data))
        return import_files(project=project, files=[FileToImport(path, "train")], report=Report()).total

    return load


def flagged(model):
    return {row.coco_id: row.issues for row in model.objects.order_by("coco_id") if row.issues}


def test_issues_are_found_filtered_and_counted(load, project):
    done = load()
    annotations = {
        1: ["bbox_duplicate"], 2: ["bbox_duplicate"], 4: ["bbox_mismatch"], 5: ["bbox_tiny"], 6: ["bbox_outside"],
    }  # fmt: skip
    images = {2: ["size_odd"], 3: ["size_odd"], 5: ["image_empty"]}
    assert flagged(Annotation) == annotations
    assert flagged(ImageAsset) == images
    assert done.issues == {
        "bbox_duplicate": 2, "bbox_mismatch": 1, "bbox_tiny": 1, "bbox_outside": 1, "size_odd": 2, "image_empty": 1,
    }  # fmt: skip
    assert done.unused_categories == ["emu"]
    found = query.filter_images(ImageAsset.objects.filter(project=project), project, "issue:size_odd")
    assert {image.coco_id for image in found} == {2, 3}
    found = query.filter_images(ImageAsset.objects.filter(project=project), project, "annotation.issue:bbox_mismatch")
    assert {image.coco_id for image in found} == {2}


def test_the_same_file_again_changes_nothing(load):
    load()
    before = flagged(Annotation), flagged(ImageAsset)
    again = load()
    assert not again.changed
    assert (flagged(Annotation), flagged(ImageAsset)) == before
    assert set(ImageAsset.objects.values_list("version", flat=True)) == {1}


def test_an_issue_goes_with_its_reason(load):
    load()
    mended = json.loads(json.dumps(DATA))
    mended["annotations"][1]["bbox"] = [30, 30, 10, 10]
    mended["annotations"].append({"id": 7, "image_id": 5, "category_id": 3, "bbox": [1, 1, 9, 9], "iscrowd": 0})
    done = load(mended)
    assert not {1, 2} & flagged(Annotation).keys()
    assert 5 not in flagged(ImageAsset)
    assert done.unused_categories == []


def test_where_most_images_are_empty_that_is_no_issue(load):
    load({**DATA, "annotations": DATA["annotations"][:1]})
    assert not any("image_empty" in issues for issues in flagged(ImageAsset).values())
