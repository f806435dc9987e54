"""COCO category records: {id, name, supercategory, keypoints, skeleton, ...}."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from annotations.coco import values
from annotations.coco.images import check_keys, join_fields, quarantined, record_fields, take_id
from annotations.coco.problems import Action, Problem, Quarantine, Reporter, excerpt

MAX_NAME = 500  # characters


class CategoryRecord(msgspec.Struct, gc=False):
    """One category; `fields` is the JSON text of an object with all fields but id and name."""

    index: int
    coco_id: int
    coco_key: str | None
    name: str
    supercategory: str
    fields: bytes


def read_categories(records: Sequence[Any], report: Reporter) -> Iterator[CategoryRecord]:
    """Each usable category record; an id that comes back with another name is quarantined."""
    check_keys("categories", records, {"id": ("category_id",)})
    seen: dict[int, bytes] = {}
    for index, slice_ in enumerate(records):
        raw, path = bytes(slice_), f"$.categories[{index}]"
        try:
            record = _category(index, raw, path, report)
            if record.coco_id in seen:
                if not values.same(seen[record.coco_id], raw):
                    raise Quarantine(
                        "duplicate_category_id",
                        f"The category id {record.coco_id} was used before for another record.",
                        "Give each category an id of its own.",
                        at=".id",
                    )
                report(
                    Problem(
                        "duplicate_category",
                        Action.REPAIRED,
                        path,
                        f"The category {record.coco_id} stands twice: taken once.",
                    )
                )
                continue
            seen[record.coco_id] = raw
        except Quarantine as reason:
            report(quarantined(path, reason, raw))
            continue
        except values.Unfit as unfit:
            report(quarantined(path, Quarantine(unfit.code, f"In the record, {unfit}.", "Correct the value."), raw))
            continue
        yield record


def _category(index: int, raw: bytes, path: str, report: Reporter) -> CategoryRecord:
    fields = record_fields(raw, path)
    coco_id, coco_key = take_id(fields.pop("id", None), "id", path, report)
    if "name" not in fields:
        raise Quarantine("name_missing", "The category has no 'name'.", "Give it a name.")
    name = values.as_text(fields["name"])
    if name is None:
        if values.as_number(fields["name"]) is None:
            raise Quarantine("name_invalid", f"'name' is {excerpt(fields['name'][:80])}; expected a text.", at=".name")
        name = fields["name"].decode()
        report(
            Problem(
                "name_not_text",
                Action.REPAIRED,
                f"{path}.name",
                f"'name' was the number {name}: read as text.",
            )
        )
    if len(name) > MAX_NAME:
        raise Quarantine("name_too_long", f"'name' has {len(name):,} characters; {MAX_NAME} is the most.", at=".name")
    del fields["name"]
    group = values.as_text(fields["supercategory"]) if "supercategory" in fields else None
    return CategoryRecord(index, coco_id, coco_key, name, (group or "")[:MAX_NAME], join_fields(fields, path))
