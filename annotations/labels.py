"""Annotations given another category, or deleted with theirs, in the batches of a bulk edit; and what goes with that.

A merge gives the annotations of some categories to another one, and a deletion takes a category away; what becomes of
the categories themselves, and of the documents that list them, happens in the last transaction and can be undone too.
"""

import json
from typing import Any

from django.db import connection
from django.db.models import F, Max, Model, Q, QuerySet
from django.db.models.functions import Now

from accounts.errors import Conflict
from annotations import categories, query
from annotations.models import Annotation, BulkEdit, BulkEditBatch, Category, DocumentCategory, Kind
from annotations.undo import ANNOTATIONS, IMAGES, _columns, _from_record, _record, follow

Action = BulkEdit.Action
OF_ANNOTATIONS = (Action.RELABEL, Action.MERGE, Action.UNLIST)
KEEP, DELETE = "keep", "delete"  # what becomes of a deleted category's annotations
CATEGORIES, LISTED = Category._meta.db_table, DocumentCategory._meta.db_table


def is_about_annotations(edit: BulkEdit) -> bool:
    """Whether the batches of a bulk edit hold annotations, rather than images."""
    return done_by(edit).action in OF_ANNOTATIONS


def done_by(edit: BulkEdit) -> BulkEdit:
    """The bulk edit itself, or the one that it undoes."""
    return edit.undoes if edit.action == Action.UNDO and edit.undoes is not None else edit


# --- Choosing ---------------------------------------------------------------------------------------------------------


def chosen(edit: BulkEdit) -> "QuerySet[Any, Any]":
    """The keys of the annotations that a bulk edit is about. Raises QueryError."""
    if edit.action == Action.RELABEL:
        objects = Annotation.objects.filter(kind=Kind.OBJECT)
        found = query.filter_annotations(objects, edit.project, edit.selection["q"], now=edit.created_at)
        return found.filter(Q(category=None) | ~Q(category=edit.change["category"])).primary_keys()
    return Annotation.objects.filter(project=edit.project_id, category__in=_going(edit)).primary_keys()


def refuse_clashes(edit: BulkEdit) -> None:
    """Raise Conflict where a COCO document would have one id for two names, or two ids for one name."""
    if edit.action == Action.UNDO:
        _refuse_clashes_of_undo(edit)
    elif edit.change.get("category") is not None:
        into = _into(edit)
        if edit.action == Action.MERGE:
            going = _going(edit)
            categories.refuse(
                categories.clashes(edit.project, into.coco_id, into.name, categories.places(going), [*going, into.pk])
            )
            return
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT DISTINCT a.split_id, a.kind
                FROM annotations_bulkeditbatch b CROSS JOIN unnest(b.ids) AS chosen(id)
                JOIN {ANNOTATIONS} a ON a.id = chosen.id WHERE b.edit_id = %s
                """,
                [edit.pk],
            )
            categories.refuse_clashes(edit.project, into, cursor.fetchall())


def _going(edit: BulkEdit) -> list[int]:
    return list(edit.selection.get("categories", ()))


def _into(edit: BulkEdit) -> Category:
    into = Category.objects.filter(project=edit.project_id, pk=edit.change["category"]).first()
    if into is None:
        raise Conflict(f"The category {edit.change.get('name')!r} has been deleted meanwhile. What was done stays.")
    return into


# --- Doing it ---------------------------------------------------------------------------------------------------------


def perform(batch: BulkEditBatch) -> int:
    """Do a batch in the caller's transaction and keep what was there; how many annotations are different now."""
    edit = batch.edit
    into = edit.change.get("category")
    words = {"batch": batch.pk, "project": edit.project_id, "into": into, "going": _going(edit)}
    if edit.change.get("annotations") == DELETE:
        return _delete(words)
    if into is not None and not hold(into):
        _into(edit)  # says so
    only = "AND a.category_id = ANY(%(going)s)" if words["going"] else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH held AS MATERIALIZED (
                SELECT a.id, a.category_id FROM {ANNOTATIONS} a
                WHERE a.id = ANY((SELECT ids FROM annotations_bulkeditbatch WHERE id = %(batch)s)::bigint[])
                    AND a.project_id = %(project)s AND a.category_id IS DISTINCT FROM %(into)s::bigint {only}
                ORDER BY a.id FOR UPDATE
            ), changed AS (
                UPDATE {ANNOTATIONS} a SET category_id = %(into)s, version = a.version + 1, updated_at = now()
                FROM held WHERE a.id = held.id
                RETURNING a.id, a.version, held.category_id
            )
            INSERT INTO annotations_previouslabel (batch_id, annotation_id, version, category_id)
            SELECT %(batch)s, id, version, category_id FROM changed
            """,
            words,
        )
        return int(cursor.rowcount)


def hold(category: int) -> bool:
    """Keep a category from being deleted until the transaction ends; False if it is gone."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {CATEGORIES} WHERE id = %s FOR KEY SHARE", [category])
        return cursor.fetchone() is not None


def _delete(words: dict[str, Any]) -> int:
    going = f"""SELECT a.id FROM {ANNOTATIONS} a
        WHERE a.id = ANY((SELECT ids FROM annotations_bulkeditbatch WHERE id = %(batch)s)::bigint[])
            AND a.project_id = %(project)s AND a.category_id = ANY(%(going)s)"""
    with connection.cursor() as cursor:
        # Images first and in order, as everybody else locks them.
        cursor.execute(
            f"""
            SELECT 1 FROM {IMAGES} WHERE id IN (SELECT image_id FROM {ANNOTATIONS} WHERE id IN ({going}))
            ORDER BY id FOR UPDATE
            """,
            words,
        )
        cursor.execute(
            f"""
            INSERT INTO annotations_previousannotation (batch_id, image_id, record)
            SELECT %(batch)s, a.image_id, {_record(Annotation, "a")} FROM {ANNOTATIONS} a WHERE a.id IN ({going})
            ORDER BY a.id FOR UPDATE OF a
            """,
            words,
        )
        changed = int(cursor.rowcount)
        cursor.execute(
            f"""
            WITH gone AS (
                DELETE FROM {ANNOTATIONS} WHERE id IN (
                    SELECT (record ->> 'id')::bigint FROM annotations_previousannotation WHERE batch_id = %(batch)s
                ) RETURNING image_id
            )
            UPDATE {IMAGES} i SET annotation_count = i.annotation_count - lost.number
            FROM (SELECT image_id, count(*) AS number FROM gone GROUP BY image_id) AS lost WHERE i.id = lost.image_id
            """,
            words,
        )
    return changed


def conclude(edit: BulkEdit) -> None:
    """After the last batch: the categories go, and documents list `into` in their place. Nothing for a relabelling."""
    if edit.action not in (Action.MERGE, Action.UNLIST):
        return
    going = _going(edit)
    _do_the_rest(edit, going)  # what was added meanwhile
    edit.project.touch()  # whoever makes an annotation waits for this
    _do_the_rest(edit, going)
    list(Category.objects.select_for_update().filter(pk__in=[*going, edit.change.get("category") or 0]).order_by("pk"))
    edit.kept = {
        "categories": _rows(Category, CATEGORIES, Q(pk__in=going)),
        "listed": _rows(DocumentCategory, LISTED, Q(category__in=going)),
    }
    edit.save(update_fields=["kept"])
    if edit.action == Action.MERGE:
        into = _into(edit)
        categories.refuse(
            categories.clashes(edit.project, into.coco_id, into.name, categories.places(going), [*going, into.pk])
        )
        categories.list_instead(going, into)
    Category.objects.filter(pk__in=going).delete()


def _do_the_rest(edit: BulkEdit, going: list[int]) -> None:
    left = Annotation.objects.filter(project=edit.project_id, category__in=going)
    keys = list(left.order_by("pk").values_list("pk", flat=True))
    if keys:
        last = edit.batches.aggregate(last=Max("number"))["last"]
        batch = BulkEditBatch.objects.create(edit=edit, number=0 if last is None else last + 1, ids=keys)
        changed = perform(batch)
        BulkEditBatch.objects.filter(pk=batch.pk).update(done_at=Now(), changed=changed)
        BulkEdit.objects.filter(pk=edit.pk).update(total=F("total") + len(keys))


def _rows(model: Any, table: str, which: Q) -> list[str]:
    """Rows as JSON text, so that numbers in them keep every digit."""
    keys = list(model.objects.filter(which).order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT ({_record(model, 'r')})::text FROM {table} r WHERE r.id = ANY(%s) ORDER BY r.id",
            [keys],
        )
        return [text for (text,) in cursor.fetchall()]


# --- Undoing it -------------------------------------------------------------------------------------------------------


def stuck(edit: BulkEdit, limit: int) -> tuple[int, list[int]]:
    """Annotations that an undo would leave alone: how many, and the first.

    They were changed since, their place is taken, or their category is gone and does not come back by this undo.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH batches AS (
                SELECT id FROM annotations_bulkeditbatch
                WHERE edit_id = %(edit)s AND done_at IS NOT NULL AND undone_at IS NULL
            )
            SELECT key, count(*) OVER () FROM (
                SELECT p.annotation_id AS key FROM annotations_previouslabel p
                LEFT JOIN {ANNOTATIONS} a ON a.id = p.annotation_id
                WHERE p.batch_id IN (SELECT id FROM batches)
                    AND (a.id IS NULL OR a.version <> p.version OR {_IS_GONE.format("p.category_id")})
                UNION ALL
                SELECT (p.record ->> 'id')::bigint FROM annotations_previousannotation p
                WHERE p.batch_id IN (SELECT id FROM batches)
                    AND (NOT ({_HAS_ROOM}) OR {_IS_GONE.format("(p.record ->> 'category_id')::bigint")})
            ) AS found ORDER BY key LIMIT %(limit)s
            """,
            {"edit": edit.pk, "limit": limit, "coming": [row["id"] for row in _to_come(edit)]},
        )
        rows = cursor.fetchall()
    return (rows[0][1], [key for key, _ in rows]) if rows else (0, [])


# SQL: true where a category is gone and is none of those that the undo brings back.
_IS_GONE = f"""
    ({{0}} IS NOT NULL AND {{0}} <> ALL(%(coming)s::bigint[])
        AND NOT EXISTS (SELECT FROM {CATEGORIES} c WHERE c.id = {{0}}))
"""
# SQL: true where the image of a deleted annotation is where it was, and its place there is free.
_HAS_ROOM = f"""
    EXISTS (SELECT FROM {IMAGES} i WHERE i.id = p.image_id AND i.split_id = (p.record ->> 'split_id')::bigint)
    AND NOT EXISTS (SELECT FROM {ANNOTATIONS} a WHERE a.project_id = (p.record ->> 'project_id')::bigint
        AND a.split_id = (p.record ->> 'split_id')::bigint AND a.kind = (p.record ->> 'kind')::smallint
        AND a.coco_id = (p.record ->> 'coco_id')::bigint)
"""


def _to_come(edit: BulkEdit) -> list[dict[str, Any]]:
    """The categories that an undo of this edit brings back, as they are kept."""
    if not edit.kept or edit.kept.get("restored"):
        return []
    return [json.loads(record) for record in edit.kept["categories"]]


def refuse_taken(edit: BulkEdit) -> None:
    """Raise Conflict if a category that an undo of this edit brings back has been made anew, as an import does."""
    for row in _to_come(edit):
        same = Category.objects.filter(project=edit.project_id, coco_id=row["coco_id"], name=row["name"])
        if same.exclude(pk=row["id"]).exists():
            raise Conflict(
                f"There is a category {row['name']!r} with id {row['coco_id']} again, made since: the one that was "
                "taken out cannot come back beside it. Rename that one, or merge it into another one, first."
            )


def prepare_undo(edit: BulkEdit) -> None:
    """Before the first batch of an undo: the categories that a merge or a deletion took out are there again.

    Raises Conflict where another category has taken their place. Can be called again.
    """
    undone = done_by(edit)
    if edit.action != Action.UNDO or not undone.kept or undone.kept.get("restored"):
        return
    undone = BulkEdit.objects.select_for_update().get(pk=undone.pk)
    refuse_taken(undone)
    tables: list[tuple[type[Model], str, str]] = [
        (Category, CATEGORIES, "categories"),
        (DocumentCategory, LISTED, "listed"),
    ]
    for model, table, name in tables:
        names = _columns(model)
        values = ", ".join(_from_record(model, column) for column in names)
        sets = ", ".join(f"{column} = excluded.{column}" for column in names if column != "id")
        there = "TRUE"
        if model is DocumentCategory:
            there = "EXISTS (SELECT FROM annotations_cocodocument d WHERE d.id = r.document_id)"
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                INSERT INTO {table} ({", ".join(names)})
                SELECT {values} FROM unnest(%s::text[]) AS kept(record),
                    jsonb_populate_record(NULL::{table}, kept.record::jsonb) AS r WHERE {there}
                ON CONFLICT (id) DO UPDATE SET {sets}
                """,
                [undone.kept[name]],
            )
    undone.kept["restored"] = True
    undone.save(update_fields=["kept"])
    edit.undoes = undone
    edit.project.touch()


def undo_batch(batch: BulkEditBatch) -> tuple[int, list[int]]:
    """Put back what the batch that this one undoes has changed: (annotations put back, annotations left alone)."""
    words: dict[str, Any] = {"batch": batch.undoes_id, "project": batch.edit.project_id}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {ANNOTATIONS} a SET category_id = was.category_id, version = a.version + 1, updated_at = now()
            FROM (
                SELECT p.annotation_id, p.category_id FROM annotations_previouslabel p
                JOIN {ANNOTATIONS} i ON i.id = p.annotation_id
                WHERE p.batch_id = %(batch)s AND i.version = p.version AND i.project_id = %(project)s
                    AND (p.category_id IS NULL OR EXISTS (SELECT FROM {CATEGORIES} c WHERE c.id = p.category_id))
                ORDER BY i.id FOR UPDATE OF i
            ) AS was WHERE a.id = was.annotation_id RETURNING a.id
            """,
            words,
        )
        words["back"] = [key for (key,) in cursor.fetchall()]
        follow(cursor, "annotations_previouslabel", "annotation_id", ANNOTATIONS, words)
        back = {*words["back"], *_undelete(words)}
        cursor.execute(
            """
            SELECT annotation_id FROM annotations_previouslabel WHERE batch_id = %(batch)s
            UNION ALL SELECT (record ->> 'id')::bigint FROM annotations_previousannotation WHERE batch_id = %(batch)s
            """,
            words,
        )
        skipped = {key for (key,) in cursor.fetchall()} - back
    return len(back), sorted(skipped)


def _undelete(words: dict[str, Any]) -> set[int]:
    names = _columns(Annotation)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT 1 FROM {IMAGES} WHERE id IN (
                SELECT image_id FROM annotations_previousannotation WHERE batch_id = %(batch)s
            ) ORDER BY id FOR UPDATE
            """,
            words,
        )
        cursor.execute(
            f"""
            INSERT INTO {ANNOTATIONS} ({", ".join(names)})
            SELECT {", ".join(_from_record(Annotation, name) for name in names)}
            FROM annotations_previousannotation p, jsonb_populate_record(NULL::{ANNOTATIONS}, p.record) AS r
            WHERE p.batch_id = %(batch)s AND {_HAS_ROOM}
                AND EXISTS (SELECT FROM {CATEGORIES} c WHERE c.id = r.category_id)
            RETURNING id, image_id
            """,
            words,
        )
        back = cursor.fetchall()
        cursor.execute(
            f"""
            UPDATE {IMAGES} i SET annotation_count = i.annotation_count + more.number
            FROM (SELECT image_id, count(*) AS number FROM unnest(%s::bigint[]) AS image_id GROUP BY image_id) AS more
            WHERE i.id = more.image_id
            """,
            [[image for _, image in back]],
        )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return {key for key, _ in back}


def conclude_undo(edit: BulkEdit) -> None:
    """After the last batch of an undo: documents in which the merged category is still used list it still."""
    undone = done_by(edit)
    into = undone.change.get("category")
    if undone.action != Action.MERGE or into is None or not undone.kept:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {LISTED} (document_id, category_id, position, fields)
            SELECT d.id, c.id, (SELECT coalesce(max(l.position) + 1, 0) FROM {LISTED} l WHERE l.document_id = d.id),
                CASE WHEN c.supercategory = '' THEN '{{}}'
                    ELSE jsonb_build_object('supercategory', c.supercategory) END || c.meta
            FROM annotations_cocodocument d JOIN {CATEGORIES} c ON c.id = %(into)s
            WHERE d.project_id = %(project)s AND d.id IN (
                    SELECT (kept.record::jsonb ->> 'document_id')::bigint
                    FROM unnest(%(listed)s::text[]) AS kept(record)
                )
                AND NOT EXISTS (SELECT FROM {LISTED} l WHERE l.document_id = d.id AND l.category_id = c.id)
                AND EXISTS (SELECT FROM {ANNOTATIONS} a WHERE a.project_id = d.project_id AND a.category_id = c.id
                    AND a.split_id = d.split_id AND a.kind = d.kind)
            """,
            {"into": into, "project": edit.project_id, "listed": undone.kept["listed"]},
        )


def _refuse_clashes_of_undo(edit: BulkEdit) -> None:
    """The categories that come back, and those that annotations go back to, must be possible where they go."""
    undone = done_by(edit)
    where: dict[int, set[categories.Place]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT DISTINCT p.category_id, a.split_id, a.kind
            FROM annotations_bulkeditbatch b JOIN annotations_previouslabel p ON p.batch_id = b.undoes_id
            JOIN {ANNOTATIONS} a ON a.id = p.annotation_id AND a.version = p.version
            WHERE b.edit_id = %s AND p.category_id IS NOT NULL
            """,
            [edit.pk],
        )
        for category, split, kind in cursor.fetchall():
            where.setdefault(category, set()).add((split, kind))
    coming = Category.objects.filter(pk__in=where).order_by("pk")
    apart = [into] if (into := undone.change.get("category")) and undone.action == Action.MERGE else []
    for category in coming:
        found = categories.clashes(edit.project, category.coco_id, category.name, where[category.pk], [*where, *apart])
        categories.refuse(found)
