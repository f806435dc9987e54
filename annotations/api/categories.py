"""Classes of objects of a project: listed, made, changed, merged, deleted."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.errors import ServiceError
from annotations import categories, relabelling
from annotations.api import bulk, conditional, edit_serializers, serializers
from annotations.api.lists import FALSE
from annotations.models import Category
from projects.api.base import ProjectScoped
from projects.models import Project, Role


@extend_schema(tags=["annotations"])
class CategoryViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Category]):
    """Classes of objects of a project."""

    queryset: QuerySet[Category] = Category.objects.all()
    serializer_class = serializers.CategorySerializer
    ordering = ("coco_id", "id")
    lookup_value_converter = "int"
    required_roles = {"destroy": Role.MANAGER}

    @extend_schema(request=edit_serializers.NewCategorySerializer, responses={201: serializers.CategorySerializer})
    def create(self, request: Request, project_pk: int) -> Response:
        """Make a category; its COCO id is one above the greatest unless given. For curators."""
        form = edit_serializers.NewCategorySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made = categories.create_category(user=self.user, project=self.project, **form.validated_data)
        return self._answer(made, status=201)

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One category; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(
        request=edit_serializers.CategoryFields,
        responses=serializers.CategorySerializer,
        parameters=[conditional.IF_MATCH],
    )
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Rename, recolour or describe a category; exports follow. For curators."""
        form = edit_serializers.CategoryFields(data=request.data)
        form.is_valid(raise_exception=True)
        version = conditional.version(request.headers.get("If-Match", ""))
        changed = categories.update_category(
            user=self.user, category=self._object(), version=version, **form.validated_data
        )
        return self._answer(changed)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "annotations",
                str,
                enum=relabelling.FATES,
                description="What becomes of its annotations; `refuse` (the default): 409 if there are any.",
            ),
            OpenApiParameter("dry_run", bool, description="Only tell what would happen."),
            conditional.IF_MATCH,
        ],
        responses={200: edit_serializers.EffectSerializer, 202: bulk.BulkEditSerializer},
    )
    def destroy(self, request: Request, project_pk: int, pk: int) -> Response:
        """Delete a category, and its annotations or their category. For managers. With many it is a task (202)."""
        effect = relabelling.delete_category(
            user=self.user,
            category=self._object(),
            version=conditional.version(request.headers.get("If-Match", "")),
            annotations=request.query_params.get("annotations", "refuse"),
            dry_run=request.query_params.get("dry_run", "false").lower() not in FALSE,
        )
        return self._done(effect)

    @extend_schema(
        request=edit_serializers.MergeSerializer,
        responses={200: edit_serializers.EffectSerializer, 202: bulk.BulkEditSerializer},
    )
    @action(detail=False, methods=["post"])
    def merge(self, request: Request, project_pk: int) -> Response:
        """Make several categories one; `dry_run` tells what would happen. For curators. Many are a task (202)."""
        form = edit_serializers.MergeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = form.validated_data
        effect = relabelling.merge_categories(
            user=self.user,
            project=self.project,
            sources=[find_category(self.project, pk, "categories") for pk in dict.fromkeys(fields["categories"])],
            into=find_category(self.project, fields["into"], "into"),
            dry_run=fields["dry_run"],
        )
        return self._done(effect)

    def _answer(self, category: Category, status: int = 200) -> Response:
        data = self.get_serializer(category).data
        return conditional.record(self.request, data, categories.version_of(category), status=status)

    def _done(self, effect: relabelling.Effect) -> Response:
        if effect.edit is not None and not effect.done:
            return bulk.answer(effect.edit, self.request)
        return Response(edit_serializers.EffectSerializer(effect).data)

    def _object(self) -> Category:
        category: Category = self.get_object()
        category.project = self.project
        return category


def find_category(project: Project, pk: int, field: str) -> Category:
    """The project's category that a request names in `field`; ServiceError if there is none."""
    category = Category.objects.filter(project=project, pk=pk).first()
    if category is None:
        text = f"There is no category {pk} in this project."
        raise ServiceError(text, fields={field: [text]})
    return category
