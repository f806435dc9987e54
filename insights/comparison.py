"""Two selections side by side: how far apart each metric is, and what stands out.

Distances are between shares, so a large selection can be compared with a small one. All lie between 0 (the same) and 1.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from insights import reading
from insights.metrics import METRICS, Metric
from insights.reading import Reading
from projects.models import Project

STANDING_OUT = 5  # bars per metric
# These say what the selections are, not how they differ.
PASSED_OVER = ("splits", "split_leakage", "imbalance", "image_activity", "label_activity")
COMPARED = tuple(name for name in METRICS if name not in PASSED_OVER)
# What is in no bar. Told apart from bars by their kind: a class may have one of these names.
NO_VALUE, OTHER = "(no value)", "(other)"

Key = tuple[str, str]  # what it is (bar, other, missing) and its label
Shares = dict[Key, float]


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
    """One metric of both. `distance` is what metrics are ranked by, the total variation. None where one is empty."""

    metric: str
    title: str
    distance: float | None
    jensen_shannon: float | None
    earth_mover: float | None  # of histograms
    stands_out: list[Difference] = field(default_factory=list)
    a: Reading | None = None
    b: Reading | None = None


def compare(project: Project, a: str, b: str, *, wait_ms: int | None = None) -> list[Compared]:
    """All metrics for the two queries, the farthest apart first. QueryError if one is none."""
    first = reading.read(project, COMPARED, a, wait_ms=wait_ms)
    second = reading.read(project, COMPARED, b, wait_ms=wait_ms)
    found = [_compared(one, other) for one, other in zip(first, second, strict=True)]
    return sorted(found, key=lambda each: -1.0 if each.distance is None else each.distance, reverse=True)


def total_variation(a: Mapping[Any, float], b: Mapping[Any, float]) -> float:
    """Half the sum of the absolute differences: the largest difference of any event's probability."""
    return sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in a.keys() | b.keys()) / 2


def jensen_shannon(a: Mapping[Any, float], b: Mapping[Any, float]) -> float:
    """Jensen-Shannon distance: the square root of the divergence in bits (Endres and Schindelin 2003)."""
    divergence = 0.0
    for key in a.keys() | b.keys():
        one, other = a.get(key, 0.0), b.get(key, 0.0)
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
    bars_a, bars_b = bars_of(one.figures), bars_of(other.figures)
    shares_a, shares_b = shares_of(bars_a), shares_of(bars_b)
    if not shares_a or not shares_b:
        return Compared(one.metric, metric.title, None, None, None, [], one, other)
    return Compared(
        metric=one.metric,
        title=metric.title,
        distance=total_variation(shares_a, shares_b),
        jensen_shannon=jensen_shannon(shares_a, shares_b),
        earth_mover=_mover(metric, one.figures, other.figures) if metric.kind == "histogram" else None,
        stands_out=_standing_out(shares_a, shares_b, bars_a, bars_b),
        a=one,
        b=other,
    )


def bars_of(figures: Any) -> dict[Key, tuple[int, str | None]]:
    """Counts and queries of what figures count, those without a value among them.

    Bars of one label are taken as one, which no query selects.
    """
    if figures is None:
        return {}
    match figures["kind"]:
        case "bars":
            listed = [(each["label"], each["count"], each["q"]) for each in figures["bars"]]
        case "histogram":
            listed = [(each["label"], each["count"], each["q"]) for each in figures["bins"]]
        case _:
            x, y = figures["x"]["labels"], figures["y"]["labels"]
            listed = [(f"{x[e['x']]} / {y[e['y']]}", e["count"], e["q"]) for e in figures["cells"]]
    found: dict[Key, tuple[int, str | None]] = {}
    for label, count, q in listed:
        key = ("bar", label)
        found[key] = (found[key][0] + count, None) if key in found else (count, q)
    if figures.get("other"):
        found["other", OTHER] = (figures["other"], None)
    if figures["missing"]["count"]:
        found["missing", NO_VALUE] = (figures["missing"]["count"], figures["missing"]["q"])
    return found


def shares_of(bars: Mapping[Key, tuple[int, str | None]]) -> Shares:
    """The counts over their sum; nothing, where that is 0."""
    total = sum(count for count, _ in bars.values())
    return {key: count / total for key, (count, _) in bars.items()} if total else {}


def _mover(metric: Metric, a: Any, b: Any) -> float | None:
    """Of the values that are there, over all bins that the metric has, whether anything is in them or not."""
    edges = metric.params["edges"]
    weights = []
    for figures in (a, b):
        total = sum(each["count"] for each in figures["bins"])
        if not total:
            return None
        shares = [0.0] * (len(edges) + 1)
        for each in figures["bins"]:
            shares[0 if each["low"] is None else bisect_right(edges, each["low"])] += each["count"] / total
        weights.append(shares)
    return earth_mover(*weights)


def _standing_out(
    a: Shares, b: Shares, bars_a: Mapping[Key, tuple[int, str | None]], bars_b: Mapping[Key, tuple[int, str | None]]
) -> list[Difference]:
    keys = sorted(a.keys() | b.keys(), key=lambda key: (-abs(a.get(key, 0) - b.get(key, 0)), key))
    return [
        Difference(key[1], a.get(key, 0.0), b.get(key, 0.0), _q(bars_a, key), _q(bars_b, key))
        for key in keys[:STANDING_OUT]
        if a.get(key, 0.0) != b.get(key, 0.0)
    ]


def _q(bars: Mapping[Key, tuple[int, str | None]], key: Key) -> str | None:
    return bars[key][1] if key in bars else None
