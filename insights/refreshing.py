"""Computing figures in the background: one task for a project at a time, which computes whatever is not fresh.

Who needs figures says so in their rows (`results.want`) and then asks for a task; if one is under way, none is added.
When a task has ended it is looked again whether something is waited for, so that nothing asked for meanwhile is lost.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from assets.models import ImageAsset
from insights import results
from insights.metrics import METRICS, VERSION, families
from insights.models import MetricResult
from insights.predictions import keeping
from projects import jobs
from projects.models import Project, Task

ROUNDS = 3  # of one task; a project that is written to all the time is left to the next one
RESTS = 4  # after a refresh, a project is left alone for so many times as long as the refresh took
AT_ONCE = 100  # projects per tick of the beat
AT_A_TIME = 2  # passes over a large project: one of them rarely keeps all cores busy
LARGE = 200_000  # annotations
LIMIT_MS = 10 * 60 * 1000  # of one statement
FAILED_RECENTLY = "1 hour"

Progress = Callable[[str, int, int | None], None]

_BEHIND = """
    SELECT p.id FROM projects_project p
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE m.revision = p.revision AND m.version = %(version)s) AS fresh,
            max(m.computed_at) AS computed_at, COALESCE(sum(m.seconds), 0) AS seconds
        FROM insights_metricresult m
        WHERE m.project_id = p.id AND m.query_key = %(whole)s AND m.metric = ANY(%(names)s::text[])
    ) AS kept ON TRUE
    WHERE NOT p.deleting AND p.revision > 0 AND kept.fresh < cardinality(%(names)s::text[])
        AND (kept.computed_at IS NULL
            OR kept.computed_at + make_interval(secs => (1 + %(rests)s) * kept.seconds) < clock_timestamp())
        AND NOT EXISTS (
            SELECT 1 FROM projects_task t WHERE t.project_id = p.id AND t.kind = 'insights' AND (
                t.status IN ('queued', 'running')
                OR (t.status = 'failed' AND t.finished_at > clock_timestamp() - %(pause)s::interval)
            )
        )
    ORDER BY kept.computed_at NULLS FIRST LIMIT %(limit)s
"""


def request(project: Project) -> bool:
    """Have a worker compute what is not fresh; whether a task was added, for there may be one already."""
    return _begin(project, publish=True) is not None


def _begin(project: Project, *, publish: bool) -> Task | None:
    """A task for the project; None if there is one already."""
    running = Task.objects.unfinished().filter(project=project, kind=Task.Kind.INSIGHTS)
    if running.exists():
        return None
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Not the project's row: whoever reads must not wait for whoever imports.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"insights {project.pk}"])
        if running.exists():
            return None
        task = jobs.create_task(project, Task.Kind.INSIGHTS, None)
        if publish:
            jobs.publish(task)
    return task


def compute_here(project: Project, q: str, progress: Progress) -> Task | None:
    """Compute in this process what is not fresh of the dashboard, and of what the canonical `q` selects.

    The finished task, which tells how it went; None where a worker is at it, which then computes all of it.
    """
    if q:
        results.want(project, q, METRICS)
    task = _begin(project, publish=False)
    if task is None:  # one that waits is taken from the workers
        task = Task.objects.filter(project=project, kind=Task.Kind.INSIGHTS, status=Task.Status.QUEUED).first()
    if task is None:
        return None

    def work(claim: jobs.Claim) -> dict[str, Any]:
        return refresh(claim, progress)

    jobs.run(task.pk, work)
    task.refresh_from_db()
    return task if task.is_finished else None


def refresh(claim: jobs.Claim, tell: Progress | None = None) -> dict[str, Any]:
    """Compute what is waited for and what the whole project's dashboard lacks; how much, and in how many rounds."""
    tell = tell or (lambda phase, done, total: None)
    done = {"metrics": 0, "evaluations": 0, "rounds": 0}
    for _ in range(ROUNDS):
        metrics, evaluations = results.behind(claim.project), keeping.wanted(claim.project)
        if not metrics and not evaluations:
            break
        done["metrics"] += _compute(claim, metrics, tell)
        done["evaluations"] += _evaluate(claim, evaluations)
        done["rounds"] += 1
    return done


def _compute(claim: jobs.Claim, wanted: Mapping[str, list[str]], tell: Progress) -> int:
    passes = [(q, [metric.name for metric in of_pass]) for q, names in wanted.items() for _, of_pass in families(names)]
    total, done = sum(len(names) for _, names in passes), 0
    claim.progress("metrics", done, total)
    for number in compute(claim.project, passes):
        done += number
        claim.progress("metrics", done, total)
        tell("metrics", done, total)
    return done


def compute(project: Project, passes: Sequence[tuple[str, list[str]]]) -> Iterator[int]:
    """Compute the passes, in a large project two at a time, each on its own connection; yields how many metrics."""
    if len(passes) < AT_A_TIME or _annotations(project) < LARGE:
        for q, names in passes:
            yield _count_and_keep(project, q, names)
        return
    pool = ThreadPoolExecutor(AT_A_TIME, "insights")
    try:
        futures = [pool.submit(_on_its_own, project, q, names) for q, names in _longest_first(project, passes)]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _longest_first(project: Project, passes: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """By what they took the last time, the unknown before all: so that none is still at work long after the others."""
    rows = MetricResult.objects.filter(project=project, seconds__isnull=False)
    took = {(q, name): seconds or 0.0 for q, name, seconds in rows.values_list("query", "metric", "seconds")}
    return sorted(passes, key=lambda each: -sum(took.get((each[0], name), math.inf) for name in each[1]))


def _count_and_keep(project: Project, q: str, names: Sequence[str]) -> int:
    results.keep(project, q, results.count(project, q, names, LIMIT_MS))
    return len(names)


def _on_its_own(project: Project, q: str, names: Sequence[str]) -> int:
    try:
        return _count_and_keep(project, q, names)
    finally:
        connection.close()  # this thread's


def _annotations(project: Project) -> int:
    return ImageAsset.objects.filter(project=project).aggregate(all=Sum("annotation_count"))["all"] or 0


def _evaluate(claim: jobs.Claim, wanted: Sequence[tuple[str, str]]) -> int:
    for source, q in wanted:
        keeping.make(
            claim.project,
            source,
            q,
            milliseconds=LIMIT_MS,
            progress=lambda done, total: claim.progress("predictions", done, total),
        )
    return len(wanted)


def ended(task: Task) -> None:
    """After a task: start another if something is waited for, and forget the tasks before."""
    if task.project is None:
        return
    older = Task.objects.filter(project=task.project, kind=Task.Kind.INSIGHTS, created_at__lt=task.created_at)
    older.exclude(pk=task.pk).exclude(pk__in=older.unfinished()).delete()
    waiting = MetricResult.objects.filter(project=task.project, wanted_at__isnull=False, metric__in=list(METRICS))
    if task.status == Task.Status.SUCCEEDED and (waiting.exists() or keeping.wanted(task.project)):
        request(task.project)


def refresh_behind() -> int:
    """Ask for tasks for the projects whose dashboards are behind; for how many.

    A project that is written to all the time is refreshed again only after a rest in proportion to its size.
    """
    values: dict[str, Any] = {
        "version": VERSION,
        "whole": results.key_of(""),
        "names": list(METRICS),
        "rests": RESTS,
        "pause": FAILED_RECENTLY,
        "limit": AT_ONCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, values)
        found = [row[0] for row in cursor.fetchall()]
    return sum(request(project) for project in Project.objects.filter(pk__in=found))
