"""Saved views in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from insights.models import InsightView
from projects.admin_base import VIEW, ProjectListFilter, ProjectScopedAdmin
from projects.models import Role


@admin.register(InsightView)
class InsightViewAdmin(ProjectScopedAdmin):
    """Views of the user's projects: the shared ones and the user's own."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("name", "project", "asked", "saved_by", "shared", "updated_at")
    list_filter = (ProjectListFilter, "shared")
    list_select_related = ("project", "saved_by")
    search_fields = ("name", "project__name")
    ordering = ("project__name", "name", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InsightView]:
        """Not what others keep to themselves."""
        return super().get_queryset(request).filter(pk__in=InsightView.objects.visible_to(request.user).values("pk"))

    @admin.display(description=_("query"))
    def asked(self, view: InsightView) -> str:
        """The query."""
        return str(view.query.get("q") or "-") if isinstance(view.query, dict) else "-"
