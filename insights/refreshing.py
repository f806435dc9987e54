"""Computing figures in the background: one task for a project at a time, which computes whatever is not fresh.

Who needs figures says so in their rows (`results.want`) and then asks for a task; if one is under way, none is added.
When a task has ended it is looked again whether something is waited for, so that nothing asked for meanwhile is lost.
"""

from typing import Any

from django.db import connection, transaction

from insights import results
from insights.metrics import METRICS, VERSION, families
from insights.models import MetricResult
from projects import jobs
from projects.models import Project, Task

ROUNDS = 3  # of one task; a project that is written to all the time is left to the next one
RESTS = 4  # after a refresh, a project is left alone for so many times as long as the refresh took
AT_ONCE = 100  # projects per tick of the beat
METRIC_LIMIT_MS = 10 * 60 * 1000
FAILED_RECENTLY = "1 hour"

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
    running = Task.objects.unfinished().filter(project=project, kind=Task.Kind.INSIGHTS)
    if running.exists():
        return False
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Not the project's row: whoever reads must not wait for whoever imports.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"insights {project.pk}"])
        if running.exists():
            return False
        jobs.publish(jobs.create_task(project, Task.Kind.INSIGHTS, None))
    return True


def refresh(claim: jobs.Claim) -> dict[str, Any]:
    """Compute what is waited for and what the whole project's dashboard lacks; how many metrics and rounds it were."""
    project, computed = claim.project, 0
    for number in range(1, ROUNDS + 1):
        wanted = results.behind(project)
        if not wanted:
            return {"metrics": computed, "rounds": number - 1}
        total, done = sum(map(len, wanted.values())), 0
        for q, names in wanted.items():
            for _, of_pass in families(names):
                claim.progress("metrics", done, total)
                counted = results.count(project, q, [metric.name for metric in of_pass], METRIC_LIMIT_MS)
                results.keep(project, q, counted)
                done += len(of_pass)
        computed += done
    return {"metrics": computed, "rounds": ROUNDS}


def ended(task: Task) -> None:
    """After a task: start another if something is waited for, and forget the tasks before."""
    if task.project is None:
        return
    older = Task.objects.filter(project=task.project, kind=Task.Kind.INSIGHTS, created_at__lt=task.created_at)
    older.exclude(pk=task.pk).exclude(pk__in=older.unfinished()).delete()
    waiting = MetricResult.objects.filter(project=task.project, wanted_at__isnull=False, metric__in=list(METRICS))
    if task.status == Task.Status.SUCCEEDED and waiting.exists():
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
