"""COCO files into a project: all of them or nothing, by COPY, the same files twice change nothing.

Pass 1 reads the image records; then pictures are stored (under their checksums, so a failed import leaves nothing
wrong); then one transaction writes categories, annotations and images.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg.errors
from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Count

from annotations import statistics
from annotations.coco.document import opened
from annotations.coco.problems import Action, CocoFileError, Problem
from annotations.one_file import SHOWN, FileImport, FileToImport, Progress, Summary
from annotations.picturing import PictureCache, StoredPicture
from annotations.report import Report
from annotations.sources import PictureSource
from assets.models import ImageAsset
from projects.models import Project

# What PostgreSQL says of a value beyond its limits.
TOO_MUCH = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
LOCK_IMPORT = 0x636F636F  # first half of the advisory lock's key: "coco"

ADDED_UP = tuple(
    name
    for name, kind in Summary.__annotations__.items()
    if kind is int and name not in ("revision", "quarantined", "repaired")
)


@dataclass
class Outcome:
    """What an import of one or more files did: per file, and over all."""

    files: list[Summary] = field(default_factory=list)
    total: Summary = field(default_factory=Summary)


def import_files(
    *,
    project: Project,
    files: Sequence[FileToImport],
    report: Report,
    pictures: PictureSource | None = None,
    strict: bool = False,
    problems: Iterable[Problem] = (),
    progress: Progress = lambda phase, done, total: None,
    before_commit: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Import COCO files into their splits: all of them or nothing.

    Pictures come from `pictures`; without them only records are imported. With `strict`, a record that would be
    quarantined refuses everything. `problems` are known before: files that are left out. `before_commit` is called at
    the end of the transaction. Raises ServiceError (CocoFileError, Conflict) if nothing was imported; `report` then
    holds what was found.
    """
    progress("reading", 0, None)
    for problem in problems:
        report(problem)
    cache: PictureCache = {}
    with ExitStack() as stack:
        runs = []
        for file in files:
            document = stack.enter_context(opened(file.path, file.name))
            run = FileImport(project, document, file, report, strict, progress)
            runs.append(run)
            run.read_images()
        for run in runs:
            run.take_pictures(pictures, cache)
        if pictures is not None:
            _tell_left_over(pictures, cache, report)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])
                new = statistics.NewRows()
                for run in runs:
                    run.write(cursor, new)
                outcome = _outcome(runs, report, cache)
                _check_keys_now(cursor, progress)
                outcome.total.revision = project.touch() if outcome.total.changed else project.revision
                progress("finishing", 0, None)
                before_commit(outcome)
        except (DataError, OperationalError) as error:
            if isinstance(error, OperationalError) and not isinstance(error.__cause__, TOO_MUCH):
                raise  # the server is unwell, not the file
            raise CocoFileError(
                "refused_by_database", f"PostgreSQL refused a value: {_first_line(error)}. Nothing was imported."
            ) from error
        return outcome


def _check_keys_now(cursor: Any, progress: Progress) -> None:
    """Have foreign keys checked before the project's row is locked: for millions of rows that takes a while.

    Left to the commit, everybody who writes to the project would wait for it, and nothing could be cancelled.
    """
    progress("checking", 0, None)
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    progress("checking", 1, 1)


def _tell_left_over(pictures: PictureSource, cache: PictureCache, report: Report) -> None:
    """Pictures that no record named, and files that the source passed over."""
    for name in pictures.names():
        if name not in cache:
            report(Problem("unreferenced_picture", Action.KEPT, name, "No image record has this picture: not stored."))
    for problem in pictures.notes:
        report(problem)


def _outcome(runs: list[FileImport], report: Report, cache: PictureCache) -> Outcome:
    """Sums over the files; what several files say of one image or annotation counts once."""
    total = Summary()
    images: set[tuple[str, int]] = set()
    pictured: set[tuple[str, int]] = set()
    annotations: dict[tuple[str, int], set[int]] = {}
    for run in runs:
        for name in ADDED_UP:
            setattr(total, name, getattr(total, name) + getattr(run.summary, name))
        total.changed = total.changed or run.summary.changed
        if len(runs) > 1:
            images.update((run.split_name, coco_id) for coco_id in run.table.ids)
            pictured.update((run.split_name, run.table.ids[row]) for row, one in run.pictures.items() if one.key)
            for family in run.families:
                annotations.setdefault((run.split_name, family), set()).update(run.seen.of(family))
    if len(runs) > 1:
        total.images = len(images)
        total.annotations = sum(map(len, annotations.values()))
        total.categories = len({key for run in runs for key in run.category_keys})
        total.pictures = sum(1 for picture in cache.values() if isinstance(picture, StoredPicture) and picture.key)
        total.images_with_picture = len(pictured)
        total.images_absent = total.annotations_absent = 0  # one file is silent on what another tells
        unfit = ImageAsset.objects.filter(
            project=runs[0].project,
            split__name__in={run.split_name for run in runs},
            status__in=[ImageAsset.Status.MISSING, ImageAsset.Status.BROKEN],
        )
        statuses = dict(unfit.values_list("status").annotate(number=Count("pk")))
        total.images_missing, total.images_broken = statuses.get("missing", 0), statuses.get("broken", 0)
    total.split = ", ".join(dict.fromkeys(run.split_name for run in runs))
    total.issues = dict(sum((Counter(run.summary.issues) for run in runs), Counter()))
    unused = {key: name for run in runs for key, name in run.unused.items()}
    used = {key for run in runs for key in run.category_keys - run.unused.keys() if run.families.total()}
    total.unused_categories = sorted(name for key, name in unused.items() if key not in used)[:SHOWN]
    total.families = list(dict.fromkeys(name for run in runs for name in run.summary.families))
    total.quarantined, total.repaired = report.quarantined, report.repaired
    return Outcome([run.summary for run in runs], total)


def _first_line(error: Exception) -> str:
    cause = error.__cause__
    where = f" ({cause.diag.context})" if isinstance(cause, psycopg.Error) and cause.diag.context else ""
    return (str(error).splitlines() or [""])[0] + where[:300]
