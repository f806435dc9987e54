"""`manage.py check_health`: what `GET /api/v1/health` tells, from a shell; containers ask it for their health."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from cocohub.health import parts
from cocohub.health.looking import Watch
from projects.commands import ServiceCommand, one_of


class Command(ServiceCommand):
    """Look at the parts of the installation."""

    help = "Ask each part of the installation, or those that are named. Exit code 1 if one of them is unwell."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("parts", nargs="*", type=one_of(parts.ALL), metavar="PART",
                            help=f"some of {', '.join(parts.ALL)}; all of them by default")  # fmt: skip

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Ask them side by side."""
        asked = options["parts"] or list(parts.ALL)
        found = Watch({name: parts.ALL[name] for name in asked}).look()
        self.is_bad = not all(part.ok for part in found.values())
        return {"status": "unwell" if self.is_bad else "ok", "parts": {n: part.as_dict() for n, part in found.items()}}

    def show(self, result: dict[str, Any]) -> None:
        """A line for each."""
        for name, told in result["parts"].items():
            rest = {key: value for key, value in told.items() if key not in ("ok", "milliseconds", "message")}
            words = told.get("message") or ", ".join(f"{key} {value}" for key, value in rest.items())
            self.stdout.write(
                f"{'ok    ' if told['ok'] else 'UNWELL'}  {name:<10}{told['milliseconds']:>6} ms  {words}"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask and tell. The database may be away: nothing is migrated first, as other commands do."""
        result = self.run(options)
        if options["json"]:
            self.print_json(result)
        else:
            self.show(result)
        if self.is_bad:
            sys.exit(1)
