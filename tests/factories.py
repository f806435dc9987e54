"""Rows with the least that they need; name only what the test is about."""

from itertools import count
from typing import Any

from accounts.models import User
from projects.models import AuditLog, Membership, Project, Role, Task

_number = count(1)

PASSWORD = "correct horse battery"


def make_user(email: str = "", *, password: str | None = None, **fields: Any) -> User:
    """A user who cannot log in by password unless one is given (hashing takes its time)."""
    return User.objects.create_user(email or f"user{next(_number)}@example.com", password, **fields)


def make_admin(email: str = "") -> User:
    """A global admin."""
    return make_user(email, is_staff=True, is_superuser=True)


def make_project(owner: User | None = None, **fields: Any) -> Project:
    """A project with its owner in it."""
    owner = owner or make_user()
    project = Project.objects.create(**{"name": f"Project {next(_number)}", "owner": owner, **fields})
    join(project, owner, Role.OWNER)
    return project


def join(project: Project, user: User | None = None, role: Role = Role.VIEWER) -> Membership:
    """A member of the project."""
    return Membership.objects.create(project=project, user=user or make_user(), role=role)


def make_task(project: Project | None = None, kind: Task.Kind = Task.Kind.IMPORT, **fields: Any) -> Task:
    """A task that waits."""
    return Task.objects.create(project=project or make_project(), kind=kind, **fields)


def make_line(project: Project | None = None, action: str = "project.updated", **fields: Any) -> AuditLog:
    """An audit line."""
    return AuditLog.objects.create(project=project, action=action, **fields)
