"""Annotations made, changed and deleted by people, one by one; the images' numbers of annotations follow."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, JSONField, Max, OuterRef, Subquery, TextField, Value
from django.db.models.functions import Cast, Now

from accounts.errors import Conflict, NotFound, ServiceError, StaleEdit
from accounts.models import User
from annotations import categories, checking, labels
from annotations.coco.images import TEXT_IDS
from annotations.models import Annotation, Category, Kind
from annotations.predictions import FIRST_ID
from assets.models import ImageAsset, Split
from assets.services import merge_patch
from projects import audit, policies
from projects.models import Project, Role

# Annotations are numbered up to here: above are the ids that were texts in their file, and those of predictions.
LAST_ID = min(TEXT_IDS, FIRST_ID) - 1
OWN = ("source", "is_machine")  # fields that COCO does not have


@transaction.atomic
def create_annotation(
    *,
    user: User,
    project: Project,
    image: int,
    category: int | None = None,
    coco_id: int | None = None,
    extra: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Annotation:
    """Add an annotation to an image. For curators.

    `fields` are those of a COCO record, `source` and `is_machine`; `extra` holds any other. An annotation with a
    `caption` among them is a caption, every other one an object, which needs a category and a box or a segmentation;
    what follows from a segmentation (box, area) need not be given. The COCO id is one above the greatest of the split
    unless given. Raises NotFound for an image that the project does not have, Conflict for an id that is taken.
    """
    policies.require(user, Role.CURATOR, project)
    extra = extra or {}
    kind = Kind.CAPTION if "caption" in extra else Kind.OBJECT
    held = _lock_image(project, image)
    chosen = _category(project, category) if category is not None else None
    if kind is Kind.OBJECT:
        fields = checking.complete(held, fields)
        fields.setdefault("iscrowd", 0)
    columns = _columns(held, fields, extra, {}, kind)
    if kind is Kind.OBJECT:
        _require_object(chosen, fields)
    if chosen is not None:
        categories.refuse_clashes(project, chosen, [(held.split_id, kind)])
    project.touch()  # makes others who number an annotation wait
    greatest, position = _last(held, kind)
    if coco_id is None:
        coco_id = greatest + 1
        if coco_id > LAST_ID:
            raise Conflict("The greatest id that is given is in use: give the annotation an id of its own.")
    kept = {name: value for name, value in extra.items() if value is not None}
    try:
        with transaction.atomic():
            annotation = Annotation.objects.create(
                project=project, split_id=held.split_id, image=held, category=chosen, kind=kind, coco_id=coco_id,
                position=position, extra=kept or None, **columns,
            )  # fmt: skip
    except IntegrityError as error:
        text = f"The split has an annotation with id {coco_id} already."
        raise Conflict(text, fields={"coco_id": [text]}) from error
    ImageAsset.objects.filter(pk=held.pk).update(annotation_count=F("annotation_count") + 1)
    audit.record(user, project, "annotation.created", annotation=annotation.pk, coco_id=coco_id, image=held.pk)
    annotation.refresh_from_db()
    return annotation


@transaction.atomic
def update_annotation(*, user: User, annotation: Annotation, version: int | None = None, **changes: Any) -> Annotation:
    """Change an annotation: `category`, fields of its COCO record, `source`, `is_machine`; None takes a field out.

    `extra` is a JSON merge patch. Fields that are not named stay as they are to the letter; the area follows a new
    segmentation (or a new box where there is no segmentation) unless given. For curators. Raises StaleEdit if
    `version` is given and the annotation has moved on since.
    """
    project = annotation.project
    policies.require(user, Role.CURATOR, project)
    image = _lock_image(project, annotation.image_id)
    held = _lock(annotation, version)
    extra = changes.pop("extra", None) or {}
    new: dict[str, Any] = {}
    if "category" in changes:
        new["category"] = _new_category(project, held, changes.pop("category"))
    stored = _stored(held)
    if held.kind == Kind.OBJECT and _moves_outline(changes, stored):
        changes = checking.complete(image, changes)
    new |= _columns(image, changes, extra, stored, Kind(held.kind))
    if extra:
        new["extra"] = _merged_extra(held, extra)
    before = {name: getattr(held, name) for name in ("category_id", "bbox", "iscrowd", "attributes", "source")}
    if not any(getattr(held, name) != value for name, value in new.items()):
        return held
    Annotation.objects.filter(pk=held.pk).update(**new, version=F("version") + 1, updated_at=Now())
    project.touch()
    names = sorted({*new, *extra} - {"issues"})
    audit.record(user, project, "annotation.updated", annotation=held.pk, fields=names, before=before)
    held.refresh_from_db()
    return held


@transaction.atomic
def delete_annotation(*, user: User, annotation: Annotation, version: int | None = None) -> None:
    """Delete an annotation; the audit line keeps what it was but for its outline. For curators."""
    project = annotation.project
    policies.require(user, Role.CURATOR, project)
    image = _lock_image(project, annotation.image_id)
    held = _lock(annotation, version)
    names = ("coco_id", "kind", "category_id", "bbox", "iscrowd", "num_keypoints", "attributes", "extra", "source")
    audit.record(
        user, project, "annotation.deleted", annotation=held.pk, image=image.pk,
        before={name: getattr(held, name) for name in names},
    )  # fmt: skip
    Annotation.objects.filter(pk=held.pk).delete()
    ImageAsset.objects.filter(pk=image.pk).update(annotation_count=F("annotation_count") - 1)
    project.touch()


def _lock_image(project: Project, pk: int) -> ImageAsset:
    """Everybody locks images first, then annotations, then the project."""
    image = ImageAsset.objects.select_for_update().filter(project=project, pk=pk).first()
    if image is None:
        raise NotFound(f"There is no image {pk} in this project.")
    return image


def _lock(annotation: Annotation, version: int | None) -> Annotation:
    held = Annotation.objects.select_for_update().filter(pk=annotation.pk).first()
    if held is None:
        raise NotFound("This annotation has been deleted.")
    if version is not None and held.version != version:
        raise StaleEdit(
            f"The annotation has been changed since you read it: you have version {version}, it is at {held.version}. "
            "Read it again and repeat your change.",
            detail={"version": held.version},
        )
    return held


def _category(project: Project, pk: int) -> Category:
    category = Category.objects.filter(project=project, pk=pk).first()
    if category is None or not labels.hold(pk):
        text = f"There is no category {pk} in this project."
        raise ServiceError(text, fields={"category": [text]})
    return category


def _new_category(project: Project, held: Annotation, pk: int | None) -> Category | None:
    if pk is None:
        if held.kind == Kind.OBJECT and held.category_id is not None:
            raise ServiceError("An object needs a category.", fields={"category": ["An object needs a category."]})
        return None
    category = _category(project, pk)
    categories.refuse_clashes(project, category, [(held.split_id, held.kind)])
    return category


def _require_object(category: Category | None, fields: Mapping[str, Any]) -> None:
    faults = {}
    if category is None:
        faults["category"] = ["An object needs a category."]
    if not fields.get("bbox") and not fields.get("segmentation"):
        faults["bbox"] = ["An object needs a box [x, y, width, height] or a segmentation."]
    if faults:
        raise ServiceError("The annotation cannot be stored.", fields=faults)


def _columns(
    image: ImageAsset, fields: Mapping[str, Any], extra: Mapping[str, Any], stored: Mapping[str, str], kind: Kind
) -> dict[str, Any]:
    coco = {name: value for name, value in fields.items() if name not in OWN}
    own = {name: fields[name] for name in OWN if fields.get(name) is not None}
    return {**checking.check(image, coco, extra, stored, kind), **own}


def _stored(annotation: Annotation) -> dict[str, str]:
    """JSON text of the columns that are set."""
    texts = [Cast(name, TextField()) for name in checking.COLUMNS]
    row = Annotation.objects.filter(pk=annotation.pk).values_list(*texts).get()
    return {name: str(text) for name, text in zip(checking.COLUMNS, row, strict=True) if text is not None}


def _moves_outline(changes: Mapping[str, Any], stored: Mapping[str, str]) -> bool:
    return bool(changes.get("segmentation")) or ("bbox" in changes and "segmentation" not in stored)


def _merged_extra(annotation: Annotation, patch: Mapping[str, Any]) -> Any:
    texts = Annotation.objects.filter(pk=annotation.pk).values_list(Cast("extra", TextField()), flat=True)
    text = texts.get() or "{}"
    merged = merge_patch(text, patch) or text
    return None if merged == "{}" else Cast(Value(merged, output_field=TextField()), JSONField())


def _last(image: ImageAsset, kind: Kind) -> tuple[int, int]:
    """Greatest COCO id of the kind in the project, so that its splits fit into one file; and the place of the last
    annotation of the image's split in its file: a new one goes there."""
    rows = Annotation.objects.filter(project=image.project_id, kind=kind, coco_id__lte=LAST_ID).order_by("-coco_id")
    # Split by split, for the index is one of splits.
    greatest = rows.filter(split=OuterRef("pk")).values("coco_id")[:1]
    found = Split.objects.filter(project=image.project_id).aggregate(greatest=Max(Subquery(greatest)))["greatest"]
    return found or 0, rows.filter(split=image.split_id).values_list("position", flat=True).first() or 0
