"""Pictures that come later than their records: matched by the same rules as in an import, and stored."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from annotations import quality
from annotations.coco.images import ImageTable
from annotations.coco.problems import Action, Problem
from annotations.importing import LOCK_IMPORT
from annotations.matching import match
from annotations.one_file import Progress
from annotations.picturing import PictureCache, StoredPicture, gather
from annotations.report import Report
from annotations.sources import PictureSource
from assets.models import ImageAsset, Split
from assets.thumbnails import BROKEN
from projects.models import Project

BATCH = 5_000  # rows changed by one statement
WITHOUT = Q(uri="") | Q(status=ImageAsset.Status.BROKEN)  # images that have no good picture, approved or not


@dataclass
class Added:
    """What became of pictures that were added."""

    pictures: int = 0  # files that were taken and stored
    images_with_picture: int = 0  # records that got one of them
    images_changed: int = 0
    images_missing: int = 0  # still
    images_broken: int = 0
    sizes_changed: int = 0
    boxes_judged: int = 0  # that lie outside of their images by the new sizes, or do not any more
    quarantined: int = 0
    repaired: int = 0
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class _Row:
    key: int
    position: int
    file_name: str | None
    width: int | None
    height: int | None
    status: str
    checksum: str
    split: str
    is_resized: bool = False


def add_pictures(
    *,
    project: Project,
    pictures: PictureSource,
    report: Report,
    split: str = "",
    progress: Progress = lambda phase, done, total: None,
    before_commit: Callable[[Added], None] = lambda added: None,
) -> Added:
    """Give pictures to images that have none (missing, or broken), in one split or in all: all of them or nothing.

    A picture's own size counts where the record says another, and boxes are judged by it again. What fits nothing goes
    to `report`, and so does what is broken: its images are then.
    """
    progress("reading", 0, None)
    cache: PictureCache = {}
    added = Added()
    chosen = Split.objects.filter(project=project, **({"name": split} if split else {})).order_by("pk")
    changes: list[tuple[_Row, StoredPicture, list[str]]] = []
    for one in chosen:
        rows = [
            _Row(*values)
            for values in ImageAsset.objects.filter(WITHOUT, project=project, split=one)
            .order_by("position", "pk")
            .values_list("pk", "position", "file_name", "width", "height", "status", "checksum", "split__name")
        ]
        table = ImageTable()
        table.indexes.extend(row.position for row in rows)
        told = report.labelled(one.name)
        found = gather(
            project_id=project.pk,
            source=pictures,
            file_names=[row.file_name for row in rows],
            split=one.name,
            table=table,
            report=told,
            progress=progress,
            cache=cache,
        )
        for number, picture in found.items():
            row = rows[number]
            if picture.flaw and row.status == ImageAsset.Status.BROKEN and picture.checksum in ("", row.checksum):
                continue  # that is known
            issues = _settle(row, picture, told, added)
            changes.append((row, picture, [*issues, BROKEN] if picture.flaw else issues))
    _tell_left_over(project, pictures, cache, report)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])
        for start in range(0, len(changes), BATCH):
            progress("images", start, len(changes))
            added.images_changed += _write(cursor, project, changes[start : start + BATCH])
        _judge_boxes(cursor, [row for row, _, _ in changes if row.is_resized], report, added)
        for one in chosen:
            quality.flag_images(cursor, project.pk, one.pk)
        if added.images_changed:
            added.revision = project.touch()
        stored = [picture.name for _, picture, _ in changes if picture.key]
        added.pictures, added.images_with_picture = len(set(stored)), len(stored)
        here = ImageAsset.objects.filter(project=project, split__in=chosen)
        added.images_missing = here.filter(status=ImageAsset.Status.MISSING).count()
        added.images_broken = here.filter(status=ImageAsset.Status.BROKEN).count()
        added.quarantined, added.repaired = report.quarantined, report.repaired
        progress("finishing", 0, None)
        before_commit(added)
    return added


def _settle(row: _Row, picture: StoredPicture, report: Callable[[Problem], None], added: Added) -> list[str]:
    """Compare the record's size with the picture's; the row gets the size that counts. Gives the image's issues."""
    if not picture.format:
        return []
    stated, true = (row.width, row.height), (picture.width, picture.height)
    if stated == true:
        return []
    path = f"$.images[{row.position}]"
    if picture.turned and stated == true[::-1]:
        told = f"The record says {stated[0]} x {stated[1]}; the pixels are {true[0]} x {true[1]}, shown turned."
        report(Problem("size_turned", Action.KEPT, path, told))
        return ["size_turned"]
    row.width, row.height = true
    row.is_resized = True
    added.sizes_changed += 1
    if not stated[0] or not stated[1]:
        told = f"The record has no size: {true[0]} x {true[1]} was read from the picture."
        report(Problem("size_filled_in", Action.REPAIRED, path, told))
        return []
    told = f"The record says {stated[0]} x {stated[1]}, the picture has {true[0]} x {true[1]}: the picture counts."
    report(Problem("size_differs", Action.REPAIRED, path, told))
    return ["size_differs"]


def _judge_boxes(cursor: Any, rows: list[_Row], report: Report, added: Added) -> None:
    """Boxes were judged by the sizes that the records told."""
    splits = {row.key: row.split for row in rows}
    for start in range(0, len(rows), BATCH):
        for box in quality.judge_boxes(cursor, [row.key for row in rows[start : start + BATCH]]):
            added.boxes_judged += 1
            if box.outside:
                told = f"The box of annotation {box.coco_id} reaches beyond its {box.width} x {box.height} image."
                path = f"$.annotations[{box.position}].bbox"
                report.labelled(splits[box.image_id])(Problem("bbox_outside", Action.KEPT, path, told))


def _write(cursor: Any, project: Project, changes: list[tuple[_Row, StoredPicture, list[str]]]) -> int:
    columns = zip(
        *(
            (
                row.key, picture.key, picture.checksum, picture.format, picture.size_bytes if picture.key else None,
                row.width, row.height, picture.status, ",".join(issues),
            )
            for row, picture, issues in changes
        ),
        strict=True,
    )  # fmt: skip
    cursor.execute(
        """
        UPDATE assets_imageasset a SET uri = n.uri, checksum = n.checksum, format = n.format,
            size_bytes = n.size_bytes, width = n.width, height = n.height, thumbnail_uri = '',
            status = CASE WHEN a.status IN ('missing', 'broken') THEN n.status ELSE a.status END,
            metadata = CASE WHEN n.uri = '' THEN a.metadata ELSE a.metadata - ARRAY['width', 'height'] END,
            issues = array(SELECT DISTINCT unnest(array_remove(a.issues, 'file_broken')
                || string_to_array(NULLIF(n.issues, ''), ',')) ORDER BY 1),
            version = a.version + 1, updated_at = now()
        FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::int[], %s::int[],
                %s::text[], %s::text[])
            AS n (id, uri, checksum, format, size_bytes, width, height, status, issues)
        WHERE a.id = n.id AND a.project_id = %s AND (a.uri = '' OR a.status = 'broken')
        """,
        [*map(list, columns), project.pk],
    )
    return int(cursor.rowcount)


def _tell_left_over(project: Project, pictures: PictureSource, cache: PictureCache, report: Report) -> None:
    """Pictures that were not taken: their images have one already, or there is no such image."""
    left = [name for name in pictures.names() if name not in cache]
    served: set[str] = set()
    if left:
        named = ImageAsset.objects.filter(project=project).exclude(WITHOUT).exclude(file_name=None)
        names = list(named.values_list("file_name", flat=True).distinct())
        served = set(match([name for name in names if name], left).found.values())
    for name in left:
        if name in served:
            told = "The image has a picture already: it was left alone."
            report(Problem("picture_not_needed", Action.KEPT, name, told))
        else:
            report(Problem("unreferenced_picture", Action.KEPT, name, "No image record has this picture: not stored."))
    for problem in pictures.notes:
        report(problem)
