"""What every call below `/projects/{project_pk}/` shares."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts import context
from accounts.api.authentication import caller
from accounts.api.pagination import KeysetPagination
from accounts.api.parameters import Described
from accounts.models import User
from projects import policies
from projects.models import Project, Role

__all__ = ["KeysetPagination", "ProjectScoped"]


class ProjectScoped(Described, GenericAPIView[Any]):
    """Finds the project of the address before anything else happens: 404 for strangers, 403 for too small a role.

    Put it first among the bases and set `queryset`; rows of other projects are then out of reach. Reading takes a
    viewer and everything else a curator, unless `required_roles` names another role for the action (or, in a plain
    view, for the method in small letters). `self.project` is the project; its `my_role` is the caller's role.
    """

    pagination_class = KeysetPagination
    required_roles: ClassVar[Mapping[str, Role]] = {}
    # How rows lead to their project.
    project_field: ClassVar[str] = "project"
    project: Project

    def enter(self, request: Request, **kwargs: Any) -> None:
        """Find the project; 404 or 403 where the caller has nothing to look for in it."""
        if "project_pk" in kwargs:
            context.tell(project_id=kwargs["project_pk"])
            self.project = policies.find_project(request.user, kwargs["project_pk"], self.required_role(request))

    def required_role(self, request: Request) -> Role:
        """The smallest role that may do this."""
        method = (request.method or "").lower()
        usual = Role.VIEWER if method.upper() in SAFE_METHODS else Role.CURATOR
        return self.required_roles.get(getattr(self, "action", None) or method, usual)

    def get_queryset(self) -> QuerySet[Any]:
        """The rows of this project."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return rows.filter(**{self.project_field: self.project})

    @property
    def user(self) -> User:
        """Who calls."""
        return caller(self.request)
