"""Imports: asked for by a curator, done by a worker, told in a report that is kept."""

import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.db import transaction

from accounts import metering
from accounts.errors import Conflict, NoSpace, ServiceError, TooLarge
from accounts.models import User
from annotations import adding, machines, material, predictions, refusing
from annotations.coco.problems import Problem
from annotations.drafts import told_if_full
from annotations.importing import Outcome, import_files
from annotations.material import Material, is_zip, json_names
from annotations.models import ImportJob
from annotations.one_file import FileToImport, Progress
from annotations.report import Report
from annotations.sources import Archive, PictureSource, Stored
from assets import storage
from assets import tasks as asset_tasks
from projects import audit, jobs, policies
from projects.models import Project, Role, Task
from projects.services import set_status

What = ImportJob.What
REMOVED_AT_ONCE = 50_000  # annotations of a source that are deleted within the request


@dataclass(frozen=True)
class Upload:
    """What a client sent, or named: a COCO file or a zip with one, and pictures: a zip, or any number of files.

    `key` and `images_key` name what lies in storage already, instead of files; a key that ends with "/" is a prefix.
    """

    file: UploadedFile | None = None
    images: Sequence[UploadedFile] = ()
    key: str = ""
    images_key: str = ""
    key_name: str = ""  # what the file behind `key` was called

    @property
    def name(self) -> str:
        """What the COCO file is called: its name tells splits."""
        return self.key_name if self.file is None else self.file.name or ""


@dataclass(frozen=True)
class Wanted:
    """How an upload is to be taken."""

    what: ImportJob.What = What.COCO
    split: str = ""  # of every file, rather than what their names tell
    splits: Mapping[str, str] | None = None  # of single files, by their names in the data set
    strict: bool = False
    source: str = ""  # of predictions


def start_import(
    *,
    user: User,
    project: Project,
    upload: Upload,
    split: str = "",
    strict: bool = False,
    wanted: Wanted | None = None,
) -> ImportJob:
    """Store the upload and queue its import, or return the job that is already doing the same.

    Raises ServiceError for what can be seen to be wrong at once: no zip, no COCO file in it, too large.
    """
    policies.require(user, Role.CURATOR, project)
    wanted = wanted or Wanted(split=split, strict=strict)
    if wanted.what is What.PREDICTIONS:
        predictions.check_source(wanted.source)
    _check_upload(upload, wanted)
    checksum = _checksum(upload, wanted)
    running = _running(project, checksum)
    if running is not None:
        return running
    _recognise(upload, wanted)
    with told_if_full():
        upload_uri, images_uri = _store_upload(project, upload)
    with transaction.atomic():
        # Two clients that send the same at once: the second finds the first one's job.
        Project.objects.select_for_update().get(pk=project.pk)
        running = _running(project, checksum)
        if running is not None:
            return running
        job = _create_job(
            user, project, wanted, upload.name, upload_uri=upload_uri, images_uri=images_uri, checksum=checksum
        )
        jobs.publish(job.task)
    return job


def _running(project: Project, checksum: str) -> ImportJob | None:
    unfinished = [Task.Status.QUEUED, Task.Status.RUNNING]
    return ImportJob.objects.filter(project=project, checksum=checksum, task__status__in=unfinished).first()


def _create_job(user: User, project: Project, wanted: Wanted, file_name: str, **places: str) -> ImportJob:
    # Who clears up the storage looks, with this lock held, whether there is an import.
    Project.objects.select_for_update().get(pk=project.pk)
    task = jobs.create_task(project, Task.Kind.IMPORT, user)
    job = ImportJob.objects.create(
        project=project,
        task=task,
        what=wanted.what,
        source=wanted.source,
        split=wanted.split,
        splits=dict(wanted.splits or {}),
        strict=wanted.strict,
        file_name=file_name[-500:],
        created_by=user,
        **places,
    )
    set_status(project, Project.Status.IMPORTING)
    told = {"source": wanted.source} if wanted.source else {}
    audit.record(
        user, project, "import.started", job=job.pk, what=wanted.what, file=job.file_name, split=wanted.split, **told
    )
    return job


# --- What was sent ----------------------------------------------------------------------------------------------------


def _check_upload(upload: Upload, wanted: Wanted) -> None:
    parts = [part for part in (upload.file, *upload.images) if part is not None]
    size = sum(part.size or 0 for part in parts)
    if size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(f"The upload has {size:,} bytes; {settings.MAX_UPLOAD_BYTES:,} is the most.")
    if wanted.what is What.COCO and upload.file is not None and is_zip(upload.file):
        archive = Archive(upload.file, repr(upload.file.name))
        if not json_names(archive):
            listed = ", ".join(map(repr, archive.names()[:10])) or "nothing of use"
            raise ServiceError(
                f"There is no COCO file in {upload.file.name!r}. Found: {listed}. "
                "Expected a .json file such as annotations/instances_train.json.",
                fields={"file": ["The zip holds no .json file."]},
            )
    for part in upload.images:
        if is_zip(part):
            Archive(part, repr(part.name))
    if len(upload.images) > 1 and any(is_zip(part) for part in upload.images):
        raise ServiceError(
            "Send the pictures as one zip or as single files, not as several zips.",
            fields={"images": ["Expected one zip, or picture files."]},
        )


def _recognise(upload: Upload, wanted: Wanted) -> None:
    """Refuse what a dry run would refuse, where looking takes little."""
    if upload.images_key and not upload.images_key.endswith("/"):
        refusing.refuse_unfit_pictures(upload.images_key)
    if wanted.what is not What.COCO:
        return
    split, splits = wanted.split, wanted.splits or {}
    if upload.file is None:
        refusing.refuse_unfit_stored(upload.key, upload.name, split=split, splits=splits)
    else:
        refusing.refuse_unfit(_path_of(upload.file), upload.name, split=split, splits=splits)


def _path_of(file: UploadedFile) -> Path:
    if not isinstance(file, TemporaryUploadedFile):
        raise TypeError("uploads lie on disk: settings.FILE_UPLOAD_HANDLERS says so")
    return Path(file.temporary_file_path())


def _checksum(upload: Upload, wanted: Wanted) -> str:
    """Of everything that makes this import what it is."""
    splits = "" if not wanted.splits else orjson.dumps(dict(wanted.splits), option=orjson.OPT_SORT_KEYS).decode()
    parts = [wanted.what, wanted.source, wanted.split, splits, str(wanted.strict), upload.key, upload.images_key]
    parts += [storage.digest(upload.file)[0]] if upload.file is not None else []
    parts += [f"{part.name}:{storage.digest(part)[0]}" for part in upload.images]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _store_upload(project: Project, upload: Upload) -> tuple[str, str]:
    """Keys of the stored COCO file or zip, and of the stored pictures: a zip, or a list of names and keys."""
    folder = storage.upload_key(project.pk, secrets.token_hex(16))
    upload_uri = upload.key
    if upload.file is not None:
        upload.file.seek(0)
        upload_uri = storage.put(f"{folder}/data", upload.file)
    if not upload.images:
        return upload_uri, upload.images_key
    if len(upload.images) == 1 and is_zip(upload.images[0]):
        return upload_uri, storage.put(f"{folder}/images.zip", upload.images[0])
    listed: dict[str, str] = {}
    for number, part in enumerate(upload.images):
        part.seek(0)
        listed[part.name or str(number)] = storage.put(f"{folder}/images/{number}", part)
    with tempfile.TemporaryFile() as listing:
        listing.write(orjson.dumps(listed))
        listing.seek(0)
        return upload_uri, storage.put(f"{folder}/images.json", listing)


def survey(*, user: User, project: Project, upload: Upload, wanted: Wanted) -> dict[str, Any]:
    """What an import of this would do; nothing is written. For curators."""
    policies.require(user, Role.CURATOR, project)
    _check_upload(upload, wanted)
    with _sent_pictures(upload) as pictures, _sent(upload, wanted, pictures) as found:
        return material.survey(found)


@contextmanager
def _sent(upload: Upload, wanted: Wanted, pictures: PictureSource | None) -> Iterator[Material]:
    splits = wanted.splits or {}
    if upload.file is None:
        with material.stored(upload.key, upload.name, "", split=wanted.split, splits=splits) as found:
            found.pictures = pictures or found.pictures
            yield found
        return
    with material.on_disk(_path_of(upload.file), upload.name, pictures, wanted.split, splits) as found:
        yield found


@contextmanager
def _sent_pictures(upload: Upload) -> Iterator[PictureSource | None]:
    if not upload.images:
        with material.stored_pictures(upload.images_key) as pictures:
            yield pictures
    elif is_zip(upload.images[0]):
        yield Archive(upload.images[0], "the pictures' zip")
    else:
        yield Stored({part.name or str(number): "" for number, part in enumerate(upload.images)})


# --- The work ---------------------------------------------------------------------------------------------------------


def run_import(claim: jobs.Claim) -> dict[str, Any]:
    """Do a queued import; give its result."""
    job = ImportJob.objects.select_related("project", "created_by").get(task=claim.task)
    if job.what == What.REMOVAL:
        return _perform(claim, job, _removal_work(job), claim.progress)
    if not (job.upload_uri or job.images_uri):
        raise ServiceError("What was received for this import is not here any more. Send it again.")
    claim.progress("fetching", 0)
    if job.what == What.IMAGES:
        with material.stored_pictures(job.images_uri) as pictures:
            return _perform(claim, job, _pictures_work(job, pictures), claim.progress)
    if job.what == What.PREDICTIONS:
        with storage.local_copy(job.upload_uri) as path:
            return _perform(claim, job, _predictions_work(job, path), claim.progress)
    given = {"split": job.split, "splits": job.splits, "check": claim.check}
    with material.stored(job.upload_uri, job.file_name, job.images_uri, **given) as found:
        return _perform(claim, job, _coco_work(job, found.files, found.pictures, found.problems), claim.progress)


def import_here(
    *,
    user: User,
    project: Project,
    files: Sequence[FileToImport],
    pictures: PictureSource | None,
    file_name: str,
    progress: Progress,
    split: str = "",
    strict: bool = False,
    wanted: Wanted | None = None,
    problems: Sequence[Problem] = (),
) -> Task:
    """Import files that lie on this machine, in this process; give the finished task, which tells how it went."""
    policies.require(user, Role.CURATOR, project)
    wanted = wanted or Wanted(split=split, strict=strict)
    if wanted.what is What.PREDICTIONS:
        predictions.check_source(wanted.source)
    with transaction.atomic():
        job = _create_job(user, project, wanted, file_name)

    def work(claim: jobs.Claim) -> dict[str, Any]:
        def both(phase: str, done: int, total: int | None) -> None:
            claim.progress(phase, done, total)
            progress(phase, done, total)

        if wanted.what is What.IMAGES:
            return _perform(claim, job, _pictures_work(job, pictures), both)
        if wanted.what is What.PREDICTIONS:
            return _perform(claim, job, _predictions_work(job, files[0].path), both)
        return _perform(claim, job, _coco_work(job, files, pictures, problems), both)

    jobs.run(job.task_id, work)
    return Task.objects.get(pk=job.task_id)


# Does the work, and says what was done at the end of its transaction: (report, progress, before commit).
Tell = Callable[[dict[str, Any], dict[str, Any]], None]
Work = Callable[[Report, Progress, Tell], None]
IN_AUDIT = ("split", "source", "images", "annotations", "pictures", "images_added", "images_changed",
    "annotations_added", "annotations_changed", "annotations_removed", "quarantined")  # fmt: skip


def _coco_work(
    job: ImportJob, files: Sequence[FileToImport], pictures: PictureSource | None, problems: Sequence[Problem]
) -> Work:
    def work(report: Report, progress: Progress, tell: Tell) -> None:
        def before_commit(outcome: Outcome) -> None:
            tell(outcome.total.as_dict(), {"files": [part.as_dict() for part in outcome.files]})

        import_files(
            project=job.project, files=files, report=report, pictures=pictures, strict=job.strict, problems=problems,
            progress=progress, before_commit=before_commit,
        )  # fmt: skip

    return work


def _pictures_work(job: ImportJob, pictures: PictureSource | None) -> Work:
    def work(report: Report, progress: Progress, tell: Tell) -> None:
        if pictures is None:
            raise ServiceError("No pictures were given.")
        adding.add_pictures(
            project=job.project, pictures=pictures, report=report, split=job.split, progress=progress,
            before_commit=lambda added: tell(added.as_dict(), {}),
        )  # fmt: skip

    return work


def _predictions_work(job: ImportJob, path: Path) -> Work:
    def work(report: Report, progress: Progress, tell: Tell) -> None:
        predictions.import_predictions(
            project=job.project, path=path, source=job.source, split=job.split, strict=job.strict, report=report,
            name=job.file_name, progress=progress, before_commit=lambda summary: tell(summary.as_dict(), {}),
        )  # fmt: skip

    return work


def _removal_work(job: ImportJob) -> Work:
    def work(report: Report, progress: Progress, tell: Tell) -> None:
        machines.remove(
            job.project, job.source, job.split, progress=progress,
            before_commit=lambda removed: tell(removed.as_dict(), {}),
        )  # fmt: skip

    return work


def _perform(claim: jobs.Claim, job: ImportJob, work: Work, progress: Progress) -> dict[str, Any]:
    """Do the work of a claimed task, and store the report whether it lands or fails."""
    user, project, file_name = job.created_by, job.project, job.file_name
    report = Report()
    log = claim.log = storage.log_key(claim.task.pk)
    head = {"task": str(claim.task.pk), "what": str(job.what), "file": file_name}
    result: dict[str, Any] = {}

    def tell(total: dict[str, Any], more: dict[str, Any]) -> None:
        result.update({**total, **more, "report": log})
        _store_report(report, log, {**head, "status": "succeeded", "summary": total})
        audit.record(
            user, project, "import.finished", what=job.what, file=file_name,
            **{name: total[name] for name in IN_AUDIT if name in total},
        )  # fmt: skip
        claim.succeed_with_transaction(result)

    try:
        with told_if_full():
            work(report, progress, tell)
    except ServiceError as error:
        failed = {**head, "status": "failed", "message": error.message, "error": error.detail}
        try:
            _store_report(report, log, failed)
        except OSError:
            if not isinstance(error, NoSpace):  # for the same reason that the import failed
                raise
            claim.log = ""
        audit.record(user, project, "import.failed", what=job.what, file=file_name, message=error.message)
        raise
    finally:
        report.close()
    for what in ("images", "annotations"):
        metering.count("cocohub_rows_imported", result.get(f"{what}_added", 0), what=what)
    return result


def _store_report(report: Report, key: str, head: dict[str, Any]) -> None:
    with tempfile.TemporaryFile() as target:
        report.write(target, head)
        target.seek(0)
        storage.put(key, target)


def import_ended(task: Task) -> None:
    """After an import, however it ended: the project is ready, unless another import is under way.

    It has failed only if there is nothing in it: what was good before is as good afterwards.
    """
    project = task.project
    if project is None or project.deleting or project.tasks.unfinished().filter(kind=Task.Kind.IMPORT).exists():
        return
    failed = task.status == Task.Status.FAILED and not project.assets.exists()
    set_status(project, Project.Status.FAILED if failed else Project.Status.READY)
    if task.status == Task.Status.SUCCEEDED:
        asset_tasks.enqueue(project, task.created_by)


def report_place(task: Task) -> str:
    """Where the stored report of a task is: a path if storage is a local disk, else its key."""
    if not task.log:
        return ""
    try:
        return default_storage.path(task.log)
    except NotImplementedError:
        return task.log


# --- What machines made -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Removal:
    """How many annotations are deleted, and the job that does it if they are too many for a request."""

    annotations: int
    job: ImportJob | None = None


@transaction.atomic
def remove_source(*, user: User, project: Project, source: str, split: str = "", here: bool = False) -> Removal:
    """Delete what this source has predicted, in one split or in all. For curators.

    More than a request should wait for is left to a job, unless it is to be done `here`.
    Raises NotFound if there is nothing of it, Conflict while an import runs.
    """
    policies.require(user, Role.CURATOR, project)
    if project.tasks.unfinished().filter(kind=Task.Kind.IMPORT).exists():
        raise Conflict("An import is under way in this project; wait until it has ended, or cancel it.")
    found = machines.count(project, source, split)
    if found > REMOVED_AT_ONCE and not here:
        job = _create_job(user, project, Wanted(What.REMOVAL, split=split, source=source), "")
        jobs.publish(job.task)
        return Removal(found, job)
    removed = machines.remove(project, source, split).annotations_removed
    audit.record(user, project, "predictions.removed", source=source, split=split, annotations=removed)
    return Removal(removed)
