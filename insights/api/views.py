"""Figures of a project, saved views, comparisons."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api import conditional
from accounts.errors import NotFound, ServiceError
from insights import comparison, reading, services
from insights.api import pictures, serializers
from insights.metrics import METRICS, Metric
from insights.models import InsightView
from insights.plotting.plots import plot
from insights.predictions import reading as predictions
from insights.visualization import CHARTS, unknown_metric
from projects.api.base import ProjectScoped
from projects.models import Project

Q = OpenApiParameter("q", str, description="Which images, in the query language (docs/query.md). Empty: all of them.")
AS_FILE = {
    (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR),
    (200, "image/svg+xml"): OpenApiResponse(OpenApiTypes.BINARY),
    (200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY),
    (202, "application/json"): OpenApiResponse(serializers.ReadingSerializer, description="No figures yet"),
}


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise NotFound(unknown_metric(name))
    return METRICS[name]


class _Insights(ProjectScoped):
    """What these calls share."""

    queryset = Project.objects.none()
    pagination_class = None  # type: ignore[assignment]

    def get_queryset(self) -> QuerySet[Any]:
        """They read no rows."""
        return self.queryset

    @property
    def q(self) -> str:
        """The query of the address."""
        return self.request.query_params.get("q", "")


@extend_schema(tags=["insights"])
class MetricListView(_Insights):
    """The metrics there are."""

    @extend_schema(responses=serializers.MetricSerializer(many=True))
    def get(self, request: Request, project_pk: int) -> Response:
        """All metrics, with what they count and the shape of their figures."""
        metrics: Any = list(METRICS.values())
        return Response(serializers.MetricSerializer(metrics, many=True).data)


@extend_schema(tags=["insights"])
class MetricView(_Insights):
    """One metric."""

    @extend_schema(parameters=[Q], responses=serializers.ReadingSerializer)
    def get(self, request: Request, project_pk: int, name: str) -> Response:
        """The metric's figures for what `q` chooses: fresh if they come soon, else the last ones, marked as stale."""
        [found] = reading.read(self.project, [_metric(name).name], self.q)
        return Response(serializers.ReadingSerializer(found).data)


@extend_schema(tags=["insights"])
class MetricFileView(_Insights):
    """One metric as a file."""

    @extend_schema(
        operation_id="projects_insights_metrics_file",
        parameters=[
            Q,
            OpenApiParameter("form", str, OpenApiParameter.PATH, enum=list(pictures.FORMS)),
            OpenApiParameter("chart", str, description="Kind of chart, of those that fit the metric."),
        ],
        responses=AS_FILE,
    )
    def get(self, request: Request, project_pk: int, name: str, form: str) -> HttpResponse:
        """The metric's figures as CSV, SVG or PNG; 202 while there are none."""
        metric = _metric(name)
        chart = request.query_params.get("chart", "") or CHARTS[metric.kind][0]
        if chart not in CHARTS[metric.kind]:
            text = f"{chart[:40]!r} does not fit {name}; expected {', '.join(CHARTS[metric.kind])}."
            raise ServiceError(text, fields={"chart": [text]})
        pictures.check_form(form)
        [found] = reading.read(self.project, [name], self.q)
        return pictures.file_of(found, chart, {}, form, name)


@extend_schema(tags=["insights"])
class DashboardView(_Insights):
    """All metrics at once."""

    @extend_schema(parameters=[Q], responses=serializers.DashboardSerializer)
    def get(self, request: Request, project_pk: int) -> Response:
        """All metrics for what `q` chooses, in one answer."""
        found = reading.dashboard(self.project, self.q)
        answer = {"q": found[0].q, "revision": self.project.revision, "metrics": found}
        return Response(serializers.DashboardSerializer(answer).data)


@extend_schema(tags=["insights"])
class CompareView(_Insights):
    """Two selections side by side."""

    @extend_schema(
        parameters=[
            OpenApiParameter("a", str, required=True, description="A query, such as split:train."),
            OpenApiParameter("b", str, required=True, description="Another one, such as split:val."),
        ],
        responses=serializers.ComparisonSerializer,
    )
    def get(self, request: Request, project_pk: int) -> Response:
        """How far apart two selections are, metric by metric, and what stands out."""
        absent = [name for name in ("a", "b") if name not in request.query_params]
        if absent:
            faults = {name: ["A query is needed; an empty one is for all images."] for name in absent}
            raise ServiceError("Say what is to be compared: ?a=split:train&b=split:val.", fields=faults)
        a, b = (request.query_params[name] for name in ("a", "b"))
        found = comparison.compare(self.project, a, b)
        return Response(serializers.ComparisonSerializer({"a": a, "b": b, "metrics": found}).data)


@extend_schema(tags=["insights"])
class PredictionsView(_Insights):
    """Predictions against people's annotations."""

    @extend_schema(
        operation_id="projects_insights_predictions",
        parameters=[
            OpenApiParameter("source", str, required=True, description="Whose predictions, such as yolo-v9."),
            Q,
        ],
        responses=serializers.EvaluationSerializer,
    )
    def get(self, request: Request, project_pk: int) -> Response:
        """COCO's average precision and recall of a source, by class, size and overlap, and where it is wrong.

        Fresh if that comes soon; else the last one, marked as stale, or none yet (`pending`) while a worker makes it.
        """
        found = predictions.read(self.project, request.query_params.get("source", ""), self.q)
        return Response(serializers.EvaluationSerializer(found).data)


@extend_schema(tags=["insights"])
class InsightViewViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[InsightView]):
    """Saved views: the shared ones and one's own. Members see them; curators make and change them."""

    queryset = InsightView.objects.select_related("saved_by", "project")
    serializer_class = serializers.InsightViewSerializer
    ordering: ClassVar[tuple[str, ...]] = ("-pinned", "-id")
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[InsightView]:
        """Nobody sees the private views of others."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(pk__in=InsightView.objects.visible_to(self.user).filter(project=self.project))

    def create(self, request: Request, project_pk: int) -> Response:
        """Keep a view."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        view = services.create_view(user=self.user, project=self.project, **{"query": {}, **form.validated_data})
        return self._answer(view, status=201)

    @extend_schema(parameters=[conditional.IF_NONE_MATCH])
    def retrieve(self, request: Request, project_pk: int, pk: int) -> Response:
        """One view; the ETag can go into `If-Match` of a change."""
        return self._answer(self.get_object())

    @extend_schema(parameters=[conditional.IF_MATCH])
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Change some of a view."""
        form = self.get_serializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        view = services.update_view(
            user=self.user, view=self.get_object(), version=self._version(), **form.validated_data
        )
        return self._answer(view)

    @extend_schema(parameters=[conditional.IF_MATCH], responses={204: None})
    def destroy(self, request: Request, project_pk: int, pk: int) -> Response:
        """Take a view out: one's own, or any for managers."""
        services.delete_view(user=self.user, view=self.get_object(), version=self._version())
        return Response(status=204)

    @extend_schema(request=serializers.CopySerializer, responses={201: serializers.InsightViewSerializer})
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, project_pk: int, pk: int) -> Response:
        """A copy of one's own, private at first."""
        form = serializers.CopySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        view = services.duplicate_view(user=self.user, view=self.get_object(), name=form.validated_data["name"])
        return self._answer(view, status=201)

    @extend_schema(request=None, responses=serializers.InsightViewSerializer, parameters=[conditional.IF_MATCH])
    @action(detail=True, methods=["post"])
    def pin(self, request: Request, project_pk: int, pk: int) -> Response:
        """Have it stand first."""
        return self._pinned(True)

    @extend_schema(request=None, responses=serializers.InsightViewSerializer, parameters=[conditional.IF_MATCH])
    @action(detail=True, methods=["post"])
    def unpin(self, request: Request, project_pk: int, pk: int) -> Response:
        """Have it stand first no longer."""
        return self._pinned(False)

    @extend_schema(responses=serializers.ViewDataSerializer)
    @action(detail=True)
    def data(self, request: Request, project_pk: int, pk: int) -> Response:
        """The view's figures and its chart, ready to be drawn."""
        view = self.get_object()
        found, metric = self._read(view)
        drawing = view.visualization
        chart = None if found.figures is None else plot(metric, found.figures, drawing["chart"], drawing["options"])
        return Response(serializers.ViewDataSerializer({"view": view, "reading": found, "plot": chart}).data)

    @extend_schema(
        parameters=[OpenApiParameter("form", str, OpenApiParameter.PATH, enum=list(pictures.FORMS))], responses=AS_FILE
    )
    @action(detail=True, url_path="file/<str:form>")
    def file(self, request: Request, project_pk: int, pk: int, form: str) -> HttpResponse:
        """The view as CSV, SVG or PNG; 202 while there are no figures."""
        view = self.get_object()
        pictures.check_form(form)
        found, _ = self._read(view)
        return pictures.file_of(found, view.visualization["chart"], view.visualization["options"], form, view.name)

    def _read(self, view: InsightView) -> tuple[reading.Reading, Metric]:
        metric = METRICS.get(view.visualization.get("metric", ""))
        if metric is None:
            raise NotFound("The metric of this view is no longer there. Give the view another one.")
        [found] = reading.read(self.project, [metric.name], view.query.get("q", ""))
        return found, metric

    def _pinned(self, pinned: bool) -> Response:
        view = services.pin_view(user=self.user, view=self.get_object(), pinned=pinned, version=self._version())
        return self._answer(view)

    def _version(self) -> str | None:
        return conditional.version(self.request.headers.get("If-Match", ""))

    def _answer(self, view: InsightView, status: int = 200) -> Response:
        data = self.get_serializer(view).data
        return conditional.record(self.request, data, services.version_of(view), status=status)
