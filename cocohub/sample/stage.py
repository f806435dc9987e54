"""One picture in the making: the canvas and the things put on it so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from cocohub.sample.canvas import Canvas, Pen
from cocohub.sample.palette import Mood
from cocohub.sample.people import Keypoint

MOST_THINGS = 255
"""What one byte of the marks can number; 0 is scenery."""


@dataclass
class Thing:
    """One annotated object. `number` is its value in the canvas's marks."""

    number: int
    category: str
    attributes: dict[str, object]
    crowd: bool = False
    keypoints: list[Keypoint] = field(default_factory=list)
    whole: int = 0
    """Its size in marks before anything was drawn in front of it."""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Where in the marks it can be: left, top, right, bottom."""


class Stage:
    """Canvas, mood, chance, and the things drawn, far ones first.

    `unit` is the number of pixels that one pixel of a 640 x 480 composition takes.
    """

    def __init__(self, width: int, height: int, mood: Mood, rng: Random, scale: int) -> None:
        self.width, self.height, self.mood, self.rng = width, height, mood, rng
        self.canvas = Canvas(width, height, mood, scale)
        self.unit = self.canvas.unit
        self.things: list[Thing] = []

    @contextmanager
    def thing(self, category: str, *, crowd: bool = False, **attributes: object) -> Iterator[Thing]:
        """Everything drawn inside belongs to one new thing."""
        thing = Thing(len(self.things) + 1, category, attributes, crowd)
        if thing.number > MOST_THINGS:
            raise ValueError(f"a picture holds at most {MOST_THINGS} things")
        self.things.append(thing)
        before = self.canvas.layer
        self.canvas.layer = thing.number
        yield thing
        self.canvas.layer = before
        thing.box = self.canvas.take_touched()
        if thing.box[0] < thing.box[2] and thing.box[1] < thing.box[3]:
            thing.whole = self.canvas.marks.crop(thing.box).histogram()[thing.number]

    def pen(self, x: float, y: float, size: float, *, flip: bool = False, turn: float = 0) -> Pen:
        return Pen(self.canvas, x, y, size, flip, turn)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def slots(self, count: int, left: float, right: float) -> list[float]:
        """`count` places between two edges, about equally far apart, in random order."""
        step = (right - left) / max(1, count)
        places = [left + step * (i + 0.5 + self.rng.uniform(-0.28, 0.28)) for i in range(count)]
        self.rng.shuffle(places)
        return places


class Actors:
    """Things that stand on the same ground: collected in any order, drawn from far to near."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, Callable[[], None]]] = []

    def add(self, y: float, act: Callable[[], None]) -> None:
        self._acts.append((y, len(self._acts), act))

    def play(self) -> None:
        for _, _, act in sorted(self._acts, key=lambda entry: entry[:2]):
            act()
