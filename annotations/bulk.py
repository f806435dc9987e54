"""One change to many images, by ids or by a query: small ones at once, large ones by a worker, and all can be undone.

The images are chosen once and cut into batches. Each batch is one transaction, which writes the images, keeps what they
were and marks the batch as done; so a worker that takes over goes on where the last one stopped, and what was cancelled
half-way can be undone like anything else. Changes to many annotations (relabelling.py) take the same way.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.errors import Conflict, ServiceError
from accounts.models import User
from annotations import batches, labels, query, statistics, undo
from annotations.changes import Action, Change, Selection, role_for
from annotations.models import Annotation, BulkEdit
from assets.models import ImageAsset
from projects import audit, jobs, policies
from projects.models import Project, Role, Task

AT_ONCE = 2_000  # images that are changed while the client waits; more are a task
AT_ONCE_ANNOTATIONS = 10_000  # the same of annotations
MAX_KEY = 100  # characters
SHOWN = 10  # images of a preview

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Preview:
    """What a bulk edit would do: how many images it is about, the first of them, and what stands in its way."""

    matched: int
    sample: list[ImageAsset]
    obstacles: dict[str, Any]
    at_once: bool


def preview(*, user: User, project: Project, selection: Selection, change: Change) -> Preview:
    """Tell what the bulk edit would do, and do nothing. Raises QueryError where the query takes too long."""
    _require(user, project, selection, change)
    selection.refuse_unknown(project)
    with query.statement_timeout():
        point = transaction.savepoint()
        edit = BulkEdit.objects.create(project=project, action=change.action, change=change.as_dict())
        batches.choose(edit, selection.images(project).primary_keys())
        found = batches.obstacles(edit, change)
        keys = [key for ids in edit.batches.values_list("ids", flat=True)[:1] for key in ids[:SHOWN]]
        transaction.savepoint_rollback(point)
        sample = list(ImageAsset.objects.filter(pk__in=keys).select_related("split").order_by("pk"))
    total = edit.total or 0
    return Preview(total, sample, found, at_once=total <= AT_ONCE)


def start(*, user: User, project: Project, selection: Selection, change: Change, key: str = "") -> BulkEdit:
    """Make the change: at once if it is about few images, else as a task. For curators; deleting is for managers.

    The same `key` again gives the same bulk edit, and Conflict for another change. Raises Conflict, and changes
    nothing, if images that are to go to a split would have an id of that split.
    """
    _require(user, project, selection, change)
    fingerprint = _fingerprint(selection, change)
    if known := _known(user, project, key, fingerprint):
        return known
    selection.refuse_unknown(project)
    with query.statement_timeout():
        few = [row["pk"] for row in selection.images(project).primary_keys(AT_ONCE + 1)]
    new = BulkEdit(
        project=project, action=change.action, selection=selection.as_dict(), change=change.as_dict(),
        key=key, fingerprint=fingerprint, created_by=user,
    )  # fmt: skip
    return _once(new, lambda: _begin(new, sorted(few) if len(few) <= AT_ONCE else None))


def start_undo(*, user: User, edit: BulkEdit, skip_changed: bool = False, key: str = "") -> BulkEdit:
    """Put back what a bulk edit changed: at once if those are few images, else as a task. Takes the role that the edit
    took.

    Raises Conflict, naming them, if images were changed since; with `skip_changed` they are left alone.
    """
    project = edit.project
    policies.require(user, role_for(edit.action), project)
    fingerprint = _digest({"undoes": edit.pk, "skip_changed": skip_changed})
    if known := _known(user, project, key, fingerprint):
        return known
    new = BulkEdit(
        project=project, action=Action.UNDO, selection=edit.selection, change=edit.change, undoes=edit, key=key,
        fingerprint=fingerprint, created_by=user,
    )  # fmt: skip

    def begin() -> None:
        _refuse_undo(BulkEdit.objects.select_for_update().get(pk=edit.pk), skip_changed)
        new.save()
        batches.choose_batches_to_undo(new)
        _begin(new, None)

    return _once(new, begin)


def perform_here(*, user: User, project: Project, selection: Selection, change: Change, progress: Progress) -> BulkEdit:
    """The same as `start`, but large ones are done here and now as well, by this process."""
    edit = start(user=user, project=project, selection=selection, change=change)
    if edit.task is not None:

        def work(claim: jobs.Claim) -> dict[str, Any]:
            return run(claim, progress)

        jobs.run(edit.task.pk, work)
        edit.refresh_from_db()
    return edit


def _require(user: User, project: Project, selection: Selection, change: Change) -> None:
    policies.require(user, change.role, project)
    change.check()
    selection.check()


def _begin(edit: BulkEdit, keys: list[int] | None) -> None:
    """Do it now if the images are known and few (or an undo's batches are), else have a worker do it."""
    if edit.pk is None:
        edit.save()
    if keys is not None:
        batches.store(edit, keys)
    if edit.total is not None and edit.total <= _at_once(edit):
        batches.prepare(edit)
        batches.refuse_obstacles(edit)
        for batch in batches.left(edit):
            batches.perform(batch)
        batches.finish(edit)
        return
    edit.task = jobs.create_task(edit.project, Task.Kind.BULK_EDIT, edit.created_by)
    edit.save(update_fields=["task"])
    audit.record(edit.created_by, edit.project, f"{batches.word_of(edit)}_started", **batches.said_of(edit))
    jobs.publish(edit.task)


def begin(new: BulkEdit, keys: Sequence[int] | None) -> None:
    """Do a bulk edit that is not stored yet: at once if its keys are given, else as a task."""
    _once(new, lambda: _begin(new, None if keys is None else list(keys)))


def _at_once(edit: BulkEdit) -> int:
    return AT_ONCE_ANNOTATIONS if labels.is_about_annotations(edit) else AT_ONCE


def _once(new: BulkEdit, begin: Callable[[], None]) -> BulkEdit:
    """Do it all or nothing; where somebody else has just used the key, give what they made."""
    try:
        with transaction.atomic():
            begin()
    except IntegrityError:
        known = _known(new.created_by, new.project, new.key, new.fingerprint)
        if known is None:
            raise
        return known
    return new


def _known(user: User | None, project: Project, key: str, fingerprint: str) -> BulkEdit | None:
    if len(key) > MAX_KEY or not key.isprintable():
        raise ServiceError(f"The Idempotency-Key must be printable and have at most {MAX_KEY} characters.")
    if not key:
        return None
    known = BulkEdit.objects.filter(project=project, created_by=user, key=key).first()
    if known is not None and known.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for another change. Give each change a key of its own.")
    return known


def _fingerprint(selection: Selection, change: Change) -> str:
    return _digest({"selection": selection.as_dict(), "change": change.as_dict()})


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=list).encode()).hexdigest()


def _refuse_undo(edit: BulkEdit, skip_changed: bool) -> None:
    if edit.action == Action.UNDO:
        raise Conflict("An undo cannot be undone; make the change again.")
    if edit.forgotten_at is not None:
        raise Conflict(
            f"What was there before is kept for {settings.UNDO_DAYS} days; this was done too long ago to be undone."
        )
    for each in (edit, *edit.undos.select_related("task")):
        if each.task is not None and not each.task.is_finished:
            raise Conflict("A worker is still at it. Wait until it has finished, or cancel its task.")
    gone = edit.kept and not edit.kept.get("restored")
    if not gone and not edit.batches.filter(undone_at=None, changed__gt=0).exclude(done_at=None).exists():
        raise Conflict("There is nothing to undo: it changed nothing, or it has been undone.")
    labels.refuse_taken(edit)
    if skip_changed:
        return
    if labels.is_about_annotations(edit):
        what, (number, keys) = "annotations", labels.stuck(edit, undo.EXAMPLES)
    else:
        columns, thorough = Change.from_dict(edit.change).columns, (edit.total or 0) <= AT_ONCE
        what, (number, keys) = "images", undo.stuck(edit, columns, thorough=thorough)
    if number:
        raise Conflict(
            f"{number:,} of the {what} cannot go back to what they were: they have been changed since, or their place "
            "is taken. To leave them alone and put back the others, ask with skip_changed.",
            detail={"changed": number, what: keys},
        )


# --- Doing it ---------------------------------------------------------------------------------------------------------


def run(claim: jobs.Claim, tell: Progress = lambda phase, done, total: None) -> dict[str, Any]:
    """Do a bulk edit's batches that are left, one transaction each; the result is numbers of images."""
    edit = BulkEdit.objects.select_related("project", "created_by", "undoes").get(task=claim.task)
    of_annotations = labels.is_about_annotations(edit)
    phase = "annotations" if of_annotations else "images"
    if edit.undos.exists():
        raise Conflict("It was undone after it had stopped half-way. Make the change again instead.")
    if edit.total is None:
        claim.progress("choosing", 0)
        with transaction.atomic():
            batches.choose(edit, labels.chosen(edit) if of_annotations else _chosen(edit))
            batches.refuse_obstacles(edit)
            claim.confirm()
    with transaction.atomic():
        batches.prepare(edit)
        claim.confirm()
    done = batches.numbers(edit)["done"]
    for batch in batches.left(edit):
        claim.progress(phase, done, edit.total)
        tell(phase, done, edit.total)
        with transaction.atomic():
            if batches.perform(batch):
                done += len(batch.ids)
            claim.confirm()
    claim.progress(phase, done, edit.total)
    with transaction.atomic():
        result = batches.finish(edit)
        with connection.cursor() as cursor:
            statistics.renew(cursor, {ImageAsset: done, **({Annotation: done} if of_annotations else {})})
        claim.succeed_with_transaction(result)
    return result


def _chosen(edit: BulkEdit) -> "QuerySet[Any, Any]":
    said = edit.selection
    selection = Selection(said.get("q", ""), tuple(said["ids"]) if "ids" in said else None)
    return selection.images(edit.project, now=edit.created_at).primary_keys()


def role_of(task: Task) -> Role:
    """The role that a bulk edit takes, or the one that it undoes."""
    edit = BulkEdit.objects.select_related("undoes").filter(task=task).first()
    return Role.CURATOR if edit is None else role_for(labels.done_by(edit).action)


def ended(task: Task) -> None:
    """After a task that did not do all of it: say how far it came, for that is what there is to undo or to retry."""
    if task.status == Task.Status.SUCCEEDED:
        return
    with transaction.atomic():
        edit = BulkEdit.objects.select_for_update(of=("self",)).filter(task=task, finished_at=None).first()
        if edit is None:
            return
        counted = batches.numbers(edit)
        BulkEdit.objects.filter(pk=edit.pk).update(finished_at=Now())
        audit.record(
            edit.created_by,
            edit.project,
            f"{batches.word_of(edit)}_stopped",
            status=task.status,
            **batches.said_of(edit, counted),
        )
        what = "annotations" if labels.is_about_annotations(edit) else "images"
        done = f"{counted['done']:,} of {edit.total or 0:,} {what} were done and stay so"
        left = f"{done}; this can be undone or retried."
        message = f"{task.message} {left}" if edit.total else task.message
        Task.objects.filter(pk=task.pk).update(message=message)
