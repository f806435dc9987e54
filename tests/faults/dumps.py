"""Everything that a project has, in a form in which two runs of the same work are equal: rows, audit lines, files and
objects in CVAT, with numbers of rows, ids of tasks and moments taken out."""

import hashlib
import io
import json
import re
import zipfile
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils import timezone

from annotations.models import Annotation, BulkEditBatch
from assets import shelves
from assets.models import ImageAsset
from cocohub import storekeeping
from projects import deletion
from projects.models import AuditLog, Project, Task
from tests.cvat_double.state import State

# Figures are computed whenever the project has changed, so how often differs; their own kind of job is compared whole.
WITHOUT = {"insights.metricresult", "insights.predictionresult"}
# How it came about, not what came of it.
VOLATILE = frozenset(
    [
        "attempt",
        "fence",
        "phase",
        "phase_started_at",
        "request_id",
        "door",
        "link_key",
        "upload_id",
        "heartbeat_at",
        "secret",
        "seconds",
        "tries",
        "rq_id",
        "cvat_id",
        "cvat_job",
        "cvat_date",
        "updated_date",
        "pulled_date",
        "checked_date",
    ]
)
# In JSON: numbers of rows and of objects in CVAT, sizes of documents that have such numbers in them.
IDS = frozenset(
    [
        "job",
        "task",
        "export",
        "pull",
        "import",
        "image",
        "annotation",
        "category",
        "project",
        "cvat_project",
        "asset",
        "id",
        "key",
        "edit",
        "bulk_edit",
        "undoes",
        "user",
        "link",
        "size_bytes",
        "upload",
        "ids",
        "last",
        "label_id",
        "cvat_id",
        "seconds",
        "url",
        "report",
        "labels",
        "image_id",
        "annotation_id",
        "cvat_job",
        "job_id",
        "spec_id",
        "category_id",
        "label",
        "bytes",
        "split_id",
        "project_id",
        "cvat_task",
        "difference",
        "cvat_time",
        "pk",
        "asset_id",
    ]
)
# Numbers of rows that are no foreign keys, because what they name may be deleted.
WITHOUT_KEYS = {"image_id": ImageAsset, "annotation_id": Annotation}
UUID = re.compile(r"\b[0-9a-f]{32}\b|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OF_PROJECT = re.compile(r"\b(images|thumbnails|exports|uploads)/\d+/")
TURN = re.compile(r"(exports/P/<uuid>/)\d+\b")
MARK = re.compile(r"\(CocoHub [\w-]+\)")
ADDRESS = re.compile(r"((?:projects|tasks|jobs|exports|images|work)/|#|shape |tag )\d+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|\+00:00)")
# The harness asks again for what died three times; a bulk edit says when it was stopped so.
DIFFERENT_BY_RUN = ("task.retried", "export.retried", "assets.updated_stopped")


def of_project(project: Project, name: str, *, insights: bool) -> dict[str, Any]:
    """Rows by model, audit lines, files. `name` is the part of names that is this run's own."""
    storekeeping.delete_orphans(now=timezone.now() + timedelta(days=2))  # what killed workers have left is found
    return {
        "rows": _rows(project, name, insights),
        "audit": _audit(project, name),
        "files": sorted(_files(project, name), key=json.dumps),
    }


def _rows(project: Project, name: str, insights: bool) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    steps = [step for step in deletion.plan() if step.model is not AuditLog]
    ranks: dict[type[Model], dict[Any, int]] = {Project: {project.pk: 0}}
    rows = {}
    for step in steps:
        of_model = step.model._base_manager.filter(**{step.path: project.pk})
        if step.model is Task and not insights:
            of_model = of_model.exclude(kind=Task.Kind.INSIGHTS)
        order = "created_at" if step.model is Task else "pk"
        rows[step.model] = list(of_model.order_by(order))
        ranks[step.model] = {row.pk: number for number, row in enumerate(rows[step.model])}
    for model, of_model in {**rows, Project: [Project.objects.get(pk=project.pk)]}.items():
        label = model._meta.label_lower
        if label in WITHOUT and not insights:
            continue
        told = [_row(row, ranks, name) for row in of_model]
        found[label] = sorted(told, key=lambda row: json.dumps(row, sort_keys=True)) if told else []
    return {label: told for label, told in sorted(found.items()) if told}


def _row(row: Model, ranks: dict[type[Model], dict[Any, int]], name: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key or field.name in VOLATILE:
            continue
        if field.is_relation:
            of_target = ranks.get(field.related_model, {})
            told[field.name] = None if value is None else of_target.get(value, "somewhere else")
        elif isinstance(value, datetime):
            told[field.name] = "a moment"
        else:
            target = WITHOUT_KEYS.get(field.name)
            told[field.name] = plain(value, name) if target is None or value is None else ranks[target].get(value)
    if isinstance(row, Task):
        # Of the last turn at it, which in an undisturbed run is the only one.
        told |= dict.fromkeys(("lease_until", "published_at", "done", "total", "message"), "")
        # What one turn did; others may have done it, one that had lost its lease among them. The rows tell all.
        if row.kind in (Task.Kind.INSIGHTS, Task.Kind.THUMBNAILS):
            told["result"] = ""
    if isinstance(row, BulkEditBatch):
        first = min(row.ids, default=0)
        told["ids"] = [key - first for key in row.ids]
    return told


def plain(value: Any, name: str) -> Any:
    """The value without what differs from run to run."""
    match value:
        case str() if value.startswith("{"):
            return plain(json.loads(value), name)
        case str():
            text = value.replace(name, "<name>") if name else value
            text = TURN.sub(r"\1T", OF_PROJECT.sub(r"\1/P/", UUID.sub("<uuid>", text)))
            return MOMENT.sub("a moment", ADDRESS.sub(r"\1#", MARK.sub("(CocoHub *)", text)))
        case dict() if value and all(str(key).isdecimal() for key in value):  # by number of a row
            return [plain(item, name) for item in value.values()]
        case dict():
            return {
                str(key): "#" if key in IDS and not isinstance(item, dict) else plain(item, name)
                for key, item in value.items()
            }
        case list() | tuple():
            return [plain(item, name) for item in value]
        case float() | int() | bool() | None:
            return value
        case _:
            return plain(str(value), name)


def _audit(project: Project, name: str) -> list[Any]:
    lines = AuditLog.objects.filter(project=project).exclude(action__in=DIFFERENT_BY_RUN).order_by("pk")
    told = [[line.actor, line.action, plain(line.detail, name)] for line in lines]
    return sorted(_made_once(told), key=lambda line: json.dumps(line, sort_keys=True))


def _made_once(lines: list[Any]) -> list[Any]:
    """Each turn at the thumbnails has its line with what it made itself, and who died in one has none.

    So how they share the pictures differs; that all are there is seen by the rows and the files.
    """
    made = [line for line in lines if line[1] == "thumbnails.made"]
    return [*(line for line in lines if line not in made), *(line[:2] for line in made[:1])]


def _files(project: Project, name: str) -> list[list[Any]]:
    tasks = {str(pk) for pk in Task.objects.filter(project=project).values_list("pk", flat=True)}
    found = []
    for stored in shelves.below(""):
        area, _, rest = stored.key.partition("/")
        first = rest.split("/")[0].split(".")[0]
        if (area == "logs" and first in tasks) or (area != "logs" and first == str(project.pk)):
            with default_storage.open(stored.key, "rb") as content:
                found.append([plain(stored.key, name), _content(stored.key, content.read(), name)])
    return found


def _content(key: str, content: bytes, name: str) -> Any:
    """What is in the file; of documents what they say, of zips what is in them."""
    if key.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [[entry, _content(entry, archive.read(entry), name)] for entry in sorted(archive.namelist())]
    if key.endswith(".json"):
        return plain(orjson.loads(content), name)
    if key.endswith(".jsonl"):
        return [plain(orjson.loads(line), name) for line in content.splitlines()]
    return hashlib.sha256(content).hexdigest()


def of_cvat(state: State, name: str) -> list[Any]:
    """Projects of this name in the stand-in for CVAT, with labels, tasks, frames and shapes."""
    with state.lock:
        projects = [project for project in state.projects.values() if name in project["name"]]
        return sorted((_cvat_project(state, project, name) for project in projects), key=json.dumps)


def _cvat_project(state: State, project: dict[str, Any], name: str) -> dict[str, Any]:
    labels = {key: label["name"] for key, label in state.labels.items()}
    specs = {spec["id"]: spec["name"] for label in state.labels.values() for spec in label["attributes"]}
    own = sorted(label["name"] for label in state.labels.values() if label.get("_project") == project["id"])
    tasks = []
    for task in state.tasks_of(project["id"]):
        shapes = [
            [shape["type"], shape["frame"], labels[shape["label_id"]], list(shape["points"]),
             sorted([specs[one["spec_id"]], one["value"]] for one in shape["attributes"])]
            for job in state.jobs_of(task.record["id"]) for shape in job.shapes.values()
        ]  # fmt: skip
        told = plain(task.record["name"], name)
        frames = [frame["name"] for frame in task.frames]
        tasks.append({"name": told, "frames": frames, "shapes": sorted(shapes, key=json.dumps)})
    return {"name": plain(project["name"], name), "labels": own, "tasks": sorted(tasks, key=json.dumps)}


def difference(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where two dumps differ, a line each; nothing if they are equal."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted({*expected, *found})
        return [line for name in names for line in difference(expected.get(name), found.get(name), f"{path}.{name}")]
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            missing = [item for item in expected if item not in found][:2]
            more = [item for item in found if item not in expected][:2]
            return [f"{path}: {len(expected)} expected, {len(found)} found; missing {missing}, more {more}"[:1500]]
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for number, (one, other) in pairs for line in difference(one, other, f"{path}[{number}]")]
    return [] if expected == found else [f"{path}: expected {expected!r}, found {found!r}"[:600]]
