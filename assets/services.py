"""Changes to images: tags, metadata, review status. One image or many, the same rules, the same trail."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.errors import ServiceError, StaleEdit
from accounts.models import User
from assets.models import ImageAsset
from projects import audit, policies
from projects.models import Project, Role

MAX_TAG = 100  # characters
MAX_TAGS = 200  # in one request
MAX_METADATA = 64 * 1024  # bytes of JSON of one change
MAX_DEPTH = 32
MAX_KEY = 200  # characters
# These have columns of their own; as metadata they would stand twice in an exported record.
RESERVED = frozenset(["id", "file_name", "width", "height"])
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
        empty: tuple[Any, ...] = (None, (), [], {})
        return {name: value for name, value in said.items() if value not in empty or (name == "tags" and value == [])}


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
    return json_faults(patch)


def json_faults(value: Any) -> list[str]:
    """Why a value that a client sent cannot be stored as JSON; nothing if it can."""
    if len(json.dumps(value, default=str)) > MAX_METADATA:
        return [f"The change is longer than {MAX_METADATA:,} bytes."]
    return _value_faults(value, 1)


def _value_faults(value: Any, depth: int) -> list[str]:
    if depth > MAX_DEPTH:
        return [f"Nested deeper than {MAX_DEPTH} levels."]
    if isinstance(value, float) and not math.isfinite(value):
        return ["A number is not finite."]
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
    if _write(held.project, [held.pk], edit):
        held.refresh_from_db()
        audit.record(user, held.project, "asset.updated", asset=held.pk, before=before, **edit.as_dict())
    return held


@transaction.atomic
def update_assets(*, user: User, project: Project, assets: QuerySet[ImageAsset], edit: Edit) -> int:
    """Change all of these images of the project; the number of those that are different now."""
    policies.require(user, Role.CURATOR, project)
    edit.check()
    keys = list(assets.filter(project=project).order_by().values_list("pk", flat=True))
    changed = _write(project, keys, edit)
    if changed:
        audit.record(user, project, "assets.updated", number=changed, **edit.as_dict())
    return changed


def _write(project: Project, keys: Sequence[int], edit: Edit) -> int:
    if not _wanted(edit, None, {}):
        return 0
    changes, params = changed_rows(project, "SELECT %(keys)s::bigint[]", {"keys": list(keys)}, edit)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {changes} SELECT count(*) FROM changed", params)
        changed = int(cursor.fetchone()[0])
    if changed:
        project.touch()
    return changed


# --- As SQL -----------------------------------------------------------------------------------------------------------

Params = dict[str, Any]

_READY = """CASE WHEN held.issues @> ARRAY['file_broken'] THEN 'broken' WHEN held.uri = '' THEN 'missing'
    ELSE 'ready' END"""


def changed_rows(
    project: Project, keys: str, params: Params, edit: Edit, *, split: int | None = None
) -> tuple[str, Params]:
    """SQL that writes an edit to the images whose keys the subquery `keys` gives as one array, and its parameters.

    It is the inside of a WITH, whose last table `changed` has a row for each image that is different now: `id`, the new
    `version`, and those of `tags`, `status`, `metadata` and `split_id` that are written, as they were. With `split`,
    the images go to it. Whoever runs it touches the project.
    """
    params = {**params, "project": project.pk}
    wanted = _wanted(edit, split, params)
    if not wanted:
        raise ValueError("the edit changes nothing")
    # Nothing else is read: metadata may be long.
    read = ", ".join(dict.fromkeys(["id", *wanted, *(("uri", "issues") if "status" in wanted else ())]))
    old = ", ".join(f"wanted.{name}" for name in wanted)
    new = ", ".join(f"wanted.{name} AS new_{name}" for name in wanted)
    values = ", ".join(f"{value} AS {name}" for name, value in wanted.items())
    sets = ", ".join(f"{name} = wanted.new_{name}" for name in wanted)
    differs = " OR ".join(f"held.{name} IS DISTINCT FROM wanted.{name}" for name in wanted)
    # Nothing here is joined but by the images' primary key: the planner does not know how many images there are.
    statement = f"""
        held AS MATERIALIZED (
            SELECT {read} FROM assets_imageasset
            WHERE id = ANY(({keys})::bigint[]) AND project_id = %(project)s
            ORDER BY id FOR UPDATE
        ), wanted AS MATERIALIZED (
            SELECT held.*, {new} FROM held CROSS JOIN LATERAL (SELECT {values}) AS wanted WHERE {differs}
        ), changed AS (
            UPDATE assets_imageasset a SET {sets}, version = a.version + 1, updated_at = now()
            FROM wanted WHERE a.id = wanted.id
            RETURNING a.id, a.version, {old}
        )
    """
    return statement, params


def _wanted(edit: Edit, split: int | None, params: Params) -> dict[str, str]:
    """Columns that the edit writes -> their new values as SQL over `held`."""
    wanted: dict[str, str] = {}
    if edit.tags is not None or edit.add_tags or edit.remove_tags:
        wanted["tags"] = _tags_sql(edit, params)
    if edit.status is not None:
        params["status"] = edit.status
        # Back to `ready` is only for images with a picture; without one they are `missing` again.
        wanted["status"] = _READY if edit.status == ImageAsset.Status.READY else "%(status)s::varchar"
    if edit.metadata:
        wanted["metadata"] = merged_sql("held.metadata", edit.metadata, params)
    if split is not None:
        params["split"] = split
        wanted["split_id"] = "%(split)s::bigint"
    return wanted


def _tags_sql(edit: Edit, params: Params) -> str:
    """The tags after the edit, in the order of their first use; what is both added and removed is removed."""
    removed = list(dict.fromkeys(edit.remove_tags))
    params["added"] = [tag for tag in dict.fromkeys(edit.add_tags) if tag not in removed]
    if edit.tags is not None:
        params["tags"] = [tag for tag in dict.fromkeys([*edit.tags, *params["added"]]) if tag not in removed]
        return "%(tags)s::text[]"
    left = "held.tags"
    for number, tag in enumerate(removed):
        params[f"removed{number}"] = tag
        left = f"array_remove({left}, %(removed{number})s::text)"
    if not params["added"]:
        return left
    new = "ARRAY(SELECT tag FROM unnest(%(added)s::text[]) AS tag WHERE tag <> ALL(held.tags))"
    # Most bulk edits add one tag, which most images do not have.
    return f"CASE WHEN held.tags @> %(added)s::text[] THEN {left} ELSE {left} || {new} END"


def merged_sql(target: str, patch: Mapping[str, Any], params: Params) -> str:
    """SQL for the JSON object `target` after an RFC 7396 merge patch; numbers that are not touched keep every digit."""
    name = f"patch{len(params)}"
    flat = {key: value for key, value in patch.items() if value is not None and not isinstance(value, Mapping)}
    nested = {key: value for key, value in patch.items() if isinstance(value, Mapping)}
    params[f"{name}_gone"] = [key for key, value in patch.items() if value is None]
    params[name] = json.dumps(flat, ensure_ascii=False, allow_nan=False)
    merged = f"({target} - %(" + f"{name}_gone)s::text[] || %({name})s::jsonb"
    for number, (key, inner) in enumerate(nested.items()):
        params[f"{name}_key{number}"] = key
        at = f"%({name}_key{number})s::text"
        # What is no object gives way to an empty one; written so that the path to it stands here only once.
        below = f"""COALESCE(jsonb_path_query_first({target} -> {at}, 'strict $ ? (@.type() == "object")'), '{{}}')"""
        merged += f" || jsonb_build_object({at}, {merged_sql(below, inner, params)})"
    return merged + ")"


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
