"""What an export made in CVAT, taken out of CVAT again. The project there stays: other exports share it."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from exports import connecting
from exports.cvat.client import Client
from exports.cvat.errors import NotFound
from exports.models import CvatTask, ExportJob
from exports.sending.owning import owns_task
from exports.sending.pipeline import pause_of
from projects import audit, jobs

Step = CvatTask.Step


def run(claim: jobs.Claim) -> dict[str, Any]:
    """Delete the export's tasks, one by one; give how many. Run again after a crash, it goes on."""
    job = ExportJob.objects.select_related("project", "created_by").get(deletion=claim.task)
    tasks = list(job.cvat_tasks.exclude(step=Step.DELETED).order_by("number"))
    with connecting.told_plainly(), connecting.client_of(job.project, pause=pause_of(claim)) as client:
        for number, task in enumerate(tasks):
            claim.progress("deleting", number, len(tasks))
            for cvat_id in _ids_of(client, task):
                client.delete_task(cvat_id)
            with transaction.atomic():
                claim.confirm()
                CvatTask.objects.filter(pk=task.pk).update(step=Step.DELETED, gone_at=timezone.now())
    result: dict[str, Any] = {"deleted": job.cvat_tasks.filter(step=Step.DELETED).count()}
    with transaction.atomic():
        audit.record(claim.task.created_by, job.project, "export.deleted_in_cvat", export=job.pk, **result)
        claim.succeed_with_transaction(result)
    return result


def _ids_of(client: Client, task: CvatTask) -> list[int]:
    """The task's number, and those with its link that nobody knew of: of a call whose answer never came."""
    known = [task.cvat_id] if task.cvat_id is not None and _is_ours(client, task, task.cvat_id) else []
    linked = [found.id for found in client.tasks_linked(task.back_link)]
    return list(dict.fromkeys([*known, *linked]))


def _is_ours(client: Client, task: CvatTask, cvat_id: int) -> bool:
    try:
        return owns_task(client, task, client.task(cvat_id))
    except NotFound:
        return False
