"""Annotations of a project: filter, page, make, change, delete, relabel."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from annotations import editing, query, relabelling
from annotations.api import bulk, conditional, edit_serializers, filters, lists, serializers
from annotations.api.categories import find_category
from annotations.counting import Found
from annotations.models import Annotation
from annotations.remembering import Question
from projects.api.base import ProjectScoped

Q = OpenApiParameter(
    "q", str, description="Which annotations, in the query language; fields of images are those of their image."
)


@extend_schema(tags=["annotations"])
class AnnotationViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Annotation]):
    """Annotations of a project."""

    queryset = Annotation.objects.select_related("category")
    serializer_class = serializers.AnnotationSerializer
    pagination_class = lists.CountedPagination
    filterset_class = filters.AnnotationFilter
    ordering = ("id",)
    lookup_value_converter = "int"

    @extend_schema(parameters=[Q, lists.COUNT, lists.FIELDS, conditional.IF_NONE_MATCH])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The annotations that `q` chooses, a page at a time."""
        self.wanted = lists.wanted_fields(request, serializers.AnnotationSerializer)
        tag = conditional.tag_of(request, self.project, links=False)
        if answer := conditional.unchanged(request, tag):
            return answer
        with query.statement_timeout(deep_page=lists.is_deep(request)):
            page = super().list(request, *args, **kwargs)
        return conditional.tagged(page, tag)

    def filter_queryset(self, queryset: Any) -> QuerySet[Any]:
        """Only what `q` and the filters choose, in lists."""
        if self.action != "list":
            return queryset
        return lists.trim(self.chosen(queryset), serializers.AnnotationSerializer, self.wanted, self.ordering)

    def chosen(self, queryset: Any = None) -> QuerySet[Any]:
        """The annotations of the whole list."""
        narrowed: Any = super().filter_queryset(self.get_queryset() if queryset is None else queryset)
        return query.filter_annotations(narrowed, self.project, self.request.query_params.get("q", ""))

    def question(self) -> Question[Found]:
        """What the list is of."""
        asked = self.request.query_params
        others = [f"{name}={asked.getlist(name)}" for name in sorted(self.filterset_class.get_filters())]
        return Question(self.project, "annotations", asked.get("q", ""), *others)

    def get_serializer_context(self) -> dict[str, Any]:
        """With the fields that are asked for."""
        return {**super().get_serializer_context(), "fields": getattr(self, "wanted", None)}

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One annotation; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(request=edit_serializers.NewAnnotationSerializer, responses={201: serializers.AnnotationSerializer})
    def create(self, request: Request, project_pk: int) -> Response:
        """Add an annotation to an image. For curators."""
        form = edit_serializers.NewAnnotationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made = editing.create_annotation(user=self.user, project=self.project, **form.validated_data)
        return self._answer(made, status=201)

    @extend_schema(
        request=edit_serializers.AnnotationEditSerializer,
        responses=serializers.AnnotationSerializer,
        parameters=[conditional.IF_MATCH],
    )
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Change an annotation; fields that are not named stay as they are to the letter. For curators."""
        form = edit_serializers.AnnotationEditSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        changes = dict(form.validated_data)
        version = conditional.expected(request, changes.pop("version", None))
        changed = editing.update_annotation(user=self.user, annotation=self.get_object(), version=version, **changes)
        return self._answer(changed)

    @extend_schema(parameters=[conditional.IF_MATCH], responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, project_pk: int, pk: int) -> Response:
        """Delete an annotation. For curators."""
        version = conditional.number(request.headers.get("If-Match", ""))
        editing.delete_annotation(user=self.user, annotation=self.get_object(), version=version)
        return Response(status=204)

    @extend_schema(
        request=edit_serializers.RelabelSerializer,
        responses={200: edit_serializers.RelabellingSerializer, 202: bulk.BulkEditSerializer},
        filters=False,
    )
    @action(detail=False, methods=["post"])
    def relabel(self, request: Request, project_pk: int) -> Response:
        """Give all objects that a query selects one category. For curators. Many are a task (202), as in bulk edits."""
        form = edit_serializers.RelabelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        done = relabelling.relabel(
            user=self.user,
            project=self.project,
            q=fields["q"],
            category=find_category(self.project, fields["category"], "category"),
            dry_run=fields["dry_run"],
        )
        if done.edit is not None and not done.done:
            return bulk.answer(done.edit, request)
        return Response(edit_serializers.RelabellingSerializer(done).data)

    def _answer(self, annotation: Annotation, status: int = 200) -> Response:
        data = self.get_serializer(annotation).data
        return conditional.record(self.request, data, annotation.version, status=status)
