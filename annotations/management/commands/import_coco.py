"""`manage.py import_coco`: a COCO file or a data set folder into a project, from a shell."""

from pathlib import Path, PurePosixPath
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.errors import ServiceError
from annotations import layouts, services
from annotations.importing import FileToImport
from annotations.sources import Archive, Beside, Folder, PictureSource
from projects.commands import ServiceCommand, acting_user, bar, find_by_name
from projects.services import create_project


class Command(ServiceCommand):
    """Import a COCO file, or a folder with COCO files and pictures, in the foreground."""

    help = (
        "Import a COCO file (JSON, or gzip of it) or a data set folder into a project, which is made if need be. "
        "Records that cannot be used are left out and told in the report, unless --strict is given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("path", type=Path, metavar="PATH", help="a COCO file, or a folder with COCO files")
        parser.add_argument("--project", required=True, metavar="NAME", help="the project; made if there is none")
        parser.add_argument("--images", type=Path, metavar="DIR", help="folder or zip with the pictures")
        parser.add_argument("--split", default="", metavar="S", help="split, rather than what the file's name tells")
        parser.add_argument("--strict", action="store_true", help="refuse the file if any record cannot be used")
        parser.add_argument("--owner", metavar="EMAIL", help="who owns a new project, and in whose name this is done")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be imported, and import nothing")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Import and tell what is stored now."""
        path: Path = options["path"]
        if not path.exists():
            raise ServiceError(f"There is no {path}.")
        files, plan, pictures = self._material(path, options["images"], options["split"])
        if options["dry_run"]:
            return {
                "layout": plan.layout if plan else "COCO file",
                "files": [{"file": str(file.path), "split": file.split} for file in files],
                "pictures": len(pictures.names()) if pictures and not isinstance(pictures, Beside) else None,
            }
        user = acting_user(options["owner"])
        project = find_by_name(options["project"], options["owner"])
        if project is None:
            project = create_project(user=user, name=options["project"], source=path.name)
        with bar() as progress:
            task = services.import_here(
                user=user if options["owner"] else project.owner,
                project=project,
                files=files,
                pictures=pictures,
                strict=options["strict"],
                file_name=path.name,
                split=options["split"],
                progress=progress,
            )
        if task.status != task.Status.SUCCEEDED:
            if options["json"]:
                failed = {"status": "failed", "message": task.message, "report": services.report_place(task)}
                self.print_json({"project": project.name, **failed})
            raise CommandError(task.message)
        keys = ("images", "annotations", "categories", "images_missing", "quarantined", "repaired")
        more = {name: value for name, value in task.result.items() if name not in (*keys, "report", "files")}
        return {
            "project": project.name,
            "project_id": project.pk,
            "status": "ready",
            **{key: task.result[key] for key in keys},
            "report": services.report_place(task),
            **more,
        }

    def _material(
        self, path: Path, images: Path | None, split: str
    ) -> tuple[list[FileToImport], layouts.Plan | None, PictureSource | None]:
        given: PictureSource | None = None
        if images is not None:
            if not images.exists():
                raise ServiceError(f"There is no {images}; --images names a folder or a zip with pictures.")
            given = Folder(images) if images.is_dir() else Archive(images, str(images))
        if path.is_dir():
            files, plan, found = services.folder_files(path.resolve(), split)
            return files, plan, given or found
        if path.suffix.lower() == ".zip":
            raise ServiceError(f"{path} is a zip: unpack it and name the folder, or upload it through the API.")
        name = split or layouts.split_of(PurePosixPath(path.resolve().as_posix()))
        root = path.resolve().parent
        root = root.parent if root.name == "annotations" else root
        return [FileToImport(path, name)], None, given or Beside(root, name)

    def show(self, result: dict[str, Any]) -> None:
        """Print a short summary."""
        if "layout" in result:
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
            f"  pictures: {result['pictures']:,} stored, {result['images_missing']:,} missing, "
            f"{result['images_broken']:,} broken"
        )
        self.stdout.write(
            f"  flaws: {result['quarantined']:,} left out, {result['repaired']:,} repaired; report: {result['report']}"
        )
