"""`manage.py seed`: people and projects to look around in."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from cocohub import seeding
from projects.commands import ServiceCommand, bar


class Command(ServiceCommand):
    """Make a believable installation."""

    help = (
        "Make a believable installation: people of each role, and three projects: one freshly imported, one half-way "
        "through curation, one with the predictions of two detectors. All pictures are drawn here. What is there "
        "already stays as it is. Prints the logins."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--beside-others", action="store_true", help="also where there are projects that the seed has not made"
        )

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make what is not there yet."""
        with bar() as progress:
            return asdict(seeding.seed(progress, beside_others=options["beside_others"]))

    def show(self, result: dict[str, Any]) -> None:
        """A line for each project and each login."""
        for project in result["projects"]:
            state = "made" if project["made"] else "was there"
            self.stdout.write(
                f"project {project['id']:>4}  {project['name']:<20} {project['images']:>4} images  {state}"
            )
        for login in result["logins"]:
            password = login["password"] or "(as it was)"
            self.stdout.write(f"{login['role']:<18} {login['email']:<28} {password}")
