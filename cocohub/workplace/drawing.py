"""Annotations as SVG over their picture: paths, keypoints, and the part of the picture that is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from annotations.coco import rle
from assets.models import ImageAsset

MARGIN = 0.35  # around what is drawn, as a part of its size
LEAST = 40.0  # pixels of the picture that are shown at least
MOST_RUNS = 20_000  # of a mask; of a larger one its box is drawn
DOT = 0.012  # radius of a keypoint, as a part of what is shown

Box = tuple[float, float, float, float]


@dataclass
class Drawing:
    """One state of an annotation: SVG paths, and keypoints (x, y, seen)."""

    kind: str  # before, now, after, remark
    paths: list[str] = field(default_factory=list)
    points: list[tuple[float, float, bool]] = field(default_factory=list)


def drawing_of(kind: str, fields: Mapping[str, Any]) -> Drawing:
    """What a record shows: its outline, or its box where it has none, and its keypoints."""
    drawing = Drawing(kind)
    segmentation, box = fields.get("segmentation"), fields.get("bbox")
    if isinstance(segmentation, list):
        drawing.paths += [path for part in segmentation if (path := _polygon(part))]
    elif isinstance(segmentation, Mapping):
        drawing.paths += [path for path in [_mask(segmentation)] if path]
    if not drawing.paths and _is_box(box):
        x, y, width, height = box
        drawing.paths.append(f"M{x:g} {y:g}h{width:g}v{height:g}h{-width:g}z")
    keypoints = fields.get("keypoints")
    if _is_numbers(keypoints) and len(keypoints) % 3 == 0:
        triples = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True)
        drawing.points = [(float(x), float(y), v == 2) for x, y, v in triples if v]
    return drawing


def _polygon(part: Any) -> str:
    if not _is_numbers(part) or len(part) < 6 or len(part) % 2:
        return ""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(part[::2], part[1::2], strict=True)) + "z"


def _mask(segmentation: Mapping[str, Any]) -> str:
    """The pixels of an RLE, a bar for each run down a column."""
    try:
        height = int(segmentation["size"][0])
        counts = segmentation["counts"]
        runs = rle.decode_counts(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (KeyError, TypeError, ValueError, IndexError):
        return ""
    if len(runs) > MOST_RUNS or height < 1:
        return ""
    found, at = [], 0
    for index, count in enumerate(runs):
        end = at + count
        while index % 2 and at < end:
            column, row = divmod(at, height)
            length = min(height - row, end - at)
            found.append(f"M{column} {row}h1v{length}h-1z")
            at += length
        at = end
    return "".join(found)


def _is_numbers(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and all(isinstance(one, int | float) for one in value)


def _is_box(value: Any) -> TypeGuard[list[float]]:
    return _is_numbers(value) and len(value) == 4


def bounds_of(fields: Mapping[str, Any]) -> Box | None:
    """Left, top, right and bottom of a record's box; None without one."""
    box = fields.get("bbox")
    if _is_box(box):
        x, y, width, height = (float(value) for value in box)
        return x, y, x + width, y + height
    return None


def size_of(image: ImageAsset | None) -> tuple[float, float]:
    """Width and height in pixels; 0 for what is not known."""
    return (float(image.width or 0), float(image.height or 0)) if image is not None else (0.0, 0.0)


def view_of(boxes: Sequence[Box | None], width: float, height: float) -> Box:
    """x, y, width and height of what is shown: what is drawn with room around it; the whole picture for a tag."""
    known = [box for box in boxes if box is not None]
    if not known:
        return 0, 0, width or LEAST, height or LEAST
    left, top = min(box[0] for box in known), min(box[1] for box in known)
    right, bottom = max(box[2] for box in known), max(box[3] for box in known)
    side = max(right - left, bottom - top, LEAST)
    room = side * MARGIN
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    across, down = max(right - left, side * 0.75) + 2 * room, max(bottom - top, side * 0.75) + 2 * room
    x, across = _within(middle_x - across / 2, across, width)
    y, down = _within(middle_y - down / 2, down, height)
    return x, y, across, down


def _within(start: float, length: float, limit: float) -> tuple[float, float]:
    """The stretch moved onto the picture, as far as it has one: what was drawn beside it stays in view."""
    if limit and 0 <= start + length / 2 <= limit:
        length = min(length, limit)
        start = min(max(start, 0.0), limit - length)
    return round(start, 2), round(length, 2)
