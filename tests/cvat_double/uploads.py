"""Data: TUS uploads, Upload-Start, Upload-Finish, and the making of the task."""

import base64
import binascii
import re
import uuid
from email.header import Header
from functools import partial
from typing import Any

from tests.cvat_double import hooks, works
from tests.cvat_double.answers import (
    REQUIRED,
    Answer,
    Refusal,
    as_json,
    broken,
    detail,
    empty,
    page,
    refuse,
)
from tests.cvat_double.calls import Call, route
from tests.cvat_double.media import ORDERS, CreationError, frames_of
from tests.cvat_double.state import State, Task, Upload
from tests.cvat_double.tasks import make_jobs, shown_task

MAX_SIZE = 26_843_545_600
TUS = {"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0", "Tus-Extension": "", "Tus-Max-Size": str(MAX_SIZE)}
NO_MORE = "Adding more data is not supported"
NAMESPACE = uuid.UUID("00000000-0000-4000-8000-000000000000")
CREATION_LIFE = 500.0  # seconds


@route("POST", r"/tasks/(\d+)/data")
def post_data(call: Call, task_id: int) -> Answer:
    """Upload-Start, Upload-Finish, everything at once; or a TUS creation without its slash."""
    state = call.state
    task = state.task(task_id)
    works.settle(state)
    if call.headers.get("Upload-Start") is not None:
        _open(task)
        return empty(202)
    if call.headers.get("Upload-Length") is not None:
        return _create_upload(call, task_id, "")
    if (call.headers.get("Content-Type") or "").startswith("multipart/"):
        return _multipart(call, task_id)
    data = call.json()
    wrong = _finish_errors(data)
    if wrong:
        raise refuse(wrong)
    rq_id = f"action=create&target=task&target_id={task_id}"
    waiting = state.works.get(rq_id)
    if waiting is not None and not waiting.done:
        return as_json({"rq_id": rq_id}, 409)
    _open(task)
    if data.get("cloud_storage_id") is not None and data["cloud_storage_id"] not in state.buckets:
        raise refuse(["CloudStorage matching query does not exist."])
    if data.get("upload_file_order"):
        task.announced = _in_order(task, data["upload_file_order"])
    return _begin(state, task_id, data)


@route("GET", r"/cloudstorages/(\d+)")
def cloud_storage(call: Call, storage_id: int) -> Answer:
    """A bucket, without its credentials."""
    bucket = call.state.buckets.get(storage_id)
    if bucket is None:
        raise detail("No CloudStorage matches the given query.", 404)
    date = call.state.date()
    return as_json(
        {
            "id": storage_id,
            "owner": call.state.person(1),
            "manifests": [],
            "created_date": date,
            "updated_date": date,
            "provider_type": "AWS_S3_BUCKET",
            "resource": bucket.name,
            "display_name": "CocoHub bucket",
            "credentials_type": "KEY_SECRET_KEY_PAIR",
            "specific_attributes": "region=us-east-1",
            "description": "",
            "organization": None,
        }
    )


def _open(task: Task) -> None:
    if task.frames:
        raise refuse(NO_MORE)


def _begin(state: State, task_id: int, data: dict[str, Any]) -> Answer:
    task = state.task(task_id)
    task.has_data = True
    task.record["_quality"] = data["image_quality"]
    state.touch(task.record)
    operation = {
        "type": "create:task",
        "target": "task",
        "project_id": task.record["project_id"],
        "task_id": task_id,
        "job_id": None,
        "format": None,
        "lightweight": None,
    }
    run = partial(_make, state, task_id, data)
    rq_id = f"action=create&target=task&target_id={task_id}"
    state.works.pop(rq_id, None)
    seconds = state.options.creation_seconds
    return works.begin(state, rq_id, "create", operation, run, seconds=seconds, life=CREATION_LIFE)


def _make(state: State, task_id: int, data: dict[str, Any]) -> None:
    task = state.tasks.get(task_id)
    if task is None:
        return
    if any(".." in name for name in data.get("server_files", [])):
        raise CreationError("ValueError: Don't use '..' inside file paths\n")
    if state.options.fail_creations > 0:
        state.options.fail_creations -= 1
        task.spoilt = True
        raise CreationError("utils.dataset_manifest.errors.InvalidImageError: failed to parse image file 'x.jpg'\n")
    if task.spoilt:
        names = [name for name in dict.fromkeys(task.announced) if name.endswith(".zip")]
        if len(names) < 2:
            raise CreationError("IndexError: Invalid index number: 1, Maximum allowed index is 0\n")
    if data.get("cloud_storage_id") is not None:
        read = state.buckets[data["cloud_storage_id"]].read
        found = [(name, read(name)) for name in data.get("server_files", [])]
        missing = [name for name, content in found if content is None]
        if missing:
            task.spoilt = True
            raise CreationError(f"FileNotFoundError: The file {missing[0]} not found\n")
        task.files = {name: content for name, content in found if content is not None}
        task.announced = list(task.files)
        task.bucket = data["cloud_storage_id"]
    try:
        frames, images = frames_of(task.files, task.announced, data.get("sorting_method", "lexicographical"))
    except CreationError as error:
        task.spoilt = task.spoilt or error.spoils
        task.uploads.clear()
        task.files = {}  # the file may come again under its name, which stays on the list
        raise
    task.frames, task.images = frames, images
    task.files = {}
    task.chunks_date = state.date()
    state.touch(task.record)
    make_jobs(state, task)
    hooks.emit(state, "update:task", task.record["project_id"], {"task": shown_task(state, task)})


def _finish_errors(data: dict[str, Any]) -> dict[str, list[str]]:
    quality = data.get("image_quality")
    if quality is None:
        return {"image_quality": [REQUIRED]}
    if not 0 <= int(quality) <= 100:
        side = "less than or equal to 100" if int(quality) > 100 else "greater than or equal to 0"
        return {"image_quality": [f"Ensure this value is {side}."]}
    if data.get("sorting_method", "natural") not in ORDERS:
        return {"sorting_method": [f'"{data["sorting_method"]}" is not a valid choice.']}
    if data.get("frame_filter") and not re.fullmatch(r"step\s*=\s*[1-9]\d*", data["frame_filter"]):
        return {"frame_filter": ["Invalid frame filter expression"]}
    if data.get("chunk_size") is not None and int(data["chunk_size"]) < 1:
        return {"chunk_size": ["Chunk size must be a positive integer"]}
    start, stop = data.get("start_frame"), data.get("stop_frame")
    if start is not None and stop is not None and start > stop:
        return {"non_field_errors": ["Stop frame must be more or equal start frame"]}
    return {}


def _in_order(task: Task, wanted: list[str]) -> list[str]:
    lost = [f"{name} (missing)" for name in wanted if name not in task.files]
    extra = [f"{name} (extra)" for name in task.files if name not in wanted]
    if lost or extra:
        raise refuse(
            [
                "Uploaded files do not match the 'upload_file_order' field contents. Please check the uploaded data "
                f"and the list of uploaded files. Mismatching files: {', '.join(lost + extra)}"
            ]
        )
    return wanted


def _multipart(call: Call, task_id: int) -> Answer:
    """`client_files[n]` in one request; with Upload-Multiple they are only kept."""
    task = call.state.task(task_id)
    _open(task)
    boundary = call.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    fields: dict[str, Any] = {}
    for part in call.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        file = re.search(rb'filename="([^"]*)"', head)
        if file:
            task.files[file[1].decode()] = content.removesuffix(b"\r\n")
            task.announced.append(file[1].decode())
        elif name:
            fields[name[1].decode()] = content.removesuffix(b"\r\n").decode()
    if call.headers.get("Upload-Multiple") is not None:
        return as_json("", 200)
    fields["image_quality"] = int(fields.get("image_quality", 70))
    return _begin(call.state, task_id, fields)


# --- TUS ---


@route("POST", r"/tasks/(\d+)/data/")
def create_upload(call: Call, task_id: int) -> Answer:
    """With the slash: a Location that works."""
    return _create_upload(call, task_id, "data/")


@route("OPTIONS", r"/tasks/(\d+)/data/")
def tus_limits(call: Call, task_id: int) -> Answer:
    """What TUS may do here."""
    return empty(204, **TUS)


def _create_upload(call: Call, task_id: int, folder: str) -> Answer:
    state = call.state
    task = state.task(task_id)
    _open(task)
    if call.headers.get("Origin") is None and call.headers.get("X-Forwarded-Host") is None:
        raise broken()
    name = _file_name(call.headers.get("Upload-Metadata") or "")
    try:
        length = int(call.headers.get("Upload-Length") or "0")
    except ValueError:
        raise broken() from None
    if not length:
        raise broken()
    if name.startswith("..") or "/../" in name:
        raise Refusal(Answer(400, f'"File name {name} is not allowed"'.encode(), {"Content-Type": "text/plain"}))
    if length > MAX_SIZE:
        raise refuse(f"File size exceeds max limit of {MAX_SIZE} bytes", 413, **TUS)
    if name in task.files:
        raise refuse("File with same name already exists", 409, **TUS)
    number = state.next_id("upload")
    upload_id = f"{call.user_id}_{uuid.uuid5(NAMESPACE, str(number))}"
    task.uploads[upload_id] = Upload(name, length)
    task.announced.append(name)
    location = f"{state.base}/api/tasks/{task_id}/{folder}{upload_id}"
    shown = name if name.isascii() else Header(name, "utf-8").encode()
    return Answer(201, b"", {**TUS, "Location": location, "Upload-Filename": shown})


def _file_name(metadata: str) -> str:
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key == "filename":
            try:
                return base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                raise broken() from None
    raise refuse("Metadata is expected to contain 'filename' key", 400, **TUS)


UPLOAD = r"/tasks/(\d+)/data/([^/]+)"


def _upload(call: Call, task_id: int, upload_id: str) -> Upload:
    task = call.state.task(task_id)
    if not re.fullmatch(r"\d+_[0-9a-f-]{36}", upload_id):
        raise Refusal(page(404))
    if not upload_id.startswith(f"{call.user_id}_"):
        raise Refusal(empty(403, **TUS))
    if upload_id not in task.uploads:
        raise Refusal(empty(404, **TUS))
    return task.uploads[upload_id]


@route("HEAD", UPLOAD)
def upload_offset(call: Call, task_id: int, upload_id: str) -> Answer:
    """How much has arrived; 404 after the last byte."""
    upload = _upload(call, task_id, upload_id)
    return empty(200, **TUS, **{"Upload-Offset": str(len(upload.data)), "Upload-Length": str(upload.length)})


@route("PATCH", UPLOAD)
def upload_chunk(call: Call, task_id: int, upload_id: str) -> Answer:
    """A chunk: whole, or not at all."""
    kind = call.headers.get("Content-Type") or ""
    if kind != "application/offset+octet-stream":
        raise detail(f'Unsupported media type "{kind}" in request.', 415)
    task = call.state.task(task_id)
    upload = _upload(call, task_id, upload_id)
    offset = int(call.headers.get("Upload-Offset") or 0)
    if offset != len(upload.data):
        raise Refusal(empty(409, **TUS))
    if offset + len(call.body) > upload.length:
        raise Refusal(empty(413, **TUS))
    upload.data += call.body
    if len(upload.data) == upload.length:
        del task.uploads[upload_id]
        if "/" in upload.name:
            raise broken()
        task.files.setdefault(upload.name, bytes(upload.data))
    return empty(204, **TUS, **{"Upload-Offset": str(len(upload.data))})
