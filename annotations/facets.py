"""How many images of a query have each tag, category, split, status and issue: all five in one statement."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from annotations import query, sampling
from annotations.counting import estimate
from annotations.remembering import Question
from assets.models import ImageAsset, ImageAssetQuerySet
from projects.models import Project

NAMES = ("tags", "categories", "splits", "statuses", "issues")
LIMIT, MAX_LIMIT = 50, 500  # values per facet
CAP = 10_000  # images that are looked at one by one
FEW = 2  # times as many images as the sample has: so many are looked at without one

_FACETS = {
    "tags": "SELECT tag AS value, count(*) AS images FROM chosen, unnest(tags) AS tag GROUP BY tag",
    # Splits may number one name differently; the query language takes them together too.
    "categories": """
        SELECT named.name AS value, counted.images
        FROM (
            SELECT one, count(*) AS images FROM (
                SELECT DISTINCT a.image_id, c.one FROM chosen
                JOIN annotations_annotation a ON a.image_id = chosen.id
                JOIN named c ON c.id = a.category_id
            ) AS pairs GROUP BY one
        ) AS counted JOIN named ON named.id = counted.one
    """,
    "splits": """
        SELECT s.name AS value, count(*) AS images FROM chosen JOIN assets_split s ON s.id = chosen.split_id
        GROUP BY s.name
    """,
    "statuses": "SELECT status AS value, count(*) AS images FROM chosen GROUP BY status",
    # As `issue:` in a query: those of an image and those of its annotations.
    "issues": """
        SELECT issue AS value, count(*) AS images
        FROM (
            SELECT chosen.id, issue FROM chosen, unnest(issues) AS issue
            UNION SELECT a.image_id, issue FROM chosen
            JOIN annotations_annotation a
                ON a.project_id = chosen.project_id AND a.image_id = chosen.id AND a.issues IS NOT NULL
            CROSS JOIN LATERAL unnest(a.issues) AS issue
        ) AS pairs GROUP BY issue
    """,
}

_FEW = "(SELECT count(*) FROM found) <= {most:d}"  # looked at once, before anything is read
# Categories of one name, and one of them that stands for all: numbers are quicker to compare than names.
_NAMED = """
    named AS MATERIALIZED (
        SELECT id, name, min(id) OVER (PARTITION BY name) AS one FROM annotations_category WHERE project_id = %s
    )
"""


@dataclass(frozen=True)
class Facets:
    """Numbers of images by value, the greatest first; estimates where `sample` says of how many images."""

    count: int
    count_is_exact: bool
    sample: int | None
    values: dict[str, list[tuple[str, int]]]

    @property
    def exact(self) -> bool:
        """Whether every image was counted."""
        return self.sample is None


def facets(project: Project, q: str, *, names: tuple[str, ...] = NAMES, limit: int = LIMIT) -> Facets:
    """The facets of what `q` selects, `limit` values of each.

    Exact where the query finds no more than the cap of counts (10,000 images), or the project has few enough to look at
    all of them. Else the images of an evenly spread sample are counted, and the numbers are scaled to the project.
    """
    question: Question[Facets] = Question(project, "facets", q, f"{limit:d}", *names)
    return question.answer(lambda: _find(project, q, names, limit))


def _find(project: Project, q: str, names: tuple[str, ...], limit: int) -> Facets:
    rows = query.filter_images(ImageAsset.objects.all(), project, q)
    found = _counted(project, rows.order_by().first_rows(CAP + 1), names, limit, most=CAP)
    if found.number <= CAP:
        return Facets(found.number, True, None, found.values)
    everything = estimate(ImageAsset.objects.filter(project=project))
    if everything <= FEW * sampling.SAMPLE:
        found = _counted(project, rows.order_by().apart(), names, limit)
        return Facets(found.number, True, None, found.values)
    found = _counted(project, sampling.spread_among(rows, project).order_by().apart(), names, limit, sampled=True)
    share = everything / found.sample if found.sample else 0
    number = max(CAP + 1, round(found.number * share) or estimate(rows))
    scaled = {name: [(value, round(images * share)) for value, images in each] for name, each in found.values.items()}
    return Facets(number, False, found.number, scaled)


class _Counted(NamedTuple):
    """The facets of some rows, how many rows there are, and how many images the sample has that they are from."""

    values: dict[str, list[tuple[str, int]]]
    number: int
    sample: int


def _counted(
    project: Project,
    rows: ImageAssetQuerySet,
    names: tuple[str, ...],
    limit: int,
    *,
    most: int | None = None,
    sampled: bool = False,
) -> _Counted:
    """One statement; no facets where there are more rows than `most`."""
    columns = rows.values("id", "project_id", "tags", "status", "split_id", "issues")
    found, params = columns.query.sql_with_params()
    tables = [
        f"found AS MATERIALIZED ({found})",
        f"chosen AS MATERIALIZED (SELECT * FROM found WHERE {_FEW.format(most=most) if most is not None else 'TRUE'})",
        _NAMED,
    ]
    parts = [
        f"(SELECT '{name}', value, images FROM ({_FACETS[name]}) AS {name} ORDER BY images DESC, value LIMIT {limit:d})"
        for name in names
    ]
    heads = ["SELECT '', '', count(*) FROM found"]
    values_of_sample: list[int] = []
    if sampled:
        text, values_of_sample = sampling.size_of_spread(project)
        heads.append(f"SELECT '', 'sample', ({text})")
    statement = f"WITH {', '.join(tables)} {' UNION ALL '.join([*heads, *parts])}"
    values: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    sizes = {"": 0, "sample": 0}
    with connection.cursor() as cursor:
        cursor.execute(statement, [*params, project.pk, *values_of_sample])
        for name, value, images in cursor.fetchall():
            if name:
                values[name].append((value, images))
            else:
                sizes[value] = images
    return _Counted(values, sizes[""], sizes["sample"])


def as_json(found: Facets) -> dict[str, Any]:
    """The facets as the API gives them."""
    listed = {
        name: [{"value": value, "count": images} for value, images in values] for name, values in found.values.items()
    }
    head = {"count": found.count, "count_is_exact": found.count_is_exact, "exact": found.exact, "sample": found.sample}
    return {**head, **listed}
