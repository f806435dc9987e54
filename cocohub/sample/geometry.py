"""From masks to COCO shapes: outlines, areas, boxes and run lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from PIL import Image, ImageDraw

from cocohub.sample.canvas import Point

MOST_POINTS = 60
FEWEST_POINTS = 12
TOLERANCE = 0.3
"""Distance in pixels by which a simplified outline may leave the true one, before the limits on its points."""

_RUNS = re.compile(rb"\x00+|[^\x00]+")


def trace(mask: Image.Image, smallest: int = 1) -> list[list[Point]]:
    """Outer boundary of every 4-connected part of an "L" mask, largest first.

    Points are middles of pixel edges, in pixels of the mask with (0, 0) at the corner of the first pixel. Parts with
    fewer boundary edges than `smallest` are left out; holes are not traced.
    """
    width, height = mask.width + 2, mask.height + 2  # a frame of zeros, so that no step needs a range check
    work = Image.new("L", (width, height))
    work.paste(mask, (1, 1))
    eraser = ImageDraw.Draw(work)
    outlines = []
    data, start = work.tobytes(), -1
    while (start := data.find(b"\xff", start + 1)) >= 0:
        outline, border, edges = _follow(data, width, start)
        if edges >= smallest:
            outlines.append([(x - 1, y - 1) for x, y in outline])
        eraser.polygon([(i % width, i // width) for i in border], fill=0, outline=0)
        data = work.tobytes()
    return sorted(outlines, key=area, reverse=True)


def _follow(data: bytes, stride: int, start: int) -> tuple[list[Point], list[int], int]:
    """Walk once around the part whose first pixel in reading order is `start`, keeping it on the right hand.

    Returns the edge middles at both ends of every straight run, the border pixels, and the number of edges walked.
    """
    steps = (1, stride, -1, -stride)  # east, south, west, north: corner to corner
    inner = (0, -1, -stride - 1, -stride)  # the pixel on the right of the next edge, seen from a corner
    outer = (-stride, 0, -1, -stride - 1)  # the pixel on its left
    half = ((0.5, 0.0), (0.0, 0.5), (-0.5, 0.0), (0.0, -0.5))
    corner, heading = start, 0
    outline: list[Point] = []
    border: list[int] = []
    edges, run = 0, 0
    while True:
        dx, dy = half[heading]
        if run == 0:
            outline.append((corner % stride + dx, corner // stride + dy))
            border.append(corner + inner[heading])
        corner += steps[heading]
        edges += 1
        run += 1
        if not data[corner + inner[heading]]:
            turn = 1
        elif data[corner + outer[heading]]:
            turn = 3
        else:
            continue
        if run > 1:
            outline.append((corner % stride - dx, corner // stride - dy))
            border.append(corner - steps[heading] + inner[heading])
        heading = (heading + turn) % 4
        run = 0
        if corner == start and heading == 0:
            return outline, border, edges


def simplify(points: Sequence[Point], tolerance: float) -> list[Point]:
    """Douglas-Peucker on a closed outline."""
    if len(points) < 4:
        return list(points)
    x0, y0 = points[0]
    far = max(range(len(points)), key=lambda i: (points[i][0] - x0) ** 2 + (points[i][1] - y0) ** 2)
    ring = [*points, points[0]]
    keep = {0, far}
    stack = [(0, far), (far, len(points))]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        (ax, ay), (bx, by) = ring[first], ring[last]
        dx, dy = bx - ax, by - ay
        length = math.hypot(dx, dy)
        if length:
            offset = dx * ay - dy * ax
            gaps = [abs(dx * y - dy * x - offset) for x, y in ring[first + 1 : last]]
        else:
            gaps = [math.hypot(x - ax, y - ay) for x, y in ring[first + 1 : last]]
            length = 1.0
        widest = max(gaps)
        if widest > tolerance * length:
            middle = first + 1 + gaps.index(widest)
            keep.add(middle)
            stack += [(first, middle), (middle, last)]
    return [points[i] for i in sorted(keep)]


def fitted(points: Sequence[Point], tolerance: float) -> list[Point]:
    """Simplify to between 12 and 60 points where the shape allows it."""
    result = simplify(points, tolerance)
    fine = result
    while len(result) > MOST_POINTS:
        tolerance *= 1.35
        result = simplify(fine, tolerance)
    # A finer tolerance would only find the stairs of the pixels, so straight shapes get points on their long edges.
    while len(result) < FEWEST_POINTS:
        ends = list(zip(result, [*result[1:], result[0]], strict=True))
        longest = max(range(len(ends)), key=lambda i: math.dist(*ends[i]))
        (x0, y0), (x1, y1) = ends[longest]
        result.insert(longest + 1, ((x0 + x1) / 2, (y0 + y1) / 2))
    return result


def area(points: Sequence[Point]) -> float:
    """Area of a simple polygon (shoelace formula)."""
    turned = [*points[1:], points[0]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, turned, strict=True))) / 2


def box(points: Sequence[Point], width: int, height: int) -> list[float]:
    """[x, y, w, h] around points that have two decimals, never past the picture even in floating point."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x, y = min(xs), min(ys)
    w, h = round(max(xs) - x, 2), round(max(ys) - y, 2)
    # 0.07 + 639.93 is more than 640 in binary: strict readers would call that box outside.
    while x + w > width:
        w = round(w - 0.01, 2)
    while y + h > height:
        h = round(h - 0.01, 2)
    return [x, y, w, h]


def run_lengths(mask: Image.Image) -> list[int]:
    """COCO runs of an "L" mask: column by column, zeros first (an empty first run if it starts with ones)."""
    columns = mask.transpose(Image.Transpose.TRANSPOSE).tobytes()
    runs = [match.end() - match.start() for match in _RUNS.finditer(columns)]
    return [0, *runs] if columns[0] else runs


def compressed(runs: Sequence[int]) -> str:
    """COCO's text form of run lengths.

    Every run from the fourth on is written as its difference to the run two before it, in groups of five bits, lowest
    first, with bit six for "more follows", as characters from "0" on (rleToString of cocoapi's maskApi.c).
    """
    text = []
    for i, run in enumerate(runs):
        rest = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = rest & 31
            rest >>= 5
            more = rest != (-1 if bits & 16 else 0)
            text.append(chr(48 + bits + (32 if more else 0)))
    return "".join(text)
