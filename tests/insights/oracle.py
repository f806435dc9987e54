"""What metrics count, worked out in plain Python from records: for each bar, how many, and on which images."""

import bisect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

from insights.metrics import boxes, images, objects
from tests.insights.records import ABOVE, NAMES, Picture, Thing

MISSING = "(missing)"


@dataclass
class Tally:
    """One bar: how many images or annotations, and the images they are (on)."""

    count: int = 0
    keys: set[int] = field(default_factory=set)

    def add(self, key: int) -> None:
        self.count += 1
        self.keys.add(key)


Tallies = dict[Any, Tally]


def by_image(pictures: Iterable[Picture], labels: Callable[[Picture], Iterable[Any]]) -> Tallies:
    return _tallies((label, each.key) for each in pictures for label in labels(each))


def by_thing(pictures: Iterable[Picture], labels: Callable[[Thing, Picture], Iterable[Any]]) -> Tallies:
    return _tallies((label, each.key) for each in pictures for thing in each.things for label in labels(thing, each))


def _tallies(found: Iterable[tuple[Any, int]]) -> Tallies:
    tallies: Tallies = defaultdict(Tally)
    for label, key in found:
        tallies[label].add(key)
    return dict(tallies)


def binned(value: Any, edges: Iterable[Any]) -> Any:
    """(from, to) of the bin, to excluded; None is an open end."""
    if value is None:
        return MISSING
    edges = [Fraction(str(edge)) for edge in edges]
    place = bisect.bisect_right(edges, Fraction(str(value)))
    return (edges[place - 1] if place else None, edges[place] if place < len(edges) else None)


def number(value: Any) -> Fraction | None:
    return Fraction(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def side(thing: Thing, place: int) -> Fraction | None:
    return number(thing.bbox[place]) if isinstance(thing.bbox, list) and len(thing.bbox) > place else None


def scalar(value: Any) -> str | None:
    """How a JSON scalar is called; None for what is none."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return value
        case int() | float():
            return format(Decimal(str(value)).normalize(), "f")
    return None


def attribute_values(thing: Thing) -> set[str]:
    if not isinstance(thing.attributes, dict):
        return set()
    found = set()
    for key, value in thing.attributes.items():
        for each in value if isinstance(value, list) else [value]:
            if (name := scalar(each)) is not None:
                found.add(f"{key}: {name}")
    return found


def visibilities(thing: Thing) -> list[tuple[int, int]]:
    points = thing.keypoints if isinstance(thing.keypoints, list) else []
    return [
        (place, min(2, max(0, points[3 * place + 2])) if number(points[3 * place + 2]) is not None else 0)
        for place in range(len(points) // 3)
    ]


def centre(thing: Thing, picture: Picture) -> Any:
    x, y, w, h = (side(thing, place) for place in range(4))
    if None in (x, y, w, h) or not picture.width or not picture.height:
        return MISSING
    found = ((x + w / 2) / picture.width, (y + h / 2) / picture.height)
    return tuple(min(31, max(0, math.floor(each * 32))) for each in found)


def sides_of(thing: Thing) -> tuple[Fraction | None, Fraction | None]:
    return side(thing, 2), side(thing, 3)


def area_of(thing: Thing) -> Fraction | None:
    w, h = sides_of(thing)
    return None if w is None or h is None else w * h


def shape_of(thing: Thing) -> Fraction | None:
    w, h = sides_of(thing)
    return None if w is None or not h or h < 0 else w / h


def aspect_of(picture: Picture) -> Fraction | None:
    return None if picture.width is None or not picture.height else Fraction(picture.width, picture.height)


def pixels_of(picture: Picture) -> Fraction | None:
    known = picture.width is not None and picture.height is not None
    return Fraction(picture.width * picture.height, 1_000_000) if known else None


def pairs_of(picture: Picture) -> Iterable[tuple[str, str]]:
    names = {NAMES[each.category] for each in picture.things if each.category is not None}
    return combinations_with_replacement(sorted(names), 2)


def leaks(pictures: list[Picture]) -> Tallies:
    splits = defaultdict(set)
    for each in pictures:
        splits[each.checksum].add(each.split)
    return by_image(pictures, lambda p: [p.checksum] if p.checksum and len(splits[p.checksum]) > 1 else [])


def _or_missing(values: Iterable[Any]) -> list[Any]:
    return list(values) or [MISSING]


def _sizes(thing: Thing) -> str:
    if thing.area is None:
        return MISSING
    return "small" if thing.area < 32**2 else "medium" if thing.area < 96**2 else "large"


def tallies(name: str, pictures: list[Picture]) -> Tallies:
    """The bars of a metric by label, by bin or by cell."""
    return ORACLES[name](pictures)


def _image(labels: Callable[[Picture], Iterable[Any]]) -> Callable[[list[Picture]], Tallies]:
    return lambda pictures: by_image(pictures, labels)


def _thing(label: Callable[[Thing, Picture], Any]) -> Callable[[list[Picture]], Tallies]:
    return lambda pictures: by_thing(pictures, lambda thing, picture: [label(thing, picture)])


def _things(labels: Callable[[Thing], Iterable[Any]]) -> Callable[[list[Picture]], Tallies]:
    return lambda pictures: by_thing(pictures, lambda thing, picture: labels(thing))


ORACLES: dict[str, Callable[[list[Picture]], Tallies]] = {
    "classes": _thing(lambda t, p: MISSING if t.category is None else NAMES[t.category]),
    "supercategories": _thing(lambda t, p: MISSING if t.category is None else ABOVE[t.category]),
    "co_occurrence": _image(pairs_of),
    "splits": _image(lambda p: [p.split]),
    "statuses": _image(lambda p: [p.status]),
    "resolution": _image(
        lambda p: [
            MISSING
            if p.width is None or p.height is None
            else (binned(p.width, images.SIDES), binned(p.height, images.SIDES))
        ]
    ),
    "megapixels": _image(lambda p: [binned(pixels_of(p), images.MEGAPIXELS.edges)]),
    "aspect_ratios": _image(lambda p: [binned(aspect_of(p), images.ASPECT.edges)]),
    "annotations_per_image": _image(lambda p: [binned(len(p.things), images.ANNOTATIONS.edges)]),
    "formats": _image(lambda p: [p.format.upper() or MISSING]),
    "file_sizes": _image(lambda p: [binned(p.size, images.BYTES.edges)]),
    "object_sizes": _thing(lambda t, p: _sizes(t)),
    "object_areas": _thing(lambda t, p: binned(t.area, objects.SQUARE_SIDES.edges)),
    "origin": _thing(lambda t, p: "machine" if t.machine else "human"),
    "sources": _thing(lambda t, p: f"{t.source or 'not said'} ({'machine' if t.machine else 'human'})"),
    "scores": _thing(lambda t, p: binned(t.score, objects.SCORES.edges)),
    "box_sizes": _thing(lambda t, p: binned(area_of(t), boxes.SQUARE_SIDES.edges)),
    "box_widths": _thing(lambda t, p: binned(side(t, 2), boxes.SIDES)),
    "box_heights": _thing(lambda t, p: binned(side(t, 3), boxes.SIDES)),
    "box_aspects": _thing(lambda t, p: binned(shape_of(t), boxes.ASPECTS.edges)),
    "box_centres": _thing(centre),
    "tags": _image(lambda p: _or_missing(p.tags)),
    "image_issues": _image(lambda p: _or_missing({*p.issues, *(i for t in p.things for i in t.issues or [])})),
    "annotation_issues": _things(lambda t: _or_missing(t.issues or [])),
    "attribute_keys": _things(lambda t: _or_missing(t.attributes if isinstance(t.attributes, dict) else [])),
    "attributes": _things(
        lambda t: attribute_values(t) if isinstance(t.attributes, dict) and t.attributes else [MISSING]
    ),
    "keypoints": _things(
        lambda t: [
            f"{'' if t.category is None else NAMES[t.category]}: "
            f"{('nose', 'tail')[place] if t.category == 0 and place < 2 else f'keypoint {place + 1}'}"
            for place, _ in visibilities(t)
        ]
    ),
    "image_activity": _image(
        lambda p: [("created", p.created.date().isoformat()), ("updated", p.updated.date().isoformat())]
    ),
    "label_activity": _things(
        lambda t: [("created", t.created.date().isoformat()), ("updated", t.created.date().isoformat())]
    ),
    "split_leakage": leaks,
}
