"""Shapes of metrics, readings, saved views and comparisons."""

from typing import Any

from drf_spectacular.plumbing import resolve_type_hint
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.forms import Form, Spelt
from insights.metrics import METRICS, Figures, Metric, schema
from insights.models import InsightView
from insights.predictions.figures import Evaluation
from insights.visualization import CHARTS, LOOKS, OPTIONS

_ANY_FIGURES = {"oneOf": resolve_type_hint(Figures)["oneOf"], "nullable": True}
QUERY = {
    "type": "object",
    "properties": {
        "q": {"type": "string"},
        **{name: {"type": "string", "pattern": f"^({pattern.pattern})$"} for name, pattern in LOOKS.items()},
    },
    "additionalProperties": False,
    "description": "Which images, and how the page of images shows them: its order, grid or table, sizes, boxes.",
    "example": {"q": "tag:car width>1024"},
}
VISUALIZATION = {
    "type": "object",
    "required": ["metric"],
    "properties": {
        "metric": {"type": "string", "enum": list(METRICS)},
        "chart": {"type": "string", "enum": sorted({name for names in CHARTS.values() for name in names})},
        "options": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "description": OPTIONS["title"]},
                "limit": {"type": "integer", "description": OPTIONS["limit"]},
                "log": {"type": "boolean", "description": OPTIONS["log"]},
                "percent": {"type": "boolean", "description": OPTIONS["percent"]},
            },
        },
    },
}


@extend_schema_field(_ANY_FIGURES)
class FiguresField(serializers.JSONField):
    """Figures of whatever kind."""


@extend_schema_field({**resolve_type_hint(Evaluation), "nullable": True})
class EvaluationField(serializers.JSONField):
    """An evaluation's figures."""


@extend_schema_field(QUERY)
class QueryField(serializers.JSONField):
    """The query of a view; checked by the services."""


@extend_schema_field(VISUALIZATION)
class VisualizationField(serializers.JSONField):
    """How a view is drawn; checked by the services."""


class MetricSerializer(serializers.Serializer[Metric]):
    """A metric: what it counts and what its figures look like."""

    name = serializers.CharField()
    title = serializers.CharField()
    doc = serializers.CharField()
    kind = serializers.CharField(help_text="Of the figures: bars, histogram, grid, series or numbers.")
    unit = serializers.CharField(help_text="What is counted: images or annotations.")
    params = serializers.DictField(help_text="The constants it counts by.")
    charts = serializers.SerializerMethodField(help_text="Kinds of charts that fit.")
    schema = serializers.SerializerMethodField(help_text="The shape of its figures, as OpenAPI has it.")

    def get_charts(self, metric: Metric) -> list[str]:
        """The first is the usual one."""
        return list(CHARTS[metric.kind])

    def get_schema(self, metric: Metric) -> dict[str, Any]:
        """Of the figures."""
        return schema(metric)


class ReadingSerializer(serializers.Serializer[Any]):
    """A metric as it was found. Fresh figures are neither stale nor pending."""

    metric = serializers.CharField()
    q = serializers.CharField(help_text="The query in its canonical form.")
    revision = serializers.IntegerField(
        allow_null=True, help_text="Of the project, that the figures say how it was at."
    )
    computed_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True, help_text="That computing it took.")
    stale = serializers.BooleanField(help_text="The project has changed since; fresh figures are on their way.")
    pending = serializers.BooleanField(help_text="There are no figures yet; they are on their way.")
    figures = FiguresField(allow_null=True)


class EvaluationSerializer(serializers.Serializer[Any]):
    """An evaluation of predictions as it was found. A fresh one is neither stale nor pending."""

    source = serializers.CharField()  # type: ignore[assignment]
    q = serializers.CharField(help_text="The query in its canonical form.")
    revision = serializers.IntegerField(allow_null=True, help_text="Of the project, that it says how it was at.")
    computed_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True, help_text="That making it took.")
    stale = serializers.BooleanField(help_text="The project has changed since; a fresh one is on its way.")
    pending = serializers.BooleanField(help_text="There is none yet; it is on its way.")
    figures = EvaluationField(allow_null=True)


class DashboardSerializer(serializers.Serializer[Any]):
    """All metrics in one answer."""

    q = serializers.CharField()
    revision = serializers.IntegerField(help_text="Of the project, when it was asked.")
    metrics = ReadingSerializer(many=True)


class InsightViewSerializer(Spelt, serializers.ModelSerializer[InsightView]):
    """A saved view."""

    query = QueryField(required=False)
    visualization = VisualizationField()
    saved_by = serializers.EmailField(source="saved_by.email", read_only=True, allow_null=True, default=None)

    class Meta:
        model = InsightView
        fields = (
            "id",
            "name",
            "query",
            "visualization",
            "shared",
            "pinned",
            "saved_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "pinned", "created_at", "updated_at")
        validators: list[Any] = []


class CopySerializer(Form):
    """What the copy is called."""

    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class LineSerializer(serializers.Serializer[Any]):
    """A value for each label."""

    name = serializers.CharField()
    values = serializers.ListField(child=serializers.FloatField())
    queries = serializers.ListField(child=serializers.CharField(allow_null=True))


class SquareSerializer(serializers.Serializer[Any]):
    """A cell of a heat map, from 0 at the left and the top."""

    x = serializers.IntegerField()
    y = serializers.IntegerField()
    value = serializers.FloatField()
    q = serializers.CharField(allow_null=True)


class PlotSerializer(serializers.Serializer[Any]):
    """A chart, ready to be drawn."""

    chart = serializers.CharField()
    title = serializers.CharField()
    x_title = serializers.CharField()
    y_title = serializers.CharField()
    labels = serializers.ListField(child=serializers.CharField())
    series = LineSerializer(many=True)
    rows = serializers.ListField(child=serializers.CharField())
    cells = SquareSerializer(many=True)
    log = serializers.BooleanField()
    percent = serializers.BooleanField()
    note = serializers.CharField()


class ViewDataSerializer(serializers.Serializer[Any]):
    """A view's figures and its chart; the chart is null while figures are pending."""

    view = InsightViewSerializer()
    reading = ReadingSerializer()
    plot = PlotSerializer(allow_null=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    """A bar whose share differs."""

    label = serializers.CharField()  # type: ignore[assignment]
    a = serializers.FloatField()
    b = serializers.FloatField()
    q_a = serializers.CharField(allow_null=True)
    q_b = serializers.CharField(allow_null=True)


class ComparedSerializer(serializers.Serializer[Any]):
    """One metric of both selections; distances from 0 (the same) to 1, null where one of the two is empty."""

    metric = serializers.CharField()
    title = serializers.CharField()
    distance = serializers.FloatField(
        allow_null=True, help_text="Total variation, by which metrics are ranked: 0 the same, 1 nothing in common."
    )
    jensen_shannon = serializers.FloatField(allow_null=True, help_text="Jensen-Shannon distance.")
    earth_mover = serializers.FloatField(
        allow_null=True, help_text="Of histograms: how far values lie apart, in bins over the number of bins less one."
    )
    stands_out = DifferenceSerializer(many=True)
    a = ReadingSerializer()
    b = ReadingSerializer()


class ComparisonSerializer(serializers.Serializer[Any]):
    """Two selections side by side, the metrics that are farthest apart first."""

    a = serializers.CharField()
    b = serializers.CharField()
    metrics = ComparedSerializer(many=True)
