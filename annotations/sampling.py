"""A bounded part of a project's images that stands for all of them."""

from django.db import connection
from django.db.models import F, QuerySet

from annotations.query.conditions import one_of
from assets.models import ImageAsset
from projects.models import Project

RUNS, RUN = 100, 200  # stretches of neighbouring images, spread evenly over the project, and images in each
SAMPLE = RUNS * RUN

# Neighbours, because reading them costs little; many runs, because neighbours are alike.
_SPREAD = """
    SELECT DISTINCT near.id
    FROM (SELECT min(id) AS low, max(id) AS high FROM assets_imageasset WHERE project_id = %(project)s) AS ends
    CROSS JOIN generate_series(0, %(runs)s - 1) AS run(number)
    CROSS JOIN LATERAL (
        SELECT id FROM assets_imageasset
        WHERE project_id = %(project)s AND id >= low + (high - low) * run.number / %(runs)s
        ORDER BY id LIMIT %(length)s
    ) AS near
"""


def spread(project: Project, size: int = SAMPLE) -> list[int]:
    """Keys of about `size` images, the same ones each time the project is the same. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_SPREAD, {"project": project.pk, "runs": RUNS, "length": max(1, size // RUNS)})
        return [key for (key,) in cursor]


def keys(project: Project, size: int = SAMPLE) -> list[int] | None:
    """Keys of a sample of this size; None if the project has no more images than that. One or two statements."""
    everything = ImageAsset.objects.filter(project=project)
    if everything.order_by().values("pk")[: size + 1].count() <= size:
        return None
    return spread(project, size)


def among(rows: QuerySet[ImageAsset], keys: list[int]) -> QuerySet[ImageAsset]:
    """Those of the images that have one of these keys."""
    return rows.filter(one_of(F("pk"), keys))
