"""A worker that is killed while it takes over: another goes on, and each difference is dealt with once."""

from dataclasses import replace

import pytest
from django.db import connection
from django.utils import timezone

from annotations import restoring, revising
from annotations.models import Annotation
from exports.cvat.client import Client
from exports.models import CvatDifference, CvatPull
from exports.pulling import applying, reading, services, undoing
from projects import jobs
from projects.models import AuditLog, Task
from tests.exports.pulling.conftest import exported, open_differences, pull, records, undo


class Killed(BaseException):
    """As good as a signal 9: nothing is tidied up."""


@pytest.fixture
def edited(sent, desk):
    """Five differences."""
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 11.5, 2, 12.5, 23, 1, 22)))
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)), replace(box, id=None, points=(1, 1, 9, 9)))
    return sent


def dying(monkeypatch, module, name: str, at: int) -> None:
    """Have the function kill its worker the `at`-th time that it is called."""
    real, calls = getattr(module, name), []

    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, wrapped)


def die_and_go_on(work: CvatPull) -> None:
    """The worker dies; its lease runs out; another takes the task."""
    with pytest.raises(Killed):
        jobs.run(work.task_id, services.run)
    connection.close()
    assert Task.objects.get(pk=work.task_id).status == Task.Status.RUNNING
    Task.objects.filter(pk=work.task_id).update(lease_until=timezone.now())
    jobs.run(work.task_id, services.run)
    task = Task.objects.get(pk=work.task_id)
    assert task.status == Task.Status.SUCCEEDED, task.message


@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("place", ["before", "inside"])
def test_taking_over_goes_on_where_it_stopped(scene, edited, owner, monkeypatch, at, place):
    monkeypatch.setattr(applying, "BATCH", 1)
    pull(owner, edited)
    work = services.start_apply(user=owner, job=edited, policy="theirs")
    if place == "before":
        dying(monkeypatch, applying, "apply_batch", at)
    else:
        dying(monkeypatch, revising, "recount", at)
    die_and_go_on(work)
    work.refresh_from_db()
    assert work.result == {"taken_over": 5, "refused": 0, "left": 0}
    assert sorted(records(scene)) == [11, 12, 13, 14, 15, 17, 18, 19, 20]
    assert Annotation.objects.filter(source="cvat").count() == 4
    made = AuditLog.objects.filter(action="annotation.created")
    assert made.count() == 2
    assert AuditLog.objects.filter(action="cvat.taken_over").count() == 1
    assert open_differences(edited) == []


@pytest.mark.parametrize("at", [1, 3, 5])
def test_undo_goes_on_where_it_stopped(scene, edited, owner, monkeypatch, at):
    before = exported(scene)
    pull(owner, edited)
    work = services.perform_here(services.start_apply(user=owner, job=edited, policy="theirs"))
    monkeypatch.setattr(undoing, "BATCH", 1)
    back = services.start_undo(user=owner, pull=work)
    dying(monkeypatch, restoring, "restore", at)
    die_and_go_on(back)
    assert exported(scene) == before
    assert len(open_differences(edited)) == 5


@pytest.mark.parametrize("name", ["_store", "_keep"])
@pytest.mark.parametrize("at", [1, 2])
def test_reading_goes_on_where_it_stopped(scene, edited, owner, monkeypatch, name, at):
    work = services.start_pull(user=owner, job=edited)
    dying(monkeypatch, reading, name, at)
    die_and_go_on(work)
    assert CvatDifference.objects.count() == 5
    assert {one.pull_id for one in open_differences(edited)} == {work.pk}


def test_reading_and_taking_over_in_one_goes_on(scene, edited, owner, monkeypatch):
    monkeypatch.setattr(applying, "BATCH", 1)
    work = services.start_pull(user=owner, job=edited, policy="accept")
    dying(monkeypatch, applying, "apply_batch", 3)
    die_and_go_on(work)
    work.refresh_from_db()
    assert work.result["taken_over"] == 5
    # The numbers are of what was found, also by the worker that died.
    assert {name: work.result[name] for name in ("added", "changed", "deleted")} == {
        "added": 2,
        "changed": 2,
        "deleted": 1,
    }
    assert AuditLog.objects.get(action="cvat.pulled").detail["changed"] == 2
    assert undo(owner, work).result["undone"] == 5


def test_cancelled_half_way_can_be_undone(scene, edited, owner, monkeypatch):
    before = exported(scene)
    monkeypatch.setattr(applying, "BATCH", 1)
    pull(owner, edited)
    work = services.start_apply(user=owner, job=edited, policy="theirs")
    real, calls = applying.apply_batch, []

    def cancelling(*args):
        calls.append(1)
        if len(calls) == 3:
            raise jobs.Cancelled("stop")
        real(*args)

    monkeypatch.setattr(applying, "apply_batch", cancelling)
    jobs.run(work.task_id, services.run)
    assert Task.objects.get(pk=work.task_id).status == Task.Status.CANCELLED
    assert len(open_differences(edited)) == 3
    undo(owner, work)
    assert exported(scene) == before


def test_unwell_cvat_is_asked_again_later(edited, owner, cvat, monkeypatch):
    from exports.cvat.errors import Unwell

    real = Client.annotations

    def unwell(self, place, place_id):
        raise Unwell(503, "in maintenance")

    monkeypatch.setattr(Client, "annotations", unwell)
    work = services.perform_here(services.start_pull(user=owner, job=edited))
    assert work.task.status == Task.Status.QUEUED
    assert "in maintenance" in work.task.message
    monkeypatch.setattr(Client, "annotations", real)
    Task.objects.filter(pk=work.task_id).update(lease_until=None)
    assert services.perform_here(work).task.status == Task.Status.SUCCEEDED
    assert len(open_differences(edited)) == 5
