"""`manage.py verify_storage`: whether every row has its file, and every file its row."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from cocohub import storekeeping
from projects.commands import ServiceCommand, bar

SHOWN = 20  # of each list, for people


class Command(ServiceCommand):
    """Hold rows and storage against each other."""

    help = (
        "Find rows whose file is missing or is another one, and files older than a day that no row refers to. "
        "Exit code 1 if a row's file is not as it should be."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--checksums", action="store_true", help="read every picture and compare its SHA-256")
        parser.add_argument("--delete-orphans", action="store_true", help="delete the files that no row refers to")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Look at everything."""
        with bar() as progress:
            flaws = list(storekeeping.flaws(checksums=options["checksums"], progress=progress))
            orphans = list(storekeeping.orphans(progress=progress))
        deleted = storekeeping.delete_orphans()[0] if options["delete_orphans"] else 0
        self.is_bad = bool(flaws)
        return {
            "flaws": [flaw.as_dict() for flaw in flaws],
            "flaws_by_code": storekeeping.totals(flaws),
            "orphans": len(orphans),
            "orphan_bytes": sum(orphan.stored.size for orphan in orphans),
            "orphan_keys": [orphan.stored.key for orphan in orphans[:1000]],
            "deleted": deleted,
        }

    def show(self, result: dict[str, Any]) -> None:
        """The result for people."""
        for flaw in result["flaws"][:SHOWN]:
            self.stdout.write(f"{flaw['code']:<15} {flaw['row']:<20} {flaw['key']}")
        left = len(result["flaws"]) - SHOWN
        if left > 0:
            self.stdout.write(f"... and {left:,} more")
        for key in result["orphan_keys"][:SHOWN]:
            self.stdout.write(f"{'orphan':<15} {'':<20} {key}")
        self.stdout.write(
            f"{len(result['flaws']):,} rows with a flaw; {result['orphans']:,} files that no row refers to "
            f"({result['orphan_bytes']:,} bytes), {result['deleted']:,} of them deleted now."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; the exit code tells whether all is well."""
        super().handle(*args, **options)
        if self.is_bad:
            sys.exit(1)
