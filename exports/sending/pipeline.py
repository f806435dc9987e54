"""An export to CVAT, in steps that are each saved before the next one begins.

A worker may die anywhere: the next turn reads the rows, looks in CVAT for what may have been made, and goes on. Nothing
is made twice, because everything is looked for first by what only it has: the key in the project's name, the task's
link back, the `coco_id` of each shape.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import transaction

from exports import connecting
from exports.cvat import projecting
from exports.cvat.client import Client
from exports.cvat.errors import NotFound
from exports.models import CvatProject, CvatTask, ExportJob
from exports.models.connections import new_link_key
from exports.sending import labels, reporting
from exports.sending.freezing import freeze
from exports.sending.places import page_of_project
from exports.sending.tasking import Bench, TaskSender
from exports.snapshots import Snapshot
from projects import audit, jobs

LOOK = 0.5  # seconds between two looks whether to stop, while waiting
MAX_NAME = 256  # characters of a project's name in CVAT


def run(claim: jobs.Claim) -> dict[str, Any]:
    """Send a queued export, or go on with it; give what is in CVAT."""
    job = ExportJob.objects.select_related("project", "created_by", "cvat_project").get(task=claim.task)
    freeze(job, claim)
    snapshot = Snapshot.of(job)
    if claim.task.attempt == 1:  # asked for anew: what was tried before does not count
        job.cvat_tasks.update(tries=0)
    with connecting.told_plainly(), connecting.client_of(job.project, pause=pause_of(claim)) as client:
        ours = prepare_project(client, job, snapshot, claim)
        bench = Bench(
            client=client,
            job=job,
            project=ours,
            snapshot=snapshot,
            categories=snapshot.categories(),
            live=client.labels(int(ours.cvat_id or 0)),
            claim=claim,
            subsets={task["number"]: task["split"] for task in snapshot.about()["tasks"]},
        )
        waiting = job.cvat_tasks.exclude(step__in=[CvatTask.Step.SENT, CvatTask.Step.EMPTY])
        _send([TaskSender(bench, task) for task in waiting.order_by("number")])
    return _finish(job, claim, snapshot)


def _send(senders: list[TaskSender]) -> None:
    """All tasks; while CVAT makes the frames of one, the images of the next are packed and sent."""
    before: TaskSender | None = None
    for sender in senders:
        sender.run(until=CvatTask.Step.MAKING)
        if before is not None:
            before.run()
        before = sender
    if before is not None:
        before.run()


def pause_of(claim: jobs.Claim) -> Callable[[float], None]:
    """Sleeps, and stops if somebody cancels meanwhile."""

    def pause(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            claim.check()
            time.sleep(min(left, LOOK))
        claim.check()

    return pause


def prepare_project(client: Client, job: ExportJob, snapshot: Snapshot, claim: jobs.Claim) -> CvatProject:
    """The project in CVAT with a label for every category, made or completed. Its row is locked meanwhile."""
    claim.progress("project", 0)
    account = client.transport.account
    ours = _row_of(job, account.web_url, account.organization or "")
    with transaction.atomic():
        # One export at a time makes the project and its labels; others of this project wait here.
        ours = CvatProject.objects.select_for_update().get(pk=ours.pk)
        there = _is_there(client, ours)
        known = ours.labels if there else {}
        live = client.labels(int(ours.cvat_id or 0)) if there else []
        wanted = labels.wanted_labels(snapshot.categories().values(), known, live)
        made = projecting.ensure_project(
            client,
            ours.name,
            labels.definitions(wanted),
            known_id=ours.cvat_id,
            bug_tracker=page_of_project(job.project_id),
        )
        ours.cvat_id = made.id
        ours.labels = {**known, **labels.connect(wanted, client.labels(made.id))}
        claim.confirm()
        ours.save(update_fields=["cvat_id", "labels"])
        ExportJob.objects.filter(pk=job.pk).update(cvat_project=ours)
        job.cvat_project = ours
    return ours


def _row_of(job: ExportJob, server: str, organization: str) -> CvatProject:
    """Committed before CVAT is asked for anything: its name is what the project is found by."""
    key = new_link_key()
    ending = f" (CocoHub {key})"
    name = f"{job.project.name[: MAX_NAME - len(ending)].strip()}{ending}"
    ours, _ = CvatProject.objects.get_or_create(
        project=job.project, server=server, organization=organization, defaults={"link_key": key, "name": name}
    )
    return ours


def _is_there(client: Client, ours: CvatProject) -> bool:
    if ours.cvat_id is None:
        return False
    try:
        client.project(ours.cvat_id)
    except NotFound:
        return False
    return True


def _finish(job: ExportJob, claim: jobs.Claim, snapshot: Snapshot) -> dict[str, Any]:
    claim.progress("report", 0)
    result, left_out = reporting.result_of(job, snapshot)
    if left_out:
        claim.log = reporting.store(claim.task, result, left_out)
    with transaction.atomic():
        audit.record(
            job.created_by,
            job.project,
            "export.finished",
            export=job.pk,
            cvat_project=job.cvat_project.cvat_id if job.cvat_project else None,
            tasks=len(result["tasks"]),
            images=result["images"],
            annotations=result["annotations"],
        )
        claim.succeed_with_transaction(result)
    return result
