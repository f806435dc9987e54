"""How many images of a query have each tag, category, split, status and issue: all five in one statement."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotations import query, sampling
from annotations.counting import CAP, count
from assets.models import ImageAsset, ImageAssetQuerySet
from projects.models import Project

NAMES = ("tags", "categories", "splits", "statuses", "issues")
LIMIT, MAX_LIMIT = 50, 500  # values per facet

_FACETS = {
    "tags": "SELECT tag AS value, count(*) AS images FROM chosen, unnest(tags) AS tag GROUP BY tag",
    # Splits may number one name differently; the query language takes them together too.
    "categories": """
        SELECT name AS value, count(*) AS images
        FROM (
            SELECT DISTINCT a.image_id, c.name FROM chosen
            JOIN annotations_annotation a ON a.image_id = chosen.id
            JOIN annotations_category c ON c.id = a.category_id
        ) AS pairs GROUP BY name
    """,
    "splits": """
        SELECT s.name AS value, count(*) AS images FROM chosen JOIN assets_split s ON s.id = chosen.split_id
        GROUP BY s.name
    """,
    "statuses": "SELECT status AS value, count(*) AS images FROM chosen GROUP BY status",
    "issues": "SELECT issue AS value, count(*) AS images FROM chosen, unnest(issues) AS issue GROUP BY issue",
}


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

    Exact where the query finds no more than the cap of counts (10,000 images). Above it the images of an evenly spread
    sample are counted, and the numbers are scaled to the estimated total.
    """
    rows = query.filter_images(ImageAsset.objects.all(), project, q)
    number, exact = count(rows, CAP)
    if exact:
        return Facets(number, True, None, _counted(rows, names, limit)[0])
    values, size = _counted(sampling.spread_among(rows, project), names, limit)
    share = number / size if size else 0
    scaled = {name: [(value, round(images * share)) for value, images in found] for name, found in values.items()}
    return Facets(number, False, size, scaled)


def _counted(
    rows: ImageAssetQuerySet, names: tuple[str, ...], limit: int
) -> tuple[dict[str, list[tuple[str, int]]], int]:
    chosen, params = (
        rows.order_by().apart().values("id", "tags", "status", "split_id", "issues").query.sql_with_params()
    )
    parts = " UNION ALL ".join(
        f"(SELECT '{name}', value, images FROM ({_FACETS[name]}) AS {name} ORDER BY images DESC, value LIMIT {limit:d})"
        for name in names
    )
    whole = "SELECT '', '', count(*) FROM chosen"
    statement = f"WITH chosen AS MATERIALIZED ({chosen}) {whole} UNION ALL {parts}"
    values: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    size = 0
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        for name, value, images in cursor.fetchall():
            if name:
                values[name].append((value, images))
            else:
                size = images
    return values, size


def as_json(found: Facets) -> dict[str, Any]:
    """The facets as the API gives them."""
    listed = {
        name: [{"value": value, "count": images} for value, images in values] for name, values in found.values.items()
    }
    head = {"count": found.count, "count_is_exact": found.count_is_exact, "exact": found.exact, "sample": found.sample}
    return {**head, **listed}
