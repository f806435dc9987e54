"""`manage.py serve`: web, worker and beat in one terminal."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from cocohub import serving
from projects.commands import migrate_embedded


class Command(BaseCommand):
    """Run everything until Ctrl-C."""

    help = "Run web, worker and beat until Ctrl-C. In production run the three by themselves (see docs/deployment.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
        parser.add_argument("--port", type=int, default=8000, help="to listen at")
        parser.add_argument("--workers", type=int, default=2, help="worker processes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until asked to stop."""
        migrate_embedded()
        self.stdout.write(f"CocoHub: {serving.address(options['host'], options['port'])}/  (Ctrl-C stops it)")
        sys.exit(serving.serve(options["host"], options["port"], options["workers"]))
