"""Projects, who may do what in them, the long work that runs for them and the trail of every write."""

import math
import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User

MEANINGFUL_SECONDS = 0.5  # a rate over less time is noise


class Role(models.IntegerChoices):
    """What a member may do; a greater role may do all that a smaller one may."""

    VIEWER = 10, _("viewer")  # reads
    CURATOR = 20, _("curator")  # edits and imports
    MANAGER = 30, _("manager")  # manages members and exports
    OWNER = 40, _("owner")  # deletes the project

    @classmethod
    def named(cls, name: str) -> "Role":
        """The role of this name (`editor` is another word for curator); ValueError if there is none."""
        word = name.strip().lower()
        if word == "editor":
            return cls.CURATOR
        for role in cls:
            if role.name.lower() == word:
                return role
        known = ", ".join(role.name.lower() for role in cls)
        raise ValueError(f"{name!r} is no role; the roles are {known}.")

    @property
    def slug(self) -> str:
        """The name used by the API."""
        return self.name.lower()


class ProjectQuerySet(models.QuerySet["Project"]):
    """Projects as seen by somebody."""

    def visible_to(self, user: Any) -> Self:
        """Those the user is a member of; all of them for a global admin."""
        return self.for_user(user, role=Role.VIEWER)

    def for_user(self, user: Any, *, role: Role) -> Self:
        """Those in which the user has at least this role."""
        live = self.filter(deleting=False)
        if not user.is_authenticated or not user.is_active:
            return live.none()
        if user.is_superuser:
            return live
        return live.filter(
            models.Exists(Membership.objects.filter(project=models.OuterRef("pk"), user=user, role__gte=role))
        )

    def with_role_of(self, user: Any) -> Self:
        """With `my_role`: the number of the user's role there, None for a stranger, owner for a global admin."""
        if user.is_authenticated and user.is_superuser:
            return self.annotate(my_role=models.Value(Role.OWNER.value))
        mine = Membership.objects.filter(project=models.OuterRef("pk"), user=user.pk)
        return self.annotate(my_role=models.Subquery(mine.values("role")[:1]))


class Project(models.Model):
    """One body of images with its annotations, worked on by one team."""

    class Status(models.TextChoices):
        IMPORTING = "importing", _("importing")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    source = models.CharField(_("source"), max_length=500, blank=True, help_text=_("Where the data came from."))
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.READY, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="owned_projects", verbose_name=_("owner"))
    # Grows with every write to the project's data: what was computed at a revision is fresh while it is the same.
    revision = models.BigIntegerField(_("revision"), default=0, editable=False)
    deleting = models.BooleanField(default=False, editable=False)
    my_role: int | None  # by `with_role_of`
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                "owner",
                condition=Q(deleting=False),
                name="projects_project_owner_name_unique",
                violation_error_message=_("This owner already has a project of this name."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def touch(self) -> int:
        """Raise the revision after a write to the project's data; call it inside the write's transaction.

        This runs one UPDATE and so serialises writers of one project until they commit.
        """
        Project.objects.filter(pk=self.pk).update(revision=F("revision") + 1, updated_at=Now())
        self.refresh_from_db(fields=["revision", "updated_at"])
        return self.revision


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Members of projects."""

    def visible_to(self, user: Any) -> Self:
        """Members of the projects the user sees."""
        return self.filter(project__in=Project.objects.visible_to(user))


class Membership(models.Model):
    """A user's role in a project."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("project")
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("user"))
    role = models.PositiveSmallIntegerField(_("role"), choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        ordering = ["project_id", "-role", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="projects_membership_unique"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(role=Role.OWNER), name="projects_membership_one_owner"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {Role(self.role).label}"

    @property
    def role_name(self) -> str:
        """The role as the API names it."""
        return Role(self.role).slug


class TaskQuerySet(models.QuerySet["Task"]):
    """Long work, as seen by people and by workers."""

    def visible_to(self, user: Any) -> Self:
        """Tasks of the projects the user sees, and the deletions the user asked for, whose projects nobody sees."""
        own_deletion = Q(kind=Task.Kind.DELETE_PROJECT, created_by=user.pk, created_by__isnull=False)
        if user.is_authenticated and user.is_superuser:
            own_deletion = Q(kind=Task.Kind.DELETE_PROJECT)
        return self.filter(Q(project__in=Project.objects.visible_to(user)) | own_deletion)

    def unfinished(self) -> Self:
        """Tasks that wait or run."""
        return self.filter(status__in=[Task.Status.QUEUED, Task.Status.RUNNING])

    def newest_first(self) -> Self:
        """Latest on top."""
        return self.order_by("-created_at", "-id")


class Task(models.Model):
    """A piece of long work. The row is the truth; the message in the broker is only a doorbell."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    class Kind(models.TextChoices):
        IMPORT = "import", _("import")
        THUMBNAILS = "thumbnails", _("thumbnails")
        EXPORT = "export", _("export")
        BULK_EDIT = "bulk_edit", _("bulk edit")
        INSIGHTS = "insights", _("insights")
        CVAT_PULL = "cvat_pull", _("pull from CVAT")
        CVAT_DELETE = "cvat_delete", _("delete in CVAT")
        DELETE_PROJECT = "delete_project", _("delete project")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Empty once the project is deleted: of its tasks only the deletion itself is left.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="tasks", verbose_name=_("project")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.QUEUED)
    phase = models.CharField(_("phase"), max_length=40, blank=True)
    phase_started_at = models.DateTimeField(_("phase started"), null=True, blank=True, editable=False)
    done = models.BigIntegerField(_("done"), default=0)
    total = models.BigIntegerField(_("total"), null=True, blank=True)
    message = models.TextField(_("message"), blank=True)
    log = models.CharField(_("report"), max_length=200, blank=True, help_text=_("Storage key of the stored report."))
    result = models.JSONField(_("result"), default=dict, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    # Grows with every claim: a worker that lost its lease can no longer write.
    fence = models.BigIntegerField(default=0, editable=False)
    # Running: the worker is taken for dead after this. Queued: nobody starts it before this (waiting for a retry).
    # Finished: what follows from that has not been done yet, and after this the sweeper does it.
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True, editable=False)
    cancel_requested = models.BooleanField(default=False, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="tasks", verbose_name=_("started by")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        indexes = [
            models.Index(fields=["project", "-created_at"], name="projects_task_newest"),
            models.Index(
                fields=["status", "lease_until"],
                condition=Q(status__in=["queued", "running"]),
                name="projects_task_unfinished",
            ),
            models.Index(
                fields=["lease_until"],
                condition=Q(lease_until__isnull=False) & ~Q(status__in=["queued", "running"]),
                name="projects_task_untold",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.id}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in (Task.Status.QUEUED, Task.Status.RUNNING)

    @property
    def percent(self) -> int | None:
        """How much of the current phase is done, 0 to 100; None where nobody can tell."""
        if self.status == Task.Status.SUCCEEDED:
            return 100
        return min(100, 100 * self.done // self.total) if self.total else None

    @property
    def rate(self) -> float | None:
        """How many are done in a second of the current phase; None where nobody can tell."""
        if self.status != Task.Status.RUNNING or not (self.phase_started_at and self.heartbeat_at and self.done):
            return None
        seconds = (self.heartbeat_at - self.phase_started_at).total_seconds()
        return round(self.done / seconds, 1) if seconds >= MEANINGFUL_SECONDS else None

    @property
    def seconds_left(self) -> int | None:
        """How long the current phase will take yet, if it goes on at this rate; None where nobody can tell."""
        rate = self.rate
        return None if not rate or not self.total else math.ceil(max(0, self.total - self.done) / rate)


class AuditLogQuerySet(models.QuerySet["AuditLog"]):
    """The trail of writes."""

    def visible_to(self, user: Any) -> Self:
        """Lines of the projects the user sees; a global admin sees also those of no project."""
        if user.is_authenticated and user.is_superuser:
            return self
        return self.filter(project__in=Project.objects.visible_to(user))


class AuditLog(models.Model):
    """One write: who, where, what, and by which door. Lines are only ever added."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    # Names as they were, because users and projects can be deleted and their lines must still tell.
    actor = models.CharField(_("who"), max_length=254, blank=True)
    project = models.ForeignKey(
        Project, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit_lines", verbose_name=_("project")
    )
    project_name = models.CharField(_("project"), max_length=200, blank=True)
    action = models.CharField(_("action"), max_length=60)
    detail = models.JSONField(_("detail"), default=dict)
    door = models.CharField(_("door"), max_length=10, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("when"), default=timezone.now, editable=False)

    objects = AuditLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit line")
        verbose_name_plural = _("audit lines")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "-id"], name="projects_audit_project"),
            models.Index(fields=["action", "-id"], name="projects_audit_action"),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.actor} {self.action}"
