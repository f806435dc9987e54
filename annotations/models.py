"""Categories, annotations, the parts of COCO documents around them, and imports."""

import uuid
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.alternatives import AlternativesQuerySet
from accounts.models import User
from assets.fields import ExactNumberField
from assets.models import ImageAsset, Split
from projects.models import Project, Task


class OfProjectQuerySet(AlternativesQuerySet[Any]):
    """Rows that belong to a project, as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Those of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))

    def newest_first(self) -> Self:
        """Latest on top."""
        return self.order_by("-id")


KINDS = ("objects", "captions", "panoptic")


class Kind(models.IntegerChoices):
    """COCO's families of annotations. Their ids are counted apart: a caption and a box may share one."""

    OBJECT = 0, _("objects")  # instances, person_keypoints, stuff, densepose: one id, one object
    CAPTION = 1, _("captions")
    PANOPTIC = 2, _("panoptic")

    @property
    def slug(self) -> str:
        """The name used by the API and the commands, whatever the reader's language."""
        return KINDS[self]


class Category(models.Model):
    """A class of objects. The identity is (project, COCO id, name): two splits may use one id for two classes."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="categories", db_index=False, verbose_name=_("project")
    )
    coco_id = models.BigIntegerField(_("COCO id"))
    coco_key = models.TextField(_("COCO id as given"), null=True, blank=True)  # noqa: DJ001 - NULL says "a number"
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

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="documents", db_index=False, verbose_name=_("project")
    )
    split = models.ForeignKey(
        Split, on_delete=models.CASCADE, related_name="documents", db_index=False, verbose_name=_("split")
    )
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

    document = models.ForeignKey(
        CocoDocument, on_delete=models.CASCADE, related_name="listed", verbose_name=_("COCO document")
    )
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="listed", verbose_name=_("category"))
    position = models.IntegerField(_("position"))
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
        Project,
        on_delete=models.CASCADE,
        related_name="annotations",
        db_constraint=False,
        db_index=False,
        verbose_name=_("project"),
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
        verbose_name=_("category"),
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
            models.Index(
                fields=["project", "source", "split"],
                condition=models.Q(is_machine=True),
                name="annotations_by_machine",
            ),
            # Few annotations have any: `issue:` finds their images by it.
            models.Index(
                fields=["project", "image"],
                condition=models.Q(issues__isnull=False),
                name="annotations_with_issues",
            ),
            # Few are crowds, or none: whoever looks for one would read all.
            models.Index(fields=["project", "image"], condition=models.Q(iscrowd=1), name="annotations_crowds"),
        ]

    def __str__(self) -> str:
        return f"annotation {self.coco_id}"


class ImportJob(models.Model):
    """COCO files, pictures or predictions on their way into a project."""

    class What(models.TextChoices):
        COCO = "coco", _("COCO")
        IMAGES = "images", _("pictures")  # for records that are there already
        PREDICTIONS = "predictions", _("predictions")
        REMOVAL = "removal", _("removal of predictions")  # of a source, too many for a request

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="import_jobs", verbose_name=_("project")
    )
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="import_job", verbose_name=_("task"))
    what = models.CharField(_("what"), max_length=12, choices=What, default=What.COCO)
    source = models.CharField(_("source"), max_length=100, blank=True, help_text=_("What made the predictions."))
    split = models.CharField(_("split"), max_length=100, blank=True)
    # {file name in the data set: split}, where the names do not tell it right.
    splits = models.JSONField(_("splits"), default=dict, blank=True)
    strict = models.BooleanField(_("strict"), default=False, help_text=_("Refuse the file if any record is unusable."))
    file_name = models.CharField(_("file"), max_length=500, blank=True)
    # Storage keys; one that ends with "/" is a prefix, below which everything belongs to it.
    upload_uri = models.CharField(_("upload"), max_length=1000, blank=True)
    images_uri = models.CharField(_("pictures"), max_length=1000, blank=True)
    checksum = models.CharField(_("SHA-256"), max_length=64, blank=True)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("started by")
    )
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


class ResumableUpload(models.Model):
    """A file that a client sends in parts, by the tus protocol, for an import that names it afterwards."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads", verbose_name=_("project"))
    file_name = models.CharField(_("file"), max_length=500, blank=True)
    length = models.BigIntegerField(_("bytes"))
    offset = models.BigIntegerField(_("received"), default=0)  # bytes
    key = models.CharField(_("storage key"), max_length=200, blank=True)  # once it is whole
    # S3's name of the upload in parts, and [ETag, bytes] of each part.
    multipart = models.CharField(max_length=1000, blank=True, editable=False)
    parts = models.JSONField(default=list, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("kept until"))

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        indexes = [models.Index(fields=["expires_at"], name="annotations_upload_expiry")]

    def __str__(self) -> str:
        return self.file_name or f"upload {self.pk}"

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come."""
        return bool(self.key)


class BulkEdit(models.Model):
    """One change to many images or annotations: by which query or ids, what, and how far it is.

    Its batches hold the images, chosen once when the work begins, so it does what it said it would, and a worker that
    takes over goes on where the last one stopped. What was there before is kept for `undo`.
    """

    class Action(models.TextChoices):
        EDIT = "edit", _("edit")
        DELETE = "delete", _("delete")
        UNDO = "undo", _("undo")
        # These are about annotations; the batches hold their keys.
        RELABEL = "relabel", _("relabel")
        MERGE = "merge", _("merge of categories")
        UNLIST = "unlist", _("deletion of a category")

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="bulk_edits", db_index=False, verbose_name=_("project")
    )
    # Empty where the work was small enough to be done at once.
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="bulk_edit", null=True, blank=True)
    action = models.CharField(_("action"), max_length=10, choices=Action)
    # {"q": canonical text}, {"ids": [...]} or, of annotations, {"categories": [...]}
    selection = models.JSONField(_("selection"), default=dict)
    change = models.JSONField(_("change"), default=dict)
    # What a merge or a deletion of categories took out: {"categories": [...], "listed": [...]}, rows as in `record`.
    kept = models.JSONField(default=dict, editable=False)
    undoes = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undos", db_constraint=False
    )
    # Given by the client, so that a request sent twice is one edit; `fingerprint` tells whether it was the same one.
    key = models.CharField(max_length=100, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    total = models.BigIntegerField(_("images or annotations"), null=True)  # NULL until they have been chosen
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # When what was there before was deleted: since then it cannot be undone.
    forgotten_at = models.DateTimeField(null=True, editable=False)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("bulk edit")
        verbose_name_plural = _("bulk edits")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "created_by", "key"],
                condition=~models.Q(key=""),
                name="annotations_bulkedit_key_once",
            )
        ]
        indexes = [models.Index(fields=["project", "-id"], name="annotations_bulkedit_newest")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.pk}"


class BulkEditBatch(models.Model):
    """Images or annotations that are changed in one transaction, which also sets `done_at`: no batch is done twice."""

    edit = models.ForeignKey(BulkEdit, on_delete=models.CASCADE, related_name="batches", db_index=False)
    number = models.IntegerField()
    ids = ArrayField(models.BigIntegerField())  # keys of the images or annotations, in order
    undoes = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_constraint=False
    )
    changed = models.IntegerField(default=0)
    # Those that an undo left alone, because they have been changed or their place is taken.
    skipped = ArrayField(models.BigIntegerField(), default=list)
    done_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["edit_id", "number"]
        constraints = [models.UniqueConstraint(fields=["edit", "number"], name="annotations_bulkeditbatch_number")]

    def __str__(self) -> str:
        return f"{self.edit} #{self.number}"


class PreviousImage(models.Model):
    """What one image was before a bulk edit: the values that were changed, or all of it if it was deleted."""

    batch = models.ForeignKey(BulkEditBatch, on_delete=models.CASCADE, related_name="images", db_constraint=False)
    image_id = models.BigIntegerField()  # no foreign key: the image may be gone
    version = models.IntegerField()  # that the edit gave it; another one now says that it was changed since
    # The version that the edit found, where that is not the one before `version`: see `undo.follow`.
    found = models.IntegerField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    status = models.CharField(max_length=10, null=True)  # noqa: DJ001 - NULL says "not changed"
    metadata = models.JSONField(null=True)
    split_id = models.BigIntegerField(null=True)
    record = models.JSONField(null=True)  # {column: value}; JSON columns as text, which tells null from "null"

    class Meta:
        verbose_name = _("previous state of an image")
        verbose_name_plural = _("previous states of images")
        # An edit writes its images in order, so ranges are enough, and cost a bulk edit next to nothing.
        indexes = [BrinIndex(fields=["image_id"], autosummarize=True, name="annotations_previousimage_of")]

    def __str__(self) -> str:
        return f"image {self.image_id} before {self.batch_id}"


class PreviousAnnotation(models.Model):
    """An annotation that was deleted, with its image or with its category."""

    batch = models.ForeignKey(BulkEditBatch, on_delete=models.CASCADE, related_name="annotations", db_constraint=False)
    image_id = models.BigIntegerField()
    record = models.JSONField()  # as PreviousImage.record

    class Meta:
        verbose_name = _("previous state of an annotation")
        verbose_name_plural = _("previous states of annotations")

    def __str__(self) -> str:
        return f"annotation of image {self.image_id} before {self.batch_id}"


class PreviousLabel(models.Model):
    """The category that an annotation had before a relabelling, a merge or a deletion of categories."""

    batch = models.ForeignKey(BulkEditBatch, on_delete=models.CASCADE, related_name="labels", db_constraint=False)
    annotation_id = models.BigIntegerField()
    version = models.IntegerField()  # that the edit gave it
    found = models.IntegerField(null=True)  # as PreviousImage.found
    category_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("previous category of an annotation")
        verbose_name_plural = _("previous categories of annotations")
        indexes = [BrinIndex(fields=["annotation_id"], autosummarize=True, name="annotations_previouslabel_of")]

    def __str__(self) -> str:
        return f"category of annotation {self.annotation_id} before {self.batch_id}"
