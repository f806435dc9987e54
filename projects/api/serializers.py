"""Shapes of projects, members, tasks and audit lines."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from accounts.api.forms import Form, Spelt
from accounts.models import User
from projects.models import AuditLog, Membership, Project, Role, Task


class PersonSerializer(serializers.ModelSerializer[User]):
    """A user as other users see it."""

    class Meta:
        model = User
        fields = ("id", "email", "name")
        read_only_fields = fields


class RoleField(serializers.ChoiceField):
    """A role by its name; `editor` is taken for `curator`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "choices": [(role.slug, role.label) for role in Role]})

    def to_internal_value(self, data: Any) -> Role:  # type: ignore[override]
        """The role of this name."""
        try:
            return Role.named(str(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: Any) -> str:
        """The role's name."""
        return Role(value).slug


class ProjectSerializer(Spelt, serializers.ModelSerializer[Project]):
    """A project; `role` is the caller's."""

    owner = PersonSerializer(read_only=True)
    role = RoleField(source="my_role", read_only=True)

    class Meta:
        model = Project
        fields = (
            "id",
            "name",
            "description",
            "source",
            "status",
            "owner",
            "role",
            "revision",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "status", "revision", "created_at", "updated_at")


class TransferSerializer(Form):
    """Who is to own the project."""

    email = serializers.EmailField(max_length=254)


class MemberSerializer(Spelt, serializers.ModelSerializer[Membership]):
    """A member of a project; only the role can be changed."""

    user = PersonSerializer(read_only=True)
    role = RoleField()

    class Meta:
        model = Membership
        fields = ("id", "user", "role", "created_at")
        read_only_fields = ("id", "created_at")


class NewMemberSerializer(Form):
    """Who is to join, as what."""

    email = serializers.EmailField(max_length=254)
    role = RoleField()


class TaskSerializer(serializers.ModelSerializer[Task]):
    """Long work and how far it is."""

    percent = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Of the current phase; null where nobody can tell."
    )
    rate = serializers.FloatField(read_only=True, allow_null=True, help_text="Done per second in the current phase.")
    seconds_left = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Of the current phase; null where nobody can tell."
    )
    log = serializers.SerializerMethodField(help_text="Address of the stored report, if there is one.")

    class Meta:
        model = Task
        fields = (
            "id",
            "project",
            "kind",
            "status",
            "phase",
            "done",
            "total",
            "percent",
            "rate",
            "seconds_left",
            "message",
            "log",
            "result",
            "attempt",
            "cancel_requested",
            "created_by",
            "created_at",
            "started_at",
            "phase_started_at",
            "finished_at",
        )
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_log(self, task: Task) -> str | None:
        """Where to read the report, with a token."""
        if not task.log:
            return None
        return reverse("task-log", args=[task.pk], request=self.context.get("request"))


class TicketSerializer(serializers.Serializer):
    """What opens a task's events without a header, and for how long."""

    ticket = serializers.CharField()
    url = serializers.URLField(help_text="For `new EventSource(url)`.")
    seconds = serializers.IntegerField(help_text="To connect in.")


class AuditLogSerializer(serializers.ModelSerializer[AuditLog]):
    """One write: who, what, when, and through which door."""

    detail = serializers.JSONField(read_only=True)

    class Meta:
        model = AuditLog
        fields = ("id", "user", "actor", "action", "detail", "door", "request_id", "created_at")
        read_only_fields = fields
