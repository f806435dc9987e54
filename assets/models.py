"""Images and the splits they belong to."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _

from accounts.alternatives import AlternativesQuerySet
from projects.models import Project


class SplitQuerySet(models.QuerySet["Split"]):
    """Splits as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Splits of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))


class Split(models.Model):
    """A named part of a project's images, such as `train` or `val`; image ids are unique within one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="splits", verbose_name=_("project"))
    name = models.CharField(_("name"), max_length=100, blank=True)

    objects = SplitQuerySet.as_manager()

    class Meta:
        verbose_name = _("split")
        verbose_name_plural = _("splits")
        ordering = ["project_id", "id"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="assets_split_unique")]

    def __str__(self) -> str:
        return self.name or "-"


class ImageAssetQuerySet(AlternativesQuerySet["ImageAsset"]):
    """Images as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Images of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))


class ImageAsset(models.Model):
    """One image of a data set: what its COCO record says, and the stored picture if there is one.

    The identity is (project, split, COCO image id). COCO's own fields have columns; every other field of the record is
    in `metadata`. `position` is the record's place in its file, so that an export keeps the order.
    """

    class Status(models.TextChoices):
        MISSING = "missing", _("no picture")  # set by CocoHub: the record's picture has not been given
        BROKEN = "broken", _("broken picture")  # set by CocoHub: the picture cannot be decoded
        READY = "ready", _("ready")
        IN_REVIEW = "in_review", _("in review")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    # The constraint would cost a look-up per imported row and says nothing that `split` does not.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="assets", verbose_name=_("project"), db_index=False
    )
    split = models.ForeignKey(
        Split, on_delete=models.CASCADE, related_name="assets", verbose_name=_("split"), db_index=False
    )
    coco_id = models.BigIntegerField(_("COCO id"))
    # The id as the file had it, where it was a text that is no number: goes out again as it came.
    coco_key = models.TextField(_("COCO id as given"), null=True, blank=True)  # noqa: DJ001 - NULL says "a number"
    position = models.BigIntegerField(default=0, editable=False)
    file_name = models.TextField(_("file name"), null=True, blank=True)  # noqa: DJ001 - NULL: the record has none
    width = models.IntegerField(_("width"), null=True, blank=True)
    height = models.IntegerField(_("height"), null=True, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    tags = ArrayField(models.TextField(), verbose_name=_("tags"), default=list, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.MISSING)
    issues = ArrayField(models.TextField(), verbose_name=_("issues"), default=list, blank=True)
    annotation_count = models.IntegerField(_("annotations"), default=0, editable=False)
    uri = models.CharField(_("storage key"), max_length=200, blank=True)
    thumbnail_uri = models.CharField(_("thumbnail key"), max_length=200, blank=True)
    checksum = models.CharField(_("SHA-256"), max_length=64, blank=True)
    format = models.CharField(_("format"), max_length=10, blank=True)
    size_bytes = models.BigIntegerField(_("bytes"), null=True, blank=True)
    # Grows with every edit of the row: an edit that names an older one is stale.
    version = models.IntegerField(default=1, editable=False, db_default=1)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated"), db_default=Now(), editable=False)

    objects = ImageAssetQuerySet.as_manager()

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        constraints = [
            models.UniqueConstraint(fields=["project", "split", "coco_id"], name="assets_image_identity"),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="assets_image_project"),
            models.Index(fields=["project", "file_name", "id"], name="assets_image_file"),
            models.Index(fields=["project", "width", "id"], name="assets_image_width"),
            models.Index(fields=["project", "height", "id"], name="assets_image_height"),
            models.Index(fields=["project", "annotation_count", "id"], name="assets_image_annotations"),
            models.Index(fields=["project", "status", "id"], name="assets_image_status"),
            models.Index(fields=["project", "split", "id"], name="assets_image_split"),
            models.Index(fields=["project", "created_at", "id"], name="assets_image_created"),
            models.Index(fields=["project", "updated_at", "id"], name="assets_image_updated"),
            models.Index(fields=["project", "checksum"], name="assets_image_checksum"),
            GinIndex(fields=["project", "tags"], name="assets_image_tags"),
            GinIndex(fields=["project", "issues"], name="assets_image_issues"),
            GinIndex(OpClass("metadata", name="jsonb_path_ops"), name="assets_image_metadata"),
            GinIndex(OpClass(Upper("file_name"), name="gin_trgm_ops"), name="assets_image_file_trgm"),
        ]

    def __str__(self) -> str:
        return self.file_name or f"image {self.coco_id}"

    @property
    def has_picture(self) -> bool:
        """Whether the picture's bytes are stored."""
        return bool(self.uri)
