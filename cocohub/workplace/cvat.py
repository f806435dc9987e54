"""Exports to CVAT in the workplace: started, followed task by task, sent again, taken back."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.errors import ServiceError
from accounts.phrases import in_words
from assets import storage
from cocohub.workplace.pages import in_project
from exports.models import CvatConnection, CvatTask, ExportJob
from exports.sending import services
from exports.sending.options import Options
from exports.services import Wanted
from projects.admin_base import admin_user
from projects.models import Project

LISTED = 200  # tasks of one export
OPTIONS = ("what", "split", "kind", "images_per_task")  # of the form of exports, beside its query
STEERING = {"retry": services.retry, "delete": services.delete_in_cvat}


def start(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Queue an export to CVAT, as the form asks for it."""
    given = request.POST
    try:
        job = services.start(
            user=admin_user(request),
            project=project,
            wanted=Wanted(q=given.get("q", "").strip(), split=given.get("split", "")),
            options=Options(images_per_task=_number(given.get("images_per_task", ""))),
        )
    except ServiceError as refusal:
        return back_to_form(request, project, refusal)
    return redirect("workplace:export", project_pk=project.pk, job_pk=job.pk)


def is_connected(project: Project) -> bool:
    """Whether exports to CVAT have somewhere to go: a connection of the project's own, or the installation's."""
    own = CvatConnection.objects.filter(project=project).exists()
    return own or bool(settings.CVAT_API_URL and settings.CVAT_API_TOKEN)


def back_to_form(request: HttpRequest, project: Project, refusal: ServiceError) -> HttpResponseBase:
    """Tell why an export was refused, with the form as it was sent: an emptied one would export every image."""
    messages.error(request, in_words(refusal.message))
    given = {name: request.POST.get(name, "").strip() for name in ("q", *OPTIONS)}
    kept = urlencode({name: value for name, value in given.items() if value})
    return redirect(f"{reverse('workplace:exports', args=[project.pk])}?{kept}")


def context_of(job: ExportJob) -> dict[str, Any]:
    """What the page of an export to CVAT shows beside its task."""
    if job.target != ExportJob.Target.CVAT:
        return {}
    tasks = CvatTask.objects.filter(job=job).select_related("cvat_project").annotate(people=Count("jobs"))
    waiting = job.deletion is not None and not job.deletion.is_finished
    left = job.cvat_tasks.exclude(step__in=[CvatTask.Step.DELETED, CvatTask.Step.EMPTY]).count()
    over = job.task.is_finished and not waiting
    return {
        "sent": tasks.order_by("number")[:LISTED],
        "number_sent": tasks.count(),
        "deletion": job.deletion if waiting else None,
        "may_retry": over and (job.task.status != "succeeded" or not left),
        "may_delete": over and left > 0,
        "number_there": left,
        "left_out": (job.task.result or {}).get("left_out", {}),
        "report": storage.link(job.task.log),
    }


@in_project()
@require_POST
def steer(request: HttpRequest, project: Project, job_pk: int, what: str) -> HttpResponseBase:
    """Have an export go on, or take what it made out of CVAT."""
    job = ExportJob.objects.to_cvat().filter(project=project, pk=job_pk).select_related("task", "project").first()
    if job is None or what not in STEERING:
        raise Http404(_("There is no such export in this project."))
    try:
        STEERING[what](user=admin_user(request), job=job)
    except ServiceError as refusal:
        messages.error(request, in_words(refusal.message))
    return redirect("workplace:export", project_pk=project.pk, job_pk=job.pk)


def _number(text: str) -> int:
    if not text.strip():
        return Options().images_per_task
    if not text.strip().isdecimal() or len(text) > 9:
        raise ServiceError(_("The number of images in a task is no number."))
    return int(text)
