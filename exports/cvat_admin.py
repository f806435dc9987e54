"""CVAT in the admin: how projects reach it, and what exports made there."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.phrases import in_words
from exports import connecting
from exports.models import CvatConnection, CvatImage, CvatJob, CvatProject, CvatTask
from projects.admin_base import ADD, CHANGE, DELETE, VIEW, ProjectListFilter, ProjectScopedAdmin, admin_user
from projects.models import Role


class ConnectionForm(forms.ModelForm):
    """Credentials as they are given; the stored token is never shown."""

    url = forms.URLField(
        label=_("address"),
        required=False,
        max_length=500,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Empty: the installation's CVAT."),
    )
    token = forms.CharField(
        label=_("token"),
        required=False,
        max_length=1024,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
        help_text=_("Written, never shown. Empty: the one that is stored."),
    )

    class Meta:
        model = CvatConnection
        fields = ("project", "url", "scheme", "organization")


@admin.register(CvatConnection)
class CvatConnectionAdmin(ProjectScopedAdmin):
    """A project's own credentials. CVAT is asked before they are saved."""

    roles = {VIEW: Role.MANAGER, ADD: Role.MANAGER, CHANGE: Role.MANAGER, DELETE: Role.MANAGER}
    form = ConnectionForm
    list_display = ("project", "url", "organization", "username", "version", "checked_at")
    list_filter = (ProjectListFilter,)
    list_select_related = ("project",)
    search_fields = ("project__name", "url", "organization")
    ordering = ("project__name",)
    readonly_fields = ("username", "version", "checked_at")
    actions = ("ask_cvat",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What the check found once there was one."""
        given = ("project", "url", "token", "scheme", "organization")
        return (*given, "username", "version", "checked_at") if obj else given

    def save_model(self, request: HttpRequest, obj: CvatConnection, form: Any, change: bool) -> None:
        """Check and save, by the services."""
        given = {name: form.cleaned_data[name] for name in ("url", "token", "scheme", "organization")}
        project = obj.project if change else form.cleaned_data["project"]
        made = connecting.save_connection(user=admin_user(request), project=project, **given)
        obj.pk, obj._state.adding = made.pk, False

    def delete_model(self, request: HttpRequest, obj: CvatConnection) -> None:
        """Forget, by the services."""
        connecting.delete_connection(user=admin_user(request), project=obj.project)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[CvatConnection]) -> None:
        """Forget what was ticked, by the services."""
        for connection in queryset.select_related("project"):
            self.delete_model(request, connection)

    @admin.action(description=_("Check"))
    def ask_cvat(self, request: HttpRequest, queryset: QuerySet[CvatConnection]) -> None:
        """Ask CVAT whether the ticked credentials work."""
        for connection in queryset.select_related("project"):
            found = connecting.check_connection(user=admin_user(request), project=connection.project)
            level = messages.SUCCESS if found.ok else messages.ERROR
            self.message_user(request, f"{connection.project}: {in_words(found.message)}", level)
            for warning in found.warnings:
                self.message_user(request, in_words(warning), messages.WARNING)


class _LookedAt(ProjectScopedAdmin):
    """Rows that exports and pulls write: to look at."""

    roles = {VIEW: Role.VIEWER}
    ordering = ("-id",)


def _link(address: str, words: Any) -> SafeString:
    if not address:
        return SafeString("-")
    return format_html('<a href="{}" class="cc-link" target="_blank" rel="noopener">{}</a>', address, words)


@admin.register(CvatProject)
class CvatProjectAdmin(_LookedAt):
    """The projects in CVAT that exports go to."""

    list_display = ("name", "project", "server", "organization", "in_cvat", "created_at")
    list_filter = (ProjectListFilter,)
    list_select_related = ("project",)
    search_fields = ("name", "project__name", "server")
    exclude = ("webhook_secret_sealed",)

    @admin.display(description=_("in CVAT"))
    def in_cvat(self, project: CvatProject) -> SafeString:
        """A link to it."""
        return _link(project.link, project.cvat_id)


@admin.register(CvatTask)
class CvatTaskAdmin(_LookedAt):
    """The tasks that exports made, and how far people are with them."""

    list_display = (
        "name", "project", "export", "step", "in_cvat", "images", "sent", "status", "stage", "state", "pulled_at",
    )  # fmt: skip
    list_filter = (ProjectListFilter, "step", "stage", "state")
    list_select_related = ("project", "job", "cvat_project")
    search_fields = ("name", "project__name", "cvat_id")

    @admin.display(description=_("export"), ordering="job")
    def export(self, task: CvatTask) -> SafeString:
        """A link to the export's page."""
        page = reverse("workplace:export", args=[task.project_id, task.job_id])
        return format_html('<a href="{}" class="cc-link">{}</a>', page, task.job_id)

    @admin.display(description=_("in CVAT"))
    def in_cvat(self, task: CvatTask) -> SafeString:
        """A link to it."""
        return _link(task.link, task.cvat_id)


@admin.register(CvatJob)
class CvatJobAdmin(_LookedAt):
    """Who works on which frames."""

    list_display = ("cvat_id", "task", "start_frame", "stop_frame", "stage", "state", "assignee", "updated_date")
    list_filter = (ProjectListFilter, "stage", "state")
    list_select_related = ("task",)
    search_fields = ("assignee", "task__name", "cvat_id")


@admin.register(CvatImage)
class CvatImageAdmin(_LookedAt):
    """Which image is which frame, and which were left out."""

    list_display = ("name", "task", "frame", "in_cvat", "problem")
    list_filter = (ProjectListFilter, ("problem", admin.EmptyFieldListFilter))
    list_select_related = ("task", "task__cvat_project")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CvatImage]:
        """With the jobs that have the frames."""
        rows: Any = super().get_queryset(request)
        return rows.with_jobs()

    @admin.display(description=_("in CVAT"))
    def in_cvat(self, image: CvatImage) -> SafeString:
        """A link to the frame."""
        return _link(image.link, image.frame)
