"""Scenery that is not annotated: sky, hills, trees, water, weather."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from cocohub.sample.canvas import Canvas, Pen, Point, arc, ellipse, smooth
from cocohub.sample.palette import GRASS, LEAVES, Color, color, dark, light, mix

TRUNK = color("#7a563f")


def sky(canvas: Canvas, rng: Random, horizon: float) -> Point:
    """Sky down to the horizon with sun or moon, stars and clouds; returns where the sun stands."""
    mood, width = canvas.mood, canvas.width
    canvas.gradient(0, horizon, mood.sky, lit=True)
    sun_x = width * rng.choice((rng.uniform(0.12, 0.3), rng.uniform(0.66, 0.88)))
    low = mood.time_of_day in ("dusk", "morning")
    sun_y = horizon * (rng.uniform(0.5, 0.68) if low else rng.uniform(0.16, 0.3))
    unit = canvas.unit
    pen = Pen(canvas, sun_x, sun_y, unit)
    if mood.weather in ("sunny", "clear"):
        if mood.night:
            _stars(canvas, rng, horizon)
        pen.glow(0, 0, 230, mood.sun, 0.34)
        pen.glow(0, 0, 80, mood.sun, 0.6)
        if mood.night:  # a crescent: the outer half circle and back along a flatter one
            inner = [(x * 0.45, y) for x, y in reversed(arc(0, 0, 22, 90, 270))]
            moon = [*arc(0, 0, 22, 90, 270), *inner]
            Pen(canvas, sun_x, sun_y, unit, turn=-28).polygon(moon, mood.sun, lit=True)
        else:
            pen.disc(0, 0, 27, mood.sun, lit=True)
    elif mood.weather == "fog":
        pen.glow(0, 0, 150, mood.sun, 0.7)
    cloudy = {"rain": 9, "snow": 5, "fog": 0}.get(mood.weather, 3 if mood.night else 4)
    for _ in range(cloudy):
        x, y = rng.uniform(-0.05, 1.05) * width, rng.uniform(0.06, 0.62) * horizon
        cloud(canvas, rng, x, y, unit * rng.uniform(0.5, 1.15))
    return sun_x, sun_y


def _stars(canvas: Canvas, rng: Random, horizon: float) -> None:
    for _ in range(90):
        x, y = rng.uniform(0, canvas.width), horizon * rng.random() ** 1.5 * 0.85
        tone = mix(canvas.mood.sky[0], (255, 250, 230), rng.uniform(0.35, 1.0))
        radius = rng.choice((0.5, 0.7, 1.1))
        canvas.disc(x, y, radius, radius, tone, lit=True, mark=False)


def cloud(canvas: Canvas, rng: Random, x: float, y: float, size: float) -> None:
    """A flat-bottomed heap of discs."""
    mood = canvas.mood
    white = {"rain": mix(mood.sky[1], (255, 255, 255), 0.16), "night": mix(mood.sky[2], (255, 255, 255), 0.08)}.get(
        "night" if mood.night else mood.weather, mix((255, 255, 255), mood.sky[-1], 0.18)
    )
    if mood.time_of_day == "dusk":
        white = mix(mood.sky[-1], (255, 255, 255), 0.3)
    shade = mix(white, mood.sky[1], 0.38)
    bumps = [(dx * 26 + rng.uniform(-6, 6), rng.uniform(14, 22) * (1.5 - abs(dx) * 0.33)) for dx in (-2, -1, 0, 1, 2)]
    for tone, drop, share in ((shade, 5, 1.0), (white, 0, 0.94)):
        shape = Pen(canvas, x, y + drop * size * 0.6, size)
        for dx, radius in bumps:
            top = [point for point in ellipse(dx, 0, radius * share * 1.15, radius * share * 1.2) if point[1] <= 0.5]
            shape.polygon(top, tone, lit=True)
        shape.rect(-74 * share, -9, 74 * share, 1, tone, 5, lit=True)


def ridge(
    canvas: Canvas, rng: Random, level: float, height: float, tone: Color, *, waves: int = 3, peaks: bool = False
) -> list[Point]:
    """A range of hills or peaks from edge to edge and down to the bottom; returns its upper line."""
    width = canvas.width
    if peaks:
        count = 2 * waves + 3
        line = [
            (
                width * (i / (count - 1) * 1.3 - 0.15) + rng.uniform(-0.03, 0.03) * width,
                level - (height * rng.uniform(0.6, 1.0) if i % 2 else height * rng.uniform(0.05, 0.3)),
            )
            for i in range(count)
        ]
    else:
        shifts = [(rng.uniform(0, math.tau), waves * share, weight) for share, weight in ((0.5, 0.6), (1.1, 0.4))]
        line = [
            (
                width * i / 48,
                level - height * sum(w * (0.5 + 0.5 * math.sin(s + f * math.tau * i / 48)) for s, f, w in shifts),
            )
            for i in range(-1, 50)
        ]
    canvas.fill([*line, (width * 1.2, canvas.height), (-width * 0.2, canvas.height)], tone)
    if peaks:
        for (ax, ay), (bx, by), (cx, cy) in zip(line[:-2:2], line[1:-1:2], line[2::2], strict=True):
            cap = 0.34
            left, right = ((bx + (ax - bx) * cap, by + (ay - by) * cap), (bx + (cx - bx) * cap, by + (cy - by) * cap))
            canvas.fill([(bx, by), (cx, cy), (bx + (cx - bx) * 0.18, cy)], dark(tone, 0.13))
            middle = ((left[0] + right[0]) / 2, max(left[1], right[1]))
            zig = [
                (right[0] * 0.7 + middle[0] * 0.3, right[1] - 3),
                (middle[0], middle[1] + 5),
                (left[0] * 0.6 + middle[0] * 0.4, left[1] - 3),
            ]
            canvas.fill([(bx, by), right, *zig, left], light(tone, 0.75))
    return line


def lawn(canvas: Canvas, top: float, tones: tuple[Color, Color] | None = None) -> None:
    """Grass from `top` to the bottom, lighter far away."""
    near, far = (tones or GRASS[canvas.mood.season])[::-1]
    canvas.gradient(top, canvas.height, (light(far, 0.12), far, near))


def tufts(canvas: Canvas, rng: Random, top: float, bottom: float, count: int) -> None:
    """Blades of grass and, outside winter, small flowers; larger when nearer."""
    mood = canvas.mood
    base = GRASS[mood.season][1]
    for _ in range(count):
        y = top + (bottom - top) * rng.random() ** 0.8
        size = canvas.unit * (0.35 + 0.75 * (y - top) / max(1.0, bottom - top))
        x = rng.uniform(0, canvas.width)
        pen = Pen(canvas, x, y, size)
        kind = rng.random()
        if mood.snowy:
            pen.ellipse(0, 0, rng.uniform(8, 22), 2, color("#dfe9f1"))
        elif kind < 0.66 or mood.season == "autumn":
            for lean in (-4, 0, 4):
                pen.polygon([(-1.6, 0), (lean, -rng.uniform(6, 11)), (1.6, 0)], dark(base, 0.1 if lean else 0.02))
        else:
            petal = rng.choice((color("#fff6e0"), color("#ffd35c"), color("#f49ab0"), color("#b79be0")))
            pen.stroke([(0, 0), (0.5, -7)], 1.2, dark(base, 0.12))
            pen.disc(0.5, -8, 2.8, petal)
            pen.disc(0.5, -8, 1.1, color("#e0a030"))


def tree(canvas: Canvas, rng: Random, x: float, y: float, size: float, kind: str = "") -> None:
    """round, tall or pine; `size` is pixels per centimetre of a tree about 420 cm high."""
    mood = canvas.mood
    kind = kind or rng.choice(("round", "round", "tall", "pine"))
    pen = Pen(canvas, x, y, size, flip=rng.random() < 0.5)
    shade, leaf, shine = rng.choice(LEAVES[mood.season])
    canvas.shadow(x, y, 120 * size, 22 * size)
    trunk = dark(TRUNK, 0.2) if mood.night else TRUNK
    if kind == "pine":
        _pine(pen, trunk)
        return
    pen.polygon([(-13, 0), (-8, -150), (8, -150), (13, 0), (20, 4), (-20, 4)], trunk)
    pen.polygon([(2, 2), (3, -150), (8, -150), (13, 0), (20, 4)], dark(trunk, 0.18))
    if kind == "tall":
        pen.ellipse(0, -250, 70, 160, shade)
        pen.ellipse(-6, -258, 60, 146, leaf)
        pen.ellipse(-16, -290, 36, 96, shine)
        return
    pen.stroke([(0, -120), (40, -185)], 9, trunk)
    pen.stroke([(0, -110), (-42, -170)], 8, trunk)
    crowns = [(-62, -210, 66), (60, -214, 64), (0, -290, 84), (-40, -262, 70), (44, -268, 66)]
    jolts = [(rng.uniform(-10, 10), rng.uniform(-10, 10)) for _ in crowns]
    for tone, dx, dy, share in ((shade, 0, 0, 1.0), (leaf, -8, -10, 0.88), (shine, -18, -26, 0.52)):
        for (cx, cy, radius), (jx, jy) in zip(crowns, jolts, strict=True):
            pen.disc(cx + jx + dx, cy + jy + dy, radius * share, tone)


def _pine(pen: Pen, trunk: Color) -> None:
    winter = pen.canvas.mood.snowy
    green = color("#3e6f62") if winter else color("#2f7158")
    pen.rect(-11, -60, 11, 2, trunk)
    for i, (low, high, half) in enumerate(((-46, -200, 104), (-130, -290, 84), (-220, -390, 62))):
        tone = light(green, 0.07 * i)
        pen.rounded([(-half, low), (0, high), (half, low)], 12, tone)
        pen.polygon([(4, high + 12), (half - 9, low), (0, low)], dark(tone, 0.14))
        if winter:
            pen.polygon(
                [
                    (0, high + 4),
                    (half * 0.42, (low + high) / 2 + 4),
                    (half * 0.16, (low + high) / 2 - 8),
                    (-half * 0.1, (low + high) / 2 + 12),
                    (-half * 0.44, (low + high) / 2 + 2),
                ],
                color("#f4f8fb"),
            )


def bush(canvas: Canvas, rng: Random, x: float, y: float, size: float) -> None:
    """A low heap of leaves about 160 cm wide."""
    shade, leaf, shine = LEAVES[canvas.mood.season][-1]
    pen = Pen(canvas, x, y, size)
    heaps = [(dx, rng.uniform(30, 46)) for dx in (-56, -26, 6, 36, 60)]
    for tone, lift, share in ((shade, 0, 1.0), (leaf, 7, 0.84), (shine, 16, 0.46)):
        for dx, radius in heaps:
            top = [point for point in ellipse(dx, 0, radius * share, radius * share) if point[1] <= 1]
            pen.polygon([(px - lift * 0.5, py - lift * 0.6) for px, py in top] if lift else top, tone)


def water(canvas: Canvas, rng: Random, top: float, bottom: float, sun: Point | None) -> None:
    """Sea or river: the sky's colours upside down, waves, and the sun's glitter."""
    mood = canvas.mood
    deep = mix(mood.sky[0], color("#14506e") if not mood.night else color("#0b1f46"), 0.5)
    canvas.gradient(
        top, bottom, (mix(mood.sky[-1], mood.sky[0], 0.3), mix(mood.sky[0], mood.sky[1], 0.3), deep), lit=True
    )
    unit = canvas.unit
    for _ in range(130):
        share = rng.random() ** 1.3
        y = top + 3 + (bottom - top - 4) * share
        long = unit * rng.uniform(8, 26) * (0.35 + share)
        x = rng.uniform(0, canvas.width)
        tone = mix(mood.sky[1], (255, 255, 255), rng.uniform(0.15, 0.5))
        canvas.veil(ellipse(x, y, long, 0.9 * unit * (0.4 + share), steps=16), tone, 0.34)
    if sun and mood.weather in ("sunny", "clear"):
        for _ in range(60):
            share = rng.random()
            y = top + 2 + (bottom - top - 4) * share
            spread = unit * (8 + 52 * share)
            x = sun[0] + rng.gauss(0, 0.5) * spread
            long = unit * rng.uniform(6, 20) * (0.5 + share)
            canvas.veil(ellipse(x, y, long, 1.2 * unit * (0.5 + share), steps=16), mood.sun, 0.55)


def path(canvas: Canvas, line: list[tuple[float, float, float]], tone: Color) -> None:
    """A way through the grass: points with half widths, from far to near."""
    left = smooth([(x - half, y) for x, y, half in line], closed=False)
    right = smooth([(x + half, y) for x, y, half in line], closed=False)
    canvas.fill([*left, *reversed(right)], tone)


def frame_leaves(canvas: Canvas, rng: Random) -> None:
    """A branch hanging into one upper corner, to give the picture depth."""
    mood = canvas.mood
    if mood.snowy:
        return
    unit = canvas.unit
    right = rng.random() < 0.5
    pen = Pen(canvas, canvas.width if right else 0, 0, unit, flip=right)
    shade, leaf, _ = LEAVES[mood.season][0]
    for i in range(34):
        x, y = rng.uniform(-10, 150), rng.uniform(-12, 70)
        if x / 150 + y / 70 > 1.05:
            continue
        tone = dark(shade, 0.25) if i % 3 else dark(leaf, 0.12)
        turn = rng.uniform(10, 80)
        pen.polygon(ellipse(x, y, 17, 7, turn, 18), tone)


def falling(canvas: Canvas, rng: Random) -> None:
    """Rain or snow over the whole picture, or a veil of fog; marks do not change."""
    mood, unit, scale = canvas.mood, canvas.unit, canvas.scale
    if mood.weather == "fog":
        for share in (0.34, 0.46, 0.56, 0.68):
            x = rng.uniform(0, canvas.width)
            canvas.glow(x, canvas.height * share, canvas.width * 0.8, canvas.height * 0.13, mood.haze, 0.5)
    if mood.weather not in ("rain", "snow"):
        return
    layer = Image.new("L", canvas.pixels.size)
    brush = ImageDraw.Draw(layer)
    for _ in range(210 if mood.weather == "rain" else 260):
        x, y = rng.uniform(-20, canvas.width), rng.uniform(-20, canvas.height)
        near = rng.random()
        if mood.weather == "rain":
            long = unit * (9 + 16 * near)
            ends = [x * scale, y * scale, (x + long * 0.24) * scale, (y + long) * scale]
            brush.line(ends, fill=round(50 + 60 * near), width=max(1, round(unit * scale * 0.5)))
        else:
            radius = unit * (0.8 + 2.2 * near**3)
            box = [(x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale]
            brush.ellipse(box, fill=round(150 + 90 * near))
    tone = (226, 236, 242) if mood.weather == "rain" else (255, 255, 255)
    canvas.pixels.paste(tone, (0, 0), layer)
