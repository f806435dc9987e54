"""Many annotations made, changed and deleted in one transaction, with what they were kept for an undo.

For changes that come from elsewhere, a few hundred at a time. Each is held to what `editing` holds one to; one that
cannot be made is told of and keeps none of the others from being made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import F, TextField
from django.db.models.functions import Cast, Now

from accounts.errors import ServiceError
from accounts.models import User
from annotations import categories, checking, undo
from annotations.coco.images import TEXT_IDS
from annotations.models import Annotation, Category, Kind
from annotations.predictions import FIRST_ID
from assets.models import ImageAsset
from projects import audit, policies
from projects.models import Project, Role

LAST_COUNTED = min(TEXT_IDS, FIRST_ID)  # ids of files count up to here; above are those of texts and of predictions


class What(StrEnum):
    """What is done to an annotation."""

    MAKE = "annotation.created"
    CHANGE = "annotation.updated"
    DELETE = "annotation.deleted"


@dataclass(frozen=True)
class Revision:
    """One change. `fields` are those of a COCO record and `category` (a primary key); None takes one out.

    `version` is the one that the change was made for. A new annotation gets the COCO id, or else the next that is free;
    `extra` are its fields without a column.
    """

    what: What
    image: int | None = None
    annotation: int | None = None
    version: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    coco_id: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)  # for the audit line


@dataclass
class Outcome:
    """What became of a change: `refused` says why it was not made, `stale` that the annotation has moved on.

    `previous` is the row as it was (JSON text, for `restore`) and `version` the one that it has now; `changed` is false
    where there was nothing to do.
    """

    annotation: int | None = None
    version: int | None = None
    coco_id: int | None = None
    previous: str = ""
    changed: bool = False
    stale: bool = False
    refused: str = ""


def revise(
    *,
    user: User,
    project: Project,
    revisions: Sequence[Revision],
    source: str,
    floors: Mapping[int, int] | None = None,
) -> list[Outcome]:
    """Make the changes, inside of the caller's transaction; the outcomes are in their order. For curators.

    What is made or changed says `source`, and that a person made it. `floors` has, by split, the greatest COCO id that
    a new one must be above, whether or not an annotation has it now.
    """
    policies.require(user, Role.CURATOR, project)
    return _Reviser(user, project, source, floors or {}).run(revisions)


class _Reviser:
    def __init__(self, user: User, project: Project, source: str, floors: Mapping[int, int]) -> None:
        self.user, self.project, self.source, self.floors = user, project, source, floors
        self.images: dict[int, ImageAsset] = {}
        self.held: dict[int, Annotation] = {}
        self.stored: dict[int, dict[str, str]] = {}
        self.records: dict[int, str] = {}
        self.categories: dict[int, Category] = {}
        self.allowed: dict[tuple[int, int, int], str] = {}
        self.next: dict[int, tuple[int, int]] = {}
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def run(self, revisions: Sequence[Revision]) -> list[Outcome]:
        self._lock(revisions)
        self.project.touch()  # makes others who number an annotation wait
        do: Mapping[What, Callable[[Revision], Outcome]] = {
            What.MAKE: self._make, What.CHANGE: self._change, What.DELETE: self._delete
        }  # fmt: skip
        outcomes = []
        for revision in revisions:
            try:
                outcomes.append(do[revision.what](revision))
            except ServiceError as error:
                words = "; ".join(text for texts in (error.fields or {}).values() for text in texts)
                outcomes.append(Outcome(revision.annotation, refused=words or error.message))
        recount(self.images)
        leave_lines(self.user, self.project, self.lines)
        return outcomes

    # --- What there is ----------------------------------------------------------------------------------------------

    def _lock(self, revisions: Sequence[Revision]) -> None:
        """Images first, then annotations, then the project: as everybody does."""
        keys = {one.annotation for one in revisions if one.annotation is not None}
        rows = Annotation.objects.filter(project=self.project, pk__in=keys)
        wanted = {one.image for one in revisions if one.image is not None} | set(
            rows.values_list("image_id", flat=True)
        )
        images = ImageAsset.objects.filter(project=self.project, pk__in=wanted).order_by("pk").select_for_update()
        self.images = {image.pk: image for image in images}
        self.held = {row.pk: row for row in rows.order_by("pk").select_for_update()}
        texts = [Cast(name, TextField()) for name in checking.COLUMNS]
        for key, *values in rows.values_list("pk", *texts):
            self.stored[key] = {
                name: str(text) for name, text in zip(checking.COLUMNS, values, strict=True) if text is not None
            }
        self.records = _records(keys)
        named = {one.fields["category"] for one in revisions if one.fields.get("category") is not None}
        self.categories = {row.pk: row for row in Category.objects.filter(project=self.project, pk__in=named)}

    def _current(self, revision: Revision) -> Annotation | None:
        held = self.held.get(revision.annotation or 0)
        if held is None or (revision.version is not None and held.version != revision.version):
            return None
        return held

    def _category(self, key: Any, split: int, kind: int) -> Category:
        category = self.categories.get(key)
        if category is None:
            raise ServiceError(f"There is no category {key} in this project any more.")
        place = (category.pk, split, kind)
        if place not in self.allowed:
            try:
                categories.refuse_clashes(self.project, category, [(split, kind)])
                self.allowed[place] = ""
            except ServiceError as error:
                self.allowed[place] = error.message
        if self.allowed[place]:
            raise ServiceError(self.allowed[place])
        return category

    # --- What is done -----------------------------------------------------------------------------------------------

    def _make(self, revision: Revision) -> Outcome:
        image = self.images.get(revision.image or 0)
        if image is None:
            raise ServiceError("The image is not here any more.")
        given = dict(revision.fields)
        category = self._category(given.pop("category", None), image.split_id, Kind.OBJECT)
        given.setdefault("iscrowd", 0)
        columns = checking.check(image, given, revision.extra, {}, Kind.OBJECT)
        coco_id, position = self._number(image.split_id, revision.coco_id)
        kept = {name: value for name, value in revision.extra.items() if value is not None}
        made = Annotation.objects.create(
            project=self.project, split_id=image.split_id, image=image, category=category, kind=Kind.OBJECT,
            coco_id=coco_id, position=position, extra=kept or None, source=self.source, **columns,
        )  # fmt: skip
        self._tell(revision, annotation=made.pk, coco_id=coco_id, image=image.pk)
        return Outcome(made.pk, 1, coco_id, changed=True)

    def _change(self, revision: Revision) -> Outcome:
        held = self._current(revision)
        if held is None:
            return Outcome(revision.annotation, stale=True)
        given = dict(revision.fields)
        new: dict[str, Any] = {}
        if "category" in given:
            new["category_id"] = self._category(given.pop("category"), held.split_id, held.kind).pk
        new |= checking.check(self.images[held.image_id], given, {}, self.stored[held.pk], Kind(held.kind))
        if all(getattr(held, name) == value for name, value in new.items() if name != "issues"):
            return Outcome(held.pk, held.version, held.coco_id)
        new |= {"source": self.source, "is_machine": False}
        Annotation.objects.filter(pk=held.pk).update(**new, version=F("version") + 1, updated_at=Now())
        names = ("category_id", "bbox", "iscrowd", "attributes", "source")
        before = {name: getattr(held, name) for name in names}
        self._tell(revision, annotation=held.pk, coco_id=held.coco_id, fields=sorted(revision.fields), before=before)
        return Outcome(held.pk, held.version + 1, held.coco_id, self.records[held.pk], changed=True)

    def _delete(self, revision: Revision) -> Outcome:
        held = self._current(revision)
        if held is None:
            return Outcome(revision.annotation, stale=True)
        names = ("coco_id", "kind", "category_id", "bbox", "iscrowd", "num_keypoints", "attributes", "extra", "source")
        before = {name: getattr(held, name) for name in names}
        Annotation.objects.filter(pk=held.pk).delete()
        del self.held[held.pk]
        self._tell(revision, annotation=held.pk, image=held.image_id, before=before)
        return Outcome(held.pk, held.version, held.coco_id, self.records[held.pk], changed=True)

    def _number(self, split: int, wanted: int | None) -> tuple[int, int]:
        """A COCO id that nobody in the split has, and the place in the file behind all others."""
        rows = Annotation.objects.filter(project=self.project, split=split, kind=Kind.OBJECT)
        if split not in self.next:
            counted = rows.filter(coco_id__lt=LAST_COUNTED).order_by("-coco_id")
            greatest, position = counted.values_list("coco_id", "position").first() or (0, 0)
            self.next[split] = (max(greatest, self.floors.get(split, 0)), position)
        greatest, position = self.next[split]
        if wanted is not None and not rows.filter(coco_id=wanted).exists():
            return wanted, position
        greatest += 1
        while rows.filter(coco_id=greatest).exists():
            greatest += 1
        self.next[split] = (greatest, position)
        return greatest, position

    def _tell(self, revision: Revision, **detail: Any) -> None:
        self.lines.append((revision.what, {**detail, **revision.about}))


# --- Rows as JSON -----------------------------------------------------------------------------------------------------


def _records(keys: Iterable[int]) -> dict[int, str]:
    """Whole rows as JSON texts, which keep every digit; their JSON columns as text, as `undo` keeps them."""
    record = undo._record(Annotation, "a")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT a.id, ({record})::text FROM {undo.ANNOTATIONS} a WHERE a.id = ANY(%s)", [list(keys)])
        return dict(cursor.fetchall())


# --- What goes with it ------------------------------------------------------------------------------------------------


def recount(images: Iterable[int]) -> None:
    """Bring the images' numbers of annotations up to date."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {undo.IMAGES} a SET annotation_count = counted.number
            FROM (
                SELECT i.id, (SELECT count(*) FROM {undo.ANNOTATIONS} n WHERE n.image_id = i.id) AS number
                FROM {undo.IMAGES} i WHERE i.id = ANY(%s)
            ) AS counted
            WHERE a.id = counted.id AND a.annotation_count <> counted.number
            """,
            [list(images)],
        )


def leave_lines(user: User, project: Project, lines: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """An audit line for each: (action, detail)."""
    for action, detail in lines:
        audit.record(user, project, action, **detail)
