"""Celery's door to the imports and the bulk edits."""

from typing import Any

from celery import shared_task
from django.conf import settings

from annotations import bulk, services, undo, uploads
from projects import jobs
from projects.models import Task

jobs.register(Task.Kind.IMPORT, "annotations.tasks.run_import", ended=services.import_ended)
jobs.register(Task.Kind.BULK_EDIT, "annotations.tasks.run_bulk_edit", ended=bulk.ended, takes=bulk.role_of)


@shared_task(name="annotations.tasks.run_import")
def run_import(task_id: str) -> None:
    """Do a queued import."""
    jobs.run(task_id, _work)


def _work(claim: jobs.Claim) -> dict[str, Any]:
    return services.run_import(claim)


@shared_task(name="annotations.tasks.run_bulk_edit")
def run_bulk_edit(task_id: str) -> None:
    """Do a queued bulk edit, or what is left of it."""
    jobs.run(task_id, _edit)


def _edit(claim: jobs.Claim) -> dict[str, Any]:
    return bulk.run(claim)


@shared_task(name="annotations.tasks.forget_uploads")
def forget_uploads() -> int:
    """Delete uploads that have run out, and what has been left behind."""
    return uploads.forget_expired()


@shared_task(name="annotations.tasks.forget_old_undos")
def forget_old_undos() -> int:
    """Delete what bulk edits have kept for longer than it is kept."""
    return undo.forget_old(settings.UNDO_DAYS) if settings.UNDO_DAYS else 0
