"""`manage.py compute_insights`: the figures of projects, computed here and now."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.errors import ServiceError
from annotations import query
from insights import refreshing
from projects.commands import Bar, ServiceCommand, bar, project_named
from projects.models import Project, Task


class Command(ServiceCommand):
    """Compute what is not fresh."""

    help = (
        "Compute the figures of a project's dashboard, or of all projects, that are not fresh; with --q those of what "
        "a query selects. They are kept and read by everybody. What a worker is computing already is left to it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--project", metavar="NAME", help="only this one")
        which.add_argument("--all", action="store_true", help="every project")
        parser.add_argument("--owner", metavar="EMAIL", help="whose project, where several have the same name")
        parser.add_argument("--q", default="", metavar="QUERY", help="figures of what it selects (docs/query.md)")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Compute them, project by project."""
        if options["all"] and options["q"]:
            raise ServiceError("--q is for one project: categories of one mean nothing in another.")
        if options["all"]:
            projects = list(Project.objects.filter(deleting=False))
        else:
            projects = [project_named(options["project"], options["owner"])]
        q = query.canonical(options["q"])
        with bar() as progress:
            done = [_compute(project, q, progress) for project in projects]
        failed = [one for one in done if one["state"] == Task.Status.FAILED]
        if failed:
            raise ServiceError("; ".join(f"{one['project']}: {one['message']}" for one in failed))
        return {"q": q, "projects": done}

    def show(self, result: dict[str, Any]) -> None:
        """A line for each project."""
        for one in result["projects"]:
            self.stdout.write(f"{one['project']}: {one['message']}")


def _compute(project: Project, q: str, progress: Bar) -> dict[str, Any]:
    task = refreshing.compute_here(project, q, progress)
    told = {"project": project.name, "project_id": project.pk}
    if task is None:
        return {**told, "state": "left to a worker", "message": "a worker is at it, and computes the rest"}
    if task.status != Task.Status.SUCCEEDED:
        return {**told, "state": task.status, "message": task.message}
    metrics, evaluations = task.result["metrics"], task.result["evaluations"]
    words = f"{metrics:,} metrics computed" if metrics else "all metrics were fresh"
    more = f", {evaluations:,} evaluations of predictions" if evaluations else ""
    return {**told, "state": task.status, "metrics": metrics, "evaluations": evaluations, "message": words + more}
