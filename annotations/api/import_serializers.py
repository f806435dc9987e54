"""Shapes of what imports take and tell."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from accounts.api.forms import Form
from annotations.layouts import LEFT_OUT

MAX_KEY = 1_000  # characters
MAX_SPLITS = 200


def _split_name(value: str) -> str:
    if not value.isprintable():
        raise serializers.ValidationError("Expected a name without control characters.")
    return value.strip()


class _Stored(Form):
    """What is there already, instead of a file."""

    upload = serializers.UUIDField(required=False, allow_null=True, help_text="A finished upload in parts.")
    key = serializers.CharField(
        required=False, max_length=MAX_KEY, help_text="What lies in storage below the installation's IMPORT_PREFIX."
    )
    split = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)

    WAYS: tuple[str, ...] = ("file", "upload", "key")

    def validate_split(self, value: str) -> str:
        """A name without control characters."""
        return _split_name(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one way to say where the data is."""
        given = [name for name in self.WAYS if attrs.get(name)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            text = f"Give one of {', '.join(self.WAYS)}; found {found}."
            raise serializers.ValidationError({given[-1] if given else self.WAYS[0]: text})
        return attrs


class StartImportSerializer(_Stored):
    """A COCO file, a zip or a prefix with COCO files, and their pictures."""

    WAYS = ("file", "upload", "key", "prefix")

    file = serializers.FileField(
        required=False, help_text="A COCO file (JSON, or gzip of it), or a zip with COCO files and pictures."
    )
    prefix = serializers.CharField(
        required=False, max_length=MAX_KEY, help_text="Everything below it is one data set, like a folder."
    )
    images = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        help_text="Pictures: one zip, or any number of files; not needed where they are in the zip.",
    )
    images_upload = serializers.UUIDField(required=False, allow_null=True, help_text="A zip of pictures, in parts.")
    images_key = serializers.CharField(required=False, max_length=MAX_KEY)
    images_prefix = serializers.CharField(required=False, max_length=MAX_KEY)
    splits = serializers.JSONField(
        required=False,
        default=dict,
        help_text='Splits of single files: `{"annotations/x.json": "train"}`; null leaves a file out. `dry_run` tells '
        "which files there are.",
    )
    strict = serializers.BooleanField(
        required=False, default=False, help_text="Refuse the file if any record cannot be used."
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Say what would be imported, and write nothing."
    )

    def validate_splits(self, value: Any) -> dict[str, str]:
        """Names of files and of splits."""
        if not isinstance(value, dict) or len(value) > MAX_SPLITS:
            raise serializers.ValidationError("Expected an object: file names and their splits.")
        for name, split in value.items():
            if split is not None and (not isinstance(split, str) or not split.strip() or len(split) > 100):
                raise serializers.ValidationError(
                    f"The split of {name[:100]!r} must be a name of up to 100 characters, or null."
                )
        return {name: LEFT_OUT if split is None else _split_name(split) for name, split in value.items()}


class AddImagesSerializer(_Stored):
    """Pictures for images that have none."""

    WAYS = ("images", "upload", "images_key", "images_prefix")

    key = None  # type: ignore[assignment]
    images = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        help_text="One zip, or any number of picture files.",
    )
    images_key = serializers.CharField(required=False, max_length=MAX_KEY, help_text="A zip in storage.")
    images_prefix = serializers.CharField(required=False, max_length=MAX_KEY, help_text="All pictures below it.")
    split = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100, help_text="Only images of this split."
    )


class PredictionsSerializer(_Stored):
    """A COCO results file: a list of {image_id, category_id, bbox or segmentation or keypoints, score}."""

    file = serializers.FileField(required=False, help_text="JSON, or gzip of it.")
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=100, help_text="What made them, such as `yolo-v9`."
    )
    split = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100, help_text="Needed where there are several."
    )
    strict = serializers.BooleanField(required=False, default=False)


class SourceSerializer(serializers.Serializer):
    """What one source has said of one split."""

    source = serializers.CharField()  # type: ignore[assignment]
    split = serializers.CharField()
    annotations = serializers.IntegerField()
    images = serializers.IntegerField()
    lowest_score = serializers.FloatField(allow_null=True)
    highest_score = serializers.FloatField(allow_null=True)


@extend_schema_serializer(many=False)
class SourcesSerializer(serializers.Serializer):
    """All sources there are."""

    results = SourceSerializer(many=True)


class RemovedSerializer(serializers.Serializer):
    """How much was deleted, or is going to be by the task."""

    source = serializers.CharField()  # type: ignore[assignment]
    annotations = serializers.IntegerField()
    task = serializers.UUIDField(allow_null=True)
