"""Moving images to another split: may they, and do their COCO documents come with them."""

from dataclasses import asdict
from typing import Any

from django.db import connection

from accounts.errors import Conflict
from annotations import categories
from annotations.models import BulkEdit, BulkEditBatch, Category, CocoDocument, DocumentCategory
from assets.models import Split

EXAMPLES = 20  # ids that are named where a move is refused

_MOVING = """
    moving AS MATERIALIZED (
        SELECT id, coco_id FROM assets_imageasset WHERE project_id = %(project)s AND split_id <> %(split)s
            AND id IN (SELECT unnest(ids) FROM annotations_bulkeditbatch WHERE edit_id = %(edit)s)
    )
"""
_IMAGES = f"""
    WITH {_MOVING} SELECT coco_id FROM moving GROUP BY coco_id HAVING count(*) > 1
    UNION SELECT m.coco_id FROM moving m JOIN assets_imageasset t
        ON t.project_id = %(project)s AND t.split_id = %(split)s AND t.coco_id = m.coco_id
"""  # noqa: S608 - our own words
_ANNOTATIONS = f"""
    WITH {_MOVING}, objects AS MATERIALIZED (
        SELECT a.kind, a.coco_id FROM moving JOIN annotations_annotation a ON a.image_id = moving.id
    ) SELECT coco_id FROM objects GROUP BY kind, coco_id HAVING count(*) > 1
    UNION SELECT o.coco_id FROM objects o JOIN annotations_annotation t
        ON t.project_id = %(project)s AND t.split_id = %(split)s AND t.kind = o.kind AND t.coco_id = o.coco_id
"""  # noqa: S608 - our own words
# Categories of what moves that share their id or their name with another one; few projects have any.
_RIVALLED = f"""
    WITH {_MOVING}, used AS (
        SELECT DISTINCT a.category_id, a.kind FROM moving JOIN annotations_annotation a ON a.image_id = moving.id
    ) SELECT used.category_id, used.kind FROM used JOIN annotations_category c ON c.id = used.category_id
    WHERE EXISTS (SELECT FROM annotations_category o WHERE o.project_id = c.project_id AND o.id <> c.id
        AND (o.coco_id = c.coco_id OR o.name = c.name))
"""  # noqa: S608 - our own words


def obstacles(edit: BulkEdit, split: Split | None) -> dict[str, Any]:
    """What stands in the way of moving the edit's images to a split (None: one that is still to be made).

    `images` and `annotations` are the first COCO ids that would be there twice, `categories` what one document would
    have two of; all empty if nothing does.
    """
    words = {"project": edit.project_id, "edit": edit.pk, "split": split.pk if split else 0}
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for name, statement in (("images", _IMAGES), ("annotations", _ANNOTATIONS)):
            cursor.execute(f"SELECT coco_id FROM ({statement}) AS twice ORDER BY coco_id LIMIT {EXAMPLES}", words)  # noqa: S608
            found[name] = [coco_id for (coco_id,) in cursor.fetchall()]
        cursor.execute(_RIVALLED, words)
        rivalled = cursor.fetchall()
    clashes: list[categories.Clash] = []
    for key, kind in rivalled if split else ():
        category = Category.objects.get(pk=key)
        here = [(split.pk, kind)] if split else []
        clashes += categories.clashes(edit.project, category.coco_id, category.name, here, [key])
    found["categories"] = [asdict(clash) for clash in clashes[:EXAMPLES]]
    return found


def refuse(found: dict[str, Any], split: str) -> None:
    """Raise Conflict if anything stands in the way."""
    what = [name for name, listed in found.items() if listed]
    if not what:
        return
    first = found[what[0]][0]
    shown = f"category {first['name']!r} with id {first['coco_id']}" if what[0] == "categories" else f"id {first}"
    raise Conflict(
        f"The images cannot go to split {split!r}: of the {what[0]}, {shown} would be there twice. "
        "Nothing was changed.",
        detail=found,
    )


def bring_documents(batch: BulkEditBatch, target: Split) -> None:
    """Give the target what surrounds the records in the splits that the batch's images came from, where it has none."""
    sources = batch.images.exclude(split_id=None).values_list("split_id", flat=True).distinct().order_by("split_id")
    documents = CocoDocument.objects.filter(split__in=list(sources)).order_by("kind", "split_id")
    there = set(CocoDocument.objects.filter(split=target).values_list("kind", flat=True))
    for document in documents:
        if document.kind in there:
            continue
        there.add(document.kind)
        listed = list(document.listed.all())
        copy = CocoDocument.objects.create(
            project_id=document.project_id, split=target, kind=document.kind, layout=document.layout,
            sections=document.sections,
        )  # fmt: skip
        DocumentCategory.objects.bulk_create(
            DocumentCategory(document=copy, category_id=one.category_id, position=one.position, fields=one.fields)
            for one in listed
        )
