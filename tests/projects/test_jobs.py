"""Tasks: claimed once, seen while they run, ended whatever happens. Run here, in the test's transaction."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import Storage, default_storage
from django.db import OperationalError
from django.utils import timezone

from accounts import context
from accounts.errors import Conflict, Forbidden, NotFound, ServiceError
from cocohub import serving
from projects import claims, jobs
from projects.models import Task
from tests import factories

pytestmark = pytest.mark.usefixtures("claims_here")

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def task(project):
    return factories.make_task(project)


def now() -> "timezone.datetime":
    return timezone.now()


def abandon(task: Task, **fields) -> None:
    """As if the worker had been killed a while ago."""
    Task.objects.filter(pk=task.pk).update(
        **{"status": "running", "lease_until": now() - LONG_AGO, "published_at": now() - LONG_AGO, **fields}
    )


def report_of(task: Task) -> dict:
    with default_storage.open(task.log) as stored:
        return json.load(stored)


# --- Claims -----------------------------------------------------------------------------------------------------------


def test_a_task_is_claimed_once(task):
    first, second = jobs.claim(task.pk), jobs.claim(task.pk)
    assert second is None
    assert (first.task.status, first.task.attempt, first.task.fence) == ("running", 1, 1)
    assert first.task.lease_until > now()


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_finished_task_is_not_claimed(task, status):
    Task.objects.filter(pk=task.pk).update(status=status)
    assert jobs.claim(task.pk) is None


def test_a_task_there_is_not_is_not_claimed(db):
    assert jobs.claim("00000000-0000-0000-0000-000000000000") is None


def test_a_dead_workers_task_is_taken_over_and_its_word_no_longer_counts(task):
    dead = jobs.claim(task.pk)
    abandon(task)
    alive = jobs.claim(task.pk)
    assert alive.task.attempt == 2
    for word in (lambda: dead.succeed({}), lambda: dead.fail("x"), dead.cancelled, dead.confirm):
        with pytest.raises(jobs.LeaseLost):
            word()
    with pytest.raises(jobs.LeaseLost):
        dead.progress("rows", 1)
    alive.succeed({"rows": 3})
    task.refresh_from_db()
    assert (task.status, task.result) == ("succeeded", {"rows": 3})


def test_a_task_whose_worker_died_three_times_fails_with_a_report(task):
    abandon(task, attempt=3)
    assert jobs.claim(task.pk) is None
    task.refresh_from_db()
    assert task.status == "failed"
    assert "died 3 times" in task.message
    assert task.log == f"logs/{task.pk}.json"
    assert report_of(task)["message"] == task.message


def test_a_cancelled_task_of_a_dead_worker_is_cancelled_not_run(task):
    abandon(task, cancel_requested=True)
    assert jobs.claim(task.pk) is None
    task.refresh_from_db()
    assert task.status == "cancelled"


def test_a_task_that_waits_for_a_retry_is_left_alone_until_then(task):
    Task.objects.filter(pk=task.pk).update(lease_until=now() + timedelta(seconds=5))
    assert jobs.claim(task.pk) is None
    Task.objects.filter(pk=task.pk).update(lease_until=now() - timedelta(seconds=5))
    assert jobs.claim(task.pk) is not None


# --- Progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_written_at_once_for_a_new_phase_and_sparingly_within_one(task, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: clock.now))
    claim = jobs.claim(task.pk)

    def seen():
        task.refresh_from_db()
        return task.phase, task.done, task.total

    claim.progress("reading", 1, 10)
    assert seen() == ("reading", 1, 10)
    clock.now += 0.2
    claim.progress("reading", 3, 10)
    assert seen() == ("reading", 1, 10)
    clock.now += 0.1
    claim.progress("reading", 4, 10)
    assert seen() == ("reading", 4, 10)
    claim.progress("writing", 0, None, "now the rows")
    assert seen() == ("writing", 0, None)
    assert task.message == "now the rows"


def test_the_last_progress_is_kept_at_the_end(task, run_task):
    def work(claim):
        for number in range(1, 101):
            claim.progress("rows", number, 100)
        return {}

    run_task(task, work)
    assert (task.done, task.total, task.percent) == (100, 100, 100)


def test_progress_renews_the_lease(task):
    claim = jobs.claim(task.pk, timedelta(seconds=1))
    before = claim.task.lease_until
    claim.lease = timedelta(seconds=100)
    claim.progress("x", 1)
    task.refresh_from_db()
    assert task.lease_until > before + timedelta(seconds=50)


def test_a_phase_too_long_or_a_message_with_null_characters_does_no_harm(task):
    jobs.claim(task.pk).progress("x" * 100, 1, 2, "a\0b")
    task.refresh_from_db()
    assert (task.phase, task.message) == ("x" * 40, "ab")


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(0, 0, None), (5, None, None), (1, 3, 33), (3, 3, 100), (9, 3, 100)]
)
def test_percent_is_told_where_it_is_known(done, total, percent):
    assert Task(status="running", done=done, total=total).percent == percent


# --- Ends -------------------------------------------------------------------------------------------------------------


def test_success_keeps_the_result_and_the_works_own_report(task, run_task):
    def work(claim):
        claim.log = "logs/mine.json"
        return {"rows": 3, "at": timezone.now()}

    run_task(task, work)
    assert (task.status, task.result["rows"], task.log) == ("succeeded", 3, "logs/mine.json")
    assert task.finished_at is not None
    assert task.lease_until is None


def test_success_can_be_part_of_the_works_transaction(task, run_task):
    def work(claim):
        claim.succeed_with_transaction({"rows": 1})
        return {"rows": 1}

    run_task(task, work)
    assert (task.status, task.result) == ("succeeded", {"rows": 1})


def test_an_expected_refusal_is_final_with_its_message_and_detail_in_a_report(task, run_task):
    def work(claim):
        raise ServiceError("images is missing", detail={"found": ["info"]})

    run_task(task, work)
    assert (task.status, task.attempt, task.message) == ("failed", 1, "images is missing")
    assert report_of(task)["detail"] == {"found": ["info"]}


def test_a_refusal_with_the_works_own_report_keeps_that(task, run_task):
    def work(claim):
        claim.log = "logs/mine.json"
        raise ServiceError("no")

    assert run_task(task, work).log == "logs/mine.json"


def test_a_bug_is_told_plainly_and_logged_with_its_traceback(task, run_task, caplog):
    def work(claim):
        raise KeyError("secret internals")

    run_task(task, work)
    assert task.status == "failed"
    assert "secret" not in task.message
    assert str(task.pk) in task.message
    assert "secret" not in json.dumps(report_of(task))
    assert "secret internals" in caplog.text


def test_running_out_of_time_is_final(task, run_task):
    def work(claim):
        raise SoftTimeLimitExceeded

    run_task(task, work)
    assert task.status == "failed"
    assert "longer than a task may take" in task.message


def s3_error(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection"),
        ConnectionResetError(),
        TimeoutError(),
        ConnectTimeoutError(endpoint_url="http://s3"),
        s3_error(503),
        s3_error(429),
        jobs.TryLater("CVAT asks to wait."),
    ],
)
def test_an_unwell_server_puts_the_task_back_for_a_while_and_fails_it_in_the_end(task, run_task, error):
    def work(claim):
        raise error

    run_task(task, work)
    assert (task.status, task.attempt, task.published_at) == ("queued", 1, None)
    first_pause = task.lease_until - now()
    assert timedelta(seconds=5) < first_pause <= timedelta(seconds=10)
    run_task(task, work)
    assert task.attempt == 1, "nobody may start it before its time"
    Task.objects.filter(pk=task.pk).update(lease_until=now())
    run_task(task, work)
    assert task.attempt == 2
    assert task.lease_until - now() > 2 * first_pause
    Task.objects.filter(pk=task.pk).update(lease_until=now())
    run_task(task, work)
    assert (task.status, task.attempt) == ("failed", 3)
    assert "Tried 3 times" in task.message
    assert task.log


def test_a_server_that_says_when_to_come_back_is_taken_at_its_word(task, run_task):
    def work(claim):
        raise jobs.TryLater("CVAT asks to wait.", after=timedelta(minutes=7))

    run_task(task, work)
    assert timedelta(minutes=6) < task.lease_until - now() <= timedelta(minutes=7)
    assert task.message.startswith("CVAT asks to wait.")


def test_a_storage_that_refuses_is_no_reason_to_try_again(task, run_task):
    def work(claim):
        raise s3_error(403)

    assert run_task(task, work).status == "failed"


def test_a_task_can_fail_while_the_storage_is_down(task, run_task, monkeypatch):
    def down(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Storage, "save", down)

    def work(claim):
        raise ServiceError("no")

    run_task(task, work)
    assert (task.status, task.message, task.log) == ("failed", "no", "")


def test_the_work_runs_as_a_task_in_the_audit_trail(task, run_task):
    seen = []

    def work(claim):
        seen.append((context.door.get(), context.request_id.get()))
        return {}

    run_task(task, work)
    assert seen == [("task", str(task.pk))]
    assert context.door.get() == ""


def test_a_task_delivered_twice_is_done_once(task, run_task):
    runs = []

    def work(claim):
        runs.append(1)
        return {}

    run_task(task, work)
    run_task(task, work)
    assert runs == [1]


# --- Cancelling and trying again --------------------------------------------------------------------------------------


def test_viewers_and_strangers_steer_nothing(task, viewer, stranger):
    for steer in (jobs.cancel, jobs.retry):
        with pytest.raises(Forbidden):
            steer(user=viewer, task=task)
        with pytest.raises(NotFound):
            steer(user=stranger, task=task)


@pytest.mark.parametrize("kind", [Task.Kind.EXPORT, Task.Kind.CVAT_DELETE])
def test_work_for_managers_is_steered_by_managers(project, curator, manager, kind):
    task = factories.make_task(project, kind=kind)
    with pytest.raises(Forbidden):
        jobs.cancel(user=curator, task=task)
    jobs.cancel(user=manager, task=task)
    with pytest.raises(Forbidden):
        jobs.retry(user=curator, task=task)
    assert jobs.retry(user=manager, task=task).status == Task.Status.QUEUED


def test_a_waiting_task_is_cancelled_at_once(task, curator):
    assert jobs.cancel(user=curator, task=task).status == "cancelled"


def test_a_running_task_stops_at_its_next_step(task, curator, run_task):
    reached = []

    def work(claim):
        claim.progress("one", 1)
        assert jobs.cancel(user=curator, task=task).status == "running"
        claim.progress("two", 2)
        reached.append("three")
        return {}

    run_task(task, work)
    assert (task.status, reached) == ("cancelled", [])


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_what_is_over_cannot_be_cancelled(task, curator, status):
    Task.objects.filter(pk=task.pk).update(status=status)
    with pytest.raises(Conflict, match="over"):
        jobs.cancel(user=curator, task=task)


def test_a_deletion_cannot_be_cancelled(project, owner):
    task = factories.make_task(project, Task.Kind.DELETE_PROJECT, created_by=owner)
    with pytest.raises(Conflict):
        jobs.cancel(user=owner, task=task)


def test_only_what_failed_or_was_cancelled_is_tried_again(task, curator):
    for status in ("queued", "running", "succeeded"):
        Task.objects.filter(pk=task.pk).update(status=status)
        with pytest.raises(Conflict):
            jobs.retry(user=curator, task=task)


def test_trying_again_starts_from_a_fresh_count(task, curator, run_task):
    abandon(task, attempt=3)
    jobs.sweep()
    jobs.retry(user=curator, task=task)
    run_task(task, lambda claim: {"ok": True})
    assert (task.status, task.attempt, task.message, task.log) == ("succeeded", 1, "", "")


# --- Hooks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ended(monkeypatch):
    """What the hook of imports was told, in place of the real one."""
    told = []
    monkeypatch.setattr(jobs, "_kinds", {})
    jobs.register(Task.Kind.IMPORT, "tests.nothing", ended=lambda task: told.append(task.status))
    return told


def test_whoever_ends_a_task_tells_its_kind(project, curator, run_task, ended):
    run_task(factories.make_task(project), lambda claim: {})
    jobs.cancel(user=curator, task=factories.make_task(project))
    abandon(factories.make_task(project), attempt=3)
    jobs.sweep()
    assert ended == ["succeeded", "cancelled", "failed"]


def test_what_follows_from_an_end_is_done_by_the_sweeper_where_the_worker_died(task, run_task, monkeypatch, ended):
    with monkeypatch.context() as dying:
        dying.setattr(jobs, "_tell_ended", lambda task: None)
        run_task(task, lambda claim: {})
    assert ended == []
    jobs.sweep()
    assert ended == []  # the worker may be at it
    Task.objects.filter(pk=task.pk).update(lease_until=now() - timedelta(seconds=1))
    jobs.sweep()
    jobs.sweep()
    assert ended == ["succeeded"]
    task.refresh_from_db()
    assert task.lease_until is None


def test_what_follows_is_tried_again_where_it_failed(task, run_task, monkeypatch, ended):
    with monkeypatch.context() as dying:
        dying.setattr(jobs, "_tell_ended", lambda task: None)
        run_task(task, lambda claim: {})
    Task.objects.filter(pk=task.pk).update(lease_until=now() - timedelta(seconds=1))

    def fail(task):
        raise OperationalError("away")

    with monkeypatch.context() as failing:
        failing.setitem(jobs._kinds, task.kind, jobs._Kind("x", fail))
        jobs.sweep()
    task.refresh_from_db()
    assert task.lease_until > now()


def test_a_task_that_will_be_tried_again_has_not_ended(task, run_task, ended):
    def work(claim):
        raise TimeoutError

    run_task(task, work)
    assert ended == []


# --- The doorbell -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rung(monkeypatch):
    """The messages that would have gone to the broker."""
    sent = []
    monkeypatch.setattr(
        jobs.current_app, "send_task", lambda name, args, **options: sent.append((name, args)), raising=False
    )
    return sent


def test_a_task_is_rung_for_after_the_commit(project, owner, rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        task = jobs.create_task(project, Task.Kind.DELETE_PROJECT, owner)
        jobs.publish(task)
        assert rung == []
    assert rung == [("projects.tasks.delete_project", [str(task.pk)])]
    task.refresh_from_db()
    assert task.published_at is not None


def test_a_broker_that_is_away_does_not_fail_the_request(
    project, owner, monkeypatch, django_capture_on_commit_callbacks
):
    def away(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(jobs.current_app, "send_task", away, raising=False)
    with django_capture_on_commit_callbacks(execute=True):
        task = jobs.create_task(project, Task.Kind.DELETE_PROJECT, owner)
        jobs.publish(task)
    task.refresh_from_db()
    assert (task.status, task.published_at) == ("queued", None)


def test_the_sweeper_rings_for_what_nobody_answers(project, rung):
    kind = Task.Kind.DELETE_PROJECT
    unpublished = factories.make_task(project, kind)
    unanswered = factories.make_task(project, kind, published_at=now() - LONG_AGO)
    dead = factories.make_task(project, kind)
    abandon(dead, attempt=1)
    due = factories.make_task(project, kind, lease_until=now() - LONG_AGO)
    just_rung = factories.make_task(project, kind, published_at=now())
    alive = factories.make_task(project, kind, status="running", lease_until=now() + LONG_AGO)
    resting = factories.make_task(project, kind, lease_until=now() + LONG_AGO)
    over = factories.make_task(project, kind, status="failed")

    assert jobs.sweep() == 4
    keys = {args[0] for _name, args in rung}
    assert keys == {str(task.pk) for task in (unpublished, unanswered, dead, due)}
    assert not keys & {str(task.pk) for task in (just_rung, alive, resting, over)}
    assert jobs.sweep() == 0


def test_the_sweeper_rings_at_once_for_a_worker_that_died_soon_after_it_was_rung_for(project, rung):
    """And once: until somebody is taken for lost again."""
    task = factories.make_task(project, Task.Kind.DELETE_PROJECT)
    abandon(task, attempt=1, published_at=now() - timedelta(seconds=2), lease_until=now() - timedelta(seconds=1))
    assert jobs.sweep() == 1
    assert jobs.sweep() == 0


def test_a_dead_workers_task_is_running_again_within_half_a_minute(settings):
    """In the worst case: the lease was renewed just before, and the sweeper had just looked."""
    assert settings.TASK_LEASE_SECONDS + settings.TASK_SWEEP_SECONDS <= 25
    assert timedelta(seconds=settings.TASK_LEASE_SECONDS) == claims.LEASE
    beat = settings.CELERY_BEAT_SCHEDULE["re-publish waiting and abandoned tasks"]
    assert beat["schedule"] == settings.TASK_SWEEP_SECONDS


def test_every_worker_sweeps(settings):
    """What is left behind in one queue does not wait for the work of another."""
    route = settings.CELERY_TASK_ROUTES["projects.tasks.sweep"]["queue"]
    assert route not in {"imports", "thumbnails", "insights", "exports"}
    assert route in serving.QUEUES.split(",")
    dockerfile = (settings.BASE_DIR / "Dockerfile").read_text()
    assert f"-Q $QUEUES,{route} " in dockerfile


def test_the_sweeper_ends_the_hopeless(project, rung):
    died = factories.make_task(project)
    abandon(died, attempt=3)
    cancelled = factories.make_task(project)
    abandon(cancelled, cancel_requested=True)
    jobs.sweep()
    died.refresh_from_db()
    cancelled.refresh_from_db()
    assert (died.status, cancelled.status, rung) == ("failed", "cancelled", [])
    assert died.log


def test_a_kind_nobody_does_waits_and_is_told_in_the_log(project, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "_kinds", {})
    assert jobs.ring(factories.make_task(project)) is False
    assert "Nobody has registered" in caplog.text


def test_every_kind_of_task_has_somebody_who_does_it(db, rung):
    for kind in (Task.Kind.DELETE_PROJECT, Task.Kind.IMPORT, Task.Kind.EXPORT):
        assert jobs.ring(factories.make_task(kind=kind)), kind
