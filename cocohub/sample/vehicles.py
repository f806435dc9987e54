"""Cars, buses, trucks, bicycles and boats, seen from the side and looking to the right; y = 0 is road or water."""

from __future__ import annotations

from cocohub.sample.canvas import Pen, Point, arc, ellipse, rounded, smooth
from cocohub.sample.palette import PAINTS, Color, color, dark, light, mix

GLASS = color("#a9d3e3")
GLASS_LIT = color("#ffe2a0")
TYRE = color("#2c2d3b")
RIM = color("#cdd5da")
CHROME = color("#8d97a3")
LAMP = color("#fff2c2")
TAIL = color("#e5483f")
SNOW = color("#f7fafc")

# Per kind: outline of the body, its windows, distance of the wheels from the middle, their radius.
CARS: dict[str, tuple[list[Point], list[list[Point]], tuple[float, float], float]] = {
    "hatchback": (
        [
            (-192, -30),
            (-198, -86),
            (-184, -100),
            (-156, -146),
            (18, -150),
            (84, -101),
            (172, -90),
            (198, -70),
            (198, -30),
        ],
        [[(-146, -136), (-66, -139), (-66, -101), (-166, -101)], [(-56, -139), (15, -140), (64, -101), (-56, -101)]],
        (-118, 122),
        33,
    ),
    "sedan": (
        [
            (-216, -30),
            (-220, -82),
            (-150, -96),
            (-104, -140),
            (42, -143),
            (106, -97),
            (196, -86),
            (218, -66),
            (218, -30),
        ],
        [[(-98, -131), (-34, -133), (-34, -98), (-134, -98)], [(-24, -133), (36, -134), (84, -98), (-24, -98)]],
        (-132, 134),
        33,
    ),
    "suv": (
        [(-204, -38), (-208, -112), (-188, -168), (30, -171), (92, -112), (190, -100), (208, -82), (208, -38)],
        [
            [(-180, -158), (-118, -160), (-118, -116), (-194, -116)],
            [(-108, -160), (-40, -161), (-40, -116), (-108, -116)],
            [(-30, -161), (27, -162), (72, -116), (-30, -116)],
        ],
        (-128, 130),
        38,
    ),
    "van": (
        [(-226, -34), (-228, -202), (68, -206), (138, -130), (210, -108), (224, -82), (224, -34)],
        [[(-206, -186), (-116, -186), (-116, -132), (-206, -132)], [(6, -188), (62, -189), (112, -132), (6, -132)]],
        (-140, 142),
        36,
    ),
}


def wheel(pen: Pen, x: float, radius: float) -> None:
    pen.disc(x, -radius, radius, TYRE)
    pen.disc(x, -radius, radius * 0.6, RIM)
    pen.disc(x, -radius, radius * 0.44, dark(RIM, 0.3))
    pen.disc(x, -radius, radius * 0.16, RIM)


def wheel_arch(pen: Pen, x: float, radius: float, sill: float, tone: Color) -> None:
    """The dark half round above a wheel, ending at the sill of the body."""
    pen.polygon([point for point in ellipse(x, -radius + 10, radius, radius) if point[1] <= sill], tone)


def glass(pen: Pen, outline: list[Point], radius: float = 7, *, lit: bool = False) -> None:
    """A window pane with a slanting reflection."""
    shape = rounded(outline, radius)
    if lit:
        pen.polygon(shape, GLASS_LIT, lit=True)
        return
    pen.polygon(shape, GLASS)
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    left, wide, top, low = min(xs), max(xs) - min(xs), min(ys), max(ys)
    start = left + wide * 0.16
    slant = (low - top) * 0.45
    strip = min(wide * 0.22, 24)
    pen.polygon(
        [(start + slant, top + 2), (start + slant + strip, top + 2), (start + strip, low - 2), (start, low - 2)],
        light(GLASS, 0.42),
    )


def draw_car(pen: Pen, paint: Color, kind: str) -> None:
    body, windows, axles, radius = CARS[kind]
    mood = pen.canvas.mood
    high, low = min(y for _, y in body), -30.0
    left, right = body[0][0], body[-1][0]
    pen.rect(left + 20, -44, right - 20, -18, dark(paint, 0.55), 10)
    pen.rounded(body, 22, paint)
    pen.rounded([(left, -62), (right, -62), (right, low), (left, low)], 12, dark(paint, 0.2))
    belt = max(y for window in windows for _, y in window)
    pen.stroke([(left + 26, belt + 13), (right - 34, belt + 13)], 3, light(paint, 0.35))
    for window in windows:
        glass(pen, window)
    for window in windows[:-1]:
        seam = max(x for x, _ in window) + 5
        pen.stroke([(seam, belt + 6), (seam, -44)], 2.2, dark(paint, 0.3))
    for x in (windows[-1][0][0] + 6, windows[0][0][0] + 36):
        pen.rect(x, belt + 18, x + 20, belt + 23, dark(paint, 0.42), 2)
    for x in axles:
        wheel_arch(pen, x, radius + 8, -30, dark(paint, 0.62))
        wheel(pen, x, radius)
    pen.rect(right - 26, -82, right - 4, -66, LAMP, 6, lit=mood.lamps_on)
    pen.rect(left + 3, -88, left + 15, -68, TAIL, 5, lit=mood.lamps_on)
    pen.rect(right - 20, -46, right + 5, -32, CHROME, 6)
    pen.rect(left - 5, -46, left + 20, -32, CHROME, 6)
    if mood.snowy:
        roof = [point for point in body if point[1] < high + 7]
        pen.stroke([(roof[0][0] + 16, roof[0][1] - 1), (roof[-1][0] - 14, roof[-1][1] - 1)], 10, SNOW)
    if mood.night:
        pen.glow(right + 40, -70, 120, (255, 236, 170), 0.5)


def draw_bus(pen: Pen, paint: Color, number: str) -> None:
    """A city bus 760 cm long."""
    mood = pen.canvas.mood
    pen.rect(-372, -60, 372, -26, dark(paint, 0.5), 10)
    pen.rect(-384, -300, 384, -40, paint, 30)
    pen.rect(-384, -128, 384, -112, light(paint, 0.75))
    pen.rect(-384, -80, 384, -40, dark(paint, 0.22), 14)
    pen.rect(-350, -300, 300, -288, light(paint, 0.35), 5)
    for i in range(5):
        left = -362 + i * 112
        glass(pen, [(left, -258), (left + 100, -258), (left + 100, -150), (left, -150)], 10, lit=mood.night)
    pen.rect(204, -258, 282, -48, dark(paint, 0.35), 8)
    for left in (210, 246):
        glass(pen, [(left, -250), (left + 31, -250), (left + 31, -58), (left, -58)], 6, lit=mood.night)
    glass(pen, [(296, -258), (374, -258), (378, -140), (296, -140)], 12, lit=mood.night)
    pen.rect(60, -288, 190, -264, color("#20242e"), 5)
    for i in range(len(number)):
        pen.rect(74 + i * 22, -283, 88 + i * 22, -269, color("#ffb84d"), 3, lit=True)
    for x in (-228, 132):
        wheel_arch(pen, x, 56, -40, dark(paint, 0.6))
        wheel(pen, x, 46)
    pen.rect(358, -104, 386, -84, LAMP, 8, lit=mood.lamps_on)
    pen.rect(-386, -118, -374, -84, TAIL, 5, lit=mood.lamps_on)
    pen.rect(366, -58, 392, -40, CHROME, 6)
    if mood.snowy:
        pen.stroke([(-350, -301), (350, -301)], 12, SNOW)
    if mood.night:
        pen.glow(420, -90, 150, (255, 236, 170), 0.5)


def draw_truck(pen: Pen, paint: Color) -> None:
    """A delivery truck 600 cm long with a light box."""
    mood = pen.canvas.mood
    box = color("#ece6da")
    pen.rect(-290, -74, 280, -46, color("#4a4f5c"), 6)
    pen.rect(-300, -292, 110, -70, box, 12)
    pen.rect(-300, -112, 110, -70, dark(box, 0.14), 10)
    pen.rect(-300, -214, 110, -170, mix(paint, box, 0.15))
    for x in (-200, -96, 8):
        pen.stroke([(x, -286), (x, -76)], 2.4, dark(box, 0.12))
    pen.rounded([(124, -46), (124, -226), (214, -226), (262, -150), (298, -138), (302, -46)], 20, paint)
    pen.rounded([(124, -46), (124, -84), (301, -84), (302, -46)], 8, dark(paint, 0.2))
    glass(pen, [(146, -208), (206, -208), (246, -148), (146, -148)], 8)
    pen.rect(152, -128, 174, -122, dark(paint, 0.4), 2)
    for x in (-214, -126, 212):
        wheel_arch(pen, x, 52, -46, color("#343743"))
        wheel(pen, x, 44)
    pen.rect(282, -112, 304, -92, LAMP, 6, lit=mood.lamps_on)
    pen.rect(288, -66, 312, -46, CHROME, 6)
    pen.rect(-306, -104, -296, -78, TAIL, 4, lit=mood.lamps_on)
    if mood.snowy:
        pen.stroke([(-288, -293), (98, -293)], 12, SNOW)


SADDLE: Point = (-18.0, -94.0)
GRIP: Point = (32.0, -104.0)
CRANK: Point = (-4.0, -34.0)
HUBS = (-54.0, 54.0)


def draw_bicycle(pen: Pen, paint: Color, *, basket: bool) -> None:
    """A city bicycle; its mask takes in the air between the spokes, as annotators draw it."""
    for x in HUBS:
        pen.cover(ellipse(x, -34, 34, 34))
    rear, front = (HUBS[0], -34.0), (HUBS[1], -34.0)
    seat_tube, head = (-16.0, -82.0), (33.0, -84.0)
    pen.cover([rear, seat_tube, head, CRANK])
    for x in HUBS:
        pen.stroke(arc(x, -34, 32, 0, 360, 36), 4.6, TYRE)
        pen.stroke(arc(x, -34, 28.6, 0, 360, 36), 1.6, RIM)
        for turn in range(0, 180, 30):
            a, b = arc(x, -34, 28, turn, turn + 180, 1)
            pen.stroke([a, b], 0.8, RIM)
        pen.disc(x, -34, 4, CHROME)
    for a, b in ((rear, CRANK), (rear, seat_tube), (CRANK, seat_tube), (CRANK, head), (seat_tube, head), (head, front)):
        pen.stroke([a, b], 5, paint)
    pen.stroke([seat_tube, (-18, -92)], 4, CHROME)
    pen.stroke([(-29, -95), (-8, -94)], 7, TYRE)
    pen.stroke([head, (31, -102), (38, -106), (30, -108)], 4, CHROME)
    pen.disc(*CRANK, 8, CHROME)
    pen.stroke([(-10, -22), (2, -46)], 3.5, TYRE)
    pen.stroke(arc(HUBS[0], -34, 37, 190, 300, 10), 3.4, dark(paint, 0.2))
    if basket:
        pen.rounded([(40, -104), (68, -104), (64, -78), (44, -78)], 4, color("#b98b54"))
        for y in (-97, -89):
            pen.stroke([(42, y), (66, y)], 1.6, color("#93693c"))


def draw_boat(pen: Pen, paint: Color, kind: str) -> None:
    """sailboat, fishing, rowing or ferry; the hull stands in the water at y = 0."""
    {"sailboat": _sailboat, "fishing": _fishing_boat, "rowing": _rowing_boat, "ferry": _ferry}[kind](pen, paint)


def _sailboat(pen: Pen, paint: Color) -> None:
    wood, sail = color("#7a5238"), color("#f8f3e6")
    pen.stroke([(0, -40), (0, -430)], 8, wood)
    pen.polygon([*smooth([(10, -420), (86, -250), (150, -80)], closed=False), (10, -76)], sail)
    pen.polygon([(10, -420), (43, -360), (10, -352)], paint)
    pen.polygon([(10, -210), (101, -210), (121, -154), (10, -150)], light(paint, 0.25))
    pen.polygon([(-10, -396), (-118, -84), (-10, -78)], dark(sail, 0.12))
    pen.stroke([(-8, -66), (150, -68)], 7, wood)
    pen.polygon([(0, -430), (46, -444), (0, -458)], TAIL)
    hull = [(-160, -52), (176, -60), (128, 0), (-128, 0)]
    pen.rounded(hull, 16, paint)
    pen.polygon([(-158, -50), (172, -58), (162, -42), (-150, -36)], light(paint, 0.7))
    pen.rounded([(-136, -12), (138, -12), (126, 0), (-128, 0)], 5, dark(paint, 0.35))


def _fishing_boat(pen: Pen, paint: Color) -> None:
    white = color("#f4efe4")
    pen.stroke([(-96, -60), (-96, -250)], 6, color("#5b5f6b"))
    pen.stroke([(-96, -236), (-190, -150)], 4, color("#5b5f6b"))
    pen.polygon([(-96, -250), (-60, -240), (-96, -228)], PAINTS["yellow"])
    pen.rect(-50, -184, 70, -60, white, 10)
    pen.rect(-64, -200, 84, -182, paint, 8)
    for left in (-38, 18):
        glass(pen, [(left, -168), (left + 40, -168), (left + 40, -124), (left, -124)], 6, lit=pen.canvas.mood.lamps_on)
    pen.rounded([(-230, -84), (150, -84), (268, -122), (206, 0), (-206, 0)], 22, paint)
    pen.polygon([(-229, -84), (152, -86), (262, -120), (252, -98), (150, -66), (-226, -66)], light(paint, 0.75))
    pen.rounded([(-212, -20), (216, -20), (206, 0), (-206, 0)], 6, color("#7b3038"))
    for x in (-150, -90, -30):
        pen.disc(x, -40, 12, TYRE)
        pen.disc(x, -40, 5, dark(paint, 0.1))
    if pen.canvas.mood.lamps_on:
        pen.glow(10, -150, 120, (255, 220, 150), 0.4)


def _rowing_boat(pen: Pen, paint: Color) -> None:
    pen.rounded([(-120, -40), (124, -46), (92, 0), (-92, 0)], 18, paint)
    pen.polygon([(-118, -38), (120, -44), (114, -32), (-112, -27)], color("#b98756"))
    pen.rounded([(-104, -10), (102, -10), (92, 0), (-92, 0)], 4, dark(paint, 0.3))
    pen.stroke([(-20, -48), (70, -4)], 5, color("#9a6b40"))


def _ferry(pen: Pen, paint: Color) -> None:
    white = color("#f6f2ea")
    pen.rect(-80, -330, -10, -240, paint, 10)
    pen.rect(-80, -330, -10, -306, color("#2f3442"), 8)
    pen.rect(-230, -250, 190, -170, white, 14)
    pen.rect(120, -290, 214, -230, white, 12)
    glass(pen, [(150, -278), (206, -278), (210, -252), (150, -252)], 5)
    pen.rect(-310, -182, 260, -90, dark(white, 0.06), 12)
    for row, (first, last) in ((-226, (-200, 170)), (-150, (-280, 240))):
        for left in range(first, last - 40, 62):
            pen.rect(left, row, left + 44, row + 34, GLASS, 7, lit=False)
            if pen.canvas.mood.lamps_on:
                pen.rect(left, row, left + 44, row + 34, GLASS_LIT, 7, lit=True)
    pen.rounded([(-370, -104), (300, -104), (392, -124), (330, 0), (-346, 0)], 20, paint)
    pen.polygon([(-369, -102), (302, -104), (386, -122), (378, -104), (302, -86), (-366, -84)], light(paint, 0.8))
    pen.rounded([(-352, -24), (338, -24), (330, 0), (-346, 0)], 6, dark(paint, 0.45))
