"""Shapes of exports."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from accounts.api.forms import Form
from annotations.models import KINDS
from assets import storage
from exports.models import ExportJob
from projects.api.serializers import TaskSerializer

LINK = {"type": "string", "format": "uri", "nullable": True}


class ExportJobSerializer(serializers.ModelSerializer[ExportJob]):
    """An export: its task tells how far it is; `download` is there once it is done."""

    task = TaskSerializer(read_only=True)
    status = serializers.CharField(read_only=True)
    filter_snapshot = serializers.JSONField(read_only=True)
    download = serializers.SerializerMethodField()
    link = serializers.SerializerMethodField(
        help_text="Signed address of the file: whoever has it may read it, for a while, without a token."
    )
    log = serializers.SerializerMethodField(help_text="Address of the report, if there is one.")

    class Meta:
        model = ExportJob
        fields: tuple[str, ...] = (
            "id",
            "project",
            "target",
            "status",
            "filter_snapshot",
            "payload_uri",
            "download",
            "link",
            "log",
            "task",
            "created_at",
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(LINK)
    def get_download(self, job: ExportJob) -> str | None:
        """Where to read the file, with a token."""
        if not job.payload_uri:
            return None
        request = self.context.get("request")
        return reverse("project-export-download", args=[job.project_id, job.pk], request=request)

    @extend_schema_field(LINK)
    def get_link(self, job: ExportJob) -> str | None:
        """Where to read the file, without a token."""
        address, request = storage.link(job.payload_uri), self.context.get("request")
        return request.build_absolute_uri(address) if address and request else address

    @extend_schema_field(LINK)
    def get_log(self, job: ExportJob) -> str | None:
        """Where to read the report, with a token."""
        if not job.task.log:
            return None
        return reverse("task-log", args=[job.task_id], request=self.context.get("request"))


class StartExportSerializer(Form):
    """What to export."""

    q = serializers.CharField(required=False, allow_blank=True, default="", help_text="Which images; empty: all.")
    split = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)
    kind = serializers.ChoiceField(
        choices=KINDS,
        required=False,
        default="",
        help_text="Of annotations, for a single file.",
    )
    package = serializers.BooleanField(
        required=False, default=False, help_text="A zip with a file per split and kind, rather than one JSON file."
    )
    sources = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        default=list,
        max_length=50,
        help_text="Predictions of these sources too; `*` is all. By default only what people have drawn.",
    )
    pictures = serializers.BooleanField(required=False, default=False, help_text="The pictures too, in a zip.")
