"""Following tasks while they run: one poller per process reads the rows of all tasks that anybody watches.

However many watch, there is one query a tick, by one thread with one database connection; a watcher costs an event
loop a few hundred bytes. Whether watchers still may is looked at again while they watch.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import connections

from accounts import tokens
from accounts.errors import TooManyRequests
from projects.models import Task

logger = logging.getLogger(__name__)

TICK = 0.5  # seconds between two looks at the rows: so often at most is progress told
RECHECK = 10.0  # seconds between two looks at whether watchers still may
KEEPALIVE = 15.0  # seconds of silence after which a comment is sent, so that proxies keep the connection
AFTER_FAULT = 3.0  # seconds to wait when the database does not answer
MAX_STREAMS = 100  # of one user in one process

# A task's row as the clients see it (JSON), by the door that knows its shape.
Shown = Callable[[Task], bytes]


@dataclass(frozen=True)
class News:
    """What there is to tell of a task, and whether it is the last."""

    data: bytes
    is_last: bool


@dataclass(eq=False)
class Watcher:
    """Somebody who follows a task. `claims` are those of the access token: they say who, and whether they still may."""

    task: UUID
    user: int
    claims: Mapping[str, Any]
    news: News | None = None
    is_refused: bool = False
    _called: asyncio.Event = field(default_factory=asyncio.Event)

    def call(self, news: News | None) -> None:
        """Have news told, or, with None, say that there will be none any more."""
        self.is_refused = news is None
        self.news = news
        self._called.set()

    async def wait(self) -> bool:
        """Until there are news; False if there were none for a while."""
        try:
            await asyncio.wait_for(self._called.wait(), KEEPALIVE)
        except TimeoutError:
            return False
        self._called.clear()
        return True


class Poller:
    """Reads the rows of watched tasks while there are watchers."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._watchers: dict[UUID, set[Watcher]] = {}
        self._streams: Counter[int] = Counter()
        self._news: dict[UUID, News] = {}
        self._work: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def watching(self, watcher: Watcher) -> Iterator[None]:
        """Call the watcher with news while this is open. Raises TooManyRequests."""
        if self._streams[watcher.user] >= MAX_STREAMS:
            raise TooManyRequests(f"You follow {MAX_STREAMS} tasks already; close some.", retry_after=30)
        self._streams[watcher.user] += 1
        self._watchers.setdefault(watcher.task, set()).add(watcher)
        known = self._news.get(watcher.task)
        if known is not None:
            watcher.call(known)
        if self._work is None or self._thread is None:
            self._thread = ThreadPoolExecutor(1, "watched tasks")
            self._work = asyncio.create_task(self._poll(self._thread))
        try:
            yield
        finally:
            self._streams[watcher.user] -= 1
            others = self._watchers[watcher.task]
            others.discard(watcher)
            if not others:
                del self._watchers[watcher.task]
                self._news.pop(watcher.task, None)
            if not self._watchers and self._work is not None and self._thread is not None:
                self._work.cancel()
                self._thread.submit(connections.close_all)
                self._thread.shutdown(wait=False)
                self._work = self._thread = None

    async def _poll(self, thread: ThreadPoolExecutor) -> None:
        loop, checked = asyncio.get_running_loop(), time.monotonic()
        while True:
            pause = TICK
            try:
                self._tell(await loop.run_in_executor(thread, self._read, list(self._watchers)))
                if time.monotonic() - checked >= RECHECK:
                    checked = time.monotonic()
                    self._refuse(await loop.run_in_executor(thread, _refused, self._everybody()))
            except Exception:  # whatever it is, the watchers are told when the database answers again
                logger.exception("Watched tasks could not be read.")
                pause = AFTER_FAULT
            await asyncio.sleep(pause)

    def _everybody(self) -> list[Watcher]:
        return [watcher for watchers in self._watchers.values() for watcher in watchers]

    def _read(self, tasks: list[UUID]) -> dict[UUID, News]:
        _let_go_of_old_connections()
        rows = Task.objects.filter(pk__in=tasks)
        news = {task.pk: News(self._shown(task), task.is_finished) for task in rows}
        _let_go_of_old_connections()  # one that was borrowed from the pool goes back until the next tick
        return news

    def _tell(self, found: dict[UUID, News]) -> None:
        for task, watchers in self._watchers.items():
            news = found.get(task)
            if news is None:  # deleted with its project; one that came while the rows were read is looked at next time
                for watcher in watchers:
                    if task in self._news:
                        watcher.call(None)
                continue
            is_new = news != self._news.get(task)
            self._news[task] = news
            for watcher in watchers:
                if is_new or watcher.news is None:
                    watcher.call(news)

    def _refuse(self, refused: Iterable[Watcher]) -> None:
        for watcher in refused:
            watcher.call(None)


def _let_go_of_old_connections() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


def _refused(watchers: list[Watcher]) -> list[Watcher]:
    """Those who may not watch any more: logged out, locked out, or no longer members."""
    verdicts: dict[tuple[str, UUID], bool] = {}
    for watcher in watchers:
        case = (str(watcher.claims.get("sid")), watcher.task)
        if case not in verdicts:
            verdicts[case] = may_watch(watcher.claims, watcher.task)
    return [watcher for watcher in watchers if not verdicts[str(watcher.claims.get("sid")), watcher.task]]


def may_watch(claims: Mapping[str, Any], task: UUID) -> bool:
    """Whether the holder of a token with these claims sees the task now. Two queries."""
    user = tokens.holder(claims)  # type: ignore[arg-type]
    return user is not None and Task.objects.visible_to(user).filter(pk=task).exists()


_pollers: "WeakKeyDictionary[asyncio.AbstractEventLoop, Poller]" = WeakKeyDictionary()


def poller(shown: Shown) -> Poller:
    """The poller of this process's event loop."""
    return _pollers.setdefault(asyncio.get_running_loop(), Poller(shown))


async def follow(watcher: Watcher, shown: Shown) -> AsyncGenerator[News | None, None]:
    """News of a task as they come, until it is over; None now and then while there are none.

    Ends, too, when the watcher may not watch any more. Raises TooManyRequests.
    """
    with poller(shown).watching(watcher):
        while True:
            if not await watcher.wait():
                yield None
                continue
            if watcher.is_refused or watcher.news is None:
                return
            yield watcher.news
            if watcher.news.is_last:
                return
