"""What surrounds the records of a COCO file - categories, info, licenses, other sections - merged into the stored."""

from collections.abc import Sequence

from django.db import connection
from django.db.models import Max

from annotations.coco.annotations import Family
from annotations.coco.categories import CategoryRecord
from annotations.coco.document import Document
from annotations.coco.problems import Action, Problem, Reporter, excerpt
from annotations.coco.values import same, spelled_out
from annotations.models import Category, CocoDocument
from assets.models import Split
from projects.models import Project


def merge_categories(project: Project, records: Sequence[CategoryRecord]) -> dict[int, int]:
    """Make sure of the categories; give {COCO id: primary key} of those in the file."""
    if not records:
        return {}
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO annotations_category AS c
                (project_id, coco_id, coco_key, name, supercategory, meta, color, created_at)
            VALUES (%s, %s, %s, %s, %s, %s::jsonb - 'supercategory', '', now())
            ON CONFLICT (project_id, coco_id, name) DO UPDATE
            SET supercategory = COALESCE(NULLIF(excluded.supercategory, ''), c.supercategory),
                meta = c.meta || excluded.meta
            WHERE COALESCE(NULLIF(excluded.supercategory, ''), c.supercategory) <> c.supercategory
                OR record_image_ne(ROW(c.meta || excluded.meta), ROW(c.meta))
            """,
            [
                (project.pk, r.coco_id, r.coco_key, r.name, r.supercategory, spelled_out(r.fields).decode())
                for r in records
            ],
        )
    names = {record.coco_id: record.name for record in records}
    rows = Category.objects.filter(project=project, coco_id__in=names).values_list("coco_id", "name", "pk")
    return {coco_id: key for coco_id, name, key in rows if names[coco_id] == name}


def merge_documents(
    project: Project,
    split: Split,
    families: Sequence[Family],
    document: Document,
    categories: Sequence[CategoryRecord],
    ids: dict[int, int],
    report: Reporter,
) -> bool:
    """Keep what surrounds the records, for each family of annotations in the file; True if anything changed."""
    changed = False
    for family in families:
        kept, created = CocoDocument.objects.select_for_update().get_or_create(
            project=project,
            split=split,
            kind=family,
            defaults={"layout": document.layout, "sections": document.sections},
        )
        layout = list(dict.fromkeys([*kept.layout, *document.layout]))
        sections = {**kept.sections, **document.sections}
        if not created and (layout, sections) != (kept.layout, kept.sections):
            _tell_replaced(kept.sections, document.sections, report)
            kept.layout, kept.sections = layout, sections
            kept.save(update_fields=["layout", "sections"])
            changed = True
        changed = _list_categories(kept, categories, ids) or created or changed
    return changed


def _tell_replaced(stored: dict[str, str], given: dict[str, str], report: Reporter) -> None:
    for name, text in given.items():
        if name in stored and not same(stored[name].encode(), text.encode()):
            told = f"The section {name!r} differs from the one that is stored for this split: replaced."
            report(Problem("section_replaced", Action.KEPT, f"$.{name}", told, raw=excerpt(stored[name].encode())))


def _list_categories(document: CocoDocument, records: Sequence[CategoryRecord], ids: dict[int, int]) -> bool:
    """List the file's categories in its order; those that only the document has so far stay where they are."""
    if not records:
        return False
    listed = set(document.listed.values_list("category_id", flat=True))
    absent = listed - set(ids.values())
    offset = 1 + (document.listed.aggregate(last=Max("position"))["last"] or 0) if absent else 0
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO annotations_documentcategory AS d (document_id, category_id, position, fields)
            VALUES (%s, %s, %s, %s::jsonb)
            ON CONFLICT (document_id, category_id) DO UPDATE
            SET fields = d.fields || excluded.fields, position = CASE WHEN %s THEN excluded.position ELSE d.position END
            WHERE record_image_ne(ROW(d.fields || excluded.fields), ROW(d.fields))
                OR (%s AND d.position <> excluded.position)
            """,
            [
                (document.pk, ids[r.coco_id], offset + r.index, spelled_out(r.fields).decode(), not absent, not absent)
                for r in records
            ],
        )
        return bool(cursor.rowcount > 0)
