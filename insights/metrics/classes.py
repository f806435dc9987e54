"""What is annotated: classes, supercategories, which occur together, and how unequal their numbers are.

Categories are told apart by name, as the query language does: two splits may number one name differently.
"""

# ruff: noqa: S608 - put together from constants of this package; every value is a parameter

import math
from collections.abc import Iterable, Sequence
from typing import Any

from annotations.models import Category
from annotations.query.tree import Is, Not, Present, Term
from insights.metrics.bars import bar, ranked
from insights.metrics.definition import BARS, Family, Metric, Rows
from insights.metrics.figures import Bar, Bars, Figures, Grid, Number, Numbers
from insights.metrics.selection import Selection

TOGETHER = 30  # classes of the co-occurrence matrix: the most frequent ones, by images

# Every image with each of its categories once. `c` gives the lowest id of a name to all categories of that name.
_PAIRS = """
    , c AS (
        SELECT id, min(id) OVER (PARTITION BY name) AS named, supercategory FROM annotations_category
        WHERE project_id = {project:d}
    ), pairs AS (
        SELECT a.image_id, a.category_id, a.split_id, count(*) AS number FROM {annotations}
        GROUP BY a.category_id, a.image_id, a.split_id
    )
"""
_CLASSES = """
    SELECT 'classes', {name}::text, s.name, sum(number)::bigint, {images} FROM pairs LEFT JOIN c ON c.id = category_id
    LEFT JOIN assets_split s ON s.id = split_id GROUP BY 2, 3
"""
_SUPERCATEGORIES = """
    SELECT 'supercategories', supercategory, NULL, sum(number)::bigint, count(*)
    FROM (
        SELECT supercategory, image_id, sum(number) AS number FROM pairs LEFT JOIN c ON c.id = category_id
        GROUP BY supercategory, image_id
    ) AS above GROUP BY supercategory
"""
_TOGETHER = """
    SELECT 'co_occurrence', one.named::text, other.named::text, count(*), 0 FROM named AS one
    JOIN named AS other ON other.image_id = one.image_id AND other.named >= one.named
    GROUP BY one.named, other.named
"""
# `distinct` is needed only where two categories share a name: otherwise pairs are distinct already.
_NAMED = """
    , every AS MATERIALIZED (SELECT {distinct} image_id, named FROM pairs JOIN c ON c.id = category_id),
    named AS MATERIALIZED (
        SELECT image_id, named FROM every
        WHERE named IN (SELECT named FROM every GROUP BY named ORDER BY count(*) DESC, named LIMIT {limit:d})
    )
"""
# Without the other metrics of the pass, pairs would be a detour.
_ONLY_SUPERCATEGORIES = """
    , c AS (SELECT id, supercategory FROM annotations_category WHERE project_id = {project:d})
    SELECT supercategory, NULL, count(*), count(DISTINCT image_id)
    FROM (SELECT a.category_id, a.image_id FROM {annotations}) AS a LEFT JOIN c ON c.id = a.category_id GROUP BY 1
"""


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    wanted = {metric.name for metric in metrics}
    categories = list(Category.objects.filter(project=selection.project).values_list("id", "name", "supercategory"))
    if wanted == {"imbalance"}:
        rows = selection.rows(f"SELECT a.category_id, count(*) FROM {selection.annotations} GROUP BY a.category_id")
        names = {pk: name for pk, name, _ in categories}
        return {"imbalance": _imbalance(_added((names.get(pk), number) for pk, number in rows), categories)}
    if wanted == {"supercategories"}:
        sql = _ONLY_SUPERCATEGORIES.format(project=selection.project.pk, annotations=selection.annotations)
        return {"supercategories": _supercategories(selection, selection.rows(sql))}
    found = _read(selection, wanted, unique=len({name for _, name, _ in categories}) == len(categories))
    lowest: dict[str, int] = {}
    for pk, name, _ in categories:
        lowest[name] = min(pk, lowest.get(name, pk))
    names = {pk: name for name, pk in lowest.items()}
    classes = [(names.get(int(key)) if key else None, *rest) for key, *rest in found["classes"]]
    figures: dict[str, Figures] = {}
    if "classes" in wanted:
        figures["classes"] = _classes(selection, classes, names.values())
    if "supercategories" in wanted:
        figures["supercategories"] = _supercategories(selection, found["supercategories"])
    if "imbalance" in wanted:
        figures["imbalance"] = _imbalance(_added((name, number) for name, _, number, _ in classes), categories)
    if "co_occurrence" in wanted:
        figures["co_occurrence"] = _co_occurrence(selection, found["co_occurrence"], names)
    return figures


def _read(selection: Selection, wanted: set[str], *, unique: bool) -> dict[str, Rows]:
    parts = []
    if wanted & {"classes", "imbalance"}:
        # Where no two categories share a name, an image is in one pair of a category only.
        images = "count(*)" if unique else "count(DISTINCT image_id)"
        parts.append(_CLASSES.format(images=images, name="category_id" if unique else "named"))
    if "supercategories" in wanted:
        parts.append(_SUPERCATEGORIES)
    named = ""
    if "co_occurrence" in wanted:
        parts.append(_TOGETHER)
        named = _NAMED.format(limit=TOGETHER, distinct="" if unique else "DISTINCT")
    pairs = _PAIRS.format(project=selection.project.pk, annotations=selection.annotations)
    found: dict[str, Rows] = {"classes": [], "supercategories": [], "co_occurrence": []}
    for metric, *row in selection.rows(pairs + named + " UNION ALL ".join(parts)):
        found[metric].append(tuple(row))
    return found


def _added(counts: Iterable[tuple[str | None, int]]) -> dict[str | None, int]:
    added: dict[str | None, int] = {}
    for name, number in counts:
        added[name] = added.get(name, 0) + number
    return added


def _classes(selection: Selection, rows: Iterable[Sequence[Any]], names: Iterable[str]) -> Bars:
    bars: dict[str | None, Bar] = {}
    for name in names:
        q = selection.narrowed(Term("category", Is(name)))
        bars[name] = bar(name, 0, q, images=0, parts={})
    bars[None] = bar("", 0, selection.with_object(Not(Term("category", Present()))), images=0, parts={})
    for name, split, number, images in rows:
        each = bars[name]
        each["count"] += number
        each["images"] += images
        each["parts"][split or ""] = each["parts"].get(split or "", 0) + number
    without = bars.pop(None)
    total = sum(each["count"] for each in bars.values()) + without["count"]
    return ranked(bars.values(), "annotations", total, {"count": without["count"], "q": without["q"]})


def _supercategories(selection: Selection, rows: Rows) -> Bars:
    bars, missing, total = [], 0, 0
    for name, _, number, images in rows:
        total += number
        if name is None:
            missing = number
        else:
            bars.append(bar(name, number, selection.narrowed(Term("supercategory", Is(name))), images=images))
    none = selection.with_object(Not(Term("category", Present())))
    return ranked(bars, "annotations", total, {"count": missing, "q": none})


def _co_occurrence(selection: Selection, rows: Rows, names: dict[int, str]) -> Grid:
    pairs = {(int(one), int(other)): number for one, other, number, _ in rows}
    own = {one: number for (one, other), number in pairs.items() if one == other}
    order = sorted(own, key=lambda pk: (-own[pk], names[pk]))
    place = {pk: number for number, pk in enumerate(order)}
    labels = [names[pk] for pk in order]
    cells = []
    for (one, other), number in pairs.items():
        x, y = sorted((place[one], place[other]))
        q = selection.narrowed(*(Term("category", Is(labels[each])) for each in dict.fromkeys((x, y))))
        cells.append((x, y, number, q))
    return {
        "kind": "grid",
        "unit": "images",
        "total": sum(pairs.values()),
        "x": {"title": "class", "labels": labels},
        "y": {"title": "class", "labels": labels},
        "cells": [{"x": x, "y": y, "count": number, "q": q} for x, y, number, q in sorted(cells, key=lambda c: c[:2])],
        "missing": {"count": 0, "q": None},
    }


def _imbalance(counts: dict[str | None, int], categories: Sequence[tuple[int, str, str]]) -> Numbers:
    numbers = sorted(counts.get(name, 0) for name in {name for _, name, _ in categories})
    return {
        "kind": "numbers",
        "unit": "annotations",
        "total": sum(numbers),
        "numbers": inequality(numbers),
    }


def inequality(counts: Sequence[int]) -> list[Number]:
    """How unequal sorted counts are.

    Gini: sum((2i - n - 1) x_i) / (n sum(x)), i from 1 (Gini 1912). Entropy: Shannon, in bits; evenness: entropy over
    its greatest value, log2 n (Pielou 1966); effective classes: 2^entropy (Hill number of order 1).
    """
    total, size = sum(counts), len(counts)
    used = [count for count in counts if count]
    gini = entropy = evenness = effective = ratio = None
    if total:
        gini = sum((2 * place - size - 1) * count for place, count in enumerate(counts, 1)) / (size * total)
        entropy = -sum(count / total * math.log2(count / total) for count in used) + 0.0
        effective = 2**entropy
        ratio = used[-1] / used[0]
        evenness = entropy / math.log2(size) if size > 1 else None
    return [
        _number("classes", size, "Classes of the project."),
        _number("used", len(used), "Classes with annotations."),
        _number("ratio", ratio, "Annotations of the most frequent class over those of the rarest that has any."),
        _number("gini", gini, "0: all classes have equally many annotations; near 1: one class has nearly all."),
        _number("entropy", entropy, "Shannon entropy of the classes, in bits."),
        _number("evenness", evenness, "Entropy over its greatest value: 1 is even."),
        _number("effective", effective, "So many equally frequent classes would have the same entropy."),
    ]


def _number(name: str, value: float | None, text: str) -> Number:
    return {"name": name, "value": None if value is None else round(float(value), 6), "help": text}


CLASSES = Family("classes", _measure)
METRICS = (
    Metric(
        "classes", "Classes",
        "Annotations and images of each class, and how the annotations are spread over the splits.",
        "bars", "annotations", CLASSES, params={"bars": BARS},
    ),
    Metric(
        "supercategories", "Supercategories", "Annotations and images of each supercategory.",
        "bars", "annotations", CLASSES, params={"bars": BARS},
    ),
    Metric(
        "co_occurrence", "Classes that occur together",
        "Images on which two classes are both annotated; on the diagonal, images of the class.",
        "grid", "images", CLASSES, params={"classes": TOGETHER},
    ),
    Metric(
        "imbalance", "Class imbalance", "How unequally the annotations are spread over the classes.",
        "numbers", "annotations", CLASSES,
    ),
)  # fmt: skip
