"""Saved looks at a project: a query and how to draw it. Figures that have been computed."""

from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.models import Project


class InsightViewQuerySet(models.QuerySet["InsightView"]):
    """Views as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Shared views of the projects the user sees, and the user's own."""
        return self.filter(project__in=Project.objects.visible_to(user)).filter(Q(shared=True) | Q(saved_by=user.pk))


class InsightView(models.Model):
    """A query over a project's images, and the chart to show it with."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="insight_views", verbose_name=_("project")
    )
    name = models.CharField(_("name"), max_length=200)
    query = models.JSONField(_("query"), default=dict, blank=True)  # {"q": "tag:car width>1024"}
    visualization = models.JSONField(_("visualization"), default=dict, blank=True)
    saved_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="insight_views", verbose_name=_("saved by")
    )
    shared = models.BooleanField(_("shared"), default=True)
    pinned = models.BooleanField(_("pinned"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = InsightViewQuerySet.as_manager()

    class Meta:
        verbose_name = _("insight view")
        verbose_name_plural = _("insight views")
        ordering = ["project_id", "name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "saved_by", "name"], name="insights_view_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class MetricResult(models.Model):
    """The last figures of one metric for one query, and the revision of the project that they were counted at.

    They are fresh while the project is at that revision, so nothing has to be invalidated. `wanted_at` is when somebody
    last asked and did not get fresh figures; figures counted from a later state of the project take it away.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="metric_results", db_index=False)
    metric = models.CharField(max_length=60)
    query_key = models.CharField(max_length=64)  # SHA-256 of `query`, which may be too long for an index
    query = models.TextField(blank=True)
    # Of the way that metrics count: figures counted in another way are not used.
    version = models.PositiveSmallIntegerField(default=0)
    revision = models.BigIntegerField(null=True)
    figures = models.JSONField(null=True)
    computed_at = models.DateTimeField(null=True)  # when the counting began
    seconds = models.FloatField(null=True)
    wanted_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(db_default=Now())  # to the hour; what nobody asks for is forgotten

    class Meta:
        verbose_name = _("metric result")
        verbose_name_plural = _("metric results")
        constraints = [
            models.UniqueConstraint(fields=["project", "query_key", "metric"], name="insights_result_identity")
        ]

    def __str__(self) -> str:
        return f"{self.metric} at {self.revision}"


class PredictionResult(models.Model):
    """The last evaluation of a source of predictions, for one query, at one revision of the project.

    It is fresh, waited for and forgotten as a MetricResult is.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prediction_results", db_index=False)
    source = models.CharField(max_length=100)
    query_key = models.CharField(max_length=64)
    query = models.TextField(blank=True)
    version = models.PositiveSmallIntegerField(default=0)
    revision = models.BigIntegerField(null=True)
    figures = models.JSONField(null=True)
    computed_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    wanted_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("evaluation of predictions")
        verbose_name_plural = _("evaluations of predictions")
        constraints = [
            models.UniqueConstraint(fields=["project", "source", "query_key"], name="insights_prediction_identity")
        ]

    def __str__(self) -> str:
        return f"{self.source} at {self.revision}"
