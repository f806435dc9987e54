"""`manage.py import_coco`: a COCO file or a data set folder into a project, from a shell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.errors import ServiceError
from annotations import layouts, material, services
from annotations.coco.problems import Problem
from annotations.material import Material
from annotations.one_file import FileToImport
from annotations.sources import Archive, Beside, Folder, PictureSource
from projects.commands import ServiceCommand, acting_user, bar, find_by_name, project_named
from projects.models import Project, Task
from projects.services import create_project

SHOWN = ("images", "annotations", "categories", "images_missing", "quarantined", "repaired")


class Command(ServiceCommand):
    """Import a COCO file, a zip, or a folder with COCO files and pictures, in the foreground."""

    help = (
        "Import a COCO file (JSON, or gzip of it), a zip or a data set folder into a project, made if need be. "
        "Records that cannot be used are left out and told in the report, unless --strict is given. "
        "With --predictions, import a results file as the machine-made annotations of --source."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "path", type=Path, nargs="?", metavar="PATH", help="a COCO file, a zip, or a folder with COCO files"
        )
        parser.add_argument("--project", required=True, metavar="NAME", help="the project; made if there is none")
        parser.add_argument("--images", type=Path, metavar="DIR", help="folder or zip with the pictures")
        parser.add_argument("--split", default="", metavar="S", help="split, rather than what the file's name tells")
        parser.add_argument(
            "--file-split", action="append", default=[], metavar="FILE=S", help="split of one file of the data set"
        )
        parser.add_argument(
            "--leave-out", action="append", default=[], metavar="FILE", help="a COCO file of the data set to pass over"
        )
        parser.add_argument("--strict", action="store_true", help="refuse the file if any record cannot be used")
        parser.add_argument("--owner", metavar="EMAIL", help="who owns a new project, and in whose name this is done")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be imported, and import nothing")
        parser.add_argument("--predictions", action="store_true", help="PATH is a COCO results file of --source")
        parser.add_argument("--source", default="", metavar="NAME", help="what made the predictions, as yolo-v9")
        parser.add_argument("--remove-source", metavar="NAME", help="delete what this source has predicted")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Import and tell what is stored now."""
        if options["remove_source"]:
            return self._remove(options)
        path: Path | None = options["path"]
        if path is None or not path.exists():
            raise ServiceError(f"There is no {path}." if path else "Name a COCO file or a folder.")
        if options["predictions"]:
            return self._predictions(path, options)
        with self._material(path, options) as found:
            if options["dry_run"]:
                return {"dry_run": True, **material.survey(found)}
            user = acting_user(options["owner"])
            project = find_by_name(options["project"], options["owner"])
            if project is None:
                project = create_project(user=user, name=options["project"], source=path.name)
            wanted = services.Wanted(split=options["split"], splits=_splits(options), strict=options["strict"])
            task = self._import(project, path, options, wanted, found.files, found.pictures, found.problems)
        more = {name: value for name, value in task.result.items() if name not in (*SHOWN, "report", "files")}
        return {
            "project": project.name,
            "project_id": project.pk,
            "status": "ready",
            **{name: task.result[name] for name in SHOWN},
            "report": services.report_place(task),
            **more,
        }

    def _import(
        self,
        project: Project,
        path: Path,
        options: dict[str, Any],
        wanted: services.Wanted,
        files: list[FileToImport],
        pictures: PictureSource | None = None,
        problems: Sequence[Problem] = (),
    ) -> Task:
        for problem in problems:
            self.stderr.write(f"{problem.path}: {problem.message}")
        with bar() as progress:
            task = services.import_here(
                user=acting_user(options["owner"]) if options["owner"] else project.owner,
                project=project,
                files=files,
                pictures=pictures,
                file_name=path.name,
                progress=progress,
                wanted=wanted,
                problems=problems,
            )
        if task.status != Task.Status.SUCCEEDED:
            if options["json"]:
                failed = {"status": "failed", "message": task.message, "report": services.report_place(task)}
                self.print_json({"project": project.name, **failed})
            raise CommandError(task.message)
        return task

    def _predictions(self, path: Path, options: dict[str, Any]) -> dict[str, Any]:
        project = project_named(options["project"], options["owner"])
        wanted = services.Wanted(
            what=services.What.PREDICTIONS,
            split=options["split"],
            strict=options["strict"],
            source=options["source"],
        )
        task = self._import(project, path, options, wanted, [FileToImport(path, options["split"])])
        return {"project": project.name, **task.result, "report": services.report_place(task)}

    def _remove(self, options: dict[str, Any]) -> dict[str, Any]:
        project = project_named(options["project"], options["owner"])
        user = acting_user(options["owner"]) if options["owner"] else project.owner
        name, split = options["remove_source"], options["split"]
        removed = services.remove_source(user=user, project=project, source=name, split=split, here=True)
        return {"project": project.name, "source": name, "annotations_removed": removed.annotations}

    @contextmanager
    def _material(self, path: Path, options: dict[str, Any]) -> Iterator[Material]:
        given, split, splits = pictures_in(options["images"]), options["split"], _splits(options)
        if path.is_dir():
            found = material.in_folder(path.resolve(), split, splits)
            yield Material(found.files, found.plan, given or found.pictures)
            return
        with path.open("rb") as file:
            packed = material.is_zip(file)
        if not packed:
            name = split or layouts.split_of(PurePosixPath(path.resolve().as_posix()))
            root = path.resolve().parent
            given = given or Beside(root.parent if root.name == "annotations" else root, name)
            split = name
        with material.on_disk(path, path.name, given, split, splits) as found:
            yield found

    def show(self, result: dict[str, Any]) -> None:
        """Print a short summary."""
        if result.get("dry_run"):
            self._show_plan(result)
            return
        if "images_missing" not in result:
            super().show(result)
            return
        self.stdout.write(
            f"{result['project']}: {result['images']:,} images, {result['annotations']:,} annotations, "
            f"{result['categories']:,} categories (split {result['split']})"
        )
        self.stdout.write(
            f"  new: {result['images_added']:,} images, {result['annotations_added']:,} annotations; "
            f"changed: {result['images_changed']:,} and {result['annotations_changed']:,}"
        )
        self.stdout.write(
            f"  pictures: {result['pictures']:,} files for {result['images_with_picture']:,} images; "
            f"{result['images_missing']:,} missing, {result['images_broken']:,} broken"
        )
        self.stdout.write(
            f"  flaws: {result['quarantined']:,} left out, {result['repaired']:,} repaired; report: {result['report']}"
        )

    def _show_plan(self, plan: dict[str, Any]) -> None:
        self.stdout.write(f"Layout: {plan['layout']}. Nothing is written.")
        for file in plan["files"]:
            pictures = file.get("pictures")
            told = ", ".join(f"{number:,} {name}" for name, number in pictures.items()) if pictures else "none given"
            self.stdout.write(
                f"  {file['file']} -> split {file['split']!r}: {file['images']:,} images, "
                f"{file['annotations']:,} annotations, {file['categories']:,} categories; pictures: {told}"
            )
        for passed in plan["passed_over"]:
            self.stdout.write(f"  {passed['file']}: passed over, {passed['why']}")


def pictures_in(place: Path | None) -> PictureSource | None:
    """The pictures of a folder or a zip on this machine; None where no place is given."""
    if place is None:
        return None
    if not place.exists():
        raise ServiceError(f"There is no {place}; --images names a folder or a zip with pictures.")
    return Folder(place) if place.is_dir() else Archive(place, str(place))


def _splits(options: dict[str, Any]) -> dict[str, str]:
    splits = dict.fromkeys(options["leave_out"], layouts.LEFT_OUT)
    for text in options["file_split"]:
        name, sign, split = text.rpartition("=")
        if not (sign and name and split.strip()):
            raise ServiceError(f"--file-split is {text!r}; expected FILE=SPLIT, as annotations/x.json=train.")
        splits[name] = split.strip()
    return splits
