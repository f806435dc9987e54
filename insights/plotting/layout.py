"""Where everything of a chart goes."""

import math
from collections.abc import Iterator

from insights.plotting.plots import Line, Plot
from insights.plotting.shapes import FAINT, PALETTE, Box, Path, Picture, Shape, Text, heat

WIDTH = 960
TOP, BOTTOM, LEFT, RIGHT = 64, 72, 72, 24
PLOT_HEIGHT = 360
ROW = 22  # pixels per bar or row of a table
LABEL_WIDTH = 260
MAX_LABEL = 38  # characters
MAX_ROWS = 200
TICKS = 5
LEGEND = 16


def draw(plot: Plot) -> Picture:
    """The picture of a chart."""
    drawings = {"bar": _bars, "column": _columns, "line": _lines, "heatmap": _heat_map, "table": _table}
    height, shapes = drawings[plot.chart](plot)
    head: list[Shape] = [Text(LEFT, 28, _short(plot.title, 100), 18, bold=True), Text(LEFT, 48, plot.note, 12)]
    return Picture(WIDTH, height, plot.title, [*head, *shapes, *_legend(plot)])


def _bars(plot: Plot) -> tuple[int, list[Shape]]:
    start, end = LEFT + LABEL_WIDTH, WIDTH - RIGHT - 70
    shapes: list[Shape] = []
    totals = _stacked(plot)
    for number, label in enumerate(plot.labels):
        y = TOP + LEGEND + number * ROW
        shapes.append(Text(start - 8, y + 14, _short(label), 12, "end"))
        x, below = float(start), 0.0
        for place, line in enumerate(plot.series):
            below += line.values[number]
            to = start + (end - start) * _share(below, max(totals, default=0), log=plot.log)
            tip = _tip(plot, label, line, number)
            shapes.append(Box(x, y + 2, max(0.0, to - x), ROW - 6, PALETTE[place % len(PALETTE)], tip))
            x = max(x, to)
        shapes.append(Text(x + 6, y + 14, _number(totals[number]) + _unit(plot), 11))
    return TOP + LEGEND + max(1, len(plot.labels)) * ROW + 24, shapes


def _columns(plot: Plot) -> tuple[int, list[Shape]]:
    totals = _stacked(plot)
    shapes = _frame(plot, max(totals, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(plot.labels))
    gap = min(4.0, step / 5)
    for number, label in enumerate(plot.labels):
        base, below = TOP + LEGEND + PLOT_HEIGHT, 0.0
        y = float(base)
        for place, line in enumerate(plot.series):
            below += line.values[number]
            to = base - PLOT_HEIGHT * _share(below, max(totals), log=plot.log)
            tip = _tip(plot, label, line, number)
            color = PALETTE[place % len(PALETTE)]
            shapes.append(Box(LEFT + number * step + gap / 2, to, step - gap, max(0.0, y - to), color, tip))
            y = min(y, to)
    return TOP + LEGEND + PLOT_HEIGHT + BOTTOM, shapes


def _tip(plot: Plot, label: str, line: Line, number: int) -> str:
    """`car: 12 annotations`, of a part of a bar `car, train: 12 annotations`; `car: 12 %`."""
    what = label if len(plot.series) == 1 else f"{label}, {line.name}"
    return f"{what}: {_number(line.values[number])}{_unit(plot) or f' {plot.y_title}'.rstrip()}"


def _lines(plot: Plot) -> tuple[int, list[Shape]]:
    greatest = max((value for line in plot.series for value in line.values), default=0)
    shapes = _frame(plot, greatest)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(plot.labels))
    base = TOP + LEGEND + PLOT_HEIGHT
    for place, line in enumerate(plot.series):
        points = tuple(
            (LEFT + (number + 0.5) * step, base - PLOT_HEIGHT * _share(value, greatest, log=plot.log))
            for number, value in enumerate(line.values)
        )
        color = PALETTE[place % len(PALETTE)]
        if len(points) > 1:
            shapes.append(Path(points, color, 2))
        shapes += [Box(x - 2, y - 2, 4, 4, color) for x, y in points] if len(points) < 100 else []
    return base + BOTTOM, shapes


def _heat_map(plot: Plot) -> tuple[int, list[Shape]]:
    left = LEFT + 80
    columns, rows = max(1, len(plot.labels)), max(1, len(plot.rows))
    side = min((WIDTH - left - RIGHT) / columns, max(12.0, 480 / rows), 48.0)
    greatest = max((each.value for each in plot.cells), default=0)
    shapes: list[Shape] = []
    for each in plot.cells:
        tip = f"{plot.labels[each.x]}, {plot.rows[each.y]}: {_number(each.value)}{_unit(plot)}"
        color = heat(_share(each.value, greatest, log=plot.log))
        shapes.append(Box(left + each.x * side, TOP + each.y * side, side, side, color, tip))
    base = TOP + rows * side
    every = max(1, math.ceil(14 / side))
    for number, label in enumerate(plot.rows):
        if number % every == 0:
            shapes.append(Text(left - 6, TOP + (number + 0.5) * side + 4, _short(label, 20), 10, "end"))
    for number in _spread(plot.labels, side, 10):
        shapes.append(Text(left + (number + 0.5) * side, base + 14, _short(plot.labels[number], 20), 10, "middle"))
    shapes.append(Text(left, base + 32, f"→ {plot.x_title}   ↓ {plot.y_title}", 11))
    return round(base) + 48, shapes


def _table(plot: Plot) -> tuple[int, list[Shape]]:
    rows = list(_rows(plot))[:MAX_ROWS]
    shapes: list[Shape] = []
    for number, (label, value) in enumerate(rows):
        y = TOP + number * ROW
        shapes += [Text(LEFT, y + 14, _short(label, 80), 12), Text(WIDTH - RIGHT - 40, y + 14, value, 12, "end")]
        shapes.append(Path(((LEFT, y + ROW - 3), (WIDTH - RIGHT - 40, y + ROW - 3)), FAINT, 0.5))
    return TOP + max(1, len(rows)) * ROW + 24, shapes


def _rows(plot: Plot) -> Iterator[tuple[str, str]]:
    for each in plot.cells:
        yield f"{plot.labels[each.x]} / {plot.rows[each.y]}", _number(each.value) + _unit(plot)
    for number, label in enumerate(plot.labels if plot.series else []):
        for line in plot.series:
            name = label if len(plot.series) == 1 else f"{label} / {line.name}"
            yield name, _number(line.values[number]) + _unit(plot)


def _frame(plot: Plot, greatest: float) -> list[Shape]:
    """Lines across with their numbers, labels below, titles of the axes."""
    base = TOP + LEGEND + PLOT_HEIGHT
    shapes: list[Shape] = []
    for tick in _ticks(greatest, log=plot.log):
        y = base - PLOT_HEIGHT * _share(tick, greatest, log=plot.log)
        shapes.append(Path(((LEFT, y), (WIDTH - RIGHT, y)), FAINT, 0.5))
        shapes.append(Text(LEFT - 6, y + 4, _number(tick) + _unit(plot), 11, "end"))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(plot.labels))
    for number in _spread(plot.labels, step, 11):
        shapes.append(Text(LEFT + (number + 0.5) * step, base + 18, _short(plot.labels[number], 20), 11, "middle"))
    shapes.append(Text((LEFT + WIDTH - RIGHT) / 2, base + 42, plot.x_title, 12, "middle"))
    return shapes


def _legend(plot: Plot) -> list[Shape]:
    shapes: list[Shape] = []
    if len(plot.series) < 2 or plot.chart == "table":
        return shapes
    x = float(LEFT)
    for place, line in enumerate(plot.series[: len(PALETTE)]):
        shapes.append(Box(x, 56, 10, 10, PALETTE[place]))
        shapes.append(Text(x + 14, 65, _short(line.name, 20), 11))
        x += 28 + 7 * min(20, len(line.name))
    return shapes


def _spread(labels: list[str], step: float, size: int) -> range:
    """The numbers of the labels for which there is room."""
    widest = max((min(20, len(label)) for label in labels), default=1) * size * 0.6 + 6
    return range(0, len(labels), max(1, math.ceil(widest / step)))


def _stacked(plot: Plot) -> list[float]:
    return [sum(line.values[number] for line in plot.series) for number in range(len(plot.labels))]


def _share(value: float, greatest: float, *, log: bool) -> float:
    if greatest <= 0 or value <= 0:
        return 0.0
    return math.log1p(value) / math.log1p(greatest) if log else value / greatest


def _ticks(greatest: float, *, log: bool) -> list[float]:
    if greatest <= 0:
        return [0]
    if log:
        return [0, *(10.0**power for power in range(math.floor(math.log10(max(1, greatest))) + 1))]
    rough = greatest / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * number for number in range(math.floor(greatest / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def _unit(plot: Plot) -> str:
    return " %" if plot.percent else ""


def _short(text: str, most: int = MAX_LABEL) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
