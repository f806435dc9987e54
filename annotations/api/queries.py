"""About queries rather than their rows: facets, what a query means, what may be written next."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.errors import ServiceError
from annotations import completion, query
from annotations import facets as facet_counts
from annotations.api import conditional
from annotations.api.assets import Q
from annotations.counting import count
from assets.models import ImageAsset
from projects.api.base import ProjectScoped
from projects.models import Role

_VALUE = inline_serializer(
    "FacetValue", {"value": serializers.CharField(), "count": serializers.IntegerField()}, many=True
)


class FacetsSerializer(serializers.Serializer):
    """Numbers of images by value, the greatest first."""

    count = serializers.IntegerField(help_text="Images that the query finds.")
    count_is_exact = serializers.BooleanField()
    exact = serializers.BooleanField(help_text="Whether every image was counted; if not, the numbers are estimates.")
    sample = serializers.IntegerField(allow_null=True, help_text="Number of images that estimates were made from.")
    tags = _VALUE
    categories = _VALUE
    splits = _VALUE
    statuses = _VALUE
    issues = _VALUE


class ExplanationSerializer(serializers.Serializer):
    """What a query means."""

    canonical = serializers.CharField(help_text="Equal for texts that ask the same in the same order.")
    count = serializers.IntegerField()
    count_is_exact = serializers.BooleanField()
    plan = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="PostgreSQL's plan, line by line. For managers."
    )


class SuggestionSerializer(serializers.Serializer):
    """Something that may stand in the query from `start` to the cursor."""

    text = serializers.CharField(help_text="What to put there.")
    kind = serializers.ChoiceField(choices=completion.KINDS)
    help = serializers.CharField(help_text="In a few words; may be empty.")
    count = serializers.IntegerField(
        allow_null=True, help_text="How many images (or objects, for fields of objects) have it."
    )
    count_is_exact = serializers.BooleanField(allow_null=True)


class CompletionSerializer(serializers.Serializer):
    """What may be written at the cursor."""

    start = serializers.IntegerField(help_text="Characters of the query before the part that suggestions replace.")
    cursor = serializers.IntegerField()
    suggestions = SuggestionSerializer(many=True)


@extend_schema(tags=["images"])
class QueryViewSet(ProjectScoped, GenericViewSet[ImageAsset]):
    """Help with queries."""

    queryset = ImageAsset.objects.all()
    serializer_class = FacetsSerializer
    pagination_class = None  # type: ignore[assignment]
    FACETS: ClassVar[tuple[str, ...]] = facet_counts.NAMES

    @extend_schema(
        parameters=[
            Q,
            OpenApiParameter("facets", str, description=f"Some of {', '.join(FACETS)}, with commas. Default: all."),
            OpenApiParameter("limit", int, description=f"Values per facet, at most {facet_counts.MAX_LIMIT}."),
            conditional.IF_NONE_MATCH,
        ],
        responses=FacetsSerializer,
        filters=False,
    )
    @action(detail=False)
    def facets(self, request: Request, project_pk: int) -> Response:
        """How many of the query's images have each tag, category, split, status and issue."""
        names = tuple(name.strip() for name in request.query_params.get("facets", "").split(",") if name.strip())
        for name in names:
            if name not in self.FACETS:
                raise _fault("facets", f"{name[:60]!r} is no facet. The facets are {', '.join(self.FACETS)}.")
        limit = _number(request, "limit", facet_counts.LIMIT, facet_counts.MAX_LIMIT, least=1)
        tag = conditional.tag_of(request, self.project, links=False)
        if answer := conditional.unchanged(request, tag):
            return answer
        with query.statement_timeout():
            found = facet_counts.facets(
                self.project, request.query_params.get("q", ""), names=names or self.FACETS, limit=limit
            )
        return Response(facet_counts.as_json(found), headers=conditional.headers(tag))

    @extend_schema(parameters=[Q], responses=ExplanationSerializer, filters=False)
    @action(detail=False, url_path="query/explain")
    def explain(self, request: Request, project_pk: int) -> Response:
        """The query's canonical form, how many images it finds, and for managers PostgreSQL's plan of a page."""
        tree = query.parse(request.query_params.get("q", ""))
        with query.statement_timeout():
            rows = query.filter_images(ImageAsset.objects.all(), self.project, tree)
            number, exact = count(rows)
            plan: Any = None
            if (self.project.my_role or 0) >= Role.MANAGER:
                plan = rows.order_by("id")[:50].explain().splitlines()
        return Response(
            {"canonical": query.to_text(tree), "count": number, "count_is_exact": exact, "plan": plan},
        )

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, description="The query as far as it is written; it need not be a whole one."),
            OpenApiParameter("cursor", int, description="Characters before the cursor. Default: all of them."),
            OpenApiParameter("limit", int, description=f"Suggestions, at most {completion.MAX_LIMIT}."),
        ],
        responses=CompletionSerializer,
        filters=False,
    )
    @action(detail=False, url_path="query/complete")
    def complete(self, request: Request, project_pk: int) -> Response:
        """What may be written at the cursor: fields, operators, and values that the project has."""
        text = request.query_params.get("q", "")
        cursor = _number(request, "cursor", len(text), len(text))
        limit = _number(request, "limit", completion.LIMIT, completion.MAX_LIMIT, least=1)
        with query.statement_timeout():
            found = completion.complete(self.project, text[:cursor], limit=limit)
        return Response(completion.as_json(found, cursor))


def _number(request: Request, name: str, default: int, most: int, *, least: int = 0) -> int:
    """A whole number among the parameters; more than the most is capped."""
    given = request.query_params.get(name, "")
    if not given:
        return default
    if given.isdecimal() and len(given) < 12 and int(given) >= least:
        return min(int(given), most)
    raise _fault(name, f"{name} is {given[:40]!r}; it must be a whole number from {least}.")


def _fault(field: str, text: str) -> ServiceError:
    return ServiceError(text, fields={field: [text]})
