"""Stored boxes, masks and keypoints as COCO's evaluation takes them, or None where it could not.

The evaluation is C++ that trusts what it is given; a JSON column may hold anything. Units are pixels.
"""

import math
import re
from typing import Any

import orjson
from faster_coco_eval.core import mask as masks

from annotations.coco.rle import MAX_PIXELS

FARTHEST = 100_000  # pixels from the origin: a polygon's outline is drawn dot by dot
# Compressed runs: characters with 6 bits each, of which the last one ends a number.
_RUNS = re.compile(r"[0-o]*[0-O]")

Box = list[float]
Rle = dict[str, Any]


def parsed(text: str | None) -> Any:
    """The value of a JSON column; None where it is NULL or has numbers that no machine has."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def numbers(value: Any, length: int | None = None) -> list[float] | None:
    """A list of numbers, of this length, that lie near the origin."""
    if not isinstance(value, list) or (length is not None and len(value) != length):
        return None
    if not all(type(each) in (int, float) and abs(each) <= FARTHEST for each in value):
        return None
    return [float(each) for each in value]


def box(value: Any) -> Box | None:
    """[x, y, width, height]."""
    found = numbers(value, 4)
    return found if found is not None and found[2] >= 0 and found[3] >= 0 else None


def rle(value: Any, width: int | None, height: int | None) -> Rle | None:
    """The mask of polygons, or of runs, on an image of this size."""
    if not width or not height or width * height > MAX_PIXELS or width < 0 or height < 0:
        return None
    if isinstance(value, list):
        polygons = [numbers(each) for each in value]
        if not polygons or any(each is None or len(each) < 6 or len(each) % 2 for each in polygons):
            return None
        return dict(masks.merge(masks.frPyObjects(polygons, height, width)))
    if not isinstance(value, dict) or value.get("size") != [height, width]:
        return None
    match value.get("counts"):
        case str(counts) if _RUNS.fullmatch(counts):
            return {"size": [height, width], "counts": counts.encode()}
        case list(counts) if all(type(each) is int and each >= 0 for each in counts) and sum(counts) == width * height:
            return dict(masks.frPyObjects({"size": [height, width], "counts": counts}, height, width))
    return None


def area_of(mask: Rle) -> float:
    """Pixels of a mask."""
    return float(masks.area([mask])[0])


def box_of(mask: Rle) -> Box:
    """The box around a mask."""
    return [float(each) for each in masks.toBbox([mask])[0]]


def around(keypoints: list[float]) -> Box:
    """The box around keypoints [x, y, visibility] * n."""
    xs, ys = keypoints[0::3], keypoints[1::3]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def number(value: Any) -> float | None:
    """A stored number; None where it is beyond all machines' numbers."""
    if value is None:
        return None
    found = float(value)
    return found if math.isfinite(found) else None
