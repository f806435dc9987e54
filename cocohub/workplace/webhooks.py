"""A project's webhooks: made, tried out, followed and taken away. For managers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.errors import ServiceError
from accounts.models import User
from cocohub.workplace.pages import in_project, show, told
from projects.admin_base import admin_user
from projects.models import Project, Role
from webhooks import services
from webhooks.models import TEST, Delivery, Event, Webhook

LISTED = 50  # deliveries
ICONS = {
    Delivery.Status.WAITING: "schedule",
    Delivery.Status.DELIVERED: "check_circle",
    Delivery.Status.FAILED: "error",
}


@in_project(Role.MANAGER)
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The list with the form for another one, and what was sent. A secret stands in the answer to a form alone."""
    shown: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            webhook, secret = services.create(
                user=admin_user(request),
                project=project,
                url=request.POST.get("url", ""),
                events=request.POST.getlist("events"),
            )
            shown = {"made": webhook, "secret": secret}
        except ServiceError as refusal:
            shown, status = {"refusal": told(refusal), "given": request.POST}, refusal.status
    answer = _page(request, project, **shown)
    answer.status_code = status
    return answer


def _page(request: HttpRequest, project: Project, **shown: Any) -> Any:
    names: dict[str, Any] = dict(Event.choices) | {TEST: _("test")}
    rows = [
        {"row": row, "events": [names[event] for event in row.events]}
        for row in Webhook.objects.filter(project=project).order_by("pk")
    ]
    sent = Delivery.objects.filter(project=project).select_related("webhook")[:LISTED]
    deliveries = [
        {"row": row, "event": names.get(row.event, row.event), "icon": ICONS[Delivery.Status(row.status)]}
        for row in sent
    ]
    return show(
        request,
        "workplace/webhooks.html",
        project,
        "webhooks",
        rows=rows,
        deliveries=deliveries,
        events=Event.choices,
        possible=bool(settings.WEBHOOK_ALLOWED_HOSTS),
        hosts=settings.WEBHOOK_ALLOWED_HOSTS,
        log_days=settings.WEBHOOK_LOG_DAYS,
        **shown,
    )


@in_project(Role.MANAGER)
@require_POST
def steer(request: HttpRequest, project: Project, webhook_pk: int, what: str) -> HttpResponseBase:
    """Do something with one of them."""
    webhook = Webhook.objects.select_related("project").filter(project=project, pk=webhook_pk).first()
    if webhook is None or what not in (*_DOING, "secret"):
        raise Http404
    try:
        if what == "secret":
            secret = services.replace_secret(user=admin_user(request), webhook=webhook)
            return _page(request, project, made=webhook, secret=secret)
        doing, done = _DOING[what]
        doing(admin_user(request), webhook)
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    else:
        messages.success(request, done())
    return redirect("workplace:webhooks", project_pk=project.pk)


@in_project(Role.MANAGER)
@require_POST
def redeliver(request: HttpRequest, project: Project, webhook_pk: int, delivery_pk: UUID) -> HttpResponseBase:
    """Send a message once more."""
    webhook = Webhook.objects.select_related("project").filter(project=project, pk=webhook_pk).first()
    if webhook is None:
        raise Http404
    try:
        services.redeliver(user=admin_user(request), webhook=webhook, delivery_id=delivery_pk)
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    else:
        messages.success(request, _("It is on its way once more."))
    return redirect("workplace:webhooks", project_pk=project.pk)


def _activate(user: User, webhook: Webhook) -> None:
    services.change(user=user, webhook=webhook, active=True)


def _deactivate(user: User, webhook: Webhook) -> None:
    services.change(user=user, webhook=webhook, active=False)


def _delete(user: User, webhook: Webhook) -> None:
    services.delete(user=user, webhook=webhook)


def _test(user: User, webhook: Webhook) -> None:
    services.try_out(user=user, webhook=webhook)


_DOING: dict[str, tuple[Callable[[User, Webhook], None], Callable[[], str]]] = {
    "activate": (_activate, lambda: _("The webhook is active.")),
    "deactivate": (_deactivate, lambda: _("The webhook is switched off.")),
    "delete": (_delete, lambda: _("The webhook is deleted.")),
    "test": (_test, lambda: _("A test is on its way: see below in a moment.")),
}
