"""`manage.py pull_cvat`: what people did in CVAT, compared and, if asked, taken over."""

import time
from typing import Any

from django.core.management.base import CommandParser

from accounts.errors import NotFound, ServiceError
from exports.models import CvatDifference, CvatPull, CvatRemark, ExportJob
from exports.pulling import services
from projects.commands import ServiceCommand, acting_user, bar
from projects.models import Task

LOOK = 1.0  # seconds between two looks at a task that a worker does, or that waits for CVAT to be well
SHOWN = 20


class Command(ServiceCommand):
    """Read an export's tasks in CVAT, here and now, and take over what is different if a policy says so."""

    help = (
        "Compare what people did in CVAT with what was sent and with what is here now. Without --apply the differences "
        "wait to be decided; accept takes over those without a conflict, theirs all, ours none. --undo puts back what "
        "an earlier run has taken over."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--export", type=int, required=True, metavar="ID", help="the number of the export")
        parser.add_argument(
            "--apply", default="review", choices=list(CvatPull.Policy.values), metavar="POLICY",
            help="what becomes of differences: review (the default), accept, theirs or ours",
        )  # fmt: skip
        parser.add_argument(
            "--news-only", action="store_true", help="only jobs in which something was saved since the last pull"
        )
        parser.add_argument("--undo", type=int, metavar="PULL", help="put back what this run has taken over")
        parser.add_argument("--as", dest="user", metavar="EMAIL", help="in whose name; the project's owner by default")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Pull, or undo."""
        job = ExportJob.objects.to_cvat().select_related("project__owner").filter(pk=options["export"]).first()
        if job is None or job.project.deleting:
            known = ", ".join(map(str, ExportJob.objects.to_cvat().values_list("pk", flat=True)[:SHOWN])) or "none yet"
            raise NotFound(f"There is no export {options['export']} to CVAT. There are: {known}.")
        user = acting_user(options["user"]) if options["user"] else job.project.owner
        if options["undo"]:
            earlier = CvatPull.objects.filter(job=job, pk=options["undo"]).select_related("job", "project").first()
            if earlier is None:
                raise NotFound(f"Export {job.pk} has no pull {options['undo']}.")
            pull = services.start_undo(user=user, pull=earlier)
        else:
            pull = services.start_pull(user=user, job=job, policy=options["apply"], everything=not options["news_only"])
        pull = _do(pull)
        task = pull.task
        if task is None or task.status != Task.Status.SUCCEEDED:
            raise ServiceError(f"Pull {pull.pk}: {task.message if task else 'it was not done.'}")
        rows = CvatDifference.objects.filter(job=job).open().select_related("cvat_task").order_by("pk")[:SHOWN]
        return {
            "export": job.pk, "pull": pull.pk, "action": pull.action, "policy": pull.policy, **pull.result,
            "waiting": [_told(row) for row in rows], "remarks_waiting": _remarks(job),
            "progress": services.progress_of(job),
        }  # fmt: skip

    def show(self, result: dict[str, Any]) -> None:
        """Print what is different and what became of it."""
        if result["action"] == CvatPull.Action.UNDO:
            self.stdout.write(f"Put back: {result['undone']:,}; left alone, changed since: {result['skipped']:,}")
            return
        self.stdout.write(
            f"Export {result['export']}, pull {result['pull']}: {result['tasks']:,} tasks read, "
            f"{result['unchanged']:,} annotations unchanged"
        )
        if "taken_over" in result:
            self.stdout.write(
                f"  taken over: {result['taken_over']:,}, refused: {result['refused']:,}, left: {result['left']:,}"
            )
        else:
            self.stdout.write(
                f"  added: {result['added']:,}, changed: {result['changed']:,}, deleted: {result['deleted']:,}; "
                f"conflicts: {result['conflicts']:,}, impossible: {result['problems']:,}"
            )
        if result.get("remarks"):
            self.stdout.write(f"  remarks in CVAT: {result['remarks']:,}, open: {result['remarks_open']:,}")
        for row in result["waiting"]:
            why = row["conflict"] or row["problem"]
            told = f"{row['kind']} {row['key']} (task {row['task']}, frame {row['frame']})"
            self.stdout.write(f"  {row['id']}: {told}{f': {why}' if why else ''}")
        for remark in result["remarks_waiting"]:
            self.stdout.write(
                f"  remark {remark['cvat_id']} (task {remark['task']}, frame {remark['frame']}): {remark['text']}"
            )
        for note in result["notes"]:
            self.stdout.write(f"  {note}")
        for task in result["progress"]:
            self.stdout.write(f"  task {task['task']}: {task['stage'] or '-'}, {task['percent']} % of frames completed")


def _told(row: CvatDifference) -> dict[str, Any]:
    names = ("kind", "subject", "key", "frame", "aspects", "conflict", "problem", "note")
    return {"id": row.pk, "task": row.cvat_task.number, **{name: getattr(row, name) for name in names}}


def _remarks(job: ExportJob) -> list[dict[str, Any]]:
    """The first ones that nobody has resolved."""
    rows = CvatRemark.objects.filter(job=job, resolved=False).select_related("cvat_task__cvat_project").order_by("pk")
    return [
        {"cvat_id": row.cvat_id, "task": row.cvat_task.number, "frame": row.frame, "text": str(row), "link": row.link}
        for row in rows[:SHOWN]
    ]


def _do(pull: CvatPull) -> CvatPull:
    """Do it here, or wait for the worker that was faster."""
    with bar() as progress:
        while True:
            pull = services.perform_here(pull)
            if pull.task is None or pull.task.is_finished:
                return pull
            progress(pull.task.phase, pull.task.done, pull.task.total)
            time.sleep(LOOK)
