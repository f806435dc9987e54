"""What each picture of the data set is to be: scene, mood, size, format and the special cases to include."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from cocohub.sample.palette import MOODS, Mood

SCENES = (
    *("street", "park", "harbour", "living room", "street", "field", "park", "street", "harbour"),
    *("park", "living room", "street", "field", "park", "harbour", "street", "living room", "park"),
)
_MOOD_SHARES = {
    "summer day": 3,
    "spring morning": 2,
    "autumn day": 2,
    "summer dusk": 3,
    "autumn dusk": 2,
    "summer night": 3,
    "rain": 2,
    "rain night": 1,
    "winter day": 2,
    "winter dusk": 2,
    "fog": 2,
}
_SIZE_SHARES = {(640, 480): 10, (800, 600): 7, (480, 640): 3, (1024, 768): 2, (1280, 960): 2}

Card = TypeVar("Card")

CROWD_SCENES = ("street", "park", "harbour", "field")
MOST_CROWDS = 4
ORIENTATIONS = (6, 8)
"""EXIF: 6 asks the viewer to turn the stored picture a quarter clockwise, 8 a quarter anticlockwise."""


@dataclass
class Shot:
    """The order for one picture; width and height are those of the upright scene."""

    number: int
    scene: str
    mood: Mood
    width: int
    height: int
    split: str
    suffix: str = ".jpg"
    orientation: int = 1
    crowded: bool = False
    empty: bool = False


def plan(images: int, seed: int) -> list[Shot]:
    """The pictures to draw, a quarter of them for the validation split; special cases as far as `images` has room."""
    rng = Random(f"plan {seed}")  # noqa: S311 - a drawing must repeat, not resist guessing
    sizes, moods = _decks(rng, _SIZE_SHARES), _decks(rng, _MOOD_SHARES)
    shots = []
    for number in range(images):
        width, height = next(sizes)
        scene, mood = SCENES[number % len(SCENES)], MOODS[next(moods)]
        shots.append(Shot(number, scene, mood, width, height, "val" if number % 4 == 3 else "train"))
    _add_crowds(shots)
    _add_empty(shots)
    _add_orientations(shots)
    _add_formats(shots)
    return shots


def _decks(rng: Random, shares: dict[Card, int]) -> Iterator[Card]:
    """Shuffled decks without end, each with every card as often as its share says."""
    while True:
        deck = [card for card, count in shares.items() for _ in range(count)]
        rng.shuffle(deck)
        yield from deck


def _spread(shots: list[Shot], count: int) -> list[Shot]:
    """`count` of them, evenly apart."""
    count = min(count, len(shots))
    return [shots[(2 * i + 1) * len(shots) // (2 * count)] for i in range(count)]


def _add_crowds(shots: list[Shot]) -> None:
    count = min(MOST_CROWDS, max(1, len(shots) // 8))
    for i, scene in enumerate(CROWD_SCENES[:count]):
        open_air = [shot for shot in shots if shot.scene == scene and shot.mood.weather != "fog"]
        if open_air:
            open_air[i % len(open_air)].crowded = True


def _add_empty(shots: list[Shot]) -> None:
    """One picture without annotations in each split."""
    for split, scene in (("train", "harbour"), ("val", "park")):
        free = [shot for shot in shots if shot.split == split and not shot.crowded]
        chosen = [shot for shot in free if shot.scene == scene] or free
        if len(shots) >= 8 and chosen:
            chosen[-1].empty = True


def _add_orientations(shots: list[Shot]) -> None:
    free = [shot for shot in shots if (shot.width, shot.height) == (640, 480) and not (shot.crowded or shot.empty)]
    for shot, orientation in zip(_spread(free, len(ORIENTATIONS)), ORIENTATIONS, strict=False):
        shot.orientation = orientation


def _add_formats(shots: list[Shot]) -> None:
    """Several PNG and one WebP, none of them large or turned."""
    free = [shot for shot in shots if shot.width <= 800 and shot.orientation == 1]
    for i, shot in enumerate(_spread(free, max(2, len(shots) // 14))):
        shot.suffix = ".webp" if i == 1 else ".png"
