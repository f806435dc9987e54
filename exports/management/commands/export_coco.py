"""`manage.py export_coco`: what a query chooses, as a COCO file, a zip or a folder."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandParser

from accounts.errors import ServiceError
from annotations.models import KINDS
from exports import services
from exports.packing import FolderAdder, ZipAdder, write_package
from exports.rendering import Progress, Rendered, Selection, choose_kind, write_document
from projects import audit
from projects.commands import ServiceCommand, bar, project_named
from projects.models import Project


class Command(ServiceCommand):
    """Write a COCO export to this machine."""

    help = (
        "Export the images that a query chooses, with their annotations. --out names a .json, a .zip, or a folder; "
        "a zip and a folder hold a file per split and kind of annotation, and with --images the pictures."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=".json, .zip or a folder")
        parser.add_argument("--q", default="", metavar="QUERY", help="which images; all of them by default")
        parser.add_argument("--split", default="", metavar="S", help="only this split")
        parser.add_argument("--kind", default="", choices=["", *KINDS], help="of annotations")
        parser.add_argument(
            "--source", action="append", default=[], metavar="NAME", help="predictions of this source too; * is all"
        )
        parser.add_argument("--images", action="store_true", help="the pictures too (zip or folder)")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Export and tell what was written."""
        project = project_named(options["project"], options["owner"])
        out: Path = options["out"]
        packed = out.suffix.lower() == ".zip"
        folder = out.is_dir() or (not out.suffix and not packed)
        if options["images"] and not (packed or folder):
            raise ServiceError(f"{out.name} is one file; with --images name a .zip or a folder with --out.")
        wanted = services.Wanted(
            options["q"], options["split"], options["kind"], packed or folder, options["images"], options["source"]
        )
        with bar() as progress:
            rendered = services.with_selection(
                project, wanted, lambda selection: _write(selection, out, wanted, folder, progress)
            )
        _leave_line(project, wanted, rendered)
        return {
            "project": project.name,
            "out": str(out),
            "images": rendered.images,
            "annotations": rendered.annotations,
            "categories": rendered.categories,
            "notes": rendered.notes,
        }

    def show(self, result: dict[str, Any]) -> None:
        """Print a short summary."""
        self.stdout.write(f"{result['out']}: {result['images']:,} images, {result['annotations']:,} annotations")
        for note in result["notes"]:
            self.stdout.write(f"  {note}")


def _leave_line(project: Project, wanted: services.Wanted, rendered: Rendered) -> None:
    audit.record(
        project.owner,
        project,
        "export.written",
        q=wanted.q,
        split=wanted.split,
        images=rendered.images,
        annotations=rendered.annotations,
    )


def _write(selection: Selection, out: Path, wanted: services.Wanted, folder: bool, progress: Progress) -> Rendered:
    if folder:
        return write_package(selection, FolderAdder(out), pictures=wanted.pictures, progress=progress)
    with _whole(out) as target:
        if wanted.package:
            with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
                return write_package(selection, ZipAdder(archive), pictures=wanted.pictures, progress=progress)
        kind, notes = choose_kind(selection, wanted.kind)
        rendered = write_document(selection, target, kind=kind, progress=progress)
        rendered.notes += notes
        return rendered


@contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all."""
    if not out.parent.is_dir():
        raise ServiceError(f"There is no folder {out.parent} to write {out.name} to. Make it first.")
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with draft.open("wb") as target:
            yield target
        draft.replace(out)
    except OSError as error:
        raise ServiceError(f"{out} cannot be written ({error.strerror}).") from error
    finally:
        draft.unlink(missing_ok=True)
