"""What an export to CVAT has made, in numbers and links, and what it left out, with reasons."""

from typing import Any

from exports.models import CvatImage, CvatTask, ExportJob
from exports.snapshots import Snapshot
from projects import reports
from projects.models import Task

LISTED = 10_000  # images and annotations that a report names; the numbers are always whole


def result_of(job: ExportJob, snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, Any]]:
    """The task's result, and what was left out: {} if nothing was."""
    tasks = list(job.cvat_tasks.select_related("cvat_project").order_by("number"))
    images = list(
        CvatImage.objects.filter(task__job=job)
        .exclude(problem="")
        .order_by("task__number", "place")
        .values_list("task__number", "asset_id", "name", "problem")[: LISTED + 1]
    )
    left_images = CvatImage.objects.filter(task__job=job).exclude(problem="").count()
    annotations, left_annotations = _left_annotations(tasks, snapshot)
    parts, left_parts = _left_parts(tasks, snapshot)
    result = {
        "project": job.cvat_project.link if job.cvat_project else "",
        "tasks": [{"number": task.number, "id": task.cvat_id, "link": task.link} for task in tasks if task.cvat_id],
        "images": sum(task.size for task in tasks),
        "annotations": sum(task.sent for task in tasks),
        "shapes": sum(task.shapes for task in tasks),
        "left_out": {"images": left_images, "annotations": left_annotations, "parts": left_parts},
        "notes": list(dict.fromkeys(task.message for task in tasks if task.message)),
    }
    if not left_images and not left_annotations and not left_parts:
        return result, {}
    return result, {
        "images": [
            {"task": number, "image": asset, "name": name, "reason": problem} for number, asset, name, problem in images
        ],
        "annotations": annotations,
        "parts": parts,
    }


def _left_annotations(tasks: list[CvatTask], snapshot: Snapshot) -> tuple[list[dict[str, Any]], int]:
    found: list[dict[str, Any]] = []
    count = 0
    for task in tasks:
        if task.sent >= task.annotations:
            continue
        if task.step != CvatTask.Step.SENT:  # an empty task: all of them
            count += task.annotations
            continue
        for item in snapshot.sent(task):
            if item.left_out:
                count += 1
                if len(found) < LISTED:
                    found.append({"task": task.number, "coco_id": item.key, "reason": item.left_out})
    return found, count


def _left_parts(tasks: list[CvatTask], snapshot: Snapshot) -> tuple[list[dict[str, Any]], int]:
    """Parts of outlines that stayed here while the others went."""
    found = [
        {"task": task.number, "coco_id": item.key, "reason": reason}
        for task in tasks
        if task.parts_left_out
        for item in snapshot.sent(task)
        for reason in item.parts
    ]
    return found[:LISTED], len(found)


def store(task: Task, result: dict[str, Any], left_out: dict[str, Any]) -> str:
    """Store the report; its storage key."""
    counts = result["left_out"]
    words = f"{counts['images']:,} images and {counts['annotations']:,} annotations could not go to CVAT."
    if counts["parts"]:
        words += (
            f" {counts['parts']:,} parts of outlines without an area stayed here, the others of their objects went."
        )
    return reports.store(task, words, left_out)
