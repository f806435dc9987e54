"""Exports of a project."""

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api.streaming import stored_file
from accounts.errors import NotFound
from assets import storage
from exports import services
from exports.api import serializers
from exports.models import ExportJob
from projects.api.base import ProjectScoped
from projects.models import Role


@extend_schema(tags=["exports"])
class ExportJobViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ExportJob]):
    """Exports of a project: ask for one, follow it, take it away. Members see them; managers start them."""

    queryset = ExportJob.objects.select_related("task", "task__project")
    serializer_class = serializers.ExportJobSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"
    required_roles = {"coco": Role.MANAGER}

    @extend_schema(request=serializers.StartExportSerializer, responses={202: serializers.ExportJobSerializer})
    @action(detail=False, methods=["post"])
    def coco(self, request: Request, project_pk: int) -> Response:
        """Write the images that `q` chooses now as a COCO file, or as a zip. For managers."""
        form = serializers.StartExportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = services.start_export(user=self.user, project=self.project, wanted=services.Wanted(**form.validated_data))
        location = reverse("project-export-detail", args=[self.project.pk, job.pk], request=request)
        return Response(self.get_serializer(job).data, status=202, headers={"Location": location})

    @extend_schema(
        responses={
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, "A COCO file."),
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "A COCO file with its pictures."),
            (206, "*/*"): OpenApiResponse(OpenApiTypes.BINARY, "The range that was asked for."),
        }
    )
    @action(detail=True)
    def download(self, request: Request, project_pk: int, pk: int) -> StreamingHttpResponse:
        """The exported file; a Range goes on with a download that broke."""
        job = self.get_object()
        if not job.payload_uri:
            raise NotFound("There is no file of this export yet; it is there once the export has succeeded.")
        content = storage.read(job.payload_uri)
        if content is None:
            raise NotFound("The file of this export is not in storage any more. Export anew.")
        ending = job.payload_uri.rpartition(".")[2]
        content_type = "application/zip" if ending == "zip" else "application/json"
        return stored_file(request, content, content_type, f"export-{job.pk}.{ending}")
