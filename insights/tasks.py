"""Celery's door to the insights."""

from celery import shared_task

from insights import refreshing, results
from projects import jobs
from projects.models import Task

jobs.register(Task.Kind.INSIGHTS, "insights.tasks.refresh", ended=refreshing.ended)


@shared_task(name="insights.tasks.refresh")
def refresh(task_id: str) -> None:
    """Compute figures of a project."""
    jobs.run(task_id, refreshing.refresh)


@shared_task(name="insights.tasks.refresh_behind")
def refresh_behind() -> int:
    """Have the dashboards that are behind refreshed."""
    return refreshing.refresh_behind()


@shared_task(name="insights.tasks.forget_unread")
def forget_unread() -> int:
    """Delete figures that nobody asks for."""
    return results.forget_unread()
