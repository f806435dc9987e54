"""Data set exports: taken, made in the background, fetched."""

import io
import json
import zipfile
from functools import partial
from itertools import groupby
from typing import Any

from tests.cvat_double import works
from tests.cvat_double.answers import Answer, broken, refuse, text
from tests.cvat_double.calls import Call, route
from tests.cvat_double.media import CreationError
from tests.cvat_double.projects import labels_of, owner_of
from tests.cvat_double.state import Record, State, Task

FORMATS = ("COCO 1.0", "COCO Keypoints 1.0", "CVAT for images 1.1", "Datumaro 1.0")
DAY = 24 * 3600.0
TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no", "")
KIND = {"tasks": "task", "jobs": "job", "projects": "project"}


@route("POST", r"/(tasks|jobs|projects)/(\d+)/dataset/export")
def start_export(call: Call, kind: str, number: int) -> Answer:
    """202, or 409 while the same waits or runs."""
    state, query = call.state, call.query
    tasks, job_id = _tasks(state, kind, number)
    images = query.get("save_images", "false").lower()
    name = query.get("format", "")
    if name not in FORMATS:
        raise refuse(["Unknown format specified for the request"])
    if images not in TRUE + FALSE:
        raise broken()
    if query.get("location") == "cloud_storage":
        raise refuse(["CloudStorage matching query does not exist."])
    what = "dataset" if images in TRUE else "annotations"
    target = KIND[kind]
    shown = name.replace(" ", "_").replace(".", "~")
    rq_id = f"action=export&target={target}&target_id={number}&user_id={call.user_id}&format={shown}&subresource={what}"
    operation = {
        "type": f"export:{what}",
        "target": target,
        "project_id": tasks[0].record["project_id"] if kind != "projects" and tasks else number,
        "task_id": tasks[0].record["id"] if kind != "projects" else None,
        "job_id": job_id,
        "format": name,
        "lightweight": None,
    }
    answer = works.begin(
        state,
        rq_id,
        "export",
        operation,
        partial(_make, state, tasks, job_id, what == "dataset"),
        seconds=state.options.export_seconds,
        life=DAY,
    )
    work = state.works[rq_id]
    quoted = rq_id.replace("=", "%3D").replace("&", "%26")
    work.record["_url"] = f"{state.base}/api/{kind}/{number}/dataset/download?rq_id={quoted}"
    work.record["_name"] = query.get("filename") or f"{target}_{number}_{what}_{shown.lower()}.zip"
    return answer


@route("GET", r"/(tasks|jobs|projects)/(\d+)/dataset/download")
def download(call: Call, kind: str, number: int) -> Answer:
    """The zip, once it is made."""
    _tasks(call.state, kind, number)
    rq_id = call.query.get("rq_id")
    if rq_id is None:
        raise refuse(["Missing request id in the query parameters"])
    if not rq_id.startswith("action="):
        raise refuse(["Unexpected request id format"])
    works.settle(call.state)
    work = call.state.works.get(rq_id)
    if work is None:
        return text("Unknown export request id", 400)
    if not work.done or work.polls <= call.state.options.polls_until_done:
        return text("The export process is not finished", 400)
    name = work.record["_name"]
    return Answer(
        200,
        work.result,
        {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{name}"'},
    )


def _tasks(state: State, kind: str, number: int) -> tuple[list[Task], int | None]:
    if kind == "tasks":
        return [state.task(number)], None
    if kind == "jobs":
        job = state.job(number)
        return [state.tasks[job.record["task_id"]]], number
    state.project(number)
    return state.tasks_of(number), None


def _make(state: State, tasks: list[Task], job_id: int | None, images: bool) -> bytes:
    coco: Record = {"licenses": [], "info": {}, "categories": [], "images": [], "annotations": []}
    for task in tasks:
        if not task.frames:
            raise CreationError("AttributeError: 'NoneType' object has no attribute 'validation_mode'\n")
        if state.poisoned.get(task.record["id"]):
            raise CreationError("KeyError: 0\n")
        _add(state, task, job_id, coco)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("annotations/instances_default.json", json.dumps(coco))
        if images:
            for task in tasks:
                for frame, data in zip(task.frames, task.images, strict=True):
                    archive.writestr(f"images/default/{frame['name']}", data)
    return file.getvalue()


def _add(state: State, task: Task, job_id: int | None, coco: Record) -> None:
    labels = labels_of(state, owner_of(state, task.record["id"]))
    if not coco["categories"]:
        coco["categories"] = [
            {"id": i, "name": label["name"], "supercategory": ""} for i, label in enumerate(labels, 1)
        ]
    category = {label["id"]: index for index, label in enumerate(labels, 1)}
    names = {spec["id"]: spec["name"] for label in labels for spec in label["attributes"]}
    first = len(coco["images"]) + 1
    for index, frame in enumerate(task.frames):
        size = {"width": frame["width"], "height": frame["height"]}
        coco["images"].append({"id": first + index, **size, "file_name": frame["name"]})
    jobs = [job for job in state.jobs_of(task.record["id"]) if job_id in (None, job.record["id"])]
    shapes = [shape for job in jobs for shape in job.shapes.values() if shape["type"] != "skeleton"]
    shapes.sort(key=lambda shape: (shape["frame"], shape["group"] or 0, shape["id"]))
    for (frame, group), members in groupby(shapes, key=lambda shape: (shape["frame"], shape["group"] or 0)):
        own = list(members)
        for together in [own] if group else [[shape] for shape in own]:
            shape = together[0]
            _exportable(shape, task.frames[frame])
            attributes = {names.get(one["spec_id"], "?"): one["value"] for one in shape["attributes"]}
            polygons = [one["points"] for one in together if one["type"] == "polygon"]
            coco["annotations"].append(
                {
                    "id": len(coco["annotations"]) + 1,
                    "image_id": first + frame,
                    "category_id": category.get(shape["label_id"], 0),
                    "segmentation": polygons,
                    "iscrowd": int(shape["type"] == "mask"),
                    "bbox": _box(shape),
                    "attributes": attributes,
                }
            )


def _box(shape: Record) -> list[float]:
    points: list[Any] = shape["points"]
    if shape["type"] == "mask":
        left, top, right, bottom = points[-4:]
        return [left, top, right - left + 1, bottom - top + 1]
    left, top = min(points[::2]), min(points[1::2])
    return [left, top, max(points[::2]) - left, max(points[1::2]) - top]


def _exportable(shape: Record, frame: Record) -> None:
    if shape["type"] != "mask":
        return
    *runs, left, top, right, bottom = (int(value) for value in shape["points"])
    inside = 0 <= left <= right < frame["width"] and 0 <= top <= bottom < frame["height"]
    if not inside or sum(runs) != (right - left + 1) * (bottom - top + 1):
        raise CreationError("ValueError: cannot reshape array into the box of the mask\n")
