"""What machines have found: COCO results files, lists of {image_id, category_id, bbox | segmentation, score}.

They become annotations that are marked as machine-made and carry the name of their source, beside what people have
drawn. They are numbered far above all other ids, so that no later file of people's work can mean the same ids.
Importing the same file for the same source again changes nothing; another file replaces what the source had said.
https://cocodataset.org/#format-results
"""

import gzip
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction

from accounts.errors import ServiceError
from annotations import rows, statistics
from annotations.coco.annotations import AnnotationRecord, read_annotations
from annotations.coco.document import Document, opened
from annotations.coco.images import ImageTable
from annotations.coco.problems import Action, CocoFileError, Problem, Reporter
from annotations.importing import LOCK_IMPORT
from annotations.machines import split_named
from annotations.merging import RECOUNT
from annotations.models import Annotation, Category, DocumentCategory
from annotations.one_file import STEP, Progress
from annotations.report import Report
from assets.models import ImageAsset, Split
from projects.models import Project

FIRST_ID = 2**52  # of a prediction: above what files use, and exact in every language's numbers
MAX_SOURCE = 100  # characters
# What a detection need not have.
EXPECTED = {"id_missing", "iscrowd_missing", "area_missing"}
HEAD, TAIL = b'{"images": [], "annotations": ', b"}"

STAGING = """
    DROP TABLE IF EXISTS pg_temp.staged_prediction, pg_temp.kept_prediction;
    CREATE TEMP TABLE staged_prediction (
        image_id bigint, category_id bigint, coco_id bigint, coco_key text, kind smallint, position bigint, bbox jsonb,
        area numeric, iscrowd smallint, segmentation jsonb, keypoints jsonb, num_keypoints int, attributes jsonb,
        score numeric, extra jsonb, issues text[]
    ) ON COMMIT DROP
"""
SAME = "image_id, category_id, bbox, area, iscrowd, segmentation, keypoints, num_keypoints, attributes, score, extra"
OURS = """
    project_id = %(project)s AND split_id = %(split)s AND kind = 0 AND is_machine AND source = %(source)s
"""
# Rows that both have, as often as both have them, stay as they are.
KEPT = f"""
    CREATE TEMP TABLE kept_prediction ON COMMIT DROP AS
    SELECT stored.id, staged.place FROM (
        SELECT id, {SAME}, row_number() OVER (PARTITION BY {SAME} ORDER BY coco_id) AS turn
        FROM annotations_annotation WHERE {OURS}
    ) stored JOIN (
        SELECT ctid AS place, {SAME}, row_number() OVER (PARTITION BY {SAME} ORDER BY position) AS turn
        FROM staged_prediction
    ) staged ON stored.image_id = staged.image_id AND stored.turn = staged.turn
        AND ({", ".join(f"stored.{name.strip()}" for name in SAME.split(","))})
            IS NOT DISTINCT FROM ({", ".join(f"staged.{name.strip()}" for name in SAME.split(","))})
"""  # noqa: S608 - our own words
REMOVE = f"""
    DELETE FROM annotations_annotation a
    WHERE {OURS} AND NOT EXISTS (SELECT FROM kept_prediction k WHERE k.id = a.id)
"""  # noqa: S608
ADD = f"""
    INSERT INTO annotations_annotation
        (project_id, split_id, kind, coco_id, position, source, is_machine, issues, {SAME})
    SELECT %(project)s, %(split)s, 0, numbers.last + fresh.turn, numbers.last + fresh.turn, %(source)s, true,
        issues, {SAME}
    FROM (
        SELECT *, row_number() OVER (ORDER BY position) AS turn FROM staged_prediction s
        WHERE NOT EXISTS (SELECT FROM kept_prediction k WHERE k.place = s.ctid)
    ) fresh, (
        SELECT GREATEST({FIRST_ID - 1}, max(coco_id)) AS last FROM annotations_annotation
        WHERE project_id = %(project)s AND split_id = %(split)s AND kind = 0 AND coco_id < {2**62}
    ) numbers
"""  # noqa: S608


@dataclass
class Predicted:
    """What a results file did."""

    split: str = ""
    source: str = ""
    annotations: int = 0  # in the file, usable
    scored: int = 0  # of them
    annotations_added: int = 0
    annotations_removed: int = 0
    annotations_unchanged: int = 0
    images: int = 0  # that have some of them
    quarantined: int = 0
    repaired: int = 0
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_source(name: str) -> None:
    """Raise ServiceError for what cannot be the name of a source."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > MAX_SOURCE:
        text = f"Say what made the predictions: a name such as yolo-v9, {MAX_SOURCE} characters at most."
        raise ServiceError(text, fields={"source": [text]})


def import_predictions(
    *,
    project: Project,
    path: Path,
    source: str,
    report: Report,
    split: str = "",
    strict: bool = False,
    name: str = "",
    progress: Progress = lambda phase, done, total: None,
    before_commit: Callable[[Predicted], None] = lambda summary: None,
) -> Predicted:
    """Import a results file into a split that is there already: all of it or nothing.

    `split` may be left out where the project has one. Detections of images or categories that the split does not have
    are quarantined. `name` is what people call the file. Raises ServiceError.
    """
    check_source(source)
    place = split_named(project, split)
    progress("reading", 0, None)
    summary = Predicted(split=place.name, source=source)
    with opened_results(path, name) as document, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])
        for problem in document.problems:
            report(problem)
        table, keys = _images(place)
        categories = _categories(place)
        cursor.execute(STAGING)
        told = _without(report, EXPECTED)
        records = read_annotations(document.annotations, table, set(categories), told)
        rows.copy_in(
            cursor,
            f"staged_prediction (image_id, category_id, {rows.ANNOTATION_COLUMNS})",
            _lines(records, keys, categories, len(document.annotations), progress, summary, report),
        )
        if summary.annotations and not summary.scored:
            raise CocoFileError(
                "no_scores",
                f"None of the {summary.annotations:,} detections has a score: they look like the work of people. "
                "Import them as COCO, or give each a score.",
            )
        if strict and report.quarantined:
            first = report.table()[0]["examples"][0]
            raise CocoFileError(
                "strict", f"{report.quarantined} flaw(s), the first: {first['path']}: {first['message']}"
            )
        _merge(cursor, {"project": project.pk, "split": place.pk, "source": source}, progress, summary)
        if summary.annotations_added or summary.annotations_removed:
            statistics.renew(cursor, {Annotation: summary.annotations_added})
            cursor.execute(RECOUNT, {"project": project.pk, "splits": [place.pk]})
            summary.revision = project.touch()
        summary.quarantined, summary.repaired = report.quarantined, report.repaired
        progress("finishing", 0, None)
        before_commit(summary)
    return summary


def _merge(cursor: Any, keys: dict[str, Any], progress: Progress, summary: Predicted) -> None:
    # What was written lately has no statistics, and a join row by row of what seems to be few would never end.
    cursor.execute("ANALYZE staged_prediction; SET LOCAL enable_nestloop = off")
    for statement, counted in ((KEPT, "unchanged"), (REMOVE, "removed"), (ADD, "added")):
        progress("merging", 0, None)
        cursor.execute(statement, keys)
        setattr(summary, f"annotations_{counted}", int(cursor.rowcount))
    cursor.execute("SET LOCAL enable_nestloop = on")
    cursor.execute("SELECT count(DISTINCT image_id) FROM staged_prediction")
    summary.images = cursor.fetchone()[0]


def _lines(
    records: Iterator[AnnotationRecord],
    keys: "array[int]",
    categories: dict[int, int],
    total: int,
    progress: Progress,
    summary: Predicted,
    report: Reporter,
) -> Iterator[bytes]:
    for record in records:
        if record.score is None:
            report(Problem("score_missing", Action.KEPT, f"$.annotations[{record.index}]", "It has no 'score'."))
        else:
            summary.scored += 1
            if not 0 <= float(record.score) <= 1:
                told = f"The score is {record.score.decode()}; expected 0 to 1."
                report(Problem("score_odd", Action.KEPT, f"$.annotations[{record.index}].score", told))
        if record.index % STEP == 0:
            progress("predictions", record.index, total)
        summary.annotations += 1
        category = rows.NULL if record.category_id is None else b"%d" % categories[record.category_id]
        yield b"%d\t" % keys[record.image] + category + b"\t" + rows.annotation_row(record)


def _without(report: Reporter, codes: set[str]) -> Reporter:
    def tell(problem: Problem) -> None:
        if problem.code not in codes:
            report(problem)

    return tell


def _images(split: Split) -> tuple[ImageTable, "array[int]"]:
    """The split's images by their COCO ids, and their keys by row."""
    table, keys = ImageTable(), array("q")
    found = ImageAsset.objects.filter(project=split.project_id, split=split).order_by("pk")
    for key, coco_id, width, height in found.values_list("pk", "coco_id", "width", "height").iterator():
        table.rows[coco_id] = len(keys)
        table.widths.append(width or 0)
        table.heights.append(height or 0)
        table.ids.append(coco_id)
        keys.append(key)
    return table, keys


def _categories(split: Split) -> dict[int, int]:
    """{COCO id: key}: those that the split's documents list, and others of the project whose id means one class."""
    listed = DocumentCategory.objects.filter(document__split=split, document__project=split.project_id)
    found = dict(listed.order_by("-document__kind").values_list("category__coco_id", "category_id"))
    others: dict[int, list[int]] = {}
    for coco_id, key in Category.objects.filter(project=split.project_id).values_list("coco_id", "pk"):
        others.setdefault(coco_id, []).append(key)
    return {**{coco_id: keys[0] for coco_id, keys in others.items() if len(keys) == 1}, **found}


# --- Reading ----------------------------------------------------------------------------------------------------------


@contextmanager
def opened_results(path: Path, name: str = "") -> Iterator[Document]:
    """A results file, JSON or gzip of it, as a document with nothing but annotations.

    A whole COCO file is taken too: its annotations are the detections. `name` is what people call the file. Raises
    CocoFileError.
    """
    name = name or path.name
    with tempfile.TemporaryDirectory() as folder, _unpacked(path) as source:
        start = source.read(4096).removeprefix(b"\xef\xbb\xbf")
        if not start.lstrip().startswith(b"["):
            with opened(path, name) as document:
                if "annotations" not in document.layout:
                    found = ", ".join(map(repr, document.layout)) or "nothing"
                    raise CocoFileError(
                        "no_detections",
                        f"{name} is an object with {found}; expected a list of detections, or an object that has them "
                        "as 'annotations'.",
                    )
                yield document
            return
        wrapped = Path(folder, path.name)
        with wrapped.open("wb") as target:
            target.write(HEAD + start)
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.write(TAIL)
        try:
            with opened(wrapped, name) as document:
                yield document
        except CocoFileError as error:
            if error.code != "bad_json" or error.offset is None:
                raise
            at = max(0, error.offset - len(HEAD))
            raise CocoFileError("bad_json", f"{name} is not valid JSON: it breaks at byte {at:,}.", offset=at) from None


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, or those that gzip holds. Raises CocoFileError where gzip cannot be unpacked."""
    with path.open("rb") as given:
        if given.read(2) != b"\x1f\x8b":
            given.seek(0)
            yield given
            return
    try:
        with gzip.open(path) as packed:
            yield packed  # type: ignore[misc]
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CocoFileError("bad_gzip", f"{path.name} begins like gzip but cannot be unpacked ({error}).") from error
