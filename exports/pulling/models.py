"""What was read from CVAT, what is different there, what was decided, and what a pull has dealt with already."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from exports.models.connections import OfProjectQuerySet
from exports.models.cvat import CvatTask
from exports.models.jobs import ExportJob
from projects.models import Project, Task


class CvatPull(models.Model):
    """One piece of work on the way back: reading an export's tasks, taking differences over, or undoing that."""

    class Action(models.TextChoices):
        READ = "read", _("read")
        APPLY = "apply", _("take over")
        UNDO = "undo", _("undo")

    class Trigger(models.TextChoices):
        PERSON = "person", _("somebody")
        WEBHOOK = "webhook", _("CVAT's webhook")
        BEAT = "beat", _("the clock")

    class Policy(models.TextChoices):
        """What becomes of differences that nobody has decided one by one."""

        REVIEW = "review", _("leave them to be reviewed")
        ACCEPT = "accept", _("take all without conflicts")
        THEIRS = "theirs", _("take all: CVAT is right")
        OURS = "ours", _("take none: we are right")

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="cvat_pulls", verbose_name=_("project"), db_index=False
    )
    job = models.ForeignKey(ExportJob, on_delete=models.CASCADE, related_name="pulls", verbose_name=_("export"))
    # Empty where it was so little that it was done at once.
    task = models.OneToOneField(
        Task, on_delete=models.CASCADE, related_name="cvat_pull", null=True, blank=True, verbose_name=_("task")
    )
    action = models.CharField(_("action"), max_length=8, choices=Action, default=Action.READ)
    trigger = models.CharField(_("set off by"), max_length=8, choices=Trigger, default=Trigger.PERSON)
    policy = models.CharField(_("policy"), max_length=8, choices=Policy, default=Policy.REVIEW)
    everything = models.BooleanField(_("read unchanged jobs too"), default=False)
    # Keys of the differences that this is about; NULL: all that are open when it is done.
    chosen = ArrayField(models.BigIntegerField(), null=True, blank=True)
    last = models.BigIntegerField(null=True)  # the newest difference that there was when it was asked for
    undoes = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undos", db_constraint=False
    )
    result = models.JSONField(_("result"), default=dict, blank=True)  # numbers, and notes for people
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("pull from CVAT")
        verbose_name_plural = _("pulls from CVAT")
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "-id"], name="exports_cvatpull_newest")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.pk}"

    @property
    def state(self) -> str:
        """The task's status, whose row is the truth; `succeeded` for what was done at once."""
        return self.task.status if self.task else str(Task.Status.SUCCEEDED)


class CvatDifferenceQuerySet(OfProjectQuerySet):
    """Differences."""

    def open(self) -> Self:
        """Those that wait for a decision."""
        return self.filter(decision=CvatDifference.Decision.OPEN)

    def clear(self) -> Self:
        """Those that can be taken over without overwriting what was changed here."""
        return self.filter(conflict="", problem="")


class CvatDifference(models.Model):
    """One thing that is different in CVAT, and what was decided about it.

    `before` is the record as it went out, `after` has the fields to write, `pieces` is what CVAT has of it now. What
    was taken over keeps the row that was there (`previous`), so that it can be put back.
    """

    class Kind(models.TextChoices):
        ADDED = "added", _("added")
        CHANGED = "changed", _("changed")
        DELETED = "deleted", _("deleted")

    class Subject(models.TextChoices):
        ANNOTATION = "annotation", _("annotation")
        TAG = "tag", _("tag of an image")

    class Decision(models.TextChoices):
        OPEN = "open", _("to be decided")
        THEIRS = "theirs", _("taken over")
        OURS = "ours", _("refused")

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="cvat_differences", verbose_name=_("project"), db_index=False
    )
    job = models.ForeignKey(
        ExportJob, on_delete=models.CASCADE, related_name="differences", verbose_name=_("export"), db_index=False
    )
    pull = models.ForeignKey(CvatPull, on_delete=models.CASCADE, related_name="found", verbose_name=_("pull"))
    cvat_task = models.ForeignKey(
        CvatTask, on_delete=models.CASCADE, related_name="differences", verbose_name=_("CVAT task")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    subject = models.CharField(_("of"), max_length=12, choices=Subject, default=Subject.ANNOTATION)
    aspects = ArrayField(models.CharField(max_length=12), verbose_name=_("what changed"), default=list)
    # The number of the task in CVAT: a task that was deleted there and sent again has another.
    cvat_id = models.BigIntegerField(null=True, editable=False)
    key = models.CharField(_("coco_id in CVAT"), max_length=200)
    frame = models.PositiveIntegerField(_("frame"))
    # No foreign keys: what they name may be deleted here meanwhile.
    image_id = models.BigIntegerField(_("image"), null=True)
    annotation_id = models.BigIntegerField(_("annotation"), null=True)
    version = models.IntegerField(null=True)  # of the annotation, that the comparison was made with
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    pieces = models.JSONField(default=list)
    base = models.JSONField(null=True)  # the CvatKnown that was there before, for an undo
    conflict = models.TextField(_("conflict"), blank=True)
    problem = models.TextField(_("problem"), blank=True)  # why it cannot be taken over
    note = models.TextField(_("note"), blank=True)
    # Who did it in CVAT, as far as CVAT tells: the job, its assignee, and its date as CVAT wrote it.
    cvat_job = models.BigIntegerField(_("CVAT job"), null=True)
    cvat_user = models.CharField(_("user in CVAT"), max_length=200, blank=True)
    cvat_date = models.CharField(_("time in CVAT"), max_length=40, blank=True)

    decision = models.CharField(_("decision"), max_length=8, choices=Decision, default=Decision.OPEN)
    decided_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    applied_by = models.ForeignKey(
        CvatPull, on_delete=models.SET_NULL, null=True, blank=True, related_name="applied", db_constraint=False
    )
    made_version = models.IntegerField(null=True)  # that taking it over gave the annotation
    previous = models.TextField(blank=True)  # JSON of the row that was there
    found_at = models.DateTimeField(_("found"), db_default=Now(), editable=False)

    objects = CvatDifferenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["job", "decision", "id"], name="exports_difference_listed"),
            models.Index(fields=["project", "-id"], name="exports_difference_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.key}"


class CvatRemark(models.Model):
    """What somebody wrote about a frame in CVAT (an issue with its comments), as it was when it was last read.

    It is answered and resolved there; here it is shown to those who decide. `image_id` is NULL where the frame has no
    image of the export.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="cvat_remarks", verbose_name=_("project"), db_index=False
    )
    job = models.ForeignKey(
        ExportJob, on_delete=models.CASCADE, related_name="remarks", verbose_name=_("export"), db_index=False
    )
    cvat_task = models.ForeignKey(
        CvatTask, on_delete=models.CASCADE, related_name="remarks", verbose_name=_("CVAT task"), db_index=False
    )
    cvat_id = models.BigIntegerField(_("number in CVAT"))
    cvat_job = models.BigIntegerField(_("CVAT job"))
    frame = models.PositiveIntegerField(_("frame"), null=True)  # NULL: CVAT told none that there could be
    image_id = models.BigIntegerField(_("image"), null=True)  # no foreign key: it may be deleted here meanwhile
    position = ArrayField(models.FloatField(), verbose_name=_("position"), default=list)  # pixels x, y, x, y...
    resolved = models.BooleanField(_("resolved"), default=False)
    author = models.CharField(_("user in CVAT"), max_length=200, blank=True)
    assignee = models.CharField(_("assignee"), max_length=200, blank=True)
    # [{"message", "author", "date"}], the first one first; dates as CVAT wrote them.
    texts = models.JSONField(_("texts"), default=list)
    created_date = models.CharField(_("time in CVAT"), max_length=40, blank=True)
    updated_date = models.CharField(_("changed in CVAT"), max_length=40, blank=True)

    objects = OfProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("remark in CVAT")
        verbose_name_plural = _("remarks in CVAT")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["cvat_task", "cvat_id"], name="exports_cvatremark_once")]
        indexes = [
            models.Index(fields=["job", "resolved", "id"], name="exports_remark_listed"),
            models.Index(fields=["project", "image_id"], name="exports_remark_image"),
        ]

    def __str__(self) -> str:
        return str(self.texts[0]["message"])[:80] if self.texts else f"{self._meta.verbose_name} {self.cvat_id}"

    @property
    def link(self) -> str:
        """The frame in CVAT; "" once the task is gone. Reads `cvat_task` and its project."""
        task = self.cvat_task.link
        if not task:
            return ""
        return f"{task}/jobs/{self.cvat_job}{'' if self.frame is None else f'?frame={self.frame}'}"


class CvatKnown(models.Model):
    """What CVAT had when a difference was dealt with: from there on the next pull compares, not from what was sent."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    cvat_task = models.ForeignKey(CvatTask, on_delete=models.CASCADE, related_name="known", db_index=False)
    cvat_id = models.BigIntegerField(null=True)  # of a task that was sent again nothing is known yet
    key = models.CharField(max_length=200)
    subject = models.CharField(max_length=12, choices=CvatDifference.Subject)
    frame = models.PositiveIntegerField()
    annotation_id = models.BigIntegerField(null=True)
    version = models.IntegerField(default=0)
    fields = models.JSONField(default=dict)  # the record here at that time; of a tag its name
    pieces = models.JSONField(default=list)

    class Meta:
        verbose_name = _("known state in CVAT")
        verbose_name_plural = _("known states in CVAT")
        constraints = [models.UniqueConstraint(fields=["cvat_task", "key"], name="exports_cvatknown_once")]

    def __str__(self) -> str:
        return f"{self.cvat_task_id}: {self.key}"

    def as_dict(self) -> dict[str, Any]:
        """Its values, to be kept for an undo."""
        names = ("cvat_id", "key", "subject", "frame", "annotation_id", "version", "fields", "pieces")
        return {name: getattr(self, name) for name in names}
