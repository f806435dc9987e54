"""Who outside wants to know what happens in a project, and what was sent to them."""

import json
import uuid
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.models import Project, Role


class Event(models.TextChoices):
    """What can be told: how a kind of long work ended."""

    IMPORT_SUCCEEDED = "import.succeeded", _("import done")
    IMPORT_FAILED = "import.failed", _("import failed")
    EXPORT_SUCCEEDED = "export.succeeded", _("export done")
    EXPORT_FAILED = "export.failed", _("export failed")
    PULL_SUCCEEDED = "cvat_pull.succeeded", _("pull from CVAT done")
    PULL_FAILED = "cvat_pull.failed", _("pull from CVAT failed")
    BULK_EDIT_SUCCEEDED = "bulk_edit.succeeded", _("bulk edit done")
    BULK_EDIT_FAILED = "bulk_edit.failed", _("bulk edit failed")


TEST = "webhook.test"


class OfProjectQuerySet(models.QuerySet[Any]):
    """Rows that belong to a project, directly or by their webhook."""

    def visible_to(self, user: Any) -> Self:
        """Those of the projects in which the user is a manager."""
        return self.filter(project__in=Project.objects.for_user(user, role=Role.MANAGER))


class Webhook(models.Model):
    """An address that is told of a project's events. The secret is sealed (`accounts.sealing`)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks", verbose_name=_("project"))
    url = models.URLField(_("address"), max_length=500)
    events = ArrayField(models.CharField(max_length=40, choices=Event), verbose_name=_("events"))
    active = models.BooleanField(_("active"), default=True)
    # Opened only where a delivery is signed.
    secret_sealed = models.TextField(editable=False)
    # Since when nothing has arrived; after WEBHOOK_GIVE_UP_DAYS it is put out of action.
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    gave_up = models.TextField(_("why it was put out of action"), blank=True, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("made by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["project_id", "id"]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One message to one webhook. The row is written before anything is sent; `id` is the message's own."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", verbose_name=_("project"))
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("webhook"))
    event = models.CharField(_("event"), max_length=40)
    # Of what this tells. One end of a task is told once, however often the sweeper comes by.
    task_id = models.UUIDField(null=True, blank=True, editable=False)
    fence = models.BigIntegerField(null=True, blank=True, editable=False)
    body = models.TextField(_("body"), editable=False)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Waiting: not before this, or, while a worker is at it, not again before this.
    due_at = models.DateTimeField(_("next attempt"), null=True, blank=True, default=timezone.now)
    answered = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    answer = models.TextField(_("beginning of the answer"), blank=True)
    error = models.TextField(_("error"), blank=True)
    milliseconds = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    tried_at = models.DateTimeField(_("last attempt"), null=True, blank=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "task_id", "fence"], name="webhooks_delivery_once"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="waiting"), name="webhooks_delivery_due"),
            models.Index(fields=["webhook", "-created_at", "-id"], name="webhooks_delivery_newest"),
            models.Index(fields=["created_at"], name="webhooks_delivery_old"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"

    @property
    def told(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)
