"""Projects, their members, tasks and audit trail."""

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api import conditional
from accounts.api.authentication import caller
from accounts.api.parameters import Described
from accounts.api.streaming import stored_file
from accounts.errors import NotFound
from projects import jobs, policies, reports, services
from projects.api import events, filters, serializers
from projects.api.base import ProjectScoped
from projects.models import AuditLog, Membership, Project, Role, Task


@extend_schema(tags=["projects"])
class ProjectViewSet(ProjectScoped, ListModelMixin, GenericViewSet[Project]):
    """Projects that the caller is a member of; all of them for a global admin."""

    queryset = Project.objects.all()
    serializer_class = serializers.ProjectSerializer
    filterset_class = filters.ProjectFilter
    ordering = ("-id",)
    lookup_url_kwarg = "project_pk"
    lookup_value_converter = "int"
    required_roles = {"partial_update": Role.MANAGER, "destroy": Role.OWNER, "transfer": Role.OWNER}
    token_scopes = {"destroy": "manage", "transfer": "manage"}

    def get_queryset(self) -> QuerySet[Project]:
        """What the caller sees, with the caller's role."""
        if getattr(self, "swagger_fake_view", False):
            return Project.objects.none()
        return Project.objects.visible_to(self.user).with_role_of(self.user).select_related("owner")

    def create(self, request: Request) -> Response:
        """Make a project; the caller owns it."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        project = services.create_project(user=self.user, **form.validated_data)
        return self._answer(project, status=201)

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, project_pk: int) -> Response:
        """Read a project; the ETag can go into `If-Match` of a change."""
        return self._shown(self.project)

    @extend_schema(parameters=[conditional.IF_MATCH])
    def partial_update(self, request: Request, project_pk: int) -> Response:
        """Change the name, description or source. For managers."""
        form = self.get_serializer(self.project, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        version = conditional.version(request.headers.get("If-Match", ""))
        return self._answer(
            services.update_project(user=self.user, project=self.project, version=version, **form.validated_data)
        )

    @extend_schema(responses={202: serializers.TaskSerializer})
    def destroy(self, request: Request, project_pk: int) -> Response:
        """Delete the project. It is out of sight at once; a task deletes its data. For the owner."""
        task = services.delete_project(user=self.user, project=self.project)
        headers = {"Location": reverse("task-detail", args=[task.pk], request=request)}
        data = serializers.TaskSerializer(task, context=self.get_serializer_context()).data
        return Response(data, status=202, headers=headers)

    @extend_schema(request=serializers.TransferSerializer, responses=serializers.ProjectSerializer)
    @action(detail=True, methods=["post"])
    def transfer(self, request: Request, project_pk: int) -> Response:
        """Make another user the owner; the caller becomes a manager. For the owner."""
        form = serializers.TransferSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        services.transfer_ownership(user=self.user, project=self.project, **form.validated_data)
        return self._answer(self.project)

    def _answer(self, project: Project, status: int = 200) -> Response:
        return self._shown(policies.find_project(self.user, project.pk), status)

    def _shown(self, project: Project, status: int = 200) -> Response:
        data = self.get_serializer(project).data
        return conditional.record(self.request, data, services.version_of(project), status=status)


@extend_schema(tags=["members"])
class MemberViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Membership]):
    """The team of a project. Members see it; managers change it."""

    queryset = Membership.objects.select_related("user")
    serializer_class = serializers.MemberSerializer
    ordering = ("-role", "-id")
    lookup_value_converter = "int"
    required_roles = {
        "create": Role.MANAGER,
        "partial_update": Role.MANAGER,
        "destroy": Role.MANAGER,
        "leave": Role.VIEWER,
    }
    token_scopes = {"create": "manage", "partial_update": "manage", "destroy": "manage", "leave": "manage"}

    @extend_schema(request=serializers.NewMemberSerializer, responses={201: serializers.MemberSerializer})
    def create(self, request: Request, project_pk: int) -> Response:
        """Take a user into the team."""
        form = serializers.NewMemberSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        membership = services.add_member(user=self.user, project=self.project, **form.validated_data)
        return self._answer(membership, status=201)

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, project_pk: int, pk: int) -> Response:
        """One member; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(parameters=[conditional.IF_MATCH])
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Give a member another role; the owner's moves by a transfer only."""
        membership = self.get_object()
        form = self.get_serializer(membership, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        if "role" in form.validated_data:
            membership = services.change_role(
                user=self.user,
                membership=membership,
                role=form.validated_data["role"],
                version=conditional.version(request.headers.get("If-Match", "")),
            )
        return self._answer(membership)

    @extend_schema(parameters=[conditional.IF_MATCH])
    def destroy(self, request: Request, project_pk: int, pk: int) -> Response:
        """Put a member out of the team. For managers."""
        version = conditional.version(request.headers.get("If-Match", ""))
        services.remove_member(user=self.user, membership=self.get_object(), version=version)
        return Response(status=204)

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"])
    def leave(self, request: Request, project_pk: int) -> Response:
        """Leave the team yourself. The owner transfers the project first."""
        services.leave_project(user=self.user, project=self.project)
        return Response(status=204)

    def _answer(self, membership: Membership, status: int = 200) -> Response:
        data = self.get_serializer(membership).data
        return conditional.record(self.request, data, services.member_version(membership), status=status)


@extend_schema(tags=["tasks"])
class ProjectTaskViewSet(ProjectScoped, ListModelMixin, GenericViewSet[Task]):
    """Long work of a project, newest first."""

    queryset = Task.objects.all()
    serializer_class = serializers.TaskSerializer
    filterset_class = filters.TaskFilter
    ordering = ("-created_at", "-id")


@extend_schema(tags=["tasks"])
class TaskViewSet(Described, RetrieveModelMixin, GenericViewSet[Task]):
    """One piece of long work: follow it, stop it, have it done again, read its report."""

    queryset = Task.objects.all()
    serializer_class = serializers.TaskSerializer
    lookup_value_converter = "uuid"
    token_scopes = {"ticket": "read"}
    secret_answers = ("ticket",)

    def get_queryset(self) -> QuerySet[Task]:
        """Tasks of the projects that the caller sees."""
        if getattr(self, "swagger_fake_view", False):
            return Task.objects.none()
        return Task.objects.visible_to(caller(self.request)).select_related("project")

    @extend_schema(request=None, responses=serializers.TaskSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: Any) -> Response:
        """Stop it: at once if it waits, at its next step if it runs. For whose role allows the work itself."""
        return Response(self.get_serializer(jobs.cancel(user=caller(request), task=self.get_object())).data)

    @extend_schema(request=None, responses={202: serializers.TaskSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: Any) -> Response:
        """Have a task that failed or was cancelled done again. For whose role allows the work itself."""
        task = jobs.retry(user=caller(request), task=self.get_object())
        return Response(self.get_serializer(task).data, status=202)

    @extend_schema(request=None, responses={201: serializers.TicketSerializer})
    @action(detail=True, methods=["post"])
    def ticket(self, request: Request, pk: Any) -> Response:
        """A word that opens the task's events for a short while without a header, for EventSource of browsers."""
        task = self.get_object()
        ticket = events.ticket_for(cast(Mapping[str, Any], request.auth), task.pk)
        address = reverse("task-events", args=[task.pk], request=request, query={"ticket": ticket})
        return Response({"ticket": ticket, "url": address, "seconds": events.TICKET_SECONDS}, status=201)

    @extend_schema(responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "The stored report.")})
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: Any) -> StreamingHttpResponse:
        """Read the stored report (JSON)."""
        try:
            report = reports.open_report(self.get_object())
        except FileNotFoundError as error:
            raise NotFound("This task has no report.") from error
        return stored_file(request, report, "application/json")


@extend_schema(tags=["audit"])
class AuditLogViewSet(ProjectScoped, ListModelMixin, GenericViewSet[AuditLog]):
    """Every write in a project, newest first. For managers."""

    queryset = AuditLog.objects.all()
    serializer_class = serializers.AuditLogSerializer
    filterset_class = filters.AuditLogFilter
    ordering = ("-id",)
    required_roles = {"list": Role.MANAGER}
