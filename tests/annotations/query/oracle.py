"""What a query selects, worked out in plain Python from docs/query.md; it shares only the tree with what it judges."""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from annotations.query import tree as t
from tests.annotations.query.records import CATEGORIES, NOW, POINTS, Picture, Thing

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}
MISSING = object()


def images(node: t.Node, pictures: tuple[Picture, ...]) -> set[str]:
    """Letters of the pictures that a query selects."""
    return {each.letter for each in pictures if holds(node, each, each.things, pictures)}


def annotations(node: t.Node, pictures: tuple[Picture, ...]) -> set[int]:
    """Numbers of the annotations that a query selects."""
    return {thing.number for each in pictures for thing in each.things if holds(node, each, (thing,), pictures)}


def holds(node: t.Node, picture: Picture, things: tuple[Thing, ...], pictures: tuple[Picture, ...]) -> bool:
    """Whether a node holds for a picture, where an object field outside has() is about some of these things."""
    match node:
        case t.Everything():
            return True
        case t.Not(part=part):
            return not holds(part, picture, things, pictures)
        case t.And(parts=parts):
            return all(holds(part, picture, things, pictures) for part in parts)
        case t.Or(parts=parts):
            return any(holds(part, picture, things, pictures) for part in parts)
        case t.Has(condition=condition):
            return any(holds(condition, picture, (thing,), pictures) for thing in picture.things)
        case t.Count(condition=condition, test=test):
            met = [thing for thing in picture.things if holds(condition, picture, (thing,), pictures)]
            return number(len(met), test)
        case t.Term(field=field, test=test, path=path):
            if field in IMAGE:
                return IMAGE[field](picture, test, path, pictures)
            if field in ON_IMAGE:
                return any(ON_IMAGE[field](thing, picture, test) for thing in things)
            return any(OBJECT[field](thing, test, path) for thing in things)
    raise AssertionError(node)


def number(value: Any, test: t.Test) -> bool:
    if value is None:
        return False
    match test:
        case t.Present():
            return True
        case t.Is(value=other):
            return value == other
        case t.Differs(value=other):
            return value != other
        case t.Compare(operator=operator, value=other):
            return OPERATORS[operator](value, Fraction(other))
        case t.Between(low=low, high=high):
            return Fraction(low) <= value <= Fraction(high)
    raise AssertionError(test)


def fits(text: str, pattern: str) -> bool:
    regex = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def name(value: str, test: t.Test) -> bool:
    match test:
        case t.Present():
            return value != ""
        case t.Is(value=other):
            return value == other
        case t.Differs(value=other):
            return value not in ("", other)
        case t.Matches(pattern=pattern):
            return fits(value, pattern)
    raise AssertionError(test)


def names(values: Iterable[str], test: t.Test) -> bool:
    if isinstance(test, t.Differs):
        return bool(values) and test.value not in values
    return any(True if isinstance(test, t.Present) else name(value, test) for value in values)


def text(value: str | None, test: t.Test) -> bool:
    if value is None:
        return False
    match test:
        case t.Contains(text=part):
            return part.upper() in value.upper()
        case t.Matches(pattern=pattern):
            return fits(value.upper(), pattern.upper())
    return name(value, test)


def flag(value: bool, test: t.Test) -> bool:
    match test:
        case t.Present():
            return True
        case t.Is(value=other):
            return value is other
        case t.Differs(value=other):
            return value is not other
    raise AssertionError(test)


def ago(moment: str) -> datetime:
    count, unit = int(moment[1:-1]), moment[-1]
    if unit in "hdw":
        return NOW - timedelta(hours=count * {"h": 1, "d": 24, "w": 168}[unit])
    if unit == "y" and count > 1000:
        return datetime(1000, 1, 1, tzinfo=UTC)  # before anything
    year, month = divmod(NOW.year * 12 + NOW.month - 1 - count * {"m": 1, "y": 12}[unit], 12)
    return NOW.replace(year=year, month=month + 1, day=min(NOW.day, monthrange(year, month + 1)[1]))


def span(moment: t.Moment) -> tuple[datetime, datetime]:
    """First and last microsecond of a moment; the oracle's clock is in UTC."""
    value = moment.text
    if value.startswith("-"):
        return ago(value), ago(value)
    if "T" in value:
        start = datetime.fromisoformat(value)
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        return start, start + timedelta(seconds=1 if value.count(":") > 1 else 60, microseconds=-1)
    year, month, day = (*(int(part) for part in value.split("-")), None, None)[:3]
    start = datetime(year, month or 1, day or 1, tzinfo=UTC)
    end = datetime(year, month or 12, day or monthrange(year, month or 12)[1], 23, 59, 59, 999_999, tzinfo=UTC)
    return start, end


def time(value: datetime, test: t.Test) -> bool:
    match test:
        case t.Present():
            return True
        case t.Is(value=moment):
            return span(moment)[0] <= value <= span(moment)[1]
        case t.Differs(value=moment):
            return not span(moment)[0] <= value <= span(moment)[1]
        case t.Between(low=low, high=high):
            return span(low)[0] <= value <= span(high)[1]
        case t.Compare(operator=operator, value=moment):
            return OPERATORS[operator](value, span(moment)[operator in (">", "<=")])
    raise AssertionError(test)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def json_is(value: Any, scalar: t.Word | str) -> bool:
    if isinstance(scalar, str):
        return value == scalar
    constants = {"true": True, "false": False, "null": None}
    if scalar.text in constants:
        return value is constants[scalar.text] or value == scalar.text
    return value == scalar.text or (is_number(value) and Decimal(str(value)) == Decimal(scalar.text))


def json_compares(value: Any, operator: str, bound: Decimal | str) -> bool:
    if isinstance(bound, Decimal):
        return is_number(value) and OPERATORS[operator](Fraction(str(value)), Fraction(bound))
    return isinstance(value, str) and OPERATORS[operator](value, bound)


def json(root: Any, test: t.Test, path: tuple[str, ...]) -> bool:
    value = at(root, path)
    if value is MISSING:
        return False
    elements = value if isinstance(value, list) else [value]
    match test:
        case t.Present():
            return True
        case t.Is(value=scalar):
            return any(json_is(each, scalar) for each in elements)
        case t.Differs(value=scalar):
            return not any(json_is(each, scalar) for each in elements)
        case t.Compare(operator=operator, value=bound):
            return any(json_compares(each, operator, bound) for each in elements)
        case t.Between(low=low, high=high):
            return any(json_compares(each, ">=", low) and json_compares(each, "<=", high) for each in elements)
        case t.Matches(pattern=pattern):
            return any(isinstance(each, str) and fits(each, pattern) for each in elements)
    raise AssertionError(test)


def aspect(picture: Picture) -> Fraction | None:
    return Fraction(picture.width, picture.height) if picture.width is not None and picture.height else None


def megapixels(picture: Picture) -> Fraction | None:
    return None if picture.width is None else Fraction(picture.width * picture.height, 1_000_000)


def duplicate(picture: Picture, pictures: tuple[Picture, ...]) -> bool:
    return picture.checksum != "" and [each.checksum for each in pictures].count(picture.checksum) > 1


def box(thing: Thing, place: int, test: t.Test) -> bool:
    if thing.bbox is None or len(thing.bbox) <= place:
        return False
    value = thing.bbox[place]
    return is_number(value) and number(Fraction(str(value)), test)


def side(thing: Thing, place: int) -> Fraction | None:
    value = thing.bbox[place] if thing.bbox is not None and len(thing.bbox) > place else None
    return Fraction(str(value)) if is_number(value) else None


def box_area(thing: Thing) -> Fraction | None:
    width, height = side(thing, 2), side(thing, 3)
    return None if width is None or height is None else width * height


def box_aspect(thing: Thing) -> Fraction | None:
    width, height = side(thing, 2), side(thing, 3)
    return None if width is None or height is None or height <= 0 else width / height


def centre(thing: Thing, place: int, size: int | None) -> Fraction | None:
    start, length = side(thing, place), side(thing, place + 2)
    return None if start is None or length is None or not size else (start + length / 2) / size


def keypoint(thing: Thing, test: t.Test, path: tuple[str, ...]) -> bool:
    listed = POINTS.get(thing.category or 0)
    known = listed if isinstance(listed, list) else []
    points = thing.points if isinstance(thing.points, list) else []
    found = set()
    for place in range(len(points) // 3):
        called = known[place] if place < len(known) else str(place + 1)
        seen = points[3 * place + 2]
        if called == path[0]:
            found.add(("unlabelled", "hidden", "visible")[min(2, max(0, seen))] if is_number(seen) else "unlabelled")
    return any(name(each, test) for each in found)


def category(thing: Thing, test: t.Test) -> bool:
    if thing.category is None:
        return False
    return isinstance(test, t.Present) or name(CATEGORIES[thing.category][0], test)


def caption(thing: Thing) -> str | None:
    value = (thing.extra or {}).get("caption")
    return None if value is None else str(value)


def decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


IMAGE: dict[str, Callable[..., bool]] = {
    "id": lambda picture, test, path, all_: number("abcdefgh".index(picture.letter) + 1, test),
    "coco_id": lambda picture, test, path, all_: number(picture.coco_id, test),
    "file": lambda picture, test, path, all_: text(picture.file, test),
    "split": lambda picture, test, path, all_: name(picture.split, test),
    "width": lambda picture, test, path, all_: number(picture.width, test),
    "height": lambda picture, test, path, all_: number(picture.height, test),
    "megapixels": lambda picture, test, path, all_: number(megapixels(picture), test),
    "aspect": lambda picture, test, path, all_: number(aspect(picture), test),
    "size": lambda picture, test, path, all_: number(picture.size, test),
    "format": lambda picture, test, path, all_: name(picture.format.upper(), upper(test)),
    "checksum": lambda picture, test, path, all_: name(picture.checksum, test),
    "tag": lambda picture, test, path, all_: names(picture.tags, test),
    "status": lambda picture, test, path, all_: name(picture.status, test),
    "metadata": lambda picture, test, path, all_: json(picture.metadata, test, path),
    "created": lambda picture, test, path, all_: time(picture.created, test),
    "updated": lambda picture, test, path, all_: time(picture.updated, test),
    "annotations": lambda picture, test, path, all_: number(len(picture.things), test),
    "issue": lambda picture, test, path, all_: names(
        {*picture.issues, *(issue for thing in picture.things for issue in thing.issues or ())}, test
    ),
    "duplicate": lambda picture, test, path, all_: flag(duplicate(picture, all_), test),
}
OBJECT: dict[str, Callable[..., bool]] = {
    "category": lambda thing, test, path: category(thing, test),
    "supercategory": lambda thing, test, path: thing.category is not None and name(CATEGORIES[thing.category][1], test),
    "area": lambda thing, test, path: number(decimal(thing.area), test),
    "bbox.x": lambda thing, test, path: box(thing, 0, test),
    "bbox.y": lambda thing, test, path: box(thing, 1, test),
    "bbox.w": lambda thing, test, path: box(thing, 2, test),
    "bbox.h": lambda thing, test, path: box(thing, 3, test),
    "bbox.area": lambda thing, test, path: number(box_area(thing), test),
    "bbox.aspect": lambda thing, test, path: number(box_aspect(thing), test),
    "iscrowd": lambda thing, test, path: (
        thing.iscrowd is not None if test == t.Present() else flag(bool(thing.iscrowd), test)
    ),
    "source": lambda thing, test, path: name(thing.source, test),
    "machine": lambda thing, test, path: flag(thing.machine, test),
    "score": lambda thing, test, path: number(decimal(thing.score), test),
    "keypoints": lambda thing, test, path: (
        thing.keypoints is not None if test == t.Present() else number(thing.keypoints or 0, test)
    ),
    "keypoint": keypoint,
    "attributes": lambda thing, test, path: json(thing.attributes, test, path),
    "annotation": lambda thing, test, path: number(thing.number, test),
    "annotation.issue": lambda thing, test, path: names(thing.issues or [], test),
    "annotation.created": lambda thing, test, path: time(thing.created, test),
    "annotation.updated": lambda thing, test, path: time(thing.updated, test),
    "caption": lambda thing, test, path: text(caption(thing), test),
}

# Of the object and of the image it is on.
ON_IMAGE: dict[str, Callable[..., bool]] = {
    "bbox.cx": lambda thing, picture, test: number(centre(thing, 0, picture.width), test),
    "bbox.cy": lambda thing, picture, test: number(centre(thing, 1, picture.height), test),
}


def upper(test: t.Test) -> t.Test:
    match test:
        case t.Is(value=str(value)):
            return t.Is(value.upper())
        case t.Differs(value=str(value)):
            return t.Differs(value.upper())
        case t.Matches(pattern=pattern):
            return t.Matches(pattern.upper())
    return test
