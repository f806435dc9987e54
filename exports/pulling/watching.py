"""Noticing what people save in CVAT: by asking now and then, and by CVAT's webhooks, which are only a hint."""

import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Min
from django.urls import reverse
from django.utils import timezone

from accounts import sealing
from accounts.errors import Conflict, NotFound, ServiceError
from accounts.models import User
from exports import connecting
from exports.cvat.client import Client
from exports.cvat.errors import CvatError
from exports.cvat.webhooks import EVENTS, Event, parse_event, verify_signature
from exports.models.connections import CvatProject
from exports.models.cvat import CvatJob, CvatTask
from exports.models.jobs import ExportJob
from exports.pulling import services
from exports.pulling.models import CvatPull
from projects import audit, policies
from projects.models import Project, Role

logger = logging.getLogger(__name__)

LOOK_EVERY = timedelta(minutes=5)
COMPLETED_EVERY = timedelta(hours=6)  # tasks that are completed are looked at less often: they can be opened again
LATE = timedelta(minutes=5)  # a save that commits late can carry a date before others that were read already
SETTLE = timedelta(seconds=20)  # after a webhook: people save often, and each save sends three events
REMEMBERED = timedelta(days=1)  # deliveries, to know one that is sent again
MAX_BODY = 1024 * 1024  # bytes of a delivery
DATES = "%Y-%m-%dT%H:%M:%S.%fZ"
SHORT_DATES = "%Y-%m-%dT%H:%M:%SZ"


# --- By asking --------------------------------------------------------------------------------------------------------


def look_for_news() -> int:
    """Ask each CVAT project that has open tasks once; how many readings were queued. What fails waits for next time."""
    waiting = CvatProject.objects.filter(pk__in=_due().values("cvat_project")).select_related("project")
    queued = 0
    for row in waiting.exclude(cvat_id=None):
        try:
            queued += _look(row)
        except (ServiceError, CvatError) as error:
            logger.warning("CVAT project %s could not be looked at: %s", row.pk, error)
            # Not again at once: a CVAT that is away would hold up the others.
            _due().filter(cvat_project=row).update(checked_at=timezone.now())
    return queued


def _due() -> Any:
    tasks = CvatTask.objects.in_cvat().filter(project__deleting=False)
    old = tasks.unchecked_for(LOOK_EVERY).order_by()
    return old.exclude(status="completed", checked_at__gt=timezone.now() - COMPLETED_EVERY)


def _look(row: CvatProject) -> int:
    """One question for all tasks of a project: which jobs were saved since what was read of each?"""
    tasks = {task.cvat_id: task for task in CvatTask.objects.in_cvat().filter(cvat_project=row).select_related("job")}
    with connecting.client_of(row.project) as client:
        account = client.transport.account
        if (row.server, row.organization) != (account.web_url, account.organization or ""):
            raise ServiceError("the project is connected to another CVAT now")
        changed = client.jobs_changed(_mark(row), project_id=row.cvat_id)
    read = dict(CvatJob.objects.filter(task__in=tasks.values()).values_list("cvat_id", "pulled_date"))
    news: dict[int, ExportJob] = {}
    for job in changed:
        task = tasks.get(job.task_id)
        if task is not None and job.type in ("", "annotation") and read.get(job.id, "") != job.updated_date[:40]:
            news[task.job_id] = task.job
    CvatTask.objects.filter(pk__in=[task.pk for task in tasks.values()]).update(checked_at=timezone.now())
    return sum(services.start_automatic(job, CvatPull.Trigger.BEAT) is not None for job in news.values())


def _mark(row: CvatProject) -> str:
    """The date up to which every job was read, in CVAT's own time, a little earlier; "" if one never was.

    Not the latest of all: a job whose reading failed, or waited while another export was read, would be passed over.
    """
    tasks = CvatTask.objects.in_cvat().filter(cvat_project=row)
    read = CvatJob.objects.filter(task__in=tasks).aggregate(read=Min("pulled_date"))["read"] or ""
    for form in (DATES, SHORT_DATES):
        try:
            moment = datetime.strptime(read, form).replace(tzinfo=UTC) - LATE
        except ValueError:
            continue
        return moment.strftime(DATES)
    return ""


# --- By webhook -------------------------------------------------------------------------------------------------------


def hear(cvat_project: int, raw_body: bytes, signature: str | None) -> bool:
    """A delivery of a webhook: queue a reading of what it is about; whether one was queued.

    Raises NotFound for a project without a webhook and for a wrong signature alike, ServiceError for what is no
    delivery. The same delivery again does nothing, and several in a row are one reading.
    """
    row = CvatProject.objects.filter(pk=cvat_project, project__deleting=False).exclude(webhook_secret_sealed="").first()
    secret = sealing.unseal(row.webhook_secret_sealed) if row is not None else ""
    if row is None or not verify_signature(secret, raw_body, signature):
        raise NotFound("There is no such webhook, or the delivery is not signed with its secret.")
    try:
        event = parse_event(raw_body)
    except ValueError as error:
        raise ServiceError(str(error)) from error
    known = f"cvat-delivery:{row.pk}:{hashlib.sha256(raw_body).hexdigest()}"
    if not cache.add(known, 1, REMEMBERED.total_seconds()):
        return False
    try:
        task = _task_of(row, event)
        # What it says of the change is not looked at: deliveries come late and out of order. The reading finds out.
        return task is not None and services.start_automatic(task.job, CvatPull.Trigger.WEBHOOK, SETTLE) is not None
    except Exception:
        cache.delete(known)  # nothing came of it: sent again, it is news
        raise


def _task_of(row: CvatProject, event: Event) -> CvatTask | None:
    """The task that an event is about: of a remark CVAT names the job, of an answer to one only the remark."""
    tasks = CvatTask.objects.in_cvat().filter(cvat_project=row).select_related("job")
    if event.task_id is not None:
        return tasks.filter(cvat_id=event.task_id).first()
    if event.job_id is not None:
        return tasks.filter(jobs__cvat_id=event.job_id).first()
    return tasks.filter(remarks__cvat_id=event.issue_id).first() if event.issue_id is not None else None


def start_listening(*, user: User, project: Project) -> list[CvatProject]:
    """Have CVAT tell us of what is saved in the project's exports; the CVAT projects that do. For managers.

    Raises ServiceError in CVAT's words: it does not deliver to every address.
    """
    policies.require(user, Role.MANAGER, project)
    with connecting.told_at_once(), connecting.client_of(project) as client:
        rows = _rows_at(client, project)
        if not rows:
            raise Conflict("Nothing of this project is in CVAT yet: export something first.")
        for row in rows:
            _listen(client, row, user)
    return rows


def _listen(client: Client, row: CvatProject, user: User) -> None:
    url = address_of(row)
    theirs = client.webhooks(int(row.cvat_id or 0))
    if row.webhook_secret_sealed and any(one.id == row.webhook_id and one.target_url == url for one in theirs):
        return
    # One whose secret nobody knows any more is of no use: its answer was lost, or our address has changed.
    for one in theirs:
        if one.target_url == url or one.id == row.webhook_id:
            client.delete_webhook(one.id)
    secret = secrets.token_hex(24)
    with transaction.atomic():
        CvatProject.objects.filter(pk=row.pk).update(webhook_secret_sealed=sealing.seal(secret), webhook_id=None)
    made = client.create_webhook(int(row.cvat_id or 0), url, secret, EVENTS)
    with transaction.atomic():
        CvatProject.objects.filter(pk=row.pk).update(webhook_id=made.id)
        audit.record(user, row.project, "cvat.listening", cvat_project=row.cvat_id, webhook=made.id)
    row.refresh_from_db()


def stop_listening(*, user: User, project: Project) -> None:
    """Take the webhooks out of CVAT; asking goes on. For managers."""
    policies.require(user, Role.MANAGER, project)
    with connecting.told_at_once(), connecting.client_of(project) as client:
        for row in _rows_at(client, project):
            if row.webhook_id is not None:
                client.delete_webhook(row.webhook_id)
            with transaction.atomic():
                CvatProject.objects.filter(pk=row.pk).update(webhook_id=None, webhook_secret_sealed="")
                audit.record(user, project, "cvat.not_listening", cvat_project=row.cvat_id)


def _rows_at(client: Client, project: Project) -> list[CvatProject]:
    account = client.transport.account
    rows = CvatProject.objects.filter(
        project=project, server=account.web_url, organization=account.organization or ""
    ).select_related("project")
    return list(rows.exclude(cvat_id=None))


def address_of(row: CvatProject) -> str:
    """Where CVAT delivers to."""
    return f"{settings.PUBLIC_URL}{reverse('cvat-delivery', args=[row.pk])}"
