"""What an export made in CVAT: its tasks, their jobs, and which image is which frame."""

from datetime import timedelta
from typing import Self

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models.functions import JSONObject, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from assets.models import ImageAsset, Split
from exports.models.connections import CvatProject, OfProjectQuerySet
from exports.models.jobs import ExportJob
from projects.models import Project


class CvatTaskQuerySet(OfProjectQuerySet):
    """Tasks in CVAT."""

    def in_cvat(self) -> Self:
        """Those that are whole there and not deleted: what can be pulled."""
        return self.filter(step=CvatTask.Step.SENT, gone_at=None)

    def unchecked_for(self, age: timedelta) -> Self:
        """Those that nobody has looked at in CVAT for so long, the longest wait first."""
        waiting = models.Q(checked_at=None) | models.Q(checked_at__lt=timezone.now() - age)
        return self.filter(waiting).order_by(models.F("checked_at").asc(nulls_first=True), "pk")


def with_steps(jobs: models.QuerySet[ExportJob]) -> models.QuerySet[ExportJob]:
    """Exports with `steps`: how many of their tasks are at which step, as [{"step", "number"}]."""
    counted = (
        CvatTask.objects.filter(job=models.OuterRef("pk"))
        .order_by()
        .values("step")
        .annotate(number=models.Count("pk"))
        .values(pair=JSONObject(step="step", number="number"))
    )
    return jobs.annotate(steps=ArraySubquery(counted))


class CvatTask(models.Model):
    """One task in CVAT: a chunk of an export's images.

    `step` says how far its export is, each step saved before the next one begins; `status`, `stage` and `state` mirror
    CVAT. `number` counts from 1 within the export and names the task's part of the snapshot.
    """

    class Step(models.TextChoices):
        PLANNED = "planned", _("planned")  # in the snapshot, nothing in CVAT
        CREATED = "created", _("made")  # the task is there, without images
        UPLOADED = "uploaded", _("images uploaded")
        MAKING = "making", _("CVAT makes the frames")
        FRAMED = "framed", _("frames known")  # each image has its frame number
        SENT = "sent", pgettext_lazy("step of a task", "in CVAT")  # annotations are there, each once; the end
        EMPTY = "empty", _("empty")  # no image of it could be used
        DELETED = "deleted", _("deleted in CVAT")  # by us

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="cvat_tasks", verbose_name=_("project"), db_index=False
    )
    job = models.ForeignKey(ExportJob, on_delete=models.CASCADE, related_name="cvat_tasks", verbose_name=_("export"))
    cvat_project = models.ForeignKey(
        CvatProject, on_delete=models.SET_NULL, null=True, blank=True, related_name="tasks", db_index=False
    )
    number = models.PositiveIntegerField(_("number"))
    # NULL: images of several splits
    split = models.ForeignKey(
        Split, on_delete=models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False, db_index=False
    )
    name = models.CharField(_("name"), max_length=256)
    # CVAT's `bug_tracker`: back to the export, and by which the task is found again. Its own alone.
    back_link = models.CharField(_("link back"), max_length=500)
    step = models.CharField(_("step"), max_length=10, choices=Step, default=Step.PLANNED)
    cvat_id = models.BigIntegerField(_("number in CVAT"), null=True, blank=True)
    # CVAT reads the pictures from our bucket itself: they are called by their storage keys there.
    from_bucket = models.BooleanField(_("pictures from the bucket"), default=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)  # a failed creation spoils a task: made anew, once
    images = models.PositiveIntegerField(_("images"), default=0)
    annotations = models.PositiveIntegerField(_("annotations"), default=0)  # in the snapshot
    sent = models.PositiveIntegerField(_("annotations sent"), default=0)
    shapes = models.PositiveIntegerField(_("shapes sent"), default=0)
    # Of outlines that were sent without them: CVAT holds no polygon without an area. They stay as they are here.
    parts_left_out = models.PositiveIntegerField(_("parts of outlines left out"), default=0, db_default=0)
    size = models.PositiveIntegerField(_("frames"), default=0)
    # The zip of images is made again from the snapshot, byte for byte; these say whether it is the same one.
    zip_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    zip_bytes = models.BigIntegerField(default=0, editable=False)
    upload_id = models.CharField(max_length=200, blank=True, editable=False)
    rq_id = models.CharField(max_length=200, blank=True, editable=False)
    message = models.TextField(_("message"), blank=True)

    # --- As CVAT says ---
    status = models.CharField(_("status in CVAT"), max_length=20, blank=True)  # annotation, validation, completed
    # The least far of its jobs: annotation, validation, acceptance; new, in progress, completed, rejected.
    stage = models.CharField(_("stage"), max_length=20, blank=True)
    state = models.CharField(_("state"), max_length=20, blank=True)
    # The greatest `updated_date` of its jobs ever read, as CVAT wrote it: the mark for the next look.
    updated_date = models.CharField(_("changed in CVAT"), max_length=40, blank=True)
    checked_at = models.DateTimeField(_("looked at"), null=True, blank=True)
    pulled_at = models.DateTimeField(_("pulled"), null=True, blank=True)
    gone_at = models.DateTimeField(_("gone"), null=True, blank=True)  # deleted in CVAT, by us or by others
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    objects = CvatTaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("CVAT task")
        verbose_name_plural = _("CVAT tasks")
        ordering = ["-job_id", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="exports_cvattask_number")]
        indexes = [
            models.Index(fields=["project", "-id"], name="exports_cvattask_newest"),
            models.Index(fields=["cvat_project", "cvat_id"], name="exports_cvattask_cvat"),
            models.Index(
                fields=["checked_at"],
                condition=models.Q(step="sent", gone_at__isnull=True),
                name="exports_cvattask_open",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def link(self) -> str:
        """Its page in CVAT; "" before it is made and after it is gone. Reads `cvat_project`."""
        if self.cvat_id is None or self.gone_at or self.cvat_project is None:
            return ""
        return f"{self.cvat_project.server}/tasks/{self.cvat_id}"


class CvatJob(models.Model):
    """A job of a task in CVAT, as last seen: who works on which frames, and how far."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.ForeignKey(CvatTask, on_delete=models.CASCADE, related_name="jobs", verbose_name=_("CVAT task"))
    cvat_id = models.BigIntegerField(_("number in CVAT"))
    start_frame = models.PositiveIntegerField(_("first frame"))
    stop_frame = models.PositiveIntegerField(_("last frame"))
    stage = models.CharField(_("stage"), max_length=20, blank=True)
    state = models.CharField(_("state"), max_length=20, blank=True)
    assignee = models.CharField(_("assignee"), max_length=200, blank=True)
    updated_date = models.CharField(_("changed in CVAT"), max_length=40, blank=True)  # as CVAT wrote it
    # The `updated_date` whose annotations have been read and compared: the same pair again is nothing new.
    pulled_date = models.CharField(max_length=40, blank=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("CVAT job")
        verbose_name_plural = _("CVAT jobs")
        ordering = ["task_id", "start_frame", "cvat_id"]
        constraints = [models.UniqueConstraint(fields=["task", "cvat_id"], name="exports_cvatjob_once")]

    def __str__(self) -> str:
        return f"{self.cvat_id}: {self.start_frame}-{self.stop_frame}"


class CvatImageQuerySet(OfProjectQuerySet):
    """Images in CVAT."""

    def with_jobs(self) -> Self:
        """With `job_in_cvat`: the number of the job that has the frame."""
        frame = models.OuterRef("frame")
        jobs = CvatJob.objects.filter(task=models.OuterRef("task"), start_frame__lte=frame, stop_frame__gte=frame)
        return self.annotate(job_in_cvat=models.Subquery(jobs.order_by("cvat_id").values("cvat_id")[:1]))


class CvatImage(models.Model):
    """One image of an export: in which task, under which name, and once it is there, on which frame.

    `problem` says why it was left out. The image may have been deleted here since: then `asset` leads nowhere.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    task = models.ForeignKey(
        CvatTask, on_delete=models.CASCADE, related_name="sent_images", verbose_name=_("CVAT task"), db_index=False
    )
    asset = models.ForeignKey(
        ImageAsset,
        on_delete=models.DO_NOTHING,
        related_name="in_cvat",
        verbose_name=_("image"),
        db_constraint=False,
        db_index=False,
    )
    place = models.PositiveIntegerField()  # in the task's part of the snapshot, from 0
    name = models.CharField(_("name in CVAT"), max_length=1000)  # the path in the zip
    frame = models.PositiveIntegerField(_("frame"), null=True, blank=True)
    width = models.PositiveIntegerField(_("width"), default=0)  # of the frame, after turning by EXIF
    height = models.PositiveIntegerField(_("height"), default=0)
    problem = models.TextField(_("left out"), blank=True)

    objects = CvatImageQuerySet.as_manager()

    class Meta:
        verbose_name = _("image in CVAT")
        verbose_name_plural = _("images in CVAT")
        ordering = ["task_id", "place"]
        constraints = [models.UniqueConstraint(fields=["task", "place"], name="exports_cvatimage_place")]
        indexes = [models.Index(fields=["project", "asset"], name="exports_cvatimage_asset")]

    def __str__(self) -> str:
        return self.name

    @property
    def link(self) -> str:
        """Its page in CVAT: the frame in its job, where `with_jobs` told which; "" where it has none."""
        if self.frame is None or not self.task.link:
            return ""
        job = getattr(self, "job_in_cvat", None)
        return f"{self.task.link}/jobs/{job}?frame={self.frame}" if job else self.task.link
