"""The first step of an export to CVAT: all that it needs, read in one state of the database and put into storage."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.errors import ServiceError
from annotations import query
from annotations.models import Annotation, Category, Kind
from assets import storage
from assets.models import ImageAsset, Split
from exports import services
from exports.models import CvatImage, CvatTask, ExportJob
from exports.packing import ZipAdder, write_package
from exports.rendering import ANNOTATION_JSON, WANTED, Progress, Selection, frozen
from exports.sending.categories import categories_of
from exports.sending.chunking import Chunk, Row, chunks
from exports.sending.options import MAX_NAME, Options
from exports.sending.places import page_of_export
from exports.snapshots import FrozenCategory, Snapshot, line_of
from projects import jobs
from projects.models import Project

ROWS = 2_000  # read or written at a time
TOGETHER = 128 * 1024  # bytes of lines in one row of an answer
SEPARATOR = b"\x1e"


@dataclass
class Frozen:
    """What was frozen, in numbers, for the rows and for people."""

    revision: int
    categories: list[FrozenCategory] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)  # without their images

    @property
    def images(self) -> int:
        """In all tasks, also those that cannot go."""
        return sum(chunk["images"] for chunk in self.chunks)

    @property
    def annotations(self) -> int:
        """In all tasks."""
        return sum(chunk["annotations"] for chunk in self.chunks)


def freeze(job: ExportJob, claim: jobs.Claim) -> ExportJob:
    """Put the snapshot into storage and the rows of the tasks into the database. Does nothing the second time.

    Raises ServiceError if the query chooses no images.
    """
    if job.snapshot_uri:
        return job
    prefix = f"exports/{job.project_id}/{claim.id}/{claim.turn}"
    wanted = services.Wanted.from_snapshot(job.filter_snapshot)
    options = Options.from_snapshot(job.filter_snapshot)
    with tempfile.TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR) as name:
        folder = Path(name)
        found = _write(folder, job.project, wanted, options, claim.progress)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        for number, path in enumerate(paths):
            claim.progress("storing", number, len(paths))
            with path.open("rb") as content:
                storage.put(f"{prefix}/{path.relative_to(folder).as_posix()}", content)
        Snapshot(prefix).write_about(
            {
                "project": job.project_id,
                "revision": found.revision,
                "q": wanted.q,
                "canonical": job.filter_snapshot["canonical"],
                "sources": list(wanted.sources),
                "options": options.as_dict(),
                "taken_at": timezone.now(),
                "categories": [asdict(category) for category in found.categories],
                "tasks": found.chunks,
            }
        )
        _make_rows(job, claim, prefix, found, folder, options)
    return job


def plan(project: Project, wanted: services.Wanted, options: Options) -> Frozen:
    """What an export would make, without making anything: for a dry run. QueryError if it takes too long."""
    with frozen(), query.statement_timeout():
        return _look(services.select(project, wanted), options)


def _look(selection: Selection, options: Options) -> Frozen:
    found = Frozen(_revision(selection.project), categories_of(selection))
    for chunk in chunks(_rows(), options):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {_annotations_of(chunk)}")
            found.chunks.append(_entry(chunk, cursor.fetchone()[0]))
    return found


def _write(folder: Path, project: Project, wanted: services.Wanted, options: Options, progress: Progress) -> Frozen:
    with frozen():
        selection = services.select(project, wanted)
        total = sum(selection.images_by_split.values())
        if not total:
            raise ServiceError("The query chooses no images: there is nothing to send.")
        with zipfile.ZipFile(folder / "coco.zip", "w", allowZip64=True) as archive:
            write_package(selection, ZipAdder(archive), pictures=False, progress=progress)
        found = Frozen(_revision(project), categories_of(selection))
        done = 0
        for chunk in chunks(_rows(), options):
            progress("freezing", done, total)
            with ExitStack() as stack:
                files = []
                for key in (Snapshot.images_key(chunk.number), Snapshot.annotations_key(chunk.number)):
                    path = folder / key
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files.append(stack.enter_context(path.open("wb")))
                files[0].writelines(line_of(image) for image in chunk.images)
                count = 0
                for line in _annotation_lines(chunk):
                    files[1].write(line)
                    count += 1
            found.chunks.append(_entry(chunk, count))
            done += len(chunk.images)
        progress("freezing", done, total)
    return found


def _entry(chunk: Chunk, annotations: int) -> dict[str, Any]:
    return {
        "number": chunk.number,
        "split": chunk.split,
        "split_id": chunk.split_id,
        "images": len(chunk.images),
        "left_out": sum(1 for image in chunk.images if image.problem),
        "annotations": annotations,
        "bytes": sum(image.size_bytes for image in chunk.images if not image.problem),
    }


def _revision(project: Project) -> int:
    return Project.objects.values_list("revision", flat=True).get(pk=project.pk)


def _rows() -> Iterator[Row]:
    """The chosen images, split by split in the order of their files."""
    # A cursor on the server: other statements run between two of its pages.
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT i.id, i.version, i.coco_id, i.split_id, s.name, i.file_name, i.uri, i.checksum, i.format, "
            "COALESCE(i.size_bytes, 0), i.width, i.height FROM chosen_image "
            f"JOIN {ImageAsset._meta.db_table} i USING (id) JOIN {Split._meta.db_table} s ON s.id = i.split_id "
            "ORDER BY i.split_id, i.position, i.id"
        )
        while rows := cursor.fetchmany(ROWS):
            yield from (Row(*row) for row in rows)


def _annotations_of(chunk: Chunk) -> str:
    """SQL: the annotations of a task's images that are to go."""
    ids = ",".join(str(int(image.asset)) for image in chunk.images)
    return (
        f"FROM {Annotation._meta.db_table} a WHERE a.image_id IN ({ids}) AND a.kind = {int(Kind.OBJECT)} AND {WANTED}"
    )


def _annotation_lines(chunk: Chunk) -> Iterator[bytes]:
    """The lines of a task's annotations, put together by PostgreSQL so that the records keep their numbers."""
    # Ids count within a split: where there are several, they say which.
    key = "a.coco_id::text" if chunk.split_id is not None else "a.coco_id || '@' || a.split_id"
    line = (
        f'\'{{"key":"\' || {key} || \'","annotation":\' || a.id || \',"version":\' || a.version '
        "|| ',\"image\":' || a.image_id || ',\"category\":' || COALESCE(a.category_id::text, 'null') "
        f"|| ',\"record\":' || {ANNOTATION_JSON} || '}}'"
    )
    numbered = (
        f"SELECT {line} AS line, row_number() OVER (ORDER BY a.split_id, a.position, a.id) AS n "
        f"FROM (SELECT a.* {_annotations_of(chunk)}) a JOIN {ImageAsset._meta.db_table} i ON i.id = a.image_id "
        f"LEFT JOIN {Category._meta.db_table} c ON c.id = a.category_id"
    )
    # Many in each row that comes, for each row costs; JSON has no such character unescaped.
    statement = (
        f"SELECT string_agg(line, chr({SEPARATOR[0]}) ORDER BY n) FROM ("
        f"SELECT line, n, sum(octet_length(line)) OVER (ORDER BY n) / {TOGETHER} AS part FROM ({numbered}) numbered"
        ") parted GROUP BY part ORDER BY part"
    )
    with connection.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT") as copy:
        for row in copy:
            text = bytes(row).rstrip(b"\n")
            text = text.replace(b"\\\\", b"\\") if b"\\" in text else text
            for own in text.split(SEPARATOR):
                yield own + b"\n"


@transaction.atomic
def _make_rows(job: ExportJob, claim: jobs.Claim, prefix: str, found: Frozen, folder: Path, options: Options) -> None:
    """All at once with the word that the snapshot is whole."""
    CvatTask.objects.filter(job=job).delete()
    title = options.name or job.project.name[:MAX_NAME]
    for entry in found.chunks:
        number = entry["number"]
        task = CvatTask.objects.create(
            project=job.project,
            job=job,
            number=number,
            split_id=entry["split_id"],
            name=_task_name(title, entry["split"], number, len(found.chunks), job),
            back_link=back_link(job, claim, number),
            images=entry["images"],
            annotations=entry["annotations"],
        )
        _make_images(task, folder / Snapshot.images_key(number))
    job.snapshot_uri = prefix
    job.payload_uri = f"{prefix}/coco.zip"
    job.filter_snapshot = {
        **job.filter_snapshot,
        "revision": found.revision,
        "images": found.images,
        "annotations": found.annotations,
    }
    job.save(update_fields=["snapshot_uri", "payload_uri", "filter_snapshot"])
    claim.confirm()


def _make_images(task: CvatTask, path: Path) -> None:
    with path.open("rb") as lines:
        rows = (
            CvatImage(
                project_id=task.project_id,
                task=task,
                asset_id=image["asset"],
                place=place,
                name=image["name"],
                problem=image["problem"],
            )
            for place, image in enumerate(map(orjson.loads, lines))
        )
        while batch := list(islice(rows, ROWS)):
            CvatImage.objects.bulk_create(batch)


def _task_name(title: str, split: str, number: int, count: int, job: ExportJob) -> str:
    part = f" {number}/{count}" if count > 1 else ""
    return f"{title}{f' {split[:60]}' if split else ''} #{job.pk}{part}"


def back_link(job: ExportJob, claim: jobs.Claim, number: int) -> str:
    """The address of the export's page, with what makes it this task's alone; CVAT finds tasks by it."""
    return f"{page_of_export(job.project_id, job.pk)}?cvat={claim.id.hex}-{number}"
