"""Which files of a data set are COCO files, and of which split."""

import gzip
from pathlib import Path, PurePosixPath

import pytest

from annotations import layouts
from annotations.coco.problems import Action

COCO = b'{"images": [], "annotations": [], "categories": []}'


@pytest.mark.parametrize(
    ("name", "split", "topic"),
    [
        ("annotations/instances_train2017.json", "train", "instances"),
        ("annotations/person_keypoints_val2017.json", "val", "person_keypoints"),
        ("annotations/captions_train2014.json", "train", "captions"),
        ("annotations/panoptic_val2017.json", "val", "panoptic"),
        ("annotations/stuff_train2017.json", "train", "stuff"),
        ("annotations/image_info_test-dev2017.json", "test-dev", "image_info"),
        ("annotations/instances_default.json", "default", "instances"),
        ("annotations/instances_Train.json", "Train", "instances"),
        ("annotations/instances.json", "default", "instances"),
        ("train/_annotations.coco.json", "train", "_annotations.coco"),
        ("valid/_annotations.coco.json", "valid", "_annotations.coco"),
        ("result.json", "default", ""),
        ("labels.json", "default", "labels"),
        ("annotations.json", "default", ""),
        ("val2017/annotations.json", "val", ""),
        ("data/train/images/coco.json", "train", ""),
        ("instances_val2017.json.gz", "val", "instances"),
        ("my_set.json", "my_set", ""),
        ("2017.json", "2017", ""),
        ("instances_2017.json", "2017", "instances"),
        ("instances_" + "x" * 150 + ".json", "x" * 100, "instances"),
        ("학습.json", "학습", ""),
        ("caf\udce9.json", r"caf\udce9", ""),  # a name on disk that is no UTF-8
    ],
)
def test_split_and_topic_are_taken_from_the_name(name, split, topic):
    path = PurePosixPath(name)

    assert (layouts.split_of(path), layouts.topic_of(path)) == (split, topic)


def planned(root: Path, files: dict[str, bytes], split: str = "") -> layouts.Plan:
    """The plan for these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return layouts.plan(files, lambda name: root / name, split=split)


def test_plan_puts_objects_before_what_is_added_to_them(tmp_path):
    names = ["captions_val.json", "person_keypoints_val.json", "instances_val.json", "instances_train.json"]

    plan = planned(tmp_path, {f"annotations/{name}": COCO for name in names})

    assert [PurePosixPath(file.name).name for file in plan.files] == [
        "instances_train.json", "instances_val.json", "person_keypoints_val.json", "captions_val.json",
    ]  # fmt: skip
    assert plan.layout == "COCO"


def test_given_split_is_used_for_every_file(tmp_path):
    plan = planned(tmp_path, {"a.json": COCO, "b.json": COCO}, split="mine")

    assert {file.split for file in plan.files} == {"mine"}


def test_files_that_are_not_coco_are_passed_over_and_told_why(tmp_path):
    plan = planned(
        tmp_path,
        {
            "a.json": COCO,
            "b.json": b"[]",
            "c.json": b'{"shapes": []}',
            "d.json": b"{",
            "e.json": b"",
            "f.json.gz": gzip.compress(COCO),
            "g.json.gz": b"\x1f\x8bno",
        },
    )

    assert [file.name for file in plan.files] == ["a.json", "f.json.gz"]
    assert sorted(plan.passed_over) == ["b.json", "c.json", "d.json", "e.json", "g.json.gz"]
    assert "'shapes'" in plan.passed_over["c.json"]
    assert {problem.path: (problem.code, problem.action) for problem in plan.problems()} == {
        "b.json": ("file_passed_over", Action.KEPT),
        "c.json": ("file_passed_over", Action.KEPT),
        "d.json": ("file_unreadable", Action.QUARANTINED),
        "e.json": ("file_unreadable", Action.QUARANTINED),
        "g.json.gz": ("file_unreadable", Action.QUARANTINED),
    }


def test_more_files_than_can_be_are_passed_over_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "MAX_JSON_FILES", 2)

    plan = planned(tmp_path, {f"{name}.json": COCO for name in "abc"})

    assert list(plan.passed_over) == ["c.json"]
    assert [problem.action for problem in plan.problems()] == [Action.QUARANTINED]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        ([], "no COCO file"),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], "Roboflow"),
        (["result.json"], "Label Studio"),
        (["annotations/instances_default.json"], "CVAT"),
        (["annotations/instances_train.json"], "COCO"),
        (["my.json"], "COCO file beside its pictures"),
    ],
)
def test_layout_is_named(tmp_path, names, layout):
    plan = planned(tmp_path, dict.fromkeys(names, COCO))

    assert plan.layout == layout
    assert plan.describe()[0] == f"Layout: {layout}"
    assert len(plan.describe()) == 1 + len(names)
