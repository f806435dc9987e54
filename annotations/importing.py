"""A COCO file into a project: all of it or nothing, by COPY, the same file twice changes nothing.

Pass 1 reads the image records; then pictures are stored (under their checksums, so a failed import leaves nothing
wrong); then one transaction writes categories, annotations and images. A split that is empty is written straight into the
tables; one that has images is written into staging tables and merged (merging.py).
"""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import psycopg.errors
from django.db import DataError, connection, transaction

from annotations import merging, rows
from annotations.coco.annotations import AnnotationRecord, Family, read_annotations
from annotations.coco.categories import read_categories
from annotations.coco.document import Document, opened
from annotations.coco.images import ImageRecord, ImageTable, read_images, without_fields
from annotations.coco.problems import Action, CocoFileError, Problem
from annotations.models import Annotation
from annotations.picturing import StoredPicture, gather
from annotations.report import Report
from annotations.sources import Beside, PictureSource
from assets.models import ImageAsset, Split
from projects.models import Project

Progress = Callable[[str, int, int | None], None]

STEP = 5_000  # records between two signs of progress
LOCK_IMPORT = 0x636F636F  # first half of the advisory lock's key: "coco"
# The parts of a COCO file's name that say what is in it, not which split it is.
TOPICS = re.compile(
    r"^(instances|person_keypoints|keypoints|captions|stuff|panoptic|image_info|labels|_annotations\.coco|_annotations)[_-]?",
    re.IGNORECASE,
)
GENERIC = {"", "annotations", "annotation", "coco", "result", "results", "labels", "data", "default", "dataset"}


@dataclass
class Summary:
    """What is now stored from the file, and what changed by it."""

    split: str = ""
    images: int = 0
    annotations: int = 0
    categories: int = 0
    images_added: int = 0
    images_changed: int = 0
    annotations_added: int = 0
    annotations_changed: int = 0
    images_missing: int = 0
    images_broken: int = 0
    images_absent: int = 0  # stored in the split before, not in this file: left alone
    annotations_absent: int = 0
    pictures: int = 0
    quarantined: int = 0
    repaired: int = 0
    revision: int = 0
    changed: bool = False
    families: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def split_of(path: PurePosixPath | Path) -> str:
    """The split that a COCO file's name or folder tells: `instances_train2017.json` -> `train`."""
    name = path.name.removesuffix(".gz").removesuffix(".json")
    rest = TOPICS.sub("", name)
    if rest.lower() in GENERIC:
        folder = path.parent.name
        rest = folder if TOPICS.match(name) and folder.lower() in ("train", "valid", "val", "test") else "default"
    return (re.sub(r"(?<=[a-z])(19|20)\d\d$", "", rest) or rest)[:100]


def import_file(
    *,
    project: Project,
    path: Path,
    split: str,
    report: Report,
    pictures: PictureSource | None = None,
    look_beside: Path | None = None,
    strict: bool = False,
    progress: Progress = lambda phase, done, total: None,
) -> Summary:
    """Import the COCO file at `path` into a split of the project.

    Pictures come from `pictures`, or are looked for by name below `look_beside`. With `strict`, any record that would
    be quarantined refuses the file. Raises CocoFileError if nothing was imported; `report` then holds what was found.
    """
    progress("reading", 0, None)
    with opened(path) as document:
        run = _Import(project, document, split, report, strict, progress)
        run.read_images()
        if pictures is None and look_beside is not None:
            wanted = [name for name in run.file_names if name]
            pictures = Beside(
                look_beside, wanted, ["images", split, f"images/{split}", *_year_folders(look_beside, split)]
            )
        run.take_pictures(pictures)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])
                run.write(cursor)
        except DataError as error:
            raise CocoFileError(
                "refused_by_database",
                f"PostgreSQL refused a value: {_first_line(error)}. Nothing was imported.",
            ) from error
        return run.summary


def _first_line(error: Exception) -> str:
    cause = error.__cause__
    where = f" ({cause.diag.context})" if isinstance(cause, psycopg.errors.DataError) and cause.diag.context else ""
    return (str(error).splitlines() or [""])[0] + where[:300]


def _year_folders(root: Path, split: str) -> list[str]:
    """Folders such as `train2017` that hold a split's pictures."""
    try:
        return sorted(
            entry.name
            for entry in root.iterdir()
            if entry.is_dir() and re.fullmatch(rf"{re.escape(split)}\d{{4}}", entry.name)
        )
    except OSError:
        return []


class _Import:
    """One run: what is known after each pass."""

    def __init__(
        self, project: Project, document: Document, split: str, report: Report, strict: bool, progress: Progress
    ) -> None:
        self.project = project
        self.document = document
        self.split_name = split
        self.report = report
        self.strict = strict
        self.progress = progress
        self.table = ImageTable()
        self.file_names: list[str | None] = []
        self.pictures: dict[int, StoredPicture] = {}
        self.families: Counter[int] = Counter()
        self.summary = Summary(split=split)
        for problem in document.problems:
            report(problem)

    # --- before the transaction
    def read_images(self) -> None:
        for record in read_images(self.document.images, self.table, self.report):
            self.file_names.append(record.file_name)
        self._refuse_if_strict()

    def take_pictures(self, source: PictureSource | None) -> None:
        if source is None:
            if self.file_names:
                self.report(
                    Problem(
                        "no_pictures_given",
                        Action.KEPT,
                        "$.images",
                        "No pictures were given: only the records were imported.",
                    )
                )
            return
        self.pictures = gather(
            project_id=self.project.pk,
            source=source,
            file_names=self.file_names,
            split=self.split_name,
            table=self.table,
            report=self.report,
            progress=self.progress,
        )
        self.summary.pictures = sum(1 for picture in self.pictures.values() if picture.key)

    def _refuse_if_strict(self) -> None:
        if self.strict and self.report.quarantined:
            worst = self.report.table()[0]
            first = worst["examples"][0]
            raise CocoFileError(
                "strict",
                f"{self.report.quarantined} flaw(s) would leave records out, and the import is strict. "
                f"The first: {first['path']}: {first['message']}",
                path=first["path"],
            )

    # --- inside the transaction
    def write(self, cursor: Any) -> None:
        split, _ = Split.objects.get_or_create(project=self.project, name=self.split_name)
        categories = list(read_categories(self.document.categories, self.report))
        ids = merging.merge_categories(self.project, categories)
        fresh = not ImageAsset.objects.filter(project=self.project, split=split).exists()
        writer = _FreshWriter(self, split, ids, cursor) if fresh else _MergeWriter(self, split, ids, cursor)
        writer.write()
        self._refuse_if_strict()
        changed = merging.merge_documents(
            self.project,
            split,
            [Family(family) for family in sorted(self.families)] or [Family.OBJECT],
            self.document,
            categories,
            ids,
        )
        summary = self.summary
        summary.categories = len(categories)
        summary.images = len(self.table)
        summary.annotations = self.families.total()
        summary.quarantined, summary.repaired = self.report.quarantined, self.report.repaired
        summary.families = [Family(family).name.lower() for family in sorted(self.families)]
        counts = Counter(
            ImageAsset.objects.filter(project=self.project, split=split, status__in=["missing", "broken"]).values_list(
                "status", flat=True
            )
            if not fresh
            else (self.status(row) for row in range(len(self.table)))
        )
        summary.images_missing, summary.images_broken = counts["missing"], counts["broken"]
        summary.changed = bool(
            changed
            or summary.images_added
            or summary.images_changed
            or summary.annotations_added
            or summary.annotations_changed
        )
        summary.revision = self.project.touch() if summary.changed else self.project.revision
        self.progress("finishing", 0, None)

    def status(self, row: int) -> str:
        """What the image in this row of the table is at first."""
        picture = self.pictures.get(row)
        return picture.status if picture else ImageAsset.Status.MISSING

    def annotation_records(self, categories: set[int]) -> Iterator[AnnotationRecord]:
        """Usable annotations, with signs of progress."""
        total = len(self.document.annotations)
        for record in read_annotations(self.document.annotations, self.table, categories, self.report):
            self.families[record.family] += 1
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
                    f"The record says {stated[0]} x {stated[1]}; the stored pixels are {true[0]} x {true[1]}, shown turned.",
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

    def __init__(self, run: _Import, split: Split, categories: dict[int, int], cursor: Any) -> None:
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
        statement = f"COPY {model._meta.db_table} ({before}project_id, split_id, {between}{columns}) FROM STDIN"
        with self.cursor.copy(statement) as copy:
            for piece in rows.batches(lines):
                copy.write(piece)


class _MergeWriter:
    """Writes into a split that has images: by way of staging tables, touching only what differs."""

    def __init__(self, run: _Import, split: Split, categories: dict[int, int], cursor: Any) -> None:
        self.run, self.split, self.categories, self.cursor = run, split, categories, cursor

    def write(self) -> None:
        """Stage all rows, then merge them."""
        run = self.run
        merging.create_staging(self.cursor)
        empty = array("i", bytes(4 * len(run.table)))
        self._copy(f"staged_image ({rows.IMAGE_COLUMNS})", run.image_rows(empty))
        self._copy(
            f"staged_annotation (image_coco_id, category_id, assigned, {rows.ANNOTATION_COLUMNS})", self._annotations()
        )
        run.progress("merging", 0, None)
        merged = merging.merge(self.cursor, self.run.project.pk, self.split.pk, self.split.name, run.report)
        for name, number in merged.items():
            setattr(run.summary, name, number)

    def _annotations(self) -> Iterator[bytes]:
        categories = {coco_id: b"%d" % key for coco_id, key in self.categories.items()}
        ids = self.run.table.ids
        for record in self.run.annotation_records(set(categories)):
            category = rows.NULL if record.category_id is None else categories[record.category_id]
            assigned = b"\tt\t" if record.assigned else b"\tf\t"
            yield b"%d\t" % ids[record.image] + category + assigned + rows.annotation_row(record)

    def _copy(self, target: str, lines: Iterator[bytes]) -> None:
        with self.cursor.copy(f"COPY {target} FROM STDIN") as copy:
            for piece in rows.batches(lines):
                copy.write(piece)
