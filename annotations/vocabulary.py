"""The values that a project has for the fields of the query language, with how often; bounded, however large it is.

Names with a table of their own are counted up to a cap; whatever is inside of rows is counted in a sample (sampling.py)
and scaled, and what the most recently changed images have is added, so that a tag just given is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from annotations import sampling
from annotations.counting import estimate
from annotations.models import Category
from annotations.query import Field
from annotations.query.fields import Kind, Scope
from annotations.query.keypoints import names_of
from annotations.query.tree import Word
from annotations.query.values import number_of
from assets.models import ImageAsset
from projects.models import Project

CAP = 1_000  # rows counted per name
NAMES = 200  # names that are counted
INSIDE = 5_000  # images looked into for what their JSON and their objects hold
RECENT = 2_000  # images
MAX_TEXT = 100  # characters of a value that anyone would pick from a list
BOOLEANS = ("true", "false")

# SQL: those with the typed text in them, those that begin with it first, then by frequency.
_PICKED = """
    WHERE strpos(lower(value), lower(%(typed)s)) > 0 AND length(value) <= %(longest)s
    ORDER BY starts_with(lower(value), lower(%(typed)s)) DESC, number DESC, value LIMIT %(limit)s
"""
# The same where a mark of the value's kind stands in front of it.
_PICKED_MARKED = _PICKED.replace("lower(value)", "lower(substr(value, 2))")
_IMAGES = "SELECT id, tags, issues, format, metadata FROM assets_imageasset WHERE project_id = %(project)s"
_CATEGORIES = """
    SELECT value, sum(number)::bigint AS number FROM (
        SELECT c.{column} AS value, (SELECT count(*) FROM (
            SELECT FROM annotations_annotation a
            WHERE a.project_id = %(project)s AND a.category_id = c.id LIMIT %(cap)s) AS capped) AS number
        FROM (SELECT id, {column} FROM annotations_category
            WHERE project_id = %(project)s AND {column} <> '' AND strpos(lower({column}), lower(%(typed)s)) > 0
            ORDER BY {column} LIMIT %(names)s) AS c
    ) AS counted GROUP BY value
"""
_CAPPED_IMAGES = """
    SELECT value, (SELECT count(*) FROM (
        SELECT FROM assets_imageasset i WHERE i.project_id = %(project)s AND i.{column} = k.key LIMIT %(cap)s
    ) AS capped) AS number
    FROM ({keys}) AS k(key, value)
"""
_SPLITS = "SELECT id, name FROM assets_split WHERE project_id = %(project)s AND name <> '' LIMIT %(names)s"
_STATUSES = "SELECT status, status FROM unnest(%(choices)s::text[]) AS status"
_INSIDE_IMAGES = {
    "tag": "SELECT tag FROM {rows}, unnest(tags) AS tag",
    "issue": """
        SELECT issue FROM (
            SELECT {rows}.id, issue FROM {rows}, unnest({rows}.issues) AS issue
            UNION SELECT a.image_id, issue FROM {rows} JOIN annotations_annotation a
                ON a.project_id = %(project)s AND a.image_id = {rows}.id AND a.issues IS NOT NULL
            CROSS JOIN LATERAL unnest(a.issues) AS issue
        ) AS pairs
    """,
    "format": "SELECT format FROM {rows} WHERE format <> ''",
}
_OBJECTS = "{rows} JOIN annotations_annotation a ON a.image_id = {rows}.id"
_INSIDE_OBJECTS = {
    "source": f"SELECT a.source FROM {_OBJECTS} WHERE a.source <> ''",
    "annotation.issue": f"SELECT issue FROM {_OBJECTS}, unnest(a.issues) AS issue",
}


@dataclass(frozen=True)
class Found:
    """A value, in how many images it is (or objects, for fields of objects), and whether that is exact."""

    value: str | Word
    number: int | None = None
    exact: bool | None = None


def values(project: Project, field: Field, path: Sequence[str], typed: str, limit: int) -> list[Found]:
    """Values of the field that have the typed text in them, those that begin with it first, the frequent before the
    rare; none for fields whose values nobody picks from a list (numbers, dates, file names)."""
    words = {"project": project.pk, "typed": typed, "limit": limit, "longest": MAX_TEXT, "names": NAMES}
    match field.name:
        case "category" | "supercategory":
            column = "name" if field.name == "category" else "supercategory"
            return _capped(_CATEGORIES.format(column=column), words)
        case "split":
            return _capped(_CAPPED_IMAGES.format(column="split_id", keys=_SPLITS), words)
        case "status":
            keys = _CAPPED_IMAGES.format(column="status", keys=_STATUSES)
            return _capped(keys, {**words, "choices": list(field.choices)})
        case "keypoint":
            return [Found(choice) for choice in field.choices if choice.startswith(typed.lower())]
        case name if name in _INSIDE_IMAGES:
            return _sampled(project, _INSIDE_IMAGES[name], words, sampling.SAMPLE)
        case name if name in _INSIDE_OBJECTS:
            return _sampled(project, _INSIDE_OBJECTS[name], words, INSIDE)
    if field.kind is Kind.BOOLEAN:
        return [Found(Word(word)) for word in BOOLEANS if word.startswith(typed.lower())]
    if field.kind is Kind.JSON:
        return _json_values(project, field, path, words)
    return []


def keys(project: Project, field: Field, path: Sequence[str], typed: str, limit: int) -> list[Found]:
    """Keys at a path of a JSON field, or the names of keypoints."""
    if field.name == "keypoint":
        return [] if path else _keypoints(project, typed, limit)
    words = {"project": project.pk, "typed": typed, "limit": limit, "longest": MAX_TEXT, "path": list(path)}
    document = f"{_document(field)} #> %(path)s::text[]"
    statement = (
        f"SELECT jsonb_object_keys(CASE jsonb_typeof({document}) WHEN 'object' THEN {document} "
        f"ELSE jsonb_build_object() END) FROM {_rows_of(field)}"
    )
    return _sampled(project, statement, words, INSIDE)


def _keypoints(project: Project, typed: str, limit: int) -> list[Found]:
    """Names of keypoints in the order of the categories; those that begin with the typed text first."""
    categories = Category.objects.filter(project=project, meta__has_key="keypoints").order_by("coco_id", "pk")
    listed = categories.values_list("meta__keypoints", flat=True)[:NAMES]
    names = dict.fromkeys(name for each in listed for name in names_of(each) if 0 < len(name) <= MAX_TEXT)
    fitting = [name for name in names if typed.lower() in name.lower()]
    fitting.sort(key=lambda name: not name.lower().startswith(typed.lower()))
    return [Found(name) for name in fitting[:limit]]


def _json_values(project: Project, field: Field, path: Sequence[str], words: dict[str, Any]) -> list[Found]:
    document = f"{_document(field)} #> %(path)s::text[]"
    statement = (
        "SELECT CASE jsonb_typeof(element) WHEN 'string' THEN '\"' ELSE '#' END || (element #>> '{{}}') "
        f"FROM {_rows_of(field)} CROSS JOIN LATERAL jsonb_array_elements("
        f"CASE jsonb_typeof({document}) WHEN 'array' THEN {document} ELSE jsonb_build_array({document}) END"
        ") AS elements(element) WHERE jsonb_typeof(element) IN ('string', 'number', 'boolean')"
    )
    found = _sampled(project, statement, {**words, "path": list(path)}, INSIDE, marked=True)
    listed = [Found(_scalar(str(each.value)), each.number, each.exact) for each in found]
    return [
        replace(each, number=sum(other.number or 0 for other in listed if _is_found_by(each.value, other.value)))
        for each in listed
    ]


def _is_found_by(asked: str | Word, value: str | Word) -> bool:
    """Whether a query for the one finds the other: without quotes, `3` is the number, however written, and the text."""
    if asked == value:
        return True
    if isinstance(asked, str):
        return False
    if isinstance(value, str):
        return value == asked.text
    number = number_of(asked.text)
    return number is not None and number == number_of(value.text)


def _scalar(marked: str) -> str | Word:
    return marked[1:] if marked[0] == '"' else Word(marked[1:])


def _document(field: Field) -> str:
    return "a.attributes" if field.scope is Scope.OBJECT else "{rows}.metadata"


def _rows_of(field: Field) -> str:
    return _OBJECTS if field.scope is Scope.OBJECT else "{rows}"


def _capped(statement: str, words: dict[str, Any]) -> list[Found]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT value, number FROM ({statement}) AS counted {_PICKED}", {**words, "cap": CAP + 1})
        return [Found(value, min(number, CAP), number <= CAP) for value, number in cursor.fetchall()]


def _sampled(
    project: Project, statement: str, words: dict[str, Any], size: int, *, marked: bool = False
) -> list[Found]:
    """Count what the statement gives, over all images or a sample of them and the latest changed."""
    keys = sampling.keys(project, size)
    parts = [f"SELECT value, count(*) AS number FROM ({statement.format(rows='chosen')}) AS each(value) GROUP BY value"]
    tables = [f"chosen AS MATERIALIZED ({_IMAGES}{'' if keys is None else ' AND id = ANY(%(keys)s)'})"]
    if keys is not None:
        tables.append(f"latest AS MATERIALIZED ({_IMAGES} ORDER BY updated_at DESC, id DESC LIMIT {RECENT:d})")
        parts.append(f"SELECT DISTINCT value, 1 FROM ({statement.format(rows='latest')}) AS each(value)")
    counted = f"SELECT value, max(number) AS number FROM ({' UNION ALL '.join(parts)}) AS all_of GROUP BY value"
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {', '.join(tables)} SELECT value, number FROM ({counted}) AS counted "
            f"{_PICKED_MARKED if marked else _PICKED}",
            {**words, "keys": keys},
        )
        found = cursor.fetchall()
    if keys is None:
        return [Found(value, number, True) for value, number in found]
    share = estimate(ImageAsset.objects.filter(project=project)) / max(len(keys), 1)
    return [Found(value, round(number * share), False) for value, number in found]
