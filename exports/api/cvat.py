"""Exports of a project to CVAT, and the connection that they go by."""

from typing import Any

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.generics import ListAPIView
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.errors import NotFound
from exports import connecting
from exports.api import cvat_serializers as shapes
from exports.models import CvatConnection, CvatImage, CvatJob, CvatTask, ExportJob, with_steps
from exports.sending import services
from exports.sending.options import Options
from exports.services import Wanted
from projects.api.base import ProjectScoped
from projects.models import Role

WANTED = ("q", "split", "sources")


@extend_schema(tags=["exports"])
@extend_schema_view(
    list=extend_schema(summary="Exports to CVAT, newest first"),
    retrieve=extend_schema(
        summary="One export to CVAT, with its tasks, their jobs and links",
        responses=shapes.CvatExportDetailSerializer,
    ),
)
class CvatExportViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ExportJob]):
    """Send what a query chooses to CVAT, follow it, stop it, go on, take it back. Members see; managers do."""

    queryset = ExportJob.objects.to_cvat().select_related("task", "task__project", "cvat_project", "deletion")
    serializer_class = shapes.CvatExportSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"
    required_roles = dict.fromkeys(("create", "cancel", "retry", "delete_in_cvat"), Role.MANAGER)

    def get_queryset(self) -> QuerySet[ExportJob]:
        """With the tasks where one export is looked at, with their number by step in lists."""
        rows = with_steps(super().get_queryset())
        if self.action != "retrieve":
            return rows
        tasks = CvatTask.objects.select_related("cvat_project").order_by("number")
        jobs = CvatJob.objects.select_related("task", "task__cvat_project")
        return rows.prefetch_related(Prefetch("cvat_tasks", tasks.prefetch_related(Prefetch("jobs", jobs))))

    def get_serializer_class(self) -> Any:
        """Tasks only where one export is looked at."""
        return shapes.CvatExportDetailSerializer if self.action == "retrieve" else self.serializer_class

    @extend_schema(
        request=shapes.StartCvatExportSerializer,
        responses={200: shapes.CvatPlanSerializer, 202: shapes.CvatExportSerializer},
    )
    def create(self, request: Request, project_pk: int) -> Response:
        """Send the images that `q` chooses now, with their annotations. For managers.

        What is chosen is frozen first: the export does not change when the project does. With `dry_run` nothing is
        made, and the answer (200) says what would be.
        """
        form = shapes.StartCvatExportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        dry_run = fields.pop("dry_run")
        wanted = Wanted(**{name: fields.pop(name) for name in WANTED})
        asked: Any = {"user": self.user, "project": self.project, "wanted": wanted, "options": Options(**fields)}
        if dry_run:
            return Response({"dry_run": True, **services.dry_run(**asked).as_dict()})
        job = services.start(**asked)
        location = reverse("project-cvat-export-detail", args=[self.project.pk, job.pk], request=request)
        return Response(self.get_serializer(job).data, status=202, headers={"Location": location})

    @extend_schema(request=None, responses=shapes.CvatExportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, project_pk: int, pk: int) -> Response:
        """Stop at the next step. What is in CVAT stays there until it is deleted, or the export goes on."""
        job = services.cancel(user=self.user, job=self.get_object())
        return Response(self.get_serializer(job).data)

    @extend_schema(request=None, responses={202: shapes.CvatExportSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, project_pk: int, pk: int) -> Response:
        """Go on with an export that failed or was cancelled, or send one again that was deleted in CVAT."""
        job = services.retry(user=self.user, job=self.get_object())
        return Response(self.get_serializer(job).data, status=202)

    @extend_schema(request=None, responses={202: shapes.CvatExportSerializer})
    @action(detail=True, methods=["post"], url_path="delete-in-cvat", url_name="delete-in-cvat")
    def delete_in_cvat(self, request: Request, project_pk: int, pk: int) -> Response:
        """Take its tasks out of CVAT, with whatever people did there since the last pull. `deletion` tells how far."""
        job = services.delete_in_cvat(user=self.user, job=self.get_object())
        return Response(self.get_serializer(job).data, status=202)


@extend_schema(tags=["exports"])
class CvatImageListView(ProjectScoped, ListAPIView[CvatImage]):
    """The images of an export with their frames and links, and those left out with the reason."""

    queryset = CvatImage.objects.select_related("task", "task__cvat_project")
    serializer_class = shapes.CvatImageSerializer
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[CvatImage]:
        """Those of the export; NotFound if the project has none of this number."""
        rows: Any = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        job = ExportJob.objects.to_cvat().filter(project=self.project, pk=self.kwargs["pk"])
        if not job.exists():
            raise NotFound(f"There is no export {self.kwargs['pk']} to CVAT in this project.")
        return rows.filter(task__job=self.kwargs["pk"]).with_jobs()


@extend_schema(tags=["exports"])
class CvatConnectionView(ProjectScoped):
    """How the project reaches CVAT: by the installation's credentials, or by its own. For managers."""

    serializer_class = shapes.CvatConnectionSerializer
    required_roles = dict.fromkeys(("get", "put", "delete"), Role.MANAGER)
    token_scopes = dict.fromkeys(("put", "delete"), "manage")

    def get(self, request: Request, project_pk: int) -> Response:
        """What is known of the connection; never the token."""
        return Response(self._told())

    def put(self, request: Request, project_pk: int) -> Response:
        """Give the project credentials of its own. CVAT is asked first; what it does not accept is not saved."""
        form = shapes.CvatConnectionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        connecting.save_connection(user=self.user, project=self.project, **form.validated_data)
        return Response(self._told())

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project_pk: int) -> Response:
        """Forget the project's own credentials."""
        connecting.delete_connection(user=self.user, project=self.project)
        return Response(status=204)

    def _told(self) -> dict[str, Any]:
        own = CvatConnection.objects.filter(project=self.project).first()
        row = own or CvatConnection(
            url=settings.CVAT_API_URL, scheme=settings.CVAT_TOKEN_SCHEME, organization=settings.CVAT_ORGANIZATION
        )
        told = {
            "own": own is not None,
            "configured": own is not None or bool(settings.CVAT_API_URL and settings.CVAT_API_TOKEN),
            **{name: getattr(row, name) for name in ("url", "scheme", "organization", "username", "version")},
            "checked_at": row.checked_at,
        }
        return dict(shapes.CvatConnectionSerializer(told).data)


@extend_schema(tags=["exports"])
class CvatCheckView(ProjectScoped):
    """Whether the connection works, and if not, why."""

    serializer_class = shapes.CvatCheckSerializer
    required_roles = {"post": Role.MANAGER}
    token_scopes = {"post": "manage"}

    @extend_schema(request=None, responses=shapes.CvatCheckSerializer)
    def post(self, request: Request, project_pk: int) -> Response:
        """Ask CVAT who it is and whose token it is. For managers."""
        found = connecting.check_connection(user=self.user, project=self.project)
        return Response(shapes.CvatCheckSerializer(found).data)
