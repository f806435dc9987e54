"""Park, harbour and field. Lengths are in pixels of a 640 x 480 composition (`u` each)."""

from __future__ import annotations

from functools import partial

from cocohub.sample import backdrops, cast, town
from cocohub.sample.canvas import Point, smooth
from cocohub.sample.palette import GRASS, SNOW, Color, color, dark, light, mix
from cocohub.sample.stage import Actors, Stage


def park(stage: Stage, *, crowded: bool, empty: bool) -> None:
    """A lawn with a winding way, trees, perhaps a pond, the town behind."""
    rng, canvas, u, w, h = stage.rng, stage.canvas, stage.unit, stage.width, stage.height
    horizon = h * rng.uniform(0.42, 0.52)
    backdrops.sky(canvas, rng, horizon)
    far = mix(stage.mood.sky[-1], stage.mood.sky[0], 0.4)
    canvas.haze = 0.12
    if rng.random() < 0.6:
        town.skyline(canvas, rng, horizon + 4, 120 * u, light(far, 0.2))
    else:
        backdrops.ridge(canvas, rng, horizon + 6, 90 * u, light(far, 0.1))
    grass = GRASS[stage.mood.season]
    canvas.haze = 0.18
    for _ in range(26):
        backdrops.bush(canvas, rng, rng.uniform(0, w), horizon + 3 * u, rng.uniform(0.26, 0.5) * u)
    canvas.haze = 0.0
    backdrops.lawn(canvas, horizon)
    canvas.haze = 0.08
    for x in stage.slots(5, 0, w):
        if stage.chance(0.7):
            y = horizon + rng.uniform(6, 16) * u
            backdrops.tree(canvas, rng, x, y, rng.uniform(0.15, 0.22) * u)
    canvas.haze = 0.0
    _lawn_light(stage, horizon, grass)
    bend = rng.choice((-1, 1))
    way = SNOW if stage.mood.snowy else color("#ead9b4")
    line = [
        (w * (0.5 - 0.16 * bend), horizon, 4 * u),
        (w * (0.5 + 0.06 * bend), horizon + (h - horizon) * 0.16, 13 * u),
        (w * (0.5 + 0.13 * bend), horizon + (h - horizon) * 0.45, 34 * u),
        (w * (0.5 - 0.12 * bend), h + 20 * u, 96 * u),
    ]
    backdrops.path(canvas, [(x, y, half * 1.07) for x, y, half in line], dark(way, 0.1))
    backdrops.path(canvas, line, way)
    pond = (w * (0.5 - 0.32 * bend), horizon + (h - horizon) * 0.38)
    wet = stage.chance(0.4) and not stage.mood.snowy and not empty
    if wet:
        _pond(stage, *pond, u)
    backdrops.tufts(canvas, rng, horizon + 20 * u, h, 70)
    if empty:
        for x in stage.slots(5, 0, w):
            y = horizon + rng.uniform(0.05, 0.35) * (h - horizon)
            backdrops.tree(canvas, rng, x, y, (y - horizon) / 200 + 0.12 * u)
        return
    if crowded:
        middle = w * (0.5 + 0.25 * bend)
        cast.crowd(stage, middle - 105 * u, middle + 105 * u, horizon + 20 * u, 0.24 * u, 40)
    _park_life(stage, horizon, pond if wet else None)
    if stage.chance(0.5):
        backdrops.frame_leaves(canvas, rng)


def _lawn_light(stage: Stage, horizon: float, grass: tuple[Color, Color]) -> None:
    """Broad bands of sun on the lawn."""
    rng, w, h = stage.rng, stage.width, stage.height
    for _ in range(4):
        x, y = rng.uniform(0, w), rng.uniform(horizon + 0.1 * (h - horizon), h)
        stage.canvas.glow(x, y, 0.42 * w, 0.1 * (h - horizon), stage.mood.tint(light(grass[0], 0.3)), 0.4)


def _pond(stage: Stage, x: float, y: float, u: float) -> None:
    shape = [
        (x + dx * u, y + dy * u)
        for dx, dy in ((-110, 2), (-60, -14), (20, -17), (92, -8), (118, 8), (60, 22), (-30, 24), (-92, 17))
    ]
    canvas = stage.canvas
    canvas.fill(smooth([(px, py + 3 * u) for px, py in shape]), color("#b89f6c"))
    canvas.fill(smooth(shape), mix(stage.mood.sky[1], color("#3f7f9c"), 0.4), lit=True)
    for i in range(5):
        px, py = x + stage.rng.uniform(-70, 60) * u, y + (i * 6 - 8) * u
        canvas.veil([(px, py), (px + 24 * u, py - u), (px + 48 * u, py), (px + 24 * u, py + u)], (255, 255, 255), 0.4)
    for dx in stage.slots(stage.rng.randint(1, 3), -80, 80):
        cast.bird(
            stage, x + dx * u, y + stage.rng.uniform(-3, 13) * u, 0.42 * u, "swimming", ("brown", "grey", "white")
        )


def _park_life(stage: Stage, horizon: float, pond: Point | None) -> None:
    rng, w, h, u = stage.rng, stage.width, stage.height, stage.unit
    depth = h - horizon
    actors = Actors()
    if stage.mood.lamps_on:
        for x in stage.slots(2, 0, w):
            y = horizon + depth * rng.uniform(0.2, 0.5)
            actors.add(y, partial(cast.passer_by, stage, "lamp", x, y, (y - horizon) / 270 + 0.1 * u))
    places = stage.slots(rng.randint(5, 9), 0, w)
    acts = rng.choices(
        (
            "person",
            "stander",
            "runner",
            "dog walker",
            "dog",
            "bench",
            "cyclist",
            "bird",
            "ball",
            "lamp",
            "tree",
            "cat",
            "kite",
        ),
        (5, 3, 1, 1.3, 0.8, 1.6, 1, 0.6, 0.8, 1, 3, 0.4, 1.6),
        k=len(places),
    )
    for act, x in zip(acts, places, strict=True):
        share = rng.uniform(0.12, 0.42) if act in ("tree", "bench", "lamp") else rng.uniform(0.14, 0.97)
        y = horizon + depth * share
        if pond and abs(x - pond[0]) < 160 * u and abs(y - pond[1]) < 34 * u:
            y += 62 * u  # nobody stands in the pond
        size = (y - horizon) / 270 + 0.1 * u
        if act == "kite" and stage.mood.weather != "rain":
            at = (
                min(max(x + rng.choice((-1, 1)) * rng.uniform(90, 190) * u, 50 * u), w - 50 * u),
                rng.uniform(0.2, 0.62) * horizon,
            )
            actors.add(y, partial(cast.kite_flyer, stage, x, y, size, at, rng.uniform(0.34, 0.55) * u))
        else:
            actors.add(y, partial(cast.passer_by, stage, act, x, y, size))
    actors.play()


def harbour(stage: Stage, *, crowded: bool, empty: bool) -> None:
    """Boats on the water between a far shore with painted houses and a quay."""
    rng, canvas, u, w, h = stage.rng, stage.canvas, stage.unit, stage.width, stage.height
    horizon, quay = h * rng.uniform(0.4, 0.48), h - 76 * u
    sun = backdrops.sky(canvas, rng, horizon)
    far = mix(stage.mood.sky[-1], stage.mood.sky[0], 0.45)
    canvas.haze = 0.18
    backdrops.ridge(canvas, rng, horizon, 80 * u, far, peaks=stage.mood.snowy or rng.random() < 0.3)
    canvas.haze = 0.08
    backdrops.ridge(canvas, rng, horizon + 4 * u, 42 * u, dark(mix(far, color("#4f8a72"), 0.4), 0.05), waves=2)
    backdrops.water(canvas, rng, horizon, quay, sun)
    right = rng.random() < 0.5
    left_edge = w * (0.5 if right else -0.06)
    town.harbour_houses(canvas, rng, left_edge, left_edge + w * 0.54, horizon + 8 * u, 0.8 * u)
    canvas.haze = 0.0
    town.lighthouse(canvas, w * (0.14 if right else 0.86), horizon + 14 * u, 0.62 * u)
    if not empty:
        for y, x in sorted(
            (horizon + rng.uniform(0.1, 0.86) * (quay - horizon), x) for x in stage.slots(rng.randint(2, 5), 0, w)
        ):
            kind = rng.choices(("sailboat", "fishing", "rowing", "ferry"), (4, 2.4, 2, 1.2))[0]
            cast.boat(stage, x, y, (y - horizon) / 250 + 0.1 * u, kind)
        cast.birds(
            stage, rng.randint(0, 3), (w * 0.05, 24 * u, w * 0.95, horizon * 0.7), 0.4 * u, ("white", "white", "grey")
        )
    _quay(stage, quay)
    if empty:
        return
    if crowded:
        cast.crowd(stage, w * 0.2, w * 0.62, quay + 8 * u, 0.3 * u, 36)
    actors = Actors()
    acts = rng.choices(
        ("person", "stander", "dog walker", "bench", "bicycle", "cyclist", "cat", "bird", "lamp", "plant", "none"),
        (4, 3, 0.8, 1.2, 1, 0.5, 0.8, 0.9, 0.9, 0.5, 5),
        k=max(4, round(w / (105 * u))),
    )
    for act, x in zip(acts, stage.slots(len(acts), 0, w), strict=True):
        y = quay + rng.uniform(16, 66) * u
        actors.add(y, partial(cast.passer_by, stage, act, x, y, (0.42 + (y - quay) / (150 * u)) * u))
    actors.play()


def _quay(stage: Stage, top: float) -> None:
    canvas, u, w, h = stage.canvas, stage.unit, stage.width, stage.height
    stone = SNOW if stage.mood.snowy else color("#cdb894")
    canvas.gradient(top, top + 5 * u, (light(stone, 0.35), light(stone, 0.35)))
    canvas.gradient(top + 5 * u, h, (stone, dark(stone, 0.12)))
    for i in range(-6, 30):
        x = i * 36 * u
        low = w / 2 + (x - w / 2) * 1.35
        canvas.fill([(x, top + 5 * u), (x + 1.2 * u, top + 5 * u), (low + 1.6 * u, h), (low, h)], dark(stone, 0.16))
    for x in stage.slots(4, 0, w):
        pen = stage.pen(x, top + 9 * u, 0.42 * u)
        pen.limb((0, -2), (0, -34), 22, 20, color("#4b4450"))
        pen.limb((-13, -36), (13, -36), 12, 12, color("#5a5260"))


def field(stage: Stage, *, crowded: bool, empty: bool) -> None:
    """Rolling land with sheep, a farm and a country lane."""
    rng, canvas, u, w, h = stage.rng, stage.canvas, stage.unit, stage.width, stage.height
    horizon = h * rng.uniform(0.4, 0.5)
    backdrops.sky(canvas, rng, horizon + 20 * u)
    far = mix(stage.mood.sky[-1], stage.mood.sky[0], 0.55)
    canvas.haze = 0.2
    backdrops.ridge(canvas, rng, horizon + 10 * u, 130 * u, far, peaks=True, waves=2)
    near, deep = GRASS[stage.mood.season]
    canvas.haze = 0.14
    backdrops.ridge(canvas, rng, horizon + 8 * u, 44 * u, mix(deep, far, 0.35), waves=2)
    canvas.haze = 0.07
    line = backdrops.ridge(canvas, rng, horizon + 26 * u, 38 * u, mix(near, deep, 0.7), waves=1)
    for x, y in line[3:-3:3]:
        if stage.chance(0.3):
            backdrops.tree(canvas, rng, x, y + 3 * u, rng.uniform(0.12, 0.2) * u)
    town.farm(canvas, rng, w * rng.choice((0.24, 0.72)), horizon + 30 * u, 0.6 * u)
    canvas.haze = 0.0
    backdrops.lawn(canvas, horizon + 28 * u, (near, deep))
    _crops(stage, horizon + 28 * u, near)
    lane = horizon + 92 * u
    earth = SNOW if stage.mood.snowy else color("#d9bd8b")
    canvas.gradient(lane - 10 * u, lane + 8 * u, (dark(earth, 0.08), earth, dark(earth, 0.06)))
    backdrops.tufts(canvas, rng, lane + 24 * u, h, 110)
    if empty:
        _fence(stage, lane + 16 * u, u)
        return
    if crowded:
        cast.crowd(stage, w * 0.3, w * 0.62, lane - 2 * u, 0.26 * u, 30)
    kind = rng.choice(("car", "truck", "cyclist", "walker", "none"))
    x = rng.uniform(0.2, 0.8) * w
    match kind:
        case "car":
            cast.car(stage, x, lane + 4 * u, 0.36 * u, flip=stage.chance(0.5))
        case "truck":
            cast.truck(stage, x, lane + 4 * u, 0.36 * u, flip=stage.chance(0.5))
        case "cyclist":
            cast.cyclist(stage, x, lane + 4 * u, 0.42 * u, flip=stage.chance(0.5))
        case "walker":
            cast.dog_walker(stage, x, lane + 4 * u, 0.42 * u, flip=stage.chance(0.5))
    _fence(stage, lane + 16 * u, u)
    _flock(stage, lane, kind)


def _crops(stage: Stage, top: float, near: Color) -> None:
    """Furrows that run together at the horizon."""
    w, h = stage.width, stage.height
    vanish = w * stage.rng.uniform(0.3, 0.7)
    for i in range(-14, 15):
        x = vanish + i * 60 * stage.unit
        wide = 24 * stage.unit
        shape = [
            (vanish + i * 9 * stage.unit, top),
            (vanish + (i * 9 + 4) * stage.unit, top),
            (x * 2 - vanish + wide, h),
            (x * 2 - vanish - wide, h),
        ]
        stage.canvas.veil(shape, stage.mood.tint(dark(near, 0.3)), 0.1)


def _fence(stage: Stage, y: float, u: float) -> None:
    wood = color("#a98a66")
    pen = stage.pen(0, y, u)
    for rail in (-15, -8):
        pen.rect(-10, rail, stage.width / u + 10, rail + 2.6, wood)
    for x in range(-6, int(stage.width / u) + 20, 34):
        pen.rect(x, -22, x + 4.4, 2, dark(wood, 0.12), 1)
        if stage.mood.snowy:
            pen.rect(x - 0.6, -24, x + 5, -21, SNOW, 1)


def _flock(stage: Stage, lane: float, kind: str) -> None:
    rng, w, h, u = stage.rng, stage.width, stage.height, stage.unit
    actors = Actors()
    acts = rng.choices(
        ("sheep", "dog", "stander", "bird", "tree", "kite", "cat", "ball"),
        (7, 0.8, 1.6, 1, 1.4, 0.9, 0.3, 0.4),
        k=rng.randint(4, 8),
    )
    for act, x in zip(acts, stage.slots(len(acts), 0, w), strict=True):
        y = lane + 30 * u + rng.random() * (h - lane - 40 * u)
        size = (0.4 + 0.62 * (y - lane) / (h - lane)) * u
        if act == "sheep":
            actors.add(y, partial(cast.sheep, stage, x, y, size))
        elif act == "kite" and stage.mood.weather != "rain":
            at = min(max(x + rng.choice((-1, 1)) * 150 * u, 50 * u), w - 50 * u), rng.uniform(50, 130) * u
            actors.add(y, partial(cast.kite_flyer, stage, x, y, size, at, 0.5 * u))
        else:
            actors.add(y, partial(cast.passer_by, stage, act, x, y, size))
    actors.play()
    if kind == "none" or stage.chance(0.4):
        cast.birds(
            stage, rng.randint(1, 4), (w * 0.1, 30 * u, w * 0.9, lane - 150 * u), 0.34 * u, ("black", "white", "grey")
        )
