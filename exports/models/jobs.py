"""Exports: what was asked for, frozen, and what became of it."""

from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from exports.models.connections import CvatProject
from projects.models import Project, Task


class ExportJobQuerySet(models.QuerySet["ExportJob"]):
    """Exports as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Exports of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))

    def newest_first(self) -> Self:
        """Latest on top."""
        return self.order_by("-id")

    def to_cvat(self) -> Self:
        """Those that go to CVAT."""
        return self.filter(target=ExportJob.Target.CVAT)


class ExportJob(models.Model):
    """One export of the images that a query chose."""

    class Target(models.TextChoices):
        COCO = "coco", _("COCO file")
        CVAT = "cvat", _("CVAT")

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="export_jobs", verbose_name=_("project")
    )
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="export_job", verbose_name=_("task"))
    target = models.CharField(_("target"), max_length=10, choices=Target, default=Target.COCO)
    # {"q", "canonical", "split", "images", "revision", ...}: what was chosen, at which state of the project
    filter_snapshot = models.JSONField(_("filter"), default=dict)
    payload_uri = models.CharField(_("file"), max_length=200, blank=True)
    # To CVAT only: the storage prefix of the frozen snapshot (docs/decisions/011-cvat-export.md), "" until it is whole.
    snapshot_uri = models.CharField(_("snapshot"), max_length=200, blank=True)
    cvat_project = models.ForeignKey(
        CvatProject,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="export_jobs",
        verbose_name=_("CVAT project"),
    )
    # Asked for by somebody: takes the tasks out of CVAT again.
    deletion = models.OneToOneField(
        Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="cvat_deletion", verbose_name=_("deletion")
    )
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = ExportJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_target_display()} {self.pk}"

    @property
    def title(self) -> str:
        """What people know it by: the name that its tasks in CVAT have, if it was given one."""
        name = self.filter_snapshot.get("cvat", {}).get("name", "") if isinstance(self.filter_snapshot, dict) else ""
        return f"{name} · {self}" if name else str(self)

    @property
    def status(self) -> str:
        """The task's status: the row of the task is the truth."""
        return self.task.status

    @property
    def log(self) -> str:
        """Storage key of the stored report."""
        return self.task.log
