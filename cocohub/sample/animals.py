"""Dogs, cats, birds and sheep, looking to the right; y = 0 is the ground."""

from __future__ import annotations

import math
from random import Random

from cocohub.sample.canvas import Pen, arc, smooth
from cocohub.sample.palette import Color, color, dark, light

COATS: dict[str, Color] = {
    "brown": color("#9a6240"),
    "golden": color("#d9a45b"),
    "black": color("#3d3a46"),
    "white": color("#f0ebe0"),
    "grey": color("#8f929e"),
    "ginger": color("#e08d45"),
    "cream": color("#ecd3a6"),
}
EYE = color("#2a2330")
NOSE = color("#3a2c34")
BEAK = color("#f0a03c")


def draw_dog(pen: Pen, coat: Color, pose: str, collar: Color) -> None:
    """About 90 cm long; poses standing, walking and sitting."""
    far = dark(coat, 0.22)
    if pose == "sitting":
        pen.stroke(smooth([(-24, -6), (-38, -8), (-46, -20)], closed=False), 7, dark(coat, 0.1))
        pen.limb((18, -34), (20, -4), 11, 8, far)
        pen.smooth([(-26, -4), (-30, -22), (-12, -44), (6, -62), (22, -58), (24, -36), (14, -6), (-6, 0)], coat)
        pen.ellipse(-10, -14, 17, 14, dark(coat, 0.08))
        pen.limb((16, -36), (18, -4), 12, 8, coat)
        pen.limb((18, -3.5), (26, -3), 7, 6, light(coat, 0.2))
        pen.limb((-8, -4), (8, -3.5), 8, 6, light(coat, 0.2))
        neck, head = (16, -56), (24, -74)
    else:
        steps = ((-9, 12), (8, -10)) if pose == "walking" else ((0, 3), (2, -2))
        pen.stroke(smooth([(-38, -46), (-52, -56), (-58, -72)], closed=False), 6.5, dark(coat, 0.1))
        pen.limb((-28, -38), (-28 + steps[0][1], -3), 13, 7, far)
        pen.limb((26, -38), (26 + steps[1][1], -3), 11, 7, far)
        pen.smooth([(-42, -44), (-34, -56), (0, -54), (28, -60), (40, -48), (34, -32), (6, -28), (-30, -30)], coat)
        pen.limb((-30, -38), (-30 + steps[0][0], -3.5), 16, 7.5, coat)
        pen.limb((28, -38), (28 + steps[1][0], -3.5), 12, 7.5, coat)
        for x in (-30 + steps[0][0], 28 + steps[1][0]):
            pen.limb((x, -3), (x + 5, -2.8), 6.5, 5.5, light(coat, 0.2))
        neck, head = (34, -54), (48, -72)
    pen.limb(neck, head, 22, 17, coat)
    pen.stroke([(neck[0] - 4, neck[1] - 12), (neck[0] + 11, neck[1] - 4)], 4.4, collar)
    hx, hy = head
    pen.ellipse(hx, hy, 13.5, 12, coat)
    pen.limb((hx + 7, hy + 4), (hx + 20, hy + 5), 12, 9, light(coat, 0.16))
    pen.ellipse(hx + 23, hy + 2, 4, 3.4, NOSE)
    pen.smooth([(hx - 8, hy - 10), (hx + 2, hy - 9), (hx - 2, hy + 10), (hx - 11, hy + 8)], dark(coat, 0.3))
    pen.disc(hx + 6, hy - 3, 2, EYE)


def draw_cat(pen: Pen, coat: Color, pose: str) -> None:
    """About 45 cm; poses sitting, walking and lying."""
    stripe = dark(coat, 0.28)
    if pose == "sitting":
        pen.stroke(smooth([(-10, -3), (-24, -3), (-32, -12), (-28, -24)], closed=False), 6, dark(coat, 0.14))
        pen.smooth([(-15, 0), (-18, -14), (-10, -32), (0, -40), (9, -32), (12, -12), (12, 0)], coat)
        for y in (-24, -17, -10):
            pen.stroke([(-15 - (y + 10) * 0.2, y), (-7, y + 1)], 2, stripe)
        pen.smooth([(2, -30), (9, -26), (9, -10), (3, -8)], light(coat, 0.5))
        pen.limb((4, -18), (5, -2.5), 7, 5.5, coat)
        pen.limb((10, -18), (11, -2.5), 6.5, 5.5, coat)
        hx, hy = 5.0, -46.0
    elif pose == "lying":
        pen.stroke(smooth([(-26, -6), (-38, -4), (-42, 0), (-30, 1)], closed=False), 6, dark(coat, 0.14))
        pen.smooth([(-32, 0), (-34, -12), (-20, -23), (4, -22), (20, -16), (24, -4), (20, 0)], coat)
        for x in (-20, -11, -2):
            pen.stroke([(x, -21), (x + 2, -12)], 2.2, stripe)
        pen.limb((14, -3.5), (30, -3), 6.5, 5.5, light(coat, 0.3))
        hx, hy = 22.0, -20.0
    else:
        pen.stroke(smooth([(-24, -26), (-36, -32), (-40, -46), (-34, -54)], closed=False), 5.5, dark(coat, 0.14))
        for x, end in ((-18, -10), (14, 8)):
            pen.limb((x, -18), (end, -2.5), 8, 5, dark(coat, 0.25))
        pen.smooth([(-27, -24), (-20, -32), (4, -30), (20, -32), (24, -22), (14, -14), (-18, -14)], coat)
        for x in (-14, -5, 4):
            pen.stroke([(x, -30), (x + 1, -22)], 2.2, stripe)
        for x, end in ((-20, -26), (16, 22)):
            pen.limb((x, -18), (end, -2.5), 8.5, 5, coat)
        hx, hy = 27.0, -36.0
    _cat_head(pen, hx, hy, coat, stripe)


def _cat_head(pen: Pen, x: float, y: float, coat: Color, stripe: Color) -> None:
    for dx in (-1, 1):
        pen.polygon([(x + dx * 11, y - 3), (x + dx * 9.5, y - 16), (x + dx * 1.5, y - 9)], coat)
        pen.polygon([(x + dx * 8.8, y - 6), (x + dx * 8.2, y - 12), (x + dx * 4.5, y - 8)], (236, 160, 150))
    pen.ellipse(x, y, 12, 10.5, coat)
    pen.ellipse(x + 1, y + 4.5, 6.5, 4.6, light(coat, 0.5))
    for dx in (-3, 0, 3):
        pen.stroke([(x + dx, y - 9.5), (x + dx * 0.8, y - 6)], 1.5, stripe)
    for eye in (-4.5, 5.0):
        pen.ellipse(x + eye, y - 0.5, 1.9, 2.3, EYE)
    pen.polygon([(x - 0.8, y + 2.6), (x + 2.6, y + 2.6), (x + 0.9, y + 4.6)], (214, 112, 112))


def draw_bird(pen: Pen, coat: Color, pose: str) -> None:
    """Flying (90 cm of wings), perched (25 cm high) or swimming (45 cm long)."""
    wing = dark(coat, 0.25)
    if pose == "flying":
        pen.polygon(smooth([(-4, -2), (-20, -20), (-46, -18), (-30, -8), (-8, 8)]), wing)
        pen.smooth([(-26, 4), (-8, -6), (12, -7), (20, -2), (8, 7), (-14, 8)], coat)
        pen.polygon([(-22, 2), (-38, -1), (-36, 8), (-22, 7)], dark(coat, 0.12))
        pen.disc(18, -4, 6.5, coat)
        pen.polygon([(23, -6), (33, -2), (23, -1)], BEAK)
        pen.polygon(smooth([(2, -4), (6, -30), (-12, -48), (-12, -26), (-14, 0)]), dark(coat, 0.1))
        pen.disc(19.5, -5.5, 1.3, EYE)
    elif pose == "swimming":
        pen.smooth([(-28, -14), (-20, -4), (0, 0), (18, -2), (24, -12), (8, -17), (-12, -14)], coat)
        pen.limb((18, -10), (20, -24), 12, 9, dark(coat, 0.32))
        pen.disc(21, -27, 7.5, dark(coat, 0.32))
        pen.polygon([(27, -30), (38, -25), (27, -23)], BEAK)
        pen.smooth([(-22, -14), (-8, -16), (8, -10), (-6, -5)], wing)
        pen.stroke([(14, -15), (22, -15)], 2.6, (246, 242, 230))
        pen.disc(23, -29, 1.3, EYE)
    else:
        for x in (-1, 4):
            pen.stroke([(x, -8), (x + 1, -1), (x + 5, -0.8)], 1.6, BEAK)
        pen.polygon([(-10, -14), (-26, -8), (-24, -3), (-6, -9)], wing)
        pen.smooth([(-14, -13), (-6, -22), (8, -25), (13, -17), (6, -7), (-6, -7)], coat)
        pen.disc(10, -25, 5.8, coat)
        pen.polygon([(15, -27), (22, -24.5), (15, -23)], BEAK)
        pen.smooth([(-14, -13), (-4, -18), (6, -14), (-2, -9)], wing)
        pen.disc(11.5, -26, 1.2, EYE)


def draw_sheep(pen: Pen, wool: Color, rng: Random) -> None:
    """About 110 cm long: a fleece of overlapping discs."""
    face = color("#4a4048")
    grazing = rng.random() < 0.5
    for x in (-26, -14, 18, 30):
        pen.limb((x, -30), (x, -3), 8, 6, dark(face, 0.1) if x in (-14, 18) else face)
    for step in range(11):
        turn = math.tau * step / 11
        pen.disc(
            2 + 34 * math.cos(turn), -46 + 15 * math.sin(turn), 15, dark(wool, 0.13) if math.sin(turn) > 0.2 else wool
        )
    pen.ellipse(2, -48, 36, 20, wool)
    for x, y in ((-18, -52), (2, -46), (20, -54)):
        pen.stroke(arc(x, y, 7, 20, 160, 6), 2, dark(wool, 0.12))
    hx, hy = (52.0, -26.0) if grazing else (50.0, -62.0)
    pen.limb((38, -48), (hx - 4, hy), 18, 14, wool)
    pen.ellipse(hx + 4, hy + 4, 8.5, 13, face, -28)
    pen.ellipse(hx - 7, hy - 2, 8, 3.6, dark(face, 0.25), -20)
    pen.disc(hx - 1, hy - 8, 8.5, wool)
    pen.disc(hx + 6, hy + 1, 1.7, (248, 244, 234))
