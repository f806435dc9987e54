"""Which CVAT a project works with: the credentials, and the project there that its exports share."""

import secrets
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from projects.models import Project


class OfProjectQuerySet(models.QuerySet[Any]):
    """Rows that belong to a project, as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Those of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))


class CvatConnection(models.Model):
    """A project's own way into CVAT, instead of the installation's. The token is sealed (`accounts.sealing`)."""

    class Scheme(models.TextChoices):
        BEARER = "Bearer", _("access token (CVAT 2.48 and later)")
        TOKEN = "Token", _("login key (older servers)")

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, related_name="cvat_connection", verbose_name=_("project")
    )
    url = models.URLField(_("address"), max_length=500, blank=True, help_text=_("Empty: the installation's CVAT."))
    # Sealed; never read by anything but `connecting.account_of`.
    token_sealed = models.TextField(editable=False)
    scheme = models.CharField(_("kind of token"), max_length=6, choices=Scheme, default=Scheme.BEARER)
    organization = models.CharField(
        _("organization"), max_length=64, blank=True, help_text=_("Its slug; empty: the user's personal space.")
    )
    # What the check found when the credentials were saved.
    username = models.CharField(_("user in CVAT"), max_length=200, blank=True, editable=False)
    version = models.CharField(_("version of CVAT"), max_length=40, blank=True, editable=False)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True, editable=False)
    saved_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("CVAT connection")
        verbose_name_plural = _("CVAT connections")

    def __str__(self) -> str:
        return f"{self.project}: {self.url or 'CVAT'}"


def new_link_key() -> str:
    """What makes a name in CVAT ours alone: 8 hexadecimal digits."""
    return secrets.token_hex(4)


class CvatProject(models.Model):
    """The project in CVAT that a project's exports go to: one for each server and organization.

    `labels` says which label stands for which category:
    `{category's primary key: {"label": id, "skeleton": id or null, "keypoints": [our names, in the skeleton's order],
    "attributes": {our name: {"name": CVAT's, "input_type": ...}}}}`. Labels are known by id: people rename them.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="cvat_projects", verbose_name=_("project"), db_index=False
    )
    server = models.CharField(_("address"), max_length=500)  # Account.web_url
    organization = models.CharField(_("organization"), max_length=64, blank=True)
    # In the name: so an outcome that is not known can be looked up, and nobody else's project is taken for ours.
    link_key = models.CharField(max_length=8, default=new_link_key, editable=False)
    name = models.CharField(_("name in CVAT"), max_length=256)
    cvat_id = models.BigIntegerField(_("number in CVAT"), null=True, blank=True)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    webhook_id = models.BigIntegerField(null=True, blank=True, editable=False)
    webhook_secret_sealed = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("CVAT project")
        verbose_name_plural = _("CVAT projects")
        constraints = [
            models.UniqueConstraint(fields=["project", "server", "organization"], name="exports_cvatproject_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def link(self) -> str:
        """Its page in CVAT; "" before it is made."""
        return f"{self.server}/projects/{self.cvat_id}" if self.cvat_id else ""
