"""Metrics of images that need only the images' own columns: one pass."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from annotations.query.tree import Is, Not, Present, Term, any_of
from assets.models import Split
from insights.metrics import passes
from insights.metrics.bars import bar, ranked
from insights.metrics.binning import Scale, histogram, listed, powers
from insights.metrics.definition import Family, Metric, Rows
from insights.metrics.figures import Bars, Figures, Grid
from insights.metrics.selection import Selection

MILLION = Decimal(1_000_000)
SIDES = (128, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 1920, 2560, 3840, 7680)  # pixels
WIDTH = Scale(SIDES, "width", whole=True)
HEIGHT = Scale(SIDES, "height", whole=True)
MEGAPIXELS = Scale(
    ("0.01", "0.05", "0.1", "0.25", "0.5", "1", "2", "4", "8", "16", "32", "64"), "megapixels", suffix=" MP"
)
PIXELS = Scale(tuple(int(Decimal(edge) * MILLION) for edge in MEGAPIXELS.edges))
# Common ratios lie inside of bins: 9:16, 2:3, 3:4, 1, 4:3, 3:2, 16:9.
ASPECT = Scale(
    ("0.25", "0.4", "0.5", "0.6", "0.7", "0.8", "0.95", "1.05", "1.25", "1.4", "1.6", "1.9", "2.5", "4"), "aspect"
)
ANNOTATIONS = Scale((1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 31, 51, 101, 201, 501, 1001), "annotations", whole=True)
BYTES_PER_KB = Decimal(1024)
BYTES = Scale(powers(2, 12, 28), "size", shown=lambda edge: edge / BYTES_PER_KB, suffix=" KB")


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    return passes.measure(selection, metrics, "i")


IMAGES = Family("images", _measure)


def _named(field: str, *, absent: str = "") -> Callable[[Selection, Rows], Bars]:
    """Bars of a text; `absent` says how those without one are called, where that is not a value of its own."""

    def build(selection: Selection, rows: Rows) -> Bars:
        counts = {value: number for value, number in rows}
        missing = counts.pop("", 0) if absent else 0
        none = selection.narrowed(Not(Term(field, Present()))) if absent else None
        bars = [bar(value, number, selection.narrowed(Term(field, Is(value)))) for value, number in counts.items()]
        return ranked(bars, "images", sum(counts.values()) + missing, {"count": missing, "q": none})

    return build


def _splits(selection: Selection, rows: Rows) -> Bars:
    names = dict(Split.objects.filter(project=selection.project).values_list("pk", "name"))
    return _named("split")(selection, [(names[split], number) for split, number in rows])


def _resolution(selection: Selection, rows: Rows) -> Grid:
    missing = sum(number for x, y, number in rows if x is None or y is None)
    cells = {(x, y): number for x, y, number in rows if x is not None and y is not None}
    left, bottom = (min((cell[axis] for cell in cells), default=0) for axis in (0, 1))
    right, top = (max((cell[axis] for cell in cells), default=-1) for axis in (0, 1))
    unknown = any_of([Not(Term("width", Present())), Not(Term("height", Present()))])
    return {
        "kind": "grid",
        "unit": "images",
        "total": sum(cells.values()) + missing,
        "x": {"title": "width (pixels)", "labels": [WIDTH.label(x) for x in range(left, right + 1)]},
        "y": {"title": "height (pixels)", "labels": [HEIGHT.label(y) for y in range(bottom, top + 1)]},
        "cells": [
            {
                "x": x - left,
                "y": y - bottom,
                "count": number,
                "q": selection.narrowed(*WIDTH.conditions(x), *HEIGHT.conditions(y)),
            }
            for (x, y), number in sorted(cells.items())
        ],
        "missing": {"count": missing, "q": selection.narrowed(unknown)},
    }


def _annotations(selection: Selection, rows: Rows) -> Figures:
    figures = histogram(ANNOTATIONS, "images", "annotations of an image")(selection, rows)
    for each in figures["bins"]:
        if each["low"] is None:
            each["label"], each["low"] = "0", 0.0
    return figures


METRICS = (
    Metric(
        "splits", "Images by split", "How many images each split has.", "bars", "images", IMAGES,
        keys=("i.split_id",), build=_splits,
    ),
    Metric(
        "statuses", "Images by status",
        "Where images stand; `missing` is a record without a picture, `broken` a picture that cannot be decoded.",
        "bars", "images", IMAGES, keys=("i.status",), build=_named("status"),
    ),
    Metric(
        "resolution", "Resolution", "Width against height of images, in pixels.", "grid", "images", IMAGES,
        params={"edges": listed(SIDES)}, keys=(WIDTH.sql("i.width", "int"), HEIGHT.sql("i.height", "int")),
        build=_resolution,
    ),
    Metric(
        "megapixels", "Megapixels", "Width times height of images, in millions of pixels.", "histogram", "images",
        IMAGES, params={"edges": listed(MEGAPIXELS.edges)},
        keys=(PIXELS.sql("i.width::bigint * i.height", "bigint"),),
        build=histogram(MEGAPIXELS, "images", "megapixels"),
    ),
    Metric(
        "aspect_ratios", "Aspect ratios", "Width divided by height of images; 1 is a square, below it upright.",
        "histogram", "images", IMAGES, params={"edges": listed(ASPECT.edges)},
        keys=(ASPECT.sql("CASE WHEN i.height > 0 THEN i.width::float8 / i.height END", "float8"),),
        build=histogram(ASPECT, "images", "width / height"),
    ),
    Metric(
        "annotations_per_image", "Annotations per image", "How many annotations, of every kind, an image has.",
        "histogram", "images", IMAGES, params={"edges": listed(ANNOTATIONS.edges)},
        keys=(ANNOTATIONS.sql("annotation_count", "int"),), first={"annotation_count": "annotation_count"},
        build=_annotations,
    ),
    Metric(
        "formats", "File formats", "Formats of the stored pictures, in upper case.", "bars", "images", IMAGES,
        keys=("upper(i.format)",), build=_named("format", absent="no picture"),
    ),
    Metric(
        "file_sizes", "File sizes", "Bytes of the stored pictures, in kilobytes of 1,024 bytes.", "histogram", "images",
        IMAGES, params={"edges": listed([edge / BYTES_PER_KB for edge in map(Decimal, BYTES.edges)])},
        keys=(BYTES.sql("i.size_bytes", "bigint"),),
        build=histogram(BYTES, "images", "KB"),
    ),
)  # fmt: skip
