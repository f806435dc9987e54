"""Changes to images: tags, metadata, review status. One image or many, the same rules, the same trail."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import Case, CharField, F, Func, JSONField, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Now

from accounts.errors import ServiceError, StaleEdit
from accounts.models import User
from assets.models import ImageAsset
from projects import audit, policies
from projects.models import Project, Role

MAX_TAG = 100  # characters
MAX_TAGS = 200  # per image
MAX_METADATA = 64 * 1024  # bytes of JSON of one change
MAX_DEPTH = 32
MAX_KEY = 200  # characters
# These have columns of their own; as metadata they would stand twice in an exported record.
RESERVED = frozenset(["id", "file_name", "width", "height"])
# SQL: the first array less the second, each tag once, in the order of first use.
TAGS_LEFT = (
    "ARRAY(SELECT u.tag FROM (SELECT %(expressions)s) AS given(held, removed), "
    "unnest(given.held) WITH ORDINALITY AS u(tag, place) "
    "WHERE u.tag <> ALL(given.removed) GROUP BY u.tag ORDER BY min(u.place))"
)
REVIEW = frozenset(["ready", "in_review", "approved", "rejected"])


@dataclass(frozen=True)
class Edit:
    """A change to one or more images. None leaves a field as it is.

    `tags` replaces all tags; `add_tags` and `remove_tags` change them; `metadata` is a JSON merge patch (RFC 7396: null
    removes a key); `status` is one that curators give.
    """

    tags: Sequence[str] | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None
    status: str | None = None

    def check(self) -> None:
        """Raise ServiceError with the fields at fault."""
        faults: dict[str, list[str]] = {}
        for name in ("tags", "add_tags", "remove_tags"):
            found = _tag_faults(getattr(self, name) or ())
            if found:
                faults[name] = found
        if self.metadata is not None and (found := _metadata_faults(self.metadata)):
            faults["metadata"] = found
        if self.status is not None and self.status not in REVIEW:
            faults["status"] = [
                f"{self.status!r} is given by CocoHub or unknown; expected {', '.join(sorted(REVIEW))}."
            ]
        if faults:
            raise ServiceError("The change cannot be made.", fields=faults)

    def as_dict(self) -> dict[str, Any]:
        """What is changed, for the audit line."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in said.items() if value not in (None, ())}


def _tag_faults(tags: Iterable[Any]) -> list[str]:
    faults = []
    tags = list(tags)
    if len(tags) > MAX_TAGS:
        faults.append(f"{len(tags)} tags; {MAX_TAGS} is the most.")
    for tag in tags[:MAX_TAGS]:
        if not isinstance(tag, str) or not tag.strip() or tag != tag.strip():
            faults.append(f"{tag!r} is no tag; expected a text without white space at its ends.")
        elif len(tag) > MAX_TAG:
            faults.append(f"{tag[:20]!r}... has {len(tag)} characters; {MAX_TAG} is the most.")
        elif not _storable(tag):
            faults.append("A tag holds a character that cannot be stored (NUL or half of a surrogate pair).")
    return faults


def _storable(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


def _metadata_faults(patch: Mapping[str, Any]) -> list[str]:
    taken = sorted(RESERVED & set(patch))
    if taken:
        return [f"{', '.join(map(repr, taken))} cannot be metadata: COCO has fields of that name."]
    if len(json.dumps(patch, default=str)) > MAX_METADATA:
        return [f"The change is longer than {MAX_METADATA:,} bytes."]
    return _value_faults(patch, 1)


def _value_faults(value: Any, depth: int) -> list[str]:
    if depth > MAX_DEPTH:
        return [f"Nested deeper than {MAX_DEPTH} levels."]
    if isinstance(value, str) and not _storable(value):
        return ["A text holds a character that cannot be stored (NUL or half of a surrogate pair)."]
    children: Iterable[Any] = ()
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or len(key) > MAX_KEY or not _storable(key) for key in value):
            return [f"A key is longer than {MAX_KEY} characters or cannot be stored."]
        children = value.values()
    elif isinstance(value, list):
        children = value
    for child in children:
        if faults := _value_faults(child, depth + 1):
            return faults
    return []


@transaction.atomic
def update_asset(*, user: User, asset: ImageAsset, edit: Edit, version: int | None = None) -> ImageAsset:
    """Change one image. Raises StaleEdit if `version` is given and the image has moved on since."""
    policies.require(user, Role.CURATOR, asset.project)
    edit.check()
    held = ImageAsset.objects.select_for_update(of=("self",)).select_related("project").get(pk=asset.pk)
    if version is not None and held.version != version:
        raise StaleEdit(
            f"The image has been changed since you read it: you have version {version}, it is at {held.version}. "
            "Read it again and repeat your change.",
            detail={"version": held.version},
        )
    before = {"tags": held.tags, "metadata": held.metadata, "status": held.status}
    if _apply(held.project, ImageAsset.objects.filter(pk=held.pk), edit):
        held.refresh_from_db()
        audit.record(user, held.project, "asset.updated", asset=held.pk, before=before, **edit.as_dict())
    return held


@transaction.atomic
def update_assets(*, user: User, project: Project, assets: QuerySet[ImageAsset], edit: Edit) -> int:
    """Change all of these images of the project; the number of those that are different now."""
    policies.require(user, Role.CURATOR, project)
    edit.check()
    changed = _apply(project, assets.filter(project=project), edit)
    if changed:
        audit.record(user, project, "assets.updated", number=changed, **edit.as_dict())
    return changed


def _apply(project: Project, assets: QuerySet[ImageAsset], edit: Edit) -> int:
    """Write what differs; raise the project's revision if anything did."""
    keys = list(assets.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    assets = ImageAsset.objects.filter(pk__in=keys)
    values: dict[str, Any] = {}
    if edit.tags is not None or edit.add_tags or edit.remove_tags:
        values["tags"] = _tags_expression(edit)
    if edit.status is not None:
        values["status"] = _status_expression(edit.status)
    changed: set[int] = set()
    for name, value in values.items():
        differing = assets.annotate(wanted=value).exclude(**{name: F("wanted")})
        rows = list(differing.values_list("pk", flat=True))
        ImageAsset.objects.filter(pk__in=rows).update(**{name: value})
        changed.update(rows)
    if edit.metadata:
        changed |= _merge_metadata(assets, edit.metadata)
    if changed:
        ImageAsset.objects.filter(pk__in=changed).update(version=F("version") + 1, updated_at=Now())
        project.touch()
    return len(changed)


def _tags_expression(edit: Edit) -> Any:
    """The tags after the edit, without repeats, in the order of their first use."""
    array: ArrayField[Any, Any] = ArrayField(TextField())
    start = Value(list(edit.tags), output_field=array) if edit.tags is not None else F("tags")
    return Func(
        Func(start, Value(list(edit.add_tags), output_field=array), function="array_cat", output_field=array),
        Value(list(edit.remove_tags), output_field=array),
        template=TAGS_LEFT,
        output_field=array,
    )


def _status_expression(status: str) -> Any:
    """Back to `ready` is only for images with a picture; without one they are `missing` again."""
    if status != ImageAsset.Status.READY:
        return Value(status, output_field=CharField())
    return Case(
        When(issues__contains=["file_broken"], then=Value(ImageAsset.Status.BROKEN.value)),
        When(uri="", then=Value(ImageAsset.Status.MISSING.value)),
        default=Value(status),
        output_field=CharField(),
    )


def _merge_metadata(assets: QuerySet[ImageAsset], patch: Mapping[str, Any]) -> set[int]:
    """Merge-patch each image's metadata; numbers that are not touched keep every digit."""
    changed = set()
    for key, text in assets.annotate(text=Cast("metadata", TextField())).values_list("pk", "text").iterator(2_000):
        merged = merge_patch(text, patch)
        if merged is not None:
            value = Cast(Value(merged, output_field=TextField()), JSONField())
            ImageAsset.objects.filter(pk=key).update(metadata=value)
            changed.add(key)
    return changed


def merge_patch(text: str, patch: Mapping[str, Any]) -> str | None:
    """JSON text after an RFC 7396 merge patch; None if that changes nothing."""
    before = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    after = _merged(before, patch)
    return None if after == before else orjson.dumps(after, default=_number).decode()


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is no JSON value")
