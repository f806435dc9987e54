"""Street furniture, furniture and small things; y = 0 is the ground unless said otherwise."""

from __future__ import annotations

import math
from random import Random

from cocohub.sample.canvas import Pen, Point, arc, smooth
from cocohub.sample.palette import PAINTS, Color, color, dark, light

WOOD = color("#a8703f")
IRON = color("#3f4653")
SIGNALS = {"red": color("#f0473c"), "yellow": color("#ffc23d"), "green": color("#3fc47a")}
SNOW = color("#f7fafc")


def draw_lamp(pen: Pen, height: float) -> None:
    """A street lamp with its light at the top."""
    pen.rect(-9, -16, 9, 0, IRON, 3)
    pen.limb((0, -8), (0, -height + 16), 9, 6, IRON)
    pen.stroke(smooth([(0, -height + 24), (6, -height - 2), (26, -height - 6)], closed=False), 5, IRON)
    pen.rounded([(14, -height - 8), (40, -height - 8), (48, -height + 10), (6, -height + 10)], 5, IRON)
    on = pen.canvas.mood.lamps_on
    pen.ellipse(27, -height + 11, 17, 6, color("#ffe7a3") if on else color("#e8ecea"), lit=on)
    if pen.canvas.mood.snowy:
        pen.stroke([(16, -height - 9), (38, -height - 9)], 6, SNOW)


def light_lamp(pen: Pen, height: float) -> None:
    """The halo of a lamp, when lamps are on; drawn over everything near it."""
    if pen.canvas.mood.lamps_on:
        pen.glow(27, -height + 18, 150, (255, 214, 140), 0.42)
        pen.glow(27, -height + 12, 48, (255, 238, 190), 0.7)


def draw_signal_pole(pen: Pen, height: float) -> None:
    pen.rect(-8, -12, 8, 0, IRON, 3)
    pen.limb((0, 0), (0, -height), 8, 7, IRON)


def draw_traffic_light(pen: Pen, state: str) -> None:
    """The head alone, 96 cm high, its middle at the origin."""
    pen.rect(-20, -50, 20, 50, color("#262c36"), 12)
    pen.rect(-15, -45, 15, 45, color("#363d4a"), 9)
    for name, y in (("red", -28), ("yellow", 0), ("green", 28)):
        on = name == state
        pen.disc(0, y, 11, SIGNALS[name] if on else dark(SIGNALS[name], 0.68), lit=on)
        if on:
            pen.disc(-3, y - 3, 3.5, light(SIGNALS[name], 0.6), lit=True)
    for y in (-28, 0, 28):
        pen.stroke(arc(0, y, 13, 195, 345, 8), 4, color("#1b2028"))
    y = {"red": -28, "yellow": 0, "green": 28}[state]
    pen.glow(0, y, 46, SIGNALS[state], 0.45 if pen.canvas.mood.lamps_on else 0.18)


def draw_bench(pen: Pen, wood: Color = WOOD) -> None:
    """A park bench 170 cm wide seen from the front; its seat is 46 cm high."""
    for x in (-68, 68):
        pen.stroke([(x, -86), (x, -2)], 7, IRON)
        pen.stroke([(x - 7, -2), (x + 7, -2)], 6, IRON)
    for y in (-84, -68):
        pen.rect(-84, y - 6, 84, y + 6, wood if y == -84 else dark(wood, 0.1), 4)
    for x in (-68, 68):
        pen.stroke([(x, -62), (x + (8 if x > 0 else -8), -62)], 5, IRON)
    pen.rect(-88, -52, 88, -40, light(wood, 0.18), 4)
    pen.rect(-88, -43, 88, -36, dark(wood, 0.2), 3)
    if pen.canvas.mood.snowy:
        pen.stroke([(-78, -91), (78, -91)], 7, SNOW)


def draw_umbrella(pen: Pen, paint: Color) -> None:
    """Held at the origin; the rim of its canopy is 62 cm above, 116 cm wide and scalloped in four."""
    rim, top = -62.0, -103.5
    pen.stroke([(0, 8), (0, -96)], 2.6, IRON)
    dome = [(x, rim + (y - rim) * 0.72) for x, y in arc(0, rim, 58, 180, 360, 24)]
    edge: list[Point] = []
    for middle in (43.5, 14.5, -14.5, -43.5):
        angles = [math.pi * step / 5 for step in range(6)]
        edge += [(middle + 14.5 * math.cos(angle), rim - 7 * math.sin(angle)) for angle in angles]
    pen.polygon([*dome, *edge], paint)
    pen.polygon([*dome[12:], *edge[:6], (16, -84), (0, top)], dark(paint, 0.16))
    pen.polygon([(0, top), (-13, -86), *edge[12:18], (-22, -84)], light(paint, 0.24))
    pen.limb((0, rim - 40), (0, rim - 50), 3.5, 2.5, IRON)


def draw_kite(pen: Pen, paint: Color, second: Color) -> None:
    """A diamond 110 cm high with a tail; its middle is the origin."""
    tail = smooth([(0, 60), (10, 84), (-6, 108), (8, 132), (-2, 156)], closed=False)
    pen.stroke(tail, 2.4, dark(paint, 0.25))
    for x, y in ((8, 86), (-4, 110), (6, 134)):
        pen.polygon([(x, y), (x - 13, y - 7), (x - 12, y + 7)], second)
        pen.polygon([(x, y), (x + 13, y - 7), (x + 12, y + 7)], paint)
    pen.polygon([(0, -52), (42, -6), (0, 62), (-42, -6)], paint)
    pen.polygon([(0, -52), (42, -6), (0, -6)], second)
    pen.polygon([(0, 62), (-42, -6), (0, -6)], dark(second, 0.1))
    pen.stroke([(0, -50), (0, 60)], 1.6, light(paint, 0.5))
    pen.stroke([(-40, -6), (40, -6)], 1.6, light(paint, 0.5))


def draw_ball(pen: Pen, paint: Color) -> None:
    """A ball of 26 cm."""
    pen.disc(0, -13, 13, light(paint, 0.75))
    pen.polygon([*arc(0, -13, 13, -60, 60, 8), *arc(-9, -13, 13, 40, -40, 6)], paint)
    pen.polygon([*arc(0, -13, 13, 120, 240, 8), *arc(9, -13, 13, 220, 140, 6)], paint)
    pen.disc(-4, -19, 2.6, (255, 253, 245))


def draw_plant(pen: Pen, pot: Color, kind: str, rng: Random) -> None:
    """A potted plant: leafy (fan of leaves), round (clipped ball), cactus or flowers."""
    green = rng.choice((color("#3f8f63"), color("#58a05c"), color("#2f7d6b")))
    {"round": _clipped, "cactus": _cactus, "flowers": _flowers, "leafy": _leaves}[kind](pen, green, rng)
    pen.rounded([(-26, -38), (26, -38), (19, 0), (-19, 0)], 4, pot)
    pen.polygon([(6, -32), (25, -32), (18, -1), (6, -1)], dark(pot, 0.14))
    pen.rect(-29, -42, 29, -31, light(pot, 0.15), 3)


def _clipped(pen: Pen, green: Color, rng: Random) -> None:
    pen.stroke([(0, -36), (0, -80)], 6, WOOD)
    pen.disc(0, -108, 36, dark(green, 0.14))
    pen.disc(-3, -111, 31, green)
    pen.disc(-9, -118, rng.uniform(16, 21), light(green, 0.2))


def _cactus(pen: Pen, green: Color, rng: Random) -> None:
    pen.limb((0, -34), (0, -104), 26, 24, green)
    pen.stroke(smooth([(8, -62), (28, -64), (30, -86)], closed=False), 13, green)
    pen.stroke(smooth([(-8, -54), (-26, -56), (-27, -74)], closed=False), 12, green)
    for rib in (-6, 1, 8):
        pen.stroke([(rib, -42), (rib, -106)], 1.6, light(green, 0.35))
    pen.disc(2, -119, 7, rng.choice((color("#ef7f9c"), PAINTS["yellow"])))


def _flowers(pen: Pen, green: Color, rng: Random) -> None:
    petals = (PAINTS["pink"], PAINTS["yellow"], PAINTS["white"], PAINTS["red"])
    for i in range(9):
        x, y = rng.uniform(-30, 30), rng.uniform(-78, -46)
        pen.stroke([(x * 0.4, -34), (x, y)], 3, dark(green, 0.1))
        pen.ellipse(x * 0.9, y + 14, 11, 5.5, green, rng.uniform(-60, 60))
        petal = petals[i % 4]
        pen.disc(x, y, 8, petal)
        pen.disc(x, y, 3, WOOD if petal == PAINTS["yellow"] else color("#f6d265"))


def _leaves(pen: Pen, green: Color, rng: Random) -> None:
    """A fan, from the dark outer leaves at the back to the light middle one."""
    shade = dark(green, 0.2)
    fan = ((-74, shade), (70, shade), (-48, green), (46, green), (-22, light(green, 0.14)), (24, light(green, 0.1)))
    for lean, tone in (*fan, (0, light(green, 0.26))):
        long, turn = rng.uniform(74, 96), math.radians(lean)
        x, y = long * math.sin(turn) * 0.7, -34 - long * math.cos(turn)
        mid = (x * 0.36, -34 + (y + 34) * 0.62)
        pen.polygon(smooth([(0, -32), (mid[0] - 11, mid[1]), (x, y), (mid[0] + 11, mid[1])]), tone)
        pen.stroke([(0, -34), (x * 0.85, y * 0.92)], 1.4, dark(tone, 0.2))


def draw_couch(pen: Pen, paint: Color) -> None:
    """230 cm wide; the seat is 44 cm high."""
    for x in (-92, 92):
        pen.limb((x, -14), (x + (4 if x > 0 else -4), -2), 9, 6, WOOD)
    pen.rect(-106, -104, 106, -24, dark(paint, 0.12), 20)
    for left, right in ((-98, -2), (2, 98)):
        pen.rect(left, -98, right, -46, paint, 14)
        pen.rect(left + 4, -52, right - 4, -30, light(paint, 0.14), 9)
    pen.rect(-104, -36, 104, -12, dark(paint, 0.2), 8)
    for x in (-104, 104):
        pen.rect(x - 14, -68, x + 14, -12, dark(paint, 0.06), 13)
        pen.rect(x - 9, -64, x + 4, -22, light(paint, 0.1), 6)


def draw_cushion(pen: Pen, paint: Color) -> None:
    pen.polygon(smooth([(-20, -20), (0, -17), (20, -20), (18, 0), (20, 20), (0, 17), (-20, 20), (-18, 0)]), paint)
    for offset in (-7, 7):
        pen.stroke([(offset - 5, -14), (offset + 5, 14)], 2.2, light(paint, 0.5))


def draw_chair(pen: Pen, paint: Color) -> None:
    """A dining chair seen from its side, 46 cm high at the seat, its back at the left."""
    wood = dark(WOOD, 0.1)
    pen.limb((-20, -46), (-26, -2), 6, 4.5, dark(wood, 0.2))
    pen.limb((20, -46), (26, -2), 6, 4.5, wood)
    pen.limb((-19, -46), (-27, -98), 7, 6, wood)
    pen.rounded([(-34, -102), (-22, -104), (-15, -60), (-25, -58)], 5, paint)
    pen.rect(-25, -54, 26, -43, paint, 5)
    pen.rect(-24, -46, 25, -42, dark(paint, 0.25), 2)


def draw_tv(pen: Pen, shine: Color) -> None:
    """130 cm wide, standing at the origin."""
    pen.rect(-26, -6, 26, 0, IRON, 3)
    pen.rect(-5, -14, 5, -3, IRON)
    pen.rect(-66, -88, 66, -10, color("#23262f"), 5)
    pen.rect(-61, -83, 61, -15, shine, 3, lit=True)
    pen.polygon(
        [(-61, -15), (-61, -36), (-22, -58), (8, -38), (34, -52), (61, -32), (61, -15)], dark(shine, 0.35), lit=True
    )
    pen.disc(34, -66, 8, light(shine, 0.7), lit=True)


def draw_clock(pen: Pen, frame: Color, hour: int, minute: int) -> None:
    """A wall clock of 36 cm; its middle is the origin."""
    pen.disc(0, 0, 18, frame)
    pen.disc(0, 0, 14.5, color("#faf6ec"))
    for tick in range(12):
        outer, inner = arc(0, 0, 13, tick * 30, tick * 30, 1)[0], arc(0, 0, 11, tick * 30, tick * 30, 1)[0]
        pen.stroke([inner, outer], 1.1, IRON)
    for turn, length, width in ((hour * 30 + minute / 2, 7.5, 2), (minute * 6, 11, 1.4)):
        pen.stroke([(0, 0), arc(0, 0, length, turn - 90, turn - 90, 1)[0]], width, IRON)


def draw_book(pen: Pen, paint: Color, height: float, width: float) -> None:
    """Standing on the origin with its left edge."""
    pen.rect(0, -height, width, 0, paint, 1)
    pen.rect(0, -height * 0.86, width, -height * 0.78, light(paint, 0.5))
    pen.rect(0, -height * 0.2, width, -height * 0.14, light(paint, 0.5))


def draw_backpack(pen: Pen, paint: Color) -> None:
    """On the back of someone who looks to the right; the origin lies between the shoulder blades."""
    pen.rect(-16, -4, 8, 38, paint, 9)
    pen.rect(-20, 14, -2, 36, dark(paint, 0.16), 6)
    pen.stroke([(-12, 6), (4, 6)], 2.2, light(paint, 0.4))
