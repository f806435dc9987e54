"""Celery's door to the exports."""

from celery import shared_task

from exports import services
from projects import jobs
from projects.models import Task

jobs.register(Task.Kind.EXPORT, "exports.tasks.run_export")


@shared_task(name="exports.tasks.run_export")
def run_export(task_id: str) -> None:
    """Do a queued export."""
    jobs.run(task_id, services.run_export)
