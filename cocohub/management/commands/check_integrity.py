"""`manage.py check_integrity`: whether the rows agree with each other."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from cocohub import integrity
from projects.commands import ServiceCommand


class Command(ServiceCommand):
    """Look for rows that contradict each other."""

    help = "Look for rows that contradict each other: counts, orphans, revisions, ids. Exit code 1 if any are left."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--repair", action="store_true", help="put right what can be computed anew")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do all checks."""
        found = list(integrity.look(repair=options["repair"]))
        self.left = sum(one.number - one.repaired for one in found)
        return {"checks": len(integrity.CHECKS), "found": [one.as_dict() for one in found], "left": self.left}

    def show(self, result: dict[str, Any]) -> None:
        """The result for people."""
        for one in result["found"]:
            repaired = f", {one['repaired']:,} put right" if one["repaired"] else ""
            self.stdout.write(f"{one['number']:,} {one['told']}{repaired} (for example {', '.join(one['examples'])})")
        self.stdout.write(f"{result['checks']} checks; {result['left']:,} rows that are wrong.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; the exit code tells whether all is well."""
        super().handle(*args, **options)
        if self.left:
            sys.exit(1)
