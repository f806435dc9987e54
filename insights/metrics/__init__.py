"""Metrics: named, documented counts of a project's images and annotations, each one pass of SQL."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from django.db import connection, transaction
from drf_spectacular.plumbing import resolve_type_hint

from insights.metrics import boxes, classes, history, images, leakage, objects, values
from insights.metrics.definition import VERSION, Family, Metric
from insights.metrics.figures import KINDS, Figures
from insights.metrics.selection import Selection

__all__ = ["METRICS", "VERSION", "Family", "Figures", "Metric", "Selection", "families", "measure", "schema"]

_ALL = (
    *classes.METRICS,
    *images.METRICS,
    *objects.METRICS,
    *boxes.METRICS,
    *values.METRICS,
    *history.METRICS,
    *leakage.METRICS,
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
# For one session: enough for the counts of a few hundred thousand pairs of bins without temporary files.
WORK_MEMORY = "128MB"


def families(names: Iterable[str]) -> Iterator[tuple[Family, list[Metric]]]:
    """The passes that give these metrics, each with what is wanted of it."""
    wanted = [METRICS[name] for name in dict.fromkeys(names)]
    for family in dict.fromkeys(metric.family for metric in wanted):
        yield family, [metric for metric in wanted if metric.family is family]


def measure(selection: Selection, names: Iterable[str]) -> dict[str, Figures]:
    """The figures of these metrics, computed here and now."""
    figures: dict[str, Figures] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [WORK_MEMORY])
        for family, metrics in families(names):
            found = family.measure(selection, metrics)
            figures |= {metric.name: found[metric.name] for metric in metrics}
    return figures


def schema(metric: Metric) -> dict[str, Any]:
    """The shape of the metric's figures, as OpenAPI has it."""
    return cast("dict[str, Any]", resolve_type_hint(KINDS[metric.kind]))
