"""Images to CVAT: one zip over TUS, in chunks, taken up again where it was cut."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from exports.cvat.client import Client
from exports.cvat.errors import Broken500, CvatError, NotFound, Refused, Unwell
from exports.cvat.transport import MIB, Repeat

UPLOAD_NAME = "images.zip"  # always the same: an abandoned upload under another name would make the creation fail
MAX_BYTES = 26_843_545_600  # CVAT's limit for one file
CHUNK = 10 * MIB
TUS = {"Tus-Resumable": "1.0.0"}
UPLOAD_ID = re.compile(r"[\w-]{1,200}", re.ASCII)
PATIENCE = 6  # failures in a row without one byte of progress
RESTARTS = 3
# One zip of images: frame numbers come from data/meta, the order only has to be a fixed one.
FINISH = {"image_quality": 70, "sorting_method": "lexicographical", "use_cache": True, "use_zip_chunks": True}


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as far as it is known: its id in CVAT and how many bytes have arrived."""

    id: str
    offset: int


def _ignore(upload: Upload) -> None:
    """Nobody follows the upload."""


def upload(
    client: Client,
    task_id: int,
    file: BinaryIO,
    size: int,
    *,
    upload_id: str | None = None,
    chunk: int = CHUNK,
    progress: Callable[[Upload], None] = _ignore,
) -> None:
    """Send `size` bytes of the file as the task's zip; go on with `upload_id` if CVAT still knows it.

    `progress` is told the upload's id when it begins and after each chunk; keep the id to resume after a crash. Raises
    Refused if the task has data already ("Adding more data is not supported") and Unwell if nothing moves any more.
    """
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"CVAT takes files of 1 to {MAX_BYTES:,} bytes; this one has {size:,}.")
    offset = _offset(client, task_id, upload_id, size) if upload_id else None
    for _ in range(RESTARTS):
        if upload_id is None or offset is None:
            upload_id = create(client, task_id, size)
            offset = 0
            if upload_id is None:
                return
        progress(Upload(upload_id, offset))
        offset = _send(client, task_id, upload_id, file, size, offset, chunk, progress)
        if offset == size:
            return
        # CVAT no longer knows the upload: either its last byte has arrived, or it is lost. Creating it again tells.
        upload_id = None
    raise Unwell(0, f"the upload was lost {RESTARTS} times.", doing=f"upload the images of task {task_id}")


def create(client: Client, task_id: int, size: int, name: str = UPLOAD_NAME) -> str | None:
    """Begin an upload and return its id; None if the file of this name is complete already."""
    label = base64.b64encode(name.encode()).decode()
    base = client.transport.account.web_url
    headers = {
        **TUS,
        "Upload-Length": str(size),
        "Upload-Metadata": f"filename {label},filetype {base64.b64encode(b'application/zip').decode()}",
        # Without it a server behind no proxy answers 500.
        "Origin": "/".join(base.split("/")[:3]),
    }
    try:
        answer = client.transport.call(
            "POST",
            f"/tasks/{task_id}/data/",  # the one address with a slash: without it the Location leads nowhere
            headers=headers,
            repeat=Repeat.SAFE,
            doing=f"begin the upload for task {task_id}",
        )
    except Refused as error:
        if error.status == 409:
            return None
        raise
    # Behind a proxy the host and scheme of the Location may be wrong; the last part is what counts.
    found = answer.headers.get("Location", "").rstrip("/").rpartition("/")[2]
    if not UPLOAD_ID.fullmatch(found):
        raise Refused(answer.status, "the answer has no usable Location.", doing="begin the upload")
    return found


def finish(client: Client, task_id: int) -> str | None:
    """Have the task made; the id of the request to wait for, None if the task has its frames already."""
    try:
        return client.finish_upload(task_id, FINISH)
    except (Refused, Unwell):
        if client.task(task_id).size:
            return None
        raise


def finish_from_storage(client: Client, task_id: int, storage_id: int, keys: Sequence[str]) -> str | None:
    """The same for pictures that CVAT reads from a cloud storage, in this order."""
    try:
        return client.make_from_storage(task_id, storage_id, keys, FINISH)
    except (Refused, Unwell):
        if client.task(task_id).size:
            return None
        raise


def _offset(client: Client, task_id: int, upload_id: str, size: int) -> int | None:
    """How many bytes CVAT has; None if it does not know the upload (complete ones it forgets)."""
    try:
        answer = client.transport.call(
            "HEAD", f"/tasks/{task_id}/data/{upload_id}", headers=TUS, doing="see how far the upload is"
        )
    except NotFound:
        return None
    if int(answer.headers.get("Upload-Length", size)) != size:
        return None
    return int(answer.headers.get("Upload-Offset", 0))


def _send(
    client: Client,
    task_id: int,
    upload_id: str,
    file: BinaryIO,
    size: int,
    offset: int,
    chunk: int,
    progress: Callable[[Upload], None],
) -> int | None:
    """Send from `offset` on; the offset in the end, None if CVAT stopped knowing the upload."""
    failures = 0
    while offset < size:
        file.seek(offset)
        data = file.read(min(chunk, size - offset))
        if not data:
            raise ValueError(f"The file ends after {offset:,} bytes; it was said to have {size:,}.")
        try:
            offset = _chunk(client, task_id, upload_id, data, offset)
        except (Unwell, Broken500, NotFound, Refused) as error:
            if isinstance(error, Refused) and error.status != 409:
                raise
            failures += 1
            if failures > PATIENCE:
                raise
            client.transport.pause(client.transport.retries.pause(failures, None, 1.0))
            known = _offset(client, task_id, upload_id, size)
            if known is None:
                return None
            failures = failures if known == offset else 0
            offset = known
            continue
        failures = 0
        progress(Upload(upload_id, offset))
    return offset


def _chunk(client: Client, task_id: int, upload_id: str, data: bytes, offset: int) -> int:
    answer = client.transport.call(
        "PATCH",
        f"/tasks/{task_id}/data/{upload_id}",
        data=data,
        headers={**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
        doing=f"send images to task {task_id}",
    )
    try:
        return int(answer.headers["Upload-Offset"])
    except (KeyError, ValueError):
        raise CvatError(answer.status, "the answer to a chunk has no offset.", doing="send images") from None
