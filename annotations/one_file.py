"""One COCO file of an import: read in two passes, its pictures found, its rows written by COPY.

A split that is empty is written straight into the tables; one that has images is written into staging tables and merged
(merging.py).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annotations import documents, merging, quality, rows, statistics
from annotations.coco.annotations import AnnotationRecord, Family, read_annotations
from annotations.coco.categories import read_categories
from annotations.coco.document import Document
from annotations.coco.ids import Ids
from annotations.coco.images import ImageRecord, ImageTable, read_images, without_fields
from annotations.coco.problems import Action, CocoFileError, Problem
from annotations.models import Annotation
from annotations.picturing import PictureCache, StoredPicture, gather
from annotations.renaming import Renaming
from annotations.report import Report
from annotations.sources import PictureSource
from assets.models import ImageAsset, Split
from assets.thumbnails import BROKEN
from projects.models import Project

Progress = Callable[[str, int, int | None], None]  # phase, done, total

SHOWN = 200  # names in a summary
STEP = 5_000  # records between two signs of progress


@dataclass(frozen=True)
class FileToImport:
    """A COCO file, the split it goes to, and how the report calls it (nothing if it is the only one)."""

    path: Path
    split: str
    label: str = ""
    name: str = ""  # what people call it, where it lies in a temporary file


@dataclass
class Summary:
    """What is now stored from a file, and what changed by it."""

    split: str = ""
    images: int = 0
    annotations: int = 0
    categories: int = 0
    images_added: int = 0
    images_changed: int = 0
    annotations_added: int = 0
    annotations_changed: int = 0
    images_moved: int = 0  # only their place in the file changed
    annotations_moved: int = 0
    images_missing: int = 0
    images_broken: int = 0
    images_absent: int = 0  # stored in the split before, not in this file: left alone
    annotations_absent: int = 0
    pictures: int = 0  # files that were taken and stored
    images_with_picture: int = 0  # records that got one of them: several may share one file
    quarantined: int = 0
    repaired: int = 0
    revision: int = 0
    changed: bool = False
    families: list[str] = field(default_factory=list)
    issues: dict[str, int] = field(default_factory=dict)  # of the records, by code: valid, but perhaps mistakes
    unused_categories: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class FileImport:
    """One run: what is known after each pass."""

    def __init__(
        self,
        project: Project,
        document: Document,
        file: FileToImport,
        report: Report,
        strict: bool,
        progress: Progress,
    ) -> None:
        self.project = project
        self.document = document
        self.split_name = file.split
        self.label = file.label
        self.report = report.labelled(file.label)
        self.all_flaws = report
        self.strict = strict
        self.progress = progress
        self.table = ImageTable()
        self.file_names: list[str | None] = []
        self.pictures: dict[int, StoredPicture] = {}
        self.families: Counter[int] = Counter()
        self.seen = Ids(document.annotations)
        self.category_keys: set[int] = set()
        self.used: set[int | None] = set()  # COCO ids of categories
        self.issues: Counter[str] = Counter()
        self.unused: dict[int, str] = {}  # keys and names of categories
        self.summary = Summary(split=file.split)
        for problem in document.problems:
            self.report(problem)

    # --- before the transaction
    def read_images(self) -> None:
        for record in read_images(self.document.images, self.table, self.report):
            self.file_names.append(record.file_name)
            if record.index % STEP == 0:
                self.progress("reading", record.index, len(self.document.images))
        self._refuse_if_strict()

    def take_pictures(self, source: PictureSource | None, cache: PictureCache) -> None:
        if source is None:
            if self.file_names:
                told = "No pictures were given: only the records were imported."
                self.report(Problem("no_pictures_given", Action.KEPT, "$.images", told))
            return
        self.pictures = gather(
            project_id=self.project.pk,
            source=source,
            file_names=self.file_names,
            split=self.split_name,
            table=self.table,
            report=self.report,
            progress=self.progress,
            cache=cache,
        )
        for row, picture in self.pictures.items():
            stated, true = (self.table.widths[row], self.table.heights[row]), (picture.width, picture.height)
            if picture.format and not (picture.turned and stated == true[::-1]):
                # Boxes are judged by the pixels that are there, whatever the record says.
                self.table.widths[row], self.table.heights[row] = true
        stored = [picture.name for picture in self.pictures.values() if picture.key]
        self.summary.pictures, self.summary.images_with_picture = len(set(stored)), len(stored)

    def _refuse_if_strict(self) -> None:
        if self.strict and self.all_flaws.quarantined:
            worst = self.all_flaws.table()[0]
            first = worst["examples"][0]
            raise CocoFileError(
                "strict",
                f"{self.all_flaws.quarantined} flaw(s) would leave records out, and the import is strict. "
                f"The first: {first['path']}: {first['message']}",
                path=first["path"],
            )

    # --- inside the transaction
    def write(self, cursor: Any, new: statistics.NewRows) -> None:
        """Write everything of the file; what it adds is counted in `new`."""
        split, _ = Split.objects.get_or_create(project=self.project, name=self.split_name)
        categories = list(read_categories(self.document.categories, self.report))
        renaming = Renaming(self.project, split, categories, self.report)
        renaming.begin(self.document)
        ids = documents.merge_categories(self.project, categories)
        self.category_keys = set(ids.values())
        fresh = not ImageAsset.objects.filter(project=self.project, split=split).exists()
        writer = _FreshWriter(self, split, ids, cursor) if fresh else _MergeWriter(self, split, ids, cursor)
        writer.write()
        self._refuse_if_strict()
        families = [Family(family) for family in sorted(self.families)] or [Family.OBJECT]
        renaming.end(cursor, families, ids, staged=not fresh)
        around = documents.merge_documents(self.project, split, families, self.document, categories, ids, self.report)
        summary = self.summary
        new.add(cursor, {ImageAsset: summary.images_added, Annotation: summary.annotations_added})
        summary.categories = len(categories)
        summary.images = len(self.table)
        summary.annotations = self.families.total()
        summary.families = [family.name.lower() for family in families if self.families[family]]
        duplicates = quality.flag_duplicates(cursor, self.project.pk, split.pk, fresh=fresh)
        if duplicates:
            self.issues["bbox_duplicate"] = duplicates
        self.issues.update(quality.flag_images(cursor, self.project.pk, split.pk))
        summary.issues = dict(self.issues)
        if self.families.total():
            self.unused = {ids[one.coco_id]: one.name for one in categories if one.coco_id not in self.used}
        summary.unused_categories = sorted(self.unused.values())[:SHOWN]
        written = (
            summary.images_added, summary.images_changed, summary.images_moved,
            summary.annotations_added, summary.annotations_changed, summary.annotations_moved,
        )  # fmt: skip
        summary.changed = around or bool(renaming.renamed) or any(written)

    def status(self, row: int) -> str:
        """What the image in this row of the table is at first."""
        picture = self.pictures.get(row)
        return picture.status if picture else ImageAsset.Status.MISSING

    def annotation_records(self, categories: set[int]) -> Iterator[AnnotationRecord]:
        """Usable annotations, with signs of progress."""
        total = len(self.document.annotations)
        for record in read_annotations(self.document.annotations, self.table, categories, self.report, self.seen):
            self.families[record.family] += 1
            self.used.add(record.category_id)
            if record.issues:
                self.issues.update(record.issues)
            if record.index % STEP == 0:
                self.progress("annotations", record.index, total)
            yield record
        self.progress("annotations", total, total)

    def image_rows(self, counts: "array[int]") -> Iterator[bytes]:
        """Image rows with their pictures' facts: where picture and record differ on the size, the picture wins."""
        table, total = ImageTable(), len(self.table)
        quiet = Report()  # the first pass has told of every flaw
        for record in read_images(self.document.images, table, quiet):
            row = len(table) - 1
            picture = self.pictures.get(row)
            issues = self._true_size(record, picture) if picture and picture.format else ()
            if picture and picture.flaw:
                issues = (*issues, BROKEN)
            self.issues.update(issues)
            if row % STEP == 0:
                self.progress("images", row, total)
            yield rows.image_row(
                record, counts[row], picture if picture and picture.key else None, self.status(row), issues
            )
        quiet.close()

    def _true_size(self, record: ImageRecord, picture: StoredPicture) -> tuple[str, ...]:
        stated, true = (record.width, record.height), (picture.width, picture.height)
        if stated == true:
            return ()
        path = f"$.images[{record.index}]"
        if picture.turned and stated == true[::-1]:
            self.report(
                Problem(
                    "size_turned",
                    Action.KEPT,
                    path,
                    f"The record says {stated[0]} x {stated[1]}; the pixels are {true[0]} x {true[1]}, shown turned.",
                    "If the boxes were drawn on the turned picture, they do not fit the stored pixels.",
                )
            )
            return ("size_turned",)
        record.width, record.height = true
        record.metadata = without_fields(record.metadata, ("width", "height"))
        if not stated[0] or not stated[1]:
            told = f"The record has no size: {true[0]} x {true[1]} was read from the picture."
            self.report(Problem("size_filled_in", Action.REPAIRED, path, told))
            return ()
        told = f"The record says {stated[0]} x {stated[1]}, the picture has {true[0]} x {true[1]}: the picture counts."
        self.report(Problem("size_differs", Action.REPAIRED, path, told))
        return ("size_differs",)


class _FreshWriter:
    """Writes into an empty split: straight into the tables, annotations first so that images come with their counts."""

    def __init__(self, run: FileImport, split: Split, categories: dict[int, int], cursor: Any) -> None:
        self.run, self.split, self.categories, self.cursor = run, split, categories, cursor

    def write(self) -> None:
        """Write all rows."""
        run = self.run
        keys = self._reserve(len(run.table))
        counts = array("i", bytes(4 * len(run.table)))
        self._copy(Annotation, rows.ANNOTATION_COLUMNS, "image_id, category_id, ", self._annotations(keys, counts))
        place = b"\t%d\t%d\t{}\t\t" % (run.project.pk, self.split.pk)
        images = (b"%d" % key + place + row for key, row in zip(keys, run.image_rows(counts), strict=True))
        self._copy(ImageAsset, rows.IMAGE_COLUMNS, "id, ", images, "tags, thumbnail_uri, ")
        statuses = Counter(run.status(row) for row in range(len(keys)))
        run.summary.images_missing, run.summary.images_broken = statuses["missing"], statuses["broken"]
        run.summary.images_added = len(keys)
        run.summary.annotations_added = run.families.total()

    def _reserve(self, number: int) -> "array[int]":
        """Primary keys for the images, since annotations are written first."""
        self.cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [ImageAsset._meta.db_table, number],
        )
        return array("q", (key for (key,) in self.cursor))

    def _annotations(self, keys: "array[int]", counts: "array[int]") -> Iterator[bytes]:
        place = b"\t%d\t%d\t" % (self.run.project.pk, self.split.pk)
        categories = {coco_id: b"%d" % key for coco_id, key in self.categories.items()}
        for record in self.run.annotation_records(set(categories)):
            counts[record.image] += 1
            category = rows.NULL if record.category_id is None else categories[record.category_id]
            yield b"%d\t" % keys[record.image] + category + place + rows.annotation_row(record)

    def _copy(self, model: Any, columns: str, before: str, lines: Iterator[bytes], between: str = "") -> None:
        rows.copy_in(self.cursor, f"{model._meta.db_table} ({before}project_id, split_id, {between}{columns})", lines)


class _MergeWriter:
    """Writes into a split that has images: by way of staging tables, touching only what differs."""

    def __init__(self, run: FileImport, split: Split, categories: dict[int, int], cursor: Any) -> None:
        self.run, self.split, self.categories, self.cursor = run, split, categories, cursor

    def write(self) -> None:
        """Stage all rows, then merge them."""
        run = self.run
        self._take_known_sizes()
        merging.create_staging(self.cursor)
        empty = array("i", bytes(4 * len(run.table)))
        rows.copy_in(self.cursor, f"staged_image ({rows.IMAGE_COLUMNS})", run.image_rows(empty))
        rows.copy_in(
            self.cursor,
            f"staged_annotation (image_coco_id, category_id, assigned, {rows.ANNOTATION_COLUMNS})",
            self._annotations(),
        )
        run.progress("merging", 0, None)
        merged = merging.merge(
            self.cursor,
            run.project.pk,
            self.split.pk,
            self.split.name,
            run.report,
            alone=not run.label,
            check=lambda: run.progress("merging", 0, None),
        )
        for name, number in merged.items():
            setattr(run.summary, name, number)

    def _take_known_sizes(self) -> None:
        """Pictures that are stored already have told the true sizes; boxes are judged by those again."""
        table = self.run.table
        stored = ImageAsset.objects.filter(project=self.run.project, split=self.split).exclude(uri="")
        for coco_id, width, height in stored.values_list("coco_id", "width", "height").iterator():
            row = table.rows.get(coco_id)
            if row is not None and row not in self.run.pictures:
                table.widths[row], table.heights[row] = width or 0, height or 0

    def _annotations(self) -> Iterator[bytes]:
        categories = {coco_id: b"%d" % key for coco_id, key in self.categories.items()}
        ids = self.run.table.ids
        for record in self.run.annotation_records(set(categories)):
            category = rows.NULL if record.category_id is None else categories[record.category_id]
            assigned = b"\tt\t" if record.assigned else b"\tf\t"
            yield b"%d\t" % ids[record.image] + category + assigned + rows.annotation_row(record)
