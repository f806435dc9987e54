"""Evaluations in the database: looked up, made from one state of the project, kept, asked for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone
from psycopg.types.json import Jsonb

from annotations.models import Annotation
from annotations.query.parser import parse
from assets.models import Split
from insights import results
from insights.metrics.selection import Selection
from insights.models import PredictionResult
from insights.predictions.figures import VERSION, Progress
from projects.models import Project

_KEEP, _WANT = results.statements("insights_predictionresult", "source")


@dataclass(frozen=True)
class Found:
    """An evaluation as it was found; `stale` and `pending` are those of a metric's reading."""

    source: str
    q: str
    revision: int | None
    computed_at: datetime | None
    seconds: float | None
    stale: bool
    pending: bool
    figures: Any


def kept(project: Project, source: str, q: str) -> PredictionResult | None:
    """The last one, of whatever revision; a row without figures is asked for but not made."""
    rows = PredictionResult.objects.filter(project=project, source=source, query_key=results.key_of(q), version=VERSION)
    return rows.first()


def make(
    project: Project,
    source: str,
    q: str,
    *,
    milliseconds: int = results.WITHOUT_LIMIT,
    progress: Progress = lambda done, total: None,
) -> Found:
    """Evaluate one state of the project, and keep it. OutOfTime if a statement takes longer than `milliseconds`."""
    from insights.predictions import evaluation  # with libraries that take 10 MB: for those who evaluate

    start = time.monotonic()
    with results.one_state(project, milliseconds) as (revision, at):
        selection = Selection(project, parse(q, max_characters=None))
        figures = evaluation.evaluate(selection, source, progress=progress)
    seconds = time.monotonic() - start
    values = [*_place(project, source, q), VERSION, revision, Jsonb(figures), at, seconds]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)
    return Found(source, q, revision, at, seconds, False, False, figures)


def splits_of(project: Project, source: str) -> dict[int, str]:
    """The splits for which the source has predicted anything, by key."""
    rows = Annotation.objects.filter(project=project, is_machine=True, source=source)
    keys = list(rows.order_by().values_list("split_id", flat=True).distinct())
    return dict(Split.objects.filter(project=project, pk__in=keys).order_by("name").values_list("pk", "name"))


def want(project: Project, source: str, q: str) -> None:
    """Say that this one is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(_WANT, [*_place(project, source, q), VERSION])


def wanted(project: Project) -> Sequence[tuple[str, str]]:
    """(source, query) of what is waited for, the longest wait first."""
    rows = PredictionResult.objects.filter(project=project, wanted_at__isnull=False)
    return list(rows.order_by("wanted_at").values_list("source", "query"))


def note_asked(row: PredictionResult) -> None:
    """Remember that somebody looked at it; at most once an hour."""
    if row.asked_at < timezone.now() - results.ASKED_AGAIN:
        PredictionResult.objects.filter(pk=row.pk).update(asked_at=timezone.now())


def _place(project: Project, source: str, q: str) -> tuple[Any, ...]:
    return project.pk, source, results.key_of(q), q
