"""Metrics of what is in lists and in JSON: tags, issues, attributes, keypoints. A pass for each."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from annotations.models import Category
from annotations.query import keypoints
from annotations.query.tree import Is, Node, Not, Present, Term, Word
from annotations.query.values import number_of
from insights.metrics.bars import bar, ranked
from insights.metrics.definition import BARS, Family, Metric, Rows
from insights.metrics.figures import Bars, Figures
from insights.metrics.selection import Selection

VALUES_PER_KEY = 20
VISIBILITIES = ("not labelled", "hidden", "visible")  # COCO's v = 0, 1, 2

# Names, and with a NULL how many rows there are and how many of them have no name.
_NAMES = """
    SELECT name, count(*) AS number, 0 AS without
    FROM {tables}, LATERAL (SELECT DISTINCT unnest({column}) AS name) AS names WHERE {where} AND {column} <> '{{}}'
    GROUP BY name
    UNION ALL
    SELECT NULL, number, number - (SELECT count(*) FROM {tables} WHERE {where} AND {column} <> '{{}}')
    FROM (SELECT count(*) AS number FROM {tables} WHERE {where}) AS whole
"""
# The same in one reading: images that have the same names are taken apart together.
_TAGS = """
    , alike AS MATERIALIZED (SELECT tags, count(*) AS number FROM i GROUP BY tags)
    SELECT name, sum(number)::bigint AS number, 0 AS without
    FROM alike, LATERAL (SELECT DISTINCT unnest(tags) AS name) AS names GROUP BY name
    UNION ALL
    SELECT NULL, COALESCE(sum(number), 0)::bigint, COALESCE(sum(number) FILTER (WHERE tags = '{}'), 0)::bigint
    FROM alike
"""
# The same of images, which have their own issues and those of their annotations.
_IMAGE_ISSUES = """
    , named AS MATERIALIZED (
        SELECT i.id, name FROM i, unnest(i.issues) AS name
        UNION SELECT a.image_id, name FROM {tables}, unnest(a.issues) AS name WHERE {where} AND a.issues IS NOT NULL
    )
    SELECT name, count(*) AS number, 0 AS without FROM named GROUP BY name
    UNION ALL SELECT NULL, count(*), count(*) - (SELECT count(DISTINCT id) FROM named) FROM i
"""
# How many annotations there are and how many have attributes, then how many have each key. Annotations with the same
# attributes are taken apart together: a thousand labels "occluded" are one document.
_KEYS = """
    , alike AS MATERIALIZED (
        SELECT row_number() OVER () AS id, attributes, number
        FROM (SELECT a.attributes, count(*) AS number FROM {tables} WHERE {where} GROUP BY a.attributes) AS grouped
    ), pairs AS (
        SELECT alike.id, pair.key, pair.value, alike.number FROM alike CROSS JOIN LATERAL jsonb_each(
            CASE jsonb_typeof(alike.attributes) WHEN 'object' THEN alike.attributes ELSE '{{}}' END
        ) AS pair
    ) {values}
    SELECT NULL AS key, NULL AS value, COALESCE(sum(number), 0)::bigint AS number, COALESCE(
        sum(number) FILTER (WHERE jsonb_typeof(attributes) = 'object' AND attributes <> '{{}}'), 0
    )::bigint AS some FROM alike
    UNION ALL SELECT key, NULL, sum(number)::bigint, 0 FROM pairs GROUP BY key
"""
# A key's values: scalars, and scalars within an array, each once for an annotation. Only arrays are taken apart.
_LABEL = """CASE jsonb_typeof({value}) WHEN 'number' THEN trim_scale(({value})::numeric)::text WHEN 'null' THEN 'null'
    ELSE {value} #>> '{{}}' END"""
_VALUES = """
    , counted AS (
        SELECT key, value, sum(number)::bigint AS number,
            row_number() OVER (PARTITION BY key ORDER BY sum(number) DESC, value COLLATE "C") AS place
        FROM (
            SELECT key, LABEL_OF_VALUE AS value, number
            FROM (
                SELECT key, value, sum(number) AS number FROM pairs
                WHERE jsonb_typeof(value) NOT IN ('object', 'array') GROUP BY key, value
            ) AS scalars
            UNION ALL
            SELECT key, value, sum(number) FROM (
                SELECT DISTINCT id, key, LABEL_OF_ELEMENT AS value, number
                FROM pairs CROSS JOIN LATERAL jsonb_array_elements(
                    CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE '[]' END
                ) AS element WHERE jsonb_typeof(element) NOT IN ('object', 'array')
            ) AS lists GROUP BY key, value
        ) AS values_of_both GROUP BY key, value
    )
""".replace("LABEL_OF_VALUE", _LABEL.format(value="value")).replace("LABEL_OF_ELEMENT", _LABEL.format(value="element"))
_COUNTED = "UNION ALL SELECT key, value, number, 0 FROM counted WHERE place <= {limit:d}"
_KEYPOINTS = """
    SELECT a.category_id, place, COALESCE(
        CASE WHEN jsonb_typeof(a.keypoints -> (3 * place + 2)) = 'number'
            THEN LEAST(2, GREATEST(0, (a.keypoints -> (3 * place + 2))::numeric))::int END, 0
    ), count(*)
    FROM {tables} CROSS JOIN LATERAL generate_series(
        0, CASE jsonb_typeof(a.keypoints) WHEN 'array' THEN jsonb_array_length(a.keypoints) ELSE 0 END / 3 - 1
    ) AS place WHERE {where} AND a.keypoints IS NOT NULL GROUP BY 1, 2, 3
"""
_OF_CATEGORIES = ("pk", "name", "meta__keypoints")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _tags(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    rows = selection.rows(_TAGS)
    return {"tags": _names(rows, "tag", "images", selection.narrowed)}


def _image_issues(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    rows = selection.rows(_IMAGE_ISSUES.format(tables=selection.annotation_tables, where=selection.of_project))
    return {"image_issues": _names(rows, "issue", "images", selection.narrowed)}


def _annotation_issues(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    tables, where = selection.annotation_tables, selection.of_project
    rows = selection.rows(_NAMES.format(tables=tables, where=where, column="a.issues"))
    return {"annotation_issues": _names(rows, "annotation.issue", "annotations", selection.with_object)}


def _names(rows: Rows, field: str, unit: Literal["images", "annotations"], narrowed: Callable[..., str | None]) -> Bars:
    total, without = next((number, none) for name, number, none in rows if name is None)
    bars = [bar(name, number, narrowed(Term(field, Is(name)))) for name, number, _ in rows if name is not None]
    return ranked(bars, unit, total, {"count": without, "q": narrowed(Not(Term(field, Present())))})


def _attributes(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    tables, where = selection.annotation_tables, selection.of_project
    with_values = any(metric.name == "attributes" for metric in metrics)
    sql = _KEYS.format(tables=tables, where=where, values=_VALUES if with_values else "")
    rows = selection.rows(sql + (_COUNTED.format(limit=VALUES_PER_KEY) if with_values else ""))
    total, missing = next((number, number - some) for key, _, number, some in rows if key is None)
    keys, values = [], []
    for key, value, number, _ in rows:
        if key is None:
            continue
        if value is None:
            # The language has no words for an empty key.
            q = selection.with_object(Term("attributes", Present(), (key,))) if key else None
            keys.append(bar(key, number, q))
        else:
            values.append(bar(f"{key}: {value}", number, _with_value(selection, key, value)))
    return {
        "attribute_keys": ranked(keys, "annotations", total, {"count": missing, "q": None}),
        "attributes": ranked(values, "annotations", total, {"count": missing, "q": None}),
    }


def _with_value(selection: Selection, key: str, value: str) -> str | None:
    """The query for an attribute's value: a text that reads like a number or a constant is counted with that."""
    number = number_of(value)
    if not key or (number is None and _NUMBER.fullmatch(value)):
        return None  # an empty key, or more digits than a query takes
    scalar = value in ("true", "false", "null") or (number is not None and _NUMBER.fullmatch(value) is not None)
    if scalar and number is not None and _plain(value) != value:
        scalar = False  # a text such as 3.0, which is not how the number 3 is counted
    return selection.with_object(Term("attributes", Is(Word(value) if scalar else value), (key,)))


def _plain(number: str) -> str:
    text = number.rstrip("0").rstrip(".") if "." in number else number
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    digits = digits.lstrip("0") or "0"
    digits = f"0{digits}" if digits.startswith(".") else digits
    return digits if digits == "0" else sign + digits


def _keypoints(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    tables, where = selection.annotation_tables, selection.of_project
    rows = selection.rows(_KEYPOINTS.format(tables=tables, where=where))
    categories = Category.objects.filter(project=selection.project)
    named = {pk: (name, keypoints.names_of(listed)) for pk, name, listed in categories.values_list(*_OF_CATEGORIES)}
    counts: dict[tuple[str | None, str, str], dict[str, int]] = {}
    for category, place, visibility, number in rows:
        name, listed = named.get(category, (None, []))
        asked = keypoints.name_at(listed, place)
        label = f"{name or ''}: {asked if place < len(listed) else f'keypoint {place + 1}'}"
        parts = counts.setdefault((name, asked, label), dict.fromkeys(VISIBILITIES, 0))
        parts[VISIBILITIES[visibility]] += number
    bars = [
        bar(
            label,
            sum(parts.values()),
            _with_keypoint(selection, name, asked, Present()),
            parts=parts,
            part_queries={
                shown: _with_keypoint(selection, name, asked, Is(visibility))
                for shown, visibility in zip(VISIBILITIES, keypoints.VISIBILITIES, strict=True)
            },
        )
        for (name, asked, label), parts in counts.items()
    ]
    return {"keypoints": ranked(bars, "annotations", sum(each["count"] for each in bars))}


def _with_keypoint(selection: Selection, category: str | None, keypoint: str, test: Present | Is) -> str | None:
    """The query for a keypoint of a class; the language has no words for one without a name."""
    if not keypoint:
        return None
    of_class: Node = Not(Term("category", Present())) if category is None else Term("category", Is(category))
    return selection.with_object(of_class, Term("keypoint", test, (keypoint,)))


ATTRIBUTES = Family("attributes", _attributes)
METRICS = (
    Metric(
        "tags", "Tags", "How many images each tag has.", "bars", "images", Family("tags", _tags), params={"bars": BARS}
    ),
    Metric(
        "image_issues", "Issues of images",
        "How many images have each kind of issue, of their own or of an annotation.", "bars", "images",
        Family("image_issues", _image_issues), params={"bars": BARS},
    ),
    Metric(
        "annotation_issues", "Issues of annotations", "How many annotations each kind of issue has.",
        "bars", "annotations", Family("annotation_issues", _annotation_issues), params={"bars": BARS},
    ),
    Metric(
        "attribute_keys", "Attributes", "How many annotations have each attribute.",
        "bars", "annotations", ATTRIBUTES, params={"bars": BARS},
    ),
    Metric(
        "attributes", "Attributes' values",
        "How many annotations have each value of each attribute; of a list, each of its values. The 20 most frequent "
        "of an attribute.",
        "bars", "annotations", ATTRIBUTES, params={"bars": BARS, "values_per_attribute": VALUES_PER_KEY},
    ),
    Metric(
        "keypoints", "Keypoints",
        "For each keypoint of each class, on how many annotations it is visible (COCO's v=2), hidden (v=1) or not "
        "labelled (v=0).",
        "bars", "annotations", Family("keypoints", _keypoints), params={"bars": BARS},
    ),
)  # fmt: skip
