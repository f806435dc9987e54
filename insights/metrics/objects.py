"""Metrics of annotations that need only plain columns: one pass."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

from annotations.query.tree import Is, Node, Not, Present, Term
from insights.metrics import passes
from insights.metrics.bars import bar, ranked
from insights.metrics.binning import Scale, histogram, listed, powers
from insights.metrics.definition import Family, Metric, Rows
from insights.metrics.figures import Bars, Figures
from insights.metrics.selection import Selection

# COCO's areaRng (pycocotools.cocoeval.Params), in square pixels; an area on an edge is here in one class, not in two.
SMALL, LARGE = 32**2, 96**2
SIZES = Scale((SMALL, LARGE), "area", of_objects=True)
SIZE_NAMES = ("small", "medium", "large")
SQUARE_SIDES = Scale(powers(4, 0, 13), "area", shown=lambda edge: edge.sqrt(), suffix=" px", of_objects=True)
# Of both at once, so that areas are put into bins once.
_AREAS = Scale(tuple(sorted({*SIZES.edges, *SQUARE_SIDES.edges})), "area")
SCORES = Scale(tuple(str(Decimal(step) / 20) for step in range(21)), "score", of_objects=True)


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    return passes.measure(selection, metrics, selection.annotations)


OBJECTS = Family("objects", _measure)


def _rebinned(scale: Scale, rows: Rows) -> Rows:
    """Rows of (bin of _AREAS, number) as rows of (bin of the scale, number)."""
    counts: Counter[int | None] = Counter()
    for number, count in rows:
        low = None if number is None else _AREAS.range_of(number)[0]
        place = number if low is None else bisect_right(scale.edges, low)
        counts[place] += count
    return list(counts.items())


def _sizes(selection: Selection, rows: Rows) -> Bars:
    counts: dict[int | None, int] = dict(_rebinned(SIZES, rows))
    missing = SIZES.missing(selection, counts.pop(None, 0))
    total = sum(counts.values()) + missing["count"]
    bars = [bar(name, counts.get(n, 0), SIZES.q(selection, n)) for n, name in enumerate(SIZE_NAMES)]
    # In the order of size, not of frequency.
    return {"kind": "bars", "unit": "annotations", "total": total, "bars": bars, "other": 0, "missing": missing}


def _origin(selection: Selection, rows: Rows) -> Bars:
    counts = {machine: count for machine, count in rows}
    bars = [
        bar(name, counts.get(machine, 0), selection.with_object(Term("machine", Is(machine))))
        for name, machine in (("human", False), ("machine", True))
    ]
    return ranked(bars, "annotations", sum(counts.values()))


def _sources(selection: Selection, rows: Rows) -> Bars:
    bars = []
    for source, machine, count in rows:
        from_it: Node = Term("source", Is(source)) if source else Not(Term("source", Present()))
        label = f"{source or 'not said'} ({'machine' if machine else 'human'})"
        bars.append(bar(label, count, selection.with_object(from_it, Term("machine", Is(machine)))))
    return ranked(bars, "annotations", sum(row[-1] for row in rows))


def _hist(scale: Scale, axis: str) -> Callable[[Selection, Rows], Figures]:
    return histogram(scale, "annotations", axis)


def _areas(selection: Selection, rows: Rows) -> Figures:
    build = _hist(SQUARE_SIDES, "square root of the area (pixels)")
    return build(selection, _rebinned(SQUARE_SIDES, rows))


METRICS = (
    Metric(
        "object_sizes", "Object sizes, as COCO counts them",
        "By the annotation's `area` in square pixels: small below 32 x 32, large from 96 x 96, medium between.",
        "bars", "annotations", OBJECTS, params={"edges": [SMALL, LARGE]}, keys=(_AREAS.whole_sql("a.area"),),
        careful_keys=(_AREAS.sql("a.area"),), build=_sizes,
    ),
    Metric(
        "object_areas", "Object sizes",
        "Square root of the annotation's `area`: the side, in pixels, of a square as large as the object.",
        "histogram", "annotations", OBJECTS, params={"edges": [2.0**k for k in range(14)]},
        keys=(_AREAS.whole_sql("a.area"),), careful_keys=(_AREAS.sql("a.area"),), build=_areas,
    ),
    Metric(
        "origin", "Made by people and by machines", "How many annotations people made, and how many machines.",
        "bars", "annotations", OBJECTS, keys=("a.is_machine",), build=_origin,
    ),
    Metric(
        "sources", "Sources", "Annotations of each source, people and machines apart.",
        "bars", "annotations", OBJECTS, keys=("a.source", "a.is_machine"), build=_sources,
    ),
    Metric(
        "scores", "Scores", "Confidence of whatever made the annotations.",
        "histogram", "annotations", OBJECTS, params={"edges": listed(SCORES.edges)},
        keys=(SCORES.whole_sql("a.score"),), careful_keys=(SCORES.sql("a.score"),),
        build=_hist(SCORES, "score"),
    ),
)  # fmt: skip
