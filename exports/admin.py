"""Exports in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from annotations.admin import JobAdmin
from exports import cvat_admin  # noqa: F401 - its pages are registered by this
from exports.models import ExportJob
from exports.pulling import admin as pulling_admin  # noqa: F401
from exports.sending import services
from projects.admin_base import ProjectListFilter, admin_user


@admin.register(ExportJob)
class ExportJobAdmin(JobAdmin):
    """Exports: to look at, and those to CVAT also to stop, to have go on, and to take back."""

    list_display = ("__str__", "project", "asked", "show_status", "created_by", "created_at", "follow")
    list_filter = (ProjectListFilter, "target", "task__status")
    search_fields = ("project__name", "filter_snapshot__canonical")
    actions = ("cancel", "retry", "delete_in_cvat")

    @admin.display(description=_("query"))
    def asked(self, job: ExportJob) -> str:
        """The query that chose the images; a dash for all of them."""
        return str(job.filter_snapshot.get("canonical") or "-")

    @admin.display(description="")
    def follow(self, job: ExportJob) -> SafeString:
        """A link to the page to follow it and to download from."""
        page = reverse("workplace:export", args=[job.project_id, job.pk])
        return format_html('<a href="{}" class="cc-link">{}</a>', page, _("Open"))

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[ExportJob]) -> None:
        """Stop what was ticked."""
        self._each(request, queryset, services.cancel)

    @admin.action(description=_("Try again"))
    def retry(self, request: HttpRequest, queryset: QuerySet[ExportJob]) -> None:
        """Have what was ticked go on."""
        self._each(request, queryset, services.retry)

    @admin.action(description=_("Delete in CVAT"))
    def delete_in_cvat(self, request: HttpRequest, queryset: QuerySet[ExportJob]) -> None:
        """Take what was ticked out of CVAT."""
        self._each(request, queryset, services.delete_in_cvat)

    def _each(self, request: HttpRequest, queryset: QuerySet[ExportJob], service: Any) -> None:
        jobs = list(queryset.select_related("project", "task", "deletion"))
        for job in jobs:
            service(user=admin_user(request), job=job)
        text = ngettext("%(count)d export was told.", "%(count)d exports were told.", len(jobs)) % {"count": len(jobs)}
        self.message_user(request, text, messages.SUCCESS)
