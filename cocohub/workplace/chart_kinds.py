"""A metric's figures as another kind of chart than its own: bars, columns, a line, or a table of the same numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from cocohub.workplace import charts
from cocohub.workplace import metric_words as words
from cocohub.workplace.chart_style import Style
from cocohub.workplace.charts import Chart, Column, Curve, Dot, Part, Row
from insights.metrics import METRICS
from insights.visualization import CHARTS

NAMES = {
    "bar": (_("Bars"), "align_horizontal_left"),
    "column": (_("Columns"), "bar_chart"),
    "line": (_("Line"), "show_chart"),
    "heatmap": (_("Heat map"), "grid_on"),
    "table": (_("Table"), "table_rows"),
}
MOST_ROWS = 200  # of a table
MOST_COLUMNS = 40  # of bars, which have names


@dataclass(frozen=True)
class Item:
    """One number: what it is of, and the query of the images that it counts, if there is one."""

    label: str
    count: float
    q: str | None


def kinds_of(metric: str) -> tuple[str, ...]:
    """The kinds of chart that fit a metric, its own first; none where there is nothing to choose."""
    fitting = CHARTS[METRICS[metric].kind]
    return fitting if len(fitting) > 1 else ()


def chart(
    metric: str, figures: Mapping[str, Any], images: str, kind: str = "", options: Mapping[str, Any] | None = None
) -> Chart:
    """The figures as a chart of this kind, with a view's options; as the metric's own where the kind does not fit."""
    fitting = CHARTS[METRICS[metric].kind]
    style = Style.of(options or {}, figures)
    if kind not in fitting or kind == fitting[0]:
        return charts.chart(metric, figures, images, style)
    draw = {"bar": _bars, "column": _columns, "line": _line, "table": _table}[kind]
    return charts.told_about(draw(_items(metric, figures)[: style.limit], images, style), figures, images)


def _items(metric: str, figures: Mapping[str, Any]) -> list[Item]:
    match figures["kind"]:
        case "bars":
            return [Item(words.label(metric, each["label"]), each["count"], each["q"]) for each in figures["bars"]]
        case "histogram":
            return [Item(each["label"], each["count"], each["q"]) for each in figures["bins"]]
        case "grid":
            across, down = figures["x"]["labels"], figures["y"]["labels"]
            cells = sorted(figures["cells"], key=lambda each: -each["count"])
            return [Item(f"{across[one['x']]} × {down[one['y']]}", one["count"], one["q"]) for one in cells]
        case "series":
            several = len(figures["lines"]) > 1
            return [
                Item(
                    f"{each['day']} · {words.label(metric, line['name'])}" if several else each["day"],
                    each["count"],
                    each["q"],
                )
                for line in figures["lines"]
                for each in line["points"]
            ]
    return []


def _greatest(items: list[Item]) -> float:
    return max((each.count for each in items), default=0) or 1


def _row(item: Item, greatest: float, images: str, style: Style) -> Row:
    piece = Part(style.size(item.count, greatest), 0, "")
    return Row(item.label, [piece], style.text(item.count), charts.link(images, item.q))


def _bars(items: list[Item], images: str, style: Style) -> Chart:
    greatest = _greatest(items)
    rows = [_row(each, greatest, images, style) for each in items[: style.limit or charts.MORE_BARS]]
    return Chart("rows", rows=rows[: style.limit or charts.BARS], more=rows[style.limit or charts.BARS :])


def _columns(items: list[Item], images: str, style: Style) -> Chart:
    items = items[:MOST_COLUMNS]
    greatest = _greatest(items)
    columns = [
        Column(style.size(each.count, greatest), charts.link(images, each.q), f"{each.label}: {style.text(each.count)}")
        for each in items
    ]
    labels = charts.spread([each.label for each in items])
    return Chart("columns", columns=columns, labels=labels, top=style.text(greatest))


def _line(items: list[Item], images: str, style: Style) -> Chart:
    items = items[: charts.MOST_COLUMNS]
    greatest = _greatest(items)
    last = max(len(items) - 1, 1)
    dots = [
        Dot(
            100 * place / last, 100 - style.size(each.count, greatest), charts.link(images, each.q),
            f"{each.label}: {style.text(each.count)}",
        )
        for place, each in enumerate(items)
    ]  # fmt: skip
    points = " ".join(f"{dot.x:.2f},{dot.y:.2f}" for dot in dots)
    labels = charts.spread([each.label for each in items])
    return Chart("curves", curves=[Curve(0, points, dots)] if dots else [], labels=labels, top=style.text(greatest))


def _table(items: list[Item], images: str, style: Style) -> Chart:
    greatest = _greatest(items)
    return Chart("table", rows=[_row(each, greatest, images, style) for each in items[:MOST_ROWS]])
