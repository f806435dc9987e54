"""Figures in the database: looked up, computed from one state of the project, kept, asked for."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from psycopg.types.json import Jsonb

from accounts import metering
from annotations.query.parser import parse
from insights import metrics
from insights.metrics import METRICS, VERSION, Figures, Selection
from insights.models import MetricResult, PredictionResult
from projects.models import Project

# Figures of a query such as created>-7d, which means something else a moment later, are taken for fresh this long.
MOVING = timedelta(seconds=60)
ASKED_AGAIN = timedelta(hours=1)  # how exactly `asked_at` is kept
WITHOUT_LIMIT = 0


class OutOfTime(Exception):
    """The database did not finish within the time it was given."""


@dataclass(frozen=True)
class Counted:
    """Figures, and the state of the project that they were counted from."""

    figures: dict[str, Figures]
    revision: int
    at: datetime
    seconds: float


def key_of(q: str) -> str:
    """What a canonical query is looked up by."""
    return hashlib.sha256(q.encode()).hexdigest()


def kept(project: Project, q: str, names: Iterable[str]) -> dict[str, MetricResult]:
    """The last figures of these metrics, of whatever revision; rows without figures are asked for but not computed."""
    rows = MetricResult.objects.filter(project=project, query_key=key_of(q), metric__in=list(names), version=VERSION)
    return {row.metric: row for row in rows}


def is_fresh(row: MetricResult | PredictionResult, revision: int, selection: Selection) -> bool:
    """Whether the figures say how the project is now."""
    if row.revision != revision or row.computed_at is None:
        return False
    return not selection.depends_on_time or row.computed_at > timezone.now() - MOVING


def count(project: Project, q: str, names: Sequence[str], milliseconds: int = WITHOUT_LIMIT) -> Counted:
    """Compute metrics from one state of the project; OutOfTime if a statement takes longer than `milliseconds`."""
    start = time.monotonic()
    with one_state(project, milliseconds) as (revision, at):
        # The canonical form can be longer than what people may write.
        figures = metrics.measure(Selection(project, parse(q, max_characters=None)), names)
    return Counted(figures, revision, at, time.monotonic() - start)


@contextmanager
def one_state(project: Project, milliseconds: int) -> Iterator[tuple[int, datetime]]:
    """The project's revision, and when it had it; whatever is read inside is as it was then."""
    outermost = not connection.in_atomic_block
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            if outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # The first statement takes the snapshot, after the time that it says it started.
            cursor.execute(
                "SELECT revision, statement_timestamp(), current_setting('statement_timeout'),"
                " set_config('statement_timeout', %s, true) FROM projects_project WHERE id = %s",
                [str(milliseconds), project.pk],
            )
            revision, at, before, _ = cursor.fetchone()
            yield revision, at
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise OutOfTime from error
        raise


def statements(table: str, name: str) -> tuple[str, str]:
    """SQL that keeps figures in `table`, and that says somebody waits for them; column `name` says what they are of.

    Figures of an older state of the project never take the place of newer ones.
    """
    keep = f"""
        INSERT INTO {table} AS kept
            (project_id, {name}, query_key, query, version, revision, figures, computed_at, seconds)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (project_id, query_key, {name}) DO UPDATE SET
            version = excluded.version, revision = excluded.revision, figures = excluded.figures,
            computed_at = excluded.computed_at, seconds = excluded.seconds,
            wanted_at = CASE WHEN kept.wanted_at > excluded.computed_at THEN kept.wanted_at END
        WHERE kept.computed_at IS NULL OR kept.version <> excluded.version
            OR (kept.revision, kept.computed_at) <= (excluded.revision, excluded.computed_at)
    """  # noqa: S608 - our own words
    want = f"""
        INSERT INTO {table} AS kept (project_id, {name}, query_key, query, version, wanted_at)
        VALUES (%s, %s, %s, %s, %s, clock_timestamp())
        ON CONFLICT (project_id, query_key, {name}) DO UPDATE SET wanted_at = clock_timestamp()
    """  # noqa: S608
    return keep, want


_KEEP, _WANT = statements("insights_metricresult", "metric")


def keep(project: Project, q: str, counted: Counted) -> None:
    """Keep figures, unless newer ones are there already."""
    seconds = counted.seconds / max(1, len(counted.figures))
    for name in counted.figures:
        metering.observe("cocohub_metric_seconds", seconds, metric=name)
    place = key_of(q), q, VERSION
    rows: list[tuple[Any, ...]] = [
        (project.pk, name, *place, counted.revision, Jsonb(figures), counted.at, seconds)
        for name, figures in counted.figures.items()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_KEEP, rows)


def want(project: Project, q: str, names: Iterable[str]) -> None:
    """Say that these figures are waited for."""
    with connection.cursor() as cursor:
        cursor.executemany(_WANT, [(project.pk, name, key_of(q), q, VERSION) for name in names])


def note_asked(rows: Iterable[MetricResult]) -> None:
    """Remember that somebody looked at these; at most once an hour."""
    long_ago = timezone.now() - ASKED_AGAIN
    old = [row.pk for row in rows if row.asked_at < long_ago]
    if old:
        MetricResult.objects.filter(pk__in=old).update(asked_at=timezone.now())


def behind(project: Project) -> dict[str, list[str]]:
    """What is to be computed, by query: what is waited for, and every metric of the whole project that is not fresh."""
    revision = Project.objects.values_list("revision", flat=True).get(pk=project.pk)
    whole = kept(project, "", METRICS)
    wanted = {"": [name for name in METRICS if name not in whole or whole[name].revision != revision]}
    rows = MetricResult.objects.filter(project=project, wanted_at__isnull=False, metric__in=list(METRICS))
    for q, name in rows.order_by("wanted_at").values_list("query", "metric"):
        if name not in wanted.setdefault(q, []):
            wanted[q].append(name)
    return {q: names for q, names in wanted.items() if names}


def forget_unread(days: int = 7) -> int:
    """Delete figures of queries, and evaluations, that nobody has asked for; how many."""
    long_ago = timezone.now() - timedelta(days=days)
    figures = MetricResult.objects.filter(~Q(query=""), asked_at__lt=long_ago).delete()[0]
    return figures + PredictionResult.objects.filter(asked_at__lt=long_ago).delete()[0]
