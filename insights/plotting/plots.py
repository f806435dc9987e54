"""From figures to a chart that is ready to be drawn: labels and series, or cells, or rows of a table."""

from dataclasses import dataclass, field
from typing import Any

from insights.metrics import Metric

DEFAULT_LIMIT = 30  # bars of a chart


@dataclass(frozen=True)
class Line:
    """One series: a value for each label; `queries` select what is counted."""

    name: str
    values: list[float]
    queries: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class Square:
    """One cell of a heat map, from 0 at the left and the top."""

    x: int
    y: int
    value: float
    q: str | None = None


@dataclass(frozen=True)
class Plot:
    """A chart. `labels` name what `series` have values for; `cells` lie in columns `labels` and rows `rows`.

    Every chart has a `table`, which is also what a chart of the kind "table" shows.
    """

    chart: str
    title: str
    x_title: str
    y_title: str
    labels: list[str]
    series: list[Line] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    cells: list[Square] = field(default_factory=list)
    log: bool = False
    percent: bool = False
    note: str = ""


def plot(metric: Metric, figures: Any, chart: str, options: dict[str, Any] | None = None) -> Plot:
    """The chart of a metric's figures."""
    options = options or {}
    share = 100 / figures["total"] if options.get("percent") and figures["total"] else 1.0
    unit = "%" if options.get("percent") else figures["unit"]
    common: dict[str, Any] = {
        "chart": chart,
        "title": options.get("title") or metric.title,
        "log": bool(options.get("log")),
        "percent": bool(options.get("percent")),
        "note": _note(figures),
    }
    match figures["kind"]:
        case "grid":
            return Plot(
                **common,
                x_title=figures["x"]["title"],
                y_title=figures["y"]["title"],
                labels=figures["x"]["labels"],
                rows=figures["y"]["labels"],
                cells=[Square(each["x"], each["y"], each["count"] * share, each["q"]) for each in figures["cells"]],
            )
        case "series":
            return _series(figures, common, unit, share)
        case "numbers":
            known = [(each["name"], each["value"]) for each in figures["numbers"] if each["value"] is not None]
            values = [float(value) for _, value in known]
            labels = [name for name, _ in known]
            return Plot(**common, x_title="", y_title="", labels=labels, series=[Line("value", values)])
    bars = figures["bars"][: options.get("limit", DEFAULT_LIMIT)] if figures["kind"] == "bars" else figures["bins"]
    axis = figures.get("axis", "")
    labels = [each["label"] or "(empty)" for each in bars]
    return Plot(**common, x_title=axis, y_title=unit, labels=labels, series=_lines(bars, figures["unit"], share))


def _lines(bars: list[Any], unit: str, share: float) -> list[Line]:
    parts = list(dict.fromkeys(name for each in bars for name in each.get("parts", {})))
    if len(parts) > 1:
        return [
            Line(name or "(no split)", [each.get("parts", {}).get(name, 0) * share for each in bars]) for name in parts
        ]
    return [Line(unit, [each["count"] * share for each in bars], [each["q"] for each in bars])]


def _series(figures: Any, common: dict[str, Any], unit: str, share: float) -> Plot:
    days = sorted({each["day"] for line in figures["lines"] for each in line["points"]})
    series = []
    for line in figures["lines"]:
        points = {each["day"]: each for each in line["points"]}
        values = [points[day]["count"] * share if day in points else 0.0 for day in days]
        series.append(Line(line["name"], values, [points[day]["q"] if day in points else None for day in days]))
    return Plot(**common, x_title="day", y_title=unit, labels=days, series=series)


def _note(figures: Any) -> str:
    said = [f"total {figures['total']:,} {figures['unit']}"]
    if figures.get("other"):
        said.append(f"{figures['other']:,} in smaller bars")
    if figures.get("missing", {}).get("count"):
        said.append(f"{figures['missing']['count']:,} without a value")
    return ", ".join(said)
