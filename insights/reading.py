"""Reading figures: fresh if they are at hand or come soon, otherwise the last ones, marked."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from accounts import metering
from insights import refreshing, results
from insights.metrics import METRICS, Selection, families
from insights.models import MetricResult
from projects.models import Project

SOON = 0.01  # seconds; with less than this left, nothing is begun


@dataclass(frozen=True)
class Reading:
    """A metric as it was found.

    Fresh figures are neither `stale` (counted at an older `revision` of the project) nor `pending` (there are none
    yet); for both, fresh ones are on their way. `computed_at` says when the counting began, `seconds` how long it took.
    """

    metric: str
    q: str
    revision: int | None
    computed_at: datetime | None
    seconds: float | None
    stale: bool
    pending: bool
    figures: Any


def read(project: Project, names: Iterable[str], q: str = "", *, wait_ms: int | None = None) -> list[Reading]:
    """The metrics for what `q` selects, in order. QueryError if it is no query.

    What is not fresh is computed, as far as `wait_ms` (settings.METRIC_WAIT_MS) allows; a worker computes the rest.
    """
    names = list(dict.fromkeys(names))
    selection = Selection(project, q)
    revision = Project.objects.values_list("revision", flat=True).get(pk=project.pk)
    rows = results.kept(project, selection.q, names)
    missing = [name for name in names if name not in rows or not results.is_fresh(rows[name], revision, selection)]
    metering.count("cocohub_cache_reads", len(names) - len(missing), cache="insights", outcome="hit")
    metering.count("cocohub_cache_reads", len(missing), cache="insights", outcome="miss")
    computed: dict[str, Reading] = {}
    if missing:
        wait = settings.METRIC_WAIT_MS if wait_ms is None else wait_ms
        computed = _compute(project, selection.q, missing, rows, time.monotonic() + wait / 1000)
        late = [name for name in missing if name not in computed]
        if late:
            results.want(project, selection.q, late)
            refreshing.request(project)
    results.note_asked(rows.values())
    return [
        computed[name] if name in computed else _as_kept(name, selection.q, rows.get(name), stale=name in missing)
        for name in names
    ]


def _compute(
    project: Project, q: str, names: list[str], rows: dict[str, MetricResult], deadline: float
) -> dict[str, Reading]:
    """What can be computed in time. A pass that took longer than is left the last time is not begun."""
    found: dict[str, Reading] = {}
    for _, wanted in sorted(families(names), key=lambda each: _expected(rows, [metric.name for metric in each[1]])):
        of_pass = [metric.name for metric in wanted]
        left = deadline - time.monotonic()
        if left < SOON or _expected(rows, of_pass) > left:
            continue
        try:
            counted = results.count(project, q, of_pass, int(left * 1000))
        except results.OutOfTime:
            continue
        results.keep(project, q, counted)
        each_took = counted.seconds / len(of_pass)
        for name in of_pass:
            found[name] = Reading(name, q, counted.revision, counted.at, each_took, False, False, counted.figures[name])
    return found


def _expected(rows: dict[str, MetricResult], names: list[str]) -> float:
    """Seconds that the last computation took."""
    return sum(rows[name].seconds or 0 for name in names if name in rows)


def _as_kept(name: str, q: str, row: MetricResult | None, *, stale: bool) -> Reading:
    if row is None or row.computed_at is None:
        return Reading(name, q, None, None, None, False, True, None)
    return Reading(name, q, row.revision, row.computed_at, row.seconds, stale, False, row.figures)


def dashboard(project: Project, q: str = "", *, wait_ms: int | None = None) -> list[Reading]:
    """All metrics."""
    return read(project, METRICS, q, wait_ms=wait_ms)
