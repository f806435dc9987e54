"""The street. Lengths are in pixels of a 640 x 480 composition (`u` or `zoom` each)."""

from __future__ import annotations

from cocohub.sample import backdrops, cast, town
from cocohub.sample.palette import SNOW, color, dark, light, mix
from cocohub.sample.stage import Stage


def street(stage: Stage, *, crowded: bool, empty: bool) -> None:
    """House fronts, two pavements and a road with two lanes, seen from across."""
    rng, canvas, u, w, h = stage.rng, stage.canvas, stage.unit, stage.width, stage.height
    zoom = rng.choice((0.92, 1.0, 1.0, 1.12, 1.28)) * u
    base = h - 168 * zoom
    backdrops.sky(canvas, rng, base)
    far = mix(stage.mood.sky[-1], stage.mood.sky[0], 0.42)
    canvas.haze = 0.1
    town.skyline(canvas, rng, base, 210 * u, light(far, 0.2))
    canvas.haze = 0.05
    town.houses(canvas, rng, base, 120 * u, 205 * u)
    canvas.haze = 0.0
    _pavements(stage, base, zoom)
    crossing = rng.uniform(0.25, 0.75) * w if rng.random() < 0.5 else None
    if crossing:
        _zebra(stage, crossing, h - 142 * zoom, h - 54 * zoom, zoom)
    for x in stage.slots(max(2, round(w / (210 * u))), 0, w):
        if stage.chance(0.75):
            backdrops.tree(canvas, rng, x, h - 152 * zoom, 0.36 * zoom, "round" if stage.chance(0.7) else "tall")
    if empty:
        return
    if crowded:
        left = rng.uniform(0.1, 0.45) * w
        cast.crowd(stage, left, left + 190 * u, h - 153 * zoom, 0.3 * zoom, 34)
    _far_pavement(stage, zoom)
    _traffic(stage, zoom, quiet=crowded)
    _near_pavement(stage, zoom, crossing)
    if stage.chance(0.35) and stage.mood.weather != "rain":
        cast.birds(stage, rng.randint(1, 3), (w * 0.1, 20 * u, w * 0.9, 90 * u), 0.3 * u, ("white", "grey", "black"))


def _pavements(stage: Stage, base: float, zoom: float) -> None:
    canvas, h = stage.canvas, stage.height
    stone = SNOW if stage.mood.snowy else color("#d8cdbf")
    road = color("#b9c1cd") if stage.mood.snowy else color("#5b5f70")
    canvas.gradient(base, h - 142 * zoom, (dark(stone, 0.06), stone))
    canvas.gradient(h - 142 * zoom, h - 138 * zoom, (dark(stone, 0.25), dark(stone, 0.25)))
    canvas.gradient(h - 138 * zoom, h - 54 * zoom, (light(road, 0.06), road, dark(road, 0.05)))
    canvas.gradient(h - 54 * zoom, h - 49 * zoom, (light(stone, 0.3), light(stone, 0.3)))
    canvas.gradient(h - 49 * zoom, h, (stone, dark(stone, 0.08)))
    x = -30.0
    while x < stage.width:
        y = h - 99 * zoom
        canvas.fill(
            [(x, y), (x + 34 * zoom, y), (x + 32 * zoom, y + 3.4 * zoom), (x - 2 * zoom, y + 3.4 * zoom)],
            color("#f3ead2"),
        )
        x += 66 * zoom
    slab = -40.0 * zoom
    while slab < stage.width + 40 * zoom:
        middle = stage.width / 2
        low = middle + (slab - middle) * 1.22
        canvas.fill([(slab, h - 49 * zoom), (slab + 1.2, h - 49 * zoom), (low + 1.4, h), (low, h)], dark(stone, 0.13))
        slab += 44 * zoom
    for rise in (36, 19):
        canvas.fill(
            [
                (0, h - rise * zoom),
                (stage.width, h - rise * zoom),
                (stage.width, h - (rise - 1.1) * zoom),
                (0, h - (rise - 1.1) * zoom),
            ],
            dark(stone, 0.11),
        )
    if stage.mood.weather == "rain":
        _puddles(stage, zoom)


def _puddles(stage: Stage, zoom: float) -> None:
    for x in stage.slots(5, 0, stage.width):
        y = stage.height - stage.rng.uniform(8, 125) * zoom
        shape = [
            (x + px * zoom, y + py * zoom) for px, py in ((-46, 0), (-20, -5), (24, -6), (50, 0), (22, 6), (-24, 5))
        ]
        stage.canvas.veil(shape, mix(stage.mood.sky[-1], (255, 255, 255), 0.2), 0.4)


def _zebra(stage: Stage, x: float, top: float, bottom: float, zoom: float) -> None:
    for i in range(6):
        left = x + (i - 3) * 22 * zoom
        slant = (left - stage.width / 2) * 0.1
        shape = [
            (left, top + 4 * zoom),
            (left + 12 * zoom, top + 4 * zoom),
            (left + 13 * zoom + slant, bottom),
            (left + slant, bottom),
        ]
        stage.canvas.fill(shape, color("#f2ede0"))


def _far_pavement(stage: Stage, zoom: float) -> None:
    rng, w, h = stage.rng, stage.width, stage.height
    y, size = h - 146 * zoom, 0.44 * zoom
    acts = rng.choices(
        ("person", "plant", "bench", "bicycle", "none"), (6, 2.6, 1.2, 1, 4), k=max(3, round(w / (150 * stage.unit)))
    )
    for act, x in zip(acts, stage.slots(len(acts), 0, w), strict=True):
        match act:
            case "person":
                cast.person(stage, x, y, size)
            case "plant":
                cast.plant(stage, x, y - 8 * zoom, size)
            case "bench":
                cast.bench(stage, x, y - 3 * zoom, size, sitters=rng.randint(0, 2))
            case "bicycle":
                cast.bicycle(stage, x, y, size, flip=stage.chance(0.5))
    if stage.chance(0.4):
        cast.traffic_light(stage, rng.uniform(0.15, 0.85) * w, h - 143 * zoom, 0.42 * zoom)


def _traffic(stage: Stage, zoom: float, *, quiet: bool) -> None:
    """Far lane to the left, near lane to the right; a `quiet` road has few cars, so that one sees across."""
    rng, w, h = stage.rng, stage.width, stage.height
    shares = (1, 0, 0, 2, 5) if quiet else (6, 2.6, 1.3, 1.2, 3.4)
    for y, size, flip in ((h - 106 * zoom, 0.5 * zoom, True), (h - 62 * zoom, 0.6 * zoom, False)):
        x = rng.uniform(-0.05, 0.3) * w
        while x < w * 0.96:
            kind = rng.choices(("car", "bus", "truck", "cyclist", "gap"), shares)[0]
            half = {"car": 225, "bus": 395, "truck": 315, "cyclist": 95, "gap": 150}[kind] * size
            middle = x + half
            match kind:
                case "car":
                    cast.car(stage, middle, y, size, flip=flip)
                case "bus":
                    cast.bus(stage, middle, y, size, flip=flip)
                case "truck":
                    cast.truck(stage, middle, y, size, flip=flip)
                case "cyclist":
                    cast.cyclist(stage, middle, y + 4 * zoom, size * 1.1, flip=flip)
            x = middle + half + rng.uniform(24, 120) * zoom


def _near_pavement(stage: Stage, zoom: float, crossing: float | None) -> None:
    rng, w, h = stage.rng, stage.width, stage.height
    rail, walk = h - 40 * zoom, h - 12 * zoom
    for x in stage.slots(rng.randint(1, 2), 0.05 * w, 0.95 * w):
        if stage.chance(0.7):
            cast.lamp(stage, x, rail, 0.72 * zoom, flip=x > w / 2)
        else:
            backdrops.tree(stage.canvas, rng, x, rail, 0.62 * zoom, "round")
    if crossing or stage.chance(0.2):
        cast.traffic_light(stage, (crossing or w * 0.5) + 86 * zoom, rail, 0.62 * zoom)
    acts = rng.choices(
        ("person", "dog walker", "cat", "dog", "bench", "bicycle", "plant", "bird", "none"),
        (6, 1.2, 0.8, 0.5, 0.8, 1, 0.8, 0.5, 3),
        k=max(2, round(w / (185 * stage.unit))),
    )
    for act, x in zip(acts, stage.slots(len(acts), 0, w), strict=True):
        cast.passer_by(stage, act, x, walk - rng.uniform(0, 12) * zoom, 0.8 * zoom)
