"""Bulk edits of images: try, start, follow, undo."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api.forms import Form
from annotations import batches, bulk
from annotations.api.serializers import AssetEditSerializer, AssetSerializer
from annotations.changes import MAX_IDS, Change, Selection
from annotations.models import BulkEdit
from assets.models import ImageAsset
from assets.services import Edit
from projects.api.base import ProjectScoped
from projects.api.serializers import TaskSerializer

SAMPLE_FIELDS = ("id", "coco_id", "split", "file_name", "status", "tags", "metadata", "annotations")


class StartBulkEditSerializer(AssetEditSerializer):
    """Which images (`q` or `ids`), and what to do with them."""

    q = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False, help_text="Empty: all of them.")
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=MAX_IDS
    )
    split = serializers.CharField(
        required=False, allow_blank=True, help_text="Name of the split that the images go to, with their annotations."
    )
    delete = serializers.BooleanField(default=False, help_text="For managers.")
    dry_run = serializers.BooleanField(default=False, help_text="Only tell what would happen.")

    def get_fields(self) -> dict[str, Any]:
        """Many images have no one version."""
        fields = super().get_fields()
        del fields["version"]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One way of choosing images; no way must not mean all of them."""
        if ("q" in attrs) is ("ids" in attrs):
            raise serializers.ValidationError("Give `q` or `ids`; an empty `q` stands for all images.")
        return attrs


class UndoSerializer(Form):
    """What to do about images that were changed since."""

    skip_changed = serializers.BooleanField(default=False, help_text="Leave them alone, rather than 409.")


class BulkEditSerializer(serializers.ModelSerializer[BulkEdit]):
    """A bulk edit and how far it is; numbers are of images."""

    task = TaskSerializer(read_only=True, allow_null=True)
    state = serializers.SerializerMethodField(help_text="The task's status; `succeeded` for what was done at once.")
    done = serializers.SerializerMethodField(help_text="Looked at.")
    changed = serializers.SerializerMethodField(help_text="Different now.")
    skipped = serializers.SerializerMethodField(help_text="Left alone by an undo.")
    selection = serializers.JSONField(read_only=True)
    change = serializers.JSONField(read_only=True)

    class Meta:
        model = BulkEdit
        fields = (
            "id", "action", "state", "selection", "change", "total", "done", "changed", "skipped", "undoes", "task",
            "created_by", "created_at", "finished_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "string"})
    def get_state(self, edit: BulkEdit) -> str:
        """Of the task, whose row is the truth."""
        return edit.task.status if edit.task else "succeeded"

    def get_done(self, edit: BulkEdit) -> int:
        """In batches that are done."""
        return self._number(edit, "done")

    def get_changed(self, edit: BulkEdit) -> int:
        """In batches that are done."""
        return self._number(edit, "changed")

    def get_skipped(self, edit: BulkEdit) -> int:
        """In batches that are done."""
        return self._number(edit, "skipped")

    def _number(self, edit: BulkEdit, name: str) -> int:
        if not hasattr(edit, "done"):
            for each, number in batches.numbers(edit).items():
                setattr(edit, each, number)
        return int(getattr(edit, name) or 0)


class PreviewSerializer(serializers.Serializer):
    """What a bulk edit would do."""

    matched = serializers.IntegerField()
    at_once = serializers.BooleanField(help_text="Whether it would be done at once rather than as a task.")
    obstacles = serializers.DictField(help_text="COCO ids and categories that the split would have twice.")
    sample = AssetSerializer(many=True)


@extend_schema(tags=["bulk edits"])
class AssetBulkViewSet(ProjectScoped, GenericViewSet[ImageAsset]):
    """Changes to many images at once."""

    queryset = ImageAsset.objects.all()
    serializer_class = StartBulkEditSerializer
    pagination_class = None  # type: ignore[assignment]

    @extend_schema(
        request=StartBulkEditSerializer,
        responses={
            200: OpenApiResponse(BulkEditSerializer, "Done. With `dry_run`: what would happen (a preview)."),
            202: OpenApiResponse(BulkEditSerializer, "A task does it."),
        },
        filters=False,
    )
    @action(detail=False, methods=["post"], url_path="bulk")
    def bulk(self, request: Request, project_pk: int) -> Response:
        """Change or delete the images of a query, or some by their ids. For curators; deleting is for managers.

        A few images are changed at once (200), many by a task (202). What was changed can be undone.
        """
        form = StartBulkEditSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        dry_run, ids = fields.pop("dry_run"), fields.pop("ids", None)
        selection = Selection(fields.pop("q", ""), None if ids is None else tuple(dict.fromkeys(ids)))
        change = Change(split=fields.pop("split", None), delete=fields.pop("delete"), edit=Edit(**fields))
        if dry_run:
            found = bulk.preview(user=self.user, project=self.project, selection=selection, change=change)
            context = {**self.get_serializer_context(), "fields": SAMPLE_FIELDS}
            return Response(PreviewSerializer(found, context=context).data)
        key = request.headers.get("Idempotency-Key", "")
        edit = bulk.start(user=self.user, project=self.project, selection=selection, change=change, key=key)
        return answer(edit, request)


@extend_schema(tags=["bulk edits"])
class BulkEditViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[BulkEdit]):
    """Bulk edits of a project, newest first."""

    queryset = BulkEdit.objects.select_related("task", "task__project")
    serializer_class = BulkEditSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"

    def get_queryset(self) -> Any:
        """With their numbers."""
        return batches.with_numbers(super().get_queryset())

    @extend_schema(request=UndoSerializer, responses={200: BulkEditSerializer, 202: BulkEditSerializer})
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, project_pk: int, pk: int) -> Response:
        """Put back what was there. Takes the role that the edit took; 409 names images that were changed since."""
        form = UndoSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key", "")
        edit = bulk.start_undo(user=self.user, edit=self.get_object(), key=key, **form.validated_data)
        return answer(edit, request)


def answer(edit: BulkEdit, request: Request) -> Response:
    """200 for what is done, 202 and its address for what a task does."""
    data = BulkEditSerializer(edit, context={"request": request}).data
    if edit.task is None:
        return Response(data)
    location = reverse("project-bulk-edit-detail", args=[edit.project_id, edit.pk], request=request)
    return Response(data, status=202, headers={"Location": location})
