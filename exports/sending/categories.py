"""The categories of an export and the attributes of their annotations, as CVAT's labels are to have them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotations.models import Annotation, Category, Kind
from exports.cvat.labelling import MAX_VALUE, MAX_VALUES
from exports.cvat.naming import attribute_names
from exports.cvat.shapes import COCO_ID, IS_CROWD
from exports.rendering import WANTED, Selection
from exports.snapshots import FrozenAttribute, FrozenCategory

MOST_OFFERED = 30  # different values that are still offered as a list
MOST_ATTRIBUTES = 40  # of one category
ABSENT = "-"  # what a list offers for "the record has no value"
# What CVAT's own exports write beside the attributes; `occluded` is the shape's own flag, the others say nothing here.
OWN_WORDS = frozenset({"occluded", "rotation", "track_id", "keyframe", "score", COCO_ID, IS_CROWD})
SIMPLE = ("boolean", "number", "string")


@dataclass
class _Seen:
    """What the values of one attribute of one category are, over all annotations chosen."""

    kinds: dict[str, int]
    values: list[str]
    different: int
    longest: int
    whole: bool
    total: int  # annotations of the category

    @property
    def count(self) -> int:
        """Annotations that have it."""
        return sum(self.kinds.values())


def categories_of(selection: Selection) -> list[FrozenCategory]:
    """Every category of the project that the chosen annotations use, and all others too: people draw new ones."""
    used = _attributes()
    found = []
    for category in Category.objects.filter(project=selection.project).order_by("coco_id", "pk"):
        keypoints, skeleton = _skeleton(category.meta)
        names = used.get(category.pk, {})
        given = attribute_names(names)
        attributes = {name: _attribute(given[name], seen) for name, seen in names.items()}
        found.append(
            FrozenCategory(
                key=category.pk,
                coco_id=category.coco_id,
                name=category.name,
                supercategory=category.supercategory,
                color=category.color,
                keypoints=keypoints,
                skeleton=skeleton,
                attributes=attributes,
            )
        )
    return found


def _skeleton(meta: Any) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of keypoints and edges (counted from 1) of a category's other fields; none where they are no such thing."""
    points = meta.get("keypoints") if isinstance(meta, dict) else None
    if not isinstance(points, list) or not points:
        return (), ()
    edges = meta.get("skeleton")
    pairs = [edge for edge in edges if _is_edge(edge)] if isinstance(edges, list) else []
    return tuple(str(point) for point in points), tuple((edge[0], edge[1]) for edge in pairs)


def _is_edge(edge: Any) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and all(type(end) is int for end in edge)


def _attributes() -> dict[int, dict[str, _Seen]]:
    """By category and name: the simple values that the chosen annotations have."""
    annotation = Annotation._meta.db_table
    chosen = f"{annotation} a JOIN chosen_image s ON s.id = a.image_id WHERE a.kind = {int(Kind.OBJECT)} AND {WANTED}"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT a.category_id, count(*) FROM {chosen} GROUP BY 1")
        totals: dict[int, int] = dict(cursor.fetchall())
        cursor.execute(
            f"""
            SELECT category_id, name, kind, count(*), count(DISTINCT value),
                (array_agg(DISTINCT value))[1:{MOST_OFFERED + 1}], max(length(value)),
                bool_and(kind <> 'number' OR value ~ '^-?[0-9]{{1,9}}$')
            FROM (
                SELECT a.category_id, e.key AS name, jsonb_typeof(e.value) AS kind, e.value #>> '{{}}' AS value
                FROM {annotation} a JOIN chosen_image s ON s.id = a.image_id
                CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(a.attributes) = 'object' THEN a.attributes
                    ELSE '{{}}' END) e
                WHERE a.kind = {int(Kind.OBJECT)} AND {WANTED} AND a.category_id IS NOT NULL
            ) each_value
            WHERE kind = ANY(%s) AND name <> ALL(%s)
            GROUP BY category_id, name, kind ORDER BY category_id, name, kind
            """,
            [list(SIMPLE), list(OWN_WORDS)],
        )
        rows = cursor.fetchall()
    found: dict[int, dict[str, _Seen]] = defaultdict(dict)
    for category, name, kind, count, different, values, longest, whole in rows:
        seen = found[category].get(name)
        if seen is None:
            if len(found[category]) >= MOST_ATTRIBUTES or not name.strip():
                continue
            seen = found[category][name] = _Seen({}, [], 0, 0, True, totals.get(category, 0))
        seen.kinds[kind] = count
        seen.values += values
        seen.different += different
        seen.longest = max(seen.longest, longest)
        seen.whole = seen.whole and whole
    return dict(found)


def _attribute(name: str, seen: _Seen) -> FrozenAttribute:
    kinds = tuple(sorted(seen.kinds))
    if kinds == ("boolean",):
        return FrozenAttribute(name, "checkbox", "false", (), kinds)
    if kinds == ("number",) and seen.whole and seen.count == seen.total:
        # CVAT's numbers have limits: wide ones, for nobody here knows which are meant.
        least = min(0, *(int(value) for value in seen.values))
        default = str(max(0, least))
        return FrozenAttribute(name, "number", default, (str(min(least, -(10**9))), str(10**9), "1"), kinds)
    if kinds == ("string",) and seen.different <= MOST_OFFERED and _can_be_offered(seen.values):
        return FrozenAttribute(name, "select", ABSENT, (ABSENT, *sorted(seen.values)), kinds, ABSENT)
    return FrozenAttribute(name, "text", "", (), kinds, "")


def _can_be_offered(values: Sequence[str]) -> bool:
    longest, together = max(map(len, values), default=0), sum(len(value) + 1 for value in values)
    if ABSENT in values or longest > MAX_VALUE or together > MAX_VALUES // 2:
        return False
    return all(value and value == value.strip() and value.isprintable() for value in values)
