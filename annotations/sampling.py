"""A bounded part of a project's images that stands for all of them."""

from django.db import connection
from django.db.models import F
from django.db.models.expressions import RawSQL

from annotations.query.conditions import compared
from assets.models import ImageAsset, ImageAssetQuerySet
from projects.models import Project

RUNS, RUN = 100, 200  # stretches of neighbouring images, spread evenly over the project, and images in each
SAMPLE = RUNS * RUN

# Neighbours, because reading them costs little; many runs, because neighbours are alike.
_SPREAD = """
    SELECT DISTINCT near.id
    FROM (SELECT min(id) AS low, max(id) AS high FROM assets_imageasset WHERE project_id = %s) AS ends
    CROSS JOIN generate_series(0, %s - 1) AS run(number)
    CROSS JOIN LATERAL (
        SELECT id FROM assets_imageasset WHERE project_id = %s AND id >= low + (high - low) * run.number / %s
        ORDER BY id LIMIT %s
    ) AS near
"""


def spread(project: Project, size: int = SAMPLE) -> list[int]:
    """Keys of about `size` images, the same ones each time the project is the same. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_SPREAD, _parameters(project, size))
        return [key for (key,) in cursor]


def spread_among(rows: ImageAssetQuerySet, project: Project, size: int = SAMPLE) -> ImageAssetQuerySet:
    """Those of the images that are in the sample, which is read in the same statement."""
    sample = RawSQL(f"ARRAY({_SPREAD})", _parameters(project, size))  # noqa: S611 - our own words
    return rows.filter(compared(F("pk"), "= ANY", sample))


def size_of_spread(project: Project, size: int = SAMPLE) -> tuple[str, list[int]]:
    """SQL, with its parameters, for how many images that sample has."""
    return f"SELECT count(*) FROM ({_SPREAD}) AS sample", _parameters(project, size)  # noqa: S608 - our own words


def _parameters(project: Project, size: int) -> list[int]:
    return [project.pk, RUNS, project.pk, RUNS, max(1, size // RUNS)]


def keys(project: Project, size: int = SAMPLE) -> list[int] | None:
    """Keys of a sample of this size; None if the project has no more images than that. One or two statements."""
    everything = ImageAsset.objects.filter(project=project)
    if everything.order_by().values("pk")[: size + 1].count() <= size:
        return None
    return spread(project, size)
