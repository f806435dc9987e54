"""What CVAT says of a task's jobs, kept on our rows: who works on which frames, and how far."""

from collections.abc import Iterable, Sequence

from exports.cvat.records import Job
from exports.models import CvatJob, CvatTask

STAGES = ("annotation", "validation", "acceptance")
STATES = ("new", "rejected", "in progress", "completed")


def mirror(task: CvatTask, jobs: Sequence[Job], status: str = "") -> None:
    """Bring the rows of the task's jobs up to date, and set (not save) its status, stage, state and mark.

    The task is as far as the least far of its jobs. Jobs of another type (ground truth) are not its annotations.
    """
    own = [job for job in jobs if job.type in ("", "annotation")]
    CvatJob.objects.filter(task=task).exclude(cvat_id__in=[job.id for job in own]).delete()
    CvatJob.objects.bulk_create(
        [
            CvatJob(
                project_id=task.project_id,
                task=task,
                cvat_id=job.id,
                start_frame=job.start_frame,
                stop_frame=job.stop_frame,
                stage=job.stage[:20],
                state=job.state[:20],
                assignee=job.assignee.username[:200] if job.assignee else "",
                updated_date=job.updated_date[:40],
            )
            for job in own
        ],
        update_conflicts=True,
        unique_fields=["task", "cvat_id"],
        update_fields=["start_frame", "stop_frame", "stage", "state", "assignee", "updated_date"],
    )
    task.status = status[:20] or task.status
    task.stage = _least((job.stage for job in own), STAGES)
    task.state = _least((job.state for job in own), STATES)
    # CVAT's dates have one form, so the greatest text is the latest; never a clock of ours.
    task.updated_date = max([task.updated_date, *(job.updated_date[:40] for job in own)])


def _least(found: Iterable[str], order: Sequence[str]) -> str:
    places = {name: place for place, name in enumerate(order)}
    return min(found, key=lambda name: places.get(name, -1), default="")
