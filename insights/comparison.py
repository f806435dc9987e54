"""Two selections side by side: how far apart each metric is, and what stands out.

Distances are between shares, so a large selection can be compared with a small one. All lie between 0 (the same) and 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from insights import reading
from insights.metrics import METRICS
from insights.reading import Reading
from projects.models import Project

STANDING_OUT = 5  # bars per metric
# These say what the selections are, not how they differ.
PASSED_OVER = ("splits", "split_leakage", "imbalance", "image_activity", "label_activity")
COMPARED = tuple(name for name in METRICS if name not in PASSED_OVER)
EMPTY_LABEL = "(no value)"

Shares = dict[str, float]
Measure = Literal["earth_mover", "total_variation"]


@dataclass(frozen=True)
class Difference:
    """A bar whose share differs: `a` and `b` are its shares, from 0 to 1, `q_a` and `q_b` select it."""

    label: str
    a: float
    b: float
    q_a: str | None = None
    q_b: str | None = None


@dataclass(frozen=True)
class Compared:
    """One metric of both. `distance` is what metrics are ranked by: `measure` names it. None where one is empty."""

    metric: str
    title: str
    measure: Measure
    distance: float | None
    total_variation: float | None
    jensen_shannon: float | None
    earth_mover: float | None
    stands_out: list[Difference] = field(default_factory=list)
    a: Reading | None = None
    b: Reading | None = None


def compare(project: Project, a: str, b: str, *, wait_ms: int | None = None) -> list[Compared]:
    """All metrics for the two queries, the farthest apart first. QueryError if one is none."""
    first = reading.read(project, COMPARED, a, wait_ms=wait_ms)
    second = reading.read(project, COMPARED, b, wait_ms=wait_ms)
    found = [_compared(one, other) for one, other in zip(first, second, strict=True)]
    return sorted(found, key=lambda each: -1.0 if each.distance is None else each.distance, reverse=True)


def total_variation(a: Shares, b: Shares) -> float:
    """Half the sum of the absolute differences: the largest difference of any event's probability."""
    return sum(abs(a.get(label, 0.0) - b.get(label, 0.0)) for label in a.keys() | b.keys()) / 2


def jensen_shannon(a: Shares, b: Shares) -> float:
    """Jensen-Shannon distance: the square root of the divergence in bits (Endres and Schindelin 2003)."""
    divergence = 0.0
    for label in a.keys() | b.keys():
        one, other = a.get(label, 0.0), b.get(label, 0.0)
        middle = (one + other) / 2
        divergence += sum(share * math.log2(share / middle) / 2 for share in (one, other) if share)
    return math.sqrt(min(1.0, max(0.0, divergence)))


def earth_mover(a: Sequence[float], b: Sequence[float]) -> float:
    """First Wasserstein distance of two histograms over the same bins, counted in bins, over the greatest possible."""
    if len(a) < 2:
        return 0.0
    moved = carried = 0.0
    for one, other in zip(a, b, strict=True):
        carried += one - other
        moved += abs(carried)
    return moved / (len(a) - 1)


def _compared(one: Reading, other: Reading) -> Compared:
    metric = METRICS[one.metric]
    measure: Measure = "earth_mover" if metric.kind == "histogram" else "total_variation"
    bars_a, bars_b = _bars(one.figures), _bars(other.figures)
    shares_a, shares_b = _shares(bars_a), _shares(bars_b)
    if not shares_a or not shares_b:
        return Compared(one.metric, metric.title, measure, None, None, None, None, [], one, other)
    variation = total_variation(shares_a, shares_b)
    mover = _mover(one.figures, other.figures) if metric.kind == "histogram" else None
    return Compared(
        metric=one.metric,
        title=metric.title,
        measure=measure,
        distance=variation if mover is None else mover,
        total_variation=variation,
        jensen_shannon=jensen_shannon(shares_a, shares_b),
        earth_mover=mover,
        stands_out=_standing_out(shares_a, shares_b, bars_a, bars_b),
        a=one,
        b=other,
    )


def _bars(figures: Any) -> dict[str, tuple[int, str | None]]:
    """Counts and queries by label, those without a value among them."""
    if figures is None:
        return {}
    match figures["kind"]:
        case "bars":
            found = {each["label"]: (each["count"], each["q"]) for each in figures["bars"]}
            if figures["other"]:
                found["(other)"] = (figures["other"], None)
        case "histogram":
            found = {each["label"]: (each["count"], each["q"]) for each in figures["bins"]}
        case _:
            x, y = figures["x"]["labels"], figures["y"]["labels"]
            found = {f"{x[e['x']]} / {y[e['y']]}": (e["count"], e["q"]) for e in figures["cells"]}
    missing = figures["missing"]
    return {**found, EMPTY_LABEL: (missing["count"], missing["q"])} if missing["count"] else found


def _shares(bars: Mapping[str, tuple[int, str | None]]) -> Shares:
    total = sum(count for count, _ in bars.values())
    return {label: count / total for label, (count, _) in bars.items()} if total else {}


def _mover(a: Any, b: Any) -> float | None:
    """Of the values that are there; the bins of both are those of one scale, in order of their lower ends."""
    bins = {_low(each): None for figures in (a, b) for each in figures["bins"]}
    order = sorted(bins)
    weights = []
    for figures in (a, b):
        counts = {_low(each): each["count"] for each in figures["bins"]}
        total = sum(counts.values())
        if not total:
            return None
        weights.append([counts.get(low, 0) / total for low in order])
    return earth_mover(*weights)


def _low(each: Any) -> float:
    return -math.inf if each["low"] is None else float(each["low"])


def _standing_out(
    a: Shares, b: Shares, bars_a: Mapping[str, tuple[int, str | None]], bars_b: Mapping[str, tuple[int, str | None]]
) -> list[Difference]:
    labels = sorted(a.keys() | b.keys(), key=lambda label: (-abs(a.get(label, 0) - b.get(label, 0)), label))
    return [
        Difference(label, a.get(label, 0.0), b.get(label, 0.0), _q(bars_a, label), _q(bars_b, label))
        for label in labels[:STANDING_OUT]
        if a.get(label, 0.0) != b.get(label, 0.0)
    ]


def _q(bars: Mapping[str, tuple[int, str | None]], label: str) -> str | None:
    return bars[label][1] if label in bars else None
