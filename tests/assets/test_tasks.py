import os

import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django.utils import timezone
from kombu.exceptions import OperationalError

from assets import tasks, thumbnails
from assets.decoding import DecodersUnwell
from assets.models import ImageAsset
from projects.models import AuditLog, Project, Task
from tests import factories
from tests.assets.test_thumbnails import add, picture
from tests.conftest import wait_until


@pytest.fixture(autouse=True)
def machine_of_our_own(tmp_path, monkeypatch, settings):
    """Other test processes on this machine make thumbnails too."""
    settings.THUMBNAIL_DECODERS = 2
    monkeypatch.setattr(tasks.tempfile, "gettempdir", lambda: str(tmp_path))


@pytest.fixture
def rung(monkeypatch):
    """The messages that went to the broker: (task name, arguments, options)."""
    sent = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args, **options: sent.append((name, args, options)))
    return sent


@pytest.fixture
def lead(run_task, rung):
    """`lead(task)` does what a worker would and gives the task as it is then."""
    return lambda task: run_task(task, tasks._lead)


def running(project):
    """A task that some worker leads."""
    return factories.make_task(project, Task.Kind.THUMBNAILS, status=Task.Status.RUNNING)


# --- Asking for thumbnails --------------------------------------------------------------------------------------------


def test_a_task_is_made_and_published_if_there_is_something_to_do(
    project, owner, rung, django_capture_on_commit_callbacks
):
    add(project, picture())
    with django_capture_on_commit_callbacks(execute=True):
        task = tasks.enqueue(project, owner)
    assert (task.kind, task.status, task.created_by) == (Task.Kind.THUMBNAILS, Task.Status.QUEUED, owner)
    assert [(name, args) for name, args, _ in rung] == [("assets.tasks.make_thumbnails", [str(task.pk)])]
    assert AuditLog.objects.get(action="thumbnails.started").user == owner


def test_nothing_is_made_where_there_is_nothing_to_do(project, owner):
    add(project, picture(), status="broken")
    add(project, b"", uri="", checksum="", format="", status="missing")
    add(factories.make_project(), picture())
    assert tasks.enqueue(project, owner) is None
    assert not Task.objects.exists()


@pytest.mark.parametrize("status", [Task.Status.QUEUED, Task.Status.RUNNING])
def test_a_task_that_waits_or_runs_is_not_joined_by_another(project, owner, status):
    add(project, picture())
    task = factories.make_task(project, Task.Kind.THUMBNAILS, status=status)
    factories.make_task(project, Task.Kind.IMPORT)
    assert tasks.enqueue(project, owner) == task
    assert Task.objects.filter(kind=Task.Kind.THUMBNAILS).count() == 1


@pytest.mark.parametrize("status", [Task.Status.FAILED, Task.Status.SUCCEEDED, Task.Status.CANCELLED])
def test_a_finished_task_does_not_stand_in_the_way(project, owner, status):
    add(project, picture())
    task = factories.make_task(project, Task.Kind.THUMBNAILS, status=status)
    assert tasks.enqueue(project, owner) != task


def test_messages_go_to_the_queue_of_thumbnails():
    for name in (tasks.LEAD, tasks.HELP):
        assert name in current_app.tasks
        assert current_app.amqp.router.route({}, name)["queue"].name == "thumbnails"


# --- Leading ----------------------------------------------------------------------------------------------------------


def test_a_task_makes_the_thumbnails_and_tells_what_is_broken(project, owner, lead):
    add(project, picture())
    bad = add(project, picture()[:-100])
    task = lead(tasks.enqueue(project, owner))
    assert task.status == Task.Status.SUCCEEDED
    assert (task.result["made"], task.result["broken"]) == (1, 1)
    (told,) = task.result["broken_images"]
    assert (told["image"], told["file_name"]) == (bad.pk, bad.file_name)
    assert "cut off" in told["reason"]
    assert (task.phase, task.done, task.total) == ("thumbnails", 2, 2)
    line = AuditLog.objects.get(action="thumbnails.made")
    assert (line.user, line.door, line.request_id) == (owner, "task", str(task.pk))


def test_a_task_that_is_delivered_twice_is_done_once(project, owner, lead):
    add(project, picture())
    task = lead(tasks.enqueue(project, owner))
    before = (task.attempt, task.result, ImageAsset.objects.values_list("updated_at", flat=True)[0])
    task = lead(task)
    assert (task.attempt, task.result, ImageAsset.objects.values_list("updated_at", flat=True)[0]) == before


def test_a_cancelled_task_stops(project, owner, run_task, rung):
    add(project, picture())
    task = tasks.enqueue(project, owner)

    def cancelled_meanwhile(claim):
        Task.objects.filter(pk=task.pk).update(cancel_requested=True)
        return tasks._lead(claim)

    assert run_task(task, cancelled_meanwhile).status == Task.Status.CANCELLED
    assert not ImageAsset.objects.exclude(thumbnail_uri="").exists()


def test_pictures_that_storage_does_not_give_are_tried_again_and_then_told(project, owner, lead):
    add(project, picture())
    default_storage.delete(add(project, picture(1)).uri)
    task = tasks.enqueue(project, owner)
    for attempt in range(1, 4):
        task = lead(task)
        assert task.attempt == attempt
        Task.objects.filter(pk=task.pk, status=Task.Status.QUEUED).update(lease_until=None)
    assert task.status == Task.Status.FAILED
    assert "Storage did not give 1 pictures" in task.message
    assert ImageAsset.objects.exclude(thumbnail_uri="").count() == 1


def test_decoders_that_do_not_start_are_tried_again_later(project, owner, lead, monkeypatch):
    image = add(project, picture())

    def unwell(self, path, pixels=0):
        raise DecodersUnwell("The decoder of pictures does not start (exit code 3).")

    monkeypatch.setattr(thumbnails.Decoders, "shrink", unwell)
    task = lead(tasks.enqueue(project, owner))
    assert (task.status, "exit code 3" in task.message) == (Task.Status.QUEUED, True)
    image.refresh_from_db()
    assert image.status == "ready"


def test_pictures_that_arrive_while_a_task_ends_get_a_task_of_their_own(project, owner, lead, monkeypatch):
    """Their import was told that a task was there already, but that had counted for the last time."""
    add(project, picture())
    task = tasks.enqueue(project, owner)
    make = thumbnails.make_thumbnails

    def make_and_import(*args, **options):
        counts = make(*args, **options)
        late = add(project, picture(1))
        assert tasks.enqueue(project, owner) == task
        assert not late.thumbnail_uri
        return counts

    monkeypatch.setattr(thumbnails, "make_thumbnails", make_and_import)
    assert lead(task).status == Task.Status.SUCCEEDED
    follower = Task.objects.unfinished().get(kind=Task.Kind.THUMBNAILS)
    assert follower.created_by == owner


def test_a_task_that_failed_has_no_follower(project, owner, lead, monkeypatch):
    add(project, picture())
    monkeypatch.setattr(thumbnails, "make_thumbnails", lambda *args, **options: 1 / 0)
    assert lead(tasks.enqueue(project, owner)).status == Task.Status.FAILED
    assert not Task.objects.unfinished().exists()


# --- Helping ----------------------------------------------------------------------------------------------------------


def test_a_worker_helps_and_calls_the_next_one(project, rung):
    add(project, picture())
    task = running(project)
    tasks.help_with_thumbnails(str(task.pk))
    assert ImageAsset.objects.exclude(thumbnail_uri="").count() == 1
    assert [(name, args) for name, args, _ in rung] == [(tasks.HELP, [str(task.pk)])]
    task.refresh_from_db()
    assert (task.status, task.done) == (Task.Status.RUNNING, 0)  # the row is the leader's


@pytest.mark.parametrize("status", ["queued", "succeeded", "failed", "cancelled", "running and cancelled", "deleted"])
def test_nobody_helps_a_task_that_is_over(project, rung, status):
    add(project, picture())
    task = running(project)
    if status == "running and cancelled":
        Task.objects.filter(pk=task.pk).update(cancel_requested=True)
    elif status == "deleted":
        Task.objects.filter(pk=task.pk).delete()
    else:
        Task.objects.filter(pk=task.pk).update(status=status)
    tasks.help_with_thumbnails(str(task.pk))
    assert not ImageAsset.objects.exclude(thumbnail_uri="").exists()
    assert not rung


def test_a_helper_stops_when_the_task_does(project, rung, monkeypatch):
    monkeypatch.setattr(thumbnails, "FLUSH_PICTURES", 2)
    for number in range(40):
        add(project, picture(number))
    task = running(project)
    asked = iter([True, True, True])
    monkeypatch.setattr(tasks, "_goes_on", lambda task: next(asked, False))
    tasks.help_with_thumbnails(str(task.pk))
    assert 0 < ImageAsset.objects.exclude(thumbnail_uri="").count() < 40


def test_a_machine_whose_cores_are_busy_does_not_help(project, rung):
    add(project, picture())
    with tasks._machine() as free, tasks._machine() as again:
        assert (free, again) == (True, False)
        tasks.help_with_thumbnails(str(running(project).pk))
    assert not ImageAsset.objects.exclude(thumbnail_uri="").exists()
    with tasks._machine() as free:
        assert free


def test_the_lock_of_the_machine_follows_no_link(tmp_path):
    (tmp_path / f"cocohub-thumbnails-{os.getuid()}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), tasks._machine():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_leader_rings_ever_more_rarely_and_rings_run_out(project, rung, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(tasks.time, "monotonic", lambda: now[0])
    bell, at = tasks._Bell(running(project)), []
    while now[0] < 400:
        before = len(rung)
        bell.ring()
        if len(rung) > before:
            at.append(now[0])
        now[0] += 0.5
    assert at == [0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362]
    assert [options["expires"] for _, _, options in rung][:6] == [2, 4, 8, 16, 32, 60]


def test_a_broker_that_is_away_stops_nobody(project, owner, lead, monkeypatch):
    def away(*args, **options):
        raise OperationalError("connection refused")

    add(project, picture())
    task = tasks.enqueue(project, owner)
    monkeypatch.setattr(current_app, "send_task", away)
    assert lead(task).status == Task.Status.SUCCEEDED


def test_a_worker_does_it_all(celery_worker, settings):
    project = factories.make_project()
    for number in range(5):
        add(project, picture(number))
    task = tasks.enqueue(project, project.owner)
    wait_until(lambda: Task.objects.get(pk=task.pk).is_finished, 30, lambda: celery_worker.log.decode()[-3000:])
    task.refresh_from_db()
    assert (task.status, task.result["made"]) == (Task.Status.SUCCEEDED, 5)
    assert Project.objects.get(pk=project.pk).revision > 0
    assert not ImageAsset.objects.filter(thumbnail_uri="").exists()


def test_what_a_dead_worker_had_made_is_told_by_who_goes_on(project, owner, lead):
    """It wrote its thumbnails, and died before it could leave a line."""
    for shade in range(3):
        add(project, picture(shade))
    task = factories.make_task(project, Task.Kind.THUMBNAILS, status=Task.Status.RUNNING, total=3, done=1, attempt=1)
    Task.objects.filter(pk=task.pk).update(lease_until=timezone.now(), created_by=owner)
    made = ImageAsset.objects.order_by("pk").values_list("pk", flat=True)[:2]
    ImageAsset.objects.filter(pk__in=list(made)).update(thumbnail_uri="thumbnails/1/aa/a.webp")

    done = lead(task)
    assert (done.status, done.result["made"], done.result["earlier"]) == ("succeeded", 1, 2)
    line = AuditLog.objects.get(action="thumbnails.made")
    assert (line.user, line.detail["pictures"]["made"], line.detail["pictures"]["earlier"]) == (owner, 1, 2)


def test_a_dead_worker_that_had_made_all_is_told_of_too(project, owner, lead):
    add(project, picture())
    ImageAsset.objects.update(thumbnail_uri="thumbnails/1/aa/a.webp")
    task = factories.make_task(project, Task.Kind.THUMBNAILS, status=Task.Status.RUNNING, total=1, attempt=1)
    Task.objects.filter(pk=task.pk).update(lease_until=timezone.now())
    lead(task)
    assert AuditLog.objects.get(action="thumbnails.made").detail["pictures"]["earlier"] == 1
