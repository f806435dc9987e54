"""What is saved in CVAT is noticed: by asking now and then, and by webhooks, which anybody may forge or repeat."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from exports.cvat.webhooks import SIGNATURE_HEADER, sign
from exports.models import CvatProject, CvatPull, CvatTask
from exports.models.cvat import CvatJob
from exports.pulling import services, watching
from exports.tasks import look_at_cvat, pull_from_cvat
from projects.models import AuditLog, Task
from tests.conftest import wait_until
from tests.exports.pulling.conftest import open_differences, pull


def grow_old() -> None:
    """As if nobody had looked for a while."""
    CvatTask.objects.update(checked_at=timezone.now() - timedelta(hours=1))


def waiting() -> list[CvatPull]:
    return list(CvatPull.objects.filter(task__status=Task.Status.QUEUED).order_by("pk"))


def do(work: CvatPull) -> None:
    Task.objects.filter(pk=work.task_id).update(lease_until=None)
    pull_from_cvat(str(work.task_id))


# --- By asking --------------------------------------------------------------------------------------------------------


def test_nothing_saved_is_no_reading(sent, cvat, owner):
    pull(owner, sent)
    grow_old()
    assert look_at_cvat() == 0
    assert waiting() == []
    # Looked at just now: not asked again so soon.
    calls = len(cvat.calls())
    assert look_at_cvat() == 0
    assert len(cvat.calls()) == calls


def test_what_was_saved_is_read_and_waits_for_people(sent, owner, desk):
    pull(owner, sent)
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    grow_old()
    assert look_at_cvat() == 1
    (reading,) = waiting()
    assert (reading.trigger, reading.created_by, reading.policy) == ("beat", None, "review")
    grow_old()
    assert look_at_cvat() == 0  # one waits already
    do(reading)
    assert [one.key for one in open_differences(sent)] == ["12"]
    assert AuditLog.objects.get(action="cvat.pulled", detail__trigger="beat").actor == "CVAT"
    grow_old()
    assert look_at_cvat() == 0


def test_one_question_for_all_tasks_of_a_project(sent, cvat, owner):
    pull(owner, sent)
    grow_old()
    before = len(cvat.calls())
    look_at_cvat()
    assert len(cvat.calls()) == before + 1


def test_late_commit_with_an_earlier_date_is_found(sent, cvat, owner, desk):
    """A save that commits late may carry a date before the greatest that was read."""
    pull(owner, sent)
    first, last = (task.jobs.get() for task in desk.tasks)
    with cvat.state.lock:
        early = cvat.state.job(first.cvat_id).record
        # Saved, with a date between the one that was read and the greatest one.
        early["updated_date"] = early["updated_date"][:-2] + "9Z"
        assert early["updated_date"] < last.updated_date or first.cvat_id > last.cvat_id
    grow_old()
    assert look_at_cvat() == 1


def test_save_that_no_reading_has_read_is_found_after_later_ones_of_other_tasks(sent, cvat, owner, desk):
    """A reading failed, or the server was down: what another task was saved with since does not hide it."""
    pull(owner, sent)
    first, other = desk.tasks
    unread, later = first.jobs.get(), other.jobs.get()
    with cvat.state.lock:
        cvat.state.job(unread.cvat_id).record["updated_date"] = "2099-01-01T09:00:00.000137Z"
        cvat.state.job(later.cvat_id).record["updated_date"] = "2099-01-01T11:00:00.000137Z"
    # The other task was read with its save, an hour and more after the one of the first.
    CvatJob.objects.filter(pk=later.pk).update(
        updated_date="2099-01-01T11:00:00.000137Z", pulled_date="2099-01-01T11:00:00.000137Z"
    )
    CvatTask.objects.filter(pk=other.pk).update(updated_date="2099-01-01T11:00:00.000137Z")
    grow_old()
    assert look_at_cvat() == 1
    do(*waiting())
    assert first.jobs.get().pulled_date == "2099-01-01T09:00:00.000137Z"
    grow_old()
    assert look_at_cvat() == 0


def test_cvat_that_is_away_holds_nobody_up(sent, cvat, owner, caplog):
    pull(owner, sent)
    grow_old()
    cvat.stop()
    assert look_at_cvat() == 0
    assert "could not be looked at" in caplog.text
    assert not CvatTask.objects.filter(checked_at__lt=timezone.now() - timedelta(minutes=1)).exists()


def test_completed_tasks_are_asked_about_less_often(sent, owner):
    pull(owner, sent)
    CvatTask.objects.update(status="completed")
    grow_old()
    assert list(watching._due()) == []
    CvatTask.objects.update(checked_at=timezone.now() - timedelta(days=1))
    assert len(watching._due()) == 2


@pytest.mark.parametrize(
    ("latest", "mark"),
    [
        ("2026-01-01T09:00:00.000137Z", "2026-01-01T08:55:00.000137Z"),
        ("2026-01-01T09:00:00Z", "2026-01-01T08:55:00.000000Z"),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_mark_is_a_date_of_cvat_a_little_earlier(sent, latest, mark):
    """Never a date of our clock; and to the microsecond, else old changes are found again and again."""
    CvatJob.objects.update(pulled_date=latest)
    assert watching._mark(CvatProject.objects.get()) == mark


# --- By webhook -------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(sent, cvat, as_manager, project) -> CvatProject:
    """CVAT tells us."""
    answer = as_manager.put(f"/api/v1/projects/{project.pk}/cvat-webhook", {})
    assert answer.status_code == 200, answer.data
    assert answer.data["listening"]
    return CvatProject.objects.get(project=project)


def deliver(api, row: CvatProject, body: dict | bytes, secret: str | None = None, **headers):
    """As CVAT does."""
    from accounts import sealing

    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    secret = secret if secret is not None else sealing.unseal(row.webhook_secret_sealed)
    headers = headers or {SIGNATURE_HEADER: sign(secret, raw)}
    return api(None).post(
        urlsplit(watching.address_of(row)).path, raw, content_type="application/json", headers=headers
    )


def event_of(task: CvatTask, **more) -> dict:
    job = {"id": task.jobs.get().cvat_id, "task_id": task.cvat_id, "project_id": task.cvat_project.cvat_id}
    return {"event": "update:job", "job": job, "webhook_id": 1, "sender": {"username": "anna"}, **more}


def test_webhook_is_made_once_with_a_secret_of_its_own(listening, cvat, client, as_manager, project):
    (hook,) = client.webhooks(listening.cvat_id)
    assert hook.target_url == watching.address_of(listening)
    assert "update:job" in hook.events
    assert (listening.webhook_id, bool(listening.webhook_secret_sealed)) == (hook.id, True)
    assert as_manager.put(f"/api/v1/projects/{project.pk}/cvat-webhook", {}).status_code == 200
    assert len(client.webhooks(listening.cvat_id)) == 1
    assert as_manager.delete(f"/api/v1/projects/{project.pk}/cvat-webhook").status_code == 204
    assert client.webhooks(listening.cvat_id) == []
    listening.refresh_from_db()
    assert (listening.webhook_id, listening.webhook_secret_sealed) == (None, "")


def test_webhook_whose_secret_is_lost_is_made_anew(listening, client, as_manager, project):
    """The worker died after CVAT had made it: the secret that CVAT has is known to nobody."""
    first = listening.webhook_id
    CvatProject.objects.update(webhook_id=None)
    assert as_manager.put(f"/api/v1/projects/{project.pk}/cvat-webhook", {}).status_code == 200
    (hook,) = client.webhooks(listening.cvat_id)
    assert hook.id != first


def test_what_cvat_delivers_over_http_queues_a_reading(
    scene, cvat, owner, live_server, settings, sent, desk, monkeypatch
):
    # The server's threads shall leave no connection behind.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.PUBLIC_URL = live_server.url
    pull(owner, sent)
    (row,) = watching.start_listening(user=owner, project=scene)
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    wait_until(lambda: len(cvat.state.deliveries[row.webhook_id]) == 3)
    answers = [one["status_code"] for one in cvat.state.deliveries[row.webhook_id]]
    # The job, the task and the project: one reading.
    assert sorted(answers) == [202, 204, 204]
    (reading,) = waiting()
    assert reading.trigger == "webhook"
    do(reading)
    assert [one.key for one in open_differences(sent)] == ["12"]


def test_deliveries_in_a_row_are_one_reading_after_a_while(listening, api, desk):
    task = desk.tasks[0]
    answers = [deliver(api, listening, event_of(task, number=number)).status_code for number in range(4)]
    assert answers == [202, 204, 204, 204]
    (reading,) = waiting()
    # People save often: it waits, and the sweeper rings once its time has come.
    assert reading.task.lease_until - timezone.now() > timedelta(seconds=10)
    pull_from_cvat(str(reading.task_id))
    reading.refresh_from_db()
    assert reading.task.status == Task.Status.QUEUED


def test_same_delivery_again_does_nothing(listening, api, desk, owner, sent):
    body = event_of(desk.tasks[0])
    assert deliver(api, listening, body).status_code == 202
    do(waiting()[0])
    assert deliver(api, listening, body).status_code == 204
    assert waiting() == []


def test_a_delivery_of_which_nothing_came_is_news_when_it_is_sent_again(listening, api, desk, monkeypatch):
    def fails(*args):
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr(services, "start_automatic", fails)
        assert deliver(api, listening, event_of(desk.tasks[0])).status_code == 503
    assert not CvatPull.objects.exists()
    assert deliver(api, listening, event_of(desk.tasks[0])).status_code == 202
    assert CvatPull.objects.count() == 1


def test_delivery_while_a_reading_runs_is_another_reading(listening, api, desk, owner, sent):
    """The one that runs may have passed by what is new."""
    assert deliver(api, listening, event_of(desk.tasks[0])).status_code == 202
    Task.objects.filter(pk=waiting()[0].task_id).update(status=Task.Status.RUNNING)
    assert deliver(api, listening, event_of(desk.tasks[0], number=2)).status_code == 202


def test_forged_deliveries_are_not_found(listening, api, desk):
    body = json.dumps(event_of(desk.tasks[0])).encode()
    wrong = [
        deliver(api, listening, body, secret="guess"),
        deliver(api, listening, body, **{"X-Other": "1"}),
        deliver(api, listening, body, **{SIGNATURE_HEADER: "sha256="}),
        deliver(api, listening, body + b" ", **{SIGNATURE_HEADER: sign("guess", body)}),
        deliver(api, CvatProject(pk=listening.pk + 99), body, secret="guess"),
    ]
    assert {answer.status_code for answer in wrong} == {404}
    assert len({answer.data["message"] for answer in wrong}) == 1
    assert waiting() == []


def test_project_without_a_webhook_trusts_nobody(sent, api, desk):
    row = CvatProject.objects.get()
    assert deliver(api, row, event_of(desk.tasks[0]), secret="").status_code == 404


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"event": 5}'])
def test_signed_nonsense_is_refused(listening, api, body):
    assert deliver(api, listening, body).status_code == 400


def test_ping_and_strange_tasks_are_taken_quietly(listening, api, desk):
    assert deliver(api, listening, {"event": "ping", "webhook": {"id": 1}}).status_code == 204
    strange = event_of(desk.tasks[0])
    strange["job"]["task_id"] = 987_654
    assert deliver(api, listening, strange).status_code == 204
    assert waiting() == []


def test_too_long_a_delivery_is_refused(listening, api):
    assert deliver(api, listening, b" " * (watching.MAX_BODY + 1)).status_code == 413


def test_listening_is_for_managers(sent, cvat, as_curator, as_manager, project):
    assert as_curator.put(f"/api/v1/projects/{project.pk}/cvat-webhook", {}).status_code == 403


def test_automatic_reading_gives_way_to_a_person(sent, owner, listening, api, desk):
    deliver(api, listening, event_of(desk.tasks[0]))
    asked = services.start_pull(user=owner, job=sent, policy="accept")
    assert asked.policy == "accept"
