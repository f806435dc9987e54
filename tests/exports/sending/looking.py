"""Looking into the double, as an annotator would see it."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from exports.models import CvatImage, CvatTask, ExportJob
from exports.sending.labels import specs_of
from tests.cvat_double import Double


def tasks_of(job: ExportJob) -> list[CvatTask]:
    """The export's tasks, in order."""
    return list(CvatTask.objects.filter(job=job).select_related("cvat_project").order_by("number"))


def keys_in(client: Any, task: CvatTask) -> Counter[str]:
    """How many shapes each coco_id has in the task."""
    specs = specs_of(client.labels(task.cvat_project.cvat_id))
    found = client.annotations("tasks", task.cvat_id).shapes
    return Counter(shape.value(specs[shape.label_id]) for shape in found)


def shapes_of(client: Any, task: CvatTask, key: str) -> list[Any]:
    """The shapes of one annotation."""
    specs = specs_of(client.labels(task.cvat_project.cvat_id))
    found = client.annotations("tasks", task.cvat_id).shapes
    return [shape for shape in found if shape.value(specs[shape.label_id]) == key]


def frames_and_pictures(cvat: Double, task: CvatTask) -> dict[int, str]:
    """SHA-256 of the picture that CVAT shows on each frame."""
    images = cvat.state.tasks[task.cvat_id].images
    return {number: hashlib.sha256(image).hexdigest() for number, image in enumerate(images)}


def frames_as_recorded(task: CvatTask) -> dict[int, str]:
    """SHA-256 of the picture that should be on each frame, by our rows."""
    rows = CvatImage.objects.filter(task=task, problem="").select_related("asset")
    return {int(row.frame or 0): row.asset.checksum for row in rows}


def intercept(cvat: Double, method: str, path: str, change: Callable[[Any], Any], times: int = 1) -> list[str]:
    """Have answers to matching calls go through `change`, as a server that errs in silence; the paths met."""
    answer = cvat.server.answer
    met: list[str] = []

    def erring(called: str, where: str, query: str, headers: Any, body: bytes) -> Any:
        given = answer(called, where, query, headers, body)
        if called == method and where.endswith(path) and len(met) < times:
            met.append(where)
            return change(given)
        return given

    cvat.server.answer = erring  # type: ignore[method-assign]
    return met
