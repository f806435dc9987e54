"""People's annotations and a source's predictions, read from the database class by class.

A class is judged by itself, so that no more than one is in memory, and a large one in parts that end between images.
"""

# ruff: noqa: S608 - put together from constants; every value is a parameter

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from insights.metrics.selection import Selection
from insights.predictions import shapes
from insights.predictions.figures import Kind

Record = dict[str, Any]
Row = tuple[Any, ...]

PART = 20_000  # objects
# What COCO's evaluation looks at per image and class: those with the highest scores.
MOST: dict[Kind, int] = {"bbox": 100, "segm": 100, "keypoints": 20}
# A prediction of a machine that does not say how sure it is.
SURE = 1.0

_COLUMNS: dict[Kind, str] = {
    "bbox": "a.bbox::text, CASE WHEN a.bbox IS NULL THEN a.segmentation::text END",
    "segm": "a.segmentation::text, NULL",
    "keypoints": "a.keypoints::text, a.bbox::text",
}
_HAS: dict[Kind, str] = {
    "bbox": "(a.bbox IS NOT NULL OR a.segmentation IS NOT NULL)",
    "segm": "a.segmentation IS NOT NULL",
    "keypoints": "a.keypoints IS NOT NULL",
}
_JUDGED = "a.project_id = {project:d} AND a.kind = 0 AND (NOT a.is_machine OR a.source = %s) AND i.split_id = ANY(%s)"


@dataclass
class Part:
    """Some images of a class: sizes (width, height) by key, people's objects, and what the source found."""

    images: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    truths: list[Record] = field(default_factory=list)
    detections: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """Whose predictions are judged, on which images."""

    selection: Selection
    name: str
    splits: Sequence[int]

    def counts(self) -> list[tuple[int | None, bool, int, int, int]]:
        """(category, whether by the machine, with a box or mask, with a mask, with keypoints) for what is there."""
        filters = ", ".join(f"count(*) FILTER (WHERE {_HAS[kind]})" for kind in ("bbox", "segm", "keypoints"))
        rows = self.selection.rows(
            f"SELECT a.category_id, a.is_machine, {filters} FROM annotations_annotation a JOIN i ON i.id = a.image_id"
            f" WHERE {self._judged} GROUP BY 1, 2",
            [self.name, self.splits],
        )
        return [tuple(row) for row in rows]

    def images(self) -> int:
        """How many images there are to look at."""
        return int(self.selection.rows("SELECT count(*) FROM i WHERE i.split_id = ANY(%s)", [self.splits])[0][0])

    def parts(self, kind: Kind, categories: Sequence[int], left_out: "Counter[tuple[str, bool]]") -> Iterator[Part]:
        """The objects of a class that have a box (a mask, keypoints), image by image; inside a transaction.

        `left_out` counts (reason, whether by the machine) of those that cannot be judged.
        """
        rows = self.selection.stream(
            f"SELECT a.image_id, i.width, i.height, a.is_machine, a.area, a.iscrowd, a.score, a.num_keypoints,"
            f" {_COLUMNS[kind]} FROM annotations_annotation a JOIN i ON i.id = a.image_id"
            f" WHERE {self._judged} AND a.category_id = ANY(%s) AND {_HAS[kind]} ORDER BY a.image_id, a.coco_id, a.id",
            [self.name, self.splits, list(categories)],
        )
        part = Part()
        for image, of_image in groupby(rows, key=lambda row: row[0]):
            if len(part.truths) + len(part.detections) >= PART:
                yield part
                part = Part()
            detections = []
            for row in of_image:
                part.images[image] = row[1], row[2]
                record = _MADE[kind](row)
                if record is None:
                    left_out[_REASONS[kind], row[3]] += 1
                elif row[3]:
                    detections.append(record)
                else:
                    part.truths.append(record)
            detections.sort(key=lambda record: -record["score"])  # stable, as COCO's is
            part.detections += detections[: MOST[kind]]
        if part.images:
            yield part

    @property
    def _judged(self) -> str:
        return _JUDGED.format(project=self.selection.project.pk)


def _made(row: Row, area: float, **shape: Any) -> Record:
    image, _, _, machine, _, crowd, score, *_ = row
    given = shapes.number(score)
    return {
        "image_id": image,
        "category_id": 1,
        "area": area,
        "iscrowd": 0 if machine else int(bool(crowd)),
        "score": SURE if given is None else given,
        **shape,
    }


def _area(row: Row, measured: float) -> float:
    """People's objects have the area that their record says; a detection's is that of its shape, as in loadRes."""
    said = None if row[3] else shapes.number(row[4])
    return measured if said is None else said


def _boxed(row: Row) -> Record | None:
    found = shapes.box(shapes.parsed(row[8]))
    if row[8] is None:
        mask = shapes.rle(shapes.parsed(row[9]), row[1], row[2])
        found = None if mask is None else shapes.box_of(mask)
    return None if found is None else _made(row, _area(row, found[2] * found[3]), bbox=found)


def _masked(row: Row) -> Record | None:
    mask = shapes.rle(shapes.parsed(row[8]), row[1], row[2])
    return None if mask is None else _made(row, _area(row, shapes.area_of(mask)), segmentation=mask)


def _posed(row: Row) -> Record | None:
    points = shapes.numbers(shapes.parsed(row[8]))
    if not points or len(points) % 3:
        return None
    around = shapes.around(points)
    bbox = shapes.box(shapes.parsed(row[9])) or around
    labelled = row[7] if row[7] is not None else sum(1 for seen in points[2::3] if seen > 0)
    size = around if row[3] else bbox
    return _made(row, _area(row, size[2] * size[3]), keypoints=points, bbox=bbox, num_keypoints=labelled)


_MADE: dict[Kind, Callable[[Row], Record | None]] = {"bbox": _boxed, "segm": _masked, "keypoints": _posed}
_REASONS: dict[Kind, str] = {
    "bbox": "The box is not four numbers [x, y, width, height].",
    "segm": "The mask cannot be drawn: the image has no size, the runs are of another size, or no polygon.",
    "keypoints": "The keypoints are not numbers [x, y, visibility] for each point.",
}
