"""What the commands that people run from a shell share: who acts, which project, how progress and errors are shown."""

import difflib
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from tqdm import tqdm

from accounts import context
from accounts.errors import ServiceError
from accounts.models import User
from projects.models import Project

LOOK_AGAIN = 0.1  # seconds
SHOWN = 5  # names in an error
LOCAL_USER = "cocohub@localhost"


class Bar:
    """A progress bar on stderr that changes with the phase; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._phase = ""

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        if not sys.stderr.isatty():
            return
        if phase != self._phase or self._bar is None:
            self.close()
            self._phase = phase
            self._bar = tqdm(total=total, desc=f"{phase:<12}", unit="", unit_scale=True, file=sys.stderr, leave=False)
        if total is not None:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class ServiceCommand(BaseCommand):
    """A command that calls services: expected refusals become one line on stderr and exit code 1.

    Someone with a shell on the server may do anything: it acts as the project's owner, or as the given user.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """Options that all of these commands have."""
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object on stdout and nothing else there"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; its result is printed as JSON or for people."""
        migrate_embedded()
        try:
            with context.entering("command"):
                result = self.run(options)
        except ServiceError as error:
            if options["json"]:
                self.print_json({"status": "failed", "message": error.message})
            raise CommandError(error.message) from error
        if options["json"]:
            self.print_json(result)
        else:
            self.show(result)

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do the work and give the result."""
        raise TypeError(f"{type(self).__name__} does not say what to do")

    def print_json(self, result: dict[str, Any]) -> None:
        """Print one JSON object on a line."""
        self.stdout.write(orjson.dumps(result, default=str).decode())

    def show(self, result: dict[str, Any]) -> None:
        """Print the result for people."""
        for name, value in result.items():
            self.stdout.write(f"{name}: {value}")


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """For arguments that may be given any number of times: with `choices`, Python 3.11 refuses none at all."""
    known = list(names)

    def checked(text: str) -> str:
        if text not in known:
            near = difflib.get_close_matches(text, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ArgumentTypeError(f"there is no {text!r}.{hint} There are: {', '.join(known)}.")
        return text

    return checked


@contextmanager
def bar() -> Iterator[Bar]:
    """A progress bar for the length of the work."""
    shown = Bar()
    try:
        yield shown
    finally:
        shown.close()


def migrate_embedded() -> None:
    """Bring a database of our own up to date; a database that is somebody's is migrated by its operator."""
    connection = connections[DEFAULT_DB_ALIAS]
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if not settings.DATABASE_IS_EMBEDDED:
        raise CommandError("The database is not migrated to this version. Run: python manage.py migrate")
    with connection.cursor() as cursor:
        # Asked again and again rather than waited for: a statement that waits holds a snapshot, and the migrations that
        # make indexes while the tables are in use wait until nobody holds an older one.
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext('cocohub.migrate'))")
            if cursor.fetchone() == (True,):
                break
            time.sleep(LOOK_AGAIN)
        try:
            call_command("migrate", verbosity=0, interactive=False)  # nothing is left to do for the second of two
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('cocohub.migrate'))")


def acting_user(email: str | None) -> User:
    """The user that a command acts as: the one of this email, or the first global admin, made if there is none."""
    if email:
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = User.objects.create_user(email)
            print(f"There was no user {email}: made one, without a password.", file=sys.stderr)
        return user
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return admin or User.objects.create_superuser(LOCAL_USER)


def find_by_name(name: str, owner: str | None = None) -> Project | None:
    """The project of this name (or, if the name is a number, this id); None if there is none.

    Raises ServiceError where several owners have a project of this name and no owner is given.
    """
    named = Project.objects.filter(deleting=False, name__iexact=name).select_related("owner")
    if owner:
        named = named.filter(owner__email__iexact=owner)
    found = list(named[:2])
    if len(found) > 1:
        raise ServiceError(f"Several owners have a project {name!r}; say whose with --owner EMAIL.")
    if not found and name.isdecimal():
        return Project.objects.filter(deleting=False, pk=int(name)).select_related("owner").first()
    return found[0] if found else None


def project_named(name: str, owner: str | None = None) -> Project:
    """The same; ServiceError if there is none, naming those there are."""
    project = find_by_name(name, owner)
    if project is None:
        known = list(Project.objects.filter(deleting=False).values_list("name", flat=True)[:1000])
        shown = difflib.get_close_matches(name, known, n=SHOWN) or known[:SHOWN]
        more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
        listed = ", ".join(one[:60] for one in shown) + more if known else "none yet"
        raise ServiceError(f"There is no project {name[:100]!r}. The projects are: {listed}.")
    return project
