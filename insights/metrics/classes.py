"""What is annotated: classes, supercategories, which occur together, and how unequal their numbers are.

Categories are told apart by name, as the query language does: two splits may number one name differently.
"""

# ruff: noqa: S608 - put together from constants of this package; every value is a parameter

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from annotations.models import Category
from annotations.query.tree import Is, Not, Present, Term
from insights.metrics.bars import bar, ranked
from insights.metrics.definition import BARS, Family, Metric, Rows
from insights.metrics.figures import Bar, Bars, Figures, Grid, Number, Numbers
from insights.metrics.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOGETHER = 30  # classes of the co-occurrence matrix: the most frequent ones, by images

_COUNTS = """
    SELECT counted.category_id, s.name, counted.number
    FROM (SELECT a.category_id, a.split_id, count(*) AS number FROM {annotations} GROUP BY 1, 2) AS counted
    LEFT JOIN assets_split s ON s.id = counted.split_id
"""
# Each class of each image once, straight from the index on (project, category, image) where all images are meant.
_IMAGES = """
    SELECT category_id, count(*) FROM (SELECT a.category_id, a.image_id FROM {annotations} GROUP BY 1, 2) AS pairs
    GROUP BY 1
"""
# Images by name, for the names that several categories share.
_IMAGES_OF_SHARED = """
    , c AS (SELECT unnest(%s::bigint[]) AS id, unnest(%s::text[]) AS name)
    SELECT c.name, count(DISTINCT a.image_id) FROM c, {annotations} AND a.category_id = c.id GROUP BY 1
"""
# For each image a bit for everything that is on it, and how many images have the same bits. Of a million images there
# are far fewer such rows than there are pairs of an image and a class.
_MASKS = """
    , c AS (SELECT unnest(%s::bigint[]) AS id, {bits}), images AS MATERIALIZED (
        SELECT a.image_id, {masks} FROM c, {annotations} AND a.category_id = c.id GROUP BY 1
    ) {counts}
"""
BITS = 62  # of a bigint, so that none is its sign

Named = dict[int | None, str | None]
Bits = dict[int, int]  # {category: the bit that it sets}
Ints: TypeAlias = "NDArray[np.int64]"


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    wanted = {metric.name for metric in metrics}
    categories = list(Category.objects.filter(project=selection.project).values_list("id", "name", "supercategory"))
    names: Named = {None: None} | {pk: name for pk, name, _ in categories}
    figures: dict[str, Figures] = {}
    counts: Rows = []
    if wanted - {"co_occurrence"}:
        counts = _counts(selection, by_split="classes" in wanted)
    images: dict[str | None, int] = {}
    if wanted & {"classes", "co_occurrence"}:
        images = _images(selection, names)
    if "classes" in wanted:
        figures["classes"] = _classes(selection, counts, names, images)
    labels = _together(images, names) if "co_occurrence" in wanted else []
    place = {name: bit for bit, name in enumerate(labels)}
    above: Named = {None: None} | {pk: name for pk, _, name in categories}
    known = sorted({name for _, _, name in categories}) if "supercategories" in wanted else []
    parts = [known[start : start + BITS] for start in range(0, len(known), BITS)]
    of_images = _masks(
        selection,
        [
            *([{pk: place[name] for pk, name in names.items() if pk and name in place}] if labels else []),
            *({pk: part.index(name) for pk, _, name in categories if name in part} for part in parts),
        ],
    )
    if "co_occurrence" in wanted:
        figures["co_occurrence"] = _co_occurrence(selection, labels, *(of_images.pop(0) if labels else _none()))
    if "supercategories" in wanted:
        numbers = _added((above.get(pk), number) for pk, _, number in counts)
        on = {
            name: int(many[(masks >> bit) & 1 == 1].sum())
            for part, (masks, many) in zip(parts, of_images, strict=True)
            for bit, name in enumerate(part)
        }
        figures["supercategories"] = _supercategories(selection, numbers, on)
    if "imbalance" in wanted:
        figures["imbalance"] = _imbalance(_added((names.get(pk), number) for pk, _, number in counts), categories)
    return figures


def _counts(selection: Selection, *, by_split: bool) -> Rows:
    """(category, split, annotations)."""
    if by_split:
        return selection.rows(_COUNTS.format(annotations=selection.annotations))
    return selection.rows(f"SELECT a.category_id, NULL, count(*) FROM {selection.annotations} GROUP BY a.category_id")


def _images(selection: Selection, names: Named) -> dict[str | None, int]:
    """How many images each class is on."""
    rows = selection.rows(_IMAGES.format(annotations=selection.annotations))
    images = {names.get(pk): number for pk, number in rows}
    times = Counter(names.values())
    shared = {pk: name for pk, name in names.items() if times[name] > 1}
    if shared:
        sql = _IMAGES_OF_SHARED.format(annotations=selection.annotations)
        images.update(selection.rows(sql, [list(shared), list(shared.values())]))
    return images


def _masks(selection: Selection, sets: Sequence[Bits]) -> list[tuple[Ints, Ints]]:
    """For each set of bits: which of them images have, and how many images have just those. One look at annotations."""
    if not sets:
        return []
    ids = sorted({pk for bits in sets for pk in bits})
    numbered = range(len(sets))
    sql = _MASKS.format(
        annotations=selection.annotations,
        bits=", ".join(f"unnest(%s::bigint[]) AS bit{number}" for number in numbered),
        masks=", ".join(f"bit_or(c.bit{number}) AS mask{number}" for number in numbered),
        counts=" UNION ALL ".join(f"SELECT {n}, mask{n}, count(*) FROM images GROUP BY mask{n}" for n in numbered),
    )
    set_bits = [[1 << bits[pk] if pk in bits else 0 for pk in ids] for bits in sets]
    import numpy as np  # a process that counts no classes does without

    rows = selection.rows_of_one_process(sql, [ids, *set_bits])  # nearly all images have annotations in each part
    found = np.fromiter(chain.from_iterable(rows), np.int64, 3 * len(rows)).reshape(-1, 3)
    return [(found[found[:, 0] == number, 1], found[found[:, 0] == number, 2]) for number in numbered]


def _none() -> tuple[Ints, Ints]:
    import numpy as np

    return np.empty(0, np.int64), np.empty(0, np.int64)


def _together(images: Mapping[str | None, int], names: Named) -> list[str]:
    """The classes that are on most images; of equals, those with the lowest keys. In order, equals by name."""
    first = {name: pk or 0 for pk, name in sorted(names.items(), key=lambda each: each[0] or 0, reverse=True)}
    most = sorted((name for name in images if name is not None), key=lambda name: (-images[name], first[name]))
    return sorted(most[:TOGETHER], key=lambda name: (-images[name], name))


def _added(counts: Iterable[tuple[str | None, int]]) -> dict[str | None, int]:
    added: dict[str | None, int] = {}
    for name, number in counts:
        added[name] = added.get(name, 0) + number
    return added


def _classes(selection: Selection, counts: Rows, names: Named, images: Mapping[str | None, int]) -> Bars:
    bars: dict[str | None, Bar] = {}
    for name in dict.fromkeys(names.values()):
        condition = Not(Term("category", Present())) if name is None else Term("category", Is(name))
        q = selection.with_object(condition) if name is None else selection.narrowed(condition)
        bars[name] = bar(name or "", 0, q, images=images.get(name, 0), parts={}, part_queries={})
    for category, split, number in counts:
        name = names.get(category)
        each = bars[name]
        each["count"] += number
        each["parts"][split or ""] = each["parts"].get(split or "", 0) + number
        if split and name is not None:
            q = selection.narrowed(Term("category", Is(name)), Term("split", Is(split)))
            each["part_queries"][split] = q
    without = bars.pop(None)
    total = sum(each["count"] for each in bars.values()) + without["count"]
    return ranked(bars.values(), "annotations", total, {"count": without["count"], "q": without["q"]})


def _supercategories(selection: Selection, counts: Mapping[str | None, int], images: Mapping[str, int]) -> Bars:
    bars = [
        bar(name, number, selection.narrowed(Term("supercategory", Is(name))), images=images[name])
        for name, number in counts.items()
        if name is not None
    ]
    none = selection.with_object(Not(Term("category", Present())))
    return ranked(bars, "annotations", sum(counts.values()), {"count": counts.get(None, 0), "q": none})


def _co_occurrence(selection: Selection, labels: Sequence[str], masks: Ints, numbers: Ints) -> Grid:
    import numpy as np

    # As floating point, which multiplies matrices far more quickly, and is exact below 2^53.
    on_image = ((masks[:, None] >> np.arange(len(labels))) & 1).astype(np.float64)
    together = on_image.T @ (on_image * numbers[:, None])
    cells = []
    for x, y in zip(*np.nonzero(np.triu(together)), strict=True):
        q = selection.narrowed(*(Term("category", Is(labels[each])) for each in dict.fromkeys((x, y))))
        cells.append((int(x), int(y), int(together[x, y]), q))
    return {
        "kind": "grid",
        "unit": "images",
        "total": int(numbers[masks != 0].sum()),
        "x": {"title": "class", "labels": list(labels)},
        "y": {"title": "class", "labels": list(labels)},
        "cells": [{"x": x, "y": y, "count": number, "q": q} for x, y, number, q in cells],
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
        "Images on which two classes are both annotated; on the diagonal, images of the class. Of the 30 classes that "
        "most images have; the total are the images with any of them.",
        "grid", "images", CLASSES, params={"classes": TOGETHER},
    ),
    Metric(
        "imbalance", "Class imbalance", "How unequally the annotations are spread over the classes.",
        "numbers", "annotations", CLASSES,
    ),
)  # fmt: skip
