"""Pulling from CVAT: asked for, decided, taken over, undone. For curators; every door comes through here."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max
from django.db.models.functions import Now

from accounts.errors import Conflict, NotFound, ServiceError
from accounts.models import User
from exports.models.cvat import CvatTask
from exports.models.jobs import ExportJob
from exports.pulling import applying, reading, undoing
from exports.pulling.models import CvatDifference, CvatPull, CvatRemark
from projects import jobs, policies
from projects.models import Role, Task

AT_ONCE = 200  # differences that are decided while the client waits
MAX_CHOSEN = 10_000  # named one by one

Action = CvatPull.Action
Policy = CvatPull.Policy
Trigger = CvatPull.Trigger
Decision = CvatDifference.Decision


def start_pull(*, user: User, job: ExportJob, policy: str = Policy.REVIEW, everything: bool = False) -> CvatPull:
    """Queue the reading of the export's tasks, or give the reading that waits already.

    With a policy other than review, what was found is taken over or refused at once. `everything` reads jobs too in
    which nothing was saved since the last pull: for what was changed here.
    """
    policies.require(user, Role.CURATOR, job.project)
    with transaction.atomic():
        _check(job)
        waiting = _unfinished(job)
        same = [one for one in waiting if one.action == Action.READ and one.policy == policy]
        if same and (same[0].everything or not everything):
            return same[0]
        _refuse_busy(waiting)
        return _queue(job, user=user, action=Action.READ, policy=policy, everything=everything)


def start_automatic(job: ExportJob, trigger: str, after: timedelta = timedelta()) -> CvatPull | None:
    """Queue a reading that nobody asked for, unless one waits; not before `after` has passed. None if there is one.

    One that runs may have passed by what is new, so it does not count.
    """
    with transaction.atomic():
        _locked(job)
        if any(one.task and one.task.status == Task.Status.QUEUED for one in _unfinished(job)):
            return None
        pull = _queue(job, user=None, action=Action.READ, trigger=trigger, ring=not after)
        if after and pull.task:
            # The sweeper rings once its time has come.
            Task.objects.filter(pk=pull.task.pk).update(lease_until=Now() + after)
        return pull


def start_apply(*, user: User, job: ExportJob, policy: str, differences: Sequence[int] | None = None) -> CvatPull:
    """Queue taking over (accept: those without conflicts; theirs: all) or refusing (ours) what is open now.

    `differences` names some of them. Raises Conflict while other work on this export's differences is under way.
    """
    policies.require(user, Role.CURATOR, job.project)
    _check_policy(policy)
    if differences is not None and len(differences) > MAX_CHOSEN:
        text = f"{len(differences):,} differences; {MAX_CHOSEN:,} is the most."
        raise ServiceError(text, fields={"differences": [text]})
    with transaction.atomic():
        _check(job)
        _refuse_busy(_unfinished(job))
        last = CvatDifference.objects.filter(job=job).aggregate(last=Max("pk"))["last"] or 0
        chosen = None if differences is None else sorted(set(differences))
        return _queue(job, user=user, action=Action.APPLY, policy=policy, chosen=chosen, last=last)


def decide(*, user: User, job: ExportJob, differences: Sequence[int], decision: str) -> list[CvatDifference]:
    """Take a few differences over (`theirs`, whatever was changed here) or refuse them (`ours`), now.

    Raises Conflict if one is decided already or cannot be taken over, saying why; then none of them is.
    """
    policies.require(user, Role.CURATOR, job.project)
    if decision not in (Decision.THEIRS, Decision.OURS):
        text = f"{decision!r} is no decision; expected theirs or ours."
        raise ServiceError(text, fields={"decision": [text]})
    keys = sorted(set(differences))
    if not 0 < len(keys) <= AT_ONCE:
        text = f"{len(keys)} differences; expected 1 to {AT_ONCE}. Apply more of them by a policy."
        raise ServiceError(text, fields={"differences": [text]})
    with transaction.atomic():
        _locked(job)
        rows = CvatDifference.objects.filter(job=job, pk__in=keys)
        missing = set(keys) - set(rows.values_list("pk", flat=True))
        if missing:
            raise NotFound(f"This export has no difference {min(missing)}.")
        policy = Policy.THEIRS if decision == Decision.THEIRS else Policy.OURS
        pull = CvatPull.objects.create(
            project=job.project, job=job, action=Action.APPLY, policy=policy, chosen=keys, created_by=user
        )
        applied = applying.Applied()
        applying.apply_batch(user, pull, keys, policy, applied)
        if rows.filter(applied_by=pull).count() < len(keys):
            raise _why_not(rows.exclude(applied_by=pull).order_by("pk").first())
        reading.tell(pull, applied.as_dict(), None)
    return list(rows.order_by("pk"))


def start_undo(*, user: User, pull: CvatPull) -> CvatPull:
    """Queue putting back what a piece of work has taken over; its differences are open again then.

    Annotations that were changed since are left alone.
    """
    policies.require(user, Role.CURATOR, pull.project)
    with transaction.atomic():
        job = _locked(pull.job)
        _refuse_busy(_unfinished(job))
        if not CvatDifference.objects.filter(applied_by=pull).exclude(decision=Decision.OPEN).exists():
            raise Conflict("There is nothing to undo: nothing was decided by it, or it has been undone.")
        return _queue(job, user=user, action=Action.UNDO, undoes=pull)


def perform_here(pull: CvatPull) -> CvatPull:
    """Do a queued piece of work in this process, for commands; give it as it is then."""
    if pull.task_id is not None:
        jobs.run(pull.task_id, run)
    return CvatPull.objects.select_related("task", "job", "project").get(pk=pull.pk)


def run(claim: jobs.Claim) -> dict[str, Any]:
    """What a worker does: read, take over, or undo."""
    pull = CvatPull.objects.select_related("job", "job__project", "project", "created_by", "undoes").get(
        task=claim.task
    )
    result: dict[str, Any] = {}
    if pull.action == Action.READ:
        result = reading.run(claim, pull)
        if pull.policy != Policy.REVIEW and pull.created_by is not None:
            result |= applying.run(claim, pull)
    elif pull.action == Action.APPLY:
        result = applying.run(claim, pull)
    else:
        result = undoing.undo(claim, pull)
    with transaction.atomic():
        reading.tell(pull, result, claim)
    return result


def ended(task: Task) -> None:
    """After a task that did not succeed: what was done of it stays, and can be undone."""
    if task.status != Task.Status.SUCCEEDED:
        CvatPull.objects.filter(task=task, finished_at=None).update(finished_at=Now())


def progress_of(job: ExportJob) -> list[dict[str, Any]]:
    """How far people in CVAT are with each task of the export, as last seen: frames in jobs that are completed."""
    open_rows = dict(_open_by_task(job))
    remarks = CvatRemark.objects.filter(job=job, resolved=False).order_by().values_list("cvat_task")
    open_remarks = dict(remarks.annotate(number=Count("pk")))
    found = []
    for task in job.cvat_tasks.select_related("cvat_project").prefetch_related("jobs").order_by("number"):
        own = list(task.jobs.all())
        frames = {stage: 0 for stage in ("annotation", "validation", "acceptance")}
        done = 0
        for one in own:
            size = one.stop_frame - one.start_frame + 1
            frames[one.stage] = frames.get(one.stage, 0) + size
            done += size if one.state == "completed" else 0
        total = sum(frames.values())
        found.append(
            {
                "task": task.number, "name": task.name, "link": task.link or None, "step": task.step,
                "status": task.status, "stage": task.stage, "state": task.state, "jobs": len(own),
                "jobs_completed": sum(1 for one in own if one.state == "completed"), "frames": total,
                "frames_completed": done, "frames_by_stage": frames,
                "percent": round(100 * done / total) if total else 0, "open_differences": open_rows.get(task.pk, 0),
                "open_remarks": open_remarks.get(task.pk, 0),
                "checked_at": task.checked_at, "pulled_at": task.pulled_at, "gone_at": task.gone_at,
            }
        )  # fmt: skip
    return found


def _open_by_task(job: ExportJob) -> Any:
    rows = CvatDifference.objects.filter(job=job).open().order_by().values_list("cvat_task")
    return rows.annotate(number=Count("pk"))


def _queue(job: ExportJob, *, user: User | None, ring: bool = True, **fields: Any) -> CvatPull:
    task = jobs.create_task(job.project, Task.Kind.CVAT_PULL, user)
    pull = CvatPull.objects.create(project=job.project, job=job, task=task, created_by=user, **fields)
    if ring:
        jobs.publish(task)
    return pull


def _locked(job: ExportJob) -> ExportJob:
    return ExportJob.objects.select_for_update(of=("self",)).select_related("project").get(pk=job.pk)


def _check(job: ExportJob) -> None:
    _locked(job)
    if job.target != ExportJob.Target.CVAT:
        raise ServiceError("This export did not go to CVAT: there is nothing to pull.")
    if not CvatTask.objects.in_cvat().filter(job=job).exists():
        raise Conflict("None of this export's tasks is in CVAT: it is not finished, or they were deleted.")


def _check_policy(policy: str) -> None:
    if policy not in (Policy.ACCEPT, Policy.THEIRS, Policy.OURS):
        text = f"{policy!r} is no policy; expected accept, theirs or ours."
        raise ServiceError(text, fields={"policy": [text]})


def _unfinished(job: ExportJob) -> list[CvatPull]:
    states = (Task.Status.QUEUED, Task.Status.RUNNING)
    return list(CvatPull.objects.filter(job=job, task__status__in=states).select_related("task").order_by("pk"))


def _refuse_busy(waiting: Sequence[CvatPull]) -> None:
    """One piece of work at a time; a reading that nobody asked for and that still waits gives way."""
    for one in waiting:
        automatic = one.trigger != Trigger.PERSON and one.task and one.task.status == Task.Status.QUEUED
        if not automatic:
            raise Conflict(
                f"{one} of this export is under way. Wait until it has ended, or cancel its task.",
                detail={"pull": one.pk, "task": str(one.task_id)},
            )


def _why_not(row: CvatDifference | None) -> Conflict:
    if row is None:  # a reading was faster
        return Conflict("CVAT was read once more meanwhile, and what it has is another. Look at the differences again.")
    if row.decision != Decision.OPEN:
        return Conflict(f"Difference {row.pk} is decided already ({row.decision}).", detail={"difference": row.pk})
    text = row.problem or row.conflict or "It cannot be taken over."
    return Conflict(f"Difference {row.pk} cannot be taken over: {text}", detail={"difference": row.pk})
