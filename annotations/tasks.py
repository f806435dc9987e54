"""Celery's door to the imports."""

from typing import Any

from celery import shared_task

from annotations import services
from projects import jobs
from projects.models import Task

jobs.register(Task.Kind.IMPORT, "annotations.tasks.run_import", ended=services.import_ended)


@shared_task(name="annotations.tasks.run_import")
def run_import(task_id: str) -> None:
    """Do a queued import."""
    jobs.run(task_id, _work)


def _work(claim: jobs.Claim) -> dict[str, Any]:
    return services.run_import(claim)
