"""Real data sets (../shared/data, not part of this repository) go out, are worked on, and come home.

An oracle of its own says what must be here in the end, annotation by annotation; everything that the annotator left
alone must be as it was, to the type of each number.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from annotations.coco import rle
from annotations.importing import FileToImport, import_files
from annotations.report import Report
from annotations.sources import Folder
from exports.cvat.shapes import Shape
from exports.models import CvatDifference
from tests.exports.pulling.conftest import Desk, exported, open_differences, pull, send, undo
from tests.exports.pulling.worlds import shoelace

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@dataclass(frozen=True)
class RealSet:
    """Files of one split, and where its pictures are."""

    files: tuple[str, ...]
    pictures: str
    edits: int
    renamed: tuple[str, ...] = ()  # the records name the pictures otherwise than they are called

    @property
    def is_here(self) -> bool:
        return all((DATA / name).is_file() for name in self.files)

    def paths(self, folder: Path) -> list[Path]:
        """The files; with the names of the pictures there are, and the records of those alone, if they had others."""
        if not self.renamed:
            return [DATA / name for name in self.files]
        found = []
        for name in self.files:
            text = (DATA / name).read_text()
            for old, new in zip(self.renamed[::2], self.renamed[1::2], strict=True):
                text = text.replace(old, new)
            document = json.loads(text)
            document["images"] = [
                one for one in document["images"] if (DATA / self.pictures / one["file_name"]).is_file()
            ]
            kept = {one["id"] for one in document["images"]}
            document["annotations"] = [one for one in document["annotations"] if one["image_id"] in kept]
            found.append(folder / Path(name).name)
            found[-1].write_text(json.dumps(document))
        return found


SETS = {
    "coco_mini train": RealSet(
        ("coco_mini/annotations/instances_train2017.json", "coco_mini/annotations/person_keypoints_train2017.json"),
        "coco_mini/train2017",
        edits=150,
    ),
    "coco_mini val": RealSet(
        ("coco_mini/annotations/instances_val2017.json", "coco_mini/annotations/person_keypoints_val2017.json"),
        "coco_mini/val2017",
        edits=100,
    ),
    "mmpose": RealSet(("mmpose_fixtures/coco/test_coco.json",), "mmpose_fixtures/coco", edits=12),
    "traffic": RealSet(
        ("cvat_traffic_tracks/annotations/instances_default.json",),
        "cvat_traffic_tracks/frames",
        renamed=("frame_", "", ".png", ".jpg"),
        edits=60,
    ),
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"there are no sample data sets in {DATA}")


@pytest.fixture(params=list(SETS))
def real(request, transactional_db, project, cvat, tmp_path):
    """One of the sets in the project."""
    chosen = SETS[request.param]
    if not chosen.is_here:
        pytest.skip(f"{request.param} is not there")
    import_files(
        project=project,
        files=[FileToImport(path, "train") for path in chosen.paths(tmp_path)],
        report=Report(),
        pictures=Folder(DATA / chosen.pictures),
    )
    project.refresh_from_db()
    return chosen


def by_id(text: bytes) -> dict[int, dict[str, Any]]:
    return {one["id"]: one for one in json.loads(text)["annotations"]}


def typed(value: Any) -> Any:
    """JSON with the type of each number beside it."""
    if isinstance(value, dict):
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return (type(value).__name__, value)


def test_no_edit_changes_not_a_byte(real, project, owner):
    before = exported(project)
    job = send(owner, project, images_per_task=50)
    assert exported(project) == before
    work = pull(owner, job, policy="theirs", everything=True)
    assert CvatDifference.objects.count() == 0
    assert work.result["unchanged"] == sum(task.sent for task in job.cvat_tasks.all()) > 0
    assert exported(project) == before


def test_edits_come_home_annotation_by_annotation(real, project, owner, client):
    before = exported(project)
    job = send(owner, project, images_per_task=50)
    annotator = Annotator(Desk(client, job), by_id(before))
    annotator.work(real.edits)
    annotator.save()
    work = pull(owner, job, policy="accept")
    assert [one.problem or one.conflict for one in open_differences(job)] == []
    after = by_id(exported(project))

    for key, record in annotator.expected.items():
        if key in annotator.touched:
            assert agree(after[key], record), (after[key], record)
        else:
            assert typed(after[key]) == typed(record), key
    new = {key: one for key, one in after.items() if key not in annotator.expected}
    assert min(new, default=0) > max(by_id(before)) or not new
    told = sorted((one["category_id"], one["bbox"]) for one in new.values())
    assert agree(told, sorted((one["category_id"], one["bbox"]) for one in annotator.new))
    assert len(annotator.touched) + len(annotator.new) >= real.edits // 3

    undo(owner, work)
    assert exported(project) == before


def agree(one: Any, other: Any) -> bool:
    """Whether they are the same JSON, but for the last digits of numbers that are computed."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        return one == other
    return isinstance(other, int | float) and abs(one - other) <= 0.002


class Annotator:
    """Works on the shapes of an export at random, and keeps the books by himself."""

    def __init__(self, desk: Desk, records: dict[int, dict[str, Any]]) -> None:
        self.desk = desk
        self.expected = records
        self.touched: set[int] = set()
        self.new: list[dict[str, Any]] = []
        self.chance = random.Random(7)
        self.categories = {label.id: name for name, label in desk.labels.items() if not name.endswith("_keypoints")}
        self.places: dict[int, tuple[Any, list[Shape]]] = {}
        for task in desk.tasks:
            for shape in desk.shapes(task):
                self.places.setdefault(int(desk.key_of(shape)), (task, []))[1].append(shape)
        self.saved: dict[tuple[int, str], tuple[Any, list[Shape]]] = {}
        ids: dict[str, int] = {}
        for key, (_, shapes) in self.places.items():
            for shape in shapes:
                if shape.label_id in self.categories:
                    ids.setdefault(self.categories[shape.label_id], records[key]["category_id"])
        self.category_ids = ids

    def work(self, edits: int) -> None:
        keys = self.chance.sample(sorted(self.places), min(edits, len(self.places)))
        for key in keys:
            task, shapes = self.places[key]
            doings: list[Callable[..., bool]] = [self.delete, self.copy, self.relabel, self.outline, self.outline]
            doings += [self.occlude]
            if any(shape.type == "skeleton" for shape in shapes):
                doings += [self.keypoint] * 4
            if self.attribute_of(shapes[0]) is not None:
                doings += [self.attribute] * 4
            self.chance.choice(doings)(key, task, shapes)

    def save(self) -> None:
        """Everything, as the editor saves: what was changed, made and deleted of each task."""
        for (_, action), (task, shapes) in self.saved.items():
            self.desk.save(task, action, shapes)

    def keep(self, task: Any, action: str, *shapes: Shape) -> None:
        self.saved.setdefault((task.pk, action), (task, []))[1].extend(shapes)

    def delete(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        self.keep(task, "delete", *shapes)
        del self.expected[key]
        return True

    def copy(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        shape = next((one for one in shapes if one.type in ("polygon", "rectangle")), None)
        if shape is None or shape.label_id not in self.categories:
            return False
        moved = tuple(value / 2 + 3 for value in shape.points)
        self.keep(task, "create", replace(shape, id=None, group=0, points=moved))
        xs, ys = moved[::2], moved[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        self.new.append({"category_id": self.expected[key]["category_id"], "bbox": box})
        return True

    def relabel(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        if any(shape.type == "skeleton" for shape in shapes):
            return False
        name = self.chance.choice(sorted(self.category_ids))
        label = self.desk.labels[name]
        if label.id == shapes[0].label_id:
            return False
        specs = {one.name: one.id for one in label.attributes}
        for shape in shapes:
            old = {one.id: one.name for one in self.desk.by_id[shape.label_id].attributes}
            values = tuple((specs[old[spec]], value) for spec, value in shape.attributes if old[spec] in specs)
            self.keep(task, "update", replace(shape, label_id=label.id, attributes=values))
        self.expected[key]["category_id"] = self.category_ids[name]
        self.touched.add(key)
        return True

    def keypoint(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        skeleton = next(shape for shape in shapes if shape.type == "skeleton")
        label = self.desk.by_id[skeleton.label_id]
        order = [one.id for one in label.sublabels]
        at = self.chance.randrange(len(order))
        elements = []
        for element in skeleton.elements:
            if element.label_id == order[at]:
                element = replace(element, points=(12.5, 33.25), outside=False, occluded=True)
            elements.append(element)
        self.keep(task, "update", replace(skeleton, elements=tuple(elements)))
        record = self.expected[key]
        record["keypoints"][3 * at : 3 * at + 3] = [12.5, 33.25, 1]
        record["num_keypoints"] = sum(1 for v in record["keypoints"][2::3] if v)
        self.touched.add(key)
        return True

    def attribute_of(self, shape: Shape) -> Any:
        """An attribute of the data set, with values to choose from."""
        found = self.desk.by_id[shape.label_id].attributes
        return next((one for one in found if one.input_type == "select"), None)

    def attribute(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        chosen = self.attribute_of(shapes[0])
        value = self.chance.choice([one for one in chosen.values if one != shapes[0].value(chosen.id)])
        self.keep(task, "update", self.desk.valued(shapes[0], **{chosen.name: value}))
        record = self.expected[key].setdefault("attributes", {})
        record[chosen.name] = value
        if value == chosen.default_value:
            del record[chosen.name]
        self.touched.add(key)
        return True

    def occlude(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        outline = next((shape for shape in shapes if shape.type != "skeleton"), None)
        if outline is None:
            return False
        self.keep(task, "update", replace(outline, occluded=not outline.occluded))
        self.expected[key].setdefault("attributes", {})["occluded"] = not outline.occluded
        self.touched.add(key)
        return True

    def outline(self, key: int, task: Any, shapes: list[Shape]) -> bool:
        record = self.expected[key]
        outlines = [shape for shape in shapes if shape.type != "skeleton"]
        if not outlines:
            return False
        self.touched.add(key)
        if outlines[0].type == "mask":
            self.keep(task, "update", replace(outlines[0], points=(0, 12, 2, 3, 5, 5)))  # 4 x 3 pixels
            height, width = record["segmentation"]["size"]
            runs = [2 * height + 3, 3]
            for _ in range(3):
                runs += [height - 3, 3]
            runs.append(height * width - sum(runs))
            text = isinstance(record["segmentation"]["counts"], str)
            record["segmentation"]["counts"] = rle.encode_counts(runs) if text else runs
            record["bbox"], record["area"] = [2, 3, 4, 3], 12
        elif outlines[0].type == "rectangle":
            x1, y1, x2, y2 = outlines[0].points
            self.keep(task, "update", replace(outlines[0], points=(x1, y1, (x1 + x2) / 2, y2)))
            x, y, width, height = record["bbox"]
            record["bbox"] = [x, y, (x2 - x1) / 2, height]
            record["area"] = record["bbox"][2] * height
        else:
            shape = self.chance.choice(outlines)
            part = next(part for part in record["segmentation"] if _is_near(part, shape.points))
            at = 2 * self.chance.randrange(len(part) // 2)
            part[at : at + 2] = [7.5, 9.25]
            points = list(shape.points)
            points[at : at + 2] = [7.5, 9.25]
            self.keep(task, "update", replace(shape, points=tuple(points)))
            xs = [value for one in record["segmentation"] for value in one[::2]]
            ys = [value for one in record["segmentation"] for value in one[1::2]]
            record["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
            record["area"] = sum(map(shoelace, record["segmentation"]))
        return True


def _is_near(part: list[float], points: tuple[float, ...]) -> bool:
    """The same polygon, but for what lay over the edge of the image."""
    return len(part) == len(points) and all(abs(a - b) < 2 for a, b in zip(part, points, strict=True))
