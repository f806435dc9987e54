"""Categories that a file calls by another name than its split does under the same COCO id.

One file cannot list an id twice, so a split must know one name for each. If every annotation of the category comes
with the file, it was renamed; if some do not, nobody can tell whether they are meant too, and the file is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q

from accounts.errors import Conflict
from annotations.coco.annotations import Family, family_of
from annotations.coco.categories import CategoryRecord
from annotations.coco.document import Document
from annotations.coco.problems import Action, Problem, Reporter
from annotations.models import Annotation, Category, DocumentCategory
from assets.models import Split
from projects.models import Project

PEEKED = 200  # records that tell what kind of annotations a file has


@dataclass(frozen=True)
class _Other:
    """A category of the split that the file knows by another name."""

    key: int
    stored: str
    record: CategoryRecord


class Renaming:
    """The categories that one file renames: `begin` before its records are written, `end` after."""

    def __init__(self, project: Project, split: Split, records: Sequence[CategoryRecord], report: Reporter) -> None:
        self.project = project
        self.split = split
        self.records = {record.coco_id: record for record in records}
        self.report = report
        self.renamed: list[_Other] = []

    def begin(self, document: Document) -> None:
        """Rename those that nobody else uses, so that their annotations need not be touched."""
        kinds = {family_of(record) for record in document.annotations[:PEEKED]} or {Family.OBJECT}
        for other in self._others(kinds):
            known = Category.objects.filter(
                project=self.project, coco_id=other.record.coco_id, name=other.record.name
            ).exists()
            if not known and not self._used_elsewhere(other.key, kinds):
                Category.objects.filter(pk=other.key).update(name=other.record.name)
                self.renamed.append(other)

    def end(self, cursor: Any, kinds: Sequence[Family], ids: dict[int, int], *, staged: bool) -> None:
        """Take what is left of the old names out of the split; raises Conflict where annotations would be left.

        `ids` are the primary keys of the file's categories by COCO id; `staged` says that the file's annotations are in
        the staging table (they are not where the split was empty before).
        """
        replaced = self._others(set(kinds))
        left = self._annotations_left(cursor, [other.key for other in replaced], kinds)
        if staged:
            left |= self._annotations_absent(cursor, [other.key for other in self.renamed], kinds)
        for other in (*self.renamed, *replaced):
            if left.get(other.key):
                raise Conflict(
                    f"The category id {other.record.coco_id} is {other.stored!r} in split {self.split.name!r}, and "
                    f"{other.record.name!r} in the file; {left[other.key]:,} annotation(s) of it are not in there. "
                    "If it is another data set, import it into a split of its own; if the category has a new name, "
                    "rename it here first."
                )
        for other in replaced:
            machine = Annotation.objects.filter(project=self.project, split=self.split, category_id=other.key)
            machine.filter(is_machine=True).update(category_id=ids[other.record.coco_id])
            self._listed(set(kinds)).filter(category_id=other.key).delete()
        for other in (*self.renamed, *replaced):
            record = other.record
            self.report(
                Problem(
                    "category_renamed",
                    Action.KEPT,
                    f"$.categories[{record.index}].name",
                    f"The category {record.coco_id} was {other.stored!r} in this split: it is {record.name!r} now.",
                )
            )

    def _listed(self, kinds: set[Family]) -> Any:
        return DocumentCategory.objects.filter(
            document__project=self.project, document__split=self.split, document__kind__in=kinds
        )

    def _others(self, kinds: set[Family]) -> list[_Other]:
        listed = self._listed(kinds).filter(category__coco_id__in=self.records)
        rows = listed.order_by("category_id").distinct()
        return [
            _Other(key, name, self.records[coco_id])
            for key, coco_id, name in rows.values_list("category_id", "category__coco_id", "category__name")
            if self.records[coco_id].name != name
        ]

    def _used_elsewhere(self, key: int, kinds: set[Family]) -> bool:
        """Whether another split, or another kind of annotations, has the category."""
        here = Q(split=self.split, kind__in=kinds)
        listed = DocumentCategory.objects.filter(category_id=OuterRef("pk")).exclude(
            document__split=self.split, document__kind__in=kinds
        )
        used = Annotation.objects.filter(project=self.project, category_id=OuterRef("pk")).exclude(here)
        return Category.objects.filter(Exists(listed) | Exists(used), pk=key).exists()

    def _annotations_left(self, cursor: Any, keys: list[int], kinds: Sequence[Family]) -> dict[int, int]:
        """How many annotations of people the split still has of each category."""
        return self._counted(cursor, "", keys, kinds)

    def _annotations_absent(self, cursor: Any, keys: list[int], kinds: Sequence[Family]) -> dict[int, int]:
        """How many of them are not in the file."""
        absent = "AND NOT EXISTS (SELECT FROM staged_annotation s WHERE s.kind = a.kind AND s.coco_id = a.coco_id)"
        return self._counted(cursor, absent, keys, kinds)

    def _counted(self, cursor: Any, more: str, keys: list[int], kinds: Sequence[Family]) -> dict[int, int]:
        if not keys:
            return {}
        cursor.execute(
            f"""
            SELECT a.category_id, count(*) FROM {Annotation._meta.db_table} a
            WHERE a.project_id = %s AND a.split_id = %s AND a.category_id = ANY(%s) AND a.kind = ANY(%s)
                AND NOT a.is_machine {more} GROUP BY a.category_id
            """,
            [self.project.pk, self.split.pk, keys, [int(kind) for kind in kinds]],
        )
        return dict(cursor.fetchall())
