"""`manage.py export_cvat`: what a query chooses, into CVAT."""

import time
from typing import Any

from django.core.management.base import CommandParser

from accounts.errors import ServiceError
from exports.models import ExportJob
from exports.sending import pipeline, services
from exports.sending.options import Options
from exports.services import Wanted
from projects import jobs
from projects.commands import ServiceCommand, acting_user, bar, project_named
from projects.models import Task

DEFAULTS = Options()
LOOK = 1.0  # seconds between two looks at a task that somebody else does, or that waits


class Command(ServiceCommand):
    """Queue an export to CVAT for a worker; with --wait, do it here if no worker takes it, and tell how it ended."""

    help = (
        "Send the images that a query chooses, with their annotations, to the project's CVAT. What is chosen is frozen "
        "first. Without --wait the export is queued for a worker; --resume goes on with one that failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--q", default="", metavar="QUERY", help="which images; all of them by default")
        parser.add_argument("--split", default="", metavar="S", help="only this split")
        parser.add_argument(
            "--source", action="append", default=[], metavar="NAME", help="predictions of this source too; * is all"
        )
        parser.add_argument(
            "--images-per-task", type=int, default=DEFAULTS.images_per_task, metavar="N", help="at most"
        )
        parser.add_argument(
            "--megabytes-per-task",
            type=int,
            default=DEFAULTS.megabytes_per_task,
            metavar="N",
            help="of pictures, at most",
        )
        parser.add_argument(
            "--images-per-job", type=int, default=0, metavar="N", help="0, the default: one job in each task"
        )
        parser.add_argument("--mix-splits", action="store_true", help="a task may hold images of several splits")
        parser.add_argument(
            "--from-bucket", action="store_true", help="CVAT reads the pictures from S3 itself (CVAT_CLOUD_STORAGE)"
        )
        parser.add_argument("--name", default="", help="how the tasks' names begin; the project's name by default")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be made, and make nothing")
        parser.add_argument("--wait", action="store_true", help="until it is done")
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with this export, which failed before")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")
        parser.add_argument("--as", dest="user", metavar="EMAIL", help="in whose name; the project's owner by default")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Queue, and wait if asked."""
        project = project_named(options["project"], options["owner"])
        user = acting_user(options["user"]) if options["user"] else project.owner
        wanted = Wanted(q=options["q"], split=options["split"], sources=options["source"])
        cut = Options(
            images_per_task=options["images_per_task"],
            megabytes_per_task=options["megabytes_per_task"],
            images_per_job=options["images_per_job"],
            per_split=not options["mix_splits"],
            name=options["name"],
            from_bucket=options["from_bucket"],
        )
        if options["dry_run"]:
            plan = services.dry_run(user=user, project=project, wanted=wanted, options=cut)
            return {"dry_run": True, **plan.as_dict()}
        if options["resume"]:
            job = ExportJob.objects.to_cvat().filter(project=project, pk=options["resume"]).first()
            if job is None:
                raise ServiceError(f"There is no export {options['resume']} to CVAT in {project.name}.")
            job = services.retry(user=user, job=job)
        else:
            job = services.start(user=user, project=project, wanted=wanted, options=cut)
        if options["wait"]:
            _do(job)
        task = Task.objects.get(pk=job.task_id)
        if task.status in (Task.Status.FAILED, Task.Status.CANCELLED):
            raise ServiceError(f"Export {job.pk}: {task.message} Go on with --resume {job.pk}.")
        return {"export": job.pk, "task": str(task.pk), "status": task.status, **task.result}

    def show(self, result: dict[str, Any]) -> None:
        """Print what was made, or would be."""
        if result.get("dry_run"):
            self.stdout.write(f"{result['server']}: {result['images']:,} images in {len(result['tasks'])} tasks")
        elif result["status"] != Task.Status.SUCCEEDED:
            self.stdout.write(f"Export {result['export']} is {result['status']}. Follow task {result['task']}.")
            return
        else:
            self.stdout.write(
                f"Export {result['export']}: {result['images']:,} images, {result['annotations']:,} annotations "
                f"({result['shapes']:,} shapes) in {result['project']}"
            )
        for task in result["tasks"]:
            told = task.get("link") or f"{task['split'] or '-'}: {task['images']:,} images, {task['annotations']:,}"
            self.stdout.write(f"  task {task['number']}: {told}")
        for note in result.get("notes", []):
            self.stdout.write(f"  {note}")


def _do(job: ExportJob) -> None:
    """Do it here, or wait for the worker that was faster."""
    with bar() as progress:
        while True:
            jobs.run(job.task_id, pipeline.run)
            task = Task.objects.get(pk=job.task_id)
            if task.is_finished:
                return
            progress(task.phase, task.done, task.total)
            time.sleep(LOOK)
