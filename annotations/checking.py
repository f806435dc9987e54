"""Annotations that people type are held to what a COCO file is held to; only stricter: nothing is mended in silence."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from accounts.errors import ServiceError
from annotations.coco import rle
from annotations.coco.annotations import AnnotationRecord, read_annotations
from annotations.coco.images import ImageRecord, ImageTable
from annotations.coco.problems import Problem, Quarantine
from annotations.coco.segmentation import read_segmentation
from annotations.models import Kind
from assets.models import ImageAsset
from assets.services import json_faults

# Fields of a COCO record that have columns, but for its ids.
COLUMNS = ("bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints", "attributes", "score")
RESERVED = frozenset([*COLUMNS, "id", "image_id", "category_id"])
# What the reader tells of and a person may mean; everything else refuses the annotation.
TOLERATED = frozenset(
    ["bbox_outside", "bbox_empty", "num_keypoints_wrong", "iscrowd_missing", "iscrowd_not_integer", "flat_polygon",
     "category_id_missing"]
)  # fmt: skip
# What tells the reader the kind of an annotation.
_MARKS: dict[Kind, dict[str, bytes]] = {
    Kind.OBJECT: {},
    Kind.CAPTION: {"caption": b'""'},
    Kind.PANOPTIC: {"segments_info": b"[]"},
}


def check(
    image: ImageAsset, given: Mapping[str, Any], extra: Mapping[str, Any], stored: Mapping[str, str], kind: Kind
) -> dict[str, Any]:
    """The columns that a change of an annotation writes, `issues` among them.

    `given` are the fields that change (None takes one out), `extra` those without a column, `stored` the JSON text of
    the others as they are. Raises ServiceError with the fields at fault.
    """
    _refuse_bad_extra(extra, kind)
    _refuse_odd(given)
    record = {name: text.encode() for name, text in stored.items() if name not in given}
    record |= {name: orjson.dumps(value) for name, value in given.items() if value is not None}
    new = {name: value for name, value in extra.items() if value is not None}
    texts = {**_MARKS[kind], **record, **{name: orjson.dumps(value) for name, value in new.items()}}
    found = _read(image, texts, changed={*given, *new})
    columns = {name: _value(getattr(found, name)) for name in COLUMNS if name in given}
    if columns.get("keypoints") is not None and "num_keypoints" not in given:
        columns["num_keypoints"] = sum(1 for visible in columns["keypoints"][2::3] if visible > 0)
    for name in ("area", "score"):
        if columns.get(name) is not None:
            columns[name] = Decimal(str(columns[name]))
    columns["issues"] = list(found.issues) or None
    return columns


def complete(image: ImageAsset, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a new object, or of one whose outline changes, with what follows from the outline.

    The box is that of the segmentation, the area (square pixels) that of the segmentation or else of the box, where the
    fields do not say.
    """
    fields = dict(given)
    if fields.get("segmentation"):
        flaws: list[Problem] = []
        raw = orjson.dumps(fields["segmentation"])
        try:
            outline = read_segmentation(raw, image.width or 0, image.height or 0, "", flaws.append)
        except Quarantine:
            return fields  # `check` will tell
        if outline.bounds and "bbox" not in fields:
            left, top, right, bottom = outline.bounds
            fields["bbox"] = [left, top, right - left, bottom - top]
        if "area" not in fields and not flaws:
            fields["area"] = _area(fields["segmentation"])
    elif "area" not in fields and _is_box(fields.get("bbox")):
        area = fields["bbox"][2] * fields["bbox"][3]
        if not math.isfinite(area):
            text = f"A box of {fields['bbox'][2]:g} x {fields['bbox'][3]:g} pixels has no area that could be stored."
            raise ServiceError("The annotation cannot be stored.", fields={"bbox": [text]})
        fields["area"] = area
    return fields


def _area(segmentation: Any) -> float:
    if isinstance(segmentation, list):
        return sum(abs(_shoelace(part)) for part in segmentation)
    counts = segmentation["counts"]
    return float(rle.area(rle.decode_counts(counts) if isinstance(counts, str) else counts))


def _shoelace(polygon: list[float]) -> float:
    xs, ys = polygon[::2], polygon[1::2]
    return sum(x * y2 - x2 * y for x, y, x2, y2 in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)) / 2


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(isinstance(number, int | float) for number in value)


def _read(image: ImageAsset, texts: Mapping[str, bytes], changed: set[str]) -> AnnotationRecord:
    table = ImageTable()
    table.add(0, ImageRecord(0, 1, None, None, image.width, image.height, b"{}"))
    fields = {"id": b"1", "image_id": b"1", **texts}
    raw = b"{" + b",".join(orjson.dumps(name) + b":" + text for name, text in fields.items()) + b"}"
    flaws: list[Problem] = []
    records = list(read_annotations([raw], table, set(), flaws.append))
    faults: dict[str, list[str]] = {}
    for flaw in flaws:
        name = flaw.path.removeprefix("$.annotations[0]").lstrip(".").partition("[")[0].partition(".")[0]
        if flaw.code not in TOLERATED and (not records or name in changed or not name):
            faults.setdefault(name or "annotation", []).append(_refused(flaw.message))
    if faults or not records:
        raise ServiceError("The annotation cannot be stored.", fields=faults)
    return records[0]


def _refused(message: str) -> str:
    """What the reader says of a file's record, without what becomes of it there: here it is refused."""
    return message.removesuffix(": kept as it is.").rstrip(".").replace(" was left out", " cannot be stored") + "."


def _refuse_odd(given: Mapping[str, Any]) -> None:
    """What a file may hold and nobody would type: it would be out of reach of the query language."""
    keypoints, attributes = given.get("keypoints"), given.get("attributes")
    odd = [v for v in (keypoints or [])[2::3] if v not in (0, 1, 2)] if isinstance(keypoints, list) else []
    if odd:
        text = f"A keypoint's visibility is {odd[0]!r}; expected 0 (not labelled), 1 (hidden) or 2 (visible)."
        raise ServiceError("The annotation cannot be stored.", fields={"keypoints": [text]})
    if attributes is not None and not isinstance(attributes, dict):
        text = f"The attributes are {type(attributes).__name__}; expected an object with names and values."
        raise ServiceError("The annotation cannot be stored.", fields={"attributes": [text]})


def _value(found: Any) -> Any:
    return orjson.loads(found) if isinstance(found, bytes) else found


def _refuse_bad_extra(extra: Mapping[str, Any], kind: Kind) -> None:
    taken = sorted(RESERVED & set(extra))
    if taken:
        text = f"{', '.join(taken)} cannot be among the other fields: COCO has fields of that name."
        raise ServiceError(text, fields={"extra": [text]})
    marks = {name for other, names in _MARKS.items() if other is not kind for name in names}
    if wrong := sorted(marks & set(extra)):
        text = f"{', '.join(wrong)} belongs to annotations of another kind."
        raise ServiceError(text, fields={"extra": [text]})
    if kind is Kind.CAPTION and "caption" in extra and not isinstance(extra["caption"], str):
        raise ServiceError("The annotation cannot be stored.", fields={"extra": ["Expected a caption that is a text."]})
    if found := json_faults(extra):
        raise ServiceError("The annotation cannot be stored.", fields={"extra": found})
