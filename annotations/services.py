"""Imports: asked for by a curator, done by a worker, told in a report that is kept."""

import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import orjson
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from accounts.errors import ServiceError, TooLarge
from accounts.models import User
from annotations import layouts
from annotations.coco.problems import CocoFileError
from annotations.importing import FileToImport, Outcome, Progress, import_files
from annotations.models import ImportJob
from annotations.report import Report
from annotations.sources import Archive, Folder, PictureSource, Stored
from assets import storage
from projects import audit, jobs, policies
from projects.models import Project, Role, Task
from projects.services import set_status

ZIP_MAGIC = b"PK"
JSON_ENDINGS = (".json", ".json.gz")


@dataclass(frozen=True)
class Upload:
    """What a client sent: a COCO file or a zip with one, and pictures: a zip, or any number of files."""

    file: UploadedFile
    images: Sequence[UploadedFile] = ()


def start_import(*, user: User, project: Project, upload: Upload, split: str = "", strict: bool = False) -> ImportJob:
    """Store the upload and queue its import, or return the job that is already doing the same.

    Raises ServiceError for what can be seen to be wrong at once: no zip, no COCO file in it, too large.
    """
    policies.require(user, Role.CURATOR, project)
    _check_upload(upload)
    checksum = _checksum(upload, split, strict)
    running = ImportJob.objects.filter(
        project=project, checksum=checksum, task__status__in=[Task.Status.QUEUED, Task.Status.RUNNING]
    ).first()
    if running is not None:
        return running
    upload_uri, images_uri = _store_upload(upload)
    with transaction.atomic():
        # Two clients that send the same at once: the second finds the first one's job.
        Project.objects.select_for_update().get(pk=project.pk)
        running = ImportJob.objects.filter(
            project=project, checksum=checksum, task__status__in=[Task.Status.QUEUED, Task.Status.RUNNING]
        ).first()
        if running is not None:
            return running
        task = jobs.create_task(project, Task.Kind.IMPORT, user)
        job = ImportJob.objects.create(
            project=project,
            task=task,
            split=split,
            strict=strict,
            file_name=(upload.file.name or "")[-500:],
            upload_uri=upload_uri,
            images_uri=images_uri,
            checksum=checksum,
            created_by=user,
        )
        set_status(project, Project.Status.IMPORTING)
        audit.record(user, project, "import.started", job=job.pk, file=job.file_name, split=split)
        jobs.publish(task)
    return job


def is_zip(file: IO[bytes]) -> bool:
    """Whether the file begins like a zip; it is rewound."""
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    return magic == ZIP_MAGIC


def _check_upload(upload: Upload) -> None:
    size = sum(part.size or 0 for part in (upload.file, *upload.images))
    if size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(f"The upload has {size:,} bytes; {settings.MAX_UPLOAD_BYTES:,} is the most.")
    if is_zip(upload.file):
        archive = Archive(upload.file, repr(upload.file.name))
        if not _json_names(archive):
            listed = ", ".join(map(repr, archive.names()[:10])) or "nothing of use"
            raise ServiceError(
                f"There is no COCO file in {upload.file.name!r}. Found: {listed}. "
                "Expected a .json file such as annotations/instances_train.json.",
                fields={"file": ["The zip holds no .json file."]},
            )
    for part in upload.images:
        if is_zip(part):
            Archive(part, repr(part.name))


def _json_names(archive: Archive) -> list[str]:
    return [name for ending in JSON_ENDINGS for name in archive.files(ending)]


def _checksum(upload: Upload, split: str, strict: bool) -> str:
    """Of everything that makes this import what it is."""
    parts = [split, str(strict), storage.digest(upload.file)[0]]
    parts += [f"{part.name}:{storage.digest(part)[0]}" for part in upload.images]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _store_upload(upload: Upload) -> tuple[str, str]:
    """Keys of the stored COCO file or zip, and of the stored pictures: a zip, or a list of names and keys."""
    folder = f"uploads/{secrets.token_hex(16)}"
    upload.file.seek(0)
    upload_uri = storage.put(f"{folder}/data", upload.file)
    if not upload.images:
        return upload_uri, ""
    if len(upload.images) == 1 and is_zip(upload.images[0]):
        return upload_uri, storage.put(f"{folder}/images.zip", upload.images[0])
    listed: dict[str, str] = {}
    for number, part in enumerate(upload.images):
        if is_zip(part):
            raise ServiceError(
                "Send the pictures as one zip or as single files, not as several zips.",
                fields={"images": ["Expected one zip, or picture files."]},
            )
        listed[part.name or str(number)] = storage.put(f"{folder}/images/{number}", part)
    with tempfile.TemporaryFile() as listing:
        listing.write(orjson.dumps(listed))
        listing.seek(0)
        return upload_uri, storage.put(f"{folder}/images.json", listing)


def run_import(claim: jobs.Claim) -> dict[str, Any]:
    """Do a queued import; give its result."""
    job = ImportJob.objects.select_related("project", "created_by").get(task=claim.task)
    if not job.upload_uri:
        raise ServiceError("This import was run from a shell and was ended there. Run it there again.")
    with _material(job) as (files, pictures):
        return _perform(claim, job, files, pictures, claim.progress)


def import_here(
    *,
    user: User,
    project: Project,
    files: Sequence[FileToImport],
    pictures: PictureSource | None,
    strict: bool,
    file_name: str,
    split: str,
    progress: Progress,
) -> Task:
    """Import files that lie on this machine, in this process; give the finished task, which tells how it went."""
    policies.require(user, Role.CURATOR, project)
    with transaction.atomic():
        task = jobs.create_task(project, Task.Kind.IMPORT, user)
        job = ImportJob.objects.create(
            project=project, task=task, split=split, strict=strict, file_name=file_name[-500:], created_by=user
        )
        set_status(project, Project.Status.IMPORTING)
        audit.record(user, project, "import.started", job=job.pk, file=job.file_name, split=split)

    def work(claim: jobs.Claim) -> dict[str, Any]:
        def both(phase: str, done: int, total: int | None) -> None:
            claim.progress(phase, done, total)
            progress(phase, done, total)

        return _perform(claim, job, files, pictures, both)

    jobs.run(task.pk, work)
    task.refresh_from_db()
    return task


def import_ended(task: Task) -> None:
    """After an import, however it ended: the project is ready or failed, unless another import is under way."""
    project = task.project
    if project is None or project.tasks.unfinished().filter(kind=Task.Kind.IMPORT).exists():
        return
    failed = task.status == Task.Status.FAILED
    set_status(project, Project.Status.FAILED if failed else Project.Status.READY)


def report_place(task: Task) -> str:
    """Where the stored report of a task is: a path if storage is a local disk, else its key."""
    if not task.log:
        return ""
    try:
        return default_storage.path(task.log)
    except NotImplementedError:
        return task.log


def _perform(
    claim: jobs.Claim,
    job: ImportJob,
    files: Sequence[FileToImport],
    pictures: PictureSource | None,
    progress: Progress,
) -> dict[str, Any]:
    """Import files for a claimed task, and store the report whether it lands or fails."""
    user, project, task, file_name = job.created_by, job.project, claim.task, job.file_name
    report = Report()
    log = claim.log = storage.log_key(task.pk)
    result: dict[str, Any] = {}

    def before_commit(outcome: Outcome) -> None:
        total = outcome.total.as_dict()
        result.update({**total, "files": [part.as_dict() for part in outcome.files], "report": log})
        _store_report(report, log, {"task": str(task.pk), "status": "succeeded", "file": file_name, "summary": total})
        audit.record(
            user,
            project,
            "import.finished",
            file=file_name,
            split=outcome.total.split,
            images=outcome.total.images,
            annotations=outcome.total.annotations,
            images_added=outcome.total.images_added,
            images_changed=outcome.total.images_changed,
            annotations_added=outcome.total.annotations_added,
            annotations_changed=outcome.total.annotations_changed,
            quarantined=outcome.total.quarantined,
        )
        claim.succeed_with_transaction(result)

    try:
        import_files(
            project=project,
            files=files,
            report=report,
            pictures=pictures,
            strict=job.strict,
            progress=progress,
            before_commit=before_commit,
        )
    except ServiceError as error:
        head = {"task": str(task.pk), "status": "failed", "file": file_name, "message": error.message}
        _store_report(report, log, {**head, "error": error.detail})
        audit.record(user, project, "import.failed", file=file_name, message=error.message)
        raise
    finally:
        report.close()
    return result


def _store_report(report: Report, key: str, head: dict[str, Any]) -> None:
    with tempfile.TemporaryFile() as target:
        report.write(target, head)
        target.seek(0)
        storage.put(key, target)


@contextmanager
def _material(job: ImportJob) -> Iterator[tuple[list[FileToImport], PictureSource | None]]:
    """The COCO files of an upload as files on this machine, and where its pictures are."""
    with ExitStack() as stack:
        path = stack.enter_context(storage.local_copy(job.upload_uri))
        pictures: PictureSource | None = None
        if job.images_uri.endswith(".zip"):
            pictures = Archive(stack.enter_context(storage.local_copy(job.images_uri)), "the pictures' zip")
        elif job.images_uri:
            with default_storage.open(job.images_uri) as listing:
                pictures = Stored(orjson.loads(listing.read()))
        with path.open("rb") as file:
            packed = is_zip(file)
        if not packed:
            name = PurePosixPath(job.file_name or "data.json")
            yield [FileToImport(path, job.split or layouts.split_of(name))], pictures
            return
        archive = Archive(path, job.file_name)
        stack.callback(archive.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR)))
        yield unpack_coco_files(archive, folder, job.split), pictures or archive


def unpack_coco_files(archive: Archive, folder: Path, split: str) -> list[FileToImport]:
    """Write the zip's JSON files into the folder and plan their import. Raises CocoFileError if none is COCO."""
    paths: dict[str, Path] = {}
    for number, name in enumerate(_json_names(archive)):
        paths[name] = folder / f"{number}.json"
        with archive.open(name) as source, paths[name].open("wb") as target:
            while chunk := source.read(storage.CHUNK):
                target.write(chunk)
    return files_of(layouts.plan(paths, paths.__getitem__, split=split), paths.__getitem__)


def files_of(plan: layouts.Plan, path_of: Callable[[str], Path]) -> list[FileToImport]:
    """The plan's files. Raises CocoFileError, telling of each file that is none, if there is nothing to import."""
    if not plan.files:
        listed = "; ".join(f"{name}: {why}" for name, why in list(plan.passed_over.items())[:5]) or "no JSON file"
        raise CocoFileError("no_coco_file", f"There is no COCO file to import ({listed}).")
    several = len(plan.files) > 1
    return [FileToImport(path_of(file.name), file.split, file.name if several else "") for file in plan.files]


def folder_files(root: Path, split: str) -> tuple[list[FileToImport], layouts.Plan, Folder]:
    """The COCO files and pictures of a data set folder on this machine."""
    names = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if path.name.endswith(JSON_ENDINGS) and path.is_file() and not path.name.startswith(".")
    ]
    plan = layouts.plan(names, lambda name: root / name, split=split)
    return files_of(plan, lambda name: root / name), plan, Folder(root)
