"""Shapes of changes to annotations and categories, and of what they do."""

from typing import Any

from rest_framework import serializers

from accounts.api.forms import Form
from annotations import categories
from annotations.models import KINDS

ID: dict[str, Any] = {"min_value": 1, "max_value": 2**63 - 1}
BOX_HELP = "[x, y, width, height] in pixels."


class AnnotationFields(Form):
    """Fields of an annotation; null takes one out."""

    category = serializers.IntegerField(required=False, allow_null=True, help_text="Key of the category.", **ID)
    bbox = serializers.JSONField(required=False, allow_null=True, help_text=BOX_HELP)
    segmentation = serializers.JSONField(
        required=False, allow_null=True, help_text="Polygons [[x1, y1, x2, y2, ...]] or an RLE {counts, size}."
    )
    area = serializers.JSONField(
        required=False, allow_null=True, help_text="Square pixels. If not given, it follows from a new outline."
    )
    iscrowd = serializers.ChoiceField(choices=[0, 1], required=False, allow_null=True)
    keypoints = serializers.JSONField(required=False, allow_null=True, help_text="[x, y, visibility] * n.")
    num_keypoints = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    attributes = serializers.JSONField(required=False, allow_null=True)
    score = serializers.JSONField(required=False, allow_null=True, help_text="A number.")
    extra = serializers.DictField(required=False, help_text="Fields of the COCO record that have none here.")
    source = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, max_length=100, help_text="Who or what made it."
    )
    is_machine = serializers.BooleanField(required=False, help_text="Made by a machine.")


class NewAnnotationSerializer(AnnotationFields):
    """An annotation to be made."""

    image = serializers.IntegerField(help_text="Key of the image.", **ID)
    coco_id = serializers.IntegerField(
        required=False,
        min_value=-(2**63),
        max_value=2**63 - 1,
        help_text="If not given: one above the split's greatest.",
    )


class AnnotationEditSerializer(AnnotationFields):
    """A change to an annotation; what is left out stays as it is. `extra` is a JSON merge patch."""

    version = serializers.IntegerField(required=False, help_text="As read; 412 if it has changed since.")


class RelabelSerializer(Form):
    """Which objects are to be of which category."""

    q = serializers.CharField(allow_blank=True, trim_whitespace=False, help_text="Which annotations.")
    category = serializers.IntegerField(help_text="Key of the category that they get.", **ID)
    dry_run = serializers.BooleanField(default=False, help_text="Only tell how many.")


class FormerSerializer(serializers.Serializer):
    """A category that annotations were of."""

    id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    annotations = serializers.IntegerField()


class RelabellingSerializer(serializers.Serializer):
    """What relabelling did, or would do."""

    matched = serializers.IntegerField(help_text="Objects that the query selects.")
    changed = serializers.IntegerField(help_text="Of them, those that were of another category.")
    images = serializers.IntegerField()
    categories = FormerSerializer(many=True)
    done = serializers.BooleanField()
    bulk_edit = serializers.IntegerField(allow_null=True, help_text="By which it can be undone.")


class CategoryFields(Form):
    """Fields of a category."""

    name = serializers.CharField(required=False, max_length=categories.MAX_NAME, trim_whitespace=False)
    supercategory = serializers.CharField(required=False, allow_blank=True, max_length=categories.MAX_NAME)
    color = serializers.CharField(required=False, allow_blank=True, help_text="Such as #1f77b4. Not exported.")
    meta = serializers.DictField(required=False, help_text="Other fields of the record: JSON merge patch.")


class NewCategorySerializer(CategoryFields):
    """A category to be made."""

    coco_id = serializers.IntegerField(required=False, min_value=0, max_value=2**63 - 1)

    def get_fields(self) -> dict[str, Any]:
        """The name is needed."""
        fields = super().get_fields()
        fields["name"].required = True
        return fields


class MergeSerializer(Form):
    """Which categories are to become which one."""

    categories = serializers.ListField(child=serializers.IntegerField(**ID), max_length=1_000, help_text="They go.")
    into = serializers.IntegerField(help_text="Key of the category that stays.", **ID)
    dry_run = serializers.BooleanField(default=False, help_text="Only tell what would happen.")


class GoingSerializer(FormerSerializer):
    """A category that goes."""

    coco_id = serializers.IntegerField()


class ClashSerializer(serializers.Serializer):
    """A document in which another category has the same id or name."""

    split = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    category = serializers.IntegerField()
    coco_id = serializers.IntegerField()
    name = serializers.CharField()


class EffectSerializer(serializers.Serializer):
    """What a merge or a deletion of categories does, or would do."""

    annotations = serializers.IntegerField()
    images = serializers.IntegerField(
        allow_null=True, help_text="Images that have one of these annotations; counted for a dry run alone."
    )
    categories = GoingSerializer(many=True)
    documents = serializers.IntegerField(help_text="COCO documents whose list of categories changes.")
    clashes = ClashSerializer(many=True, help_text="What stands in the way.")
    done = serializers.BooleanField()
    bulk_edit = serializers.IntegerField(allow_null=True, help_text="By which it can be undone.")
