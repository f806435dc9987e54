"""Pictures of an import: found for their records, looked at, stored under their checksum.

Each is read once, for its checksum. Its header and its own structure then tell what it is and whether it is all there;
no pixel is decoded, so that a hundred thousand pictures cost little more than copying them. What is whole and cannot be
decoded all the same is found when thumbnails are made.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from django.core.files.storage import default_storage

from annotations.coco.images import ImageTable
from annotations.coco.problems import Action, Problem, Reporter
from annotations.matching import Matches, match
from annotations.sources import Archive, PictureSource, Unreadable
from assets import pictures, storage
from assets.completeness import cut_off
from assets.models import ImageAsset

AT_ONCE = 1_000  # pictures that wait for a thread
READERS = 4  # threads: hashing and disk both let go of the interpreter's lock
HELD = 8 * 1024 * 1024  # bytes: smaller pictures are read once, into memory


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A stored picture: its key, SHA-256, format, size in pixels and bytes.

    `flaw` says why it is broken. What is no picture at all has no key, no format and no size: it is not stored.
    """

    key: str
    checksum: str
    format: str
    size_bytes: int
    width: int = 0
    height: int = 0
    turned: bool = False
    flaw: str = ""
    name: str = ""  # of the file, as its source has it

    @property
    def status(self) -> str:
        """What an image with this picture is at first."""
        return ImageAsset.Status.READY if self.format and not self.flaw else ImageAsset.Status.BROKEN


# The source's name of a picture -> where it was stored, or why it was not.
PictureCache = dict[str, StoredPicture | str]


class Refused(Exception):
    """The bytes are not stored: they are no picture."""


def store(project_id: int, source: PictureSource, name: str) -> StoredPicture:
    """Read one picture and store it under its checksum, unless it is there already.

    Raises Refused for what is no picture; one that is cut off is stored, for what there is of it can be seen.
    """
    with source.open(name) as opened:
        file = _held(opened)
        checksum, size = storage.digest(file)
        try:
            look = pictures.look(file)
        except pictures.PictureError as error:
            raise Refused(str(error)) from None
        flaw = cut_off(file, look.format)
        key = storage.image_key(project_id, checksum, look.format)
        if not default_storage.exists(key):
            storage.put(key, file)
    return StoredPicture(key, checksum, look.format, size, look.width, look.height, look.turned, flaw, name)


def _held(file: IO[bytes]) -> IO[bytes]:
    """The file, in memory if it is small: an entry of a zip unpacks anew each time that it is gone back in."""
    data = file.read(HELD)
    if len(data) < HELD:
        return io.BytesIO(data)
    file.seek(0)
    return file


def gather(
    *,
    project_id: int,
    source: PictureSource,
    file_names: Sequence[str | None],
    split: str,
    table: ImageTable,
    report: Reporter,
    progress: Callable[[str, int, int | None], None],
    cache: PictureCache,
) -> dict[int, StoredPicture]:
    """Store the pictures of the records; give them by row of `table`. What is missing or odd goes to `report`.

    `cache` holds what was done with each picture of the source, so that files of one data set share the work.
    """
    wanted = [name for name in file_names if name is not None]
    matches = match(wanted, source.names_for(wanted), prefer=split)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(file_names):
        if name is not None:
            rows.setdefault(name, []).append(row)
    _tell_unmatched(rows, matches, table, report)
    stored: dict[int, StoredPicture] = {}
    jobs = list(matches.found.items())

    def work(job: tuple[str, str]) -> StoredPicture | str:
        if job[1] not in cache:
            try:
                cache[job[1]] = store(project_id, source, job[1])
            except Refused as refused:
                cache[job[1]] = str(refused)
            except Unreadable as error:
                cache[job[1]] = error.message
        return cache[job[1]]

    # A zip's entries share one file handle: reading them side by side gains nothing.
    with ThreadPoolExecutor(1 if isinstance(source, Archive) else READERS) as readers:
        for start in range(0, len(jobs), AT_ONCE):
            batch = jobs[start : start + AT_ONCE]
            for done, ((name, found), result) in enumerate(
                zip(batch, readers.map(work, batch), strict=True), start + 1
            ):
                for row in rows[name]:
                    picture = StoredPicture("", "", "", 0, flaw=result) if isinstance(result, str) else result
                    stored[row] = picture
                    if picture.flaw:
                        path, told = f"$.images[{table.indexes[row]}].file_name", f"{found}: {picture.flaw}."
                        report(Problem("broken_picture", Action.KEPT, path, told, "Send the picture again."))
                try:
                    progress("pictures", done, len(jobs))
                except BaseException:  # cancelled: what waits for a thread need not be done
                    readers.shutdown(wait=False, cancel_futures=True)
                    raise
    progress("pictures", len(jobs), len(jobs))
    return stored


def _tell_unmatched(rows: dict[str, list[int]], matches: Matches, table: ImageTable, report: Reporter) -> None:
    """Which records got no picture, and which got one by its base name only."""
    for name, places in rows.items():
        code, fix = "ambiguous_picture", "Name the picture by its path."
        if name in matches.ambiguous:
            several = ", ".join(matches.ambiguous[name][:5])
            told = f"{name!r} fits several pictures equally well ({several}): none was taken."
        elif name in matches.contested:
            told = f"Other records fit the picture {matches.contested[name]} as well as {name!r} does: none got it."
        elif name in matches.loose:
            code, fix = "picture_by_base_name", "See that it is the right one."
            told = f"{name!r} got the picture {matches.loose[name]}: only the file's own name is the same."
        elif name in matches.found:
            continue
        else:
            code, fix, told = "missing_picture", "", f"There is no picture for {name!r}."
        for row in places:
            report(Problem(code, Action.KEPT, f"$.images[{table.indexes[row]}].file_name", told, fix))
