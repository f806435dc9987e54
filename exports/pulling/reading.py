"""Reading an export's tasks in CVAT: each by itself, its differences stored in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.errors import ServiceError
from annotations.models import Annotation
from assets.models import ImageAsset
from exports import connecting
from exports.cvat.client import Client
from exports.cvat.errors import Broken500, Busy, CvatError, NotFound, Unwell
from exports.cvat.records import Job
from exports.models.connections import CvatProject
from exports.models.cvat import CvatImage, CvatJob, CvatTask
from exports.pulling import differing, loading, remarks, tracks
from exports.pulling.models import CvatDifference, CvatKnown, CvatPull, CvatRemark
from exports.pulling.states import Comparison, Difference, Kind, Subject, Theirs, Vocabulary
from exports.sending.ahead import collecting_less
from exports.sending.mirroring import mirror
from exports.sending.owning import owns_task
from exports.sending.pipeline import pause_of
from exports.snapshots import FrozenCategory, Snapshot
from projects import audit, jobs

BATCH = 1_000  # rows written at once
NOT_THERE = "The image is not here any more."


@dataclass
class Read:
    """What a pull has read so far."""

    tasks: int = 0
    skipped: int = 0  # nothing was saved in CVAT since the last pull
    gone: int = 0  # deleted in CVAT
    unreadable: int = 0  # CVAT itself cannot read them
    unchanged: int = 0  # annotations
    no_remarks: bool = False  # CVAT is in trouble over them: it is not asked for those of the other tasks
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Desk:
    """What all tasks of one pull are read with."""

    client: Client
    pull: CvatPull
    snapshot: Snapshot
    categories: Mapping[int, FrozenCategory]
    claim: jobs.Claim


def run(claim: jobs.Claim, pull: CvatPull) -> dict[str, Any]:
    """Read the export's tasks; give what is different. A worker that takes over reads only what is left."""
    job = pull.job
    snapshot = Snapshot.of(job)
    read = Read()
    talking = connecting.client_of(job.project, pause=pause_of(claim))
    with connecting.told_plainly(), talking as client, collecting_less():
        desk = _Desk(client, pull, snapshot, snapshot.categories(), claim)
        tasks = list(job.cvat_tasks.in_cvat().select_related("cvat_project", "job").order_by("number"))
        if not tasks:
            raise ServiceError(f"Export {job.pk} has no task in CVAT that could be read.")
        for number, task in enumerate(tasks):
            claim.progress("reading", number, len(tasks))
            _refuse_other_server(client, task.cvat_project)
            try:
                _read_task(desk, task, read)
            except Broken500 as error:
                # A shape that CVAT has stored and cannot read any more spoils its task, not the others.
                read.unreadable += 1
                read.notes.append(f"Task {task.number} cannot be read: {error}")
                if read.unreadable == len(tasks):
                    raise
        claim.progress("reading", len(tasks), len(tasks))
    return summary(pull, read)


def summary(pull: CvatPull, read: Read) -> dict[str, Any]:
    """Numbers of what waits for a decision, over all tasks of the export, and of what was read."""
    # What a worker before this one has dealt with already, and died, was open when it was read.
    before = CvatDifference.objects.filter(applied_by=pull)
    rows = CvatDifference.objects.filter(job=pull.job).open() | before.filter(job=pull.job)
    counted = {kind.value: rows.filter(kind=kind).count() for kind in Kind}
    return {
        "pull": pull.pk,
        **counted,
        "conflicts": rows.exclude(conflict="").count(),
        "problems": rows.exclude(problem="").count(),
        "unchanged": max(0, read.unchanged - before.count()),
        "remarks": CvatRemark.objects.filter(job=pull.job).count(),
        "remarks_open": CvatRemark.objects.filter(job=pull.job, resolved=False).count(),
        "tasks": read.tasks,
        "tasks_without_news": read.skipped,
        "tasks_gone": read.gone,
        "tasks_unreadable": read.unreadable,
        "notes": read.notes[:100],
    }


def _refuse_other_server(client: Client, project: CvatProject | None) -> None:
    account = client.transport.account
    if project is None or project.cvat_id is None:
        raise ServiceError("The project in CVAT is not known any more.")
    if (project.server, project.organization) != (account.web_url, account.organization or ""):
        raise ServiceError(
            f"This export went to {project.server}, and the project is connected to {account.web_url} now. Connect it "
            "to the former again to pull."
        )


def _read_task(desk: _Desk, task: CvatTask, read: Read) -> None:
    client, cvat_id = desk.client, int(task.cvat_id or 0)
    try:
        # The jobs first: what is saved while the annotations are read has a later date, and is read the next time.
        theirs = client.jobs(cvat_id)
        there = client.task(cvat_id)
        if not owns_task(client, task, there):
            note = (
                f"Task {task.number} is not in CVAT any more: number {cvat_id} is another task there now, "
                f"{there.name[:60]!r}. It seems that CVAT was set up anew or restored; nothing of that task was read."
            )
            _note_gone(desk, task, read, note)
            return
        status = there.status
        own = [one for one in theirs if one.type in ("", "annotation")]
        if not desk.pull.everything and not has_news(task, own):
            written = _remarks(desk, task, theirs, read)  # who writes one need not have saved anything
            with transaction.atomic():
                desk.claim.confirm()
                _keep(task, theirs, status)
                _store_remarks(task, written, read)
            read.skipped += 1
            return
        found = client.annotations("tasks", cvat_id)
        meta = client.data_meta(cvat_id)
    except NotFound:
        _note_gone(desk, task, read, f"Task {task.number} is not in CVAT any more.")
        return
    assert task.cvat_project is not None  # noqa: S101 - seen to before
    project = task.cvat_project
    labels = client.labels(int(project.cvat_id or 0))
    vocabulary = loading.vocabulary_of(desk.pull.project, labels, project.labels, desk.categories)
    pieces, notes = tracks.pieces_of(found, own)
    side = Theirs(pieces, meta.frames, found.tags, meta.deleted_frames, notes)
    written = _remarks(desk, task, theirs, read)
    with transaction.atomic():
        # Whoever decides on this task's differences waits, or has decided before the comparison.
        CvatTask.objects.select_for_update().get(pk=task.pk)
        comparison = _compare(desk, task, side, vocabulary)
        _store(desk.pull, task, comparison, own)
        _keep(task, theirs, status, pulled=True)
        _store_remarks(task, written, read)
        desk.claim.confirm()
    read.tasks += 1
    read.unchanged += comparison.unchanged
    read.notes += [f"Task {task.number}: {note}" for note in comparison.notes]


def _note_gone(desk: _Desk, task: CvatTask, read: Read, note: str) -> None:
    with transaction.atomic():
        desk.claim.confirm()
        CvatTask.objects.filter(pk=task.pk).update(gone_at=timezone.now(), checked_at=timezone.now())
    read.gone += 1
    read.notes.append(note)


def _remarks(desk: _Desk, task: CvatTask, theirs: Sequence[Job], read: Read) -> remarks.Remarks | None:
    """None where CVAT does not tell them: the corrections are worth having without."""
    if read.no_remarks:
        return None
    try:
        return remarks.fetch(desk.client, task, theirs)
    except CvatError as error:
        read.no_remarks = isinstance(error, Unwell | Busy)
        read.notes.append(f"Task {task.number}: its remarks were not read, those read before are kept. {error}")
        return None


def _store_remarks(task: CvatTask, written: remarks.Remarks | None, read: Read) -> None:
    if written is not None:
        read.notes += [f"Task {task.number}: {note}" for note in remarks.store(task, written)]


def has_news(task: CvatTask, jobs_: Sequence[Job]) -> bool:
    """Whether something was saved in CVAT that no pull has read. CVAT's dates are compared with CVAT's dates."""
    known = dict(CvatJob.objects.filter(task=task).values_list("cvat_id", "pulled_date"))
    return any(known.get(job.id, "") != job.updated_date[:40] for job in jobs_)


def _keep(task: CvatTask, theirs: Sequence[Job], status: str, *, pulled: bool = False) -> None:
    mirror(task, theirs, status)
    now = timezone.now()
    names = ("status", "stage", "state", "updated_date")
    changes: dict[str, Any] = {name: getattr(task, name) for name in names} | {"checked_at": now}
    if pulled:
        changes["pulled_at"] = now
        for job in theirs:
            CvatJob.objects.filter(task=task, cvat_id=job.id).update(pulled_date=job.updated_date[:40])
    CvatTask.objects.filter(pk=task.pk).update(**changes)


def _compare(desk: _Desk, task: CvatTask, side: Theirs, vocabulary: Vocabulary) -> Comparison:
    sent, tags = loading.base_of(task, desk.snapshot)
    ours = loading.ours_of(desk.pull.project, sent)
    comparison = differing.compare(sent, side, ours, vocabulary, tags=tags)
    known = [
        CvatKnown(
            project_id=task.project_id, cvat_task=task, cvat_id=task.cvat_id, key=one.key,
            subject=Subject.ANNOTATION, frame=one.frame,
            annotation_id=one.annotation, version=ours[one.key].version if one.key in ours else one.version,
            fields=dict(ours[one.key].fields if one.key in ours else one.fields),
            pieces=[piece.write() for piece in pieces],
        )
        for one, pieces in comparison.settled
    ]  # fmt: skip
    keep_known(known)
    return comparison


def keep_known(rows: Sequence[CvatKnown]) -> None:
    """Store what the next pull is to compare with, in the place of what was known before."""
    CvatKnown.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["cvat_task", "key"],
        update_fields=["cvat_id", "subject", "frame", "annotation_id", "version", "fields", "pieces"],
    )


def _store(pull: CvatPull, task: CvatTask, comparison: Comparison, theirs: Sequence[Job]) -> None:
    """Put the differences in the place of those of an earlier pull that nobody has decided."""
    CvatDifference.objects.filter(cvat_task=task).open().delete()
    images = dict(CvatImage.objects.filter(task=task).exclude(frame=None).values_list("frame", "asset_id"))
    wanted = {images[one.frame] for one in comparison.differences if one.frame in images}
    present = set(ImageAsset.objects.filter(project=pull.project, pk__in=wanted).values_list("pk", flat=True))
    known = {
        row.key: row.as_dict()
        for row in CvatKnown.objects.filter(
            cvat_task=task, cvat_id=task.cvat_id, key__in=[one.key for one in comparison.differences]
        )
    }
    keys = [one.sent.annotation for one in comparison.differences if one.sent and one.sent.annotation is not None]
    versions = dict(Annotation.objects.filter(project=pull.project, pk__in=keys).values_list("pk", "version"))
    rows = [
        _row(pull, task, one, images, present, known, versions, _job_of(theirs, one.frame))
        for one in comparison.differences
    ]
    CvatDifference.objects.bulk_create(rows, batch_size=BATCH)


def _row(
    pull: CvatPull,
    task: CvatTask,
    one: Difference,
    images: Mapping[int, int],
    present: set[int],
    known: Mapping[str, dict[str, Any]],
    versions: Mapping[int, int],
    job: Job | None,
) -> CvatDifference:
    image = images.get(one.frame)
    annotation = one.sent.annotation if one.sent else None
    problem = one.problem
    # What is deleted with its image is deleted; there is nothing to put anything else on.
    if not problem and image not in present and annotation not in versions:
        problem = NOT_THERE
    return CvatDifference(
        project_id=task.project_id, job=pull.job, pull=pull, cvat_task=task, cvat_id=task.cvat_id, kind=one.kind,
        subject=one.subject,
        aspects=[str(aspect) for aspect in one.aspects], key=one.key, frame=one.frame, image_id=image,
        annotation_id=annotation, version=versions.get(annotation or 0), before=dict(one.before), after=dict(one.after),
        pieces=[piece.write() for piece in one.pieces], base=known.get(one.key), conflict=one.conflict,
        problem=problem, note=one.note, cvat_job=job.id if job else None,
        cvat_user=job.assignee.username[:200] if job and job.assignee else "",
        cvat_date=job.updated_date[:40] if job else "",
    )  # fmt: skip


def _job_of(theirs: Sequence[Job], frame: int) -> Job | None:
    return next((job for job in theirs if job.start_frame <= frame <= job.stop_frame), None)


def tell(pull: CvatPull, result: dict[str, Any], claim: jobs.Claim | None) -> None:
    """Leave the audit line of a piece of work, and record how it ended: in one transaction."""
    words = {
        CvatPull.Action.READ: "cvat.pulled",
        CvatPull.Action.APPLY: "cvat.taken_over",
        CvatPull.Action.UNDO: "cvat.undone",
    }
    said = {name: value for name, value in result.items() if name != "notes"}
    CvatPull.objects.filter(pk=pull.pk).update(result=result, finished_at=Now())
    audit.record(
        pull.created_by, pull.project, words[CvatPull.Action(pull.action)], actor="" if pull.created_by else "CVAT",
        export=pull.job_id, trigger=str(pull.trigger), policy=str(pull.policy), **said,
    )  # fmt: skip
    if claim is not None:
        claim.succeed_with_transaction(result)
