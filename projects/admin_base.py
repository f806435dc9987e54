"""What the admin pages of everything that belongs to a project share."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_base import ServiceAdmin
from accounts.models import User
from projects.models import Membership, Project, Role

VIEW, ADD, CHANGE, DELETE = "view", "add", "change", "delete"


class ProjectScopedAdmin(ServiceAdmin):
    """Pages by role: staff see the rows of their own projects, and may do there what their role allows.

    Django's own permissions are not asked. `roles` says which role each of view, add, change and delete takes; what is
    not named may be done by nobody. `project_path` leads from a row to its project, and is empty for projects.
    Changes still go through services, which check again: a ticked row of a project where the role is too small is
    refused.
    """

    project_path: ClassVar[str] = "project"
    roles: ClassVar[Mapping[str, Role]] = {
        VIEW: Role.VIEWER,
        ADD: Role.CURATOR,
        CHANGE: Role.CURATOR,
        DELETE: Role.CURATOR,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows of the projects in which the user may see them."""
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows if self.project_path else rows.filter(deleting=False)
        # As numbers, which tell PostgreSQL how many rows to expect; a query of projects does not.
        projects = [project for project, role in roles_of(request).items() if role >= self.roles[VIEW]]
        return rows.filter(**{f"{self.project_path or 'pk'}__in": projects})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether there is anything to see."""
        return self.may(request, VIEW)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the role allows seeing."""
        return self.may(request, VIEW, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the role allows adding, in any project."""
        return self.may(request, ADD)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the role allows changing."""
        return self.may(request, CHANGE, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the role allows deleting."""
        return self.may(request, DELETE, obj)

    def may(self, request: HttpRequest, what: str, obj: Any = None) -> bool:
        """Whether the user may do this to the row, or to any row."""
        if what not in self.roles or not (request.user.is_active and request.user.is_staff):
            return False
        if request.user.is_superuser:
            return True
        roles = roles_of(request)
        if obj is None:
            return any(role >= self.roles[what] for role in roles.values())
        return roles.get(self.project_id_of(obj), 0) >= self.roles[what]

    def project_id_of(self, obj: Model) -> int:
        """The id of the row's project."""
        *steps, last = self.project_path.split("__") if self.project_path else ["pk"]
        row: Any = obj
        for step in steps:
            row = getattr(row, step)
        return row.pk if last == "pk" else getattr(row, f"{last}_id")

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Choices among what the user may change (projects) or see (all else)."""
        target = db_field.related_model
        if target is Project:
            kwargs["queryset"] = Project.objects.for_user(request.user, role=self.roles.get(ADD, Role.OWNER))
        elif hasattr(target, "objects") and hasattr(target.objects.all(), "visible_to"):
            kwargs["queryset"] = target.objects.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Iterable[Any]:
        """A row never moves to another project."""
        fields = tuple(super().get_readonly_fields(request, obj))
        moves = obj is not None and self.project_path == "project" and "project" not in fields
        return (*fields, "project") if moves else fields


class ProjectListFilter(admin.SimpleListFilter):
    """Narrows a list to one of the user's projects; Django's own filter would name everybody's."""

    title = _("project")
    parameter_name = "project"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The user's projects."""
        return [(str(pk), name) for pk, name in Project.objects.visible_to(request.user).values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the chosen project."""
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(project=int(chosen)) if chosen.isdecimal() else queryset.none()


def roles_of(request: HttpRequest) -> dict[int, int]:
    """The user's role by project, read once per request."""
    roles: dict[int, int] | None = getattr(request, "_project_roles", None)
    if roles is None:
        mine = Membership.objects.filter(user=request.user.pk, project__deleting=False)
        roles = dict(mine.values_list("project_id", "role"))
        request._project_roles = roles  # type: ignore[attr-defined]
    return roles


def admin_user(request: HttpRequest) -> User:
    """Who works in the admin, typed."""
    if not isinstance(request.user, User):
        raise PermissionError("The admin lets only users in.")
    return request.user
