"""Projects, teams, tasks and the audit trail in the admin."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminEmailInputWidget

from accounts.admin_csv import csv_response
from projects import audit_words, jobs, services
from projects.admin_base import ADD, CHANGE, DELETE, VIEW, ProjectListFilter, ProjectScopedAdmin, admin_user
from projects.models import AuditLog, Membership, Project, Role, Task

CSV_ROWS = 100_000
DOORS = {"admin": _("admin"), "api": _("API"), "command": _("command"), "task": _("task")}


@admin.register(Project)
class ProjectAdmin(ProjectScopedAdmin):
    """The user's projects. Any staff may make one."""

    project_path = ""
    roles = {VIEW: Role.VIEWER, ADD: Role.VIEWER, CHANGE: Role.MANAGER, DELETE: Role.OWNER}
    list_display = ("name", "owner", "status", "members", "updated_at")
    list_filter = ("status",)
    list_select_related = ("owner",)
    search_fields = ("name", "description", "source", "owner__email")
    fields = ("name", "description", "source", "owner", "status", "revision", "created_at", "updated_at")
    readonly_fields = ("owner", "status", "revision", "created_at", "updated_at")
    ordering = ("name", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """With the number of members."""
        return super().get_queryset(request).annotate(member_count=Count("memberships"))

    @admin.display(description=_("members"), ordering="member_count")
    def members(self, project: Project) -> int:
        """How many people are in the team."""
        return project.member_count  # type: ignore[attr-defined]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Always for staff: a first project must begin somewhere."""
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The list always; a project by role."""
        return self.has_module_permission(request) if obj is None else super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """All staff."""
        return self.has_module_permission(request)

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        """Add or change, by the services."""
        given = {name: form.cleaned_data[name] for name in ("name", "description", "source")}
        if change:
            services.update_project(user=admin_user(request), project=obj, **given)
        else:
            made = services.create_project(user=admin_user(request), **given)
            obj.pk, obj.owner, obj._state.adding = made.pk, made.owner, False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """One line per project: to list a million rows on the page would take the server down."""
        projects = list(objs)
        refused = {str(project) for project in projects if not self.has_delete_permission(request, project)}
        lines = [_("%(name)s with everything in it") % {"name": project} for project in projects]
        return lines, {self.opts.verbose_name_plural: len(projects)}, refused, []

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        """Have a worker delete it, by the services."""
        services.delete_project(user=admin_user(request), project=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        """Have a worker delete what was ticked, by the services."""
        for project in queryset:
            self.delete_model(request, project)


class NewMemberForm(forms.ModelForm):
    """Who is to join: by email, so that no list of users is shown."""

    email = forms.EmailField(label=capfirst(_("email")), max_length=254, widget=UnfoldAdminEmailInputWidget)

    class Meta:
        model = Membership
        fields = ("project", "role")


@admin.register(Membership)
class MembershipAdmin(ProjectScopedAdmin):
    """Who is in which team. Members see it, and may leave; managers change it."""

    roles = {VIEW: Role.VIEWER, ADD: Role.MANAGER, CHANGE: Role.MANAGER, DELETE: Role.MANAGER}
    list_display = ("user", "project", "role", "created_at")
    list_filter = (ProjectListFilter, "role")
    list_select_related = ("user", "project")
    search_fields = ("user__email", "user__name", "project__name")
    readonly_fields = ("user", "created_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """By email for a new member."""
        return super().get_form(request, obj, change, **kwargs if obj else {**kwargs, "form": NewMemberForm})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who and where are settled once a member is there."""
        return ("project", "user", "role", "created_at") if obj else ("project", "email", "role")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Every role but the owner's, which moves by a transfer only."""
        if db_field.name == "role":
            kwargs["choices"] = [choice for choice in Role.choices if choice[0] != Role.OWNER]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Add or change, by the services."""
        user, role = admin_user(request), Role(form.cleaned_data["role"])
        if change:
            services.change_role(user=user, membership=obj, role=role)
        else:
            made = services.add_member(user=user, project=obj.project, email=form.cleaned_data["email"], role=role)
            obj.pk, obj.user, obj._state.adding = made.pk, made.user, False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Managers put others out; everybody may leave, and the service keeps the owner."""
        mine = obj is not None and obj.user_id == request.user.pk and self.may(request, VIEW, obj)
        return mine or super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Put out of the team, by the services."""
        services.remove_member(user=admin_user(request), membership=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        """Put out of the team whoever was ticked, by the services."""
        for membership in queryset.select_related("project"):
            self.delete_model(request, membership)


@admin.register(Task)
class TaskAdmin(ProjectScopedAdmin):
    """Long work: to look at, to stop and to have done again."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("kind", "project", "status", "phase", "done", "total", "attempt", "created_by", "created_at")
    list_filter = (ProjectListFilter, "kind", "status")
    list_select_related = ("project", "created_by")
    search_fields = ("id", "project__name", "message")
    ordering = ("-created_at",)
    actions = ("cancel", "retry")

    @admin.action(description=_("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Stop what was ticked."""
        for task in queryset.select_related("project"):
            jobs.cancel(user=admin_user(request), task=task)
        self._tell(request, queryset.count())

    @admin.action(description=_("Try again"))
    def retry(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Have what was ticked done again."""
        for task in queryset.select_related("project"):
            jobs.retry(user=admin_user(request), task=task)
        self._tell(request, queryset.count())

    def _tell(self, request: HttpRequest, count: int) -> None:
        text = ngettext("%(count)d task was told.", "%(count)d tasks were told.", count) % {"count": count}
        self.message_user(request, text, messages.SUCCESS)


class DoorFilter(admin.SimpleListFilter):
    """By which door a change came; Django's own filter would read the whole trail to learn which there are."""

    title = _("door")
    parameter_name = "door"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The doors."""
        return list(DOORS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> QuerySet[AuditLog]:
        """The lines of one door."""
        return queryset.filter(door=self.value()) if self.value() else queryset


@admin.register(AuditLog)
class AuditLogAdmin(ProjectScopedAdmin):
    """Every write; nobody changes a line."""

    roles = {VIEW: Role.MANAGER}
    list_display = ("created_at", "actor", "show_action", "project_name", "show_door", "request_id")
    list_filter = (ProjectListFilter, DoorFilter, "created_at")
    search_fields = ("actor", "action", "project_name", "request_id")
    ordering = ("-id",)
    sortable_by = ()
    actions = ("as_csv",)

    @admin.display(description=_("action"))
    def show_action(self, line: AuditLog) -> str:
        """What was done, in words; the trail's own code behind it."""
        return format_html('<span title="{}">{}</span>', line.action, audit_words.name_of(line.action))

    @admin.display(description=_("door"))
    def show_door(self, line: AuditLog) -> str:
        """By which door it came."""
        return str(DOORS.get(line.door, line.door))

    @admin.action(description=_("Download as CSV"))
    def as_csv(self, request: HttpRequest, queryset: QuerySet[AuditLog]) -> Any:
        """The ticked lines as a file, at most so many."""
        return self._file(queryset)

    def get_urls(self) -> list[URLPattern]:
        """With that of the whole list as a file."""
        whole = self.admin_site.admin_view(self.csv_of_list)
        return [path("csv", whole, name="projects_auditlog_csv"), *super().get_urls()]

    def csv_of_list(self, request: HttpRequest) -> HttpResponseBase:
        """The lines of the list as it is filtered and searched, as a file, at most so many."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return self._file(self.get_changelist_instance(request).get_queryset(request))
        except IncorrectLookupParameters:
            return redirect("admin:projects_auditlog_changelist")

    def _file(self, queryset: QuerySet[AuditLog]) -> HttpResponseBase:
        head = ("when", "who", "action", "project", "door", "request", "detail")
        rows = (
            (
                line.created_at.isoformat(), line.actor, line.action, line.project_name, line.door, line.request_id,
                json.dumps(line.detail, ensure_ascii=False),
            )
            for line in queryset[:CSV_ROWS].iterator(2_000)
        )  # fmt: skip
        return csv_response("audit", head, rows)
