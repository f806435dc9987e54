"""Bars of values without an order."""

from collections.abc import Callable, Iterable

from insights.metrics.definition import BARS
from insights.metrics.figures import Bar, Bars, Rest, Unit


def ranked(bars: Iterable[Bar], unit: Unit, total: int, missing: Rest | None = None, limit: int = BARS) -> Bars:
    """The most frequent bars; ties by label, so that the same counts always give the same figures."""
    ordered = sorted(bars, key=lambda bar: (-bar["count"], bar["label"]))
    return {
        "kind": "bars",
        "unit": unit,
        "total": total,
        "bars": ordered[:limit],
        "other": sum(bar["count"] for bar in ordered[limit:]),
        "missing": missing or {"count": 0, "q": None},
    }


def bar(label: str, count: int, q: Callable[[], str | None] | str | None, **more: object) -> Bar:
    """One bar."""
    made: Bar = {"label": label, "count": count, "q": q() if callable(q) else q}
    made.update(more)  # type: ignore[typeddict-item]
    return made
