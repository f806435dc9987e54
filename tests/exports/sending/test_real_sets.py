"""Real data sets (../shared/data, not part of this repository) go out: every annotation is compared with the file."""

import json
from pathlib import Path

import pytest

from annotations import material
from annotations import services as imports
from annotations.coco import rle
from exports import connecting
from exports.cvat import masks
from exports.snapshots import Snapshot
from projects.models import Project, Task
from tests.exports.sending.looking import frames_and_pictures, frames_as_recorded, tasks_of
from tests.factories import make_project, make_user

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"there are no sample data sets in {DATA}"),
]


def load(project: Project, folder: Path) -> None:
    """Import a data set folder with its pictures."""
    found = material.in_folder(folder, "", {})
    task = imports.import_here(
        user=project.owner,
        project=project,
        files=found.files,
        pictures=found.pictures,
        file_name=folder.name,
        progress=lambda phase, done, total: None,
    )
    assert task.status == Task.Status.SUCCEEDED, task.message


def records_of(*files: Path) -> dict[str, dict]:
    """The annotations of COCO files by id; those of later files add their fields."""
    found: dict[str, dict] = {}
    for file in files:
        for record in json.loads(file.read_bytes())["annotations"]:
            found.setdefault(str(record["id"]), {}).update(record)
    return found


def check_shapes(record: dict, shapes: list, width: int, height: int) -> None:
    """The shapes in CVAT say what the record says; points over the edge are on it."""

    def inside(points) -> list[float]:
        return [min(max(value, 0), (width, height)[at % 2]) for at, value in enumerate(points)]

    outlines = [shape for shape in shapes if shape.type != "skeleton"]
    segmentation = record.get("segmentation")
    if isinstance(segmentation, dict):
        (mask,) = outlines
        counts = segmentation["counts"]
        assert masks.to_rle(mask.points, height, width) == (
            rle.decode_counts(counts) if isinstance(counts, str) else counts
        )
    elif segmentation:
        assert sorted(list(shape.points) for shape in outlines) == sorted(inside(part) for part in segmentation)
    else:
        x, y, w, h = record["bbox"]
        (box,) = outlines
        assert list(box.points) == inside([x, y, x + w, y + h])
    keypoints = record.get("keypoints") or []
    if any(keypoints[2::3]):
        (skeleton,) = [shape for shape in shapes if shape.type == "skeleton"]
        told = [
            (*element.points, 0 if element.outside else 1 if element.occluded else 2) for element in skeleton.elements
        ]
        assert [point for point in told if point[2]] == [
            (*inside((x, y)), v) for x, y, v in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True) if v
        ]
    else:
        assert len(outlines) == len(shapes)


def check_all(job, cvat, client, records: dict[str, dict[str, dict]]) -> tuple[int, int]:
    """Every annotation of every image sent against its file, by split; how many went and how many were left out."""
    snapshot = Snapshot.of(job)
    sent = left = 0
    for task in tasks_of(job):
        assert frames_and_pictures(cvat, task) == frames_as_recorded(task)
        images = {image.asset: image for image in snapshot.images(task)}
        frozen = {item.key: item for item in snapshot.annotations(task)}
        held = {shape.id: shape for shape in client.annotations("tasks", task.cvat_id).shapes}
        known = {shape.id for item in snapshot.sent(task) for shape in item.shapes}
        assert set(held) == known
        for item in snapshot.sent(task):
            image = images[frozen[item.key].image]
            if item.left_out:
                left += 1
                continue
            sent += 1
            record = records[image.split][item.key]
            assert frozen[item.key].fields() == record
            check_shapes(record, [held[shape.id] for shape in item.shapes], image.width, image.height)
    return sent, left


@pytest.fixture
def empty(db) -> Project:
    """A project without anything in it."""
    return make_project(make_user("owner@example.com"), name="Real")


@pytest.fixture
def owner(empty):
    return empty.owner


def test_coco_mini_goes_out_with_crowds_keypoints_and_outlines_of_several_parts(empty, settings, cvat, start, work):
    load(empty, DATA / "coco_mini")
    job = work(start(empty, images_per_task=50))

    assert job.status == "succeeded", job.task.message
    folder = DATA / "coco_mini" / "annotations"
    records = {
        split: records_of(folder / f"instances_{split}2017.json", folder / f"person_keypoints_{split}2017.json")
        for split in ("train", "val")
    }
    with connecting.client_of(empty) as client:
        sent, left = check_all(job, cvat, client, records)
    assert (sent + left, left) == (739 + 624, 0)
    assert [task.images for task in tasks_of(job)] == [50, 30, 50, 29]
    assert {task.split.name for task in tasks_of(job)} == {"train", "val"}


def test_mmpose_fixtures_go_out(empty, cvat, start, work, tmp_path):
    folder = DATA / "mmpose_fixtures" / "coco"
    (tmp_path / "images").mkdir()
    for picture in folder.glob("*.jpg"):
        (tmp_path / "images" / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_bytes((folder / "test_coco.json").read_bytes())
    load(empty, tmp_path)
    job = work(start(empty))

    assert job.status == "succeeded", job.task.message
    with connecting.client_of(empty) as client:
        sent, left = check_all(job, cvat, client, {"val": records_of(folder / "test_coco.json")})
    assert (sent, left) == (14, 0)


def test_tracks_of_traffic_go_out_frame_by_frame(empty, cvat, start, work, tmp_path):
    folder = DATA / "cvat_traffic_tracks"
    for part in ("images", "annotations"):
        (tmp_path / part).mkdir()
    for picture in (folder / "frames").glob("*.jpg"):  # the set names them otherwise than its records
        (tmp_path / "images" / f"frame_{picture.stem}.png").write_bytes(picture.read_bytes())
    text = (folder / "annotations" / "instances_default.json").read_bytes()
    (tmp_path / "annotations" / "instances_default.json").write_bytes(text)
    load(empty, tmp_path)
    job = work(start(empty, q="status:ready"))

    assert job.status == "succeeded", job.task.message
    records = records_of(DATA / "cvat_traffic_tracks" / "annotations" / "instances_default.json")
    with connecting.client_of(empty) as client:
        split = empty.splits.get().name
        sent, left = check_all(job, cvat, client, {split: records})
        labels = {label.name: label for label in client.labels(job.cvat_project.cvat_id)}
        held = [shape for task in tasks_of(job) for shape in client.annotations("tasks", task.cvat_id).shapes]
    assert sent > 100
    assert left == 0
    assert labels["Car"].attribute("occluded") is None
    specs = {label.id: label.attribute("coco_id").id for label in labels.values()}
    lanes = {label.id: label.attribute("Lane_id") for label in labels.values()}
    for shape in held:
        told = records[shape.value(specs[shape.label_id])]["attributes"]
        assert shape.occluded is told["occluded"]
        assert shape.value(lanes[shape.label_id].id) == told["Lane_id"]
