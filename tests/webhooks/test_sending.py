"""Deliveries: written down with the end of the work, signed, tried again, given up; over real HTTP."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import sealing
from accounts.errors import ServiceError
from accounts.models import SecondFactor
from projects import jobs
from projects.models import AuditLog, Task
from tests.webhooks.receiver import dripping
from webhooks import events, sending
from webhooks.models import Delivery, Webhook


def ended(project, user, kind=Task.Kind.IMPORT, result=None, fails=False):
    """A task that a worker has done."""
    task = jobs.create_task(project, kind, user)

    def work(claim):
        if fails:
            raise ServiceError("The file is empty.")
        return result or {}

    jobs.run(task.pk, work)
    task.refresh_from_db()
    return task


def due_again(delivery):
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now())


def test_the_end_of_work_is_told_with_a_signature(claims_here, project, owner, made, receiver):
    _, secret = made
    task = ended(project, owner, result={"images": 3})

    delivery = Delivery.objects.get()
    assert sending.deliver(delivery.pk) is True

    [(headers, body)] = receiver.came
    told = json.loads(body)
    assert told["type"] == "import.succeeded"
    assert told["data"]["project"] == {"id": project.pk, "name": project.name}
    assert told["data"]["task"]["id"] == str(task.pk)
    assert told["data"]["task"]["result"] == {"images": 3}
    assert told["data"]["task"]["url"].endswith(f"/api/v1/tasks/{task.pk}")
    assert headers["webhook-id"] == str(delivery.pk)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    signed = f"{delivery.pk}.{headers['webhook-timestamp']}.{body}".encode()
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.answered, delivery.due_at) == ("delivered", 1, 204, None)
    assert sending.deliver(delivery.pk) is False, "once it has arrived it is not sent again"
    assert len(receiver.came) == 1


def test_only_what_is_wanted_is_told_and_only_of_the_own_project(
    claims_here, project, owner, webhook, stranger, as_nobody
):
    ended(project, owner, kind=Task.Kind.BULK_EDIT)
    ended(project, owner, kind=Task.Kind.THUMBNAILS)
    ended(project, owner, kind=Task.Kind.EXPORT, fails=True)
    ended(stranger.owned_projects.get(), stranger)
    assert not Delivery.objects.exists()

    ended(project, owner, fails=True)

    told = Delivery.objects.get().told
    assert (told["type"], told["data"]["task"]["message"]) == ("import.failed", "The file is empty.")


def test_an_inactive_webhook_is_told_nothing(claims_here, project, owner, webhook):
    Webhook.objects.update(active=False)
    ended(project, owner)
    assert not Delivery.objects.exists()


def test_the_end_of_a_task_is_told_once_and_each_end_of_its_own(claims_here, project, owner, webhook):
    task = ended(project, owner, fails=True)
    events.note(task)
    events.note(task)
    assert Delivery.objects.count() == 1

    jobs.retry(user=owner, task=task)
    jobs.run(task.pk, lambda claim: {})

    assert sorted(Delivery.objects.values_list("event", flat=True)) == ["import.failed", "import.succeeded"]


def test_a_worker_that_dies_between_the_end_and_the_telling_loses_nothing(
    claims_here, project, owner, webhook, monkeypatch
):
    monkeypatch.setattr(jobs, "_tell_ended", lambda task: None)  # as if it had been killed here
    task = ended(project, owner)
    monkeypatch.undo()
    assert not Delivery.objects.exists()
    Task.objects.filter(pk=task.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    jobs.sweep()

    assert Delivery.objects.get().task_id == task.pk


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (500, {}, "answered 500"),
        (301, {"Location": "http://127.0.0.1:1/elsewhere"}, "answered 301"),
        (404, {}, "answered 404"),
        (199 + 1 + 100, {}, "answered 300"),
    ],
)
def test_what_is_no_success_is_tried_again_later(webhook, receiver, status, headers, error):
    receiver.says(status, headers, b"no\0thing \xff here")
    delivery = events.test_of(webhook)

    for attempt, pause in enumerate(sending.PAUSES, 1):
        before = timezone.now()
        assert sending.deliver(delivery.pk) is False
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == ("waiting", attempt)
        assert 0 <= (delivery.due_at - before).total_seconds() - pause < 30
        assert sending.deliver(delivery.pk) is False, "it is not due yet"
        due_again(delivery)
    sending.deliver(delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.due_at) == ("failed", len(sending.PAUSES) + 1, None)
    assert len(receiver.came) == len(sending.PAUSES) + 1
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
    assert error in delivery.error
    assert delivery.answer == "nothing � here"


def test_nobody_listening_is_told_plainly(webhook, receiver):
    Webhook.objects.filter(pk=webhook.pk).update(url="http://127.0.0.1:9/")
    webhook.refresh_from_db()
    delivery = events.test_of(webhook)

    sending.deliver(delivery.pk)

    delivery.refresh_from_db()
    assert (delivery.status, delivery.answered) == ("waiting", None)
    assert delivery.error == "No connection: nobody listens there."


def test_a_slow_receiver_is_not_waited_for_long(webhook, receiver, monkeypatch):
    monkeypatch.setattr(sending, "READ_SECONDS", 0.2)
    receiver.delay = 4.0
    delivery = events.test_of(webhook)

    start = time.monotonic()
    sending.deliver(delivery.pk)

    assert time.monotonic() - start < 3.5
    delivery.refresh_from_db()
    assert delivery.error.startswith("No answer within")


@pytest.mark.parametrize(
    ("beginning", "whole", "outcome"),
    [
        (b"", 0.6, (False, "waiting", "No whole answer within 1 seconds.")),
        (b"HTTP/1.1 503 Busy\r\nX-Slow: ", 2.0, (False, "waiting", "The receiver answered 503; expected 200 to 299.")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", 2.0, (True, "delivered", "")),
    ],
    ids=["the status", "a header", "the body"],
)
def test_a_receiver_that_answers_a_byte_at_a_time_is_cut_off(webhook, monkeypatch, beginning, whole, outcome):
    monkeypatch.setattr(sending, "WHOLE_SECONDS", whole)
    with dripping(beginning) as port:
        Webhook.objects.filter(pk=webhook.pk).update(url=f"http://127.0.0.1:{port}/")
        webhook.refresh_from_db()
        delivery = events.test_of(webhook)

        start = time.monotonic()
        arrived = sending.deliver(delivery.pk)
        seconds = time.monotonic() - start

    delivery.refresh_from_db()
    assert seconds < 7  # of the ten that the bytes go on for
    assert (arrived, delivery.status, delivery.error) == outcome


def test_a_long_answer_is_not_read_to_its_end(webhook, receiver):
    receiver.says(200, {}, b"x" * 1_000_000)
    delivery = events.test_of(webhook)
    assert sending.deliver(delivery.pk) is True
    delivery.refresh_from_db()
    assert delivery.answer == "x" * sending.MOST_ANSWER


@pytest.mark.parametrize(
    ("hosts", "networks", "error"),
    [([], ["127.0.0.0/8"], "not among those"), (["localhost"], [], "WEBHOOK_ALLOWED_NETWORKS")],
)
def test_what_is_no_longer_allowed_is_not_asked(webhook, receiver, settings, hosts, networks, error):
    Webhook.objects.filter(pk=webhook.pk).update(url=receiver.url.replace("127.0.0.1", "localhost"))
    settings.WEBHOOK_ALLOWED_HOSTS, settings.WEBHOOK_ALLOWED_NETWORKS = hosts, networks
    delivery = events.test_of(webhook)

    sending.deliver(delivery.pk)

    delivery.refresh_from_db()
    assert error in delivery.error
    assert receiver.came == []


def test_a_receiver_that_is_gone_gets_nothing_more(webhook, receiver):
    receiver.says(410)
    delivery = events.test_of(webhook)

    sending.deliver(delivery.pk)

    webhook.refresh_from_db()
    assert (webhook.active, "410" in webhook.gave_up) == (False, True)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.answered, delivery.due_at) == ("failed", 410, None)
    assert delivery.error == "The receiver answered 410; expected 200 to 299."
    line = AuditLog.objects.get(action="webhook.gave_up")
    assert (line.user, line.actor, line.detail["webhook"]) == (None, "CocoHub", webhook.pk)


def test_after_days_of_failing_a_webhook_is_given_up(webhook, receiver, settings):
    receiver.says(503)
    delivery = events.test_of(webhook)
    sending.deliver(delivery.pk)
    webhook.refresh_from_db()
    assert webhook.failing_since is not None
    long_ago = timezone.now() - timedelta(days=settings.WEBHOOK_GIVE_UP_DAYS, minutes=1)
    Webhook.objects.update(failing_since=long_ago)
    due_again(delivery)

    sending.deliver(delivery.pk)

    webhook.refresh_from_db()
    assert (webhook.active, "answered 503" in webhook.gave_up) == (False, True)
    due_again(delivery)
    sending.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.error) == ("failed", "The webhook is not active.")


def test_a_success_forgets_that_it_failed(webhook, receiver):
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=99))
    sending.deliver(events.test_of(webhook).pk)
    webhook.refresh_from_db()
    assert (webhook.active, webhook.failing_since) == (True, None)


def test_a_delivery_of_a_dead_worker_is_sent_by_another(webhook, receiver):
    delivery = events.test_of(webhook)
    Delivery.objects.update(attempts=1, due_at=timezone.now() + sending.LEASE)
    assert sending.deliver(delivery.pk) is False
    assert receiver.came == []
    due_again(delivery)
    assert sending.deliver(delivery.pk) is True


def test_what_is_due_is_rung_for_and_what_is_old_is_forgotten(webhook, receiver, monkeypatch, settings):
    from webhooks import tasks

    rung = []
    monkeypatch.setattr(sending, "ring", lambda keys: rung.extend(keys))
    due, later, old = (events.test_of(webhook) for _ in range(3))
    Delivery.objects.filter(pk=later.pk).update(due_at=timezone.now() + timedelta(hours=1))
    long_ago = timezone.now() - timedelta(days=settings.WEBHOOK_LOG_DAYS, hours=1)
    Delivery.objects.filter(pk=old.pk).update(status="failed", due_at=None, created_at=long_ago)

    assert tasks.deliver_due() == 1
    assert rung == [due.pk]
    assert tasks.forget_old() == 1
    assert set(Delivery.objects.values_list("pk", flat=True)) == {due.pk, later.pk}


def test_a_large_result_stays_at_home(claims_here, project, owner, webhook):
    ended(project, owner, result={"names": ["x" * 100] * 200})
    assert "result" not in Delivery.objects.get().told["data"]["task"]


def test_every_stored_secret_goes_under_the_new_key(webhook, receiver, settings, owner):
    SecondFactor.objects.create(user=owner, secret_sealed=sealing.seal("JBSWY3DP"))
    settings.CREDENTIALS_KEYS = ["a new key", *settings.CREDENTIALS_KEYS]

    assert sealing.reseal_all() == 2

    settings.CREDENTIALS_KEYS = ["a new key"]
    assert sealing.unseal(SecondFactor.objects.get().secret_sealed) == "JBSWY3DP"
    assert sending.deliver(events.test_of(webhook).pk) is True
