"""Exports in the admin."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from annotations.admin import JobAdmin
from exports.models import ExportJob
from projects.admin_base import ProjectListFilter


@admin.register(ExportJob)
class ExportJobAdmin(JobAdmin):
    """Exports."""

    list_display = ("__str__", "project", "asked", "show_status", "created_by", "created_at", "follow")
    list_filter = (ProjectListFilter, "target", "task__status")
    search_fields = ("project__name", "filter_snapshot__canonical")

    @admin.display(description=_("query"))
    def asked(self, job: ExportJob) -> str:
        """The query that chose the images; a dash for all of them."""
        return str(job.filter_snapshot.get("canonical") or "-")

    @admin.display(description="")
    def follow(self, job: ExportJob) -> SafeString:
        """A link to the page to follow it and to download from."""
        page = reverse("workplace:export", args=[job.project_id, job.pk])
        return format_html('<a href="{}" class="cc-link">{}</a>', page, _("Open"))
