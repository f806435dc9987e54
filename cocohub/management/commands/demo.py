"""`manage.py demo`: the main job on a sample data set, with a table of what was done and how long it took."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import ServiceError
from accounts.models import User
from annotations import material, query
from annotations import services as imports
from assets import thumbnails
from assets.models import ImageAsset
from cocohub import sample, serving
from exports import services as exports
from projects.commands import bar, find_by_name, migrate_embedded
from projects.models import Project, Task
from projects.services import create_project

EMAIL, PASSWORD = "demo@cocohub.example", "cocohub-demo"
PROJECT = "Sample scenes"
QUERIES = ("category:person", "has(category:car area>5000) -category:bus", "annotations>10 width>=800")


class Command(BaseCommand):
    """Draw or take a data set, import it, make thumbnails, query, export, serve."""

    help = "Show the main job on a sample data set, or on a COCO folder of yours, and then serve it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        parser.add_argument("--data", type=Path, help="a COCO folder of yours, rather than the drawn sample")
        parser.add_argument("--no-serve", action="store_true", help="end after the table")
        parser.add_argument("--port", type=int, default=8000, help="to listen at")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do each step and print its row."""
        self._row("step", "what was done", "seconds")
        self._step("database", _prepare)
        user = _demo_user()
        folder: Path = options["data"] or settings.HOME / "demo" / "sample"
        if options["data"] is None:
            self._step("sample", lambda: _draw(folder))
        name = PROJECT if options["data"] is None else folder.resolve().name
        try:
            project = find_by_name(name, EMAIL) or create_project(user=user, name=name, source=str(folder))
            self._step("import", lambda: _import(user, project, folder))
            self._step("thumbnails", lambda: _thumbnails(project))
            for text in QUERIES:
                self._step("query", lambda text=text: _count(project, text))  # type: ignore[misc]
            self._step("export", lambda: _export(project, QUERIES[0]))
        except ServiceError as error:
            raise CommandError(error.message) from error
        if options["no_serve"]:
            return
        self.stdout.write(f"\nCocoHub: http://127.0.0.1:{options['port']}/   login {EMAIL}   password {PASSWORD}")
        self.stdout.write("API documentation: /api/v1/docs   Ctrl-C stops it.")
        sys.exit(serving.serve("127.0.0.1", options["port"]))

    def _step(self, name: str, work: Callable[[], str]) -> None:
        start = time.perf_counter()
        told = work()
        self._row(name, told, f"{time.perf_counter() - start:.2f}")

    def _row(self, name: str, told: str, seconds: str) -> None:
        self.stdout.write(f"{name:<11} {told:<78} {seconds:>8}")
        self.stdout.flush()


def _prepare() -> str:
    migrate_embedded()
    return "embedded PostgreSQL and Redis" if settings.DATABASE_IS_EMBEDDED else "your PostgreSQL"


def _demo_user() -> User:
    user = User.objects.filter(email=EMAIL).first()
    return user or User.objects.create_superuser(EMAIL, PASSWORD, name="Demo")


def _draw(folder: Path) -> str:
    if (folder / ".complete").exists():
        return "drawn before"
    drawn = sample.draw_sample(folder)
    (folder / ".complete").touch()
    return f"drew {drawn.images} pictures with {drawn.annotations} annotations of {drawn.categories} categories"


def _import(user: User, project: Project, folder: Path) -> str:
    found = material.in_folder(folder.resolve(), "", {})
    with bar() as progress:
        task = imports.import_here(
            user=user,
            project=project,
            files=found.files,
            pictures=found.pictures,
            strict=False,
            file_name=folder.name,
            split="",
            progress=progress,
        )
    if task.status != Task.Status.SUCCEEDED:
        raise ServiceError(task.message)
    result = task.result
    return (
        f"{found.plan.layout} layout, {len(found.files)} files: {result['images']} images, "
        f"{result['annotations']} annotations, {result['images_added']} new"
    )


def _thumbnails(project: Project) -> str:
    with bar() as progress:
        made = thumbnails.make_thumbnails(project, progress)
    return ", ".join(f"{number} {name}" for name, number in made.items())


def _count(project: Project, text: str) -> str:
    found = query.filter_images(ImageAsset.objects.filter(project=project), project, text).count()
    return f"{text}  ->  {found} images"


def _export(project: Project, text: str) -> str:
    path = settings.HOME / "demo" / "export.zip"
    path.parent.mkdir(parents=True, exist_ok=True)  # nothing was drawn there where somebody gave data of their own
    with path.open("wb") as target:
        wanted = exports.Wanted(q=text, package=True)
        rendered = exports.write_to(target, project, wanted, lambda phase, done, total: None)
    return f"{text}  ->  {rendered.images} images, {rendered.annotations} annotations in {path.name}"
