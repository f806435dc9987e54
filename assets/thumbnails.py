"""Thumbnails of a project's pictures: made once per content, by any number of workers, each picture at its own risk.

The work is cut into shards: the pictures whose SHA-256 begins with the same two digits. Who works on a shard holds its
advisory lock. So any number of workers share one project, equal files always meet the same worker, and a worker that
dies lets go of its shards as its database connection ends. No row is locked while pictures are decoded. Whatever was
written stays written, so work that was cut off goes on where it stopped.
"""

import io
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Left

from accounts.models import User
from assets import storage
from assets.decoding import Decoders
from assets.models import ImageAsset
from assets.shrinking import PictureError
from projects import audit
from projects.models import Project

PHASE = "thumbnails"
OUTCOMES = ("made", "reused", "broken", "unreadable")
BROKEN = "file_broken"  # the issue of an image whose picture is none, is cut off or cannot be decoded
LOCK = 0x7468756D  # first half of the advisory locks' keys: "thum"
SHARD_DIGITS = 2
AFTER_HEX = "g"  # sorts behind every digit of a checksum
CLAIM_IMAGES = 100  # shards are taken until they have so many; more would leave too little to others
PAGE = 1_000  # pictures read from the database at once
THREADS_PER_DECODER = 4  # storage may answer more slowly than pictures are decoded
FLUSH_PICTURES = 250  # written back in one transaction
FLUSH_SECONDS = 2.0
PAUSE = 0.5  # seconds between looks at shards that others work on
COUNT_SECONDS, COUNT_SHARE = 5.0, 20  # others' progress is counted no oftener, and takes no more than 1/20 of the time
MAX_UNREADABLE = 50  # pictures; if there are so many before a single thumbnail, it is not the pictures
MAX_FRUITLESS = 3  # rounds in which nothing was done though nobody else does it

Progress = Callable[[str, int, int | None], None]

WRITE_MADE = """
    UPDATE assets_imageasset SET thumbnail_uri = made.key, updated_at = now()
    FROM unnest(%s::text[], %s::text[]) AS made (checksum, key)
    WHERE project_id = %s AND assets_imageasset.checksum = made.checksum AND uri <> '' AND thumbnail_uri = ''
"""
WRITE_BROKEN = """
    UPDATE assets_imageasset
    SET status = 'broken', issues = array_append(array_remove(issues, %s), %s),
        version = version + 1, updated_at = now()
    FROM unnest(%s::text[], %s::text[]) AS broken (checksum, reason)
    WHERE project_id = %s AND assets_imageasset.checksum = broken.checksum AND uri <> '' AND thumbnail_uri = ''
        AND status <> 'broken'
    RETURNING assets_imageasset.id, file_name, reason
"""


@dataclass(frozen=True, slots=True)
class BrokenPicture:
    """An image whose picture cannot be decoded, and why, in words for the user."""

    image_id: int
    file_name: str | None
    reason: str


class StorageUnwell(Exception):
    """Storage gives none of the pictures that it should have."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A stored picture that has no thumbnail."""

    checksum: str
    uri: str
    pixels: int

    @property
    def shard(self) -> str:
        return self.checksum[:SHARD_DIGITS]


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of a picture: one of OUTCOMES, and in words why it has no thumbnail."""

    source: _Source
    outcome: str
    reason: str = ""


def waiting(project: Project) -> QuerySet[ImageAsset]:
    """Images whose stored picture has no thumbnail and is not known to be broken. Reads all of the project's rows."""
    stored = ImageAsset.objects.filter(project=project).exclude(uri="").exclude(format="").exclude(checksum="")
    return stored.filter(thumbnail_uri="").exclude(status=ImageAsset.Status.BROKEN)


def make_thumbnails(
    project: Project,
    progress: Progress,
    *,
    user: User | None = None,
    tell: Callable[[BrokenPicture], None] = lambda broken: None,
    until: float | None = None,
    resumed_of: int = 0,
) -> dict[str, int]:
    """Make the thumbnails that the project lacks, and mark the images whose pictures cannot be decoded as broken.

    Returns numbers of pictures: `made`, `reused` (the thumbnail was stored already), `broken`, and `unreadable`:
    storage did not give the file, so nothing is known about it, and its images stay as they are. `progress` is called
    with numbers of images and may raise to stop the work; `tell` hears of every broken image. An audit line tells by
    whose (`user`) wish it was done. Who goes on for a worker that died says how many images that one was to do
    (`resumed_of`): what it had done before is counted as `earlier` (images), in the line as well.

    Comes back when nothing is left to do, also by others. With `until` (a time of `time.monotonic`) it only helps: it
    takes shards that nobody else works on, and none after that time. Raises StorageUnwell and DecodersUnwell where no
    picture is to blame.
    """
    run = _Run(project, progress, tell, resumed_of)
    try:
        with run:
            run.work(until)
    finally:
        if run.changed or run.counts.get("earlier"):
            audit.record(user, project, "thumbnails.made", pictures=run.counts)
    return run.counts


class _Shards:
    """The parts that a project's work is cut into, and which of them are ours."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._unwritten: Counter[str] = Counter()  # ours -> pictures that were read and are not written back
        self._reading: list[str] = []

    def sizes(self) -> dict[str, int]:
        """Shards with work to do in their order, and how many images wait in each."""
        shards = waiting(self.project).annotate(shard=Left("checksum", SHARD_DIGITS)).order_by("shard")
        return dict(shards.values_list("shard").annotate(images=Count("id")))

    def take(self, shards: list[str]) -> list[str]:
        """Those of the shards that are ours now; somebody else works on the others."""
        names = [self._name(shard) for shard in shards]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM unnest(%s::text[]) AS name WHERE pg_try_advisory_lock(%s, hashtext(name))",
                [names, LOCK],
            )
            ours = {name for (name,) in cursor}
        taken = [shard for shard, name in zip(shards, names, strict=True) if name in ours]
        self._unwritten.update(dict.fromkeys(taken, 0))
        return taken

    def sources(self, shards: list[str]) -> Iterator[_Source]:
        """The pictures of neighbouring shards that are ours, one for all images with the same content."""
        if not shards:
            return
        self._reading = shards
        left = waiting(self.project).filter(checksum__lt=shards[-1] + AFTER_HEX)
        left = left.annotate(shard=Left("checksum", SHARD_DIGITS)).filter(shard__in=shards)
        last = shards[0]
        while True:
            page = [
                _Source(checksum, uri, (width or 0) * (height or 0))
                for checksum, uri, width, height in left.filter(checksum__gt=last)
                .order_by("checksum", "id")
                .distinct("checksum")
                .values_list("checksum", "uri", "width", "height")[:PAGE]
            ]
            self._unwritten.update(source.shard for source in page)
            yield from page
            if len(page) < PAGE:
                break
            last = page[-1].checksum
        self._reading = []

    def written(self, sources: Iterable[_Source]) -> None:
        """Let go of the shards all of whose pictures have been written back."""
        self._unwritten.subtract(Counter(source.shard for source in sources))
        self._release([shard for shard, left in self._unwritten.items() if not left and shard not in self._reading])

    def release(self) -> None:
        """Let go of all shards."""
        self._release(list(self._unwritten))

    def _release(self, shards: list[str]) -> None:
        if shards:
            names = [self._name(shard) for shard in shards]
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_unlock(%s, hashtext(name)) FROM unnest(%s::text[]) AS name", [LOCK, names]
                )
        for shard in shards:
            del self._unwritten[shard]

    def _name(self, shard: str) -> str:
        return f"thumbnails {self.project.pk} {shard}"


def _grouped(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Neighbouring shards, as many at once as are worth a query."""
    group: list[str] = []
    images = 0
    for shard, size in sizes.items():
        group.append(shard)
        images += size
        if images >= CLAIM_IMAGES:
            yield group
            group, images = [], 0
    if group:
        yield group


class _Run:
    """One worker's turn. Its own thread does what needs the database, others fetch, have decoded and store."""

    def __init__(
        self, project: Project, progress: Progress, tell: Callable[[BrokenPicture], None], resumed_of: int = 0
    ) -> None:
        self.project, self.progress, self.tell = project, progress, tell
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.changed = False
        self._shards = _Shards(project)
        self._unreadable: dict[str, str] = {}  # checksum -> why
        self._done, self._total = 0, resumed_of  # images
        self._first = True
        self._others = 0  # shards of this round that somebody else works on
        self._count_again = 0.0
        self._decoders = Decoders(
            max_pixels=settings.MAX_IMAGE_PIXELS, count=getattr(settings, "THUMBNAIL_DECODERS", 0)
        )
        threads = self._decoders.count * THREADS_PER_DECODER
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="thumbnails")
        self._window = 2 * threads
        self._in_work = 0
        self._ended: SimpleQueue[Future[_Result]] = SimpleQueue()
        self._results: list[_Result] = []
        self._flushed_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoders.close()
        self._threads.shutdown(cancel_futures=True)
        with suppress(DatabaseError):  # the locks go with a connection that is broken
            self._shards.release()

    def work(self, until: float | None) -> None:
        """Do shard after shard, round after round."""
        fruitless = 0
        while sizes := self._count():
            before = sum(self.counts.values())
            self._others = 0
            for source in self._claimed(sizes, until):
                self._begin(source)
            while self._in_work:
                self._take_result()
            self._flush()
            if until is not None:
                return
            if self._others:
                time.sleep(PAUSE)
            elif before == sum(self.counts.values()):
                fruitless += 1
                if self._unreadable:
                    return
                if fruitless == MAX_FRUITLESS:
                    raise RuntimeError(f"Project {self.project.pk} has pictures that can be neither made nor marked.")
        self.progress(PHASE, self._total, self._total)

    def _count(self) -> dict[str, int]:
        started = time.monotonic()
        sizes = self._shards.sizes()
        left = sum(sizes.values())
        self._total = max(self._total, self._done + left)  # more if there was an import meanwhile
        self._done = self._total - left  # others work too
        if self._first and self._done:  # by one who died, and could not say so any more
            self.counts["earlier"] = self._done
        self._first = False
        now = time.monotonic()
        self._count_again = now + max(COUNT_SECONDS, COUNT_SHARE * (now - started))
        self.progress(PHASE, self._done, self._total)
        return sizes

    def _claimed(self, sizes: dict[str, int], until: float | None) -> Iterator[_Source]:
        for shards in _grouped(sizes):
            if until is not None and time.monotonic() >= until:
                return
            taken = self._shards.take(shards)
            self._others += len(shards) - len(taken)
            for source in self._shards.sources(taken):
                if source.checksum in self._unreadable:
                    self._shards.written([source])
                else:
                    yield source

    def _begin(self, source: _Source) -> None:
        while self._in_work >= self._window:
            self._take_result()
        self._threads.submit(self._make, source).add_done_callback(self._ended.put)
        self._in_work += 1

    def _take_result(self) -> None:
        """Wait for a picture to be done. Nothing that takes long keeps others waiting for what is done already."""
        try:
            ended = self._ended.get(timeout=FLUSH_SECONDS)
        except Empty:
            self._flush()
            return
        self._in_work -= 1
        result = ended.result()
        self.counts[result.outcome] += 1
        if result.outcome == "unreadable":
            self._unreadable[result.source.checksum] = result.reason
            if self.counts["unreadable"] >= MAX_UNREADABLE > self.counts["made"]:
                raise StorageUnwell(f"{MAX_UNREADABLE} stored pictures cannot be read: {result.reason}")
        self._results.append(result)
        if len(self._results) >= FLUSH_PICTURES or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self._flush()

    def _make(self, source: _Source) -> _Result:
        """Runs in threads: nothing here may touch the database."""
        key = storage.thumbnail_key(self.project.pk, source.checksum)
        if default_storage.exists(key):
            return _Result(source, "reused")
        try:
            with storage.local_copy(source.uri) as path:
                thumbnail = self._decoders.shrink(path, source.pixels)
        except PictureError as error:
            return _Result(source, "broken", str(error))
        except OSError as error:
            return _Result(source, "unreadable", f"{source.uri}: {error.strerror or error}")
        storage.put(key, io.BytesIO(thumbnail.data))
        return _Result(source, "made")

    def _flush(self) -> None:
        """Write back what is done, let go of shards, and say how far we are."""
        results, self._results = self._results, []
        self._flushed_at = time.monotonic()
        if results:
            made = [result.source.checksum for result in results if result.outcome in ("made", "reused")]
            broken = [result for result in results if result.outcome == "broken"]
            with transaction.atomic():
                images, news = self._write_made(made), self._write_broken(broken)
                if images or news:
                    self.project.touch()
                    self.changed = True
            for image in news:
                self.tell(image)
            self._done += images + len(news)
        self._shards.written(result.source for result in results)
        if self._others and time.monotonic() >= self._count_again:
            self._count()
        else:
            self.progress(PHASE, self._done, self._total)

    def _write_made(self, checksums: list[str]) -> int:
        keys = [storage.thumbnail_key(self.project.pk, checksum) for checksum in checksums]
        with connection.cursor() as cursor:
            cursor.execute(WRITE_MADE, [checksums, keys, self.project.pk])
            return cursor.rowcount

    def _write_broken(self, broken: list[_Result]) -> list[BrokenPicture]:
        checksums, reasons = [result.source.checksum for result in broken], [result.reason for result in broken]
        with connection.cursor() as cursor:
            cursor.execute(WRITE_BROKEN, [BROKEN, BROKEN, checksums, reasons, self.project.pk])
            return [BrokenPicture(*row) for row in cursor]
