"""`manage.py make_thumbnails`: the thumbnails that a project lacks, from a shell."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.errors import ServiceError
from assets import thumbnails
from assets.decoding import DecodersUnwell
from assets.thumbnails import BrokenPicture, StorageUnwell
from projects.commands import ServiceCommand, bar, project_named


class Command(ServiceCommand):
    """Make thumbnails in the foreground, together with whichever workers do the same."""

    help = (
        "Make the thumbnails that a project lacks, and mark images whose picture cannot be decoded as broken. "
        "What is done stays done: it may be stopped and started again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make them and tell what was done."""
        project = project_named(options["project"], options["owner"])
        broken: list[BrokenPicture] = []
        try:
            with bar() as progress:
                counts = thumbnails.make_thumbnails(project, progress, user=project.owner, tell=broken.append)
        except (StorageUnwell, DecodersUnwell) as error:
            raise ServiceError(str(error)) from error
        return {
            "project": project.name,
            **counts,
            "broken_images": [
                {"image": image.image_id, "file_name": image.file_name, "reason": image.reason} for image in broken
            ],
        }

    def show(self, result: dict[str, Any]) -> None:
        """Print a short summary, and what is broken."""
        self.stdout.write(
            f"{result['project']}: {result['made']:,} thumbnails made, {result['reused']:,} were there, "
            f"{result['broken']:,} pictures broken, {result['unreadable']:,} not readable from storage"
        )
        for image in result["broken_images"]:
            self.stdout.write(f"  image {image['image']} ({image['file_name']}): {image['reason']}")
