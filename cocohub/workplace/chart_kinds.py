"""A metric's figures as another kind of chart than its own: bars, columns, a line, or a table of the same numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from cocohub.workplace import charts
from cocohub.workplace import metric_words as words
from cocohub.workplace.charts import Chart, Column, Curve, Dot, Part, Row, shown
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


def chart(metric: str, figures: Mapping[str, Any], images: str, kind: str = "") -> Chart:
    """The figures as a chart of this kind; as the metric's own where the kind does not fit."""
    fitting = CHARTS[METRICS[metric].kind]
    if kind not in fitting or kind == fitting[0]:
        return charts.chart(metric, figures, images)
    draw = {"bar": _bars, "column": _columns, "line": _line, "table": _table}[kind]
    return charts.told_about(draw(_items(metric, figures), images), figures, images)


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


def _row(item: Item, greatest: float, images: str) -> Row:
    return Row(item.label, [Part(100 * item.count / greatest, 0, "")], shown(item.count), charts.link(images, item.q))


def _bars(items: list[Item], images: str) -> Chart:
    greatest = _greatest(items)
    rows = [_row(each, greatest, images) for each in items[: charts.MORE_BARS]]
    return Chart("rows", rows=rows[: charts.BARS], more=rows[charts.BARS :])


def _columns(items: list[Item], images: str) -> Chart:
    items = items[:MOST_COLUMNS]
    greatest = _greatest(items)
    columns = [
        Column(100 * each.count / greatest, charts.link(images, each.q), f"{each.label}: {shown(each.count)}")
        for each in items
    ]
    labels = charts.spread([each.label for each in items])
    return Chart("columns", columns=columns, labels=labels, top=shown(greatest))


def _line(items: list[Item], images: str) -> Chart:
    items = items[: charts.MOST_COLUMNS]
    greatest = _greatest(items)
    last = max(len(items) - 1, 1)
    dots = [
        Dot(
            100 * place / last, 100 - 100 * each.count / greatest, charts.link(images, each.q),
            f"{each.label}: {shown(each.count)}",
        )
        for place, each in enumerate(items)
    ]  # fmt: skip
    points = " ".join(f"{dot.x:.2f},{dot.y:.2f}" for dot in dots)
    labels = charts.spread([each.label for each in items])
    return Chart("curves", curves=[Curve(0, points, dots)] if dots else [], labels=labels, top=shown(greatest))


def _table(items: list[Item], images: str) -> Chart:
    greatest = _greatest(items)
    return Chart("table", rows=[_row(each, greatest, images) for each in items[:MOST_ROWS]])
