"""Celery's door to the exports."""

from celery import shared_task

from exports import services
from exports.models import ExportJob
from exports.pulling import services as pulling
from exports.pulling import watching
from exports.sending import deleting, pipeline
from projects import jobs
from projects.models import Role, Task


def _manager(task: Task) -> Role:
    return Role.MANAGER


jobs.register(Task.Kind.EXPORT, "exports.tasks.run_export", takes=_manager)
jobs.register(Task.Kind.CVAT_DELETE, "exports.tasks.delete_in_cvat", takes=_manager)
jobs.register(Task.Kind.CVAT_PULL, "exports.tasks.pull_from_cvat", ended=pulling.ended)


@shared_task(name="exports.tasks.run_export")
def run_export(task_id: str) -> None:
    """Do a queued export."""
    to_cvat = ExportJob.objects.to_cvat().filter(task__pk=task_id).exists()
    jobs.run(task_id, pipeline.run if to_cvat else services.run_export)


@shared_task(name="exports.tasks.delete_in_cvat")
def delete_in_cvat(task_id: str) -> None:
    """Take what an export made out of CVAT again."""
    jobs.run(task_id, deleting.run)


@shared_task(name="exports.tasks.pull_from_cvat")
def pull_from_cvat(task_id: str) -> None:
    """Read what people did in CVAT, take it over, or put it back."""
    jobs.run(task_id, pulling.run)


@shared_task(name="exports.tasks.look_at_cvat")
def look_at_cvat() -> int:
    """Ask CVAT whether something was saved in the tasks of exports, and queue the reading of it."""
    return watching.look_for_news()
