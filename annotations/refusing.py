"""What an import could do nothing with is refused before there is a job, for the same reasons as by a dry run."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from django.core.files.storage import default_storage

from annotations.material import TooMuch, below, is_zip, json_names, on_disk, stored_pictures
from annotations.sources import Archive
from assets import storage

LOOKED_AT = 64 * 1024 * 1024  # bytes of JSON that are looked into while the client waits


def refuse_unfit(path: Path, name: str, *, split: str, splits: Mapping[str, str]) -> None:
    """Refuse a zip that an import could do nothing with, for the same reasons as a dry run. Raises ServiceError.

    Its JSON is unpacked, so that entries that lie about their size are found. Which of it is COCO is looked for up to
    LOOKED_AT; the import itself finds out about more than that.
    """
    with path.open("rb") as file:
        if not is_zip(file):
            return
    archive = Archive(path, name)
    try:
        names = json_names(archive)
        if sum(archive.size(inner) for inner in names) <= LOOKED_AT:
            with on_disk(path, name, None, split, splits):
                return
        for inner in names:
            with archive.open(inner) as entry:
                while entry.read(storage.CHUNK):
                    pass
    finally:
        archive.close()


def refuse_unfit_stored(key: str, name: str, *, split: str, splits: Mapping[str, str]) -> None:
    """The same for what lies in storage, a zip or a prefix; not for large files in a bucket, which would be fetched."""
    if key.endswith("/"):
        with suppress(TooMuch), below(key, None, split, splits, lambda: None, LOOKED_AT):
            return
    elif _is_near(key):
        with storage.local_copy(key) as path:
            refuse_unfit(path, name, split=split, splits=splits)


def refuse_unfit_pictures(key: str) -> None:
    """Refuse stored pictures that are to be a zip and are none that can be read. Raises ServiceError."""
    if _is_near(key):
        with stored_pictures(key):
            return


def _is_near(key: str) -> bool:
    """Whether the file can be looked into without fetching much."""
    return not hasattr(default_storage, "bucket_name") or default_storage.size(key) <= LOOKED_AT
