"""The batches of a bulk edit, of images or of annotations: chosen once, done one transaction each, counted."""

from collections.abc import Iterator
from typing import Any

from django.db import IntegrityError, connection
from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Now

from accounts.errors import Conflict
from annotations import labels, splitting, undo
from annotations.changes import Action, Change
from annotations.models import BulkEdit, BulkEditBatch
from assets.models import Split
from assets.services import changed_rows
from projects import audit

BATCH = 20_000  # images or annotations written in one transaction

_MOVE_ANNOTATIONS = """
    UPDATE annotations_annotation SET split_id = %(split)s
    WHERE split_id <> %(split)s
        AND image_id IN (SELECT image_id FROM annotations_previousimage WHERE batch_id = %(batch)s)
"""


# --- Choosing the images ----------------------------------------------------------------------------------------------


def choose(edit: BulkEdit, keys: "QuerySet[Any, Any]") -> None:
    """Cut the rows of these keys into batches, once and for all: what is done later does not change which they are."""
    sql, params = keys.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO annotations_bulkeditbatch (edit_id, number, ids, changed, skipped)
            SELECT %s, number, array_agg(id ORDER BY id), 0, '{{}}' FROM (
                SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS number FROM ({sql}) AS chosen(id)
            ) AS numbered GROUP BY number
            """,
            [edit.pk, BATCH, *params],
        )
    _set_total(edit, edit.batches.aggregate(total=Sum(_size("ids")))["total"] or 0)


def store(edit: BulkEdit, keys: list[int]) -> None:
    starts = range(0, len(keys), BATCH)
    BulkEditBatch.objects.bulk_create(
        BulkEditBatch(edit=edit, number=number, ids=keys[start : start + BATCH]) for number, start in enumerate(starts)
    )
    _set_total(edit, len(keys))


def choose_batches_to_undo(edit: BulkEdit) -> None:
    """The batches of the edit that is undone, the last one first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO annotations_bulkeditbatch (edit_id, number, ids, undoes_id, changed, skipped)
            SELECT %s, row_number() OVER (ORDER BY number DESC) - 1, ids, id, 0, '{}' FROM annotations_bulkeditbatch
            WHERE edit_id = %s AND done_at IS NOT NULL AND undone_at IS NULL AND changed > 0
            """,
            [edit.pk, edit.undoes_id],
        )
    _set_total(edit, edit.batches.aggregate(total=Sum(_size("ids")))["total"] or 0)


def _set_total(edit: BulkEdit, total: int) -> None:
    edit.total = total
    BulkEdit.objects.filter(pk=edit.pk).update(total=total)


def obstacles(edit: BulkEdit, change: Change) -> dict[str, Any]:
    if change.split is None or edit.action == Action.UNDO:
        return {}
    return splitting.obstacles(edit, Split.objects.filter(project=edit.project, name=change.split).first())


def refuse_obstacles(edit: BulkEdit) -> None:
    """Raise Conflict, before anything is changed, where something stands in the way."""
    if labels.is_about_annotations(edit):
        if edit.action != Action.UNDO:  # `prepare` has done it
            labels.refuse_clashes(edit)
        return
    change = Change.from_dict(edit.change)
    splitting.refuse(obstacles(edit, change), change.split or "")


# --- Doing it ---------------------------------------------------------------------------------------------------------


def left(edit: BulkEdit) -> Iterator[BulkEditBatch]:
    for batch in edit.batches.filter(done_at=None).order_by("number"):
        batch.edit = edit
        yield batch


def perform(batch: BulkEditBatch) -> bool:
    """Do a batch inside of the caller's transaction; whether it was still to be done."""
    if not BulkEditBatch.objects.select_for_update().filter(pk=batch.pk, done_at=None).exists():
        return False
    edit = batch.edit
    skipped: list[int] = []
    if edit.action == Action.UNDO:
        changed, skipped = _undo_batch(batch)
        BulkEditBatch.objects.filter(pk=batch.undoes_id or 0).update(undone_at=Now())
    elif labels.is_about_annotations(edit):
        changed = labels.perform(batch)
    elif edit.action == Action.DELETE:
        changed = undo.delete_batch(batch)
    else:
        changed = _edit_batch(batch, Change.from_dict(edit.change))
    BulkEditBatch.objects.filter(pk=batch.pk).update(done_at=Now(), changed=changed, skipped=skipped)
    if changed:
        edit.project.touch()
    return True


def _undo_batch(batch: BulkEditBatch) -> tuple[int, list[int]]:
    if labels.is_about_annotations(batch.edit):
        return labels.undo_batch(batch)
    return undo.undo_batch(batch, Change.from_dict(batch.edit.change).columns)


def _edit_batch(batch: BulkEditBatch, change: Change) -> int:
    """Write the edit and keep what was there, in one statement; annotations go where their images go."""
    project = batch.edit.project
    target = None
    if change.split is not None:
        target = Split.objects.get_or_create(project=project, name=change.split)[0]
    # As a subquery, so that the images are looked up by their keys whatever the planner thinks of their number.
    keys = "SELECT ids FROM annotations_bulkeditbatch WHERE id = %(batch)s"
    rows, params = changed_rows(
        project, keys, {"batch": batch.pk}, change.edit, split=None if target is None else target.pk
    )
    columns = ", ".join(change.columns)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {rows} INSERT INTO annotations_previousimage (batch_id, image_id, version, {columns}) "
                f"SELECT %(batch)s, id, version, {columns} FROM changed",
                params,
            )
            changed = int(cursor.rowcount)
            if target is not None and changed:
                cursor.execute(_MOVE_ANNOTATIONS, {"split": target.pk, "batch": batch.pk})
                splitting.bring_documents(batch, target)
    except IntegrityError as error:
        raise Conflict(
            f"An image or annotation with an id of split {change.split!r} was added meanwhile. What was done stays."
        ) from error
    return changed


def prepare(edit: BulkEdit) -> None:
    """What an undo needs before its first batch. Raises Conflict; can be called again."""
    if edit.action == Action.UNDO and labels.is_about_annotations(edit):
        labels.prepare_undo(edit)
        labels.refuse_clashes(edit)


def finish(edit: BulkEdit) -> dict[str, Any]:
    """All batches are done: what follows from that, the audit line, and the numbers."""
    if labels.is_about_annotations(edit):
        (labels.conclude_undo if edit.action == Action.UNDO else labels.conclude)(edit)
    counted = numbers(edit)
    BulkEdit.objects.filter(pk=edit.pk).update(finished_at=Now())
    audit.record(edit.created_by, edit.project, word_of(edit), **said_of(edit, counted))
    edit.refresh_from_db(fields=["finished_at"])
    return {**counted, "edit": edit.pk}


def numbers(edit: BulkEdit) -> dict[str, int]:
    """What was looked at, what of it is different now, and what an undo left alone."""
    found = edit.batches.exclude(done_at=None).aggregate(
        done=Sum(_size("ids")), changed=Sum("changed"), skipped=Sum(_size("skipped"))
    )
    return {name: number or 0 for name, number in found.items()}


def with_numbers(edits: QuerySet[BulkEdit]) -> QuerySet[BulkEdit]:
    """Bulk edits with the same numbers as columns, so that a list needs one statement."""
    done = BulkEditBatch.objects.filter(edit=OuterRef("pk")).exclude(done_at=None).order_by().values("edit")
    sums = {"done": Sum(_size("ids")), "changed": Sum("changed"), "skipped": Sum(_size("skipped"))}
    return edits.annotate(**{name: Subquery(done.values(number=number)) for name, number in sums.items()})


def _size(array: str) -> Func:
    return Func(F(array), function="cardinality", output_field=IntegerField())


def word_of(edit: BulkEdit) -> str:
    """The audit line's."""
    if edit.action == Action.UNDO:
        return _RESTORED.get(labels.done_by(edit).action, "assets.restored")
    return _WORDS[Action(edit.action)]


_WORDS = {
    Action.EDIT: "assets.updated",
    Action.DELETE: "assets.deleted",
    Action.RELABEL: "annotations.relabelled",
    Action.MERGE: "category.merged",
    Action.UNLIST: "category.deleted",
}
_RESTORED: dict[str, str] = {
    Action.RELABEL: "annotations.restored",
    Action.MERGE: "category.restored",
    Action.UNLIST: "category.restored",
}


def said_of(edit: BulkEdit, counted: dict[str, int] | None = None) -> dict[str, Any]:
    """What an audit line tells."""
    selection = {name: value for name, value in edit.selection.items() if name != "ids"}
    if "ids" in edit.selection:
        selection["ids"] = len(edit.selection["ids"])
    said = {"bulk_edit": edit.pk, **selection, "change": edit.change, "total": edit.total}
    if edit.undoes_id:
        said["undoes"] = edit.undoes_id
    return {**said, **({"number": counted["changed"], **counted} if counted else {})}
