"""Imports of a project: COCO files, pictures that come later, predictions of machines."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api.parsing import JSONParser
from accounts.api.streaming import read_in_pieces, streamed
from accounts.errors import NotFound, ServiceError, TooLarge
from annotations import machines, material, services, uploads
from annotations.api import import_serializers, reports, serializers
from annotations.models import ImportJob
from assets import storage
from projects.api.base import ProjectScoped

FORM_OVERHEAD = 1024 * 1024  # bytes of a multipart body that are not files
FORMS = ("multipart/form-data", "application/json")


def _taken(serializer: Any) -> dict[str, Any]:
    return dict.fromkeys(FORMS, serializer)


@extend_schema(tags=["imports"])
@extend_schema_view(
    list=extend_schema(summary="Imports of the project, newest first"),
    retrieve=extend_schema(summary="One import with its task"),
)
class ImportJobViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ImportJob]):
    """What is on its way into a project."""

    queryset = ImportJob.objects.select_related("task", "task__project")
    serializer_class = serializers.ImportJobSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"
    parser_classes = (MultiPartParser, JSONParser)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body that is too large before it is read."""
        super().initial(request, *args, **kwargs)
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if declared.isdecimal() and int(declared) > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD:
            raise TooLarge(f"The upload has {int(declared):,} bytes; {settings.MAX_UPLOAD_BYTES:,} is the most.")

    @extend_schema(
        request=_taken(import_serializers.StartImportSerializer),
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, "With `dry_run`: layout, files and their splits, pictures."),
            202: serializers.ImportJobSerializer,
        },
    )
    def create(self, request: Request, project_pk: int) -> Response:
        """Start an import. The same upload again, while it is being imported, is the same job. For curators.

        The data set is one of: `file`, `upload` (a finished upload in parts), `key` or `prefix` (what lies in storage
        already). With `dry_run` nothing is written: the answer says what was recognised.
        """
        form = import_serializers.StartImportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        upload = self._upload(fields)
        wanted = services.Wanted(split=fields["split"], splits=fields["splits"], strict=fields["strict"])
        if fields["dry_run"]:
            plan = services.survey(user=self.user, project=self.project, upload=upload, wanted=wanted)
            return Response({"dry_run": True, **plan})
        return self._start(upload, wanted)

    @extend_schema(
        request=_taken(import_serializers.AddImagesSerializer), responses={202: serializers.ImportJobSerializer}
    )
    @action(detail=False, methods=["post"])
    def images(self, request: Request, project_pk: int) -> Response:
        """Add pictures to images that have none yet. They are matched as in an import. For curators."""
        form = import_serializers.AddImagesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        upload = self._upload({**fields, "images_upload": fields.get("upload"), "upload": None})
        return self._start(upload, services.Wanted(what=services.What.IMAGES, split=fields["split"]))

    @extend_schema(
        request=_taken(import_serializers.PredictionsSerializer), responses={202: serializers.ImportJobSerializer}
    )
    @action(detail=False, methods=["post"])
    def predictions(self, request: Request, project_pk: int) -> Response:
        """Import a COCO results file: machine-made annotations of a named source, beside those of people. For curators.

        What the same source has said of the split before is replaced. Exports leave predictions out unless asked.
        """
        form = import_serializers.PredictionsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        wanted = services.Wanted(
            what=services.What.PREDICTIONS,
            split=fields["split"],
            strict=fields["strict"],
            source=fields["source"],
        )
        return self._start(self._upload(fields), wanted)

    def _start(self, upload: services.Upload, wanted: services.Wanted) -> Response:
        job = services.start_import(user=self.user, project=self.project, upload=upload, wanted=wanted)
        location = reverse("project-coco-detail", args=[self.project.pk, job.pk], request=self.request)
        return Response(self.get_serializer(job).data, status=202, headers={"Location": location})

    def _upload(self, fields: Mapping[str, Any]) -> services.Upload:
        """What the fields name, with the right to read it made sure of."""
        key, name = self._stored(fields, "upload", "key", "prefix")
        images_key, _ = self._stored(fields, "images_upload", "images_key", "images_prefix")
        images = tuple(self.request.FILES.getlist("images"))
        if images and images_key:
            text = "Pictures are given twice: send them, or name them."
            raise ServiceError(text, fields={"images": [text]})
        return services.Upload(fields.get("file"), images, key, images_key, name)

    def _stored(self, fields: Mapping[str, Any], upload: str, key: str, prefix: str) -> tuple[str, str]:
        if fields.get(upload):
            found = uploads.whole(self.project, fields[upload], upload)
            return found.key, found.file_name
        if fields.get(key):
            found_key = material.incoming_key(fields[key], key)
            return found_key, found_key.removeprefix(settings.IMPORT_PREFIX)
        if fields.get(prefix):
            found_key = material.incoming_key(f"{fields[prefix].rstrip('/')}/", prefix)
            return found_key, found_key
        return "", ""

    @extend_schema(
        parameters=[
            OpenApiParameter("format", str, enum=["json", "csv"]),
            OpenApiParameter("code", str, description="Only problems of this code, such as `dangling_image_id`."),
            OpenApiParameter("action", str, enum=reports.ACTIONS, description="Only what was dealt with so."),
        ],
        responses={
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, "Totals, a table by code, every problem"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "One problem a line"),
        },
    )
    @action(detail=True)
    def report(self, request: Request, project_pk: int, pk: int) -> StreamingHttpResponse:
        """The validation report: totals, a table by code, and every problem with its JSON path."""
        job = self.get_object()
        code, done = request.query_params.get("code", ""), request.query_params.get("action", "")
        form = request.query_params.get("format", "json")
        for name, given, known in (("action", done, ["", *reports.ACTIONS]), ("format", form, ["json", "csv"])):
            if given not in known:
                text = f"{name} is {given[:40]!r}; expected {', '.join(filter(None, known))}."
                raise ServiceError(text, fields={name: [text]})
        content = storage.read(job.task.log)
        if content is None:
            raise NotFound("There is no report of this import yet; it is written when the import ends.")
        if form == "csv":
            parts = reports.as_csv(content, code, done)
            return streamed(request, parts, "text/csv; charset=utf-8", f"import-{job.pk}.csv")
        parts = reports.chosen(content, code, done) if code or done else read_in_pieces(content)
        return streamed(request, parts, "application/json")


@extend_schema(tags=["imports"])
class SourceViewSet(ProjectScoped, GenericViewSet[ImportJob]):
    """What machines have said in a project."""

    lookup_value_converter = "path"
    queryset = ImportJob.objects.none()
    pagination_class = None  # type: ignore[assignment]
    serializer_class = import_serializers.SourceSerializer

    @extend_schema(responses=import_serializers.SourcesSerializer)
    def list(self, request: Request, project_pk: int) -> Response:
        """Sources of predictions, by split, with their numbers."""
        found = machines.sources(self.project)
        return Response({"results": import_serializers.SourceSerializer(found, many=True).data})

    @extend_schema(
        parameters=[OpenApiParameter("split", str, description="Only in this split.")],
        responses={200: import_serializers.RemovedSerializer, 202: import_serializers.RemovedSerializer},
    )
    def destroy(self, request: Request, project_pk: int, pk: str) -> Response:
        """Delete what a source has predicted; where that is much, a task does it (202). For curators."""
        split = request.query_params.get("split", "")
        removed = services.remove_source(user=self.user, project=self.project, source=pk, split=split)
        task = removed.job and str(removed.job.task_id)
        told = {"source": pk, "annotations": removed.annotations, "task": task}
        return Response(told, status=202 if task else 200)
