"""Celery's door to the thumbnails: one task per project leads, and any number of other workers help it.

The leader holds the project's Task row and tells its progress. It rings for a helper, again and again but ever more
rarely; a worker that has nothing else to do answers, rings for the next one, and takes shards that nobody works on
(`assets.thumbnails`). A ring that nobody answers runs out, so queues do not fill with them, and a helper leaves after a
while, so that other projects get their turn.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import current_app, shared_task
from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from accounts import context
from accounts.models import User
from assets import thumbnails
from assets.decoding import DecodersUnwell
from assets.thumbnails import BrokenPicture, StorageUnwell
from projects import audit, jobs
from projects.models import Project, Task

logger = logging.getLogger(__name__)

LEAD = "assets.tasks.make_thumbnails"
HELP = "assets.tasks.help_with_thumbnails"
RING_SECONDS, RING_AT_MOST = 2.0, 60.0  # between two rings: doubled each time
HELP_SECONDS = 60.0  # a helper's turn
BROKEN_IN_RESULT = 100  # images; all of them are found by their issue `file_broken`


def enqueue(project: Project, user: User | None) -> Task | None:
    """Have the thumbnails made that the project lacks: the task that does it, or None if there is nothing to do."""
    with transaction.atomic():
        # Two at once: the second finds the first one's task.
        Project.objects.select_for_update().get(pk=project.pk)
        task = Task.objects.unfinished().filter(project=project, kind=Task.Kind.THUMBNAILS).first()
        if task is None and thumbnails.waiting(project).exists():
            task = jobs.create_task(project, Task.Kind.THUMBNAILS, user)
            audit.record(user, project, "thumbnails.started", task=task.pk)
            jobs.publish(task)
    return task


def _ended(task: Task) -> None:
    """Pictures that were imported while the last shards were done found a task that was unfinished, and wait still."""
    if task.status == Task.Status.SUCCEEDED and task.project is not None and not task.project.deleting:
        enqueue(task.project, task.created_by)


jobs.register(Task.Kind.THUMBNAILS, LEAD, ended=_ended)


@shared_task(name=LEAD)
def make_thumbnails(task_id: str) -> None:
    """Lead the making of a project's thumbnails."""
    jobs.run(task_id, _lead)


def _lead(claim: jobs.Claim) -> dict[str, Any]:
    bell = _Bell(claim.task)
    broken: list[BrokenPicture] = []

    def progress(phase: str, done: int, total: int | None) -> None:
        claim.progress(phase, done, total)
        if done != total:
            bell.ring()

    def tell(image: BrokenPicture) -> None:
        if len(broken) < BROKEN_IN_RESULT:
            broken.append(image)

    with _machine():
        try:
            counts = thumbnails.make_thumbnails(
                claim.project, progress, user=claim.task.created_by, tell=tell, resumed_of=claim.task.total or 0
            )
        except (StorageUnwell, DecodersUnwell) as error:
            raise jobs.TryLater(str(error)) from error
    if counts["unreadable"]:
        raise jobs.TryLater(
            f"Storage did not give {counts['unreadable']:,} pictures that it should have; all others are done."
        )
    listed = [{"image": image.image_id, "file_name": image.file_name, "reason": image.reason} for image in broken]
    return {**counts, "broken_images": listed}


@shared_task(name=HELP, acks_late=False)
def help_with_thumbnails(task_id: str) -> None:
    """Take a turn at the shards of a project whose thumbnails another worker leads. If it is lost, nothing is."""
    with context.entering("task", request=task_id), _machine() as free:
        task = Task.objects.select_related("project", "created_by").filter(pk=task_id).first()
        if not free or task is None or task.project is None or not _goes_on(task):
            return
        _Bell(task).ring()
        try:
            thumbnails.make_thumbnails(
                task.project, _until_it_ends(task), user=task.created_by, until=time.monotonic() + HELP_SECONDS
            )
        except jobs.Cancelled:
            logger.info("Task %s ended while this worker helped.", task_id)


def _goes_on(task: Task) -> bool:
    return Task.objects.filter(pk=task.pk, status=Task.Status.RUNNING, cancel_requested=False).exists()


def _until_it_ends(task: Task) -> Callable[[str, int, int | None], None]:
    def progress(phase: str, done: int, total: int | None) -> None:
        if not _goes_on(task):
            raise jobs.Cancelled

    return progress


class _Bell:
    """Rings for helpers."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._pause = RING_SECONDS
        self._next = 0.0

    def ring(self) -> None:
        """Ring if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        try:
            current_app.send_task(
                HELP, args=[str(self._task.pk)], expires=self._pause, retry_policy=jobs.PUBLISH_POLICY
            )
        except (KombuError, RedisError, OSError) as error:
            logger.warning("The broker did not take a call for help with task %s (%s).", self._task.pk, error)
        self._next = now + self._pause
        self._pause = min(2 * self._pause, RING_AT_MOST)


@contextmanager
def _machine() -> Iterator[bool]:
    """Whether this machine's cores are free: a process that makes thumbnails uses all of them."""
    path = Path(tempfile.gettempdir(), f"cocohub-thumbnails-{os.getuid()}.lock")
    # Others may write there too: a link that somebody left under this name is not followed.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
