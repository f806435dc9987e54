"""What the next task needs, made while CVAT is busy with the one before: its zip, its shapes."""

import gc
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Self

from django.conf import settings

from exports.models import CvatImage, CvatTask
from exports.sending import zipping
from exports.sending.drawing import Drawing, Paper, draw
from exports.snapshots import Snapshot

RARELY = 200_000  # objects more than before, until Python looks for cycles among the youngest

Sizes = dict[int, tuple[int, int]]  # width and height by place
Made = tuple[IO[bytes], zipping.Packed, Sizes | None]


class Zips:
    """Makes zips of images, one ahead; use it in a `with`. Threads of its own read storage and no database."""

    def __init__(self, snapshot: Snapshot, *, ahead: bool = True) -> None:
        self.snapshot = snapshot
        self._looks_ahead = ahead
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="zip")
        self._ahead: dict[int, Future[Made]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for made in self._ahead.values():
            if not made.cancelled() and made.exception() is None:
                made.result()[0].close()

    def prepare(self, task: CvatTask) -> None:
        """Begin with a task's zip, if it will need one and none is begun."""
        needs_one = task.step in (CvatTask.Step.PLANNED, CvatTask.Step.CREATED)
        if self._looks_ahead and needs_one and task.pk not in self._ahead:
            self._ahead[task.pk] = self._pool.submit(self._make, task, known_sizes(task), lambda done: None)

    def take(self, task: CvatTask, progress: Callable[[int], None]) -> Made:
        """The zip: the one that was prepared, or one that is made now. Close the file."""
        known = known_sizes(task)
        prepared = self._ahead.pop(task.pk, None)
        if prepared is not None:
            file, zipped, its_known = prepared.result()
            if its_known == known:
                return file, zipped, known
            file.close()
        return self._make(task, known, progress)

    def _make(self, task: CvatTask, known: Sizes | None, progress: Callable[[int], None]) -> Made:
        file: Any = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - who takes it closes it
        try:
            return file, zipping.build(file, self.snapshot.images(task), known=known, progress=progress), known
        except BaseException:
            file.close()
            raise


class Pens:
    """Draws the shapes of a task, one task ahead; use it in a `with`. Its thread reads storage and no database."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pen")
        self._ahead: dict[int, tuple[Paper, Future[Drawing]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def prepare(self, task: CvatTask, snapshot: Snapshot, paper: Paper) -> None:
        """Begin to draw a task's shapes."""
        self._ahead[task.pk] = (paper, self._pool.submit(_draw, task, snapshot, paper))

    def take(self, task: CvatTask, snapshot: Snapshot, paper: Paper) -> Drawing:
        """The shapes, drawn now unless they were for the same paper."""
        its_paper, drawing = self._ahead.pop(task.pk, (None, None))
        if drawing is not None and its_paper == paper:
            return drawing.result()
        return _draw(task, snapshot, paper)


def _draw(task: CvatTask, snapshot: Snapshot, paper: Paper) -> Drawing:
    return draw(snapshot.annotations(task), paper)


@contextmanager
def collecting_less() -> Iterator[None]:
    """Have Python look for cycles rarely: shapes make none, and there are so many that looking takes a sixth of all."""
    before = gc.get_threshold()
    gc.set_threshold(RARELY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def known_sizes(task: CvatTask) -> Sizes | None:
    """The sizes of the images that an earlier turn has put into the zip; None if there was none."""
    if not task.zip_sha256:
        return None
    rows = CvatImage.objects.filter(task=task, problem="")
    return {place: (width, height) for place, width, height in rows.values_list("place", "width", "height")}
