"""What is made ahead: the next task's shapes, by a thread; and Python that looks for cycles less often meanwhile."""

import gc
import threading
from dataclasses import replace

import pytest

from exports.models import CvatTask
from exports.sending import ahead, pipeline
from exports.sending.ahead import RARELY, Pens, collecting_less
from tests.exports.sending import scenes
from tests.exports.sending.looking import keys_in, tasks_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[int, bool]]:
    """The number of each task that was drawn, and whether a thread beside did it."""
    found: list[tuple[int, bool]] = []
    draw = ahead._draw

    def noted(task, snapshot, paper):
        found.append((task.number, threading.current_thread() is not threading.main_thread()))
        return draw(task, snapshot, paper)

    monkeypatch.setattr(ahead, "_draw", noted)
    return found


def test_each_task_is_drawn_once_ahead_of_its_turn(scene, cvat, client, start, work, drawn):
    job = work(start(scene, q="split:train", images_per_task=1))
    assert job.status == "succeeded", job.task.message
    assert drawn == [(number, True) for number in range(1, 6)]
    keys = set().union(*(keys_in(client, task) for task in tasks_of(job)))
    assert keys == scenes.SENT_OF_TRAIN


def test_three_tasks_are_in_hand_and_no_more(scene, cvat, start, work, monkeypatch):
    """What is in memory and what is left half done does not grow."""
    seen: list[list[str]] = []
    save = pipeline.TaskSender._save

    def noted(self, **changes):
        save(self, **changes)
        seen.append(list(CvatTask.objects.filter(job=self.bench.job).order_by("number").values_list("step", flat=True)))

    monkeypatch.setattr(pipeline.TaskSender, "_save", noted)
    assert work(start(scene, q="split:train", images_per_task=1)).status == "succeeded"
    for steps in seen:
        busy = [step for step in steps if step not in ("planned", "sent")]
        assert len(busy) <= 3
        assert steps == [*(s for s in steps if s == "sent"), *busy, *(s for s in steps if s == "planned")]


def test_what_was_drawn_for_other_paper_is_drawn_anew(drawn, on_paper):
    task, snapshot, paper = on_paper
    with Pens() as pens:
        pens.prepare(task, snapshot, paper)
        assert pens.take(task, snapshot, paper).shapes == {}
        pens.prepare(task, snapshot, paper)
        other = replace(paper, problems={1: "gone"})
        pens.take(task, snapshot, other)
        pens.take(task, snapshot, other)
    assert drawn[0] == (1, True)
    assert drawn.count((1, False)) == 2


@pytest.fixture
def on_paper():
    """A task without annotations, and what it is drawn on."""

    class Empty:
        def annotations(self, task):
            return iter(())

    return CvatTask(pk=1, number=1), Empty(), ahead.Paper([], {}, {}, {}, {}, {})


def test_what_fails_beside_fails_the_export(scene, cvat, start, work, monkeypatch):
    def broken(task, snapshot, paper):
        raise RuntimeError("no ink")

    monkeypatch.setattr(ahead, "_draw", broken)
    job = work(start(scene, q="split:train", images_per_task=2))
    assert (job.status, {task.step for task in tasks_of(job)} & {"sent"}) == ("failed", set())


def test_cycles_are_looked_for_less_often_only_meanwhile():
    before = gc.get_threshold()
    meanwhile = []

    def work():
        with collecting_less():
            meanwhile.append(gc.get_threshold())
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert meanwhile == [(RARELY, *before[1:])]
    assert gc.get_threshold() == before
