"""`manage.py check_cvat`: what is wrong with a connection to CVAT, said plainly."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import sealing
from exports import connecting
from projects.commands import ServiceCommand, project_named


class Command(ServiceCommand):
    """Ask CVAT who it is and whose token it is; exit code 1 if it cannot be used."""

    help = (
        "Check the installation's connection to CVAT, or a project's. With --reseal, seal the stored secrets under the "
        "first of CREDENTIALS_KEYS, so that the former keys can go."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", metavar="NAME", help="whose connection; the installation's by default")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")
        parser.add_argument("--reseal", action="store_true", help="seal stored secrets under the first key")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Check, or seal anew."""
        if options["reseal"]:
            return {"resealed": sealing.reseal_all()}
        project = project_named(options["project"], options["owner"]) if options["project"] else None
        found = connecting.check_project(project)
        result = {
            "ok": found.ok,
            "message": found.message,
            "version": found.version,
            "username": found.username,
            "warnings": list(found.warnings),
        }
        if not found.ok:
            if options["json"]:
                self.print_json(result)
            raise CommandError(found.message)
        return result

    def show(self, result: dict[str, Any]) -> None:
        """Print the outcome."""
        if "resealed" in result:
            self.stdout.write(f"{result['resealed']} secrets are sealed under the first key.")
            return
        self.stdout.write(result["message"])
        for warning in result["warnings"]:
            self.stdout.write(f"  {warning}")
