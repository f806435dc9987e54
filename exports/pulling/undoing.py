"""What was taken over, put back; and its decisions opened again."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from accounts.models import User
from annotations import restoring
from annotations.restoring import Made
from assets import services as assets
from assets.models import ImageAsset
from exports.models.cvat import CvatTask
from exports.pulling.applying import NOTHING, TAGGED, Decision, Kind, Subject
from exports.pulling.models import CvatDifference, CvatKnown, CvatPull
from exports.pulling.reading import keep_known
from projects import jobs
from projects.models import Project

BATCH = 500  # differences in one transaction


def undo(claim: jobs.Claim, pull: CvatPull) -> dict[str, Any]:
    """Put back what a piece of work has taken over, and open its decisions again, batch after batch."""
    user = pull.created_by
    if user is None or pull.undoes is None:
        raise LookupError("nobody asked for this, or there is nothing to undo")
    rows = CvatDifference.objects.filter(applied_by=pull.undoes).exclude(decision=Decision.OPEN)
    total, skipped, last, done = rows.count(), 0, 2**62, 0
    # The last ones first, as things are undone.
    while keys := list(rows.filter(pk__lt=last).order_by("-pk").values_list("pk", flat=True)[:BATCH]):
        claim.progress("putting back", done, total)
        with transaction.atomic():
            skipped += undo_batch(user, pull.project, keys)
            claim.confirm()
        done, last = done + len(keys), keys[-1]
    claim.progress("putting back", done, total)
    return {"undone": total - skipped, "skipped": skipped, "undoes": pull.undoes_id}


def undo_batch(user: User, project: Project, keys: Sequence[int]) -> int:
    """Put these back, inside of the caller's transaction; how many are left alone, because they were changed since."""
    tasks = CvatDifference.objects.filter(pk__in=keys).values("cvat_task")
    list(CvatTask.objects.filter(pk__in=tasks).order_by("pk").select_for_update())
    rows = list(
        CvatDifference.objects.filter(pk__in=keys).exclude(decision=Decision.OPEN).select_for_update(of=("self",))
    )
    made = [_made(row) for row in rows if _has_made(row)]
    back = restoring.restore(user=user, project=project, made=made)
    skipped = 0
    for row in rows:
        version: int | None = row.version
        if _has_made(row):
            if row.annotation_id not in back:
                skipped += 1
                continue
            version = back[row.annotation_id or 0]
        elif row.previous == TAGGED:
            _put_tag_back(user, project, row)
        _reopen(row, version)
    return skipped


def _has_made(row: CvatDifference) -> bool:
    return row.subject == Subject.ANNOTATION and row.decision == Decision.THEIRS and row.previous != NOTHING


def _made(row: CvatDifference) -> Made:
    return Made(
        int(row.annotation_id or 0), int(row.made_version or 0), row.previous, deleted=row.kind == Kind.DELETED,
        about={"difference": row.pk, "export": row.job_id},
    )  # fmt: skip


def _put_tag_back(user: User, project: Project, row: CvatDifference) -> None:
    tag = (row.after or row.before)["tag"]
    edit = assets.Edit(remove_tags=[tag]) if row.kind == Kind.ADDED else assets.Edit(add_tags=[tag])
    image = ImageAsset.objects.filter(project=project, pk=row.image_id or 0)
    assets.update_assets(user=user, project=project, assets=image, edit=edit)


def _reopen(row: CvatDifference, version: int | None) -> None:
    CvatKnown.objects.filter(cvat_task=row.cvat_task_id, cvat_id=row.cvat_id, key=row.key).delete()
    if row.base:
        keep_known([CvatKnown(project_id=row.project_id, cvat_task_id=row.cvat_task_id, **row.base)])
    CvatDifference.objects.filter(pk=row.pk).update(
        decision=Decision.OPEN, decided_by=None, decided_at=None, applied_by=None, made_version=None, previous="",
        version=version, **({"annotation_id": None} if row.kind == Kind.ADDED else {}),
    )  # fmt: skip
