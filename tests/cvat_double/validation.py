"""What CVAT checks in annotations, and nothing more: the rest it stores."""

from typing import Any

from tests.cvat_double.answers import NOT_NULL, REQUIRED, broken, refuse, too_long

LEAST = {"rectangle": 4, "ellipse": 4, "polygon": 6, "polyline": 4, "points": 2, "mask": 5, "skeleton": 0, "cuboid": 16}
EXACT = ("rectangle", "ellipse", "skeleton", "cuboid")
BITS = 2**31
INTEGER = "A valid integer is required."
NO_FLOAT = "[ErrorDetail(string='Value must be a float or an integer', code='invalid')]"

Errors = dict[str, Any]


def check(data: dict[str, Any], action: str) -> None:
    """The validation of a whole body, all errors at once; then what ends in a 500."""
    wrong: Errors = {}
    for kind in ("shapes", "tags", "tracks"):
        found = data.get(kind, [])
        if not isinstance(found, list):
            words = f'Expected a list of items but got type "{type(found).__name__}".'
            wrong[kind] = {"non_field_errors": [words]}
            continue
        errors = [_item_errors(item, kind, action) for item in found]
        if any(errors):
            wrong[kind] = errors
    if wrong:
        raise refuse(wrong)
    for kind in ("shapes", "tags", "tracks"):
        for item in data.get(kind, []):
            _fail_inside(item)


def _item_errors(item: Errors, kind: str, action: str) -> Errors:
    wrong: Errors = {}
    for field in ("frame", "label_id"):
        if field not in item:
            wrong[field] = [REQUIRED]
        elif item[field] is None:
            wrong[field] = [NOT_NULL]
        elif not _is_integer(item[field]):
            wrong[field] = [INTEGER]
        elif int(item[field]) < 0:
            wrong[field] = ["Ensure this value is greater than or equal to 0."]
    if item.get("group") is not None and int(item["group"]) < 0:
        wrong["group"] = ["Ensure this value is greater than or equal to 0."]
    if kind == "shapes":
        _shape_errors(item, wrong)
    _attribute_errors(item, wrong)
    if not wrong:
        if action in ("create", "put") and item.get("id") is not None:
            wrong["id"] = ["must be absent"]
        elif action == "delete" and item.get("id") is None:
            wrong["id"] = ["must be present and not null"]
    return wrong


def _shape_errors(item: Errors, wrong: Errors) -> None:
    kind = item.get("type")
    if kind is None:
        wrong["type"] = [REQUIRED]
    elif kind not in LEAST:
        wrong["type"] = [f'"{kind}" is not a valid choice.']
    rotation = item.get("rotation", 0)
    if not 0 <= rotation <= 360:
        side = "less than or equal to 360" if rotation > 360 else "greater than or equal to 0"
        wrong["rotation"] = [f"Ensure this value is {side}."]
    if not _is_integer(item.get("z_order", 0)):
        wrong["z_order"] = [INTEGER]
    for flag in ("occluded", "outside"):
        if item.get(flag, False) is None:
            wrong[flag] = [NOT_NULL]
    points = item.get("points", [])
    if points is None:
        wrong["points"] = [NOT_NULL]
        return
    bad = {str(index): NO_FLOAT for index, value in enumerate(points) if not isinstance(value, int | float)}
    if bad:
        wrong["points"] = bad
    if wrong or kind not in LEAST:
        return
    count, least = len(points), LEAST[kind]
    if count < least or (kind in EXACT and count != least) or (kind != "mask" and count % 2):
        wrong["points"] = [f"invalid length for shape type '{kind}'"]
    elif kind == "skeleton" and not item.get("elements"):
        wrong["elements"] = ["at least one required for skeleton shape"]
    elif kind != "skeleton" and item.get("elements"):
        wrong["elements"] = ["not allowed for non-skeleton shape"]


def _attribute_errors(item: Errors, wrong: Errors) -> None:
    attributes = item.get("attributes", [])
    if attributes is None:
        wrong["attributes"] = [NOT_NULL]
        return
    long = [{"value": [too_long(4096)]} if len(str(one.get("value", ""))) > 4096 else {} for one in attributes]
    if any(long):
        wrong["attributes"] = long


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdigit())


def _fail_inside(item: dict[str, Any]) -> None:
    if len(item.get("source") or "") > 16:
        raise broken()
    if any(abs(int(item.get(field) or 0)) >= BITS for field in ("group", "z_order")):
        raise broken()
    if any("value" not in attribute for attribute in item.get("attributes", [])):
        raise broken()
