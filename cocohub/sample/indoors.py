"""The living room. Lengths are in pixels of a 640 x 480 composition (`u` each), furniture in centimetres."""

from __future__ import annotations

import math
from dataclasses import replace

from cocohub.sample import cast, things
from cocohub.sample.canvas import Pen, arc, ellipse, smooth
from cocohub.sample.palette import PAINTS, Color, Mood, color, dark, light, mix
from cocohub.sample.stage import Stage

# Wall, trim and rug that go together.
SCHEMES = tuple(
    (color(a), color(b), color(c))
    for a, b, c in (
        ("#a9c8bd", "#e9efe6", "#d9775f"),
        ("#e9c9a4", "#f7eddb", "#4f8a8b"),
        ("#b7b9d6", "#eeeaf2", "#e0a458"),
        ("#d8a79a", "#f4e6dc", "#5f7f95"),
        ("#8fb3c4", "#e8f0f0", "#e2b04a"),
        ("#c9cfa4", "#f2f1df", "#b8655a"),
    )
)
FLOORS = (color("#b98a5e"), color("#a5744c"), color("#c9a57c"))


def indoor_mood(mood: Mood) -> Mood:
    """The same hour behind walls: lamplight instead of dusk, no haze, nobody in a coat."""
    ambient = (246, 222, 196) if mood.lamps_on else mix(mood.ambient, (255, 255, 255), 0.6)
    return replace(mood, ambient=ambient, mist=0.0, season="summer", weather="sunny")


def living_room(stage: Stage, *, crowded: bool, empty: bool) -> None:
    """A couch under a window, with shelf, television, plants and pets; never crowded."""
    rng, u, w, h = stage.rng, stage.unit, stage.width, stage.height
    outside = stage.mood
    stage.mood = stage.canvas.mood = indoor_mood(outside)
    size = (1.28 if w > h else 1.12) * u
    wall, trim, rug = rng.choice(SCHEMES)
    ground = h - 126 * u
    _shell(stage, wall, trim, ground)
    couch_x = w * rng.uniform(0.42, 0.58)
    _window(stage, outside, couch_x - 84 * u, ground - 272 * u, 168 * u, 150 * u, trim)
    _rug(stage, couch_x, h - 48 * u, 250 * u, rug)
    sides = ["shelf", "television", "corner"]
    rng.shuffle(sides)
    if not empty:
        for x, kind in zip((couch_x - 232 * u, couch_x + 232 * u), sides, strict=False):
            _side(stage, kind, x, ground, size, wall)
        _couch(stage, couch_x, h - 84 * u, size)
        _floor_life(stage, couch_x, size)
    _pendant(stage, w * rng.choice((0.2, 0.8)), ground - 250 * u, u)
    if stage.mood.lamps_on:
        stage.canvas.glow(w * 0.5, h * 0.5, w * 0.7, h * 0.7, (255, 214, 150), 0.16)


def _shell(stage: Stage, wall: Color, trim: Color, ground: float) -> None:
    canvas, u, w, h = stage.canvas, stage.unit, stage.width, stage.height
    canvas.gradient(0, ground, (light(wall, 0.12), wall, dark(wall, 0.06)))
    if stage.chance(0.5):
        for i in range(0, math.ceil(w / (32 * u)) + 1, 2):
            x = i * 32 * u
            canvas.fill([(x, 0), (x + 32 * u, 0), (x + 32 * u, ground), (x, ground)], light(wall, 0.1))
    canvas.fill([(0, ground - 13 * u), (w, ground - 13 * u), (w, ground), (0, ground)], trim)
    wood = stage.rng.choice(FLOORS)
    canvas.gradient(ground, h, (dark(wood, 0.14), wood, light(wood, 0.08)))
    for i in range(-16, 40):
        x = i * 34 * u
        low = w / 2 + (x - w / 2) * 1.5
        canvas.fill([(x, ground), (x + u, ground), (low + 1.6 * u, h), (low, h)], dark(wood, 0.2))
    for i, (rise, from_x) in enumerate(((20, 0.1), (52, 0.55), (88, 0.3), (30, 0.75), (70, 0.8))):
        y = ground + rise * u
        canvas.fill(
            [(w * from_x, y), (w * from_x + 44 * u, y), (w * from_x + 44 * u, y + u), (w * from_x, y + u)],
            dark(wood, 0.16 + i * 0.01),
        )


def _window(stage: Stage, outside: Mood, x: float, y: float, wide: float, high: float, trim: Color) -> None:
    canvas, rng, u = stage.canvas, stage.rng, stage.unit
    pen = stage.pen(x, y, 1)
    pen.rect(-9 * u, -9 * u, wide + 9 * u, high + 9 * u, trim)
    steps, stops = 40, outside.sky
    for i in range(steps):
        share = i / (steps - 1) * (len(stops) - 1)
        low = min(int(share), len(stops) - 2)
        pen.rect(
            0, high * i / steps, wide, high * (i + 1) / steps, mix(stops[low], stops[low + 1], share - low), lit=True
        )
    if outside.weather in ("sunny", "clear"):
        pen.disc(wide * 0.74, high * 0.26, 11 * u, outside.sun, lit=True)
        pen.glow(wide * 0.74, high * 0.26, 30 * u, outside.sun, 0.5)
    green = outside.tint(color("#f1f5f8") if outside.snowy else color("#6fa867"))
    for level, tone in ((0.62, mix(green, stops[-1], 0.6)), (0.76, mix(green, stops[-1], 0.25))):
        shift = rng.uniform(0, 6)
        hills = [(wide * i / 20, high * (level + 0.06 * math.sin(shift + i * 0.42))) for i in range(21)]
        pen.polygon([*hills, (wide, high), (0, high)], tone, lit=True)
    if outside.weather in ("rain", "snow"):
        for _ in range(46):
            px, py = rng.uniform(4, wide / u - 4) * u, rng.uniform(4, high / u - 12) * u
            if outside.weather == "rain":
                pen.stroke([(px, py), (px + 1.6 * u, py + 8 * u)], 0.7 * u, light(stops[-1], 0.4))
            else:
                pen.disc(px, py, rng.uniform(0.8, 2) * u, (255, 255, 255), lit=True)
    pen.rect(wide / 2 - 3 * u, 0, wide / 2 + 3 * u, high, trim)
    pen.rect(0, high * 0.36 - 2 * u, wide, high * 0.36 + 2 * u, trim)
    pen.rect(-16 * u, high + 7 * u, wide + 16 * u, high + 15 * u, light(trim, 0.4), 2 * u)
    cloth = rng.choice((PAINTS["teal"], PAINTS["orange"], PAINTS["pink"], PAINTS["yellow"], color("#f4eee0")))
    for flip in (False, True):
        drape = Pen(canvas, x + (wide if flip else 0), y - 16 * u, u, flip)
        edge = high / u + 30
        drape.polygon(
            [(-34, 0), (16, 0), *smooth([(14, 20), (2, edge * 0.55), (-6, edge)], closed=False), (-34, edge)], cloth
        )
        for i, fold in enumerate((-26, -15, -5)):
            drape.polygon([(fold, 0), (fold + 5, 0), (fold + 3 - i * 2, edge), (fold - i * 2, edge)], dark(cloth, 0.12))
    stage.pen(x, y - 18 * u, u).stroke([(-42, 0), (wide / u + 42, 0)], 4, color("#6d4d3a"))


def _rug(stage: Stage, x: float, y: float, half: float, tone: Color) -> None:
    for share, shade in ((1.0, tone), (0.88, light(tone, 0.4)), (0.8, tone), (0.46, light(tone, 0.28))):
        stage.canvas.fill(ellipse(x, y, half * share, half * 0.2 * share, steps=60), shade)


def _side(stage: Stage, kind: str, x: float, ground: float, size: float, wall: Color) -> None:
    u = stage.unit
    match kind:
        case "shelf":
            _shelf(stage, x, ground + 16 * u, size)
        case "television":
            _television(stage, x, ground + 18 * u, size)
            if stage.chance(0.7):
                with stage.thing("clock", hands="10:08"):
                    things.draw_clock(stage.pen(x, ground - 226 * u, size * 1.15), color("#a8703f"), 10, 8)
            else:
                _pictures(stage, x, ground - 200 * u, size, wall)
        case _:
            _pictures(stage, x, ground - 196 * u, size, wall)
            name = stage.rng.choice(("red", "teal", "yellow", "navy"))
            stage.canvas.shadow(x - 22 * u, ground + 24 * u, 44 * size, 8 * size)
            with stage.thing("chair", color=name):
                things.draw_chair(
                    stage.pen(x - 22 * u, ground + 24 * u, size * 1.05, flip=x > stage.width / 2), PAINTS[name]
                )
            cast.plant(stage, x + 46 * u, ground + 20 * u, size * 0.95, kinds=("leafy", "cactus", "round"))


def _shelf(stage: Stage, x: float, y: float, size: float) -> None:
    """A bookcase with a few books, a plant on top, and now and then a clock between them."""
    rng = stage.rng
    wood = rng.choice((color("#a8703f"), color("#7d5540"), color("#ece3d2")))
    pen = stage.pen(x, y, size)
    stage.canvas.shadow(x, y, 60 * size, 9 * size)
    pen.rect(-52, -180, 52, 0, wood, 3)
    boards = (-8, -52, -96, -140)
    for board in boards:
        pen.rect(-47, board - 36, 47, board, dark(wood, 0.38))
    full = rng.sample(boards, 2)
    for board in boards:
        start = rng.uniform(-45, -30)
        if board in full:
            cast.books(stage, x + start * size, y + board * size, size, rng.randint(3, 6))
        else:
            for i in range(rng.randint(2, 5)):  # boxes and vases are scenery
                tone = mix(rng.choice(list(PAINTS.values())), wood, 0.35)
                pen.rect(start + i * 19, board - rng.uniform(12, 26), start + i * 19 + 13, board, tone, 3)
    cast.plant(stage, x + rng.uniform(-20, 20) * size, y - 180 * size, size * 0.5, kinds=("leafy", "flowers", "cactus"))


def _television(stage: Stage, x: float, y: float, size: float) -> None:
    wood = stage.rng.choice((color("#8a5d3f"), color("#e6dccb"), color("#4d5563")))
    pen = stage.pen(x, y, size)
    stage.canvas.shadow(x, y, 84 * size, 9 * size)
    for dx in (-62, 62):
        pen.limb((dx, -12), (dx, -2), 7, 5, dark(wood, 0.3))
    pen.rect(-74, -52, 74, -8, wood, 4)
    for left in (-69, -22, 25):
        pen.rect(left, -47, left + 44, -13, dark(wood, 0.12), 3)
        pen.disc(left + 22, -30, 2.6, light(wood, 0.5))
    shine = stage.rng.choice((color("#4f9fc9"), color("#e58a5c"), color("#6c7fc4"), color("#4fae8d")))
    with stage.thing("tv", on=True):
        things.draw_tv(stage.pen(x, y - 52 * size, size * 0.94), shine)
    stage.canvas.glow(x, y - 98 * size, 96 * size, 70 * size, light(shine, 0.3), 0.22)


def _pictures(stage: Stage, x: float, y: float, size: float, wall: Color) -> None:
    """Framed pictures on the wall: scenery."""
    for dx, dy, wide, high in ((-30, -4, 44, 56), (26, 8, 36, 36)):
        tone = stage.rng.choice((PAINTS["orange"], PAINTS["teal"], PAINTS["pink"], PAINTS["yellow"], PAINTS["navy"]))
        pen = stage.pen(x + dx * size, y + dy * size, size)
        pen.rect(-wide / 2 - 3, -high / 2 - 3, wide / 2 + 3, high / 2 + 3, color("#6d4d3a"), 1)
        pen.rect(-wide / 2, -high / 2, wide / 2, high / 2, color("#f7f0e1"))
        pen.rect(-wide / 2 + 4, -high / 2 + 4, wide / 2 - 4, high / 2 - 4, mix(tone, wall, 0.35))
        pen.disc(wide * 0.12, -high * 0.12, wide * 0.16, light(tone, 0.6))
        pen.polygon(
            [
                (-wide / 2 + 4, high / 2 - 4),
                (-wide * 0.1, 0),
                (wide * 0.16, high * 0.2),
                (wide / 2 - 4, -1),
                (wide / 2 - 4, high / 2 - 4),
            ],
            dark(tone, 0.15),
        )


def _couch(stage: Stage, x: float, y: float, size: float) -> None:
    rng = stage.rng
    name = rng.choice(("teal", "orange", "navy", "pink", "green", "yellow", "purple"))
    stage.canvas.shadow(x, y, 138 * size, 14 * size)
    with stage.thing("couch", color=name):
        things.draw_couch(stage.pen(x, y, size), PAINTS[name])
        cushion = PAINTS[rng.choice([other for other in ("yellow", "white", "red", "pink", "teal") if other != name])]
        for dx in rng.sample((-72, 72), rng.randint(1, 2)):
            things.draw_cushion(stage.pen(x + dx * size, y - 66 * size, size, turn=rng.uniform(-16, 16)), cushion)
    acts = rng.choice(
        (
            ("person", "cat"),
            ("person", "person"),
            ("cat",),
            ("person",),
            ("dog", "person"),
            ("person", "person", "cat"),
            (),
        )
    )
    for act, dx in zip(acts, rng.sample((-60, 0, 60), len(acts)), strict=True):
        match act:
            case "person":
                cast.person(stage, x + dx * size, y + 6 * size, size, poses=("sitting:front",), seat=50, flip=False)
            case "cat":
                cast.cat(stage, x + dx * size, y - 46 * size, size * 1.05, pose=rng.choice(("lying", "sitting")))
            case "dog":
                cast.dog(stage, x + dx * size, y - 46 * size, size * 0.8, pose="sitting")


def _floor_life(stage: Stage, x: float, size: float) -> None:
    rng, u, w, h = stage.rng, stage.unit, stage.width, stage.height
    acts = rng.choices(("cat", "dog", "ball", "plant", "stander", "backpack", "none"), (2, 2, 1, 2, 1.4, 1, 2), k=3)
    places = (x - rng.uniform(150, 215) * u, x + rng.uniform(-70, 70) * u, x + rng.uniform(150, 215) * u)
    for act, px in zip(acts, places, strict=True):
        y = h - rng.uniform(16, 44) * u
        px = min(max(px, 30 * u), w - 30 * u)
        match act:
            case "cat":
                cast.cat(stage, px, y, size * 1.15)
            case "dog":
                cast.dog(stage, px, y, size * 1.05)
            case "ball":
                cast.ball(stage, px, y, size)
            case "plant":
                cast.plant(stage, px, y, size * 1.1, kinds=("leafy", "round", "cactus"))
            case "stander":
                cast.person(stage, px, y, size * 1.02, poses=cast.STANDS, with_extras=False)
            case "backpack":
                stage.canvas.shadow(px, y, 22 * size, 5 * size)
                with stage.thing("backpack", color="orange"):
                    things.draw_backpack(stage.pen(px, y - 42 * size, size * 1.1), PAINTS["orange"])


def _pendant(stage: Stage, x: float, y: float, u: float) -> None:
    pen = stage.pen(x, y, u)
    pen.rect(-0.9, -y / u - 2, 0.9, -26, color("#4a4650"))
    shade = stage.rng.choice((PAINTS["yellow"], PAINTS["white"], PAINTS["red"]))
    pen.polygon([*arc(0, 0, 30, 180, 360), (30, 3), (-30, 3)], shade)
    pen.polygon([(8, -28), *arc(0, 0, 30, 290, 360, 8), (30, 3), (8, 3)], dark(shade, 0.14))
    on = stage.mood.lamps_on
    pen.ellipse(0, 4, 12, 5, color("#fff1c4") if on else color("#e9e6de"), lit=on)
    if on:
        pen.glow(0, 30, 150, (255, 220, 150), 0.45)
