"""Differences taken over or refused, a few hundred in a transaction: what is done is done, whoever goes on with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from annotations import revising
from annotations.checking import COLUMNS
from annotations.revising import Outcome, Revision, What
from assets import services as assets
from assets.models import ImageAsset
from exports.models.cvat import CvatTask
from exports.pulling import loading
from exports.pulling.models import CvatDifference, CvatKnown, CvatPull
from exports.pulling.reading import keep_known
from exports.snapshots import Snapshot
from projects import jobs

BATCH = 500  # differences in one transaction
SOURCE = "cvat"  # of annotations that were taken over
STALE = "Changed here after it was pulled. Pull again to see both."
# Kept in the place of a row that was there: an image's tag was changed; nothing was, for it was so already.
TAGGED, NOTHING = "tag", "-"

Decision = CvatDifference.Decision
Kind = CvatDifference.Kind
Subject = CvatDifference.Subject
Policy = CvatPull.Policy


@dataclass
class Applied:
    """What became of differences."""

    taken: int = 0
    refused: int = 0
    left: int = 0  # still to be decided: in conflict, or impossible
    floors: dict[int, int] = field(default_factory=dict)  # by split: new COCO ids are above
    _tasks: set[int] = field(default_factory=set)

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {"taken_over": self.taken, "refused": self.refused, "left": self.left}

    def raise_floors(self, rows: Sequence[CvatDifference]) -> None:
        """See to it that no new annotation gets an id that the export's snapshot has."""
        for row in rows:
            if row.kind == Kind.ADDED and row.cvat_task_id not in self._tasks:
                self._tasks.add(row.cvat_task_id)
                greatest = loading.greatest_ids(row.cvat_task, Snapshot.of(row.job))
                splits = ImageAsset.objects.filter(pk__in=list(greatest)).values_list("pk", "split_id")
                for image, split in splits:
                    self.floors[split] = max(self.floors.get(split, 0), greatest[image])


def run(claim: jobs.Claim, pull: CvatPull) -> dict[str, Any]:
    """Deal with the differences that a piece of work is about by its policy, batch after batch."""
    user = pull.created_by
    if user is None:
        raise LookupError("nobody asked for this")
    applied = Applied()
    total = _of(pull).count()
    done = 0
    for keys in _batches(pull):
        claim.progress("taking over", done, total)
        with transaction.atomic():
            apply_batch(user, pull, keys, Policy(pull.policy), applied)
            claim.confirm()
        done += len(keys)
    claim.progress("taking over", done, total)
    # A worker before this one may have done a part of it.
    rows = CvatDifference.objects.filter(applied_by=pull)
    applied.taken = rows.filter(decision=Decision.THEIRS).count()
    applied.refused = rows.filter(decision=Decision.OURS).count()
    applied.left = _of(pull).count()
    return applied.as_dict()


def _of(pull: CvatPull) -> Any:
    rows = CvatDifference.objects.filter(job=pull.job, pk__lte=pull.last or 2**62).open()
    return rows if pull.chosen is None else rows.filter(pk__in=pull.chosen)


def _batches(pull: CvatPull) -> Iterator[list[int]]:
    """Keys of open differences, in order. Those that stay open are passed once."""
    last = 0
    while keys := list(_of(pull).filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield keys
        last = keys[-1]


def apply_batch(user: User, pull: CvatPull, keys: Sequence[int], policy: str, applied: Applied) -> None:
    """Deal with these differences, inside of the caller's transaction."""
    tasks = CvatDifference.objects.filter(pk__in=keys).values("cvat_task")
    list(CvatTask.objects.filter(pk__in=tasks).order_by("pk").select_for_update())
    rows = list(
        CvatDifference.objects.filter(pk__in=keys).open().select_related("cvat_task", "job", "project").order_by("pk")
        .select_for_update(of=("self",))
    )  # fmt: skip
    wanted = [row for row in rows if policy == Policy.OURS or _may_take(row, policy)]
    applied.left += len(rows) - len(wanted)
    if policy == Policy.OURS:
        _refuse(user, pull, wanted)
        applied.refused += len(wanted)
        return
    applied.raise_floors(wanted)
    _take(user, pull, [row for row in wanted if row.subject == Subject.ANNOTATION], policy, applied)
    for row in wanted:
        if row.subject == Subject.TAG:
            _take_tag(user, pull, row)
            applied.taken += 1


def _may_take(row: CvatDifference, policy: str) -> bool:
    return not row.problem and (policy == Policy.THEIRS or (policy == Policy.ACCEPT and not row.conflict))


# --- Taking over ------------------------------------------------------------------------------------------------------


def _take(user: User, pull: CvatPull, rows: Sequence[CvatDifference], policy: str, applied: Applied) -> None:
    if not rows:
        return
    project = rows[0].project
    present = loading.versions_of(project, [row.annotation_id for row in rows if row.annotation_id is not None])
    forced = policy == Policy.THEIRS
    revisions = [revision_of(row, present, forced=forced) for row in rows]
    outcomes = revising.revise(user=user, project=project, revisions=revisions, source=SOURCE, floors=applied.floors)
    done: list[tuple[CvatDifference, Outcome]] = []
    for row, revision, outcome in zip(rows, revisions, outcomes, strict=True):
        if outcome.refused:
            CvatDifference.objects.filter(pk=row.pk).update(problem=outcome.refused)
            applied.left += 1
        elif outcome.stale and not (revision.what is What.DELETE and row.annotation_id not in present):
            conflict = STALE if row.annotation_id in present else "It was deleted here after it was pulled."
            CvatDifference.objects.filter(pk=row.pk).update(conflict=conflict)
            applied.left += 1
        else:
            done.append((row, outcome))
            applied.taken += 1
    fields = loading.fields_of(project, [outcome.annotation for _, outcome in done if outcome.annotation is not None])
    known = []
    for row, outcome in done:
        key = outcome.annotation if outcome.annotation in fields else None
        _mark(
            user, pull, row, Decision.THEIRS, annotation_id=outcome.annotation or row.annotation_id,
            made_version=outcome.version, previous=outcome.previous if outcome.changed else NOTHING,
        )  # fmt: skip
        known.append(_known(row, key, outcome.version or 0, fields.get(key or 0, row.before)))
    keep_known(known)


def revision_of(row: CvatDifference, present: Mapping[int, int], *, forced: bool) -> Revision:
    """What taking a difference over does to the annotations; `forced` whatever was changed here since."""
    about = {
        "cvat_task": row.cvat_task.cvat_id, "cvat_job": row.cvat_job, "cvat_user": row.cvat_user,
        "cvat_time": row.cvat_date, "export": row.job_id, "difference": row.pk,
    }  # fmt: skip
    version = None if forced else row.version
    if row.kind == Kind.DELETED:
        return Revision(What.DELETE, annotation=row.annotation_id, version=version, about=about)
    exists = row.annotation_id in present
    if row.kind == Kind.CHANGED and (exists or not forced):
        return Revision(What.CHANGE, annotation=row.annotation_id, version=version, fields=row.after, about=about)
    whole = {**row.before, **row.after}
    number = row.key.partition("@")[0]
    return Revision(
        What.MAKE,
        image=row.image_id,
        fields={name: value for name, value in whole.items() if name in (*COLUMNS, "category") and value is not None},
        extra={name: value for name, value in whole.items() if name not in (*COLUMNS, "category")},
        coco_id=int(number) if row.kind == Kind.CHANGED and number.isdecimal() else None,
        about=about,
    )


def _take_tag(user: User, pull: CvatPull, row: CvatDifference) -> None:
    tag = (row.after or row.before)["tag"]
    edit = assets.Edit(add_tags=[tag]) if row.kind == Kind.ADDED else assets.Edit(remove_tags=[tag])
    image = ImageAsset.objects.filter(project=row.project_id, pk=row.image_id or 0)
    changed = assets.update_assets(user=user, project=row.project, assets=image, edit=edit)
    _mark(user, pull, row, Decision.THEIRS, previous=TAGGED if changed else NOTHING)
    keep_known([_known(row, None, 0, {"tag": tag})])


# --- Refusing ---------------------------------------------------------------------------------------------------------


def _refuse(user: User, pull: CvatPull, rows: Sequence[CvatDifference]) -> None:
    if not rows:
        return
    project = rows[0].project
    keys = [row.annotation_id for row in rows if row.annotation_id is not None]
    versions, fields = loading.versions_of(project, keys), loading.fields_of(project, keys)
    known = []
    for row in rows:
        _mark(user, pull, row, Decision.OURS)
        if row.subject == Subject.TAG:
            known.append(_known(row, None, 0, dict(row.after or row.before)))
            continue
        key = row.annotation_id or 0
        # One that is gone here stays known as one of ours: should CVAT change it again, that is a conflict.
        version = versions.get(key, row.version or 0)
        known.append(_known(row, row.annotation_id, version, fields.get(key, row.before)))
    keep_known(known)


# --- What is kept -----------------------------------------------------------------------------------------------------


def _mark(user: User, pull: CvatPull, row: CvatDifference, decision: str, **more: Any) -> None:
    CvatDifference.objects.filter(pk=row.pk).update(
        decision=decision, decided_by=user, decided_at=Now(), applied_by=pull, conflict=row.conflict, **more
    )


def _known(row: CvatDifference, annotation: int | None, version: int, fields: Mapping[str, Any]) -> CvatKnown:
    """What CVAT has of it now: from here on the next pull compares."""
    pieces = row.pieces
    if row.subject == Subject.TAG:
        pieces = [{"uid": row.key}] if row.kind == Kind.ADDED else []
    return CvatKnown(
        project_id=row.project_id, cvat_task_id=row.cvat_task_id, cvat_id=row.cvat_id, key=row.key,
        subject=row.subject, frame=row.frame, annotation_id=annotation, version=version, fields=dict(fields),
        pieces=pieces,
    )  # fmt: skip
