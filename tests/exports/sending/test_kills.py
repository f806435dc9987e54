"""kill -9 of the worker, at every kind of step and at random: one project, the right tasks, each shape once.

`COCOHUB_KILLS=30` says how often the random test kills; it takes about three seconds for each.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from exports.models import CvatImage, CvatTask, ExportJob
from exports.sending.labels import specs_of
from exports.snapshots import Snapshot
from projects import jobs
from projects.models import Task
from tests.conftest import _database_url, wait_until
from tests.exports.sending import scenes

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("COCOHUB_KILLS", "4"))
TURNS = 12


class Workshop:
    """A process that forks workers; see `child`."""

    def __init__(self, settings) -> None:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "cocohub.settings",
            "DATABASE_URL": _database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.exports.sending.child"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def fork(self, task_id, settings: dict[str, Any]) -> int:
        """Begin with a task, and wait until the work itself begins; the number of the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"task": str(task_id), "settings": settings}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class Worker:
    """A process that works at a task, and the double's wire to kill it in mid call."""

    def __init__(self, cvat, workshop: Workshop, settings) -> None:
        self.workshop = workshop
        names = ("CVAT_API_URL", "CVAT_API_TOKEN", "STORAGES", "CACHES", "FILE_UPLOAD_TEMP_DIR")
        self.settings = {name: getattr(settings, name) for name in names}
        self.number = 0
        self.rule = SimpleNamespace(method="", path="", when="", skip=0, armed=False)
        self._answer = cvat.server.answer
        cvat.server.answer = self.answer

    def answer(self, method, path, query, headers, body):
        """What the double does with a call; the worker may not live to see it."""
        rule = self.rule
        if rule.armed and rule.method == method and re.search(rule.path, path):
            if rule.skip:
                rule.skip -= 1
            else:
                rule.armed = False
                if rule.when == "before":
                    self.kill()
                    raise ConnectionAbortedError
                answer = self._answer(method, path, query, headers, body)
                self.kill()
                return answer
        return self._answer(method, path, query, headers, body)

    def start(self, task_id) -> None:
        """Begin, and wait until the work itself begins."""
        self.number = self.workshop.fork(task_id, self.settings)

    @property
    def lives(self) -> bool:
        """Whether it is still at it."""
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """As a power cut would."""
        if self.number and self.lives:
            os.kill(self.number, signal.SIGKILL)
            self.wait(10)

    def wait(self, seconds: float) -> None:
        """Until it is gone."""
        wait_until(lambda: not self.lives, seconds)

    def work(self, task_id) -> None:
        """One turn, to its end or its death."""
        self.start(task_id)
        self.wait(120)


@pytest.fixture(scope="module")
def workshops() -> Iterator[list[Workshop]]:
    """The one that all tests of this file share, once the first of them has its database."""
    found: list[Workshop] = []
    yield found
    for workshop in found:
        workshop.process.kill()
        workshop.process.wait(10)


@pytest.fixture
def worker(cvat, workshops, settings) -> Iterator[Worker]:
    """Its storage is the test's."""
    if not workshops:
        workshops.append(Workshop(settings))
    worker = Worker(cvat, workshops[0], settings)
    yield worker
    worker.kill()


def take_up_again(job: ExportJob) -> str:
    """As if the lease of a dead worker had run out; one that died too often is asked for again. The status."""
    past = timezone.now() - timedelta(minutes=5)
    Task.objects.filter(pk=job.task_id, status=Task.Status.RUNNING).update(lease_until=past)
    jobs.sweep()
    task = Task.objects.select_related("project").get(pk=job.task_id)
    if task.status == Task.Status.FAILED and "died" in task.message:
        jobs.retry(user=job.project.owner, task=task)
    return Task.objects.get(pk=job.task_id).status


def finish(job: ExportJob, worker: Worker) -> ExportJob:
    """Turns until it is done."""
    for _ in range(TURNS):
        if take_up_again(job) not in (Task.Status.QUEUED, Task.Status.RUNNING):
            break
        worker.work(job.task_id)
    job = ExportJob.objects.select_related("task", "cvat_project").get(pk=job.pk)
    assert job.status == "succeeded", job.task.message
    return job


def check_once(job: ExportJob, cvat, client, images: int) -> None:
    """One project, one task for each row, each image on its frame, each shape once."""
    state = cvat.state
    assert len(state.projects) == 1
    tasks = list(CvatTask.objects.filter(job=job).select_related("cvat_project").order_by("number"))
    assert {task.step for task in tasks} == {CvatTask.Step.SENT}
    assert sorted(state.tasks) == sorted(CvatTask.objects.values_list("cvat_id", flat=True))
    labels = client.labels(job.cvat_project.cvat_id)
    assert Counter(Counter(label.name for label in labels).values()) == {1: len(labels)}
    specs = specs_of(labels)
    assert sum(task.size for task in tasks) == images
    for task in tasks:
        frames = [frame.name for frame in client.data_meta(task.cvat_id).frames]
        rows = CvatImage.objects.filter(task=task, problem="")
        assert {row.name: row.frame for row in rows} == {name: number for number, name in enumerate(frames)}
        found = client.annotations("tasks", task.cvat_id).shapes
        stored = {item.key: item.shapes for item in Snapshot.of(job).sent(task) if not item.left_out}
        assert Counter(shape.value(specs[shape.label_id]) for shape in found) == {
            key: len(shapes) for key, shapes in stored.items()
        }
        assert {shape.id for shape in found} == {shape.id for shapes in stored.values() for shape in shapes}
        assert len(stored) == task.sent


STEPS = [
    ("POST", r"/projects$"),
    ("GET", r"/labels$"),
    ("POST", r"/tasks$"),
    ("POST", r"/data/$"),
    ("PATCH", r"/data/[\w-]+$"),
    ("POST", r"/data$"),
    ("GET", r"/requests/"),
    ("GET", r"/data/meta$"),
    ("PATCH", r"/annotations$"),
    ("GET", r"/jobs$"),
]


# Before a read is after the step that came before it.
WHEN = [
    (method, path, when)
    for method, path in STEPS
    for when in ("before", "after")
    if (method, when) != ("GET", "before")
]


@pytest.mark.parametrize(("method", "path", "when"), WHEN, ids=lambda value: value.strip("/$"))
def test_killed_in_a_call_it_goes_on_without_doubles(scene, cvat, client, start, worker, method, path, when):
    job = start(scene, images_per_task=3)
    worker.rule = SimpleNamespace(method=method, path=path, when=when, skip=0, armed=True)

    worker.work(job.task_id)
    assert not worker.rule.armed, "the call never came"
    assert Task.objects.get(pk=job.task_id).status == Task.Status.RUNNING

    check_once(finish(job, worker), cvat, client, images=6)


def test_killed_at_random_it_ends_with_each_shape_once(scene, cvat, client, start, worker):
    """So many kills, in as many exports as it takes; each export is killed again and again until it ends."""
    chance = random.Random(20_26)
    exports = [start(scene, images_per_task=1)]
    killed = 0
    while killed < KILLS:
        if take_up_again(exports[-1]) not in (Task.Status.QUEUED, Task.Status.RUNNING):
            exports.append(start(scene, images_per_task=1))
        worker.start(exports[-1].task_id)
        time.sleep(chance.uniform(0.02, 0.9))
        killed += worker.lives
        worker.kill()

    done = [finish(job, worker) for job in exports]
    for job in done:
        check_once(job, cvat, client, images=6)


def test_killed_before_cvat_is_asked_the_snapshot_is_made_anew(scene, cvat, client, start, worker, monkeypatch):
    """Nothing of a half snapshot counts: the rows and the word that it is whole come in one transaction."""
    job = start(scene)
    worker.start(job.task_id)
    while not Task.objects.filter(pk=job.task_id, phase__in=["freezing", "storing"]).exists():
        assert worker.lives, "it was too quick"
        time.sleep(0.002)
    worker.kill()

    check_once(finish(job, worker), cvat, client, images=6)
    assert {
        item.key
        for item in Snapshot.of(ExportJob.objects.get(pk=job.pk)).sent(CvatTask.objects.get(job=job, number=1))
        if not item.left_out
    } == scenes.SENT_OF_TRAIN
