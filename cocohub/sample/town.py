"""Scenery of towns and shores: skyline, house fronts, shops, harbour houses, lighthouse, farm."""

from __future__ import annotations

from random import Random

from cocohub.sample.canvas import Canvas, Pen, arc
from cocohub.sample.palette import PAINTS, Color, color, dark, light, mix

WALLS = tuple(
    color(tone)
    for tone in ("#e8b08a", "#d98c74", "#f0d3a4", "#a9c3b4", "#8fb0c4", "#c9a7b8", "#e9e0d0", "#b5816a", "#94a586")
)
ROOFS = tuple(color(tone) for tone in ("#a5533f", "#7b4b48", "#4d5a6b", "#8c6a4f"))
PANE = color("#bfe0ea")
PANE_LIT = color("#ffd98a")
SNOW = color("#f4f8fb")


def skyline(canvas: Canvas, rng: Random, base: float, height: float, tone: Color) -> None:
    """Distant towers, windows lit at night."""
    x = -20.0
    unit = canvas.unit
    while x < canvas.width:
        wide = unit * rng.uniform(26, 62)
        high = height * rng.uniform(0.35, 1.0)
        shade = mix(tone, (255, 255, 255), rng.uniform(0, 0.12))
        canvas.fill([(x, base), (x, base - high), (x + wide, base - high), (x + wide, base)], shade)
        top = rng.random()
        if top < 0.25:
            canvas.fill([(x, base - high), (x + wide / 2, base - high - wide * 0.5), (x + wide, base - high)], shade)
        elif top < 0.45:
            middle = x + wide / 2
            canvas.fill(
                [(middle - unit, base - high), (middle + unit, base - high), (middle, base - high - 26 * unit)], shade
            )
        if canvas.mood.lamps_on:
            for row in range(int(high / (11 * unit))):
                for column in range(int(wide / (9 * unit))):
                    if rng.random() < 0.34:
                        px, py = x + (3 + column * 9) * unit, base - high + (5 + row * 11) * unit
                        box = [(px, py), (px + 3.6 * unit, py), (px + 3.6 * unit, py + 5 * unit), (px, py + 5 * unit)]
                        canvas.fill(box, mix(PANE_LIT, tone, 0.25), lit=True)
        x += wide * rng.uniform(0.8, 1.15)


def houses(canvas: Canvas, rng: Random, base: float, low: float, high: float) -> None:
    """A row of house fronts with shops from edge to edge; heights between `low` and `high` pixels."""
    x = -rng.uniform(10, 60)
    unit = canvas.unit
    last: Color | None = None
    while x < canvas.width:
        wide = unit * rng.uniform(92, 150)
        wall = rng.choice([tone for tone in WALLS if tone != last])
        last = wall
        if rng.random() < 0.12:
            x += wide * 0.5  # a gap through which the skyline shows
            continue
        _house(Pen(canvas, x, base, unit), rng, wide / unit, rng.uniform(low, high) / unit, wall)
        x += wide


def _house(pen: Pen, rng: Random, wide: float, high: float, wall: Color) -> None:
    pen.rect(0, -high, wide, 0, wall)
    pen.rect(wide - 7, -high, wide, 0, dark(wall, 0.1))
    if rng.random() < 0.4:
        roof = rng.choice(ROOFS)
        pen.polygon([(-4, -high), (14, -high - 30), (wide - 14, -high - 30), (wide + 4, -high)], roof)
        if pen.canvas.mood.snowy:
            pen.polygon([(5, -high - 16), (14, -high - 31), (wide - 14, -high - 31), (wide - 5, -high - 16)], SNOW)
    else:
        pen.rect(-4, -high - 6, wide + 4, -high + 4, light(wall, 0.35))
        if pen.canvas.mood.snowy:
            pen.rect(-4, -high - 10, wide + 4, -high - 5, SNOW, 2)
    shop = 64.0
    _windows(pen, rng, wide, high, shop, wall)
    if rng.random() < 0.75:
        _shop(pen, rng, wide, shop)
    else:
        _door(pen, rng, wide, shop)


def _windows(pen: Pen, rng: Random, wide: float, high: float, shop: float, wall: Color) -> None:
    mood = pen.canvas.mood
    columns = max(2, int(wide // 34))
    rows = max(1, int((high - shop - 8) // 44))
    step_x, step_y = wide / columns, (high - shop - 6) / rows
    style = rng.choice(("plain", "shutters", "arched", "balcony"))
    shutter = dark(rng.choice((PAINTS["teal"], PAINTS["navy"], PAINTS["red"], PAINTS["green"])), 0.1)
    for row in range(rows):
        for column in range(columns):
            x, y = step_x * (column + 0.5), -high + 6 + step_y * (row + 0.5)
            lit = mood.lamps_on and rng.random() < 0.55
            pane = PANE_LIT if lit else PANE
            pen.rect(x - 9.5, y - 14.5, x + 9.5, y + 14.5, light(wall, 0.5), 1.5)
            pen.rect(x - 7.5, y - 12.5, x + 7.5, y + 12.5, pane, lit=lit)
            if style == "arched":
                pen.polygon(arc(x, y - 12.5, 9.5, 180, 360), light(wall, 0.5))
                pen.polygon(arc(x, y - 12.5, 7.5, 180, 360), pane, lit=lit)
            if not lit:
                pen.polygon(
                    [(x - 7.5, y + 12.5), (x - 7.5, y - 2), (x + 5, y - 12.5), (x + 7.5, y - 12.5)], light(pane, 0.35)
                )
            pen.rect(x - 0.7, y - 12.5, x + 0.7, y + 12.5, light(wall, 0.5))
            pen.rect(x - 7.5, y - 3, x + 7.5, y - 1.6, light(wall, 0.5))
            pen.rect(x - 11, y + 13.5, x + 11, y + 16.5, dark(wall, 0.16))
            if style == "shutters":
                pen.rect(x - 15, y - 13.5, x - 10, y + 13.5, shutter)
                pen.rect(x + 10, y - 13.5, x + 15, y + 13.5, shutter)
            elif style == "balcony" and row % 2 == 0:
                pen.rect(x - 13, y + 5, x + 13, y + 7, dark(wall, 0.5))
                for bar in range(-12, 13, 4):
                    pen.rect(x + bar - 0.5, y + 6, x + bar + 0.5, y + 17, dark(wall, 0.5))


def _shop(pen: Pen, rng: Random, wide: float, shop: float) -> None:
    lit = pen.canvas.mood.lamps_on
    paint = PAINTS[rng.choice(("red", "teal", "navy", "green", "orange", "yellow", "pink"))]
    pen.rect(3, -shop + 4, wide - 3, 0, dark(paint, 0.35))
    pen.rect(9, -shop + 22, wide - 40, -8, PANE_LIT if lit else light(PANE, 0.12), 2, lit=lit)
    pen.rect(wide - 33, -shop + 22, wide - 10, 0, dark(paint, 0.5), 2)
    pen.rect(wide - 30, -shop + 26, wide - 13, -20, PANE_LIT if lit else PANE, 2, lit=lit)
    for _ in range(5):  # what the shop sells: jars, cakes, hats
        x, goods = rng.uniform(16, wide - 50), rng.choice(list(PAINTS.values()))
        pen.rect(x, -rng.uniform(13, 24), x + rng.uniform(5, 11), -9, mix(goods, PANE, 0.25), 2)
    stripes = max(6, int(wide // 11))
    for i in range(stripes):
        a, b = 2 + (wide - 4) * i / stripes, 2 + (wide - 4) * (i + 1) / stripes
        tone = paint if i % 2 else color("#fbf5e8")
        pen.polygon(
            [
                (a, -shop + 4),
                (b, -shop + 4),
                (b + 1, -shop + 20),
                *arc((a + b) / 2, -shop + 20, (b - a) / 2, 0, 180, 6),
            ],
            tone,
        )


def _door(pen: Pen, rng: Random, wide: float, shop: float) -> None:
    paint = dark(PAINTS[rng.choice(("teal", "navy", "red", "green"))], 0.2)
    x = wide * rng.uniform(0.3, 0.6)
    pen.rect(x - 3, -shop + 6, x + 29, 0, color("#efe6d6"), 3)
    pen.rect(x, -shop + 9, x + 26, 0, paint, 3)
    pen.disc(x + 21, -26, 1.8, PAINTS["yellow"])
    pen.rect(x - 8, -4, x + 34, 0, color("#c8beb0"))


def harbour_houses(canvas: Canvas, rng: Random, left: float, right: float, base: float, size: float) -> None:
    """Narrow painted gabled houses on a low stone wall, far across the water."""
    canvas.fill(
        [(left - 8, base), (left - 8, base - 7 * size), (right + 14, base - 7 * size), (right + 26, base)],
        color("#8e8a85"),
    )
    x = left
    tones = [PAINTS[name] for name in ("red", "yellow", "white", "teal", "orange", "blue", "pink")]
    rng.shuffle(tones)
    number = 0
    while x < right - 20 * size:
        wide, high = size * rng.uniform(34, 46), size * rng.uniform(48, 80)
        wall = mix(tones[number % len(tones)], color("#e8dfd0"), 0.28)
        number += 1
        top = base - 6 * size
        pen = Pen(canvas, x, top, size)
        w, h = wide / size, high / size
        pen.rect(0, -h, w, 0, wall)
        roof = SNOW if canvas.mood.snowy else rng.choice(ROOFS)
        pen.polygon([(-3, -h), (w / 2, -h - 24), (w + 3, -h)], roof)
        for row in range(int(h // 22)):
            for column in (0.27, 0.73):
                lit = canvas.mood.lamps_on and rng.random() < 0.6
                px, py = w * column, -h + 6 + row * 22
                pen.rect(px - 5, py, px + 5, py + 12, PANE_LIT if lit else light(PANE, 0.3), lit=lit)
        x += wide


def lighthouse(canvas: Canvas, x: float, base: float, size: float) -> None:
    pen = Pen(canvas, x, base, size)
    pen.polygon([(-70, 0), (-44, -22), (-8, -30), (40, -24), (76, 0)], color("#7d7a7c"))
    for i in range(5):
        low, high = -24 - i * 26, -24 - (i + 1) * 26
        half, upper = 22 - i * 2, 22 - (i + 1) * 2
        pen.polygon(
            [(-half, low), (-upper, high), (upper, high), (half, low)], PAINTS["white"] if i % 2 else PAINTS["red"]
        )
    pen.rect(-17, -162, 17, -154, color("#3c4250"))
    on = canvas.mood.lamps_on
    pen.rect(-9, -182, 9, -162, color("#ffe9a8") if on else PANE, lit=on)
    pen.polygon([(-14, -182), (0, -198), (14, -182)], PAINTS["red"])
    if on:
        canvas.veil([pen.at(0, -176), pen.at(-1400, -390), pen.at(-1400, -190)], (255, 240, 190), 0.13)
        pen.glow(0, -172, 60, (255, 236, 170), 0.8)


def farm(canvas: Canvas, rng: Random, x: float, base: float, size: float) -> None:
    """A red barn with a silo, and sometimes a windmill."""
    pen = Pen(canvas, x, base, size)
    red, white = color("#b8493c"), color("#f2eadb")
    pen.rect(72, -120, 110, 0, color("#c3c8ca"))
    pen.polygon(arc(91, -120, 19, 180, 360), color("#98a2a8"))
    pen.rect(98, -120, 110, 0, dark(color("#c3c8ca"), 0.15))
    pen.polygon([(-70, 0), (-70, -62), (-46, -96), (0, -112), (46, -96), (70, -62), (70, 0)], red)
    roof = SNOW if canvas.mood.snowy else color("#6d4a46")
    pen.polygon(
        [
            (-78, -58),
            (-50, -100),
            (0, -118),
            (50, -100),
            (78, -58),
            (70, -58),
            (46, -93),
            (0, -109),
            (-46, -93),
            (-70, -58),
        ],
        roof,
    )
    pen.rect(-22, -46, 22, 0, white)
    pen.rect(-19, -43, 19, 0, dark(red, 0.2))
    pen.stroke([(-19, -43), (19, 0)], 3, white)
    pen.stroke([(19, -43), (-19, 0)], 3, white)
    lit = canvas.mood.lamps_on
    pen.rect(-9, -86, 9, -68, PANE_LIT if lit else dark(red, 0.4), lit=lit)
    if rng.random() < 0.5:
        _windmill(Pen(canvas, x - 190 * size, base + 4 * size, size), rng)


def _windmill(pen: Pen, rng: Random) -> None:
    pen.polygon([(-34, 0), (-20, -130), (20, -130), (34, 0)], color("#ecdfc8"))
    pen.polygon([(6, 0), (6, -130), (20, -130), (34, 0)], dark(color("#ecdfc8"), 0.12))
    pen.polygon([(-24, -128), (0, -164), (24, -128)], color("#7b4b48"))
    pen.rect(-9, -34, 9, 0, color("#6d4a46"), 4)
    start = rng.uniform(10, 80)
    for i in range(4):
        tip = arc(0, -136, 88, start + 90 * i, start + 90 * i, 1)[0]
        near = arc(0, -136, 24, start + 90 * i, start + 90 * i, 1)[0]
        wing = arc(0, -136, 88, start + 90 * i + 11, start + 90 * i + 11, 1)[0]
        root = arc(0, -136, 24, start + 90 * i + 34, start + 90 * i + 34, 1)[0]
        pen.polygon([near, tip, wing, root], color("#f7f1e2"))
        pen.stroke([(0, -136), tip], 3, color("#6d4a46"))
    pen.disc(0, -136, 5, color("#6d4a46"))
