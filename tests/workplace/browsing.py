"""People with a browser: staff of every role, and what they look at."""

from django.test import Client

from accounts.models import User
from projects.models import Project, Role
from tests import factories

STAFF = {"viewer": Role.VIEWER, "curator": Role.CURATOR, "manager": Role.MANAGER}


def browser_of(user: User | None) -> Client:
    """A browser in which the user has logged in."""
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def staff(project: Project | None, role: Role | None, **fields) -> User:
    """A user of the admin with this role in the project; a stranger without one."""
    user = factories.make_user(is_staff=True, **fields)
    if project is not None and role is not None:
        factories.join(project, user, role)
    return user
