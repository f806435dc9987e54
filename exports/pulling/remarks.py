"""What reviewers write about frames in CVAT: read with every pull, kept as it stands there, shown to who decides here.

No annotation depends on it: what CVAT does not tell of it leaves a pull as it is, and what was read before stays.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from exports.cvat.client import Client
from exports.cvat.records import Comment, Issue, Job, User
from exports.models.cvat import CvatImage, CvatTask
from exports.pulling.models import CvatRemark

MOST_TEXT = 10_000  # characters of a text that are kept
MAX_FRAME = 2**31 - 1
BATCH = 1_000  # rows written at once
SHOWN = 5  # of many, in a note


@dataclass(frozen=True)
class Remarks:
    """The remarks of one task with their texts, and what is to be told besides."""

    found: Sequence[tuple[Issue, Sequence[Comment]]]
    notes: Sequence[str] = ()


def fetch(client: Client, task: CvatTask, jobs: Sequence[Job]) -> Remarks:
    """Read a task's remarks. Raises CvatError.

    Those of jobs that are not the task's are told and left: CVAT ignores a filter that it does not know, and gives all.
    """
    own = {job.id for job in jobs}
    every = client.issues(int(task.cvat_id or 0))
    issues = [issue for issue in every if issue.job_id in own]
    texts: dict[int, list[Comment]] = defaultdict(list)
    for job_id in sorted({issue.job_id for issue in issues}):
        for comment in client.comments(job_id):
            texts[comment.issue_id].append(comment)
    for several in texts.values():
        several.sort(key=lambda one: one.id)
    foreign = len(every) - len(issues)
    notes = [f"{foreign:,} remarks of jobs that are not in it were passed over."] if foreign else []
    return Remarks([(issue, texts[issue.id]) for issue in sorted(issues, key=lambda one: one.id)], notes)


def store(task: CvatTask, remarks: Remarks) -> list[str]:
    """Put them in the place of those that were read before; give what is to be told of them."""
    images = dict(CvatImage.objects.filter(task=task).exclude(frame=None).values_list("frame", "asset_id"))
    rows = [_row(task, issue, texts, images.get(issue.frame)) for issue, texts in remarks.found]
    CvatRemark.objects.filter(cvat_task=task).exclude(cvat_id__in=[row.cvat_id for row in rows]).delete()
    CvatRemark.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["cvat_task", "cvat_id"],
        update_fields=[
            "cvat_job", "frame", "image_id", "position", "resolved", "author", "assignee", "texts", "created_date",
            "updated_date",
        ],
    )  # fmt: skip
    return [*remarks.notes, *_unknown_frames([issue for issue, _ in remarks.found if issue.frame not in images])]


def _unknown_frames(issues: Sequence[Issue]) -> list[str]:
    if not issues:
        return []
    listed = ", ".join(f"{issue.id} (frame {issue.frame})" for issue in issues[:SHOWN])
    more = ", ..." if len(issues) > SHOWN else ""
    return [f"Remarks are on frames that have no image of this export: {listed}{more}."]


def _row(task: CvatTask, issue: Issue, texts: Sequence[Comment], image: int | None) -> CvatRemark:
    return CvatRemark(
        project_id=task.project_id, job_id=task.job_id, cvat_task=task, cvat_id=issue.id, cvat_job=issue.job_id,
        frame=issue.frame if 0 <= issue.frame <= MAX_FRAME else None, image_id=image, position=list(issue.position),
        resolved=issue.resolved, author=_name(issue.owner), assignee=_name(issue.assignee),
        texts=[
            {"message": _plain(one.message), "author": _name(one.owner), "date": one.created_date[:40]} for one in texts
        ],
        created_date=issue.created_date[:40], updated_date=issue.updated_date[:40],
    )  # fmt: skip


def _name(user: User | None) -> str:
    return _plain(user.username)[:200] if user else ""


def _plain(text: str) -> str:
    """PostgreSQL keeps no NUL."""
    kept = text.replace("\0", "")
    return kept if len(kept) <= MOST_TEXT else f"{kept[:MOST_TEXT]} ..."
