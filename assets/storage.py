"""Where bytes live. Keys are made from checksums and ids, never from names that users gave.

`images/{project}/{aa}/{sha256}.{format}`, `thumbnails/...`, `uploads/{project}/{id}/...`, `logs/{task}.json`,
`exports/{project}/{task}/{turn}.{json|zip}`, `exports/{project}/{task}/{turn}/...` (snapshots for CVAT).
"""

import errno
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from uuid import UUID

from django.core import signing
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.urls import reverse

from assets.pictures import CONTENT_TYPES

OTHER_TYPES = {".json": "application/json", ".zip": "application/zip", ".csv": "text/csv; charset=utf-8"}
CHUNK = 1024 * 1024  # bytes
LINK_SALT = "cocohub.media"


class LocalStorage(FileSystemStorage):
    """The local disk: files appear whole or not at all, and are read by signed links that run out."""

    def _save(self, name: str, content: Any) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            with draft.open("wb") as target:
                content.seek(0) if content.seekable() else None
                while chunk := content.read(CHUNK):
                    target.write(chunk.encode() if isinstance(chunk, str) else chunk)
                target.flush()
                os.fsync(target.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return name

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: keys are unique by their making, and writing one again writes the same bytes."""
        return name

    def url(self, name: str | None) -> str:
        """A signed link; who has it may read this one file until it runs out."""
        return reverse("media", args=[signing.TimestampSigner(salt=LINK_SALT).sign_object(name)])


def content_type(key: str) -> str:
    """What a stored file is served as: by our key, whatever the uploader called it."""
    ending = PurePosixPath(key).suffix
    return CONTENT_TYPES.get(ending[1:]) or OTHER_TYPES.get(ending, "application/octet-stream")


def download_name(key: str) -> str:
    """What the file is called where it is downloaded; nothing for pictures, which are shown."""
    return "" if PurePosixPath(key).suffix[1:] in CONTENT_TYPES else PurePosixPath(key).name


def link(key: str) -> str | None:
    """An address for reading the stored file for a while; None if there is none."""
    return default_storage.url(key) if key else None


def image_key(project_id: int, sha256: str, format_: str) -> str:
    """Where a project's picture with this content is."""
    return f"images/{project_id}/{sha256[:2]}/{sha256}.{format_.lower()}"


def thumbnail_key(project_id: int, sha256: str) -> str:
    """Where the thumbnail of the picture with this content is."""
    return f"thumbnails/{project_id}/{sha256[:2]}/{sha256}.webp"


def upload_key(project_id: int, *parts: str) -> str:
    """Where something that a project has received for an import is."""
    return "/".join((f"uploads/{project_id}", *parts))


def log_key(task_id: UUID | str) -> str:
    """Where a task's report is."""
    return f"logs/{task_id}.json"


def put(key: str, content: IO[bytes]) -> str:
    """Store the bytes under the key, replacing what was there."""
    return default_storage.save(key, File(content))


def adopt(key: str, path: Path) -> None:
    """Put a file of this machine into storage under the key; it is moved where that can be done without copying."""
    try:
        place = Path(default_storage.path(key))
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EXDEV:
            raise
        with path.open("rb") as content:
            put(key, content)
        path.unlink(missing_ok=True)


def delete_received(key: str) -> None:
    """Delete what was received for an import, and nothing else: only keys below `uploads/`.

    A list of pictures (`images.json`) goes with the pictures.
    """
    if not key.startswith("uploads/"):
        return
    if key.endswith("/images.json") and (listing := read(key)):
        with listing:
            for picture in json.load(listing).values():
                default_storage.delete(picture)
    default_storage.delete(key)


def read(key: str) -> IO[bytes] | None:
    """The stored file, opened; None if there is none of this key."""
    try:
        return default_storage.open(key, "rb") if key else None
    except FileNotFoundError:
        return None


def forget_project(project_id: int) -> None:
    """Delete what is stored for a project that is gone. Idempotent; what is not there is no error."""
    for area in ("images", "thumbnails", "exports", "uploads"):
        _delete_below(f"{area}/{project_id}")


def _delete_below(folder: str) -> None:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in folders:
        _delete_below(f"{folder}/{name}")
    for name in files:
        default_storage.delete(f"{folder}/{name}")
    default_storage.delete(f"{folder}")


def digest(content: IO[bytes]) -> tuple[str, int]:
    """SHA-256 in hex and the number of bytes, read from the start; the file is rewound."""
    content.seek(0)
    found, size = hashlib.sha256(), 0
    while chunk := content.read(CHUNK):
        found.update(chunk)
        size += len(chunk)
    content.seek(0)
    return found.hexdigest(), size


@contextmanager
def local_copy(key: str) -> Iterator[Path]:
    """The stored file as a path on this machine: the file itself if storage is local, else a temporary copy.

    Raises FileNotFoundError if there is no such file.
    """
    try:
        path = Path(default_storage.path(key))
    except NotImplementedError:  # not a local storage
        with tempfile.NamedTemporaryFile(suffix=Path(key).suffix) as target, default_storage.open(key, "rb") as source:
            while chunk := source.read(CHUNK):
                target.write(chunk)
            target.flush()
            yield Path(target.name)
    else:
        yield path
