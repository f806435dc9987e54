"""`manage.py services`: the embedded PostgreSQL and Redis."""

from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from cocohub import embedded


class Command(BaseCommand):
    """Tell how the embedded servers are, or stop them."""

    help = "Tell how the embedded PostgreSQL and Redis are, or stop them; any other command starts them again."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("what", choices=["status", "stop"], help="tell which run, or stop them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell or stop."""
        if options["what"] == "status":
            self.stdout.write(
                orjson.dumps(embedded.status(settings.HOME), option=orjson.OPT_INDENT_2, default=str).decode()
            )
            return
        stopped = embedded.stop(settings.HOME)
        self.stdout.write(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running.")
