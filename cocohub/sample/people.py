"""People: a skeleton in centimetres under a flat body, so that the 17 COCO keypoints are known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from cocohub.sample.canvas import Pen, Point, arc
from cocohub.sample.palette import PAINTS, Color, color, dark, light

KEYPOINTS = (
    "nose",
    *("left_eye", "right_eye"),
    *("left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist"),
    *("left_hip", "right_hip"),
    *("left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
)
"""In the order of COCO."""

THIGH, SHIN, TORSO, UPPER, FORE = 41.0, 40.0, 50.0, 27.0, 25.0
ANKLE, HEAD = 6.0, 13.0

SKINS = tuple(color(tone) for tone in ("#f6cfae", "#eab38c", "#d89a6e", "#a86b45", "#7a4a30"))
HAIRS = tuple(color(tone) for tone in ("#2b2333", "#4a3028", "#7a4a2b", "#b5763a", "#d9b06a", "#8d8a93"))
BOTTOMS = tuple(color(tone) for tone in ("#34466b", "#4b4f63", "#6b5a4b", "#2f6f73", "#b9a88d", "#7b3f52"))
SHOES = tuple(color(tone) for tone in ("#f1ede4", "#3a3540", "#b5523b", "#5a4636"))


@dataclass(frozen=True)
class Pose:
    """Angles in degrees from hanging straight down, forward (towards +x) positive.

    Of each pair the first belongs to the side at -x, which is the near side of a figure seen from its side; seen from
    there it looks towards +x. `thigh_share` shortens thighs that point at the viewer.
    """

    name: str
    view: str
    thighs: tuple[float, float]
    shins: tuple[float, float]
    uppers: tuple[float, float]
    fores: tuple[float, float]
    lean: float = 0.0
    thigh_share: float = 1.0


POSES = {
    pose.name + ":" + pose.view: pose
    for pose in (
        Pose("walking", "side", (26, -20), (12, -42), (-24, 26), (-4, 48), 3),
        Pose("strolling", "side", (-16, 18), (-34, 10), (20, -18), (42, 4), 2),
        Pose("running", "side", (58, -22), (-8, -88), (-52, 42), (28, 122), 12),
        Pose("standing", "side", (3, -4), (0, -5), (8, 2), (22, 14), 0),
        Pose("phone", "side", (4, -3), (0, -4), (22, 10), (112, 100), 0),
        Pose("sitting", "side", (86, 82), (4, -8), (24, 16), (66, 60), 4),
        Pose("standing", "front", (-4, 4), (-2, 2), (-13, 13), (-5, 5)),
        Pose("posing", "front", (-7, 4), (-4, 2), (-38, 12), (32, 6)),
        Pose("waving", "front", (-4, 4), (-2, 2), (-13, 128), (-6, 168)),
        Pose("cheering", "front", (-9, 9), (-6, 6), (-135, 135), (-165, 165)),
        Pose("walking", "front", (-3, 5), (-2, 3), (-16, 18), (-8, 10), 0, 0.97),
        Pose("sitting", "front", (-12, 12), (-4, 4), (-20, 20), (18, -18), 0, 0.45),
        Pose("standing", "back", (-4, 4), (-2, 2), (-12, 12), (-7, 7)),
        Pose("walking", "back", (-3, 5), (-2, 3), (-16, 18), (-10, 8), 0, 0.97),
    )
}


@dataclass(frozen=True)
class Outfit:
    """Colours and cut of one person's clothes."""

    skin: Color
    hair: Color
    top: Color
    bottom: Color
    shoes: Color
    top_name: str
    cut: str = "trousers"
    """trousers, shorts, skirt, dress or coat"""
    style: str = "short"
    """hair: short, long, bun, cap or beanie"""
    scarf: Color | None = None


def dress_up(rng: Random, *, cold: bool) -> Outfit:
    """Clothes for the weather."""
    name = rng.choice(("red", "blue", "yellow", "white", "green", "orange", "teal", "pink", "purple", "navy"))
    cuts = ("coat", "coat", "trousers") if cold else ("trousers", "trousers", "shorts", "skirt", "dress")
    styles = ("beanie", "beanie", "short", "long") if cold else ("short", "short", "long", "bun", "cap")
    scarf = PAINTS[rng.choice(("red", "yellow", "teal", "pink"))] if cold and rng.random() < 0.7 else None
    return Outfit(
        skin=rng.choice(SKINS),
        hair=rng.choice(HAIRS),
        top=PAINTS[name],
        bottom=rng.choice(BOTTOMS),
        shoes=rng.choice(SHOES),
        top_name=name,
        cut=rng.choice(cuts),
        style=rng.choice(styles),
        scarf=scarf,
    )


@dataclass
class Joints:
    """Positions in the figure's centimetres; pairs as in Pose."""

    hip: Point
    neck: Point
    head: Point
    shoulders: list[Point]
    hips: list[Point]
    elbows: list[Point] = field(default_factory=list)
    wrists: list[Point] = field(default_factory=list)
    knees: list[Point] = field(default_factory=list)
    ankles: list[Point] = field(default_factory=list)


@dataclass(frozen=True)
class Keypoint:
    """One keypoint in pixels; `hidden` if the figure's own body covers it, `known` if an annotator would place it."""

    x: float
    y: float
    hidden: bool = False
    known: bool = True


def swing(start: Point, angle: float, length: float) -> Point:
    """The end of a bone hanging from `start`; degrees from straight down, positive towards +x."""
    turn = math.radians(angle)
    return start[0] + length * math.sin(turn), start[1] + length * math.cos(turn)


def bend(start: Point, target: Point, upper: float, lower: float, side: int) -> Point:
    """The joint between two bones that reach from `start` to `target` (as far as they can); `side` is +1 or -1."""
    dx, dy = target[0] - start[0], target[1] - start[1]
    reach = min(max(math.hypot(dx, dy), 1.0), upper + lower - 0.5)
    along = (upper**2 - lower**2 + reach**2) / (2 * reach)
    off = math.sqrt(max(0.0, upper**2 - along**2)) * side
    length = math.hypot(dx, dy) or 1.0
    ux, uy = dx / length, dy / length
    return start[0] + ux * along - uy * off, start[1] + uy * along + ux * off


def joints(
    pose: Pose,
    *,
    seat: float | None = None,
    hands: tuple[Point | None, Point | None] = (None, None),
    feet: tuple[Point, Point] | None = None,
) -> Joints:
    """Place the skeleton with its feet on y = 0, or its hips `seat` cm above; hands and feet may have targets."""
    side = pose.view == "side"
    spread, width = (1.0, 2.0) if side else (7.5, 15.0)
    hip = (0.0, 0.0)
    if seat is None:
        drops = [
            THIGH * pose.thigh_share * math.cos(math.radians(t)) + SHIN * math.cos(math.radians(s))
            for t, s in zip(pose.thighs, pose.shins, strict=True)
        ]
        hip = (0.0, -max(drops) - ANKLE)
    else:
        hip = (0.0, -seat)
    neck = swing(hip, 180 - pose.lean, TORSO)
    head = swing(neck, 180 - pose.lean * 0.5 - (3 if side else 0), 22)
    result = Joints(
        hip,
        neck,
        head,
        shoulders=[(neck[0] - width, neck[1] + 3), (neck[0] + width, neck[1] + 3)],
        hips=[(hip[0] - spread, hip[1]), (hip[0] + spread, hip[1])],
    )
    for i in (0, 1):
        hand = hands[i]
        if hand is None:
            elbow = swing(result.shoulders[i], pose.uppers[i], UPPER)
            wrist = swing(elbow, pose.fores[i], FORE)
        else:
            # Seen from the side elbows point backwards and knees forwards; from the front elbows point outwards.
            elbow = bend(result.shoulders[i], hand, UPPER, FORE, 1 if side or i == 0 else -1)
            wrist = hand
        result.elbows.append(elbow)
        result.wrists.append(wrist)
        if feet is None:
            knee = swing(result.hips[i], pose.thighs[i], THIGH * pose.thigh_share)
            ankle = swing(knee, pose.shins[i], SHIN)
        else:
            knee, ankle = bend(result.hips[i], feet[i], THIGH, SHIN, -1), feet[i]
        result.knees.append(knee)
        result.ankles.append(ankle)
    return result


def draw_person(pen: Pen, pose: Pose, outfit: Outfit, body: Joints) -> list[Keypoint]:
    """Draw the figure and return its keypoints in COCO's order."""
    if pose.view == "side":
        _arm(pen, body, outfit, 1, far=True)
        _leg(pen, body, outfit, 1, pose, far=True)
        _leg(pen, body, outfit, 0, pose)
        _torso(pen, body, outfit, side=True)
        _head_from_side(pen, body, outfit)
        _arm(pen, body, outfit, 0)
    else:
        if pose.view == "front":
            _long_hair(pen, body, outfit)
        _leg(pen, body, outfit, 1, pose)
        _leg(pen, body, outfit, 0, pose)
        if pose.view == "back" or pose.name != "sitting":
            _arm(pen, body, outfit, 0)
            _arm(pen, body, outfit, 1)
        _torso(pen, body, outfit, side=False)
        if pose.view != "back" and pose.name == "sitting":
            _arm(pen, body, outfit, 0)
            _arm(pen, body, outfit, 1)
        _head_from_front(pen, body, outfit, back=pose.view == "back")
    return _keypoints(pen, pose, body)


def _leg(pen: Pen, body: Joints, outfit: Outfit, i: int, pose: Pose, *, far: bool = False) -> None:
    cloth = dark(outfit.bottom, 0.25) if far else outfit.bottom
    skin = dark(outfit.skin, 0.18) if far else outfit.skin
    shoe = dark(outfit.shoes, 0.2) if far else outfit.shoes
    hip, knee, ankle = body.hips[i], body.knees[i], body.ankles[i]
    bare = outfit.cut in ("shorts", "skirt", "dress")
    pen.limb(knee, ankle, 13 if not bare else 11, 9, skin if bare else cloth)
    pen.limb(hip, knee, 19, 14, skin if outfit.cut in ("skirt", "dress") else cloth)
    if pose.view == "side":
        tilt = math.degrees(math.atan2(ankle[0] - knee[0], ankle[1] - knee[1])) * 0.5 if ankle[1] > knee[1] else -40
        toe = swing(ankle, 90 + tilt, 14)
        heel = swing(ankle, 0, 3)
        pen.limb((heel[0] - 1, heel[1] - 1), (toe[0], toe[1] + 3), 9, 6, shoe)
    else:
        pen.ellipse(ankle[0] + (-2, 2)[i], ankle[1] + 2, 7, 5, shoe)


def _arm(pen: Pen, body: Joints, outfit: Outfit, i: int, *, far: bool = False) -> None:
    cloth = dark(outfit.top, 0.28) if far else dark(outfit.top, 0.08)
    skin = dark(outfit.skin, 0.18) if far else outfit.skin
    shoulder, elbow, wrist = body.shoulders[i], body.elbows[i], body.wrists[i]
    long_sleeve = outfit.cut in ("coat", "trousers")
    pen.limb(elbow, wrist, 10, 7.5, cloth if long_sleeve else skin)
    pen.disc(*wrist, 5, skin)
    pen.limb(shoulder, elbow, 13, 10.5, cloth)


def _torso(pen: Pen, body: Joints, outfit: Outfit, *, side: bool) -> None:
    (hx, hy), (nx, ny) = body.hip, body.neck
    if side:
        pen.limb((nx, ny + 9), (hx, hy - 4), 25, 21, outfit.top)
        pen.limb((nx, ny + 2), (nx + (body.head[0] - nx) * 0.5, ny - 8), 11, 10, dark(outfit.skin, 0.12))
    else:
        pen.limb((nx, ny + 4), (nx, ny - 10), 11, 10, dark(outfit.skin, 0.14))
        pen.rounded([(nx - 20, ny - 3), (nx + 20, ny - 3), (hx + 15, hy + 6), (hx - 15, hy + 6)], 10, outfit.top)
    _skirt(pen, body, outfit, side=side)
    if outfit.scarf:
        pen.limb((nx - (7 if side else 10), ny - 3), (nx + (8 if side else 10), ny - 3), 10, 10, outfit.scarf)
        pen.limb((nx + 7, ny), (nx + 6, ny + 22), 9, 8, dark(outfit.scarf, 0.12))


def _skirt(pen: Pen, body: Joints, outfit: Outfit, *, side: bool) -> None:
    """The part of a skirt, dress or coat below the waist; it reaches down over the thighs."""
    lengths = {"skirt": 0.8, "dress": 1.0, "coat": 0.62}
    if outfit.cut not in lengths:
        return
    (hx, hy) = body.hip
    cloth = outfit.bottom if outfit.cut == "skirt" else outfit.top
    share = lengths[outfit.cut]
    ends = [
        (h[0] + (k[0] - h[0]) * share, h[1] + (k[1] - h[1]) * share) for h, k in zip(body.hips, body.knees, strict=True)
    ]
    left, right = sorted(ends)
    flare = 10 if side else 9
    waist = 11 if side else 15
    if abs(left[1] - hy) < 18:  # thighs of someone seated lie flat: the cloth follows them
        for hip, end in zip(body.hips, ends, strict=True):
            pen.limb(hip, end, 22, 20, cloth)
        return
    low = max(left[1], right[1])
    pen.rounded(
        [(hx - waist, hy - 12), (hx + waist, hy - 12), (right[0] + flare, low), (left[0] - flare, low)], 5, cloth
    )


def _head_from_side(pen: Pen, body: Joints, outfit: Outfit) -> None:
    x, y = body.head
    if outfit.style == "long":
        pen.limb((x - 6, y - 2), (x - 11, y + 20), 18, 13, dark(outfit.hair, 0.12))
    pen.disc(x + HEAD - 1, y + 2.5, 3, outfit.skin)
    pen.disc(x, y, HEAD, outfit.skin)
    if outfit.style == "bun":
        pen.disc(x - 11, y - 10, 6.5, outfit.hair)
    crown = [*arc(x, y, HEAD + 1, 100, 322), (x + 4, y - 5), (x - 2, y - 2), (x - 4, y + 6)]
    pen.polygon(crown, outfit.hair)
    pen.disc(x - 1, y + 1.5, 2.8, dark(outfit.skin, 0.16))
    _hat(pen, x, y, outfit, brim=1)
    if pen.size > 0.45:
        pen.disc(x + 7.5, y - 1, 1.5, (43, 35, 51))
        pen.stroke(arc(x + 7, y + 4, 4, 20, 100, 5), 1.2, dark(outfit.skin, 0.5))


def _long_hair(pen: Pen, body: Joints, outfit: Outfit) -> None:
    """Behind the neck of who looks at us, over the collar of who looks away."""
    if outfit.style == "long":
        x, y = body.head
        fall = [(x - 15, y - 10), (x + 15, y - 10), (x + 17, y + 24), (x - 17, y + 24)]
        pen.rounded(fall, 9, dark(outfit.hair, 0.12))


def _head_from_front(pen: Pen, body: Joints, outfit: Outfit, *, back: bool) -> None:
    x, y = body.head
    if back:
        _long_hair(pen, body, outfit)
    for dx in (-HEAD, HEAD):
        pen.disc(x + dx, y + 1, 3.2, dark(outfit.skin, 0.12))
    pen.disc(x, y, HEAD, outfit.skin)
    if outfit.style == "bun":
        pen.disc(x, y - 15, 7, outfit.hair)
    if back:
        pen.disc(x, y - 1.5, HEAD + 0.8, outfit.hair)
    else:
        fringe = [*arc(x, y, HEAD + 1, 172, 368), (x + 9, y - 5), (x + 1, y - 8), (x - 8, y - 4)]
        pen.polygon(fringe, outfit.hair)
    _hat(pen, x, y, outfit, brim=0 if back else 2)
    if not back and pen.size > 0.45:
        for dx in (-4.6, 4.6):
            pen.disc(x + dx, y + 0.5, 1.5, (43, 35, 51))
            pen.disc(x + dx * 1.6, y + 5, 2.2, (235, 128, 112), mark=True)
        pen.stroke(arc(x, y + 4, 4.5, 25, 155, 6), 1.3, dark(outfit.skin, 0.5))


def _hat(pen: Pen, x: float, y: float, outfit: Outfit, *, brim: int) -> None:
    """Cap or beanie; `brim` 1 points forward (side view), 2 lies across (front view), 0 is not seen."""
    if outfit.style == "beanie":
        tone = outfit.scarf or light(outfit.top, 0.3)
        pen.polygon([*arc(x, y - 3, HEAD + 1.5, 180, 360)], tone)
        pen.limb((x - HEAD, y - 3.5), (x + HEAD, y - 3.5), 6, 6, dark(tone, 0.15))
        pen.disc(x, y - HEAD - 5, 4.5, light(tone, 0.5))
    elif outfit.style == "cap":
        tone = dark(outfit.top, 0.25)
        pen.polygon([*arc(x, y - 4, HEAD + 1, 180, 360)], tone)
        if brim:
            pen.limb((x - (0 if brim == 1 else 9), y - 4.5), (x + (20 if brim == 1 else 9), y - 4), 4.5, 3.5, tone)


def _keypoints(pen: Pen, pose: Pose, body: Joints) -> list[Keypoint]:
    side, back = pose.view == "side", pose.view == "back"
    # Who looks at us has the left hand on our right; a mirrored figure or one seen from behind swaps that. Of a figure
    # that walks to the right we see the right side, which is the first of each pair.
    left = 1 if pen.flip == back else 0
    right = 1 - left
    x, y = body.head
    if side:
        nose, eyes, ears = (x + HEAD + 1, y + 2), [(x + 7.5, y - 1)] * 2, [(x - 1, y + 1.5)] * 2
    else:
        nose = (x, y + 3)
        eyes, ears = [(x - 4.6, y + 0.5), (x + 4.6, y + 0.5)], [(x - HEAD, y + 1), (x + HEAD, y + 1)]
    face = not back
    points = {"nose": _point(pen, nose, known=face)}
    for name, pair, known in (("eye", eyes, face), ("ear", ears, True)):
        for word, i in (("left", left), ("right", right)):
            points[f"{word}_{name}"] = _point(pen, pair[i], known=known and not (side and i == 1))
    for name, pair in (
        ("shoulder", body.shoulders),
        ("elbow", body.elbows),
        ("wrist", body.wrists),
        ("hip", body.hips),
        ("knee", body.knees),
        ("ankle", body.ankles),
    ):
        for word, i in (("left", left), ("right", right)):
            hidden = side and i == 1 and _behind_body(pair[i], body)
            points[f"{word}_{name}"] = _point(pen, pair[i], hidden=hidden)
    return [points[name] for name in KEYPOINTS]


def _point(pen: Pen, at: Point, *, hidden: bool = False, known: bool = True) -> Keypoint:
    return Keypoint(*pen.at(*at), hidden=hidden, known=known)


def _behind_body(point: Point, body: Joints) -> bool:
    """Whether the torso or the near limbs of a figure seen from its side cover a point of the far side."""
    bones = (
        (body.neck, body.hip, 11.0),
        (body.hips[0], body.knees[0], 7.0),
        (body.knees[0], body.ankles[0], 5.0),
        (body.shoulders[0], body.elbows[0], 5.0),
        (body.elbows[0], body.wrists[0], 4.0),
    )
    return any(_distance(point, start, end) < reach for start, end, reach in bones)


def _distance(point: Point, start: Point, end: Point) -> float:
    (px, py), (ax, ay), (bx, by) = point, start, end
    dx, dy = bx - ax, by - ay
    share = max(0.0, min(1.0, ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy or 1.0)))
    return math.hypot(px - ax - share * dx, py - ay - share * dy)
