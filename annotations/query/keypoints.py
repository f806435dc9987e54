"""How keypoints are called: by the names that their category gives them, or by their number where it gives none."""

import re
from collections.abc import Sequence

# COCO's v = 0, 1, 2.
VISIBILITIES = ("unlabelled", "hidden", "visible")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


def names_of(listed: object) -> list[str]:
    """The names in a category's field `keypoints`, in order; none where it is no list."""
    return [str(name) for name in listed] if isinstance(listed, list) else []


def name_at(names: Sequence[str], place: int) -> str:
    """How the keypoint at a place, from 0, is asked for; empty where it cannot be."""
    if place < len(names):
        return names[place]
    number = str(place + 1)
    return "" if number in names or not _NUMBER.fullmatch(number) else number


def places_of(names: Sequence[str], name: str) -> list[int]:
    """Where a name is among the category's."""
    return [place for place, each in enumerate(names) if each == name]


def unnamed_place(name: str) -> int | None:
    """The place that a number stands for where the category has no name for it."""
    return int(name) - 1 if _NUMBER.fullmatch(name) else None
