"""Whether storage and rows agree: files that nobody refers to, and rows whose file is missing or is another one.

Where files lie is said in assets/storage.py. A file is left alone until it is old: what a running job has just stored
is referred to only once its transaction commits. Of a project in which an import runs nothing is deleted: the import
may be about to refer to a picture that an earlier one has left.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotations.models import ImportJob, ResumableUpload
from assets import shelves, storage
from assets.models import ImageAsset
from assets.shelves import Stored
from exports.models import ExportJob
from projects.models import Project, Task

BATCH = 1_000  # keys asked for at once
YOUNG = timedelta(hours=24)  # a file younger than this may be about to be referred to
UUID_TEXT = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

Progress = Callable[[str, int, int | None], None]
Referred = Callable[[int, Sequence[re.Match[str]]], set[str]]


@dataclass(frozen=True)
class Area:
    """One kind of files: how their keys look, and which of some keys of a project rows refer to."""

    name: str
    pattern: re.Pattern[str]
    referred: Referred


def _images(project: int, found: Sequence[re.Match[str]]) -> set[str]:
    rows = ImageAsset.objects.filter(project=project, checksum__in=[match["checksum"] for match in found])
    return set(rows.values_list("uri", flat=True))


def _thumbnails(project: int, found: Sequence[re.Match[str]]) -> set[str]:
    rows = ImageAsset.objects.filter(project=project, checksum__in=[match["checksum"] for match in found])
    return set(rows.values_list("thumbnail_uri", flat=True))


def _exports(project: int, found: Sequence[re.Match[str]]) -> set[str]:
    # Each turn at an export writes under a name of its own; which one counts, the row says when it has ended.
    tasks = {UUID(match["task"]) for match in found}
    jobs = ExportJob.objects.filter(project=project, task__in=tasks)
    known = jobs.filter(task__in=Task.objects.unfinished()).values_list("task_id", flat=True)
    kept = _of(found, "task", set(map(str, known)))
    places = dict.fromkeys(jobs.values_list("payload_uri", "snapshot_uri"))
    files = {payload for payload, _ in places}
    folders = tuple(f"{snapshot}/" for _, snapshot in places if snapshot)
    return kept | {match.string for match in found if match.string in files or match.string.startswith(folders)}


def _logs(project: int, found: Sequence[re.Match[str]]) -> set[str]:
    # One that was done again without a flaw has no report any more; one that runs may have stored its own just now.
    tasks = Task.objects.filter(pk__in=[match["task"] for match in found])
    known = tasks.filter(~Q(log="") | Q(pk__in=Task.objects.unfinished())).values_list("pk", flat=True)
    return _of(found, "task", set(map(str, known)))


def _uploads(project: int, found: Sequence[re.Match[str]]) -> set[str]:
    known = set()
    for folder in {match["id"] for match in found}:
        prefix = storage.upload_key(project, folder, "")
        of_import = Q(upload_uri__startswith=prefix) | Q(images_uri__startswith=prefix)
        is_kept = ImportJob.objects.filter(of_import, project=project).exists()
        if is_kept or (_is_uuid(folder) and ResumableUpload.objects.filter(project=project, pk=folder).exists()):
            known.add(folder)
    return _of(found, "id", known)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _of(found: Sequence[re.Match[str]], name: str, known: set[str]) -> set[str]:
    return {match.string for match in found if match[name] in known}


CONTENT = r"(?P<project>\d+)/[0-9a-f]{2}/(?P<checksum>[0-9a-f]{64})\.\w+"
AREAS = (
    Area("images", re.compile(f"images/{CONTENT}"), _images),
    Area("thumbnails", re.compile(f"thumbnails/{CONTENT}"), _thumbnails),
    Area("exports", re.compile(rf"exports/(?P<project>\d+)/(?P<task>{UUID_TEXT})[./].*"), _exports),
    Area("uploads", re.compile(r"uploads/(?P<project>\d+)/(?P<id>[0-9a-f-]+)/.*"), _uploads),
    Area("logs", re.compile(rf"logs/(?P<task>{UUID_TEXT})\.json"), _logs),
)


# What a process that was killed while it wrote to a local disk has left (`assets.storage.LocalStorage`).
DRAFT = re.compile(r"(?:(?:images|thumbnails|exports|uploads)/(?P<project>\d+)|logs)/(?:.*/)?\.[^/]+\.[0-9a-f]{12}")


@dataclass(frozen=True)
class Orphan:
    """A file that no row refers to."""

    stored: Stored
    project: int  # 0 for reports


def orphans(*, now: datetime | None = None, progress: Progress = lambda phase, done, total: None) -> Iterator[Orphan]:
    """Old files that no row refers to. What does not look like ours is not looked at."""
    old = (now or timezone.now()) - YOUNG
    for area in AREAS:
        seen, waiting = 0, defaultdict[int, list[tuple[Stored, re.Match[str]]]](list)
        for stored in shelves.below(f"{area.name}/"):
            seen += 1
            if seen % BATCH == 0:
                progress(area.name, seen, None)
            if stored.modified > old:
                continue
            if draft := DRAFT.fullmatch(stored.key):
                yield Orphan(stored, int(draft["project"] or 0))
                continue
            match = area.pattern.fullmatch(stored.key)
            if match is None:
                continue
            project = int(match.groupdict().get("project") or 0)
            waiting[project].append((stored, match))
            if len(waiting[project]) >= BATCH:
                yield from _unreferred(area, project, waiting.pop(project))
        for project, found in waiting.items():
            yield from _unreferred(area, project, found)


def _unreferred(area: Area, project: int, found: Sequence[tuple[Stored, re.Match[str]]]) -> Iterator[Orphan]:
    referred = area.referred(project, [match for _, match in found])
    for stored, _ in found:
        if stored.key not in referred:
            yield Orphan(stored, project)


def delete_orphans(*, now: datetime | None = None, most: int = 100_000) -> tuple[int, int]:
    """Delete old files that no row refers to; how many files and bytes. At most so many at once."""
    files = size = 0
    by_project = defaultdict[int, list[Orphan]](list)
    for orphan in orphans(now=now):
        by_project[orphan.project].append(orphan)
        if sum(map(len, by_project.values())) >= most:
            break
    for project, found in by_project.items():
        for start in range(0, len(found), BATCH):
            for orphan in _delete(project, found[start : start + BATCH], now):
                files, size = files + 1, size + orphan.stored.size
    return files, size


@transaction.atomic
def _delete(project: int, found: Sequence[Orphan], now: datetime | None) -> list[Orphan]:
    """Delete those that are still unreferred. Whoever begins an import waits for the project's row until it is done."""
    held = Project.objects.select_for_update().filter(pk=project).first()
    unfinished = Task.objects.unfinished().filter(kind__in=[Task.Kind.IMPORT, Task.Kind.EXPORT])
    if held is not None and unfinished.filter(project=project).exists():
        return []
    old = (now or timezone.now()) - YOUNG
    gone = [one for one in found if DRAFT.fullmatch(one.stored.key) and one.stored.modified <= old]
    for one in gone:
        default_storage.delete(one.stored.key)
    rest = [one.stored for one in found if not DRAFT.fullmatch(one.stored.key)]
    for area in AREAS:
        matches = [(stored, area.pattern.fullmatch(stored.key)) for stored in rest]
        mine = [(stored, match) for stored, match in matches if match is not None]
        if not mine:
            continue
        for orphan in _unreferred(area, project, mine):
            if orphan.stored.modified <= old:
                default_storage.delete(orphan.stored.key)
                gone.append(orphan)
    return gone


# --- Rows and their files ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flaw:
    """A row whose file is not as it should be."""

    code: str  # missing, wrong_size or wrong_checksum
    key: str
    row: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"code": self.code, "key": self.key, "row": self.row}


def flaws(*, checksums: bool, progress: Progress = lambda phase, done, total: None) -> Iterator[Flaw]:
    """Rows whose file is missing, has another size or another content. For `checksums` every picture is read."""
    for project in Project.objects.order_by("pk"):
        yield from _flaws_of_images(project, checksums, progress)
    for job in ExportJob.objects.exclude(payload_uri="").order_by("pk").iterator():
        if not default_storage.exists(job.payload_uri):
            yield Flaw("missing", job.payload_uri, f"export {job.pk}")
    for task in Task.objects.exclude(log="").order_by("created_at").iterator():
        if not default_storage.exists(task.log):
            yield Flaw("missing", task.log, f"task {task.pk}")


def _flaws_of_images(project: Project, checksums: bool, progress: Progress) -> Iterator[Flaw]:
    rows = ImageAsset.objects.filter(project=project).exclude(uri="")
    sizes = {stored.key: stored.size for stored in shelves.below(f"images/{project.pk}/")}
    thumbnails = {stored.key for stored in shelves.below(f"thumbnails/{project.pk}/")}
    right: set[str] = set()  # checked already: several images may have one picture
    for number, image in enumerate(rows.order_by("pk").iterator(BATCH)):
        if number % BATCH == 0:
            progress(project.name, number, None)
        row = f"image {image.pk}"
        if image.thumbnail_uri and image.thumbnail_uri not in thumbnails:
            yield Flaw("missing", image.thumbnail_uri, row)
        if image.uri not in sizes:
            yield Flaw("missing", image.uri, row)
        elif image.size_bytes is not None and sizes[image.uri] != image.size_bytes:
            yield Flaw("wrong_size", image.uri, row)
        elif checksums and image.uri not in right:
            if _checksum(image.uri) == image.checksum:
                right.add(image.uri)
            else:
                yield Flaw("wrong_checksum", image.uri, row)


def _checksum(key: str) -> str:
    found = hashlib.sha256()
    content = storage.read(key)
    if content is None:
        return ""
    with content:
        while chunk := content.read(storage.CHUNK):
            found.update(chunk)
    return found.hexdigest()


def totals(found: Iterable[Any]) -> dict[str, int]:
    """How many of each code."""
    counted: dict[str, int] = defaultdict(int)
    for one in found:
        counted[one.code] += 1
    return dict(counted)
