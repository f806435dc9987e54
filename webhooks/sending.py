"""Deliveries on their way: each is claimed, sent once, and tried again later until it has arrived or is given up."""

import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

import urllib3
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from urllib3 import exceptions as faults

from accounts import metering, outbound, sealing
from accounts.errors import ServiceError
from projects import audit
from webhooks.models import Delivery, Webhook
from webhooks.signing import signature

logger = logging.getLogger(__name__)

# After each attempt that failed, so long (seconds) until the next: some 38 hours in all.
PAUSES = (5, 30, 300, 1_800, 7_200, 18_000, 36_000, 72_000)
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 5.0, 10.0, 20.0
LEASE = timedelta(seconds=60)  # longer than an attempt can take; after that its worker is taken for dead
MOST_ANSWER = 500  # bytes kept of an answer
AT_ONCE = 200  # deliveries rung for in one round
_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}


class NotSent(Exception):
    """Nothing went out: why."""


def ring(keys: Iterable[UUID]) -> None:
    """Have workers send these now. If the broker is away, the next round finds them."""
    for key in keys:
        try:
            current_app.send_task("webhooks.tasks.deliver", args=[str(key)], retry=True, retry_policy=_RETRY)
        except (KombuError, RedisError, OSError) as error:
            logger.warning("The broker did not take delivery %s (%s); the next round will.", key, error)
            return


def ring_for_due() -> int:
    """Have workers send whatever is due; how many."""
    due = Delivery.objects.filter(status=Delivery.Status.WAITING, due_at__lte=Now()).order_by("due_at")
    keys = list(due.values_list("pk", flat=True)[:AT_ONCE])
    ring(keys)
    return len(keys)


def deliver(key: UUID | str) -> bool:
    """Send one delivery if it is due and nobody else is at it; whether it arrived.

    What it is about stays the same in every attempt, the id too, so a receiver can tell repeats.
    """
    claimed = Delivery.objects.filter(pk=key, status=Delivery.Status.WAITING, due_at__lte=Now()).update(
        attempts=F("attempts") + 1, due_at=Now() + LEASE, tried_at=Now()
    )
    if not claimed:
        return False
    delivery = Delivery.objects.select_related("webhook", "project").get(pk=key)
    status, answer, error = None, "", ""
    start = time.monotonic()
    try:
        if not delivery.webhook.active:
            raise NotSent("The webhook is not active.")
        status, answer = _post(delivery)
    except (faults.HTTPError, NotSent, ServiceError, OSError) as problem:
        error = _in_words(problem)
    milliseconds = round((time.monotonic() - start) * 1000)
    arrived = status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    metering.count("cocohub_webhook_deliveries", outcome="delivered" if arrived else "failed")
    _write_down(delivery, arrived=arrived, answered=status, answer=answer, error=error, milliseconds=milliseconds)
    return arrived


def _post(delivery: Delivery) -> tuple[int, str]:
    webhook = delivery.webhook
    if fault := outbound.fault_of(webhook.url, settings.WEBHOOK_ALLOWED_HOSTS):
        raise NotSent(fault)
    timestamp = int(time.time())
    secret = sealing.unseal(webhook.secret_sealed)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "CocoHub",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, str(delivery.pk), timestamp, delivery.body),
    }
    check = outbound.address_check(webhook.url, settings.WEBHOOK_ALLOWED_NETWORKS, "WEBHOOK_ALLOWED_NETWORKS", NotSent)
    with (
        outbound.Cut(WHOLE_SECONDS) as cut,
        urllib3.PoolManager(num_pools=1, cert_reqs="CERT_REQUIRED") as pools,
    ):
        pools.pool_classes_by_scheme = outbound.checked_pools(check, cut.guard)
        try:
            response = pools.request(
                "POST", webhook.url, body=delivery.body.encode(), headers=headers, redirect=False, retries=False,
                preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS, total=WHOLE_SECONDS),
            )  # fmt: skip
            try:
                beginning = response.read(MOST_ANSWER)
            finally:
                response.close()
        except (faults.HTTPError, OSError) as problem:
            if cut.over:
                raise NotSent(f"No whole answer within {WHOLE_SECONDS:.0f} seconds.") from problem
            raise
    return response.status, beginning.decode("utf-8", errors="replace").replace("\0", "")


@transaction.atomic
def _write_down(
    delivery: Delivery, *, arrived: bool, answered: int | None, answer: str, error: str, milliseconds: int
) -> None:
    gone = answered == HTTPStatus.GONE
    over = arrived or gone or delivery.attempts > len(PAUSES) or not delivery.webhook.active
    status = Delivery.Status.DELIVERED if arrived else Delivery.Status.FAILED if over else Delivery.Status.WAITING
    pause = None if over else timedelta(seconds=PAUSES[delivery.attempts - 1])
    if answered is not None and not arrived:
        error = f"The receiver answered {answered}; expected 200 to 299."
    # By the number of the attempt: a worker that was away for longer than its lease changes nothing.
    Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts).update(
        status=status, due_at=None if pause is None else Now() + pause, answered=answered, answer=answer,
        error=error, milliseconds=milliseconds,
    )  # fmt: skip
    webhook = Webhook.objects.select_for_update().select_related("project").get(pk=delivery.webhook_id)
    if arrived:
        Webhook.objects.filter(pk=webhook.pk).exclude(failing_since=None).update(failing_since=None)
    elif gone:
        _give_up(webhook, "The receiver answered 410 Gone: it wants nothing more.")
    elif webhook.failing_since is None:
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=Now())
    elif timezone.now() - webhook.failing_since > timedelta(days=settings.WEBHOOK_GIVE_UP_DAYS):
        _give_up(webhook, f"Nothing has arrived for {settings.WEBHOOK_GIVE_UP_DAYS} days. The last error: {error}")


def _give_up(webhook: Webhook, why: str) -> None:
    if Webhook.objects.filter(pk=webhook.pk, active=True).update(active=False, gave_up=why):
        audit.record(None, webhook.project, "webhook.gave_up", actor="CocoHub", webhook=webhook.pk, why=why)


def _in_words(problem: Exception) -> str:
    if isinstance(problem, NotSent | ServiceError):
        return str(problem)
    if isinstance(problem, faults.NameResolutionError):
        return "The name of the host is not known (DNS)."
    if isinstance(problem, faults.NewConnectionError):
        return "No connection: nobody listens there."
    if isinstance(problem, faults.ConnectTimeoutError):
        return f"No connection within {CONNECT_SECONDS:.0f} seconds."
    if isinstance(problem, faults.ReadTimeoutError):
        return f"No answer within {READ_SECONDS:.0f} seconds."
    if isinstance(problem, faults.SSLError):
        return f"TLS failed ({str(problem)[:200]})."
    return "The connection was cut before the answer was complete."
