"""COCO annotations into CVAT's shapes, and shapes back into what COCO says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from annotations.coco import rle
from exports.cvat import masks
from exports.cvat.guards import with_defaults
from exports.cvat.records import Frame, Label
from exports.cvat.shapes import COCO_ID, IS_CROWD, Shape, Values

DIGITS = 6  # of a pixel, where a number is computed anew: 0.1 + 0.2 - 0.1 shall be 0.2
OUTSIDE, OCCLUDED, VISIBLE = 0, 1, 2  # COCO's v

Segmentation = list[list[float]] | dict[str, Any]


class Unconvertible(ValueError):
    """COCO has no words for the shape, or CVAT none for the annotation: somebody has to look at it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The labels of one category in CVAT: `label` for outlines, `skeleton` for keypoints (sublabels in their order)."""

    label: Label
    skeleton: Label | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What COCO says of one annotation: pixels; keypoints x, y, v; is_crowd None if no shape tells."""

    segmentation: Segmentation | None = None
    bbox: tuple[float, float, float, float] | None = None
    keypoints: tuple[float, ...] | None = None
    is_crowd: bool | None = None
    occluded: bool = False
    values: Mapping[int, str] = field(default_factory=dict)

    @property
    def num_keypoints(self) -> int:
        """How many keypoints are labelled (v > 0)."""
        return sum(1 for v in (self.keypoints or ())[2::3] if v)


def to_shapes(
    annotation: Mapping[str, Any],
    target: Target,
    frame_number: int,
    frame: Frame,
    *,
    coco_id: str,
    group: int,
    values: Values = (),
) -> list[Shape]:
    """The shapes of one COCO annotation: a mask for an RLE, a polygon for each part, a box if there is neither, and a
    skeleton for keypoints.

    `group` (above 0, of this annotation alone) is used if there are several. `values` are further attributes of the
    label. Raises Unconvertible.
    """
    crowd = "true" if annotation.get("iscrowd") else "false"
    drawn: list[tuple[Label, str, tuple[float, ...], tuple[Shape, ...]]] = [
        (target.label, kind, points, ()) for kind, points in _outlines(annotation, frame)
    ]
    keypoints = annotation.get("keypoints")
    if keypoints and target.skeleton is not None:
        drawn.append((target.skeleton, "skeleton", (), to_elements(keypoints, target.skeleton, frame_number)))
    together = group if len(drawn) > 1 else 0
    return [
        Shape(
            type=kind,
            frame=frame_number,
            label_id=label.id,
            points=points,
            attributes=with_defaults(_own(label, coco_id, crowd) + (values if label is target.label else ()), label),
            group=together,
            elements=elements,
        )
        for label, kind, points, elements in drawn
    ]


def _own(label: Label, coco_id: str, crowd: str) -> Values:
    found: list[tuple[int, str]] = []
    for name, value in ((COCO_ID, coco_id), (IS_CROWD, crowd)):
        attribute = label.attribute(name)
        if attribute is None:
            raise Unconvertible(f"The label {label.name!r} has no attribute {name!r}.")
        found.append((attribute.id, value))
    return tuple(found)


def _outlines(annotation: Mapping[str, Any], frame: Frame) -> list[tuple[str, tuple[float, ...]]]:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, Mapping):
        height, width = segmentation["size"]
        if frame.width and frame.height and (width, height) != (frame.width, frame.height):
            raise Unconvertible(f"The RLE is {width} x {height}, its image {frame.width} x {frame.height}.")
        try:
            return [("mask", tuple(masks.from_rle(segmentation["counts"], height, width)))]
        except ValueError as error:
            raise Unconvertible(f"{error}.") from None
    if segmentation:
        return [("polygon", tuple(part)) for part in segmentation]
    box = annotation.get("bbox")
    if box:
        return [("rectangle", from_bbox(box))]
    return []


# --- Boxes ------------------------------------------------------------------------------------------------------------


def from_bbox(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """COCO's x, y, width, height as CVAT's two corners."""
    x, y, width, height = bbox
    return x, y, x + width, y + height


def to_bbox(points: Sequence[float]) -> tuple[float, float, float, float]:
    """The box around points x, y, x, y... as COCO's x, y, width, height."""
    left, top = min(points[::2]), min(points[1::2])
    return left, top, _tidy(max(points[::2]) - left), _tidy(max(points[1::2]) - top)


def corners(points: Sequence[float], rotation: float) -> list[float]:
    """The four corners of a box that is turned clockwise by `rotation` degrees round its middle."""
    x1, y1, x2, y2 = points
    angle = math.radians(rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    mid_x, mid_y = (x1 + x2) / 2, (y1 + y2) / 2
    turned: list[float] = []
    for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
        turned.append(_tidy(mid_x + (x - mid_x) * cos - (y - mid_y) * sin))
        turned.append(_tidy(mid_y + (x - mid_x) * sin + (y - mid_y) * cos))
    return turned


def _tidy(value: float) -> float:
    return round(value, DIGITS)


# --- Keypoints --------------------------------------------------------------------------------------------------------


def to_elements(keypoints: Sequence[float], skeleton: Label, frame: int) -> tuple[Shape, ...]:
    """COCO's x, y, v of each keypoint as the points of a skeleton: v 0, 1, 2 is outside, occluded, visible."""
    if len(keypoints) != 3 * len(skeleton.sublabels):
        raise Unconvertible(
            f"There are {len(keypoints)} numbers for keypoints; {skeleton.name!r} has {len(skeleton.sublabels)} points."
        )
    triples = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True)
    elements: list[Shape] = []
    for sublabel, (x, y, v) in zip(skeleton.sublabels, triples, strict=True):
        if v not in (OUTSIDE, OCCLUDED, VISIBLE):
            raise Unconvertible(f"The keypoint {sublabel.name!r} has v = {v}; expected 0, 1 or 2.")
        elements.append(
            Shape(
                "points",
                frame,
                sublabel.id,
                (x, y),
                attributes=with_defaults((), sublabel),
                occluded=v == OCCLUDED,
                outside=v == OUTSIDE,
            )
        )
    return tuple(elements)


def to_keypoints(shape: Shape, skeleton: Label) -> tuple[float, ...]:
    """COCO's keypoints of a skeleton, in the order of its sublabels; points that are outside or missing are 0, 0, 0."""
    by_label: dict[int, Shape] = {}
    for element in shape.elements:
        by_label.setdefault(element.label_id, element)
    found: list[float] = []
    for sublabel in skeleton.sublabels:
        element_or_none = by_label.get(sublabel.id)
        if element_or_none is None or element_or_none.outside or len(element_or_none.points) < 2:
            found += (0, 0, OUTSIDE)
        else:
            x, y = element_or_none.points[:2]
            found += (x, y, OCCLUDED if element_or_none.occluded else VISIBLE)
    return tuple(found)


# --- Back -------------------------------------------------------------------------------------------------------------


def from_shapes(shapes: Sequence[Shape], labels: Mapping[int, Label], frame: Frame) -> Drawn:
    """What COCO says of the shapes of one annotation, drawn or changed by somebody. Raises Unconvertible.

    A turned box becomes a polygon of its corners; several masks become one. `frame` must tell its size for masks.
    """
    polygons: list[list[float]] = []
    boxes: list[tuple[float, ...]] = []
    mask_shapes: list[Shape] = []
    keypoints: tuple[float, ...] | None = None
    for shape in shapes:
        match shape.type:
            case "polygon":
                polygons.append(list(shape.points))
            case "rectangle" if shape.rotation % 360:
                polygons.append(corners(shape.points, shape.rotation))
            case "rectangle":
                boxes.append(shape.points)
            case "mask":
                mask_shapes.append(shape)
            case "skeleton" if keypoints is None:
                keypoints = to_keypoints(shape, labels[shape.label_id])
            case _:
                raise Unconvertible(f"COCO has no {shape.type} beside {len(shapes) - 1} other shapes.")
    if bool(polygons) + bool(boxes) + bool(mask_shapes) > 1 or len(boxes) > 1:
        raise Unconvertible("One annotation is drawn as polygons, boxes and masks at once.")
    segmentation, bbox = _outline(polygons, boxes, mask_shapes, frame)
    crowd = [value for shape in shapes if (value := _named(shape, labels, IS_CROWD)) is not None]
    # Of polygon and skeleton the outline has the attributes of its category.
    outline = next((shape for shape in shapes if shape.type != "skeleton"), shapes[0] if shapes else None)
    return Drawn(
        segmentation=segmentation,
        bbox=bbox or _around(keypoints),
        keypoints=keypoints,
        is_crowd=crowd[0] == "true" if crowd else None,
        occluded=any(shape.occluded for shape in shapes),
        values=dict(outline.attributes) if outline else {},
    )


def _outline(
    polygons: list[list[float]], boxes: list[tuple[float, ...]], drawn: list[Shape], frame: Frame
) -> tuple[Segmentation | None, tuple[float, float, float, float] | None]:
    if polygons:
        return polygons, to_bbox([value for polygon in polygons for value in polygon])
    if boxes:
        return None, to_bbox(boxes[0])
    if not drawn:
        return None, None
    if not frame.width or not frame.height:
        raise Unconvertible("The size of the image is not known, and a mask needs it.")
    try:
        runs = [masks.to_rle(shape.points, frame.height, frame.width) for shape in drawn]
    except ValueError as error:
        raise Unconvertible(f"The mask cannot be used: {error}.") from None
    counts = runs[0]
    for other in runs[1:]:
        counts = _union(counts, other)
    box = rle.bounds(counts, frame.height)
    return {"size": [frame.height, frame.width], "counts": counts}, (box[0], box[1], box[2], box[3])


def _union(one: list[int], other: list[int]) -> list[int]:
    """The runs of pixels that are in either."""
    changes: dict[int, int] = {}
    for runs in (one, other):
        at = 0
        for index, count in enumerate(runs):
            if index % 2:
                changes[at] = changes.get(at, 0) + 1
                changes[at + count] = changes.get(at + count, 0) - 1
            at += count
    counts, depth, start = [], 0, 0
    for at, change in sorted(changes.items()):
        if bool(depth) != bool(depth + change):
            counts.append(at - start)
            start = at
        depth += change
    return [*counts, sum(one) - start] if sum(one) > start or not counts else counts


def _around(keypoints: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    seen = [(x, y) for x, y, v in zip(*[iter(keypoints or ())] * 3, strict=True) if v]
    return to_bbox([value for point in seen for value in point]) if seen else None


def _named(shape: Shape, labels: Mapping[int, Label], name: str) -> str | None:
    label = labels.get(shape.label_id)
    attribute = label.attribute(name) if label else None
    return shape.value(attribute.id) if attribute else None


def area_of(segmentation: Segmentation | None, bbox: Sequence[float] | None) -> float:
    """Square pixels: of a mask its pixels, of polygons their sum, of a box width times height."""
    if isinstance(segmentation, dict):
        return float(rle.area(segmentation["counts"]))
    if segmentation:
        return _tidy(sum(_polygon_area(part) for part in segmentation))
    return _tidy(bbox[2] * bbox[3]) if bbox else 0.0


def _polygon_area(part: Sequence[float]) -> float:
    points = list(zip(part[::2], part[1::2], strict=True))
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*points, points[0]]))) / 2
