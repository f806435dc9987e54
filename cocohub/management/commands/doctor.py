"""`manage.py doctor`: what is wrong with the whole installation, and what to do about it."""

import sys
from collections import Counter
from typing import Any

from django.core.management.base import CommandParser

from cocohub.doctor.examining import CHECKS, examine
from cocohub.doctor.findings import Finding, Grade
from projects.commands import ServiceCommand, bar, one_of

MARKS = {Grade.OK: "ok     ", Grade.WARNING: "WARNING", Grade.ERROR: "ERROR  ", Grade.SKIPPED: "skipped"}


class Command(ServiceCommand):
    """Look at everything, and tell what is to be done."""

    help = (
        "Look at the whole installation: settings, PostgreSQL, Redis, storage, workers, jobs, people, content, CVAT. "
        "For each check: what was found, and what to do. Changes nothing. Exit code 1 if there is an error."
    )
    requires_system_checks = ()  # it is to speak where others refuse to start

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "checks", nargs="*", type=one_of(check.name for check in CHECKS), metavar="CHECK",
            help=f"some of: {', '.join(check.name for check in CHECKS)}; all but the thorough ones by default",
        )  # fmt: skip
        parser.add_argument(
            "--thorough",
            action="store_true",
            help="also compare all rows with each other and with the files in storage",
        )
        parser.add_argument("--quiet", action="store_true", help="print only warnings, errors and the sum")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do the checks; what others need is looked at with them."""
        wanted = _with_needs(options["checks"]) if options["checks"] else {check.name for check in CHECKS}
        chosen = [check for check in CHECKS if check.name in wanted]
        found: list[Finding] = []
        with bar() as progress:
            for finding in examine(chosen, thorough=options["thorough"] or bool(options["checks"])):
                found.append(finding)
                progress("checks", len(found), len(chosen))
        grades = Counter(finding.found.grade for finding in found)
        self.is_bad = bool(grades[Grade.ERROR])
        worst = next((grade for grade in (Grade.ERROR, Grade.WARNING) if grades[grade]), Grade.OK)
        return {
            "status": str(worst),
            **{f"{grade}s" if grade != Grade.OK else "ok": grades[grade] for grade in MARKS if grade != Grade.SKIPPED},
            "skipped": grades[Grade.SKIPPED],
            "checks": [finding.as_dict() for finding in found],
        }

    def show(self, result: dict[str, Any]) -> None:
        """A line for each, and below it what to do."""
        for told in result["checks"]:
            grade = Grade(told["grade"])
            if self.quiet and grade in (Grade.OK, Grade.SKIPPED):
                continue
            self.stdout.write(f"{MARKS[grade]}  {told['check']:<17}  {told['found']}")
            if todo := told.get("todo"):
                self.stdout.write(f"{'':<28}-> {todo}")
        self.stdout.write(
            f"{len(result['checks'])} checks: {result['errors']} error(s), {result['warnings']} warning(s), "
            f"{result['skipped']} not looked at."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Look and tell. The database may be away: nothing is migrated first, as other commands do."""
        self.quiet = options["quiet"]
        result = self.run(options)
        if options["json"]:
            self.print_json(result)
        else:
            self.show(result)
        if self.is_bad:
            sys.exit(1)


def _with_needs(names: list[str]) -> set[str]:
    needs = {check.name: check.needs for check in CHECKS}
    wanted, left = set[str](), list(names)
    while left:
        name = left.pop()
        wanted.add(name)
        left.extend(needs[name])
    return wanted
