"""Putting things on the stage: each with its shadow, its category and its attributes."""

from __future__ import annotations

from random import Random

from cocohub.sample import animals, backdrops, things, vehicles
from cocohub.sample.canvas import Point, smooth
from cocohub.sample.palette import PAINTS, color, dark
from cocohub.sample.people import POSES, Outfit, draw_person, dress_up, joints
from cocohub.sample.stage import Stage

WALKS = ("walking:side", "strolling:side", "walking:side", "walking:front", "walking:back", "standing:front")
STANDS = ("standing:front", "posing:front", "phone:side", "standing:side", "standing:back", "waving:front")
LAMP_KIND = "가로등"
"""Street lamp: a category of the project's own, beyond those of COCO."""


def person(
    stage: Stage,
    x: float,
    y: float,
    size: float,
    *,
    poses: tuple[str, ...] = WALKS,
    flip: bool | None = None,
    seat: float | None = None,
    with_extras: bool = True,
) -> None:
    """Someone with feet at (x, y); now and then with a backpack, and in the rain under an umbrella."""
    rng = stage.rng
    pose = POSES[rng.choice(poses)]
    outfit = dress_up(rng, cold=stage.mood.snowy)
    turned = stage.chance(0.5) if flip is None else flip
    size *= rng.choice((0.98, 1.0, 1.03, 1.06, 0.78) if seat is None else (1.0,))
    umbrella = with_extras and seat is None and stage.mood.weather == "rain" and stage.chance(0.75)
    grip: Point | None = None
    if umbrella:
        grip = (16.0, -112.0) if pose.view == "side" else (-24.0, -112.0)
    pack = with_extras and pose.view == "side" and seat is None and stage.chance(0.3)
    if seat is None:
        stage.canvas.shadow(x, y, 34 * size, 8 * size)
    pen = stage.pen(x, y, size, flip=turned)
    body = joints(pose, seat=seat, hands=(grip, None))
    with stage.thing("person", color=outfit.top_name, pose=pose.name, view=pose.view) as someone:
        someone.keypoints = draw_person(pen, pose, outfit, body)
    if pack:
        name = rng.choice(("navy", "red", "green", "orange"))
        with stage.thing("backpack", color=name):
            px, py = pen.at(body.neck[0] - 9, body.neck[1] + 6)
            things.draw_backpack(stage.pen(px, py, size, flip=turned), PAINTS[name])
    if grip:
        umbrella_over(stage, pen.at(*grip), size)


def umbrella_over(stage: Stage, at: Point, size: float) -> None:
    name = stage.rng.choice(("red", "yellow", "teal", "navy", "pink", "purple"))
    with stage.thing("umbrella", color=name, open=True):
        things.draw_umbrella(stage.pen(*at, size), PAINTS[name])


def cyclist(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> None:
    """A bicycle with its rider."""
    rng = stage.rng
    name = bicycle(stage, x, y, size, flip=flip)
    outfit = dress_up(rng, cold=stage.mood.snowy)
    sitting = POSES["sitting:side"]
    pose = type(sitting)("cycling", "side", sitting.thighs, sitting.shins, sitting.uppers, sitting.fores, lean=24)
    pen = stage.pen(x, y, size, flip=flip)
    saddle = stage.pen(*pen.at(vehicles.SADDLE[0] + 2, 0), size, flip=flip)
    grip = (vehicles.GRIP[0] - vehicles.SADDLE[0] - 2, vehicles.GRIP[1])
    crank = vehicles.CRANK[0] - vehicles.SADDLE[0] - 2
    body = joints(pose, seat=102, hands=(grip, grip), feet=((crank + 6, -22.0), (crank - 6, -50.0)))
    with stage.thing("person", color=outfit.top_name, pose="cycling", view="side", bicycle=name) as someone:
        someone.keypoints = draw_person(saddle, pose, outfit, body)


def bicycle(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> str:
    """A bicycle on its own; returns the name of its colour."""
    name = stage.rng.choice(("teal", "red", "yellow", "blue", "orange", "black"))
    stage.canvas.shadow(x, y, 96 * size, 9 * size)
    with stage.thing("bicycle", color=name):
        vehicles.draw_bicycle(stage.pen(x, y, size, flip=flip), PAINTS[name], basket=stage.chance(0.5))
    return name


def car(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> None:
    rng = stage.rng
    name = rng.choice(("red", "blue", "yellow", "white", "green", "black", "orange", "teal", "silver", "navy"))
    kind = rng.choice(("hatchback", "hatchback", "sedan", "suv", "van"))
    stage.canvas.shadow(x, y, 235 * size, 20 * size)
    with stage.thing("car", color=name, kind=kind, heading="left" if flip else "right"):
        vehicles.draw_car(stage.pen(x, y, size, flip=flip), PAINTS[name], kind)


def bus(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> None:
    name, number = stage.rng.choice((("blue", "470"), ("green", "7016"), ("red", "9401"), ("yellow", "02")))
    stage.canvas.shadow(x, y, 430 * size, 26 * size)
    with stage.thing("bus", color=name, line=number, heading="left" if flip else "right"):
        vehicles.draw_bus(stage.pen(x, y, size, flip=flip), PAINTS[name], number)


def truck(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> None:
    name = stage.rng.choice(("orange", "teal", "red", "navy"))
    stage.canvas.shadow(x, y, 330 * size, 24 * size)
    with stage.thing("truck", color=name, heading="left" if flip else "right"):
        vehicles.draw_truck(stage.pen(x, y, size, flip=flip), PAINTS[name])


def boat(stage: Stage, x: float, y: float, size: float, kind: str) -> None:
    """A boat on the water with a soft dark reflection."""
    name = stage.rng.choice(("red", "blue", "green", "navy", "orange", "teal", "white"))
    half = {"sailboat": 150, "fishing": 240, "rowing": 110, "ferry": 360}[kind]
    deep = stage.mood.tint(dark(PAINTS[name], 0.62))
    stage.canvas.glow(x, y + 10 * size, half * 1.15 * size, 34 * size, deep, 0.8)
    with stage.thing("boat", color=name, kind=kind):
        vehicles.draw_boat(stage.pen(x, y, size, flip=stage.chance(0.5)), PAINTS[name], kind)
    foam = stage.mood.tint(color("#e6f3f5"))
    for i in range(5):
        dx = half * size * stage.rng.uniform(-0.8, 0.8)
        y_ripple = y + (3 + i * 7) * size
        long = half * size * stage.rng.uniform(0.12, 0.3)
        stage.canvas.veil(
            [
                (x + dx - long, y_ripple),
                (x + dx, y_ripple - 2 * size),
                (x + dx + long, y_ripple),
                (x + dx, y_ripple + 2 * size),
            ],
            foam,
            0.5,
        )


def dog(stage: Stage, x: float, y: float, size: float, *, flip: bool | None = None, pose: str = "") -> None:
    rng = stage.rng
    name = rng.choice(("brown", "golden", "black", "white", "cream"))
    pose = pose or rng.choice(("standing", "walking", "sitting"))
    size *= rng.choice((0.72, 0.85, 1.0))
    turned = stage.chance(0.5) if flip is None else flip
    stage.canvas.shadow(x, y, 52 * size, 8 * size)
    with stage.thing("dog", color=name, pose=pose):
        collar = PAINTS[rng.choice(("red", "blue", "yellow"))]
        animals.draw_dog(stage.pen(x, y, size, flip=turned), animals.COATS[name], pose, collar)


def cat(stage: Stage, x: float, y: float, size: float, *, pose: str = "") -> None:
    name = stage.rng.choice(("ginger", "grey", "black", "white", "cream"))
    pose = pose or stage.rng.choice(("sitting", "walking", "lying"))
    stage.canvas.shadow(x, y, 32 * size, 6 * size)
    with stage.thing("cat", color=name, pose=pose):
        animals.draw_cat(stage.pen(x, y, size, flip=stage.chance(0.5)), animals.COATS[name], pose)


def bird(stage: Stage, x: float, y: float, size: float, pose: str, names: tuple[str, ...] = ("white", "grey")) -> None:
    name = stage.rng.choice(names)
    if pose == "perched":
        stage.canvas.shadow(x, y, 14 * size, 3 * size)
    turn = stage.rng.uniform(-14, 14) if pose == "flying" else 0
    with stage.thing("bird", color=name, pose=pose):
        pen = stage.pen(x, y, size, flip=stage.chance(0.5), turn=turn)
        animals.draw_bird(pen, animals.COATS[name], pose)


def birds(
    stage: Stage, count: int, box: tuple[float, float, float, float], size: float, names: tuple[str, ...]
) -> None:
    """A loose flock in the sky, inside (left, top, right, bottom)."""
    left, top, right, bottom = box
    for x in stage.slots(count, left, right):
        bird(stage, x, stage.rng.uniform(top, bottom), size * stage.rng.uniform(0.7, 1.15), "flying", names)


def sheep(stage: Stage, x: float, y: float, size: float) -> None:
    stage.canvas.shadow(x, y, 60 * size, 9 * size)
    name = stage.rng.choice(("white", "white", "white", "cream", "grey"))
    with stage.thing("sheep", color=name):
        pen = stage.pen(x, y, size * stage.rng.choice((0.75, 1, 1)), flip=stage.chance(0.5))
        animals.draw_sheep(pen, animals.COATS[name], stage.rng)


def bench(stage: Stage, x: float, y: float, size: float, *, sitters: int = 0) -> None:
    """A bench, with people on it if wished; they face us."""
    stage.canvas.shadow(x, y, 105 * size, 11 * size)
    wood = stage.rng.choice((things.WOOD, color("#8c5a3c"), color("#5d7f6b")))
    with stage.thing("bench", color="green" if wood == color("#5d7f6b") else "brown"):
        things.draw_bench(stage.pen(x, y, size), wood)
    for i in range(sitters):
        offset = (i - (sitters - 1) / 2) * 62 * size
        person(stage, x + offset, y + 4 * size, size, poses=("sitting:front",), seat=52, flip=False)


def lamp(stage: Stage, x: float, y: float, size: float, *, flip: bool = False, height: float = 330) -> None:
    stage.canvas.shadow(x, y, 22 * size, 6 * size)
    pen = stage.pen(x, y, size, flip=flip)
    with stage.thing(LAMP_KIND, lit=stage.mood.lamps_on):
        things.draw_lamp(pen, height)
    things.light_lamp(pen, height)


def traffic_light(stage: Stage, x: float, y: float, size: float, *, height: float = 300) -> None:
    """Its head is annotated, the pole is scenery."""
    things.draw_signal_pole(stage.pen(x, y, size), height)
    state = stage.rng.choice(("red", "yellow", "green"))
    with stage.thing("traffic light", state=state):
        things.draw_traffic_light(stage.pen(x, y - (height - 10) * size, size), state)


def plant(
    stage: Stage, x: float, y: float, size: float, *, kinds: tuple[str, ...] = ("leafy", "round", "flowers")
) -> None:
    name = stage.rng.choice(("orange", "white", "teal", "yellow", "navy"))
    kind = stage.rng.choice(kinds)
    stage.canvas.shadow(x, y, 34 * size, 7 * size)
    with stage.thing("potted plant", color=name, kind=kind):
        things.draw_plant(stage.pen(x, y, size), PAINTS[name], kind, stage.rng)


def ball(stage: Stage, x: float, y: float, size: float) -> None:
    name = stage.rng.choice(("red", "blue", "orange", "purple"))
    stage.canvas.shadow(x, y, 17 * size, 4 * size)
    with stage.thing("sports ball", color=name):
        things.draw_ball(stage.pen(x, y, size), PAINTS[name])


def kite(stage: Stage, hand: Point, at: Point, size: float) -> None:
    """A kite at `at` on a line from `hand`; the line is scenery."""
    first, second = stage.rng.sample(("red", "yellow", "blue", "teal", "pink", "orange", "purple"), 2)
    (hx, hy), (kx, ky) = hand, at
    sag = ((hx + kx) / 2 + (kx - hx) * 0.1, (hy + ky) / 2 + abs(kx - hx) * 0.16)
    stage.pen(0, 0, 1).stroke(smooth([hand, sag, at], closed=False), 0.7 * stage.unit, color("#f4efe2"))
    with stage.thing("kite", color=first, second_color=second):
        pen = stage.pen(kx, ky, size, turn=stage.rng.uniform(-30, 30))
        things.draw_kite(pen, PAINTS[first], PAINTS[second])


def kite_flyer(stage: Stage, x: float, y: float, size: float, at: Point, kite_size: float) -> None:
    """Someone holding the line of a kite; the kite belongs to the sky and is drawn first."""
    flip = at[0] < x
    reach = (24.0, -150.0)
    pen = stage.pen(x, y, size, flip=flip)
    kite(stage, pen.at(*reach), at, kite_size)
    stage.canvas.shadow(x, y, 34 * size, 8 * size)
    pose = POSES["standing:side"]
    outfit = dress_up(stage.rng, cold=stage.mood.snowy)
    with stage.thing("person", color=outfit.top_name, pose="flying a kite", view="side") as someone:
        someone.keypoints = draw_person(pen, pose, outfit, joints(pose, hands=(reach, None)))


def dog_walker(stage: Stage, x: float, y: float, size: float, *, flip: bool) -> None:
    """A dog ahead, its owner behind it, and the leash between them."""
    ahead = -1 if flip else 1
    dog(stage, x + ahead * 118 * size, y + 3 * size, size, flip=flip, pose="walking")
    hand, collar = (x + ahead * 26 * size, y - 92 * size), (x + ahead * 146 * size, y - 50 * size)
    slack = ((hand[0] + collar[0]) / 2, hand[1] + 46 * size)
    stage.pen(0, 0, 1).stroke(smooth([hand, slack, collar], closed=False), 1.6 * size, color("#5a3b34"))
    person(stage, x, y, size, poses=("walking:side", "strolling:side"), flip=flip, with_extras=False)


def crowd(stage: Stage, left: float, right: float, y: float, size: float, count: int) -> None:
    """Many people far away, annotated as one crowd."""
    rng = stage.rng
    places = sorted((rng.uniform(0, 1), rng.uniform(left, right)) for _ in range(count))
    stage.canvas.shadow((left + right) / 2, y, (right - left) * 0.62, 16 * size)
    with stage.thing("person", crowd=True, count=count):
        for depth, x in places:
            pose = POSES[
                rng.choice(("standing:front", "standing:back", "walking:side", "strolling:side", "cheering:front"))
            ]
            outfit: Outfit = dress_up(rng, cold=stage.mood.snowy)
            grown = size * (0.94 + 0.12 * depth)
            draw_person(stage.pen(x, y + depth * 16 * size, grown, flip=rng.random() < 0.5), pose, outfit, joints(pose))


def books(stage: Stage, x: float, y: float, size: float, count: int) -> float:
    """A row of books on a board; returns where it ends."""
    rng: Random = stage.rng
    for _ in range(count):
        name = rng.choice(("red", "blue", "yellow", "green", "teal", "purple", "orange", "navy", "pink"))
        wide, high = rng.uniform(5, 9), rng.uniform(23, 33)
        with stage.thing("book", color=name):
            things.draw_book(stage.pen(x, y, size), PAINTS[name], high, wide)
        x += (wide + 0.8) * size
    return x


def passer_by(stage: Stage, act: str, x: float, y: float, size: float) -> None:
    """One thing at home on pavements, quays and park ways."""
    match act:
        case "person":
            person(stage, x, y, size)
        case "stander":
            person(stage, x, y, size, poses=STANDS)
        case "runner":
            person(stage, x, y, size, poses=("running:side",), with_extras=False)
        case "dog walker":
            dog_walker(stage, x, y, size, flip=stage.chance(0.5))
        case "cat":
            cat(stage, x, y, size * 1.1)
        case "dog":
            dog(stage, x, y, size)
        case "bench":
            bench(stage, x, y, size, sitters=stage.rng.randint(0, 2))
        case "bicycle":
            bicycle(stage, x, y, size, flip=stage.chance(0.5))
        case "cyclist":
            cyclist(stage, x, y, size, flip=stage.chance(0.5))
        case "plant":
            plant(stage, x, y, size)
        case "bird":
            for i in range(stage.rng.randint(1, 2)):
                bird(stage, x + (i - 1) * 30 * size, y, size * 0.9, "perched", ("grey", "white", "black"))
        case "ball":
            ball(stage, x, y, size)
        case "lamp":
            lamp(stage, x, y, size * 0.8, flip=x > stage.width / 2)
        case "tree":
            backdrops.tree(stage.canvas, stage.rng, x, y, size * 0.72)
