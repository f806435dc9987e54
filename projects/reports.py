"""The stored report of a task: `logs/{task}.json` in the default storage, which the task's `log` names."""

import json
import logging
from typing import IO, Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.serializers.json import DjangoJSONEncoder

from projects.models import Task

logger = logging.getLogger(__name__)


def key_for(task: Task) -> str:
    """The storage key of the task's report."""
    return f"logs/{task.pk}.json"


def store(task: Task, message: str, detail: object | None = None) -> str:
    """Store a small report of a task that failed; its storage key, empty if the storage does not take it."""
    report = {
        "task": task.pk,
        "kind": task.kind,
        "project": task.project_id,
        "attempt": task.attempt,
        "message": message,
        "detail": detail,
    }
    content = json.dumps(report, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2).encode()
    try:
        default_storage.delete(key_for(task))  # of an earlier attempt; not every storage replaces
        return default_storage.save(key_for(task), ContentFile(content))
    except Exception:  # a task must be able to fail also while the storage is what fails, whatever that raises
        logger.exception("The report of task %s could not be stored.", task.pk)
        return ""


def forget_project(project_id: int) -> None:
    """Delete the reports of a project's tasks: they quote its records. Idempotent."""
    for key in Task.objects.filter(project=project_id).exclude(log="").values_list("log", flat=True).iterator():
        default_storage.delete(key)


def open_report(task: Task) -> IO[Any]:
    """The stored report's bytes; FileNotFoundError if there is none."""
    if not task.log:
        raise FileNotFoundError("The task has no report.")
    return default_storage.open(task.log)
