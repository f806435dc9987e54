"""Metrics of bounding boxes: one pass for their sizes and shapes, and one for their places."""

from collections.abc import Sequence
from decimal import Decimal

from annotations.query.tree import Not, Present, Term, any_of
from insights.metrics import passes
from insights.metrics.binning import Scale, histogram, listed, powers
from insights.metrics.definition import Family, Metric, Rows
from insights.metrics.figures import Figures, Grid
from insights.metrics.selection import Selection

CELLS = 32  # of the heat map, in each direction
SIDES = powers(2, 0, 13)  # pixels
WIDTHS = Scale(SIDES, "bbox.w", suffix=" px", of_objects=True)
HEIGHTS = Scale(SIDES, "bbox.h", suffix=" px", of_objects=True)
SQUARE_SIDES = Scale(powers(4, 0, 13), "bbox.area", shown=lambda edge: edge.sqrt(), suffix=" px", of_objects=True)
ASPECTS = Scale(
    ("0.1", "0.2", "0.25", "0.33", "0.4", "0.5", "0.67", "0.8", "1.25", "1.5", "2", "2.5", "3", "4", "5", "10"),
    "bbox.aspect",
    of_objects=True,
)

_SHARES = tuple(str(Decimal(cell) / CELLS) for cell in range(1, CELLS))
ACROSS = Scale(_SHARES, "bbox.cx", of_objects=True)
DOWN = Scale(_SHARES, "bbox.cy", of_objects=True)

_PLACES = {"x": 0, "y": 1, "w": 2, "h": 3}
_FAST = "(a.bbox -> {0})::numeric"
# A JSON array may hold anything; PostgreSQL looks at the element only where it is a number.
_CAREFUL = f"CASE WHEN jsonb_typeof(a.bbox -> {{0}}) = 'number' THEN {_FAST} END"
# For the places of centres, which are counted with 64 bits.
_BOUNDED = _CAREFUL.replace(_FAST, f"LEAST(GREATEST({_FAST}, -1e15), 1e15)")


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    # The cast to a number fails on what is none, and to ask before costs as much again: so that is done after.
    fast, careful = (_source(selection, metrics, number) for number in (_FAST, _CAREFUL))
    return passes.measure(selection, metrics, fast, careful)


def _source(selection: Selection, metrics: Sequence[Metric], number: str) -> str:
    needed = {name for metric in metrics for name in _NEEDED[metric.name]}
    if number is _CAREFUL and "width" in needed:
        number = _BOUNDED
    columns = [f"{number.format(place)} AS {name}" for name, place in _PLACES.items() if name in needed]
    rows = selection.annotations
    if "width" in needed:
        columns += ["i.width", "i.height"]
        rows = f"annotations_annotation a JOIN i ON i.id = a.image_id WHERE {selection.of_project}"
    return f"{passes.computed_once(columns, rows)} AS box"


BOXES = Family("boxes", _measure)
# By itself: 1,024 cells times the bins of the others would be nearly as many groups as there are boxes.
CENTRES = Family("box_centres", _measure)


def _cell(start: str, length: str, size: str) -> str:
    """The cell of a box's centre, which for centres outside of the image is one beyond the border.

    Whole numbers are divided, because numeric division takes several times as long.
    """
    centre = f"trunc((2 * {start} + {length}) * {CELLS // 2})"
    return f"{centre}::bigint / CASE WHEN {size} > 0 THEN {size} END"


def _within(cell: str) -> str:
    """The cell at the border for one beyond it. width_bucket keeps NULL, which LEAST and GREATEST do not."""
    return f"width_bucket({cell}, ARRAY[{', '.join(map(str, range(1, CELLS)))}]::bigint[])"


def _centres(selection: Selection, rows: Rows) -> Grid:
    missing = sum(number for x, y, number in rows if x is None or y is None)
    cells = {(x, y): number for x, y, number in rows if x is not None and y is not None}
    unknown = any_of([Not(Term(scale.field or "", Present())) for scale in (ACROSS, DOWN)])
    labels = [f"{cell / CELLS:.0%}" for cell in range(CELLS)]
    return {
        "kind": "grid",
        "unit": "annotations",
        "total": sum(cells.values()) + missing,
        "x": {"title": "from the left (share of the width)", "labels": labels},
        "y": {"title": "from the top (share of the height)", "labels": labels},
        "cells": [
            {
                "x": x,
                "y": y,
                "count": number,
                "q": selection.with_object(*ACROSS.conditions(x), *DOWN.conditions(y)),
            }
            for (x, y), number in sorted(cells.items())
        ],
        "missing": {"count": missing, "q": selection.with_object(unknown)},
    }


METRICS = (
    Metric(
        "box_sizes", "Box sizes", "Square root of width times height of the boxes, in pixels.",
        "histogram", "annotations", BOXES, params={"edges": listed(SIDES)},
        keys=(SQUARE_SIDES.whole_sql("w * h"),),
        careful_keys=(SQUARE_SIDES.sql("w * h"),),
        build=histogram(SQUARE_SIDES, "annotations", "square root of the box's area (pixels)"),
    ),
    Metric(
        "box_widths", "Box widths", "Widths of the boxes, in pixels.", "histogram", "annotations", BOXES,
        params={"edges": listed(SIDES)}, keys=(WIDTHS.whole_sql("w"),),
        careful_keys=(WIDTHS.sql("w"),), build=histogram(WIDTHS, "annotations", "pixels"),
    ),
    Metric(
        "box_heights", "Box heights", "Heights of the boxes, in pixels.", "histogram", "annotations", BOXES,
        params={"edges": listed(SIDES)}, keys=(HEIGHTS.whole_sql("h"),),
        careful_keys=(HEIGHTS.sql("h"),), build=histogram(HEIGHTS, "annotations", "pixels"),
    ),
    Metric(
        "box_aspects", "Box shapes", "Width divided by height of the boxes; 1 is a square, below it upright.",
        "histogram", "annotations", BOXES, params={"edges": listed(ASPECTS.edges)},
        keys=(ASPECTS.whole_sql("w", "CASE WHEN h > 0 THEN h END"),),
        careful_keys=(ASPECTS.sql("CASE WHEN h > 0 THEN w / h END"),),
        build=histogram(ASPECTS, "annotations", "width / height"),
    ),
    Metric(
        "box_centres", "Where objects are",
        "Centres of the boxes in the image: each image is cut into 32 columns and 32 rows. A centre outside of "
        "its image counts to the border.",
        "grid", "annotations", CENTRES, params={"cells": CELLS},
        keys=(_within("x"), _within("y")),
        first={"x": _cell("x", "w", "width"), "y": _cell("y", "h", "height")}, build=_centres,
    ),
)  # fmt: skip
_NEEDED = {
    "box_sizes": ("w", "h"),
    "box_widths": ("w",),
    "box_heights": ("h",),
    "box_aspects": ("w", "h"),
    "box_centres": ("x", "y", "w", "h", "width"),
}
