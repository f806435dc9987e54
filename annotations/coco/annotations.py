"""COCO annotation records: {id, image_id, category_id, bbox, segmentation, area, iscrowd, keypoints, ...}."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from annotations.coco import values
from annotations.coco.images import (
    ImageTable,
    check_keys,
    join_fields,
    quarantined,
    record_fields,
    take_id,
    too_deep,
)
from annotations.coco.problems import Action, Problem, Quarantine, Reporter, excerpt
from annotations.coco.segmentation import Bounds, read_segmentation

_box = msgspec.json.Decoder(tuple[float, float, float, float]).decode
_numbers = msgspec.json.Decoder(list[float]).decode
_loose_numbers = msgspec.json.Decoder(list[float | str]).decode
MAX_COUNT = 2**31 - 1
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


class Ids:
    """Annotation ids seen so far in a file, by family; gives new ones above all of the file's.

    Ids that only grow, as most files have them, need no set: the last one is compared.
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records
        self._grown: dict[int, array[int]] = {family: array("q") for family in Family}
        self._sets: dict[int, set[int]] = {}
        self._next: int | None = None

    def is_new(self, family: int, coco_id: int) -> bool:
        """Whether the id was not seen before; it is seen now."""
        seen = self._sets.get(family)
        if seen is None:
            grown = self._grown[family]
            if not grown or coco_id > grown[-1]:
                grown.append(coco_id)
                return True
            seen = self._sets[family] = set(grown)
            self._grown[family] = array("q")
        if coco_id in seen:
            return False
        seen.add(coco_id)
        return True

    def of(self, family: int) -> Iterable[int]:
        """The ids seen of one family."""
        return self._sets.get(family) or self._grown[family]

    def give(self, family: int) -> int:
        """An id that no record of the file has: they go on after the greatest."""
        if self._next is None:
            self._next = 1 + max(filter(None, map(_peek_id, self._records)), default=0)
        coco_id, self._next = self._next, self._next + 1
        self.is_new(family, coco_id)
        return coco_id


class _Id(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"0")


_peek = msgspec.json.Decoder(_Id).decode


def _peek_id(raw: Any) -> int:
    try:
        return values.as_integer(bytes(_peek(raw).id)) or 0
    except (msgspec.DecodeError, RecursionError):
        return 0


def read_annotations(
    records: Sequence[Any], images: ImageTable, categories: set[int], report: Reporter, ids: "Ids | None" = None
) -> Iterator[AnnotationRecord]:
    """Each usable annotation record of images and categories that are known; flaws go to `report`.

    Raises CocoFileError if no record has an expected key but has one that looks like it (`imageId`).
    """
    check_keys("annotations", records, {"image_id": (), "category_id": ()})
    reader = _Reader(records, images, categories, report, ids or Ids(records))
    for index, slice_ in enumerate(records):
        raw = bytes(slice_)
        try:
            record = reader.read(index, raw)
        except Quarantine as reason:
            report(quarantined(f"$.annotations[{index}]", reason, raw))
            continue
        except values.Unfit as unfit:
            refusal = Quarantine(unfit.code, f"In the record, {unfit}.", "Correct the value.")
            report(quarantined(f"$.annotations[{index}]", refusal, raw))
            continue
        except values.TooDeep:
            raise too_deep(f"$.annotations[{index}]") from None
        if record is not None:
            yield record


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

    def read(self, index: int, raw: bytes) -> AnnotationRecord | None:
        fields = record_fields(raw, f"$.annotations[{index}]")
        image = self._image(fields, index)
        family = Family.OBJECT
        if "caption" in fields:
            family = Family.CAPTION
        elif "segments_info" in fields:
            family = Family.PANOPTIC
        category_id = self._category(fields, index, family)
        coco_id, coco_key, assigned = self._id(fields, index, family, image, raw)
        if assigned is None:
            return None
        width, height = self.images.widths[image], self.images.heights[image]
        issues: list[str] = []
        segmentation, bounds = None, None
        text = fields.pop("segmentation", None)
        if text is not None:
            path = f"$.annotations[{index}].segmentation"
            found = read_segmentation(text, width, height, path, self.report)
            segmentation, bounds = found.text, found.bounds
        bbox = self._bbox(fields, index, bounds, width, height, issues)
        area = self._number(fields, "area", index)
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
        self.report(Problem(code, action, self._path(index, name), message))

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
        if not hasattr(self, "_contents"):
            self._contents: dict[int, list[int]] = {}
            for place, other in enumerate(self.records):
                self._contents.setdefault(_peek_id(other), []).append(place)
        same = msgspec.json.decode(raw)
        for place in self._contents.get(coco_id, ()):
            if place >= index:
                return False
            try:
                if msgspec.json.decode(self.records[place]) == same:
                    return True
            except (msgspec.DecodeError, RecursionError):
                continue
        return False

    def _bbox(
        self,
        fields: dict[str, bytes],
        index: int,
        bounds: Bounds | None,
        width: int,
        height: int,
        issues: list[str],
    ) -> bytes | None:
        raw = fields.pop("bbox", None)
        if raw is None:
            return None
        try:
            x, y, w, h = _box(raw)
            if len(raw) > 200 and values.LONG_NUMBER.search(raw):
                raise Quarantine("number_too_long", "A number of 'bbox' has too many digits.", at=".bbox")
        except msgspec.DecodeError:
            raw, (x, y, w, h) = self._mend_box(raw, index, bounds)
        if w <= 0 or h <= 0:
            issues.append("bbox_empty" if w == 0 or h == 0 else "bbox_negative")
            self._tell(issues[-1], Action.KEPT, index, "bbox", f"The box is {w:g} x {h:g} pixels.")
        elif x < 0 or y < 0 or (width and (x + w > width + 1 or y + h > height + 1)):
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
        try:
            items = _loose_numbers(raw)
        except msgspec.DecodeError:
            items = []
        tokens = [values.as_number(str(item).encode()) for item in items]
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
            if raw[:2] == values.NOT_A_NUMBER or raw[:1] != b'"':
                values.check(raw)
                if raw[:1] not in (b"{", b"[", b"t", b"f"):
                    raise Quarantine(
                        "not_a_number", f"{name!r} is no finite number.", f"Correct {name!r}.", at=f".{name}"
                    )
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
        if count_text is not None and count_text.isdigit() and int(count_text) <= MAX_COUNT:
            count = int(count_text)
            del fields["num_keypoints"]
        if raw is None:
            return None, count
        try:
            points = _numbers(raw)
        except msgspec.DecodeError:
            self._tell(
                "keypoints_invalid",
                Action.KEPT,
                index,
                "keypoints",
                "'keypoints' is no list of numbers: kept as it is.",
            )
            return None, count  # stays among the other fields, which are checked
        suspect = len(raw) > 40 * len(points) + 1024 or b"e" in raw or b"E" in raw
        if suspect and values.LONG_NUMBER.search(raw):
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
