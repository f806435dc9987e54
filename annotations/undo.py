"""Keeping what images were before a bulk edit, in the same transaction, and putting it back: one statement a batch."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from annotations.models import Annotation, BulkEdit, BulkEditBatch
from assets.models import ImageAsset
from projects.models import Task

IMAGES, ANNOTATIONS = ImageAsset._meta.db_table, Annotation._meta.db_table
# Foreign keys are checked before the batch ends, rather than as it commits: then its task's row is locked.
_CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
EXAMPLES = 20  # images that are named where an undo is refused

# SQL: images that were deleted (of `batches`) and cannot come back, because something has taken their place. `r` and
# `o` hold the columns that tell so.
_TAKEN_IMAGES = f"""
    SELECT p.image_id FROM annotations_previousimage p CROSS JOIN LATERAL (
        SELECT (p.record ->> 'project_id')::bigint AS project_id, (p.record ->> 'split_id')::bigint AS split_id,
            (p.record ->> 'coco_id')::bigint AS coco_id
    ) AS r
    WHERE p.batch_id = ANY(%(batches)s) AND (
        EXISTS (SELECT FROM {IMAGES} i WHERE i.id = p.image_id)
        OR EXISTS (SELECT FROM {IMAGES} i WHERE i.project_id = r.project_id AND i.split_id = r.split_id
            AND i.coco_id = r.coco_id)
        OR NOT EXISTS (SELECT FROM assets_split s WHERE s.id = r.split_id))
"""
_TAKEN_ANNOTATIONS = f"""
    SELECT p.image_id FROM annotations_previousannotation p CROSS JOIN LATERAL (
        SELECT (p.record ->> 'project_id')::bigint AS project_id, (p.record ->> 'split_id')::bigint AS split_id,
            (p.record ->> 'kind')::smallint AS kind, (p.record ->> 'coco_id')::bigint AS coco_id,
            (p.record ->> 'category_id')::bigint AS category_id
    ) AS o
    WHERE p.batch_id = ANY(%(batches)s) AND (
        EXISTS (SELECT FROM {ANNOTATIONS} a WHERE a.project_id = o.project_id AND a.split_id = o.split_id
            AND a.kind = o.kind AND a.coco_id = o.coco_id)
        OR (o.category_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM annotations_category c WHERE c.id = o.category_id)))
"""
# SQL: `i` is an image that was edited; true where it cannot go back to what `p` says, or to the split it came from.
_CHANGED = "(i.id IS NULL OR i.version <> p.version)"
_OCCUPIED = f"""(p.split_id IS NOT NULL AND (
    EXISTS (SELECT FROM {IMAGES} o WHERE o.project_id = i.project_id AND o.split_id = p.split_id
        AND o.coco_id = i.coco_id AND o.id <> i.id)
    OR EXISTS (SELECT FROM {ANNOTATIONS} a CROSS JOIN LATERAL (
        SELECT FROM {ANNOTATIONS} o WHERE o.project_id = a.project_id AND o.split_id = p.split_id
            AND o.kind = a.kind AND o.coco_id = a.coco_id AND o.id <> a.id LIMIT 1
    ) AS there WHERE a.image_id = i.id)))"""
_OF_EDITED = f"annotations_previousimage p LEFT JOIN {IMAGES} i ON i.id = p.image_id"


def delete_batch(batch: BulkEditBatch) -> int:
    """Delete the images of a batch with all that is theirs, and keep the images and their annotations."""
    words: dict[str, Any] = {"batch": batch.pk, "project": batch.edit.project_id, "ids": list(batch.ids)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {IMAGES} WHERE id = ANY(%(ids)s) AND project_id = %(project)s ORDER BY id FOR UPDATE",
            words,
        )
        words["ids"] = [key for (key,) in cursor.fetchall()]
        cursor.execute(
            f"""
            INSERT INTO annotations_previousimage (batch_id, image_id, version, record)
            SELECT %(batch)s, i.id, i.version, {_record(ImageAsset, "i")} FROM {IMAGES} i WHERE i.id = ANY(%(ids)s)
            """,
            words,
        )
        cursor.execute(
            f"""
            INSERT INTO annotations_previousannotation (batch_id, image_id, record)
            SELECT %(batch)s, a.image_id, {_record(Annotation, "a")} FROM {ANNOTATIONS} a
            WHERE a.image_id = ANY(%(ids)s)
            """,
            words,
        )
        cursor.execute(f"DELETE FROM {ANNOTATIONS} WHERE image_id = ANY(%(ids)s)", words)
        # Other rooms may have rows that hang on images; Django knows of them.
        ImageAsset.objects.filter(pk__in=words["ids"]).delete()
        cursor.execute(_CHECK_NOW)
    return len(words["ids"])


def undo_batch(batch: BulkEditBatch, columns: Sequence[str]) -> tuple[int, list[int]]:
    """Put back what the batch that this one undoes has changed: (images put back, images left alone).

    `columns` are those that the edit wrote; none of them for a deletion. Images that were changed since are left alone,
    and so are those whose place is taken.
    """
    words: dict[str, Any] = {"batch": batch.undoes_id, "batches": [batch.undoes_id]}
    with connection.cursor() as cursor:
        if not columns:
            cursor.execute(f"{_TAKEN_IMAGES} UNION {_TAKEN_ANNOTATIONS}", words)
            words["taken"] = [key for (key,) in cursor.fetchall()]
        cursor.execute(_restore_sql(columns) if columns else _undelete_sql(), words)
        words["back"] = back = [key for (key,) in cursor.fetchall()]
        if not columns:
            # Foreign keys are checked row by row with a plan that may be as old as the connection: where the table was
            # empty when it was made, it reads the whole table for each annotation.
            cursor.execute(f"ANALYZE {IMAGES}")
            cursor.execute(_undelete_annotations_sql(), words)
            cursor.execute(_CHECK_NOW)
        elif "split_id" in columns:
            cursor.execute(_MOVE_ANNOTATIONS_BACK, words)
        follow(cursor, "annotations_previousimage", "image_id", IMAGES, words, deleted=not columns)
        cursor.execute("SELECT image_id FROM annotations_previousimage WHERE batch_id = %(batch)s", words)
        skipped = {key for (key,) in cursor.fetchall()} - set(back)
    return len(back), sorted(skipped)


def follow(cursor: Any, kept: str, key: str, table: str, words: dict[str, Any], *, deleted: bool = False) -> None:
    """Let the edit before the one that is undone be undone too: rows are again as it left them, with another version.

    `kept` is the table of what was there before, whose `key` leads to `table`; `words` name the batch and the rows that
    are `back`. An edit keeps the version that it gave, one above the one that it found; a deletion gives none.
    """
    back = set(words["back"])
    if not back:
        return
    found = "p.version" if deleted else "COALESCE(p.found, p.version - 1)"
    # Never row by row: the planner does not know how many there are. The ends of the batch are for the index of ranges.
    cursor.execute("SET LOCAL enable_nestloop = off")
    cursor.execute(
        f"""
        SELECT earlier.id, p.{key} FROM {kept} AS p JOIN {kept} AS earlier ON earlier.{key} = p.{key}
        WHERE p.batch_id = %(batch)s AND earlier.batch_id <> %(batch)s
            AND earlier.{key} BETWEEN %(first)s AND %(last)s AND earlier.version = {found}
        """,
        {"batch": words["batch"], "first": min(back), "last": max(back)},
    )
    rows = [row for row in cursor.fetchall() if row[1] in back]
    cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")
    cursor.execute(
        f"""
        UPDATE {kept} AS earlier SET version = i.version, found = COALESCE(earlier.found, earlier.version - 1)
        FROM unnest(%s::bigint[], %s::bigint[]) AS row_of(id, key) JOIN {table} AS i ON i.id = row_of.key
        WHERE earlier.id = row_of.id
        """,
        [[row for row, _ in rows], [of for _, of in rows]],
    )


_MOVE_ANNOTATIONS_BACK = f"""
    UPDATE {ANNOTATIONS} a SET split_id = p.split_id FROM annotations_previousimage p
    WHERE p.batch_id = %(batch)s AND p.image_id = a.image_id AND a.image_id = ANY(%(back)s)
        AND a.split_id <> p.split_id
"""


def stuck(edit: BulkEdit, columns: Sequence[str], *, thorough: bool = True) -> tuple[int, list[int]]:
    """Images that an undo of this edit, which wrote these columns, would leave alone: how many, and the first.

    Without `thorough`, annotations that were deleted are not looked at one by one.
    """
    done = edit.batches.filter(undone_at=None).exclude(done_at=None)
    words = {"batches": list(done.values_list("pk", flat=True))}
    if columns:
        found = f"SELECT p.image_id FROM {_OF_EDITED} WHERE p.batch_id = ANY(%(batches)s) AND {_changed(columns)}"
    else:
        found = f"{_TAKEN_IMAGES} UNION {_TAKEN_ANNOTATIONS}" if thorough else _TAKEN_IMAGES
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT image_id, count(*) OVER () FROM ({found}) AS found ORDER BY image_id LIMIT {EXAMPLES}", words
        )
        rows = cursor.fetchall()
    return (rows[0][1], [key for key, _ in rows]) if rows else (0, [])


def _changed(columns: Sequence[str]) -> str:
    return f"({_CHANGED} OR {_OCCUPIED})" if "split_id" in columns else _CHANGED


def _restore_sql(columns: Sequence[str]) -> str:
    sets = ", ".join(f"{name} = was.{name}" for name in columns)
    return f"""
        UPDATE {IMAGES} a SET {sets}, version = a.version + 1, updated_at = now()
        FROM (
            SELECT p.* FROM annotations_previousimage p JOIN {IMAGES} i ON i.id = p.image_id
            WHERE p.batch_id = %(batch)s AND NOT {_changed(columns)}
            ORDER BY i.id FOR UPDATE OF i
        ) AS was
        WHERE a.id = was.image_id
        RETURNING a.id
    """


def _undelete_sql() -> str:
    names = _columns(ImageAsset)
    changed = {"version": "r.version + 1"}
    return f"""
        INSERT INTO {IMAGES} ({", ".join(names)})
        SELECT {", ".join(changed.get(name) or _from_record(ImageAsset, name) for name in names)}
        FROM annotations_previousimage p, jsonb_populate_record(NULL::{IMAGES}, p.record) AS r
        WHERE p.batch_id = %(batch)s AND p.image_id <> ALL(%(taken)s::bigint[])
        RETURNING id
    """


def _undelete_annotations_sql() -> str:
    names = _columns(Annotation)
    return f"""
        INSERT INTO {ANNOTATIONS} ({", ".join(names)})
        SELECT {", ".join(_from_record(Annotation, name) for name in names)}
        FROM annotations_previousannotation p, jsonb_populate_record(NULL::{ANNOTATIONS}, p.record) AS r
        WHERE p.batch_id = %(batch)s AND p.image_id = ANY(%(back)s)
    """


def _columns(model: type[models.Model]) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields]


def _json_columns(model: type[models.Model]) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields if isinstance(field, models.JSONField)]


def _record(model: type[models.Model], row: str) -> str:
    """SQL: a row as JSON. Its JSON columns go in as text, so that no value and JSON's null stay two things."""
    texts = ", ".join(f"'{name}', {row}.{name}::text" for name in _json_columns(model))
    return f"to_jsonb({row}) || jsonb_build_object({texts})"


def _from_record(model: type[models.Model], name: str) -> str:
    return f"(r.{name} #>> '{{}}')::jsonb" if name in _json_columns(model) else f"r.{name}"


_KEPT = ("annotations_previousimage", "annotations_previousannotation", "annotations_previouslabel")


def forget_old(days: int) -> int:
    """Delete what is kept of bulk edits that ended so many days ago, a batch at a time; of how many."""
    long_ago = timezone.now() - timedelta(days=days)
    busy = BulkEdit.objects.filter(undoes=OuterRef("pk"), finished_at=None)
    ended = BulkEdit.objects.filter(finished_at__lt=long_ago, forgotten_at=None).exclude(Exists(busy))
    forgotten = 0
    for key in ended.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            # Whoever starts an undo locks the row too; first it is said that there is none any more.
            held = ended.select_for_update(of=("self",)).filter(pk=key)
            if not held.exists() or _is_running(key):
                continue
            BulkEdit.objects.filter(pk=key).update(forgotten_at=Now(), kept={})
        forgotten += 1
    _delete_forgotten()
    return forgotten


def _is_running(edit: int) -> bool:
    """A task that was stopped can be retried, and then ends again."""
    task = Task.objects.filter(bulk_edit=edit).first()
    return task is not None and not task.is_finished


def _delete_forgotten() -> None:
    with connection.cursor() as cursor:
        kept = " OR ".join(f"EXISTS (SELECT FROM {table} WHERE batch_id = b.id)" for table in _KEPT)
        cursor.execute(
            f"""
            SELECT b.id FROM annotations_bulkedit e JOIN annotations_bulkeditbatch b ON b.edit_id = e.id
            WHERE e.forgotten_at IS NOT NULL AND ({kept})
            """
        )
        for (batch,) in cursor.fetchall():
            for table in _KEPT:
                cursor.execute(f"DELETE FROM {table} WHERE batch_id = %s", [batch])
