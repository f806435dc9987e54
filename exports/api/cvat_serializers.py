"""Shapes of exports to CVAT and of the connection to it."""

from typing import Any

from django.db.models import Count
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.forms import Form
from exports.api.serializers import LINK, ExportJobSerializer
from exports.models import CvatConnection, CvatImage, CvatJob, CvatTask, ExportJob
from exports.sending.options import MAX_IMAGES, MAX_MEGABYTES, MAX_NAME, Options
from projects.api.serializers import TaskSerializer

DEFAULTS = Options()
REMARKS = {
    "type": "object",
    "properties": {"open": {"type": "integer"}, "resolved": {"type": "integer"}},
    "required": ["open", "resolved"],
}


class StartCvatExportSerializer(Form):
    """What to send, and how to cut it into tasks."""

    q = serializers.CharField(required=False, allow_blank=True, default="", help_text="Which images; empty: all.")
    split = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)
    sources = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        default=list,
        max_length=50,
        help_text="Predictions of these sources too; `*` is all. By default only what people have drawn.",
    )
    images_per_task = serializers.IntegerField(
        required=False, default=DEFAULTS.images_per_task, min_value=1, max_value=MAX_IMAGES
    )
    megabytes_per_task = serializers.IntegerField(
        required=False, default=DEFAULTS.megabytes_per_task, min_value=1, max_value=MAX_MEGABYTES
    )
    images_per_job = serializers.IntegerField(
        required=False,
        default=DEFAULTS.images_per_job,
        min_value=0,
        max_value=MAX_IMAGES,
        help_text="Jobs of so many images in each task; 0: one job.",
    )
    per_split = serializers.BooleanField(
        required=False, default=DEFAULTS.per_split, help_text="Tasks of one split each."
    )
    name = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=MAX_NAME,
        help_text="Of the tasks; empty: the project's.",
    )
    from_bucket = serializers.BooleanField(
        required=False,
        default=False,
        help_text="CVAT reads the pictures from the installation's S3 bucket itself, where it can show them as meant.",
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Tell what would be made, and make nothing."
    )


class PlannedTaskSerializer(serializers.Serializer):
    """A task that would be made."""

    number = serializers.IntegerField()
    split = serializers.CharField(allow_blank=True)
    images = serializers.IntegerField()
    left_out = serializers.IntegerField(help_text="Images without a picture that CVAT takes.")
    annotations = serializers.IntegerField()
    bytes = serializers.IntegerField()


class PlannedLabelSerializer(serializers.Serializer):
    """A label that the project in CVAT would have."""

    category = serializers.IntegerField()
    name = serializers.CharField()
    keypoints = serializers.ListField(child=serializers.CharField())
    attributes = serializers.DictField(child=serializers.CharField(), help_text="Kind of input by name.")


class CvatPlanSerializer(serializers.Serializer):
    """What an export would make in CVAT."""

    dry_run = serializers.BooleanField(default=True)
    server = serializers.URLField()
    project = serializers.CharField()
    revision = serializers.IntegerField()
    images = serializers.IntegerField()
    left_out = serializers.IntegerField()
    annotations = serializers.IntegerField()
    tasks = PlannedTaskSerializer(many=True)
    labels = PlannedLabelSerializer(many=True)


class CvatJobSerializer(serializers.ModelSerializer[CvatJob]):
    """A job in CVAT: who works on which frames, and how far."""

    link = serializers.SerializerMethodField()

    class Meta:
        model = CvatJob
        fields = ("cvat_id", "link", "start_frame", "stop_frame", "stage", "state", "assignee", "updated_date")
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_link(self, job: CvatJob) -> str | None:
        """Its page in CVAT."""
        return f"{job.task.link}/jobs/{job.cvat_id}" if job.task.link else None


class CvatTaskSerializer(serializers.ModelSerializer[CvatTask]):
    """A task of an export: how far it was sent (`step`), and how far people in CVAT are."""

    link = serializers.SerializerMethodField()
    jobs = CvatJobSerializer(many=True, read_only=True)

    class Meta:
        model = CvatTask
        fields = (
            "id",
            "number",
            "name",
            "cvat_id",
            "link",
            "step",
            "images",
            "annotations",
            "size",
            "sent",
            "shapes",
            "parts_left_out",
            "message",
            "status",
            "stage",
            "state",
            "updated_date",
            "checked_at",
            "pulled_at",
            "gone_at",
            "jobs",
        )
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_link(self, task: CvatTask) -> str | None:
        """Its page in CVAT."""
        return task.link or None


class CvatExportSerializer(ExportJobSerializer):
    """An export to CVAT."""

    cvat_project = serializers.SerializerMethodField(help_text="The project's page in CVAT.")
    steps = serializers.SerializerMethodField(help_text="Number of tasks by how far they were sent.")
    deletion = TaskSerializer(read_only=True, allow_null=True)

    class Meta(ExportJobSerializer.Meta):
        fields = (*ExportJobSerializer.Meta.fields, "cvat_project", "steps", "deletion")
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_cvat_project(self, job: ExportJob) -> str | None:
        """Where people find it."""
        return (job.cvat_project.link or None) if job.cvat_project else None

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_steps(self, job: ExportJob) -> dict[str, int]:
        """From `with_steps`."""
        return {pair["step"]: pair["number"] for pair in getattr(job, "steps", None) or []}


class CvatExportDetailSerializer(CvatExportSerializer):
    """An export to CVAT with its tasks."""

    cvat_tasks = CvatTaskSerializer(many=True, read_only=True)
    remarks = serializers.SerializerMethodField(help_text="Number of what people wrote about frames, as last read.")

    class Meta(CvatExportSerializer.Meta):
        fields = (*CvatExportSerializer.Meta.fields, "cvat_tasks", "remarks")
        read_only_fields = fields

    @extend_schema_field(REMARKS)
    def get_remarks(self, job: ExportJob) -> dict[str, int]:
        """Open and resolved. This costs a query."""
        numbers = dict(job.remarks.order_by().values_list("resolved").annotate(number=Count("pk")))
        return {"open": numbers.get(False, 0), "resolved": numbers.get(True, 0)}


class CvatImageSerializer(serializers.ModelSerializer[CvatImage]):
    """An image of an export: where it is in CVAT, or why it is not."""

    image = serializers.IntegerField(source="asset_id", read_only=True)
    task = serializers.IntegerField(source="task.number", read_only=True)
    link = serializers.SerializerMethodField()

    class Meta:
        model = CvatImage
        fields = ("image", "task", "name", "frame", "link", "problem")
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_link(self, image: CvatImage) -> str | None:
        """Its page in CVAT."""
        return image.link or None


class CvatConnectionSerializer(Form):
    """How the project reaches CVAT. The token is written, and never read."""

    own = serializers.BooleanField(read_only=True, help_text="Whether these are the project's or the installation's.")
    configured = serializers.BooleanField(read_only=True)
    url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    token = serializers.CharField(
        write_only=True, required=False, allow_blank=True, max_length=1024, trim_whitespace=True
    )
    scheme = serializers.ChoiceField(choices=CvatConnection.Scheme.choices, required=False)
    organization = serializers.CharField(required=False, allow_blank=True, max_length=64)
    username = serializers.CharField(read_only=True)
    version = serializers.CharField(read_only=True)
    checked_at = serializers.DateTimeField(read_only=True, allow_null=True)


class CvatCheckSerializer(serializers.Serializer[Any]):
    """What a connection is like."""

    ok = serializers.BooleanField()
    message = serializers.CharField()
    version = serializers.CharField(allow_blank=True)
    username = serializers.CharField(allow_blank=True)
    warnings = serializers.ListField(child=serializers.CharField())
