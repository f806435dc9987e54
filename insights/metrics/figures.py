"""Shapes of results: five of them for all metrics, so that a client can draw a metric it has never heard of.

A `q` is the whole query that selects what is counted: the query the metric was asked for, and the bar's own condition.
It selects the images that are counted, or those with at least one of the counted annotations. It is null where the
query language has no words for the bar, or where the query would be longer than the language takes.
"""

from typing import Literal, NotRequired, TypedDict

Unit = Literal["images", "annotations"]


class Rest(TypedDict):
    """Those that are in no bar, because they have no such value."""

    count: int
    q: str | None


class Bar(TypedDict):
    """One value. `images` is the number of images with it where annotations are counted; `parts` adds up to `count`.

    `part_queries` select what the parts count.
    """

    label: str
    count: int
    q: str | None
    images: NotRequired[int]
    parts: NotRequired[dict[str, int]]
    part_queries: NotRequired[dict[str, str | None]]


class Bars(TypedDict):
    """Values without an order, the most frequent first. `other` is what the bars beyond the limit count together.

    `total` counts each image or annotation once; one with several values (tags) is in several bars. Keypoints are
    counted by themselves: their `total` is their number.
    """

    kind: Literal["bars"]
    unit: Unit
    total: int
    bars: list[Bar]
    other: int
    missing: Rest


class Bin(TypedDict):
    """Values from `low` (included) to `high` (not included); null is no limit."""

    label: str
    low: float | None
    high: float | None
    count: int
    q: str | None


class Histogram(TypedDict):
    """Values in order, without gaps from the first bin that is not empty to the last.

    The counts and `missing` add up to `total`.
    """

    kind: Literal["histogram"]
    unit: Unit
    axis: str
    total: int
    bins: list[Bin]
    missing: Rest


class Axis(TypedDict):
    """One side of a grid; `labels` are in order."""

    title: str
    labels: list[str]


class Cell(TypedDict):
    """Column `x` and row `y`, from 0. Cells that are not listed are empty."""

    x: int
    y: int
    count: int
    q: str | None


class Grid(TypedDict):
    """Two values at once."""

    kind: Literal["grid"]
    unit: Unit
    total: int
    x: Axis
    y: Axis
    cells: list[Cell]
    missing: Rest


class Point(TypedDict):
    """One day, `2026-01-31`."""

    day: str
    count: int
    q: str | None


class Line(TypedDict):
    """One line of a chart; days that are not listed are 0."""

    name: str
    points: list[Point]


class Series(TypedDict):
    """Counts by day, the oldest first."""

    kind: Literal["series"]
    unit: Unit
    total: int
    lines: list[Line]


class Number(TypedDict):
    """One figure; null where it is not defined."""

    name: str
    value: float | None
    help: str


class Numbers(TypedDict):
    """Figures that describe a distribution."""

    kind: Literal["numbers"]
    unit: Unit
    total: int
    numbers: list[Number]


Figures = Bars | Histogram | Grid | Series | Numbers
KINDS: dict[str, type] = {"bars": Bars, "histogram": Histogram, "grid": Grid, "series": Series, "numbers": Numbers}
