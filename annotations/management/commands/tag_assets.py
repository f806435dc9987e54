"""`manage.py tag_assets`: adds and removes tags of the images that a query chooses."""

from typing import Any

from django.core.management.base import CommandParser

from annotations import batches, bulk
from annotations.changes import Change, Selection
from assets.services import Edit
from projects.commands import ServiceCommand, acting_user, bar, project_named


class Command(ServiceCommand):
    """Tag the images that a query chooses."""

    help = "Add and remove tags of the images of a project that a query chooses (docs/query.md). It can be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--q", required=True, metavar="QUERY", help="such as 'category:person'; '' for all images")
        parser.add_argument("--add", action="append", default=[], metavar="TAG", help="may be given several times")
        parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="may be given several times")
        parser.add_argument("--dry-run", action="store_true", help="only tell how many images there are, and some")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")
        parser.add_argument("--user", metavar="EMAIL", help="who does it; the project's owner if not given")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do the edit, or tell of it."""
        project = project_named(options["project"], options["owner"])
        user = acting_user(options["user"]) if options["user"] else project.owner
        selection = Selection(options["q"])
        change = Change(Edit(add_tags=options["add"], remove_tags=options["remove"]))
        answer: dict[str, Any] = {"project": project.name, **selection.as_dict()}
        if options["dry_run"]:
            found = bulk.preview(user=user, project=project, selection=selection, change=change)
            return {**answer, "matched": found.matched, "sample": [str(image) for image in found.sample]}
        with bar() as progress:
            edit = bulk.perform_here(user=user, project=project, selection=selection, change=change, progress=progress)
        state = edit.task.status if edit.task else "succeeded"
        return {**answer, "bulk_edit": edit.pk, "state": state, "matched": edit.total, **batches.numbers(edit)}
