"""What of the project is in CVAT: each export with how far people are, and what waits for a decision."""

from typing import Any

from django.db.models import Case, Count, F, Max, Q, Sum, Value, When
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.errors import ServiceError
from accounts.phrases import in_words
from cocohub.workplace.pages import in_project, show
from exports import connecting
from exports.models import CvatDifference, CvatJob, CvatPull, CvatRemark, CvatTask, ExportJob
from projects.models import Project

LISTED = 25  # exports


@in_project()
@require_safe
def in_cvat(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The exports to CVAT, the newest first."""
    rows = ExportJob.objects.to_cvat().filter(project=project).select_related("task", "created_by", "cvat_project")
    jobs = list(rows.order_by("-pk")[:LISTED])
    try:
        connected = connecting.account_of(project).web_url
        refusal = ""
    except ServiceError as error:
        connected, refusal = "", in_words(error.message)
    lines = _lines(project, jobs)
    waiting = sum(line["open"] for line in lines)
    return show(
        request, "workplace/cvat.html", project, "cvat", lines=lines, connected=connected, refusal=refusal,
        waiting=waiting,
    )  # fmt: skip


def _lines(project: Project, jobs: list[ExportJob]) -> list[dict[str, Any]]:
    """Each export with its numbers. Five queries for all."""
    keys = [job.pk for job in jobs]
    tasks = _by_job(
        CvatTask.objects.filter(project=project, job__in=keys),
        "job",
        tasks=Count("pk"),
        sent=Count("pk", filter=Q(step=CvatTask.Step.SENT)),
        images=Sum("images"),
        pulled=Max("pulled_at"),
    )
    size = F("stop_frame") - F("start_frame") + 1
    frames = _by_job(
        CvatJob.objects.filter(project=project, task__job__in=keys),
        "task__job",
        frames=Sum(size),
        done=Sum(Case(When(state="completed", then=size), default=Value(0))),
    )
    waiting = _by_job(
        CvatDifference.objects.filter(job__in=keys).open(),
        "job",
        open=Count("pk"),
        stuck=Count("pk", filter=~Q(conflict="", problem="")),
    )
    busy = set(
        CvatPull.objects.filter(job__in=keys, task__status__in=("queued", "running")).values_list("job", flat=True)
    )
    remarks = _by_job(CvatRemark.objects.filter(job__in=keys, resolved=False), "job", remarks=Count("pk"))
    nothing = {
        "tasks": 0,
        "sent": 0,
        "images": 0,
        "pulled": None,
        "frames": 0,
        "done": 0,
        "open": 0,
        "stuck": 0,
        "remarks": 0,
    }
    found = []
    for job in jobs:
        line = {
            **nothing,
            **tasks.get(job.pk, {}),
            **frames.get(job.pk, {}),
            **waiting.get(job.pk, {}),
            **remarks.get(job.pk, {}),
        }
        line["percent"] = round(100 * line["done"] / line["frames"]) if line["frames"] else 0
        found.append({**line, "job": job, "busy": job.pk in busy})
    return found


def _by_job(rows: Any, key: str, **numbers: Any) -> dict[int, dict[str, Any]]:
    counted = rows.order_by().values(key).annotate(**numbers)
    return {row.pop(key): row for row in counted}
