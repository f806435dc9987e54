"""Storage and disks: whether what is put there can be had again, and how much room is left."""

import shutil
import uuid
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from assets.models import ImageAsset
from cocohub import storekeeping
from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.health import parts

LOOKED_AT = 20  # pictures
FEW = 3  # that many may well be lost by themselves
ROOM = 0.1  # of a disk; with less left somebody should know


def storage() -> Found:
    """Answers, and a file that is put there is the same when it is read, and gone when it is deleted."""
    try:
        told = parts.storage()
    except parts.Unwell as failure:
        return error(str(failure), "Put the S3_ settings right, or the rights and the room of COCOHUB_HOME/storage.")
    key, content = f"logs/doctor-{uuid.uuid4()}.json", uuid.uuid4().bytes
    todo = "Give the key that is used the rights to read, write and delete objects of the bucket."
    step = "written"
    try:
        default_storage.save(key, ContentFile(content))
        step = "read"
        with default_storage.open(key) as stored:
            same = stored.read() == content
        step = "deleted"
        default_storage.delete(key)
        gone = not default_storage.exists(key)
    except (OSError, BotoCoreError, ClientError) as failure:
        return error(f"A file cannot be {step}: {parts.first_line(failure)}", todo)
    if not same or not gone:
        return error("A file is not what was written, or is still there after it was deleted.", todo)
    place = f"the bucket {told['bucket']}" if told["kind"] == "s3" else "the local disk"
    return ok(f"Written, read and deleted in {place}.")


def right_storage() -> Found:
    """It is the one that the database was used with: a lost mount or another bucket answers just as well."""
    newest = ImageAsset.objects.exclude(uri="").order_by("-pk").values_list("uri", flat=True)[:LOOKED_AT]
    keys = list(newest)
    there = sum(default_storage.exists(key) for key in keys)
    if not there and len(keys) >= FEW:
        return error(
            f"None of the {len(keys)} newest pictures is there: this is another storage, or it has been emptied.",
            "Mount the disk below COCOHUB_HOME/storage, or name the bucket (S3_BUCKET) that was used before.",
        )
    return ok(f"{there} of the {len(keys)} newest pictures are there.")


def disk() -> Found:
    """Uploads are gathered below COCOHUB_HOME, also where files go into a bucket."""
    found = shutil.disk_usage(settings.HOME)
    told = f"{found.free:,} of {found.total:,} bytes are left on the disk of {settings.HOME}"
    todo = "Make room, move COCOHUB_HOME to a larger disk, or have files in a bucket (S3_BUCKET)."
    if found.free < settings.MIN_FREE_BYTES:
        return error(f"{told}; MIN_FREE_BYTES is {settings.MIN_FREE_BYTES:,}.", todo)
    if found.free < ROOM * found.total:
        return warning(f"{told}.", todo)
    return ok(f"{told}.")


def drafts() -> Found:
    """What uploads leave there is deleted as they end; of one that was cut off by a crash it stays."""
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    old = (timezone.now() - storekeeping.YOUNG).timestamp()
    found = [path for path in folder.glob("*") if path.is_file() and path.stat().st_mtime < old]
    size = sum(path.stat().st_size for path in found)
    if size > settings.MIN_FREE_BYTES:
        return warning(
            f"{len(found):,} drafts of uploads that nobody goes on with, {size:,} bytes.",
            f"Delete what is older than a day in {folder}.",
        )
    return ok(f"{len(found):,} old drafts of uploads.")


def files() -> Found:
    """Every row's file is there, and every file has its row. Lists all of storage."""
    missing = storekeeping.totals(storekeeping.flaws(checksums=False))
    if missing:
        told = ", ".join(f"{number:,} {code.replace('_', ' ')}" for code, number in missing.items())
        return error(
            f"Rows whose file is not as it should be: {told}.",
            "python manage.py verify_storage names them; take them from the backup of the bucket, or import again.",
        )
    left = sum(1 for _ in storekeeping.orphans())
    if left:
        return warning(
            f"{left:,} files are older than a day and no row refers to them.",
            "Beat deletes them every night; at once: python manage.py verify_storage --delete-orphans",
        )
    return ok("Every row has its file, and every file its row.")


CHECKS = (
    Check("storage", storage),
    Check("right_storage", right_storage, ("database", "migrations", "storage")),
    Check("disk", disk),
    Check("drafts", drafts),
    Check("files", files, ("database", "migrations", "storage"), thorough=True),
)
