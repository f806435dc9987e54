"""Images, categories, annotations and imports of a project."""

import re
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.errors import NotFound, ServiceError, StaleEdit, TooLarge
from annotations import query, services
from annotations.api import filters, serializers
from annotations.counting import count
from annotations.models import Annotation, Category, ImportJob
from assets import services as asset_services
from assets import storage
from assets.models import ImageAsset
from projects.api.base import KeysetPagination, ProjectScoped

FORM_OVERHEAD = 1024 * 1024  # bytes of a multipart body that are not files
Q = OpenApiParameter("q", str, description="Which images, in the query language (docs/query.md). Empty: all of them.")


class AssetPagination(KeysetPagination):
    """Pages of images with their number: exact up to a cap, an estimate above it; `count=false` leaves it out."""

    extra_schema = {
        "count": {"type": "integer", "nullable": True},
        "count_is_exact": {"type": "boolean", "nullable": True},
    }

    def extra_for(self, queryset: QuerySet[Any], request: Request) -> dict[str, Any]:
        """The number of images that the query finds."""
        if request.query_params.get("count", "").lower() in ("false", "0"):
            return {"count": None, "count_is_exact": None}
        number, exact = count(queryset)
        return {"count": number, "count_is_exact": exact}


@extend_schema(tags=["images"])
class AssetViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ImageAsset]):
    """Images of a project: filter, sort, page, tag."""

    queryset = ImageAsset.objects.select_related("split")
    serializer_class = serializers.AssetSerializer
    pagination_class = AssetPagination
    lookup_value_converter = "int"
    SORTS: ClassVar[dict[str, str]] = {
        "id": "id",
        "file": "file_name",
        "width": "width",
        "height": "height",
        "annotations": "annotation_count",
        "status": "status",
    }

    def get_ordering(self) -> tuple[str, ...]:
        """From `sort`; by id where it is not given."""
        given = self.request.query_params.get("sort", "") or "id"
        field = self.SORTS.get(given.removeprefix("-"))
        if field is None:
            text = (
                f"{given[:60]!r} is no order. Sort by one of {', '.join(self.SORTS)}; a '-' before it turns it round."
            )
            raise ServiceError(text, fields={"sort": [text]})
        sign = "-" if given.startswith("-") else ""
        return (f"{sign}{field}",) if field == "id" else (f"{sign}{field}", f"{sign}id")

    @extend_schema(
        parameters=[
            Q,
            OpenApiParameter("sort", str, enum=[*SORTS, *(f"-{name}" for name in SORTS)]),
            OpenApiParameter("count", bool, description="Whether to count what the query finds (default: true)."),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The images that `q` chooses, a page at a time."""
        with query.statement_timeout():
            return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Only what `q` chooses, in lists."""
        if self.action != "list":
            return queryset
        return query.filter_images(queryset, self.project, self.request.query_params.get("q", ""))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One image; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(
        request=serializers.AssetEditSerializer,
        responses=serializers.AssetSerializer,
        parameters=[OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="412 if it has changed.")],
    )
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Change tags, metadata or review status. For curators."""
        form = serializers.AssetEditSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        version = fields.pop("version", None)
        if version is None:
            version = _version(request.headers.get("If-Match", ""))
        asset = asset_services.update_asset(
            user=self.user, asset=self.get_object(), edit=asset_services.Edit(**fields), version=version
        )
        return self._answer(asset)

    @extend_schema(responses=serializers.AnnotationSerializer(many=True))
    @action(detail=True, pagination_class=KeysetPagination, serializer_class=serializers.AnnotationSerializer)
    def annotations(self, request: Request, project_pk: int, pk: int) -> Response:
        """The image's annotations, in the order of their file."""
        rows = Annotation.objects.filter(image=self.get_object()).select_related("category")
        paginator = KeysetPagination(ordering=("position", "id"))
        page = paginator.paginate_queryset(rows, request, view=self)
        data = serializers.AnnotationSerializer(page, many=True, context=self.get_serializer_context()).data
        return paginator.get_paginated_response(data)

    def _answer(self, asset: ImageAsset) -> Response:
        return Response(self.get_serializer(asset).data, headers={"ETag": f'"{asset.version}"'})


def _version(header: str) -> int | None:
    """The version of an `If-Match` header; None where there is none to be met."""
    if header in ("", "*"):
        return None
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', header)
    if found is None:
        raise StaleEdit(f"If-Match is {header[:60]!r}, which is no ETag of an image. Read the image again.")
    return int(found[1])


@extend_schema(tags=["annotations"])
class CategoryViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Category]):
    """Classes of objects of a project."""

    queryset = Category.objects.all()
    serializer_class = serializers.CategorySerializer
    ordering = ("coco_id", "id")
    lookup_value_converter = "int"


@extend_schema(tags=["annotations"])
class AnnotationViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Annotation]):
    """Annotations of a project."""

    queryset = Annotation.objects.select_related("category")
    serializer_class = serializers.AnnotationSerializer
    filterset_class = filters.AnnotationFilter
    ordering = ("id",)
    lookup_value_converter = "int"


@extend_schema(tags=["imports"])
@extend_schema_view(
    list=extend_schema(summary="Imports of the project, newest first"),
    retrieve=extend_schema(summary="One import with its task"),
)
class ImportJobViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ImportJob]):
    """COCO files on their way into a project."""

    queryset = ImportJob.objects.select_related("task", "task__project")
    serializer_class = serializers.ImportJobSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"
    parser_classes = (MultiPartParser,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body that is too large before it is read."""
        super().initial(request, *args, **kwargs)
        declared = request.META.get("CONTENT_LENGTH") or "0"
        if declared.isdecimal() and int(declared) > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD:
            raise TooLarge(f"The upload has {int(declared):,} bytes; {settings.MAX_UPLOAD_BYTES:,} is the most.")

    @extend_schema(
        request={"multipart/form-data": serializers.StartImportSerializer},
        responses={202: serializers.ImportJobSerializer},
    )
    def create(self, request: Request, project_pk: int) -> Response:
        """Start an import. The same upload again, while it is being imported, is the same job. For curators."""
        form = serializers.StartImportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        upload = services.Upload(fields["file"], tuple(request.FILES.getlist("images")))
        job = services.start_import(
            user=self.user, project=self.project, upload=upload, split=fields["split"], strict=fields["strict"]
        )
        location = reverse("project-coco-detail", args=[self.project.pk, job.pk], request=request)
        return Response(self.get_serializer(job).data, status=202, headers={"Location": location})

    @extend_schema(responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "Totals, a table by code, every problem")})
    @action(detail=True)
    def report(self, request: Request, project_pk: int, pk: int) -> FileResponse:
        """The validation report: totals, a table by code, and every problem with its JSON path."""
        job = self.get_object()
        content = storage.read(job.task.log)
        if content is None:
            raise NotFound("There is no report of this import yet; it is written when the import ends.")
        return FileResponse(content, content_type="application/json", filename=f"import-{job.pk}.json")
