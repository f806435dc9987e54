"""Saved looks at a project: a query and how to draw it."""

from typing import Any, Self

from django.db import models
from django.db.models import Q
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

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="insight_views", verbose_name=_("project"))
    name = models.CharField(_("name"), max_length=200)
    query = models.JSONField(_("query"), default=dict, blank=True)  # {"q": "tag:car width>1024"}
    visualization = models.JSONField(_("visualization"), default=dict, blank=True)
    saved_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="insight_views", verbose_name=_("saved by")
    )
    shared = models.BooleanField(_("shared"), default=True)
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
