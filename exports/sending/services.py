"""Exports to CVAT: asked for, looked at before, stopped, tried again and taken back. For managers."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.errors import Conflict, ServiceError
from accounts.models import User
from annotations import query
from exports import connecting
from exports.cvat.account import Account, host_of
from exports.models import CvatTask, ExportJob
from exports.sending.freezing import Frozen, plan
from exports.sending.options import Options
from exports.services import Wanted, check_sources, find_split
from projects import audit, jobs, policies
from projects.models import Project, Role, Task


@dataclass(frozen=True)
class Plan:
    """What an export would make: for a dry run."""

    project: str  # the name that a new project in CVAT begins with
    server: str
    frozen: Frozen

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = self.frozen
        return {
            "server": self.server,
            "project": self.project,
            "revision": found.revision,
            "images": found.images,
            "left_out": sum(chunk["left_out"] for chunk in found.chunks),
            "annotations": found.annotations,
            "tasks": [
                {
                    "number": chunk["number"],
                    "split": chunk["split"],
                    "images": chunk["images"],
                    "left_out": chunk["left_out"],
                    "annotations": chunk["annotations"],
                    "bytes": chunk["bytes"],
                }
                for chunk in found.chunks
            ],
            "labels": [
                {
                    "category": category.key,
                    "name": category.name,
                    "keypoints": list(category.keypoints),
                    "attributes": {name: given.input_type for name, given in (category.attributes or {}).items()},
                }
                for category in found.categories
            ],
        }


def start(*, user: User, project: Project, wanted: Wanted, options: Options) -> ExportJob:
    """Queue the export of what the query chooses to the project's CVAT.

    The worker freezes what is chosen, first of all. Raises ServiceError where no CVAT is connected.
    """
    canonical = _check(user, project, wanted)
    _check_bucket(connecting.account_of(project), options)
    with transaction.atomic():
        task = jobs.create_task(project, Task.Kind.EXPORT, user)
        job = ExportJob.objects.create(
            project=project,
            task=task,
            target=ExportJob.Target.CVAT,
            created_by=user,
            filter_snapshot={
                "q": wanted.q,
                "split": wanted.split,
                "sources": list(wanted.sources),
                "canonical": canonical,
                "revision": project.revision,
                "cvat": options.as_dict(),
            },
        )
        audit.record(user, project, "export.started", export=job.pk, target="cvat", q=canonical, split=wanted.split)
        jobs.publish(task)
    return job


def dry_run(*, user: User, project: Project, wanted: Wanted, options: Options) -> Plan:
    """What `start` would make; nothing is made, and CVAT is not asked."""
    _check(user, project, wanted)
    account = connecting.account_of(project)
    _check_bucket(account, options)
    return Plan(project.name, account.web_url, plan(project, wanted, options))


def cancel(*, user: User, job: ExportJob) -> ExportJob:
    """Stop the export at its next step. What is in CVAT stays there until it is deleted, or the export goes on."""
    policies.require(user, Role.MANAGER, job.project)
    jobs.cancel(user=user, task=job.task)
    job.task.refresh_from_db()
    return job


def retry(*, user: User, job: ExportJob) -> ExportJob:
    """Have an export go on that failed or was cancelled; or send one again that was deleted in CVAT.

    Either way from its snapshot: what has changed here since is not in it.
    """
    policies.require(user, Role.MANAGER, job.project)
    with transaction.atomic():
        job = _locked(job)
        _refuse_while_deleting(job)
        if job.task.status == Task.Status.SUCCEEDED and _is_deleted(job):
            task = jobs.create_task(job.project, Task.Kind.EXPORT, user)
            job.task = task
            job.save(update_fields=["task"])
            audit.record(user, job.project, "export.sent_again", export=job.pk)
            jobs.publish(task)
        else:
            jobs.retry(user=user, task=job.task)
            job.task.refresh_from_db()
    return job


def delete_in_cvat(*, user: User, job: ExportJob) -> ExportJob:
    """Take the export's tasks out of CVAT, with everything that people did there since the last pull."""
    policies.require(user, Role.MANAGER, job.project)
    with transaction.atomic():
        job = _locked(job)
        if job.target != ExportJob.Target.CVAT:
            raise ServiceError("This export made nothing in CVAT.")
        if not job.task.is_finished:
            raise Conflict("The export still runs; cancel it first.")
        _refuse_while_deleting(job)
        if job.deletion is not None and job.deletion.status == Task.Status.FAILED and not _is_deleted(job):
            jobs.retry(user=user, task=job.deletion)
            return job
        if _is_deleted(job):
            raise Conflict("Everything that this export made in CVAT is deleted already.")
        job.deletion = jobs.create_task(job.project, Task.Kind.CVAT_DELETE, user)
        job.save(update_fields=["deletion"])
        audit.record(user, job.project, "export.deletion_started", export=job.pk)
        jobs.publish(job.deletion)
    return job


def _check(user: User, project: Project, wanted: Wanted) -> str:
    policies.require(user, Role.MANAGER, project)
    canonical = query.canonical(wanted.q)
    if wanted.split:
        find_split(project, wanted.split)
    check_sources(project, wanted.sources)
    return canonical


def _check_bucket(account: Account, options: Options) -> None:
    """Raise ServiceError where CVAT is asked to read our bucket and cannot."""
    if not options.from_bucket:
        return
    if not (settings.CVAT_CLOUD_STORAGE and settings.S3_BUCKET):
        text = "CVAT cannot read the pictures itself here: that takes S3 as storage, and CVAT_CLOUD_STORAGE."
    elif host_of(account.url) != host_of(settings.CVAT_API_URL):
        text = "CVAT_CLOUD_STORAGE is about the installation's CVAT, and this project has another one."
    else:
        return
    raise ServiceError(text, fields={"from_bucket": [text]})


def _locked(job: ExportJob) -> ExportJob:
    held = ExportJob.objects.select_for_update(of=("self",)).select_related("project", "task", "deletion")
    return held.get(pk=job.pk)


def _is_deleted(job: ExportJob) -> bool:
    return not job.cvat_tasks.exclude(step=CvatTask.Step.DELETED).exists()


def _refuse_while_deleting(job: ExportJob) -> None:
    if job.deletion is not None and not job.deletion.is_finished:
        raise Conflict("What this export made is being deleted in CVAT.")
