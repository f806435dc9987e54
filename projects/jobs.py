"""Long work: the row is the truth, the broker only a doorbell.

A service makes a row with `create_task` and rings with `publish`; a Celery task calls `run(task_id, work)`, which
claims the row, calls `work(claim)` and records how it ended. `sweep` rings again for what nobody answered.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from accounts import context, metering
from accounts.errors import Conflict, NotFound, ServiceError
from accounts.models import User
from projects import audit, claims, faults, policies, reports
from projects.claims import LEASE, MAX_ATTEMPTS, Cancelled, Claim, LeaseLost, TryLater
from projects.models import Project, Role, Task

__all__ = [
    "Cancelled",
    "Claim",
    "LeaseLost",
    "TryLater",
    "cancel",
    "cancel_all",
    "claim",
    "create_task",
    "listen",
    "publish",
    "register",
    "retry",
    "run",
    "sweep",
]

logger = logging.getLogger(__name__)

UNANSWERED = 2 * LEASE  # after this the doorbell rings again
SWEEP_LIMIT = 1_000  # tasks rung for per sweep
PUBLISH_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
DIED = f"The worker died {MAX_ATTEMPTS} times while doing this. Try again; if it keeps on, tell who runs this."
CANCELLED = "Cancelled."
_ENDS = {
    Task.Status.SUCCEEDED: "has succeeded",
    Task.Status.FAILED: "has failed",
    Task.Status.CANCELLED: "was cancelled",
}

Work = Callable[[Claim], dict[str, Any]]
Ended = Callable[[Task], None]
Takes = Callable[[Task], Role]


def _curator(task: Task) -> Role:
    return Role.CURATOR


@dataclass(frozen=True)
class _Kind:
    task_name: str
    ended: Ended | None
    takes: Takes = _curator


_kinds: dict[str, _Kind] = {}
_listeners: list[Ended] = []


def register(kind: Task.Kind, task_name: str, *, ended: Ended | None = None, takes: Takes = _curator) -> None:
    """Say which Celery task does this kind of work, by name, such as `annotations.tasks.run_import`.

    `takes(task)` is the role that the work takes: who has less neither stops it nor has it done again.
    `ended(task)` is called once a task has its final status, whoever set it: the worker, a cancellation while it
    waited, or the sweeper that found it dead. It must be idempotent: where its caller died, the sweeper calls it again.
    """
    _kinds[kind] = _Kind(task_name, ended, takes)


def listen(ended: Ended) -> None:
    """Have `ended(task)` called once any task has its final status, under the same terms as in `register`."""
    _listeners.append(ended)


# --- Asking for work --------------------------------------------------------------------------------------------------


def create_task(project: Project, kind: Task.Kind, user: User | None) -> Task:
    """A row for work that waits; `publish` it in the same transaction."""
    return Task.objects.create(project=project, kind=kind, created_by=user)


def publish(task: Task) -> None:
    """Ring for the task once the transaction has committed. If the broker is away, the sweeper will ring."""
    transaction.on_commit(lambda: ring(task))


def ring(task: Task) -> bool:
    """Send the broker's message for this task now; whether that worked."""
    known = _kinds.get(task.kind)
    if known is None:
        logger.error("Nobody has registered for tasks of kind %s; task %s waits.", task.kind, task.pk)
        return False
    try:
        current_app.send_task(known.task_name, args=[str(task.pk)], retry=True, retry_policy=PUBLISH_POLICY)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("The broker did not take task %s (%s); the sweeper will try again.", task.pk, error)
        return False
    Task.objects.filter(pk=task.pk).update(published_at=Now())
    return True


# --- Doing it ---------------------------------------------------------------------------------------------------------


def run(task_id: UUID | str, work: Work, *, lease: timedelta = LEASE) -> None:
    """Claim the task, call `work(claim)` and record how it ended. What a Celery task consists of.

    `work` returns the result (JSON) and may put the storage key of a report into `claim.log`. A ServiceError is final
    and its message is for the user; Cancelled ends the task as cancelled; an unwell server (`faults.is_temporary`,
    TryLater) puts it back into the queue for a while, until it has had its attempts; anything else is a bug, told
    plainly, with the traceback in the log.
    """
    held = claim(task_id, lease)
    if held is None:
        return
    with context.entering("task", request=str(task_id)), held:
        context.tell(project_id=held.task.project_id, user_id=held.task.created_by_id, kind=held.task.kind)
        try:
            _attempt(held, work)
        except LeaseLost:
            logger.warning("Task %s was lost to another worker; what this one did does not count.", task_id)
            return
        _tell_ended(held.task)


def claim(task_id: UUID | str, lease: timedelta = LEASE) -> Claim | None:
    """Take the task if it is to be had: it waits, or its worker is dead. The turn is counted before the work begins.

    None if somebody else has it, if it is over, or if it has died too often or been cancelled (which is recorded).
    """
    if _end_hopeless(Task.objects.filter(pk=task_id)):
        return None
    taken = Task.objects.filter(_to_be_had(), pk=task_id, cancel_requested=False).update(
        status=Task.Status.RUNNING,
        attempt=F("attempt") + 1,
        fence=F("fence") + 1,
        lease_until=Now() + lease,
        heartbeat_at=Now(),
        started_at=Coalesce("started_at", Now()),
        phase_started_at=None,
        message="",
    )
    if not taken:
        return None
    task = Task.objects.select_related("project", "created_by").get(pk=task_id)
    return Claim(task, claims.OwnConnection(), lease)


def _attempt(held: Claim, work: Work) -> None:
    try:
        result = work(held)
    except Cancelled:
        held.cancelled()
    except LeaseLost:
        raise
    except ServiceError as error:
        _fail(held, error.message, error.detail)
    except SoftTimeLimitExceeded:
        logger.exception("Task %s ran out of time.", held.id)
        _fail(held, "This took longer than a task may take, and was stopped.")
    except Exception as error:
        if told := faults.to_put_right(error):
            logger.exception("Task %s cannot be done: %s", held.id, told)
            _fail(held, told)
        elif faults.is_temporary(error):
            _postpone_or_fail(held, error)
        else:
            logger.exception("Task %s failed by a bug.", held.id)
            _fail(held, f"Something went wrong on our side. Give task id {held.id} to who runs this installation.")
    else:
        held.succeed(result)


def _postpone_or_fail(held: Claim, error: Exception) -> None:
    logger.warning("Task %s, attempt %d: %s", held.id, held.task.attempt, error, exc_info=error)
    words = faults.in_words(error)
    if held.is_last_attempt:
        _fail(held, f"{words} Tried {held.task.attempt} times; try again later.")
    else:
        held.postpone(f"{words} Waiting to try again.", faults.pause_after(error, held.task.attempt))


def _fail(held: Claim, message: str, detail: object | None = None) -> None:
    held.fail(message, held.log or reports.store(held.task, message, detail))


# --- Steering it ------------------------------------------------------------------------------------------------------


@transaction.atomic
def cancel(*, user: User, task: Task) -> Task:
    """Stop the task: at once if it waits, at its next step if it runs. For who may do the work.

    Raises Conflict if it is over.
    """
    _require_role(user, task)
    task = Task.objects.select_for_update(of=("self",)).select_related("project").get(pk=task.pk)
    if task.kind == Task.Kind.DELETE_PROJECT:
        raise Conflict("A deletion cannot be taken back.")
    if task.is_finished:
        raise Conflict(f"This task is over: it {_ENDS[Task.Status(task.status)]}.")
    _cancel(Task.objects.filter(pk=task.pk))
    audit.record(user, task.project, "task.cancelled", task=task.pk, kind=task.kind)
    task.refresh_from_db()
    return task


def cancel_all(project: Project) -> None:
    """Stop whatever runs or waits for the project."""
    _cancel(Task.objects.filter(project=project))


@transaction.atomic
def retry(*, user: User, task: Task) -> Task:
    """Have a task that failed or was cancelled done again, from a fresh count of attempts. For who may do the work.

    Raises Conflict if it did not end so.
    """
    _require_role(user, task)
    task = Task.objects.select_for_update(of=("self",)).select_related("project").get(pk=task.pk)
    if task.status not in (Task.Status.FAILED, Task.Status.CANCELLED):
        raise Conflict("Only a task that failed or was cancelled can be tried again.")
    Task.objects.filter(pk=task.pk).update(
        status=Task.Status.QUEUED,
        attempt=0,
        cancel_requested=False,
        lease_until=None,
        published_at=None,
        finished_at=None,
        message="",
        log="",
    )
    audit.record(user, task.project, "task.retried", task=task.pk, kind=task.kind)
    task.refresh_from_db()
    publish(task)
    return task


def sweep() -> int:
    """Ring again for tasks that nobody answered for or whose worker died, and end the hopeless ones.

    What the broker lost (a restart, a full disk) comes back this way, because the rows are the truth. Returns for how
    many it rang.
    """
    _end_hopeless(Task.objects.all())
    _tell_again()
    # Of a dead worker's task the ring that it had answered does not count.
    died = Q(status=Task.Status.RUNNING, published_at__lt=F("lease_until"))
    long_ago = Q(published_at=None) | Q(published_at__lt=Now() - UNANSWERED) | died
    waiting = Task.objects.filter(_to_be_had(), long_ago).order_by("created_at")
    return sum(ring(task) for task in waiting[:SWEEP_LIMIT])


def _to_be_had() -> Q:
    waits = Q(status=Task.Status.QUEUED) & (Q(lease_until=None) | Q(lease_until__lte=Now()))
    return waits | _abandoned()


def _abandoned() -> Q:
    return Q(status=Task.Status.RUNNING, lease_until__lte=Now())


def _cancel(tasks: QuerySet[Task]) -> None:
    tasks.filter(status=Task.Status.RUNNING).update(cancel_requested=True)
    _end(tasks.filter(status=Task.Status.QUEUED), Task.Status.CANCELLED, CANCELLED)


def _end_hopeless(tasks: QuerySet[Task]) -> int:
    """Give a final status to tasks that no worker has and none should take; how many."""
    cancelled = _end(tasks.filter(_abandoned(), cancel_requested=True), Task.Status.CANCELLED, CANCELLED)
    died = _end(tasks.filter(_abandoned(), attempt__gte=MAX_ATTEMPTS), Task.Status.FAILED, DIED)
    return cancelled + died


def _end(tasks: QuerySet[Task], status: Task.Status, message: str) -> int:
    ended = 0
    for task in tasks.select_related("project"):
        # Each by itself, as it is now: a worker may have taken it since it was read. The fence keeps out who had it.
        changed = tasks.filter(pk=task.pk, fence=task.fence).update(
            status=status, message=message, finished_at=Now(), lease_until=Now() + LEASE, fence=F("fence") + 1
        )
        if not changed:
            continue
        ended += 1
        if status == Task.Status.FAILED:
            Task.objects.filter(pk=task.pk).update(log=reports.store(task, message))
        task.refresh_from_db()
        _tell_ended(task)
    return ended


def _tell_ended(task: Task) -> None:
    if not task.is_finished:
        metering.count("cocohub_jobs_postponed", kind=task.kind)
        return
    metering.count("cocohub_jobs", kind=task.kind, outcome=task.status)
    if task.started_at and task.finished_at:
        seconds = (task.finished_at - task.started_at).total_seconds()
        metering.observe("cocohub_job_seconds", seconds, kind=task.kind)
    known = _kinds.get(task.kind)
    if known is not None and known.ended is not None:
        known.ended(task)
    for listener in _listeners:
        listener(task)
    Task.objects.filter(pk=task.pk, fence=task.fence, status=task.status).update(lease_until=None)


def _tell_again() -> None:
    """A worker may die between the end of its task and what follows from it, such as the thumbnails of an import."""
    over = Task.objects.exclude(status__in=[Task.Status.QUEUED, Task.Status.RUNNING])
    for task in over.filter(lease_until__lte=Now()).select_related("project", "created_by")[:SWEEP_LIMIT]:
        try:
            _tell_ended(task)
        except Exception:
            logger.exception("What follows from the end of task %s failed; it is tried again.", task.pk)
            Task.objects.filter(pk=task.pk, fence=task.fence).update(lease_until=Now() + UNANSWERED)


def _require_role(user: User, task: Task) -> None:
    if not Task.objects.visible_to(user).filter(pk=task.pk).exists():
        raise NotFound(f"There is no task {task.pk} among yours.")
    # Who sees a deletion asked for it or is a global admin.
    if task.project is not None and task.kind != Task.Kind.DELETE_PROJECT:
        known = _kinds.get(task.kind)
        policies.require(user, known.takes(task) if known else Role.CURATOR, task.project)
