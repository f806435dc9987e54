"""A small world for comparisons: labels, annotations as they went out, and an annotator who remembers what he did.

Each of the annotator's doings changes CVAT's shapes and, by rules of its own, the COCO records that must come of it.
"""

import copy
from dataclasses import replace
from typing import Any

from exports.cvat.converting import Target, to_shapes
from exports.cvat.guards import clipped
from exports.cvat.records import Attribute, Frame, Label
from exports.cvat.shapes import Shape
from exports.pulling.differing import compare
from exports.pulling.states import Comparison, Kind, Meaning, Ours, Piece, Sent, Subject, Theirs, Vocabulary

FRAMES = [Frame("a.jpg", 100, 80), Frame("b.jpg", 60, 60)]


def label(number: int, name: str, kind: str = "any", points: tuple[str, ...] = (), more: tuple[Attribute, ...] = ()):
    own = (
        Attribute(number * 10 + 1, "coco_id", "text", False, "", ("",)),
        Attribute(number * 10 + 2, "is_crowd", "checkbox", False, "false", ("",)),
    )
    inner = tuple(Label(number * 100 + at, point, "points", "") for at, point in enumerate(points))
    return Label(number, name, kind, "", own + more, inner)


KIND = Attribute(13, "kind", "select", False, "-", ("-", "none", "some", "much"))
SPEED = Attribute(14, "speed", "number", False, "0", ("0", "100", "1"))
PARKED = Attribute(15, "parked_", "checkbox", False, "false", ("",))
CAR = label(1, "car", more=(KIND, SPEED, PARKED))
BUS = label(2, "bus", more=(replace(KIND, id=23),))
PERSON = label(3, "person")
SKELETON = label(4, "person_keypoints", "skeleton", ("nose", "left", "right"))
STRANGE = label(5, "drawn by somebody")
LABELS = {one.id: one for one in (CAR, BUS, PERSON, SKELETON, STRANGE)}
CATEGORIES = {1: 101, 2: 102, 3: 103, 4: 103}
ATTRIBUTES = {
    101: {"kind": Meaning("kind", ("string",), absent="-"), "parked_": Meaning("parked", ("boolean",))},
}
VOCABULARY = Vocabulary(LABELS, CATEGORIES, ATTRIBUTES, {1: "car", 2: "bus", 3: "person", 4: "person"})
TARGETS = {101: Target(CAR), 102: Target(BUS), 103: Target(PERSON, SKELETON)}

RECORDS: dict[str, dict[str, Any]] = {
    "1": {
        "frame": 0,
        "category": 101,
        "bbox": [10, 10, 20.50, 20],
        "area": 410,
        "iscrowd": 0,
        "segmentation": [],
        "attributes": {"kind": "some", "speed": 30, "parked": True, "odd": {"a": [1]}},
    },
    "2": {
        "frame": 0,
        "category": 101,
        "bbox": [40, 10, 30, 30],
        "area": 250.25,
        "iscrowd": 0,
        "segmentation": [[40, 10, 50.125, 10, 50, 20], [60, 30, 70, 30, 70, 40, 60.5, 40]],
        "unknown": "kept",
    },
    "3": {
        "frame": 0,
        "category": 103,
        "bbox": [5, 40, 20, 30],
        "area": 300,
        "iscrowd": 0,
        "segmentation": [[5, 40, 25, 40, 15, 70]],
        "keypoints": [7, 45, 2, 12.5, 50, 1, 3, 3, 0],
        "num_keypoints": 2,
    },
    "4": {
        "frame": 1,
        "category": 102,
        "bbox": [0, 0, 2, 30],
        "area": 60,
        "iscrowd": 1,
        "segmentation": {"size": [60, 60], "counts": [0, 30, 30, 30, 3510]},
    },
    # No area, no iscrowd; points beyond the edge of the image, which go out on the edge.
    "5": {"frame": 1, "category": 102, "bbox": [20, 20, 45, 20], "segmentation": [[20, 20, 65, 20, 65, 40]]},
    "6": {"frame": 1, "category": 101, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
}


def values_of(record: dict[str, Any]) -> tuple[tuple[int, str], ...]:
    """The attributes that travel."""
    found = record.get("attributes", {}) if record["category"] == 101 else {}
    specs = {"kind": 13, "speed": 14, "parked": 15}
    text = {True: "true", False: "false"}
    return tuple(
        (specs[name], text[value] if isinstance(value, bool) else str(value))
        for name, value in found.items()
        if name in specs
    )


class World:
    """What was sent, what CVAT has and what is here, with the oracle's record of each annotation."""

    def __init__(self, records: dict[str, dict[str, Any]] | None = None) -> None:
        self.records = copy.deepcopy(records or RECORDS)
        self.ids = 1000
        self.groups = 50
        self.sent: list[Sent] = []
        self.shapes: list[Shape] = []
        for number, (key, record) in enumerate(self.records.items(), 1):
            frame = FRAMES[record["frame"]]
            made = to_shapes(
                record, TARGETS[record["category"]], record["frame"], frame,
                coco_id=key, group=number, values=values_of(record),
            )  # fmt: skip
            shapes = [replace(clipped(shape, frame), id=self.next_id()) for shape in made]
            self.shapes += shapes
            fields = {name: value for name, value in record.items() if name != "frame"}
            pieces = tuple(Piece.of(shape) for shape in shapes)
            self.sent.append(Sent(key, record["frame"], pieces, fields, version=1, annotation=number))
        self.ours = {one.key: Ours(1, one.fields) for one in self.sent}
        self.expected = copy.deepcopy(self.records)  # what must be here in the end
        self.new: list[dict[str, Any]] = []

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def next_group(self) -> int:
        self.groups += 1
        return self.groups

    def of(self, key: str) -> list[Shape]:
        """The shapes of an annotation by its own ids: as the annotator knows them."""
        ids = {piece.shape.id for one in self.sent if one.key == key for piece in one.pieces}
        return [shape for shape in self.shapes if shape.id in ids]

    def put(self, old: Shape, new: Shape | None) -> None:
        """Replace a shape, or delete it."""
        at = next(index for index, shape in enumerate(self.shapes) if shape is old)
        self.shapes[at : at + 1] = [] if new is None else [new]

    def compare(self, **theirs: Any) -> Comparison:
        """Compare."""
        pieces = theirs.pop("pieces", None) or [Piece.of(shape) for shape in self.shapes]
        side = Theirs(pieces, FRAMES, **theirs)
        return compare(self.sent, side, self.ours, VOCABULARY)


def applied(world: World, found: Comparison) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The records after all differences have been taken over, and the new ones."""
    records, new = copy.deepcopy(world.records), []
    for difference in found.differences:
        assert not difference.problem, difference
        assert difference.subject is Subject.ANNOTATION
        match difference.kind:
            case Kind.DELETED:
                del records[difference.key]
            case Kind.ADDED:
                new.append({"frame": difference.frame, **difference.after})
            case Kind.CHANGED:
                record = records[difference.key]
                for name, value in difference.after.items():
                    record[name] = value
                    if value is None:
                        del record[name]
    return records, new


def shoelace(part: list[float]) -> float:
    """The oracle's own area."""
    points = [(part[at], part[at + 1]) for at in range(0, len(part), 2)]
    total = 0.0
    for at in range(len(points)):
        (x1, y1), (x2, y2) = points[at - 1], points[at]
        total += x1 * y2 - x2 * y1
    return abs(total) / 2


def outlined(record: dict[str, Any]) -> None:
    """The oracle's own box and area of a record with polygons, where it has them."""
    parts = record["segmentation"]
    xs = [value for part in parts for value in part[::2]]
    ys = [value for part in parts for value in part[1::2]]
    if "bbox" in record:
        record["bbox"] = [min(xs), min(ys), round(max(xs) - min(xs), 6), round(max(ys) - min(ys), 6)]
    if "area" in record:
        record["area"] = round(sum(map(shoelace, parts)), 6)
