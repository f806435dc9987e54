"""Where the parts of a resumable upload wait until it is whole: a file on a local disk, or an S3 multipart upload."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from accounts.errors import Gone, NoSpace
from annotations.models import ResumableUpload
from assets import storage

PART = 8 * 1024 * 1024  # bytes of an S3 part; S3 takes 5 MiB to 5 GiB, and 10,000 of them
MAX_PARTS = 9_000
FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def told_if_full() -> Iterator[None]:
    """Turn the disk's 'no space left' into words for the client. Raises NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoSpace("The server has no space left; nothing of this was kept. Try again later.") from error
        raise


class Draft(Protocol):
    """What has come of an upload. The caller holds the upload's row, so that one request at a time writes."""

    def append(self, body: IO[bytes], size: int) -> None:
        """Add `size` bytes after the row's offset; what stood behind it, from a request that broke, is dropped."""

    def finish(self, key: str) -> None:
        """Put it into storage under this key."""

    def drop(self) -> None:
        """Forget all of it."""


def key_of(upload: ResumableUpload) -> str:
    """Where the upload lies once it is whole."""
    return storage.upload_key(upload.project_id, str(upload.pk), "data")


def forget_project(project_id: int) -> None:
    """Give up what S3 has of unfinished uploads of a project that is gone; they are no objects yet. Idempotent."""
    if not hasattr(default_storage, "bucket_name"):
        return  # parts on a local disk are forgotten with their age
    client: Any = default_storage.connection.meta.client  # type: ignore[attr-defined]
    place = {"Bucket": default_storage.bucket_name}
    pages = client.get_paginator("list_multipart_uploads").paginate(**place, Prefix=storage.upload_key(project_id, ""))
    for page in pages:
        for found in page.get("Uploads", ()):
            client.abort_multipart_upload(**place, Key=found["Key"], UploadId=found["UploadId"])


def draft_of(upload: ResumableUpload) -> Draft:
    """The draft, where this storage keeps it."""
    return _S3Draft(upload) if hasattr(default_storage, "bucket_name") else _LocalDraft(upload)


class _LocalDraft:
    def __init__(self, upload: ResumableUpload) -> None:
        self.upload = upload
        self.path = Path(settings.FILE_UPLOAD_TEMP_DIR, f"{upload.pk}.part")

    def append(self, body: IO[bytes], size: int) -> None:
        if self.upload.offset and not self.path.exists():
            raise Gone("What was sent of this upload is lost. Begin a new one.")
        with told_if_full(), self.path.open("r+b" if self.path.exists() else "wb") as draft:
            draft.truncate(self.upload.offset)
            draft.seek(self.upload.offset)
            try:
                for chunk in _chunks(body, size):
                    draft.write(chunk)
                draft.flush()
            except OSError:
                with suppress(OSError):
                    draft.truncate(self.upload.offset)
                raise

    def finish(self, key: str) -> None:
        if not self.path.exists():
            self.path.touch()
        with told_if_full():
            storage.adopt(key, self.path)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


class _S3Draft:
    """Full parts go to S3 at once; what is left of a request, less than a part, waits as an object of its own."""

    def __init__(self, upload: ResumableUpload) -> None:
        self.upload = upload
        self.bucket = default_storage.bucket_name  # type: ignore[attr-defined]
        self.client: Any = default_storage.connection.meta.client  # type: ignore[attr-defined]
        self.part = max(PART, -(-upload.length // MAX_PARTS))
        self.tail = storage.upload_key(upload.project_id, str(upload.pk), "tail")
        self.key = key_of(upload)

    def _place(self, **more: Any) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload.multipart, **more}

    def append(self, body: IO[bytes], size: int) -> None:
        upload = self.upload
        if not upload.multipart:
            upload.multipart = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key)["UploadId"]
        waiting = upload.offset - sum(part_size for _, part_size in upload.parts)
        rest = bytearray()
        if waiting:
            with default_storage.open(self.tail, "rb") as tail:
                rest += tail.read()
        for chunk in _chunks(body, size):
            rest += chunk
            if len(rest) >= self.part:
                self._send(bytes(rest[: self.part]))
                del rest[: self.part]
        if rest and upload.offset + size == upload.length:
            self._send(bytes(rest))
        elif rest:
            default_storage.save(self.tail, ContentFile(bytes(rest)))

    def _send(self, data: bytes) -> None:
        number = len(self.upload.parts) + 1
        sent = self.client.upload_part(**self._place(PartNumber=number, Body=data))
        self.upload.parts.append([sent["ETag"], len(data)])

    def finish(self, key: str) -> None:
        if not self.upload.parts:
            self._abort()
            default_storage.save(key, ContentFile(b""))
            return
        parts = [{"PartNumber": number, "ETag": tag} for number, (tag, _) in enumerate(self.upload.parts, 1)]
        self.client.complete_multipart_upload(**self._place(MultipartUpload={"Parts": parts}))
        default_storage.delete(self.tail)

    def drop(self) -> None:
        self._abort()
        default_storage.delete(self.tail)

    def _abort(self) -> None:
        if self.upload.multipart:
            with suppress(self.client.exceptions.NoSuchUpload):
                self.client.abort_multipart_upload(**self._place())


def _chunks(body: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = body.read(min(storage.CHUNK, size))
        if not chunk:
            raise EOFError("the body is shorter than it said")
        size -= len(chunk)
        yield chunk
