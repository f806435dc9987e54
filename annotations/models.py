"""Categories, annotations, the parts of COCO documents around them, and imports."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from assets.fields import ExactNumberField
from assets.models import ImageAsset, Split
from projects.models import Project, Task


class OfProjectQuerySet(models.QuerySet[Any]):
    """Rows that belong to a project, as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Those of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))

    def newest_first(self) -> Self:
        """Latest on top."""
        return self.order_by("-id")


class Kind(models.IntegerChoices):
    """COCO's families of annotations. Their ids are counted apart: a caption and a box may share one."""

    OBJECT = 0, _("objects")  # instances, person_keypoints, stuff, densepose: one id, one object
    CAPTION = 1, _("captions")
    PANOPTIC = 2, _("panoptic")


class Category(models.Model):
    """A class of objects. The identity is (project, COCO id, name): two splits may use one id for two classes."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="categories", db_index=False)
    coco_id = models.BigIntegerField(_("COCO id"))
    name = models.TextField(_("name"))
    supercategory = models.TextField(_("supercategory"), blank=True)
    # Everything else the records say of it in any split: keypoints, skeleton, colour ...
    meta = models.JSONField(_("other fields"), default=dict, blank=True)
    color = models.CharField(_("colour"), max_length=7, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ["project_id", "coco_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "coco_id", "name"], name="annotations_category_identity")
        ]
        indexes = [
            models.Index(fields=["project", "name"], name="annotations_category_name"),
            models.Index(fields=["project", "supercategory"], name="annotations_category_super"),
        ]

    def __str__(self) -> str:
        return self.name


class CocoDocument(models.Model):
    """What surrounds the records of one kind in one split: `info`, `licenses`, unknown sections, and their order."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="documents", db_index=False)
    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="documents", db_index=False)
    kind = models.PositiveSmallIntegerField(_("kind"), choices=Kind, default=Kind.OBJECT)
    # Names of the top-level sections in the order of the file, `images` and the like among them.
    layout = ArrayField(models.TextField(), default=list)
    # {section: its JSON text to the letter}, for every section that is not kept as rows.
    sections = models.JSONField(default=dict)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("COCO document")
        verbose_name_plural = _("COCO documents")
        ordering = ["project_id", "split_id", "kind"]
        constraints = [
            models.UniqueConstraint(fields=["project", "split", "kind"], name="annotations_document_identity")
        ]

    def __str__(self) -> str:
        return f"{self.split} {self.get_kind_display()}"


class DocumentCategory(models.Model):
    """A category as one document lists it: its place there and its other fields as that document has them."""

    document = models.ForeignKey(CocoDocument, on_delete=models.CASCADE, related_name="listed")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="listed")
    position = models.IntegerField()
    fields = models.JSONField(default=dict)  # of the record, all but id and name; supercategory is here if it was there

    class Meta:
        verbose_name = _("listed category")
        verbose_name_plural = _("listed categories")
        ordering = ["document_id", "position"]
        constraints = [models.UniqueConstraint(fields=["document", "category"], name="annotations_listed_once")]

    def __str__(self) -> str:
        return f"{self.category} in {self.document}"


class Annotation(models.Model):
    """One annotation of an image, with every field of its COCO record.

    `bbox` is [x, y, width, height] in pixels; `segmentation` is a list of polygons ([x1, y1, x2, y2, ...]) or an RLE
    ({"counts", "size": [height, width]}); `keypoints` is [x, y, visibility] * n. SQL NULL means that the record does
    not have the field; fields without a column, and values that their column cannot hold to the letter, are in `extra`.
    The identity is (project, split, kind, COCO id).
    """

    # No constraints in the database on project, split and category: each would cost a look-up per imported row. The
    # services keep them true (`image` has its constraint), and check_integrity looks.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="annotations", db_constraint=False, db_index=False
    )
    split = models.ForeignKey(Split, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    image = models.ForeignKey(ImageAsset, on_delete=models.CASCADE, related_name="annotations")
    category = models.ForeignKey(
        Category,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="annotations",
        db_constraint=False,
        db_index=False,
    )
    kind = models.PositiveSmallIntegerField(_("kind"), choices=Kind, default=Kind.OBJECT)
    coco_id = models.BigIntegerField(_("COCO id"))
    coco_key = models.TextField(_("COCO id as given"), null=True, blank=True)  # noqa: DJ001 - NULL says "a number"
    position = models.BigIntegerField(default=0, editable=False)
    bbox = models.JSONField(_("box"), null=True, blank=True)
    area = ExactNumberField(_("area"), null=True, blank=True)
    iscrowd = models.SmallIntegerField(_("crowd"), null=True, blank=True)
    segmentation = models.JSONField(_("segmentation"), null=True, blank=True)
    keypoints = models.JSONField(_("keypoints"), null=True, blank=True)
    num_keypoints = models.IntegerField(_("number of keypoints"), null=True, blank=True)
    attributes = models.JSONField(_("attributes"), null=True, blank=True)
    score = ExactNumberField(_("score"), null=True, blank=True)
    extra = models.JSONField(_("other fields"), null=True, blank=True)
    issues = ArrayField(models.TextField(), verbose_name=_("issues"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=100, blank=True, default="", db_default="")
    is_machine = models.BooleanField(_("made by a machine"), default=False, db_default=False)
    version = models.IntegerField(default=1, editable=False, db_default=1)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated"), db_default=Now(), editable=False)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("annotation")
        verbose_name_plural = _("annotations")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "split", "kind", "coco_id"], name="annotations_annotation_identity"
            )
        ]
        indexes = [
            models.Index(fields=["project", "category", "image"], name="annotations_by_category"),
        ]

    def __str__(self) -> str:
        return f"annotation {self.coco_id}"


class ImportJob(models.Model):
    """One COCO file with its pictures on its way into a project."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="import_jobs", verbose_name=_("project")
    )
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="import_job", verbose_name=_("task"))
    split = models.CharField(_("split"), max_length=100, blank=True)
    strict = models.BooleanField(_("strict"), default=False, help_text=_("Refuse the file if any record is unusable."))
    file_name = models.CharField(_("file"), max_length=500, blank=True)
    upload_uri = models.CharField(_("upload"), max_length=200, blank=True)
    images_uri = models.CharField(_("pictures"), max_length=200, blank=True)
    checksum = models.CharField(_("SHA-256"), max_length=64, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name or f"import {self.pk}"

    @property
    def status(self) -> str:
        """The task's status: the row of the task is the truth."""
        return self.task.status

    @property
    def log(self) -> str:
        """Storage key of the validation report."""
        return self.task.log
