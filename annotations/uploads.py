"""Uploads in parts that survive a broken connection: the server's side of tus 1.0 (https://tus.io/protocols/resumable-upload).

An upload belongs to a project. Once it is whole it lies in storage, and an import names it by its id. What is not
finished, or not used, is forgotten after a while.
"""

import base64
import binascii
import hashlib
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.utils import OperationalError
from django.utils import timezone

from accounts.errors import Conflict, Gone, Locked, NotFound, ServiceError, TooLarge
from accounts.models import User
from annotations import drafts
from annotations.drafts import told_if_full
from annotations.models import ImportJob, ResumableUpload
from assets import storage
from projects import audit, policies
from projects.models import Project, Role, Task

CHECKSUMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "md5": hashlib.md5}
LEFTOVER = 24 * 3600  # seconds after which a temporary file of the upload folder is nobody's


class ChecksumMismatch(ServiceError):
    """The bytes are not those that the client meant to send; none of them was kept."""

    status = 460  # type: ignore[assignment] # tus' own


@transaction.atomic
def create(*, user: User, project: Project, length: int, file_name: str = "") -> ResumableUpload:
    """Begin an upload of this many bytes. For curators. Raises TooLarge."""
    policies.require(user, Role.CURATOR, project)
    if length > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(f"The upload has {length:,} bytes; {settings.MAX_UPLOAD_BYTES:,} is the most.")
    upload = ResumableUpload(
        project=project,
        file_name=file_name.replace("\0", "")[-500:],
        length=length,
        created_by=user,
        expires_at=timezone.now() + timedelta(hours=settings.UPLOAD_HOURS),
    )
    if not length:
        _finish(upload)
    upload.save(force_insert=True)
    audit.record(user, project, "upload.started", upload=upload.pk, file=upload.file_name, bytes=length)
    return upload


def append(
    *,
    user: User,
    upload: ResumableUpload,
    offset: int,
    body: IO[bytes],
    size: int,
    checksum: str = "",
    announced: int = 0,
) -> ResumableUpload:
    """Add `size` bytes of `body` at `offset`, all of them or none. For curators.

    Where they are the next piece of a longer request, `announced` is what is left of it, this piece included: more
    than the upload has room for is refused before any of it is kept. With no bytes nothing changes.

    Raises Conflict if the upload has another offset, Locked if another request writes to it, TooLarge beyond its
    length, Gone once it has run out, and ChecksumMismatch. `checksum` is "sha256 BASE64", as tus has it.
    """
    policies.require(user, Role.CURATOR, upload.project)
    try:
        with transaction.atomic():
            return _append(upload, offset, body, size, checksum, announced)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == "55P03":  # lock_not_available
            raise Locked("Another request is writing to this upload. Wait for it, then ask for the offset.") from None
        raise


def _append(
    upload: ResumableUpload, offset: int, body: IO[bytes], size: int, checksum: str, announced: int
) -> ResumableUpload:
    held = ResumableUpload.objects.select_for_update(nowait=True).filter(pk=upload.pk).first()
    if held is None:
        raise NotFound("This upload has been taken back.")
    if held.expires_at <= timezone.now():
        raise Gone("This upload has run out. Begin a new one.")
    if offset != held.offset:
        raise Conflict(
            f"{held.offset:,} bytes are here; the request begins at {offset:,}.", detail={"offset": held.offset}
        )
    if (end := offset + max(size, announced)) > held.length:
        raise TooLarge(f"The upload was announced with {held.length:,} bytes; this would make {end:,}.")
    if held.is_whole or not size:
        return held
    if checksum:
        body = _checked(body, size, checksum)
    draft = drafts.draft_of(held)
    draft.append(body, size)
    held.offset += size
    held.expires_at = timezone.now() + timedelta(hours=settings.UPLOAD_HOURS)
    if held.offset == held.length:
        _finish(held)
    held.save()
    return held


def _finish(upload: ResumableUpload) -> None:
    upload.key = drafts.key_of(upload)
    drafts.draft_of(upload).finish(upload.key)


def _checked(body: IO[bytes], size: int, checksum: str) -> IO[bytes]:
    """The bytes in a file of ours, once they have proved to be right."""
    name, _, expected = checksum.partition(" ")
    if name not in CHECKSUMS:
        raise ServiceError(f"{name[:40]!r} is no checksum that is known; the known ones are {', '.join(CHECKSUMS)}.")
    try:
        wanted = base64.b64decode(expected.strip(), validate=True)
    except binascii.Error:
        raise ServiceError("The checksum is not Base64.") from None
    found = CHECKSUMS[name](usedforsecurity=False)
    copy = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - gone with the request
    with told_if_full():
        while size > 0 and (chunk := body.read(min(storage.CHUNK, size))):
            found.update(chunk)
            copy.write(chunk)
            size -= len(chunk)
    if found.digest() != wanted:
        raise ChecksumMismatch(f"The bytes that came have another {name} than was announced. Send them again.")
    copy.seek(0)
    return copy


@transaction.atomic
def take_back(*, user: User, upload: ResumableUpload) -> None:
    """Forget an upload and what has come of it. For curators."""
    policies.require(user, Role.CURATOR, upload.project)
    if _in_use(upload.key):
        raise Conflict("An import uses this upload; it goes with it.")
    upload.delete()
    audit.record(user, upload.project, "upload.taken_back", upload=upload.pk, file=upload.file_name)
    transaction.on_commit(lambda: _delete_bytes(upload))


def whole(project: Project, pk: UUID, field: str) -> ResumableUpload:
    """A finished upload of the project. Raises ServiceError, naming the input field, if there is none."""
    upload = ResumableUpload.objects.filter(project=project, pk=pk).first()
    if upload is None:
        text = f"There is no upload {pk} in this project."
    elif not upload.is_whole:
        text = f"Of upload {pk}, {upload.offset:,} of {upload.length:,} bytes have come. Send the rest first."
    else:
        return upload
    raise ServiceError(text, fields={field: [text]})


def _in_use(key: str) -> bool:
    return bool(key) and ImportJob.objects.filter(Q(upload_uri=key) | Q(images_uri=key)).exists()


def _delete_bytes(upload: ResumableUpload) -> None:
    if upload.key:
        default_storage.delete(upload.key)
    else:
        drafts.draft_of(upload).drop()


def forget_expired() -> int:
    """Delete uploads that have run out, what imports that succeeded have left, and leftovers of broken requests."""
    used = ImportJob.objects.filter(Q(upload_uri=OuterRef("key")) | Q(images_uri=OuterRef("key")))
    forgotten = 0
    for upload in ResumableUpload.objects.filter(expires_at__lte=timezone.now()).annotate(is_used=Exists(used)):
        if not (upload.key and upload.is_used):  # else the bytes are the import's now
            _delete_bytes(upload)
        upload.delete()
        forgotten += 1
    return forgotten + _forget_used() + _forget_leftovers()


def _forget_used() -> int:
    """What was received for imports that succeeded a while ago; those that failed keep it, to be tried again."""
    ended = timezone.now() - timedelta(hours=settings.UPLOAD_HOURS)
    jobs = ImportJob.objects.filter(task__status=Task.Status.SUCCEEDED, task__finished_at__lte=ended)
    forgotten = 0
    for job in jobs.filter(Q(upload_uri__startswith="uploads/") | Q(images_uri__startswith="uploads/")):
        others = ImportJob.objects.exclude(pk=job.pk)
        for key in {job.upload_uri, job.images_uri} - {""}:
            # The pictures of one upload may belong to several imports, each with a COCO file of its own.
            if not others.filter(Q(upload_uri=key) | Q(images_uri=key)).exists():
                storage.delete_received(key)
        ImportJob.objects.filter(pk=job.pk).update(upload_uri="", images_uri="")
        forgotten += 1
    return forgotten


def _forget_leftovers() -> int:
    long_ago, forgotten = time.time() - max(LEFTOVER, settings.UPLOAD_HOURS * 3600), 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        if path.is_file() and path.stat().st_mtime < long_ago:
            path.unlink(missing_ok=True)
            forgotten += 1
    return forgotten
