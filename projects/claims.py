"""A worker's hold on a task: progress others can see, a lease that a heartbeat renews, and the word on how it ended."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import InterfaceError, OperationalError
from psycopg.types.json import Jsonb

from projects.models import Project, Task

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
LEASE = timedelta(seconds=settings.TASK_LEASE_SECONDS)
HEARTBEATS_PER_LEASE = 4
WRITE_INTERVAL = 0.25  # seconds between two writes of progress within a phase

Row = tuple[Any, ...]
Parameters = dict[str, Any]

RENEW = """
    UPDATE projects_task
    SET phase_started_at = CASE WHEN phase = %(phase)s AND phase_started_at IS NOT NULL AND done <= %(done)s
            THEN phase_started_at ELSE clock_timestamp() END,
        phase = %(phase)s, done = %(done)s, total = %(total)s, message = %(message)s,
        heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
    WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
    RETURNING cancel_requested
"""
# Finished, `lease_until` is until when who finished it has time to tell so (`jobs.register`); then it is empty.
FINISH = """
    UPDATE projects_task
    SET status = %(status)s, message = %(message)s, log = %(log)s, result = %(result)s, done = %(done)s,
        total = %(total)s, finished_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
    WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
    RETURNING id
"""
POSTPONE = """
    UPDATE projects_task
    SET status = 'queued', message = %(message)s, published_at = NULL, lease_until = clock_timestamp() + %(after)s
    WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
    RETURNING id
"""


class Cancelled(Exception):
    """Somebody asked for the task to stop."""


class LeaseLost(Exception):
    """Another worker has the task now, or nobody should: whatever this one still does must not count."""


class TryLater(Exception):
    """A server that is needed is unwell: the work function asks to be run again, after `after` if it knows when."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after = after


class Ledger(Protocol):
    """Where a claim writes to the task's row."""

    beats: bool

    def write(self, sql: str, parameters: Parameters) -> Row | None:
        """Run one statement that commits by itself, and return its first row."""

    def close(self) -> None:
        """Let go of what it holds."""


class OwnConnection:
    """Writes through a database connection of its own, so that progress is seen while the work's transaction is open.

    The work itself must not update its task's row: it would wait for itself (`lock_timeout` ends that with an error).
    """

    beats = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: BaseDatabaseWrapper | None = None

    def write(self, sql: str, parameters: Parameters) -> Row | None:
        """Run one statement; a connection that broke since the last one is replaced."""
        with self._lock:
            try:
                return self._execute(sql, parameters)
            except (OperationalError, InterfaceError):
                self._drop()
                return self._execute(sql, parameters)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _execute(self, sql: str, parameters: Parameters) -> Row | None:
        if self._connection is None:
            self._connection = connection.copy()
            self._connection.settings_dict["OPTIONS"].pop("pool", None)  # what is set below would stay for who is next
            self._connection.inc_thread_sharing()  # the heartbeat writes too; the lock keeps them apart
            with self._connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '10s'")
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(frozen=True)
class _Progress:
    phase: str = ""
    done: int = 0
    total: int | None = None
    message: str = ""


class Claim:
    """One worker's turn at one task. `jobs.run` makes it and records how it ends; work functions call `progress`."""

    def __init__(self, task: Task, ledger: Ledger, lease: timedelta = LEASE) -> None:
        self.task = task
        self.log = ""  # storage key of the report, once the work has stored one
        self.lease = lease
        self._ledger = ledger
        self._fence = task.fence
        self._now = _Progress(task.phase, task.done, task.total, task.message)
        self._written = self._now
        self._written_at = 0.0
        self._lost: BaseException | None = None
        self._recorded = False  # success, by the work's own transaction
        self._stopping = threading.Event()
        self._heart: threading.Thread | None = None

    @property
    def id(self) -> UUID:
        """The task's id."""
        return self.task.pk

    @property
    def project(self) -> Project:
        """The project that the task works for."""
        if self.task.project is None:
            raise LookupError("The project is deleted.")
        return self.task.project

    @property
    def turn(self) -> int:
        """Which turn at the task this is, by any worker: what it stores under this name no other turn writes over."""
        return self._fence

    @property
    def is_last_attempt(self) -> bool:
        """Whether the task fails for good if this turn does not succeed."""
        return self.task.attempt >= MAX_ATTEMPTS

    # --- While it works ---------------------------------------------------------------------------------------------

    def progress(self, phase: str, done: int, total: int | None = None, message: str = "") -> None:
        """Say how far the work is; cheap enough to call for every record.

        Within a phase it writes at most every quarter of a second. Raises Cancelled if somebody asked to stop, and
        LeaseLost if another worker has taken over.
        """
        self._raise_if_over()
        self._now = _Progress(phase, done, total, message)
        changed = phase != self._written.phase
        if changed or time.monotonic() - self._written_at >= WRITE_INTERVAL:
            self._renew()
            self._raise_if_over()

    def confirm(self) -> None:
        """Inside the work's transaction, before it commits: make sure that nobody takes the task over until it has.

        Raises LeaseLost if somebody did. Commit soon after: the heartbeat waits meanwhile.
        """
        held = Task.objects.select_for_update(of=("self",)).filter(
            pk=self.id, fence=self._fence, status=Task.Status.RUNNING
        )
        if not held.exists():
            raise LeaseLost(f"Task {self.id} has been taken over or ended elsewhere.")

    def check(self) -> None:
        """Raise Cancelled or LeaseLost if the work should stop, without saying how far it is."""
        if time.monotonic() - self._written_at >= WRITE_INTERVAL:
            self._renew()
        self._raise_if_over()

    def _renew(self) -> None:
        now = self._now
        row = self._ledger.write(RENEW, self._row(now.message, phase=now.phase[:40], lease=self.lease))
        self._written, self._written_at = now, time.monotonic()
        if row is None:
            self._lost = LeaseLost(f"Task {self.id} has been taken over or ended elsewhere.")
        elif row[0] and self._lost is None:
            self._lost = Cancelled(f"Task {self.id} was cancelled.")

    def _raise_if_over(self) -> None:
        if self._lost is not None:
            raise self._lost

    # --- The end ----------------------------------------------------------------------------------------------------

    def succeed_with_transaction(self, result: dict[str, Any]) -> None:
        """Record success inside the work's own transaction, as its last statement: both are committed, or neither.

        Raises LeaseLost if another worker has taken over; then the work's transaction must not commit.
        """
        self._heartbeat_off()
        with connection.cursor() as cursor:
            cursor.execute(FINISH, self._last_row(Task.Status.SUCCEEDED, "", self.log, result))
            if cursor.fetchone() is None:
                raise LeaseLost(f"Task {self.id} has been taken over or ended elsewhere.")
        self._recorded = True

    def succeed(self, result: dict[str, Any], log: str = "") -> None:
        """Record success, the result (JSON) and the storage key of a report."""
        if self._recorded:
            self.task.refresh_from_db()
            return
        self._finish(Task.Status.SUCCEEDED, "", log, result)

    def fail(self, message: str, log: str = "") -> None:
        """Record failure, in words for the user, and the storage key of a report."""
        self._finish(Task.Status.FAILED, message, log, {})

    def cancelled(self) -> None:
        """Record that the work stopped because it was asked to."""
        self._finish(Task.Status.CANCELLED, "Cancelled.", "", {})

    def postpone(self, message: str, after: timedelta) -> None:
        """Put the task back into the queue, to be started again after a while."""
        self._heartbeat_off()
        self._last_word(POSTPONE, self._row(message, after=after))

    def _finish(self, status: Task.Status, message: str, log: str, result: dict[str, Any]) -> None:
        self._heartbeat_off()
        self._last_word(FINISH, self._last_row(status, message, log or self.log, result))

    def _last_word(self, sql: str, values: Parameters) -> None:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()  # what broke the work may have broken its connection
        if self._ledger.write(sql, values) is None:
            raise LeaseLost(f"Task {self.id} has been taken over or ended elsewhere.")
        self.task.refresh_from_db()

    def _last_row(self, status: Task.Status, message: str, log: str, result: dict[str, Any]) -> Parameters:
        stored = Jsonb(result, dumps=DjangoJSONEncoder().encode)
        row = self._row(message, status=status, log=log, result=stored, lease=self.lease)
        if status is Task.Status.SUCCEEDED:  # whatever the last phase could count, it is done
            row["total"] = row["done"] = row["total"] or 1
        return row

    def _row(self, message: str, **values: Any) -> Parameters:
        now = self._now
        own = {"id": self.id, "fence": self._fence, "done": now.done, "total": now.total}
        return {**own, "message": message.replace("\0", ""), **values}

    # --- The heartbeat ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._ledger.beats:
            self._heart = threading.Thread(target=self._beat, name=f"heartbeat of {self.id}", daemon=True)
            self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat_off()
        self._ledger.close()

    def _beat(self) -> None:
        """Renew the lease while the work is inside one long statement."""
        while not self._stopping.wait(self.lease.total_seconds() / HEARTBEATS_PER_LEASE):
            if isinstance(self._lost, LeaseLost):
                return
            try:
                self._renew()
            except Exception:  # the next beat may do better; if none does, the lease runs out and says so
                logger.exception("The heartbeat of task %s could not be written.", self.id)

    def _heartbeat_off(self) -> None:
        self._stopping.set()
        if self._heart is not None:
            self._heart.join()
            self._heart = None
