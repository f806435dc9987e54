"""Who may do what in a project: one role per member, and a greater role may do all that a smaller one may."""

from typing import Any

from django.db.models import QuerySet

from accounts.errors import Forbidden, NotFound
from accounts.models import User
from accounts.prepared import Prepared
from projects.models import Membership, Project, Role


def role_in(user: Any, project: Project) -> Role | None:
    """The user's role: owner for a global admin, None for strangers and for users locked out. One query."""
    if not (user.is_authenticated and user.is_active):
        return None
    if user.is_superuser:
        return Role.OWNER
    role = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return None if role is None else Role(role)


def require(user: User, role: Role, project: Project) -> None:
    """Raise NotFound for a stranger, as if there were no such project, and Forbidden for a member of a smaller role."""
    check(None if project.deleting else role_in(user, project), role, project.pk)


def find_project(user: Any, pk: int, role: Role = Role.VIEWER) -> Project:
    """The project, if the user has at least this role in it; raises NotFound or Forbidden as `require` does. One query.

    Its `my_role` is the number of the user's role.
    """
    project = None
    if user.is_authenticated and user.is_active and pk in INT64:
        project = _FOR_ADMINS.first(pk) if user.is_superuser else _FOR_MEMBERS.first(user.pk, pk)
    if project is None:
        raise no_such_project(pk)
    check(Role(project.my_role) if project.my_role else None, role, pk)
    return project


def _visible(user: User, pk: int) -> QuerySet[Project]:
    return Project.objects.visible_to(user).with_role_of(user).select_related("owner").filter(pk=pk)


# Every call below a project begins with one of these.
_FOR_MEMBERS = Prepared(lambda user, pk: _visible(User(pk=user), pk), int, int)
_FOR_ADMINS = Prepared(lambda pk: _visible(User(is_superuser=True), pk), int)
INT64 = range(-(2**63), 2**63)


def check(has: Role | None, needed: Role, pk: int) -> None:
    """Compare a role that is known already with the one that is needed; raises as `require` does."""
    if has is None:
        raise no_such_project(pk)
    if has < needed:
        raise Forbidden(
            f"You are {_a(has)} of this project; this needs {_a(needed)}.",
            detail={"role": has.slug, "needed": needed.slug},
        )


def no_such_project(pk: object) -> NotFound:
    """What a stranger is told, whether the project exists or not."""
    return NotFound(f"There is no project {pk} among yours.")


def _a(role: Role) -> str:
    return f"an {role.slug}" if role is Role.OWNER else f"a {role.slug}"
