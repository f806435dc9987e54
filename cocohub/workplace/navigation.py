"""The sidebar: the same groups for everybody, in which everybody sees what is theirs."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from projects.models import Project

RECENT = 5  # projects in the sidebar
NAME = 26  # characters of their names


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's SIDEBAR navigation for this request. One query."""
    recent = Project.objects.visible_to(request.user).order_by("-updated_at", "-id").only("pk", "name")[:RECENT]
    return [
        {
            "title": "",
            "items": [
                {"title": _("Home"), "icon": "home", "link": reverse("admin:index")},
                _list(request, _("Projects"), "folder_open", "projects", "project"),
            ],
        },
        {
            "title": _("Recent projects"),
            "separator": True,
            "items": [
                {
                    "title": _escaped(project.name),
                    "icon": "photo_library",
                    "link": reverse("workplace:images", args=[project.pk]),
                    "active": lambda asked, pk=project.pk: asked.path.startswith(f"/admin/work/{pk}/"),
                }
                for project in recent
            ],
        },
        {
            "title": _("Everything"),
            "separator": True,
            "collapsible": True,
            "items": [
                _list(request, _("Images"), "image", "assets", "imageasset"),
                _list(request, _("Annotations"), "polyline", "annotations", "annotation"),
                _list(request, _("Categories"), "category", "annotations", "category"),
                _list(request, _("Splits"), "call_split", "assets", "split"),
                _list(request, _("COCO documents"), "data_object", "annotations", "cocodocument"),
                _list(request, _("Listed categories"), "list", "annotations", "documentcategory"),
                _list(request, _("Saved views"), "bookmark", "insights", "insightview"),
            ],
        },
        {
            "title": _("Work"),
            "separator": True,
            "collapsible": True,
            "items": [
                _list(request, _("Imports"), "upload", "annotations", "importjob"),
                _list(request, _("Exports"), "download", "exports", "exportjob"),
                _list(request, _("CVAT tasks"), "draw", "exports", "cvattask"),
                _list(request, _("Differences in CVAT"), "difference", "exports", "cvatdifference"),
                _list(request, _("Pulls from CVAT"), "cloud_download", "exports", "cvatpull"),
                _list(request, _("CVAT connections"), "cable", "exports", "cvatconnection"),
                _list(request, _("Bulk edits"), "edit_note", "annotations", "bulkedit"),
                _list(request, _("Tasks"), "pending_actions", "projects", "task"),
            ],
        },
        {
            "title": _("People"),
            "separator": True,
            "collapsible": True,
            "items": [
                _list(request, _("Members"), "group", "projects", "membership"),
                _list(request, _("Audit log"), "history", "projects", "auditlog"),
                _list(request, _("Users"), "person", "accounts", "user"),
            ],
        },
        {
            "title": _("Periodic tasks"),
            "separator": True,
            "collapsible": True,
            "items": [
                _list(request, _("Periodic tasks"), "schedule", "django_celery_beat", "periodictask"),
                _list(request, _("Intervals"), "timer", "django_celery_beat", "intervalschedule"),
                _list(request, _("Crontabs"), "calendar_month", "django_celery_beat", "crontabschedule"),
            ],
        },
    ]


def _list(request: HttpRequest, title: Any, icon: str, app: str, model: str) -> dict[str, Any]:
    try:
        link = reverse(f"admin:{app}_{model}_changelist")
    except NoReverseMatch:
        return {"title": title, "icon": icon, "link": "", "permission": lambda asked: False}
    return {"title": title, "icon": icon, "link": link, "permission": _may_see(app, model)}


def _may_see(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def may(request: HttpRequest) -> bool:
        for kind, page in admin.site._registry.items():
            if (kind._meta.app_label, kind._meta.model_name) == (app, model):
                return page.has_view_permission(request) or page.has_change_permission(request)
        return False

    return may


def _escaped(name: str) -> str:
    """For Unfold's sidebar, which takes titles for HTML."""
    short = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
