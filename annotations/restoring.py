"""Annotations that `revising` has made, changed or deleted, put back as they were."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from accounts.models import User
from annotations import undo
from annotations.models import Annotation
from annotations.revising import leave_lines, recount
from assets.models import ImageAsset
from projects import policies
from projects.models import Project, Role

# An image may have gone to another split meanwhile, and its annotations with it.
NOT_RESTORED = frozenset({"id", "version", "updated_at", "split_id", "image_id"})
CATEGORY_IS_THERE = "(r.category_id IS NULL OR EXISTS (SELECT FROM annotations_category c WHERE c.id = r.category_id))"


@dataclass(frozen=True)
class Made:
    """What an undo needs of a change that was made."""

    annotation: int
    version: int  # that it gave
    previous: str  # JSON text; "" if it was made anew
    deleted: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)


def restore(*, user: User, project: Project, made: Sequence[Made]) -> dict[int, int | None]:
    """Put back what `revise` has changed, inside of the caller's transaction: {annotation: its version now, None if it
    is gone}. What was changed since, or whose place is taken, is left alone and not in it. For curators."""
    policies.require(user, Role.CURATOR, project)
    keys = [one.annotation for one in made]
    rows = Annotation.objects.filter(project=project, pk__in=keys)
    kept = {one.annotation: json.loads(one.previous) for one in made if one.previous}
    wanted = set(rows.values_list("image_id", flat=True)) | {int(row["image_id"]) for row in kept.values()}
    images = ImageAsset.objects.filter(project=project, pk__in=wanted).order_by("pk").select_for_update()
    locked = {image.pk: image for image in images}
    versions = dict(rows.order_by("pk").select_for_update().values_list("pk", "version"))
    project.touch()
    done: dict[int, int | None] = {}
    lines: list[tuple[str, dict[str, Any]]] = []
    # What was made goes first: something that comes back may have its COCO id.
    for one in sorted(made, key=lambda each: each.annotation in kept):
        if one.annotation not in kept:
            if versions.get(one.annotation) == one.version:
                Annotation.objects.filter(pk=one.annotation).delete()
                done[one.annotation] = None
        elif one.deleted:
            if one.annotation not in versions and _insert(one.previous, kept[one.annotation], locked):
                done[one.annotation] = int(kept[one.annotation]["version"]) + 1
        elif versions.get(one.annotation) == one.version and _put_back(one.annotation, one.previous):
            done[one.annotation] = one.version + 1
        if one.annotation in done:
            lines.append(("annotation.restored", {"annotation": one.annotation, **one.about}))
    recount(locked)
    leave_lines(user, project, lines)
    return done


def _put_back(key: int, previous: str) -> bool:
    names = [name for name in undo._columns(Annotation) if name not in NOT_RESTORED]
    sets = ", ".join(f"{name} = {undo._from_record(Annotation, name)}" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {undo.ANNOTATIONS} a SET {sets}, version = a.version + 1, updated_at = now()
            FROM jsonb_populate_record(NULL::{undo.ANNOTATIONS}, %s::jsonb) AS r
            WHERE a.id = %s AND {CATEGORY_IS_THERE}
            """,
            [previous, key],
        )
        return bool(cursor.rowcount)


def _insert(previous: str, row: Mapping[str, Any], images: Mapping[int, ImageAsset]) -> bool:
    image = images.get(int(row["image_id"]))
    if image is None:
        return False
    rows = Annotation.objects.filter(project=image.project_id, split=image.split_id, kind=row["kind"])
    if rows.filter(coco_id=row["coco_id"]).exists():
        return False
    names = undo._columns(Annotation)
    new = {"version": "r.version + 1", "updated_at": "now()", "split_id": "%s"}
    values = ", ".join(new.get(name) or undo._from_record(Annotation, name) for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {undo.ANNOTATIONS} ({", ".join(names)}) SELECT {values}
            FROM jsonb_populate_record(NULL::{undo.ANNOTATIONS}, %s::jsonb) AS r WHERE {CATEGORY_IS_THERE}
            """,
            [image.split_id, previous],
        )
        return bool(cursor.rowcount)
