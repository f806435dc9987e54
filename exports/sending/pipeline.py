"""An export to CVAT, in steps that are each saved before the next one begins.

A worker may die anywhere: the next turn reads the rows, looks in CVAT for what may have been made, and goes on. Nothing
is made twice, because everything is looked for first by what only it has: the key in the project's name, the task's
link back, the `coco_id` of each shape.
"""

import time
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.errors import ServiceError
from exports import connecting
from exports.cvat import projecting
from exports.cvat.client import Client
from exports.models import CvatProject, CvatTask, ExportJob
from exports.models.connections import new_link_key
from exports.sending import labels, owning, reporting
from exports.sending.ahead import Pens, Zips, collecting_less
from exports.sending.freezing import freeze
from exports.sending.options import Options
from exports.sending.places import page_of_project
from exports.sending.tasking import Bench, TaskSender
from exports.snapshots import Snapshot
from projects import audit, jobs
from projects.models import Task

LOOK = 0.5  # seconds between two looks whether to stop, while waiting
MAX_NAME = 256  # characters of a project's name in CVAT


def run(claim: jobs.Claim) -> dict[str, Any]:
    """Send a queued export, or go on with it; give what is in CVAT."""
    job = ExportJob.objects.select_related("project", "created_by", "cvat_project").get(task=claim.task)
    freeze(job, claim)
    snapshot = Snapshot.of(job)
    if claim.task.attempt == 1:  # asked for anew: what was tried before does not count
        job.cvat_tasks.update(tries=0)
    talking = connecting.client_of(job.project, pause=pause_of(claim))
    from_bucket = Options.from_snapshot(job.filter_snapshot).from_bucket
    ahead = Zips(snapshot, ahead=not from_bucket)
    with connecting.told_plainly(), talking as client, ahead as zips, Pens() as pens, collecting_less():
        if from_bucket:
            _check_bucket(client)
        ours = prepare_project(client, job, snapshot, claim)
        bench = Bench(
            client=client,
            job=job,
            project=ours,
            snapshot=snapshot,
            categories=snapshot.categories(),
            live=client.labels(int(ours.cvat_id or 0)),
            claim=claim,
            zips=zips,
            pens=pens,
            subsets={task["number"]: task["split"] for task in snapshot.about()["tasks"]},
        )
        waiting = job.cvat_tasks.exclude(step__in=[CvatTask.Step.SENT, CvatTask.Step.EMPTY])
        _send([TaskSender(bench, task) for task in waiting.order_by("number")], zips, claim)
    return _finish(job, claim, snapshot)


def _send(senders: list[TaskSender], zips: Zips, claim: jobs.Claim) -> None:
    """All tasks, three in hand: while the shapes of one are sent, those of the next are drawn, and CVAT makes the
    frames of the one after, whose images are there already; the images of one more are packed."""
    framed: TaskSender | None = None
    made: TaskSender | None = None
    for sender, after in zip_longest([*senders, None, None], senders[1:]):
        if sender is not None:
            sender.run(until=CvatTask.Step.MAKING)
        if after is not None:
            zips.prepare(after.task)
        if made is not None:
            made.run(until=CvatTask.Step.FRAMED)
            made.draw_ahead()
        if framed is not None:
            framed.run()
            _count_anew(claim)
        framed, made = made, sender


def _count_anew(claim: jobs.Claim) -> None:
    """Attempts are counted against work that gets nowhere: a task that arrived begins the count again."""
    if claim.task.attempt > 1:
        Task.objects.filter(pk=claim.id, fence=claim.task.fence).update(attempt=1)
        claim.task.attempt = 1


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
        there = owning.owns_project(client, ours)
        known = ours.labels if there else {}
        live = client.labels(int(ours.cvat_id or 0)) if there else []
        wanted = labels.wanted_labels(snapshot.categories().values(), known, live)
        made = projecting.ensure_project(
            client,
            ours.name,
            labels.definitions(wanted),
            known_id=ours.cvat_id if there else None,
            bug_tracker=page_of_project(job.project_id),
        )
        ours.cvat_id = made.id
        ours.labels = {**known, **labels.connect(wanted, client.labels(made.id))}
        claim.confirm()
        ours.save(update_fields=["cvat_id", "labels"])
        ExportJob.objects.filter(pk=job.pk).update(cvat_project=ours)
        job.cvat_project = ours
    return ours


def _check_bucket(client: Client) -> None:
    number = settings.CVAT_CLOUD_STORAGE
    bucket = client.bucket_of_storage(number) if number else ""
    if not bucket or bucket != settings.S3_BUCKET:
        raise ServiceError(
            f"Cloud storage {number} in CVAT is the bucket {bucket!r}, ours is {settings.S3_BUCKET!r}: CVAT would not "
            "find the pictures. Correct CVAT_CLOUD_STORAGE, or upload them."
        )


def _row_of(job: ExportJob, server: str, organization: str) -> CvatProject:
    """Committed before CVAT is asked for anything: its name is what the project is found by."""
    key = new_link_key()
    ending = f" (CocoHub {key})"
    name = f"{job.project.name[: MAX_NAME - len(ending)].strip()}{ending}"
    ours, _ = CvatProject.objects.get_or_create(
        project=job.project, server=server, organization=organization, defaults={"link_key": key, "name": name}
    )
    return ours


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
