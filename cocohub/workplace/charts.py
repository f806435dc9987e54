"""Figures as charts for a page: HTML and SVG whose parts are links to the images that they count.

Colours are classes (`cc-s0` ...), which the style sheet gives a shade for light and for dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cocohub.workplace import metric_words as words
from cocohub.workplace.chart_style import PLAIN, Style, percent, shown
from insights.comparison import Compared, Key, bars_of, shares_of
from insights.plotting.shapes import heat

BARS = 12  # shown at first
MORE_BARS = 100  # shown when asked for
COLORS = 8
AXIS_LABELS = 6  # below columns
MOST_COLUMNS = 120
SIDE = 12  # labels beside a heat map
FEW_DAYS = 3
NONE = (0, None)


@dataclass(frozen=True)
class Part:
    """A piece of a bar: its width in percent of the chart, its colour, what it is."""

    width: float
    color: int
    tip: str
    link: str = ""  # the images of this piece alone


@dataclass(frozen=True)
class Row:
    """A bar that lies: a label, pieces one after the other, a number, the images that it counts."""

    label: str
    parts: list[Part]
    number: str
    link: str

    @property
    def in_pieces(self) -> bool:
        """Whether its pieces lead to images of their own."""
        return any(part.link for part in self.parts)


@dataclass(frozen=True)
class Column:
    """A bar that stands: its height in percent, the images that it counts, what it says when pointed at."""

    height: float
    link: str
    tip: str
    second: float | None = None  # the height of the other selection's
    second_link: str = ""


@dataclass(frozen=True)
class Square:
    """A cell of a heat map; `x` and `y` from 1, as CSS counts."""

    x: int
    y: int
    color: str
    link: str
    tip: str


@dataclass(frozen=True)
class Dot:
    """A day on a line: place in percent from the left and from the top."""

    x: float
    y: float
    link: str
    tip: str


@dataclass(frozen=True)
class Curve:
    """A line of a chart by day."""

    color: int
    points: str
    dots: list[Dot]


@dataclass
class Chart:
    """What a template draws; `kind` names the template's part."""

    kind: str
    unit: str = ""
    total: str = ""
    rows: list[Row] = field(default_factory=list)
    more: list[Row] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    squares: list[Square] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    numbers: list[tuple[str, str, str]] = field(default_factory=list)  # name, value, explanation
    legend: list[tuple[int, str]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # below, evenly spread
    sides: list[str] = field(default_factory=list)  # beside, one for each row of a heat map
    width: int = 0
    height: int = 0
    top: str = ""  # the number at the top of the axis
    x_title: str = ""
    y_title: str = ""
    rest: list[tuple[str, str, str]] = field(default_factory=list)  # label, number, link: what is in no bar

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.rows or self.columns or self.squares or self.curves or self.numbers)


def link(images: str, q: str | None) -> str:
    """The page of images with this query; empty where no query selects them."""
    return "" if q is None else f"{images}?q={quote(q, safe='')}"


def chart(metric: str, figures: Mapping[str, Any], images: str, style: Style = PLAIN) -> Chart:
    """The chart of a metric's figures; `images` is the address of the project's images."""
    draw = {"bars": _bars, "histogram": _histogram, "grid": _grid, "series": _series, "numbers": _numbers}
    return told_about(draw[figures["kind"]](metric, figures, images, style), figures, images)


def told_about(drawn: Chart, figures: Mapping[str, Any], images: str) -> Chart:
    """The chart, with what is said below it whatever its kind: unit, total, and what is in no bar."""
    drawn.unit, drawn.total = words.word(figures["unit"]), shown(figures["total"])
    if figures.get("other"):
        drawn.rest.append((words.word("(other)"), shown(figures["other"]), ""))
    if (missing := figures.get("missing")) and missing["count"]:
        drawn.rest.append((words.word("(no value)"), shown(missing["count"]), link(images, missing["q"])))
    return drawn


def _bars(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    bars = figures["bars"][: style.limit or MORE_BARS]
    greatest = max((each["count"] for each in bars), default=0) or 1
    names = sorted({name for each in figures["bars"] for name in each.get("parts", {})})
    colors = {name: place % COLORS for place, name in enumerate(names)}
    rows = []
    for each in bars:
        text = words.label(metric, each["label"])
        parts = _parts(each, colors, greatest, images, style) if len(names) > 1 else []
        parts = parts or [Part(style.size(each["count"], greatest), 0, "")]
        rows.append(Row(text, parts, style.text(each["count"]), link(images, each["q"])))
    legend = [(color, _part_name(name)) for name, color in colors.items()] if len(names) > 1 else []
    first = style.limit or BARS
    return Chart("rows", rows=rows[:first], more=rows[first:], legend=legend)


def _parts(bar: Mapping[str, Any], colors: Mapping[str, int], greatest: float, images: str, style: Style) -> list[Part]:
    given = [(name, count) for name, count in sorted(bar.get("parts", {}).items()) if count]
    queries = bar.get("part_queries", {})
    widths = style.sizes([count for _, count in given], greatest)
    return [
        Part(width, colors[name], f"{_part_name(name)}: {style.text(count)}", link(images, queries.get(name)))
        for (name, count), width in zip(given, widths, strict=True)
    ]


def _part_name(name: str) -> str:
    return words.word(name) if name else words.label("", "")


def _histogram(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    bins = figures["bins"][:MOST_COLUMNS]
    greatest = max((each["count"] for each in bins), default=0) or 1
    columns = [
        Column(
            style.size(each["count"], greatest),
            link(images, each["q"]),
            f"{each['label']}: {style.text(each['count'])}",
        )
        for each in bins
    ]
    return Chart(
        "columns", columns=columns, labels=spread([each["label"] for each in bins]), top=style.text(greatest),
        x_title=words.word(figures["axis"]),
    )  # fmt: skip


def _grid(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    across, down = figures["x"]["labels"], figures["y"]["labels"]
    greatest = max((each["count"] for each in figures["cells"]), default=0) or 1
    squares = [
        Square(
            each["x"] + 1, each["y"] + 1, heat(style.size(each["count"], greatest) / 100), link(images, each["q"]),
            f"{across[each['x']]} × {down[each['y']]}: {style.text(each['count'])}",
        )
        for each in figures["cells"]
    ]  # fmt: skip
    every = max(1, -(-len(down) // SIDE))
    return Chart(
        "squares", squares=squares, width=len(across), height=len(down), labels=spread(across),
        sides=[text if place % every == 0 else "" for place, text in enumerate(down)], top=style.text(greatest),
        x_title=words.word(figures["x"]["title"]), y_title=words.word(figures["y"]["title"]),
    )  # fmt: skip


def _series(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    days = sorted({each["day"] for line in figures["lines"] for each in line["points"]})
    if len(days) < FEW_DAYS:
        return _few_days(metric, figures, images, style)
    greatest = max((each["count"] for line in figures["lines"] for each in line["points"]), default=0) or 1
    places = {day: 100 * place / (len(days) - 1) for place, day in enumerate(days)}
    curves = []
    for color, line in enumerate(figures["lines"]):
        name = words.label(metric, line["name"])
        points = {each["day"]: each for each in line["points"]}
        heights = [(places[day], 100 - style.size(points.get(day, {}).get("count", 0), greatest)) for day in days]
        dots = [
            Dot(
                places[day], 100 - style.size(each["count"], greatest), link(images, each["q"]),
                f"{day}, {name}: {style.text(each['count'])}",
            )
            for day, each in sorted(points.items())
        ]  # fmt: skip
        curves.append(Curve(color % COLORS, " ".join(f"{x:.2f},{y:.2f}" for x, y in heights), dots))
    legend = [(place % COLORS, words.label(metric, line["name"])) for place, line in enumerate(figures["lines"])]
    return Chart("curves", curves=curves, legend=legend, labels=spread(days), top=style.text(greatest))


def _few_days(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    """A line needs some days; fewer are bars."""
    listed = [(each, line["name"]) for line in figures["lines"] for each in line["points"]]
    greatest = max((each["count"] for each, _ in listed), default=0) or 1
    rows = [
        Row(
            f"{words.label(metric, name)} {each['day']}", [Part(style.size(each["count"], greatest), 0, "")],
            style.text(each["count"]), link(images, each["q"]),
        )
        for each, name in listed
    ]  # fmt: skip
    return Chart("rows", rows=rows)


def _numbers(metric: str, figures: Mapping[str, Any], images: str, style: Style) -> Chart:
    numbers = []
    for each in figures["numbers"]:
        name, told = words.number(each["name"], each["help"])
        numbers.append((name, "-" if each["value"] is None else shown(each["value"]), told))
    return Chart("numbers", numbers=numbers)


def spread(labels: Sequence[str]) -> list[str]:
    """A few of the labels: the first, the last, and some between them at even distances."""
    if len(labels) <= AXIS_LABELS:
        return list(labels)
    step = (len(labels) - 1) / (AXIS_LABELS - 1)
    return [labels[round(step * place)] for place in range(AXIS_LABELS)]


# --- Two selections side by side --------------------------------------------------------------------------------------


def pair(compared: Compared, images: str) -> Chart:
    """Both selections of one metric in shares of their totals."""
    a, b = (reading.figures if reading is not None else None for reading in (compared.a, compared.b))
    if a is None or b is None:
        return Chart("pairs")
    if a["kind"] == "histogram":
        return _two_histograms(a, b, images)
    rows: list[tuple[Key, float, float, str | None, str | None]]
    if a["kind"] == "bars":
        one, other = bars_of(a), bars_of(b)
        first_shares, second_shares = shares_of(one), shares_of(other)
        rows = [
            (key, first_shares.get(key, 0), second_shares.get(key, 0), one.get(key, NONE)[1], other.get(key, NONE)[1])
            for key in one.keys() | other.keys()
        ]
        rows = sorted(rows, key=lambda row: (-max(row[1], row[2]), row[0]))[:BARS]
    else:
        rows = [(("bar", each.label), each.a, each.b, each.q_a, each.q_b) for each in compared.stands_out]
    greatest = max((max(first, second) for _, first, second, _, _ in rows), default=0) or 1
    drawn = Chart("pairs")
    for (kind, label), first, second, q_a, q_b in rows:
        text = words.label(compared.metric, label) if kind == "bar" else words.word(label)
        drawn.rows.append(Row(text, [Part(100 * first / greatest, 0, "A")], percent(first), link(images, q_a)))
        drawn.rows.append(Row(text, [Part(100 * second / greatest, 1, "B")], percent(second), link(images, q_b)))
    return drawn


def _two_histograms(a: Mapping[str, Any], b: Mapping[str, Any], images: str) -> Chart:
    bins: dict[float, list[Any]] = {}
    for place, figures in enumerate((a, b)):
        for each in figures["bins"]:
            low = float("-inf") if each["low"] is None else each["low"]
            bins.setdefault(low, [None, None])[place] = each
    totals = [sum(each["count"] for each in figures["bins"]) or 1 for figures in (a, b)]
    shares = {
        low: [each["count"] / total if each else 0.0 for each, total in zip(both, totals, strict=True)]
        for low, both in bins.items()
    }
    greatest = max((max(each) for each in shares.values()), default=0) or 1
    columns, labels = [], []
    for low in sorted(bins)[:MOST_COLUMNS]:
        one, other = bins[low]
        first, second = shares[low]
        label = (one or other)["label"]
        labels.append(label)
        columns.append(
            Column(
                100 * first / greatest,
                link(images, one["q"]) if one else "",
                f"{label}: A {percent(first)}, B {percent(second)}",
                100 * second / greatest,
                link(images, other["q"]) if other else "",
            )
        )
    return Chart(
        "columns", columns=columns, labels=spread(labels), top=percent(greatest), x_title=words.word(a["axis"])
    )
