"""Images of a project: filter, sort, page, tag."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api.pagination import keys_of, read_cursor
from accounts.errors import ServiceError
from annotations import query
from annotations.api import conditional, lists, serializers
from annotations.counting import Found
from annotations.models import Annotation
from annotations.remembering import Question
from assets import services as asset_services
from assets.models import ImageAsset
from projects.api.base import KeysetPagination, ProjectScoped

Q = OpenApiParameter("q", str, description="Which images, in the query language (docs/query.md). Empty: all of them.")


@extend_schema(tags=["images"])
class AssetViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[ImageAsset]):
    """Images of a project: filter, sort, page, tag."""

    queryset = ImageAsset.objects.select_related("split")
    serializer_class = serializers.AssetSerializer
    pagination_class = lists.CountedPagination
    lookup_value_converter = "int"
    # Each has an index that begins with the project and ends with the id.
    SORTS: ClassVar[dict[str, str]] = {
        "id": "id",
        "file": "file_name",
        "width": "width",
        "height": "height",
        "annotations": "annotation_count",
        "status": "status",
        "split": "split_id",
        "created": "created_at",
        "updated": "updated_at",
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
            lists.COUNT,
            lists.FIELDS,
            conditional.IF_NONE_MATCH,
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The images that `q` chooses, a page at a time."""
        wanted = lists.wanted_fields(request, serializers.AssetSerializer)
        links = not wanted or bool(wanted & serializers.AssetSerializer.LINKS)
        tag = conditional.tag_of(request, self.project, links=links)
        if answer := conditional.unchanged(request, tag):
            return answer
        self.wanted = wanted
        with query.statement_timeout(deep_page=lists.is_deep(request) and self._beyond() is None):
            page = super().list(request, *args, **kwargs)
        return conditional.tagged(page, tag)

    def filter_queryset(self, queryset: Any) -> QuerySet[Any]:
        """Only what `q` chooses, in lists."""
        if self.action != "list":
            return queryset
        rows = self.chosen(queryset, self._beyond())
        return lists.trim(rows, serializers.AssetSerializer, self.wanted, self.get_ordering())

    def chosen(self, queryset: Any = None, beyond: query.Beyond | None = None) -> QuerySet[Any]:
        """The images of the whole list, or what is left of it."""
        rows: Any = self.get_queryset() if queryset is None else queryset
        return query.filter_images(rows, self.project, self.request.query_params.get("q", ""), beyond=beyond)

    def question(self) -> Question[Found]:
        """What the list is of."""
        return Question(self.project, "images", self.request.query_params.get("q", ""))

    def _beyond(self) -> query.Beyond | None:
        """From where a page in the middle goes on, where that helps: in the order of the key, and counted before."""
        order = self.get_ordering()
        if len(order) > 1 or not lists.carried_count(self.request):
            return None
        keys = keys_of(self.queryset, order)
        backward, after = read_cursor(self.request.query_params.get("cursor", ""), keys)
        return query.Beyond(after[0], less=keys[0].descending is not backward) if after else None

    def get_serializer_context(self) -> dict[str, Any]:
        """With the fields that are asked for."""
        return {**super().get_serializer_context(), "fields": getattr(self, "wanted", None)}

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One image; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(
        request=serializers.AssetEditSerializer,
        responses=serializers.AssetSerializer,
        parameters=[conditional.IF_MATCH],
    )
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Change tags, metadata or review status. For curators."""
        form = serializers.AssetEditSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        version = conditional.expected(request, fields.pop("version", None))
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
        data = self.get_serializer(asset).data
        return conditional.record(self.request, data, asset.version, links=serializers.AssetSerializer.LINKS)
