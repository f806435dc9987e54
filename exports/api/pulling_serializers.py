"""Shapes of pulls from CVAT and of what they find."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.forms import Form
from exports.api.serializers import LINK
from exports.pulling.models import CvatDifference, CvatPull, CvatRemark
from exports.pulling.services import AT_ONCE, MAX_CHOSEN
from projects.api.serializers import TaskSerializer


def _key() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1)


RECORD = {"type": "object", "additionalProperties": True}


class CvatPullSerializer(serializers.ModelSerializer[CvatPull]):
    """A piece of work on the way back: a reading, a taking over, or an undo. `result` has numbers and notes."""

    task = TaskSerializer(read_only=True, allow_null=True)
    state = serializers.CharField(read_only=True, help_text="The task's status; `succeeded` for what was done at once.")
    export = serializers.IntegerField(source="job_id", read_only=True)
    result = serializers.JSONField(read_only=True)

    class Meta:
        model = CvatPull
        fields = (
            "id", "export", "action", "trigger", "policy", "everything", "state", "result", "undoes", "task",
            "created_by", "created_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields


class StartPullSerializer(Form):
    """How to pull."""

    policy = serializers.ChoiceField(
        choices=CvatPull.Policy.choices,
        required=False,
        default=CvatPull.Policy.REVIEW,
        help_text="What becomes of what is found: `review` leaves it to be decided, `accept` takes over what is not in "
        "conflict with changes here, `theirs` takes over all, `ours` nothing.",
    )
    everything = serializers.BooleanField(
        required=False, default=True, help_text="Compare jobs too in which nothing was saved since the last pull."
    )


class ApplySerializer(Form):
    """Which differences to deal with, and how."""

    policy = serializers.ChoiceField(
        choices=[choice for choice in CvatPull.Policy.choices if choice[0] != CvatPull.Policy.REVIEW]
    )
    differences = serializers.ListField(
        child=_key(), required=False, default=None, allow_null=True, max_length=MAX_CHOSEN, min_length=1,
        help_text="Some of them; all that are open if left out.",
    )  # fmt: skip


class DecideSerializer(Form):
    """What becomes of one or a few differences, now."""

    decision = serializers.ChoiceField(choices=[CvatDifference.Decision.THEIRS, CvatDifference.Decision.OURS])
    differences = serializers.ListField(child=_key(), min_length=1, max_length=AT_ONCE)


class CvatDifferenceSerializer(serializers.ModelSerializer[CvatDifference]):
    """Something that is different in CVAT. `before` is the record as it went out, `after` the fields that would be
    written, `now` the record as it is here (null if it is not here)."""

    pull = serializers.IntegerField(source="pull_id", read_only=True)
    cvat_task = serializers.IntegerField(source="cvat_task.number", read_only=True)
    image = serializers.IntegerField(source="image_id", read_only=True, allow_null=True)
    annotation = serializers.IntegerField(source="annotation_id", read_only=True, allow_null=True)
    aspects = serializers.ListField(child=serializers.CharField(), read_only=True)
    before = serializers.SerializerMethodField()
    after = serializers.SerializerMethodField()
    now = serializers.SerializerMethodField()
    link = serializers.SerializerMethodField(help_text="The frame in CVAT.")
    can_undo = serializers.SerializerMethodField(help_text="Whether undoing the work `applied_by` would undo it.")

    class Meta:
        model = CvatDifference
        fields = (
            "id", "pull", "cvat_task", "kind", "subject", "aspects", "key", "frame", "image", "annotation", "before",
            "after", "now", "conflict", "problem", "note", "cvat_job", "cvat_user", "cvat_date", "link", "decision",
            "decided_by", "decided_at", "applied_by", "can_undo", "found_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(RECORD)
    def get_before(self, row: CvatDifference) -> dict[str, Any]:
        """As it went out."""
        return dict(row.before)

    @extend_schema_field(RECORD)
    def get_after(self, row: CvatDifference) -> dict[str, Any]:
        """What would be written."""
        return dict(row.after)

    @extend_schema_field({**RECORD, "nullable": True})
    def get_now(self, row: CvatDifference) -> dict[str, Any] | None:
        """From the context, where the view has put the page's annotations."""
        found: dict[str, Any] | None = self.context.get("now", {}).get(row.annotation_id)
        return found

    @extend_schema_field(LINK)
    def get_link(self, row: CvatDifference) -> str | None:
        """Where people see it in CVAT."""
        if not row.cvat_task.link:
            return None
        job = f"/jobs/{row.cvat_job}" if row.cvat_job else ""
        return f"{row.cvat_task.link}{job}?frame={row.frame}"

    @extend_schema_field({"type": "boolean"})
    def get_can_undo(self, row: CvatDifference) -> bool:
        """Whether it was decided by work that can be undone."""
        return row.applied_by_id is not None and row.decision != CvatDifference.Decision.OPEN


class RemarkTextSerializer(serializers.Serializer[Any]):
    """One text of a remark: what opens it, or an answer."""

    message = serializers.CharField()
    author = serializers.CharField(allow_blank=True)
    date = serializers.CharField(help_text="As CVAT wrote it.")


class CvatRemarkSerializer(serializers.ModelSerializer[CvatRemark]):
    """What somebody wrote about a frame in CVAT, as it was last read. It is answered and resolved there."""

    cvat_task = serializers.IntegerField(source="cvat_task.number", read_only=True)
    image = serializers.IntegerField(
        source="image_id", read_only=True, allow_null=True, help_text="null: the frame has no image of this export."
    )
    position = serializers.ListField(
        child=serializers.FloatField(),
        read_only=True,
        help_text="Pixels x, y, x, y...; two points are a box's corners.",
    )
    texts = RemarkTextSerializer(many=True, read_only=True)
    link = serializers.SerializerMethodField(help_text="The frame in CVAT.")

    class Meta:
        model = CvatRemark
        fields = (
            "id", "cvat_task", "cvat_id", "cvat_job", "frame", "image", "position", "resolved", "author", "assignee",
            "texts", "created_date", "updated_date", "link",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_link(self, row: CvatRemark) -> str | None:
        """Where people answer it."""
        return row.link or None


class ProgressSerializer(serializers.Serializer[Any]):
    """How far people in CVAT are with one task, as last seen."""

    task = serializers.IntegerField()
    name = serializers.CharField()
    link = serializers.URLField(allow_null=True)
    step = serializers.CharField(help_text="How far it was sent.")
    status = serializers.CharField(help_text="annotation, validation or completed.")
    stage = serializers.CharField(help_text="Of the job that is least far.")
    state = serializers.CharField()
    jobs = serializers.IntegerField()
    jobs_completed = serializers.IntegerField()
    frames = serializers.IntegerField()
    frames_completed = serializers.IntegerField()
    frames_by_stage = serializers.DictField(child=serializers.IntegerField())
    percent = serializers.IntegerField()
    open_differences = serializers.IntegerField()
    open_remarks = serializers.IntegerField(help_text="That reviewers left on its frames, as last read.")
    checked_at = serializers.DateTimeField(allow_null=True)
    pulled_at = serializers.DateTimeField(allow_null=True)
    gone_at = serializers.DateTimeField(allow_null=True)


class ListeningSerializer(serializers.Serializer[Any]):
    """Whether CVAT tells of changes by itself."""

    listening = serializers.BooleanField()
    cvat_projects = serializers.ListField(child=serializers.IntegerField())
