"""Drawings compared, and COCO fields of changed ones: numbers of what was not moved stay as they were."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotations.coco import rle
from exports.cvat import converting, masks
from exports.cvat.converting import Segmentation, Unconvertible
from exports.cvat.guards import LEAST, clipped, has_area
from exports.cvat.records import Frame, Label
from exports.cvat.shapes import Shape
from exports.pulling.states import Fields, Piece

# Pixels. What moved less was not moved by anybody: editors turn numbers over between canvas and image.
STILL = 0.001

Pair = tuple[Piece, Piece]  # as sent, as it is


def same_drawing(one: Shape, other: Shape) -> bool:
    """Whether two shapes show the same pixels: type, points and turn; of a skeleton each point, seen or hidden."""
    if one.type != other.type or _turned(one, other):
        return False
    if one.type == "skeleton":
        return _elements(one).keys() == _elements(other).keys() and all(
            same_point(element, _elements(other)[label]) for label, element in _elements(one).items()
        )
    if one.points == other.points or (
        len(one.points) == len(other.points) and all(map(_near, one.points, other.points))
    ):
        return True
    return one.type == "mask" and _pixels(one) == _pixels(other)


def same_point(one: Shape, other: Shape) -> bool:
    """The same for a keypoint; where one that is outside lies does not matter."""
    if one.outside or other.outside:
        return one.outside == other.outside
    return (
        one.occluded == other.occluded
        and len(one.points) == len(other.points)
        and all(map(_near, one.points, other.points))
    )


def _turned(one: Shape, other: Shape) -> bool:
    between = abs(one.rotation - other.rotation) % 360
    return min(between, 360 - between) > STILL


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= STILL


def _elements(skeleton: Shape) -> dict[int, Shape]:
    found: dict[int, Shape] = {}
    for element in skeleton.elements:
        found.setdefault(element.label_id, element)
    return found


def _pixels(mask: Shape) -> object:
    """Equal for masks of the same pixels, whatever room their boxes leave: stretches (y, from x, to x) of the image."""
    if masks.flaw(mask.points):
        return mask.points
    left, top, right, _ = (int(value) for value in mask.points[-masks.BOX :])
    width = right - left + 1
    found: list[tuple[int, int, int]] = []
    at = 0
    for index, value in enumerate(mask.points[: -masks.BOX]):
        end = at + int(value)
        while index % 2 and at < end:
            row, column = divmod(at, width)
            length = min(width - column, end - at)
            found.append((top + row, left + column, left + column + length))
            at += length
        at = end
    return found


# --- Fields -----------------------------------------------------------------------------------------------------------


def geometry(
    before: Fields, pairs: Sequence[Pair], extra: Sequence[Piece], lost: Sequence[Piece], frame: Frame
) -> dict[str, Any]:
    """`segmentation`, `bbox` and `area` of outlines that have changed: `pairs` (as sent, as they are), `extra` that
    came and `lost` that are gone. Fields that the record did not have stay away unless they are needed now.

    Raises Unconvertible.
    """
    shapes = [*(now.shape for _, now in pairs), *(piece.shape for piece in extra)]
    drawn = converting.from_shapes(shapes, {}, frame)
    segmentation, bbox = drawn.segmentation, drawn.bbox
    if isinstance(segmentation, list):
        if all(shape.type == "polygon" for shape in shapes):
            segmentation = _parts(before.get("segmentation"), pairs, extra, lost, frame)
        # What CVAT could not be sent (a line, a point, half a pair) covers nothing.
        drawable = [part for part in segmentation if is_polygon(part)]
        bbox = converting.to_bbox([value for part in drawable for value in part]) if drawable else None
        area = converting.area_of(drawable, bbox)
    else:
        if segmentation is None and bbox is not None and pairs:
            bbox = _box(before.get("bbox"), *pairs[0]) or bbox
        area = converting.area_of(segmentation, bbox)
    if bbox is None or not (bbox[2] and bbox[3]):
        raise Unconvertible("It has no area.")
    found: dict[str, Any] = {}
    if segmentation is not None:
        found["segmentation"] = _in_style(before.get("segmentation"), segmentation)
    elif before.get("segmentation"):
        found["segmentation"] = []
    known = before.get("bbox") is not None or not before
    if known or segmentation is None:
        found["bbox"] = list(bbox)
    if "area" in before or not before:
        found["area"] = area
    return found


def _in_style(before: Any, segmentation: Segmentation) -> Segmentation:
    """Runs as a string where they were one."""
    if isinstance(segmentation, dict) and isinstance(before, Mapping) and isinstance(before.get("counts"), str):
        return {**segmentation, "counts": rle.encode_counts(segmentation["counts"])}
    return segmentation


def is_polygon(part: Any) -> bool:
    """Whether a part of a segmentation can be drawn: three points at least that are not on one line."""
    return isinstance(part, list) and len(part) >= LEAST["polygon"] and not len(part) % 2 and has_area(part)


def _parts(
    before: Any, pairs: Sequence[Pair], extra: Sequence[Piece], lost: Sequence[Piece], frame: Frame
) -> list[list[float]]:
    """The polygons: parts in their order, points that were not moved with their old numbers, new parts at the end.

    Parts that were never sent, because CVAT cannot hold them, are still there.
    """
    old = before if isinstance(before, list) else []
    outlines = [pair for pair in pairs if pair[0].shape.type == "polygon"]
    gone = [piece.shape for piece in lost if piece.shape.type == "polygon"]
    indexes = _indexes(old, [*(sent.shape for sent, _ in outlines), *gone], frame)
    found = {index: part for index, part in enumerate(old) if index not in indexes}
    new: list[list[float]] = []
    for (sent, now), index in zip(outlines, indexes, strict=False):
        if index is None:
            new.append(list(now.shape.points))
        elif same_drawing(sent.shape, now.shape):
            found[index] = old[index]
        else:
            found[index] = _kept(old[index], sent.shape.points, now.shape.points)
    others = [now for sent, now in pairs if sent.shape.type != "polygon"]
    ordered = [found[index] for index in sorted(found)]
    return [*ordered, *new, *(list(piece.shape.points) for piece in (*others, *extra))]


def _indexes(old: Sequence[Any], sent: Sequence[Shape], frame: Frame) -> list[int | None]:
    """Which part of the segmentation each polygon is."""
    # Points that were outside of the image were put on its edge on the way out; what had no area then did not go.
    free = {index: on_edge for index, part in enumerate(old) if is_polygon(on_edge := _as_sent(part, frame))}
    found: list[int | None] = [None] * len(sent)
    same: tuple[Callable[[list[float], Shape], bool], ...] = (
        lambda part, shape: _is_part(part, shape.points),
        lambda part, shape: len(part) == len(shape.points),
    )
    for is_same in same:
        for place, shape in enumerate(sent):
            index = next((at for at, part in free.items() if is_same(part, shape)), None)
            if found[place] is None and index is not None:
                found[place] = index
                del free[index]
    return found


def _as_sent(part: Any, frame: Frame) -> Any:
    """The part's points, those outside of the image on its edge."""
    if not isinstance(part, list) or len(part) % 2:
        return part
    return list(clipped(Shape("polygon", 0, 0, tuple(part)), frame).points)


def _is_part(part: Sequence[float], points: Sequence[float]) -> bool:
    return len(part) == len(points) and all(map(_near, part, points))


def _kept(old: Sequence[float], sent: Sequence[float], now: Sequence[float]) -> list[float]:
    """The points as they are now; those that were there before with the numbers that they had."""
    known: dict[tuple[int, int], list[tuple[int, float, float]]] = {}
    for at in range(0, len(sent) - 1, 2):
        cell = (round(sent[at] / STILL), round(sent[at + 1] / STILL))
        known.setdefault(cell, []).append((at, old[at], old[at + 1]))
    found: list[float] = []
    for at in range(0, len(now) - 1, 2):
        x, y = now[at], now[at + 1]
        cell = (round(x / STILL), round(y / STILL))
        near = known.get(cell)
        if near:
            _, x, y = min(near, key=lambda one: abs(one[0] - at))
        elif len(now) == len(sent):  # moved along one axis only
            x = old[at] if _near(x, sent[at]) else x
            y = old[at + 1] if _near(y, sent[at + 1]) else y
        found += (x, y)
    return found


def _box(before: Any, sent: Piece, now: Piece) -> tuple[float, float, float, float] | None:
    """A box with the numbers of the sides that were not moved."""
    one, other = sent.shape, now.shape
    if one.type != "rectangle" or other.type != "rectangle" or not isinstance(before, list) or len(before) != 4:
        return None
    x, y, width, height = converting.to_bbox(other.points)
    same = [_near(a, b) for a, b in zip(one.points, other.points, strict=True)]
    return (
        before[0] if same[0] else x,
        before[1] if same[1] else y,
        before[2] if same[0] and same[2] else width,
        before[3] if same[1] and same[3] else height,
    )


def keypoints(before: Fields, sent: Shape | None, now: Shape, skeleton: Label | None) -> dict[str, Any]:
    """`keypoints` and `num_keypoints` of a skeleton; points that were not moved keep their numbers."""
    if skeleton is None or not skeleton.sublabels:
        raise Unconvertible("The skeleton's label is not known.")
    new = list(converting.to_keypoints(now, skeleton))
    old = before.get("keypoints")
    if sent is not None and sent.label_id == now.label_id and isinstance(old, list) and len(old) == len(new):
        then, elements = _elements(sent), _elements(now)
        for index, sublabel in enumerate(skeleton.sublabels):
            if sublabel.id in then and sublabel.id in elements and same_point(then[sublabel.id], elements[sublabel.id]):
                new[3 * index : 3 * index + 3] = old[3 * index : 3 * index + 3]
    return {"keypoints": new, "num_keypoints": sum(1 for v in new[2::3] if v)}


def no_keypoints(before: Fields) -> dict[str, Any]:
    """The same for a skeleton that was deleted: as many points, none of them labelled."""
    return {"keypoints": [0] * len(before.get("keypoints") or ()), "num_keypoints": 0}
