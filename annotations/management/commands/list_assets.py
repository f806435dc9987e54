"""`manage.py list_assets`: answers a query from the shell."""

from typing import Any

from django.core.management.base import CommandParser

from annotations import query
from assets.models import ImageAsset
from projects.commands import ServiceCommand, project_named

SHOWN = ("id", "coco_id", "split__name", "file_name", "width", "height", "status", "annotation_count", "tags")


class Command(ServiceCommand):
    """List or count the images that a query chooses."""

    help = "List the images of a project that a query chooses, or count them. docs/query.md describes the language."

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("--project", required=True, metavar="NAME", help="its name")
        parser.add_argument("--q", default="", metavar="QUERY", help="such as 'category:person width>1024 -tag:done'")
        parser.add_argument("--count", action="store_true", help="only tell how many there are")
        parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many; all by default")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer the query."""
        project = project_named(options["project"], options["owner"])
        with query.statement_timeout():
            found = query.filter_images(ImageAsset.objects.filter(project=project), project, options["q"])
            answer: dict[str, Any] = {"project": project.name, "q": query.canonical(options["q"])}
            if options["count"]:
                return {**answer, "count": found.count()}
            rows = found.order_by("id").values(*SHOWN)
            limit = options["limit"]
            assets = [_tidy(row) for row in (rows[:limit] if limit > 0 else rows)]
            return {**answer, "count": len(assets), "assets": assets}

    def show(self, result: dict[str, Any]) -> None:
        """Print one image a line."""
        for asset in result.get("assets", ()):
            size = f"{asset['width']}x{asset['height']}"
            tags = " ".join(asset["tags"])
            self.stdout.write(
                f"{asset['id']:>10}  {asset['split']:<10} {size:>11}  {asset['file_name'] or '-'}  {tags}"
            )
        self.stdout.write(f"{result['count']:,} image(s)")


def _tidy(row: dict[str, Any]) -> dict[str, Any]:
    row["split"] = row.pop("split__name")
    row["annotations"] = row.pop("annotation_count")
    return row
