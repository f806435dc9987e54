"""Tests on parts of an object's box and keypoints, which are in JSON, as SQL conditions."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from django.db.models import F, Value

from annotations.query import conditions as on
from annotations.query.conditions import Sql
from annotations.query.keypoints import places_of, unnamed_place
from annotations.query.tree import Test
from annotations.query.values import EXACT


def box_aspect(test: Test) -> Sql:
    """A test on the width of the box divided by its height; none has one whose height is not above 0."""
    width, height = (on.numbers_at(F("bbox"), "{0}", place) for place in (2, 3))
    high = on.compared(height, ">", Value(Decimal(0)))

    def compare(operator: str, number: Decimal) -> Sql:
        product = on.product(height, on.typed(number, "numeric"))
        return on.both(high, on.compared(width, operator, product))

    return on.on_number(test, compare, on.both(high, on.is_set(width)))


def box_centre(place: int, size: F, test: Test) -> Sql:
    """A test on the centre of the box in one direction (0 across, 1 down), as a share of the image's size."""
    twice = on.numbers_at(F("bbox"), "(2 * {0} + {1})", place, place + 2)
    known = on.compared(size, ">", Value(0))

    def compare(operator: str, number: Decimal) -> Sql:
        # Multiplied, not divided, as for the aspect of an image.
        product = on.product(size, on.typed(EXACT.multiply(number, Decimal(2)), "numeric"))
        return on.both(known, on.compared(twice, operator, product))

    return on.on_number(test, compare, on.both(known, on.is_set(twice)))


def keypoint(listed: Mapping[int, Sequence[str]], name: str, test: Test) -> Sql:
    """A test on how a keypoint can be seen, given the names that categories list: {key of the category: names}."""
    places: dict[int, list[int]] = {}
    for pk, names in listed.items():
        for place in places_of(names, name):
            places.setdefault(place, []).append(pk)
    of_category = [
        on.both(on.one_of(F("category_id"), ids), on.on_name(on.visibility_at(F("keypoints"), place), test))
        for place, ids in places.items()
    ]
    place_of_number = unnamed_place(name)
    if place_of_number is not None:
        has_name = [pk for pk, names in listed.items() if len(names) > place_of_number]
        nameless = on.untrue(on.one_of(F("category_id"), has_name))
        seen = on.on_name(on.visibility_at(F("keypoints"), place_of_number), test)
        of_category.append(on.both(nameless, seen))
    return on.either(*of_category) if of_category else on.always(False)
