"""Shapes of images, annotations, categories and imports."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from accounts.api.forms import Form
from annotations.api.lists import Trimmed
from annotations.models import KINDS, Annotation, Category, ImportJob
from assets import services as asset_services
from assets import storage
from assets.models import ImageAsset
from projects.api.serializers import TaskSerializer

LINK = {"type": "string", "format": "uri", "nullable": True}


class AssetSerializer(Trimmed):
    """An image: what its COCO record says, and links to the picture that last for a while."""

    COLUMNS = {
        "coco_id": ("coco_id", "coco_key"),
        "split": ("split__name",),
        "annotations": ("annotation_count",),
        "image_url": ("uri",),
        "thumbnail_url": ("thumbnail_uri",),
    }
    LINKS = frozenset({"image_url", "thumbnail_url"})

    coco_id = serializers.SerializerMethodField(help_text="The record's id, as the file had it.")
    split = serializers.CharField(source="split.name", read_only=True)
    annotations = serializers.IntegerField(source="annotation_count", read_only=True)
    metadata = serializers.JSONField(read_only=True)
    image_url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()

    class Meta:
        model = ImageAsset
        fields = (
            "id",
            "coco_id",
            "split",
            "file_name",
            "width",
            "height",
            "status",
            "tags",
            "metadata",
            "issues",
            "annotations",
            "format",
            "size_bytes",
            "checksum",
            "image_url",
            "thumbnail_url",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})
    def get_coco_id(self, asset: ImageAsset) -> int | str:
        """A number, or the text that the file had."""
        return asset.coco_id if asset.coco_key is None else asset.coco_key

    @extend_schema_field(LINK)
    def get_image_url(self, asset: ImageAsset) -> str | None:
        """Where the picture can be read for a while."""
        return self._link(asset.uri)

    @extend_schema_field(LINK)
    def get_thumbnail_url(self, asset: ImageAsset) -> str | None:
        """Where the thumbnail can be read for a while."""
        return self._link(asset.thumbnail_uri)

    def _link(self, key: str) -> str | None:
        link = storage.link(key)
        request = self.context.get("request")
        return request.build_absolute_uri(link) if link and request else link


class AssetEditSerializer(Form):
    """A change to an image; what is left out stays as it is."""

    tags = serializers.ListField(child=serializers.CharField(trim_whitespace=False), required=False)
    add_tags = serializers.ListField(child=serializers.CharField(trim_whitespace=False), required=False)
    remove_tags = serializers.ListField(child=serializers.CharField(trim_whitespace=False), required=False)
    metadata = serializers.DictField(required=False, help_text="JSON merge patch (RFC 7396): null removes a key.")
    status = serializers.ChoiceField(choices=sorted(asset_services.REVIEW), required=False)
    version = serializers.IntegerField(required=False, help_text="As read; 412 if the image has changed since.")


class CategorySerializer(serializers.ModelSerializer[Category]):
    """A class of objects."""

    meta = serializers.JSONField(read_only=True)

    class Meta:
        model = Category
        fields = ("id", "coco_id", "name", "supercategory", "color", "meta", "created_at")
        read_only_fields = fields


class AnnotationSerializer(Trimmed):
    """An annotation: bbox is [x, y, width, height] in pixels, segmentation polygons or an RLE, as COCO has them."""

    COLUMNS = {"coco_id": ("coco_id", "coco_key"), "category_name": ("category__name",)}

    coco_id = serializers.SerializerMethodField()
    kind = serializers.SerializerMethodField()
    category_name = serializers.CharField(source="category.name", read_only=True, allow_null=True, default=None)
    area = serializers.FloatField(read_only=True, allow_null=True)
    score = serializers.FloatField(read_only=True, allow_null=True)
    bbox = serializers.JSONField(read_only=True)
    segmentation = serializers.JSONField(read_only=True)
    keypoints = serializers.JSONField(read_only=True)
    attributes = serializers.JSONField(read_only=True)
    extra = serializers.JSONField(read_only=True)

    class Meta:
        model = Annotation
        fields = (
            "id",
            "coco_id",
            "kind",
            "image",
            "category",
            "category_name",
            "bbox",
            "area",
            "iscrowd",
            "segmentation",
            "keypoints",
            "num_keypoints",
            "attributes",
            "score",
            "extra",
            "issues",
            "source",
            "is_machine",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})
    def get_coco_id(self, annotation: Annotation) -> int | str:
        """A number, or the text that the file had."""
        return annotation.coco_id if not annotation.coco_key else annotation.coco_key

    @extend_schema_field({"type": "string", "enum": list(KINDS)})
    def get_kind(self, annotation: Annotation) -> str:
        """Which family it is of."""
        return KINDS[annotation.kind]


class ImportJobSerializer(serializers.ModelSerializer[ImportJob]):
    """An import: its task tells how far it is, its report what was found."""

    task = TaskSerializer(read_only=True)
    status = serializers.CharField(read_only=True)
    splits = serializers.JSONField(read_only=True)
    log = serializers.SerializerMethodField(help_text="Address of the validation report, once there is one.")

    class Meta:
        model = ImportJob
        fields = (
            "id",
            "project",
            "what",
            "status",
            "split",
            "splits",
            "source",
            "strict",
            "file_name",
            "checksum",
            "log",
            "task",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(LINK)
    def get_log(self, job: ImportJob) -> str | None:
        """Where to read the report, with a token."""
        if not job.task.log:
            return None
        request = self.context.get("request")
        return reverse("project-coco-report", args=[job.project_id, job.pk], request=request)
