"""COCO annotation records: {id, image_id, category_id, bbox, segmentation, area, iscrowd, keypoints, ...}."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from annotations.coco import values
from annotations.coco.ids import Ids, Places
from annotations.coco.images import (
    ImageTable,
    check_keys,
    fields_of,
    join_fields,
    quarantined,
    record_fields,
    take_id,
    too_deep,
)
from annotations.coco.problems import Action, Problem, Quarantine, Reporter, excerpt
from annotations.coco.quality import BEYOND, box_issue, strays
from annotations.coco.segmentation import Bounds, Segmentation, read_segmentation

_box = msgspec.json.Decoder(tuple[float, float, float, float]).decode
_numbers = msgspec.json.Decoder(list[float]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
MAX_COUNT = 2**31 - 1
SHOWN = 500  # characters of a record that is taken all the same, in the report
AREA_MARGIN = 1.01  # areas are rounded, and boxes too
OUTLINES = ("bbox", "segmentation", "keypoints")
NOTHING = (b"null", b"[]")
NO_ID = ""  # as an annotation's coco_key: the record has no id, and needs none


class Family(IntEnum):
    """COCO's families of annotations; their ids are counted apart."""

    OBJECT = 0
    CAPTION = 1
    PANOPTIC = 2


class AnnotationRecord(msgspec.Struct, gc=False):
    """One annotation as the file describes it.

    `image` is the row in the ImageTable, `category_id` the COCO id. Fields that end up as JSON or exact numbers are
    JSON text; None means that the record does not have the field. `assigned` says that the id was given by us.
    """

    index: int
    coco_id: int
    coco_key: str | None
    image: int
    category_id: int | None
    family: int
    bbox: bytes | None
    area: bytes | None
    iscrowd: int | None
    segmentation: bytes | None
    keypoints: bytes | None
    num_keypoints: int | None
    attributes: bytes | None
    score: bytes | None
    extra: bytes | None
    issues: tuple[str, ...]
    assigned: bool = False


def read_annotations(
    records: Sequence[Any], images: ImageTable, categories: set[int], report: Reporter, ids: Ids | None = None
) -> Iterator[AnnotationRecord]:
    """Each usable annotation record of images and categories that are known; flaws go to `report`.

    Raises CocoFileError if no record has an expected key but has one that looks like it (`imageId`).
    """
    check_keys("annotations", records, {"image_id": (), "category_id": ()})
    flaws: list[Problem] = []  # of the record at hand: if it is left out, only why is told
    reader = _Reader(records, images, categories, flaws.append, ids or Ids(records))
    for index, slice_ in enumerate(records):
        raw = bytes(slice_)
        try:
            record = reader.read(index, raw)
        except Quarantine as reason:
            flaws.clear()
            report(quarantined(f"$.annotations[{index}]", reason, raw))
            continue
        except values.Unfit as unfit:
            flaws.clear()
            refusal = Quarantine(unfit.code, f"In the record, {unfit}.", "Correct the value.")
            report(quarantined(f"$.annotations[{index}]", refusal, raw))
            continue
        except values.TooDeep:
            raise too_deep(f"$.annotations[{index}]") from None
        if flaws:
            for flaw in flaws:
                report(flaw)
            flaws.clear()
        if record is not None:
            yield record


def family_of(raw: Any) -> Family:
    """The kind of annotation that a record is; an object, if it is none that can be read."""
    try:
        return _family({name: bytes(value) for name, value in fields_of(raw).items()})
    except (*values.UNREADABLE, RecursionError):
        return Family.OBJECT


def _family(fields: dict[str, bytes]) -> Family:
    if "caption" in fields and all(fields.get(name, b"null") in NOTHING for name in OUTLINES):
        return Family.CAPTION  # an object may have a caption too
    return Family.PANOPTIC if "segments_info" in fields else Family.OBJECT


class _Reader:
    """Reads the annotations of one file; holds what is looked up for each of them."""

    def __init__(
        self, records: Sequence[Any], images: ImageTable, categories: set[int], report: Reporter, ids: Ids
    ) -> None:
        self.records = records
        self.images = images
        self.categories = categories
        self.report = report
        self.ids = ids
        self.places: Places | None = None

    def read(self, index: int, raw: bytes) -> AnnotationRecord | None:
        fields = record_fields(raw, f"$.annotations[{index}]")
        image = self._image(fields, index)
        family = _family(fields)
        category_id = self._category(fields, index, family)
        coco_id, coco_key, assigned = self._id(fields, index, family, image, raw)
        if assigned is None:
            return None
        width, height = self.images.widths[image], self.images.heights[image]
        issues: list[str] = []
        segmentation = found = None
        text = fields.pop("segmentation", None)
        if text is not None:
            path = f"$.annotations[{index}].segmentation"
            found = read_segmentation(text, width, height, path, self.report)
            segmentation = found.text
        bbox = self._bbox(fields, index, found, width, height, issues)
        area = self._number(fields, "area", index)
        if family is Family.OBJECT and (area is None or bbox is not None):
            self._check_area(area, fields, bbox, index, issues)
        iscrowd = self._iscrowd(fields, index, family)
        keypoints, num_keypoints = self._keypoints(fields, index, issues)
        attributes = fields.pop("attributes", None)
        if attributes is not None and attributes != b"{}":
            try:
                values.check(attributes)
            except values.Unfit as unfit:
                raise Quarantine(unfit.code, f"In 'attributes', {unfit}.", at=".attributes") from None
        score = self._number(fields, "score", index) if "score" in fields else None
        extra = join_fields(fields, f"$.annotations[{index}]") if fields else None
        return AnnotationRecord(
            index, coco_id, coco_key, image, category_id, family, bbox, area, iscrowd, segmentation, keypoints,
            num_keypoints, attributes, score, extra, tuple(issues), assigned,
        )  # fmt: skip

    def _path(self, index: int, name: str) -> str:
        return f"$.annotations[{index}].{name}"

    def _tell(self, code: str, action: Action, index: int, name: str, message: str) -> None:
        raw = excerpt(bytes(self.records[index]), SHOWN)
        self.report(Problem(code, action, self._path(index, name), message, raw=raw))

    def _image(self, fields: dict[str, bytes], index: int) -> int:
        raw = fields.pop("image_id", None)
        try:
            row = self.images.rows.get(int(raw or b""))
        except ValueError:
            path = f"$.annotations[{index}]"
            row = self.images.rows.get(take_id(raw, "image_id", path, self.report)[0])
        if row is None:
            shown = excerpt((raw or b"")[:80])
            raise Quarantine(
                "dangling_image_id",
                f"'image_id' is {shown}; no usable image of the file has this id.",
                "Add the image, or delete the annotation.",
                at=".image_id",
            )
        return row

    def _category(self, fields: dict[str, bytes], index: int, family: Family) -> int | None:
        raw = fields.get("category_id")
        if raw is None:
            if family is Family.OBJECT:
                self._tell(
                    "category_id_missing",
                    Action.KEPT,
                    index,
                    "category_id",
                    "The annotation has no category.",
                )
            return None
        try:
            found = int(raw)
        except ValueError:
            if raw == b"null":
                self._tell(
                    "category_id_null",
                    Action.KEPT,
                    index,
                    "category_id",
                    "The annotation's category is null.",
                )
                return None  # the null stays among the other fields
            found = take_id(raw, "category_id", f"$.annotations[{index}]", self.report)[0]
        if found not in self.categories and family is Family.CAPTION:
            return None  # some tools give captions a category that nobody lists; it stays among the other fields
        if found not in self.categories:
            raise Quarantine(
                "dangling_category_id",
                f"'category_id' is {excerpt(raw[:80])}; no category of the file has this id.",
                "Add the category, or correct the id.",
                at=".category_id",
            )
        del fields["category_id"]
        return found

    def _id(
        self, fields: dict[str, bytes], index: int, family: Family, image: int, raw: bytes
    ) -> tuple[int, str | None, bool | None]:
        """The record's id, its text, and whether we gave it; None there if the record only repeats another."""
        text = fields.pop("id", None)
        if text is None and family is Family.PANOPTIC:  # known by its image
            coco_id = self.images.ids[image]
            if not self.ids.is_new(family, coco_id):
                raise Quarantine("duplicate_panoptic", "The image has a panoptic annotation already.", "Keep one.")
            return coco_id, NO_ID, False
        if text is None:
            coco_id = self.ids.give(family)
            self._tell("id_missing", Action.REPAIRED, index, "id", f"The annotation had no id: got {coco_id}.")
            return coco_id, None, True
        try:
            coco_id, key = int(text), None
            if not -values.INT64 <= coco_id < values.INT64:
                raise ValueError
        except ValueError:
            coco_id, key = take_id(text, "id", f"$.annotations[{index}]", self.report)
        if self.ids.is_new(family, coco_id):
            return coco_id, key, False
        if self._repeats(raw, coco_id, index):
            self._tell(
                "duplicate_annotation",
                Action.REPAIRED,
                index,
                "id",
                f"The annotation {coco_id} stands twice: taken once.",
            )
            return coco_id, key, None
        new = self.ids.give(family)
        self._tell(
            "duplicate_annotation_id",
            Action.REPAIRED,
            index,
            "id",
            f"The id {coco_id} was used before: got {new}.",
        )
        return new, None, True

    def _repeats(self, raw: bytes, coco_id: int, index: int) -> bool:
        """Whether an earlier record of this id is the same as this one."""
        if self.places is None:
            self.places = Places(self.records)
        return any(values.same(raw, bytes(self.records[place])) for place in self.places.of(coco_id) if place < index)

    def _bbox(
        self,
        fields: dict[str, bytes],
        index: int,
        found: Segmentation | None,
        width: int,
        height: int,
        issues: list[str],
    ) -> bytes | None:
        raw = fields.pop("bbox", None)
        if raw is None:
            return None
        try:
            x, y, w, h = _box(raw)
            if values.has_long_number(raw):
                raise Quarantine("number_too_long", "A number of 'bbox' has too many digits.", at=".bbox")
        except msgspec.DecodeError:
            raw, (x, y, w, h) = self._mend_box(raw, index, found.bounds if found else None)
        bounds = found.bounds if found else None
        if w <= 0 or h <= 0:
            issues.append("bbox_empty" if w == 0 or h == 0 else "bbox_negative")
            self._tell(issues[-1], Action.KEPT, index, "bbox", f"The box is {w:g} x {h:g} pixels.")
        elif issue := box_issue(x, y, w, h, bounds):
            issues.append(issue)
        if issues and issues[-1] in ("bbox_empty", "bbox_tiny") and strays(x, y, w, h, bounds):
            issues.append("bbox_mismatch")
        if x < 0 or y < 0 or (width and x + w > width + BEYOND) or (height and y + h > height + BEYOND):
            issues.append("bbox_outside")
            self._tell(
                "bbox_outside",
                Action.KEPT,
                index,
                "bbox",
                f"The box reaches beyond its {width} x {height} image.",
            )
        return raw

    def _mend_box(self, raw: bytes, index: int, bounds: Bounds | None) -> tuple[bytes, Bounds]:
        if values.nested_too_deep(raw):
            raise values.TooDeep
        try:
            values.check(raw)
        except values.Unfit as unfit:
            if unfit.code == "not_a_number":  # what the box was to be nobody knows: the outline may be as wrong
                raise Quarantine(unfit.code, f"In 'bbox', {unfit}.", "Correct the box.", at=".bbox") from None
        try:
            tokens = [values.as_number(bytes(item)) for item in _items(raw)]
        except msgspec.DecodeError:
            tokens = []
        if len(tokens) == 4 and all(tokens):
            fixed = b"[" + b",".join(token for token in tokens if token) + b"]"
            self._tell("numbers_as_text", Action.REPAIRED, index, "bbox", "Numbers of the box stood in strings.")
            return fixed, _box(fixed)
        if bounds is None:
            raise Quarantine(
                "bbox_invalid",
                f"'bbox' is {excerpt(raw[:80])}; expected four finite numbers [x, y, width, height].",
                "Correct the box; without a segmentation it cannot be computed.",
                at=".bbox",
            )
        left, top, right, bottom = bounds
        box = (left, top, round(right - left, 4), round(bottom - top, 4))
        self._tell(
            "bbox_invalid",
            Action.REPAIRED,
            index,
            "bbox",
            f"The box was {excerpt(raw[:60])}: taken from the segmentation.",
        )
        return msgspec.json.encode(box), box

    def _number(self, fields: dict[str, bytes], name: str, index: int) -> bytes | None:
        raw = fields.get(name)
        if raw is None:
            return None
        if raw == b"null":
            self._tell(f"{name}_null", Action.KEPT, index, name, f"{name!r} is null.")
            return None  # the null stays among the other fields
        number = values.as_number(raw)
        if number is None:
            try:
                values.check(raw)
            except values.Unfit as unfit:
                raise Quarantine(unfit.code, f"In {name!r}, {unfit}.", f"Correct {name!r}.", at=f".{name}") from None
            self._tell(
                f"{name}_invalid",
                Action.KEPT,
                index,
                name,
                f"{name!r} is {excerpt(raw[:60])}, no number: kept as it is.",
            )
            return None
        if number is not raw:
            self._tell(
                "numbers_as_text",
                Action.REPAIRED,
                index,
                name,
                f"{name!r} was {excerpt(raw[:60])}: read as a number.",
            )
        elif number[0] == 0x2D and name == "area":
            self._tell("area_negative", Action.KEPT, index, name, f"'area' is {excerpt(raw[:60])}.")
        del fields[name]
        return number

    def _check_area(
        self, area: bytes | None, fields: dict[str, bytes], bbox: bytes | None, index: int, issues: list[str]
    ) -> None:
        """An area that is missing or greater than its box is kept as it is and flagged."""
        if area is None:
            if "area" not in fields:
                self._tell("area_missing", Action.KEPT, index, "area", "The annotation has no 'area'.")
        elif bbox is not None:
            _, _, w, h = _box(bbox)
            if float(area) > AREA_MARGIN * abs(w * h) + 1:
                issues.append("area_exceeds_bbox")
                told = f"'area' is {excerpt(area[:60])}, its box has {abs(w * h):g} square pixels."
                self._tell("area_exceeds_bbox", Action.KEPT, index, "area", told)

    def _iscrowd(self, fields: dict[str, bytes], index: int, family: Family) -> int | None:
        raw = fields.get("iscrowd")
        if raw is None:
            if family is Family.OBJECT:
                self._tell("iscrowd_missing", Action.REPAIRED, index, "iscrowd", "'iscrowd' is missing: read as 0.")
            return None
        if raw in (b"0", b"1"):
            del fields["iscrowd"]
            return raw[0] - 48
        number = {b"true": 1, b"false": 0}.get(raw)
        number = values.as_integer(raw) if number is None else number
        if number is None or not 0 <= number <= 1:
            self._tell(
                "iscrowd_invalid",
                Action.KEPT,
                index,
                "iscrowd",
                f"'iscrowd' is {excerpt(raw[:60])}; expected 0 or 1.",
            )
            return None
        self._tell(
            "iscrowd_not_integer",
            Action.REPAIRED,
            index,
            "iscrowd",
            f"'iscrowd' was {excerpt(raw[:60])}: read as {number}.",
        )
        del fields["iscrowd"]
        return number

    def _keypoints(self, fields: dict[str, bytes], index: int, issues: list[str]) -> tuple[bytes | None, int | None]:
        raw, count_text = fields.get("keypoints"), fields.get("num_keypoints")
        if raw is None and count_text is None:
            return None, None
        count = None
        if count_text is not None and count_text.isdigit() and len(count_text) <= 10 and int(count_text) <= MAX_COUNT:
            count = int(count_text)
            del fields["num_keypoints"]
        if raw is None:
            return None, count
        try:
            points = _numbers(raw)
        except msgspec.DecodeError:
            mended = self._mended_keypoints(raw, index)
            if mended is not None:
                del fields["keypoints"]
                return mended, count
            self._tell(
                "keypoints_invalid",
                Action.KEPT,
                index,
                "keypoints",
                "'keypoints' is no list of numbers: kept as it is.",
            )
            return None, count  # stays among the other fields, which are checked
        if values.has_long_number(raw):
            raise Quarantine("number_too_long", "A keypoint has too many digits.", at=".keypoints")
        del fields["keypoints"]
        if len(points) % 3:
            issues.append("keypoints_odd")
            self._tell(
                "keypoints_odd",
                Action.KEPT,
                index,
                "keypoints",
                f"{len(points)} numbers are no triples of x, y, visibility.",
            )
        elif count is not None and count != sum(1 for visible in points[2::3] if visible > 0):
            issues.append("num_keypoints_wrong")
            self._tell(
                "num_keypoints_wrong",
                Action.KEPT,
                index,
                "num_keypoints",
                f"'num_keypoints' is {count}; the labelled keypoints are {sum(1 for v in points[2::3] if v > 0)}.",
            )
        return raw, count

    def _mended_keypoints(self, raw: bytes, index: int) -> bytes | None:
        """Keypoints whose numbers stand in strings, as numbers; None if they are anything else."""
        try:
            tokens = [values.as_number(bytes(item)) for item in _items(raw)]
        except (msgspec.DecodeError, RecursionError):
            return None
        if not tokens or None in tokens:
            return None
        self._tell(
            "numbers_as_text", Action.REPAIRED, index, "keypoints", "Keypoints stood in strings: read as numbers."
        )
        return b"[" + b",".join(token for token in tokens if token) + b"]"
