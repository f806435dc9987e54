"""A supersampled drawing surface that remembers which thing each pixel belongs to.

Every shape is painted twice: as colour, and as the number of the thing being drawn. Whatever is drawn later hides
what is below it in both, so the second image always tells the exact visible mask of every thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from cocohub.sample.palette import Color, Mood

Point = tuple[float, float]

SMOOTH_STEPS = 6
CORNER_STEPS = 5


def _soft_disc() -> Image.Image:
    """256 x 256 "L": 255 in the middle, falling smoothly to 0 at the rim."""
    falloff = [round(255 * (1 - i / 255) ** 2 * (1 + 2 * i / 255)) for i in range(256)]
    return Image.radial_gradient("L").point([falloff[min(255, round(i * 1.42))] for i in range(256)])


SOFT_DISC = _soft_disc()


class Canvas:
    """Pixels and marks of one picture; all coordinates are pixels of the finished picture, floats allowed.

    `layer` is the number put into `marks` (0 means scenery, which is not annotated); `haze` the distance 0..1 by
    which colours fade.
    """

    def __init__(self, width: int, height: int, mood: Mood, scale: int) -> None:
        self.width, self.height, self.scale, self.mood = width, height, scale, mood
        self.pixels = Image.new("RGB", (width * scale, height * scale))
        self.marks = Image.new("L", self.pixels.size)
        self.layer = 0
        self.haze = 0.0
        self._touched: tuple[float, float, float, float] | None = None
        self._paint = ImageDraw.Draw(self.pixels)
        self._mark = ImageDraw.Draw(self.marks)

    @property
    def unit(self) -> float:
        """Scenes are composed for a short side of 480; this is how many pixels one of those is here."""
        return min(self.width, self.height) / 480

    def fill(self, points: Sequence[Point], tone: Color, *, lit: bool = False, mark: bool = True) -> None:
        """Fill a polygon. `lit` things shine at night; without `mark` the pixels below keep their owner."""
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self._paint.polygon(scaled, fill=tone if lit else self.mood.tint(tone, self.haze))
        if mark:
            self._mark.polygon(scaled, fill=self.layer)
            self._touch(scaled)

    def disc(self, x: float, y: float, rx: float, ry: float, tone: Color, *, lit: bool, mark: bool) -> None:
        box = [(x - rx) * self.scale, (y - ry) * self.scale, (x + rx) * self.scale, (y + ry) * self.scale]
        self._paint.ellipse(box, fill=tone if lit else self.mood.tint(tone, self.haze))
        if mark:
            self._mark.ellipse(box, fill=self.layer)
            self._touch([(box[0], box[1]), (box[2], box[3])])

    def cover(self, points: Sequence[Point]) -> None:
        """Mark a polygon as belonging to the thing without painting it, such as the air between spokes."""
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self._mark.polygon(scaled, fill=self.layer)
        self._touch(scaled)

    def _touch(self, scaled: Sequence[Point]) -> None:
        """Remember where the current thing has been drawn: looking there alone is much faster than everywhere."""
        if not self.layer:
            return
        xs, ys = [x for x, _ in scaled], [y for _, y in scaled]
        left, top, right, bottom = self._touched or (xs[0], ys[0], xs[0], ys[0])
        self._touched = min(left, *xs), min(top, *ys), max(right, *xs), max(bottom, *ys)

    def take_touched(self) -> tuple[int, int, int, int]:
        """Box of marks (left, top, right, bottom) around what was drawn on layers other than 0 since the last call."""
        left, top, right, bottom = self._touched or (0, 0, 0, 0)
        self._touched = None
        wide, high = self.marks.size
        edges = (max(0, math.floor(left) - 1), max(0, math.floor(top) - 1), math.ceil(right) + 2, math.ceil(bottom) + 2)
        return (
            min(edges[0], wide),
            min(edges[1], high),
            max(edges[0], min(edges[2], wide)),
            max(edges[1], min(edges[3], high)),
        )

    def glow(self, x: float, y: float, rx: float, ry: float, tone: Color, strength: float) -> None:
        """Lay a soft ellipse of light or shadow over the pixels; marks do not change. `strength` is 0..1."""
        size = max(1, round(2 * rx * self.scale)), max(1, round(2 * ry * self.scale))
        corner = round((x - rx) * self.scale), round((y - ry) * self.scale)
        mask = SOFT_DISC.resize(size, Image.Resampling.BILINEAR).point(lambda value: value * strength)
        self.pixels.paste(tone, (*corner, corner[0] + size[0], corner[1] + size[1]), mask)

    def shadow(self, x: float, y: float, rx: float, ry: float) -> None:
        """Ground shadow, as dark as the mood's light makes it."""
        if self.mood.shadow:
            strength = self.mood.shadow * 1.5 * (1 - self.haze)
            self.glow(x + rx * 0.08, y, rx, ry, self.mood.tint((34, 36, 66)), min(strength, 0.75))

    def veil(self, points: Sequence[Point], tone: Color, alpha: float) -> None:
        """Fill a polygon half transparently with a colour taken as it is; marks do not change."""
        xs, ys = [x * self.scale for x, _ in points], [y * self.scale for _, y in points]
        left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
        right, bottom = (
            min(self.pixels.width, math.ceil(max(xs)) + 1),
            min(self.pixels.height, math.ceil(max(ys)) + 1),
        )
        if right <= left or bottom <= top:
            return
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon(
            [(x - left, y - top) for x, y in zip(xs, ys, strict=True)], fill=round(255 * alpha)
        )
        self.pixels.paste(tone, (left, top, right, bottom), mask)

    def gradient(self, top: float, bottom: float, stops: Sequence[Color], *, lit: bool = False) -> None:
        """Fill the full width between two heights with a vertical gradient, as scenery."""
        first, last = round(top * self.scale), round(bottom * self.scale)
        tones = stops if lit else [self.mood.tint(stop, self.haze) for stop in stops]
        strip = Image.new("RGB", (1, len(tones)))
        strip.putdata(list(tones))
        ramp = strip.resize((1, last - first), Image.Resampling.BILINEAR)
        self.pixels.paste(ramp.resize((self.pixels.width, last - first), Image.Resampling.NEAREST), (0, first))
        self._mark.rectangle([0, first, self.marks.width, last], fill=0)

    def finished(self) -> Image.Image:
        """The antialiased RGB picture."""
        return self.pixels.reduce(self.scale)


@dataclass
class Pen:
    """Draws in a thing's own coordinates: centimetres, y downwards, the origin usually where it meets the ground.

    `size` is pixels per centimetre, `flip` mirrors left and right, `turn` rotates clockwise in degrees.
    """

    canvas: Canvas
    x: float
    y: float
    size: float
    flip: bool = False
    turn: float = 0.0

    def __post_init__(self) -> None:
        self._cos, self._sin = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))

    def at(self, x: float, y: float) -> Point:
        """Pixel position of a point given in centimetres."""
        x, y = x * self._cos - y * self._sin, x * self._sin + y * self._cos
        return self.x + (-x if self.flip else x) * self.size, self.y + y * self.size

    def polygon(self, points: Iterable[Point], tone: Color, *, lit: bool = False, mark: bool = True) -> None:
        self.canvas.fill([self.at(x, y) for x, y in points], tone, lit=lit, mark=mark)

    def rounded(self, points: Sequence[Point], radius: float, tone: Color, *, lit: bool = False) -> None:
        """A polygon with its corners rounded off."""
        self.polygon(rounded(points, radius), tone, lit=lit)

    def smooth(self, points: Sequence[Point], tone: Color, *, lit: bool = False) -> None:
        """A closed curve through the points."""
        self.polygon(smooth(points), tone, lit=lit)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, tone: Color, radius: float = 0, *, lit: bool = False
    ) -> None:
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        self.polygon(rounded(corners, radius) if radius else corners, tone, lit=lit)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, tone: Color, turn: float = 0, *, lit: bool = False
    ) -> None:
        self.polygon(ellipse(x, y, rx, ry, turn), tone, lit=lit)

    def disc(self, x: float, y: float, radius: float, tone: Color, *, lit: bool = False, mark: bool = True) -> None:
        px, py = self.at(x, y)
        self.canvas.disc(px, py, radius * self.size, radius * self.size, tone, lit=lit, mark=mark)

    def limb(self, start: Point, end: Point, wide: float, narrow: float, tone: Color) -> None:
        """A tapering stroke with round ends; widths at start and end."""
        self.polygon(taper(start, end, wide, narrow), tone)
        self.disc(*start, wide / 2, tone)
        self.disc(*end, narrow / 2, tone)

    def stroke(self, points: Sequence[Point], width: float, tone: Color, *, mark: bool = True) -> None:
        """A line of constant width with round ends and joints."""
        for start, end in pairwise(points):
            self.polygon(taper(start, end, width, width), tone, mark=mark)
        for x, y in points:
            self.disc(x, y, width / 2, tone, mark=mark)

    def cover(self, points: Iterable[Point]) -> None:
        self.canvas.cover([self.at(x, y) for x, y in points])

    def glow(self, x: float, y: float, radius: float, tone: Color, strength: float) -> None:
        px, py = self.at(x, y)
        self.canvas.glow(px, py, radius * self.size, radius * self.size, tone, strength)


def taper(start: Point, end: Point, wide: float, narrow: float) -> list[Point]:
    """The four corners of a segment with the given widths at its ends."""
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    nx, ny = -(y1 - y0) / length / 2, (x1 - x0) / length / 2
    return [
        (x0 + nx * wide, y0 + ny * wide),
        (x1 + nx * narrow, y1 + ny * narrow),
        (x1 - nx * narrow, y1 - ny * narrow),
        (x0 - nx * wide, y0 - ny * wide),
    ]


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0, steps: int = 40) -> list[Point]:
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    angles = [math.tau * i / steps for i in range(steps)]
    circle = [(rx * math.cos(angle), ry * math.sin(angle)) for angle in angles]
    return [(x + px * cos - py * sin, y + px * sin + py * cos) for px, py in circle]


def arc(x: float, y: float, radius: float, start: float, end: float, steps: int = 14) -> list[Point]:
    """Points of an arc; degrees, 0 to the right, growing clockwise (y is downwards)."""
    turns = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def rounded(points: Sequence[Point], radius: float) -> list[Point]:
    """Replace every corner by a quadratic Bezier curve that starts `radius` before it."""
    result: list[Point] = []
    for i, (x, y) in enumerate(points):
        entry, leave = points[i - 1], points[(i + 1) % len(points)]
        ends = []
        for px, py in (entry, leave):
            length = math.hypot(px - x, py - y) or 1.0
            share = min(radius / length, 0.5)
            ends.append((x + (px - x) * share, y + (py - y) * share))
        (ax, ay), (bx, by) = ends
        for step in range(CORNER_STEPS + 1):
            t = step / CORNER_STEPS
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            result.append((a * ax + b * x + c * bx, a * ay + b * y + c * by))
    return result


def smooth(points: Sequence[Point], *, closed: bool = True) -> list[Point]:
    """Catmull-Rom curve through the points."""
    count = len(points)
    result: list[Point] = []
    for i in range(count if closed else count - 1):
        if closed:
            a, b, c, d = points[i - 1], points[i], points[(i + 1) % count], points[(i + 2) % count]
        else:
            a, b, c, d = points[max(i - 1, 0)], points[i], points[i + 1], points[min(i + 2, count - 1)]
        for step in range(SMOOTH_STEPS):
            t = step / SMOOTH_STEPS
            result.append((_catmull(a[0], b[0], c[0], d[0], t), _catmull(a[1], b[1], c[1], d[1], t)))
    return result if closed else [*result, points[-1]]


def _catmull(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)
