"""Deleting a project of any size: in batches that commit by themselves, children before parents.

The rooms above own most of the rows and cannot be named here, so the models are found by their foreign keys.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.db import IntegrityError, models, transaction

from projects import reports
from projects.claims import Claim, TryLater
from projects.models import Project, Task

BATCH = 20_000  # rows per statement
WAIT = timedelta(minutes=10)  # for the project's other tasks to notice that they are cancelled
LOOK_AGAIN = 0.5  # seconds

Cleanup = Callable[[int], None]
_cleanups: list[Cleanup] = []


def register_cleanup(cleanup: Cleanup) -> None:
    """Have the idempotent `cleanup(project_id)` called once the rows are gone, to delete what is stored elsewhere."""
    if cleanup not in _cleanups:
        _cleanups.append(cleanup)


@dataclass(frozen=True)
class Step:
    """One model's rows, found through `path` (`project`, `document__project`); they go, or only forget the project."""

    model: type[models.Model]
    path: str
    forget: bool = False


def delete_project(claim: Claim) -> dict[str, Any]:
    """Delete everything the project has and the project. Can be killed and run again at any point."""
    if claim.task.project_id is None:  # killed after the last step of an earlier attempt
        return dict(claim.task.result)
    project_id = claim.task.project_id
    _wait_for_others(claim, project_id)
    counts: dict[str, int] = {}
    reports.forget_project(project_id)  # before the rows that name them
    for step in plan():
        counts[step.model._meta.label_lower] = _delete_rows(claim, step, project_id)
    for cleanup in _cleanups:
        claim.progress("files", 0)
        cleanup(project_id)
    try:
        with transaction.atomic():
            Task.objects.filter(pk=claim.id).update(project=None)
            Project.objects.filter(pk=project_id)._raw_delete("default")
    except IntegrityError as error:
        raise TryLater("Something was added to the project while it was deleted.") from error
    return {"project": project_id, "deleted": {name: count for name, count in counts.items() if count}}


def plan() -> list[Step]:
    """Every model whose rows belong to a project, children first."""
    paths = _paths()
    children: dict[type[models.Model], set[type[models.Model]]] = {model: set() for model in paths}
    for child in paths:
        for key in _foreign_keys(child):
            parent = key.related_model
            if parent in paths and parent is not child:
                children[parent].add(child)
    # The sorter yields a node after those it names: parents after their children.
    order = TopologicalSorter(children).static_order()
    return [_step(model, paths[model]) for model in order if model is not Project]


def _paths() -> dict[type[models.Model], str]:
    """How each model leads to its project, by the shortest way."""
    paths: dict[type[models.Model], str] = {Project: ""}
    models_left = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    while True:
        found = {}
        for model in models_left:
            if model in paths:
                continue
            ways = [(key.name, key.related_model) for key in _foreign_keys(model) if key.related_model in paths]
            if ways:
                name, parent = min(ways, key=lambda way: len(paths[way[1]]))
                found[model] = f"{name}__{paths[parent]}" if paths[parent] else name
        if not found:
            return paths
        paths |= found


def _foreign_keys(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if field.many_to_one or field.one_to_one]


def _step(model: type[models.Model], path: str) -> Step:
    key: Any = model._meta.get_field(path.split("__")[0])
    return Step(model, path, forget=key.remote_field.on_delete is models.SET_NULL)


def _delete_rows(claim: Claim, step: Step, project_id: int) -> int:
    manager = step.model._base_manager
    rows = manager.filter(**{step.path: project_id})
    if step.model is Task:
        rows = rows.exclude(pk=claim.id)
    phase, done = str(step.model._meta.verbose_name_plural), 0
    while True:
        claim.progress(phase, done)
        batch = manager.filter(pk__in=rows.order_by().values("pk")[:BATCH])
        # Past Django's collector, which would load the rows to look for children: the plan has dealt with those.
        gone = batch.update(**{step.path: None}) if step.forget else batch._raw_delete("default")
        if not gone:
            return done
        done += gone


def _wait_for_others(claim: Claim, project_id: int) -> None:
    others = Task.objects.filter(project=project_id, status=Task.Status.RUNNING).exclude(pk=claim.id)
    deadline = time.monotonic() + WAIT.total_seconds()
    while running := others.count():
        claim.progress("waiting", 0, message=f"Waiting for {running} running tasks to stop.")
        if time.monotonic() > deadline:
            return
        time.sleep(LOOK_AGAIN)
