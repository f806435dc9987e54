"""`manage.py add_images`: pictures for images that have none yet, from a shell."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotations import services
from annotations.management.commands.import_coco import pictures_in
from projects.commands import ServiceCommand, acting_user, bar, project_named
from projects.models import Task


class Command(ServiceCommand):
    """Match pictures to records and store them, in the foreground."""

    help = "Give pictures from a folder or a zip to the images of a project that have none, by their file names."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--images", required=True, type=Path, metavar="DIR", help="folder or zip with the pictures")
        parser.add_argument("--split", default="", metavar="S", help="only images of this split")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, and in whose name this is done")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Add the pictures and tell what became of them."""
        project = project_named(options["project"], options["owner"])
        with bar() as progress:
            task = services.import_here(
                user=acting_user(options["owner"]) if options["owner"] else project.owner,
                project=project,
                files=[],
                pictures=pictures_in(options["images"]),
                file_name=options["images"].name,
                progress=progress,
                wanted=services.Wanted(what=services.What.IMAGES, split=options["split"]),
            )
        if task.status != Task.Status.SUCCEEDED:
            raise CommandError(task.message)
        return {"project": project.name, **task.result, "report": services.report_place(task)}
