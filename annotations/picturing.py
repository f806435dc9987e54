"""Pictures of an import: found for their records, looked at, stored under their checksum."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.core.files.storage import default_storage

from annotations.coco.images import ImageTable
from annotations.coco.problems import Action, Problem, Reporter
from annotations.matching import Matches, match
from annotations.sources import Archive, PictureSource, Unreadable
from assets import pictures, storage
from assets.models import ImageAsset

AT_ONCE = 1_000  # pictures that wait for a thread
READERS = 4  # threads: hashing and disk both let go of the interpreter's lock


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A stored picture: its key, SHA-256, format, size in pixels and bytes. Broken ones have no format and no size."""

    key: str
    checksum: str
    format: str
    size_bytes: int
    width: int = 0
    height: int = 0
    turned: bool = False

    @property
    def status(self) -> str:
        """What an image with this picture is at first."""
        return ImageAsset.Status.READY if self.format else ImageAsset.Status.BROKEN


# The source's name of a picture -> where it was stored, or why it was not.
PictureCache = dict[str, StoredPicture | str]


class Refused(Exception):
    """The bytes are not stored: they are no picture."""


def store(project_id: int, source: PictureSource, name: str) -> StoredPicture:
    """Read one picture and store it under its checksum, unless it is there already.

    Raises Refused for what is no picture; a picture whose header is broken is stored and has no format.
    """
    with source.open(name) as file:
        checksum, size = storage.digest(file)
        try:
            look = pictures.look(file)
        except pictures.PictureError as error:
            raise Refused(str(error)) from None
        key = storage.image_key(project_id, checksum, look.format)
        if not default_storage.exists(key):
            storage.put(key, file)
    return StoredPicture(key, checksum, look.format, size, look.width, look.height, look.turned)


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
                    path = f"$.images[{table.indexes[row]}].file_name"
                    if isinstance(result, str):
                        told = f"{found}: {result}."
                        report(Problem("broken_picture", Action.KEPT, path, told, "Send the picture again."))
                        stored[row] = StoredPicture("", "", "", 0)
                    else:
                        stored[row] = result
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
