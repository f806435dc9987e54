"""The home page, and the address that its bars are kept moving by."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import ServiceError
from accounts.phrases import in_words
from cocohub.workplace import overview
from cocohub.workplace.pages import staff_only, told
from projects import jobs
from projects.admin_base import admin_user
from projects.models import Task
from projects.services import create_project

MOST_TASKS = 50  # asked for at once


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: what the home page shows."""
    cards, more = overview.cards(request.user)
    context.update(
        title=_("My projects"),
        cards=cards,
        more_projects=more,
        running=list(overview.running(request.user)),
        failed=list(overview.failed(request.user)),
        lacking=[card for card in cards if card.unseeable],
        waiting=[card for card in cards if card.waiting],
    )
    return context


@staff_only
@require_safe
def tasks(request: HttpRequest) -> HttpResponseBase:
    """How far the asked tasks are, those that the user may see."""
    ids = []
    for text in request.GET.getlist("id")[:MOST_TASKS]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    found = Task.objects.visible_to(request.user).filter(pk__in=ids)
    return JsonResponse({"tasks": overview.progress(found)})


@staff_only
@require_POST
def start_project(request: HttpRequest) -> HttpResponseBase:
    """Make a project and go to its import page."""
    try:
        project = create_project(
            user=admin_user(request),
            name=request.POST.get("name", ""),
            description=request.POST.get("description", "")[:10_000],
        )
    except ServiceError as refusal:
        messages.error(request, told(refusal))
        return redirect("admin:index")
    return redirect("workplace:imports", project_pk=project.pk)


@staff_only
@require_POST
def steer_task(request: HttpRequest, task_pk: UUID, what: str) -> HttpResponseBase:
    """Stop a task, or have it done again, and go back to where the wish came from."""
    task = Task.objects.visible_to(request.user).select_related("project").filter(pk=task_pk).first()
    try:
        if task is None:
            raise ServiceError(_("There is no such task among yours."))
        if what == "cancel":
            jobs.cancel(user=admin_user(request), task=task)
            messages.success(request, _("It will stop at its next step."))
        else:
            jobs.retry(user=admin_user(request), task=task)
            messages.success(request, _("It will be done again."))
    except ServiceError as refusal:
        messages.error(request, in_words(refusal.message))
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    """A page of our own admin, whatever the form says."""
    to = request.POST.get("back", "")
    return to if to.startswith("/admin/") and "\\" not in to and "//" not in to else "/admin/"
