"""Categories: made, renamed and described, so that every COCO file that lists them comes out right.

A document must not have one id for two names, nor two ids for one name, nor annotations of a category that is gone;
a change that would do that is refused, naming the documents.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Max, Q

from accounts.errors import Conflict, NotFound, ServiceError, StaleEdit
from accounts.models import User
from annotations.models import Annotation, Category, CocoDocument, DocumentCategory, Kind
from assets.models import Split
from assets.services import json_faults, merged_sql
from projects import audit, policies
from projects.models import Project, Role

MAX_NAME = 500  # characters
RESERVED = frozenset(["id", "name", "supercategory"])  # have columns of their own
COLOR = re.compile(r"#[0-9a-fA-F]{6}")

Place = tuple[int, int]  # key of a split, kind of annotations: what one COCO document is about


@dataclass(frozen=True)
class Clash:
    """A document in which a category cannot be, because another one there has its id or its name."""

    split: str
    kind: str
    category: int
    coco_id: int
    name: str


@transaction.atomic
def create_category(
    *,
    user: User,
    project: Project,
    name: str,
    coco_id: int | None = None,
    supercategory: str = "",
    color: str = "",
    meta: Mapping[str, Any] | None = None,
) -> Category:
    """Make a category; its COCO id is one above the project's greatest unless given. For curators.

    Raises Conflict for a name that there is: only who gives an id as well means another category of that name, such as
    splits that number theirs differently have.
    """
    policies.require(user, Role.CURATOR, project)
    _check(name=name, supercategory=supercategory, color=color, meta=meta)
    project.touch()  # makes others who number a category wait
    if coco_id is None:
        there = project.categories.filter(name=name).order_by("coco_id").first()
        if there is not None:
            raise _taken(there.coco_id, name)
        coco_id = (project.categories.aggregate(greatest=Max("coco_id"))["greatest"] or 0) + 1
    try:
        with transaction.atomic():
            category = Category.objects.create(
                project=project,
                coco_id=coco_id,
                name=name,
                supercategory=supercategory,
                color=color.lower(),
                meta={key: value for key, value in (meta or {}).items() if value is not None},
            )
    except IntegrityError as error:
        raise _taken(coco_id, name) from error
    audit.record(user, project, "category.created", category=category.pk, name=name, coco_id=coco_id)
    return category


@transaction.atomic
def update_category(
    *,
    user: User,
    category: Category,
    version: str | None = None,
    name: str | None = None,
    supercategory: str | None = None,
    color: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Category:
    """Rename, recolour or describe a category, also in every document that lists it; None leaves a field as it is.

    `meta` is a JSON merge patch. The colour (`#rrggbb`) is CocoHub's own and not exported. Raises Conflict if a
    document would then have two categories of one name, StaleEdit if `version` is given and is not the category's any
    more. For curators.
    """
    project = category.project
    policies.require(user, Role.CURATOR, project)
    _check(name=name, supercategory=supercategory, color=color, meta=meta)
    category = hold(category, version)
    given = {"name": name, "supercategory": supercategory, "color": color.lower() if color else color}
    changes = {key: value for key, value in given.items() if value is not None and value != getattr(category, key)}
    before = {key: getattr(category, key) for key in changes}
    if not changes and not meta:
        return category
    if "name" in changes:
        refuse(clashes(project, category.coco_id, str(name), places([category.pk]), [category.pk]))
    for key, value in changes.items():
        setattr(category, key, value)
    try:
        with transaction.atomic():
            category.save(update_fields=list(changes))
    except IntegrityError as error:
        raise _taken(category.coco_id, str(name)) from error
    if "supercategory" in changes:
        _set_supercategory(category, str(supercategory))
    if meta:
        _merge_meta(category, meta)
    project.touch()
    said = {**changes, **({"meta": dict(meta)} if meta else {})}
    audit.record(user, project, "category.updated", category=category.pk, before=before, changes=said)
    category.refresh_from_db()
    return category


def version_of(category: Category) -> str:
    """What of a category can be edited, as one word: the same as long as that is."""
    told = [category.coco_id, category.name, category.supercategory, category.color, category.meta]
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def hold(category: Category, version: str | None) -> Category:
    """The category as it is now, locked. Raises StaleEdit if `version` is given and is another one, NotFound."""
    held = Category.objects.select_for_update(of=("self",)).select_related("project").filter(pk=category.pk).first()
    if held is None:
        raise NotFound("This category has been deleted.")
    if version is not None and version != version_of(held):
        raise StaleEdit("The category has been changed since you read it. Read it again and repeat your change.")
    return held


# --- What is where ----------------------------------------------------------------------------------------------------


def places(categories: Collection[int]) -> set[Place]:
    """The (split, kind) of the documents that list one of these categories or have annotations of it."""
    listed = CocoDocument.objects.filter(listed__category__in=categories).values_list("split_id", "kind")
    used = Annotation.objects.filter(category__in=categories).values_list("split_id", "kind").order_by()
    first = Category.objects.filter(pk__in=categories).values_list("project", flat=True).first()
    return {*listed, *used.filter(project=first).distinct()}


def clashes(
    project: Project, coco_id: int, name: str, where: Iterable[Place], apart_from: Collection[int]
) -> list[Clash]:
    """Where a category of this id and name cannot be, because another one there has one of the two.

    `apart_from` are keys of categories that do not count.
    """
    others = Category.objects.filter(Q(coco_id=coco_id) | Q(name=name), project=project).exclude(pk__in=apart_from)
    where = sorted(where)
    if not where or not (found := list(others)):
        return []
    names = dict(Split.objects.filter(pk__in={split for split, _ in where}).values_list("pk", "name"))
    return [
        Clash(names.get(split, ""), Kind(kind).slug, other.pk, other.coco_id, other.name)
        for split, kind in where
        for other in found
        if _is_in(other, split, kind)
    ]


def refuse_clashes(project: Project, category: Category, where: Iterable[Place]) -> None:
    """Raise Conflict if the category cannot be in one of these documents."""
    refuse(clashes(project, category.coco_id, category.name, where, [category.pk]))


def _is_in(category: Category, split: int, kind: int) -> bool:
    listed = DocumentCategory.objects.filter(category=category, document__split=split, document__kind=kind)
    if listed.exists():
        return True
    used = Annotation.objects.filter(project=category.project_id, category=category, split=split, kind=kind)
    return used.exists()


def refuse(found: Sequence[Clash]) -> None:
    """Raise Conflict, naming them, if there are any."""
    if not found:
        return
    first = found[0]
    raise Conflict(
        f"The COCO document of {first.kind} in split {first.split!r} has category {first.name!r} with id "
        f"{first.coco_id}: one document cannot have one id for two names, or two ids for one name. "
        "Merge or rename that category too.",
        detail={"clashes": [asdict(each) for each in found]},
    )


# --- Writing ----------------------------------------------------------------------------------------------------------


def list_instead(going: Sequence[int], into: Category) -> None:
    """Documents that list a category that goes, and not `into`, list `into` in its place."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE annotations_documentcategory d SET category_id = c.id,
                fields = CASE WHEN c.supercategory = '' THEN '{}'
                    ELSE jsonb_build_object('supercategory', c.supercategory) END || c.meta
            FROM annotations_category c, (
                SELECT DISTINCT ON (document_id) id FROM annotations_documentcategory
                WHERE category_id = ANY(%(going)s) ORDER BY document_id, position, id
            ) AS first
            WHERE c.id = %(into)s AND d.id = first.id AND NOT EXISTS (
                SELECT FROM annotations_documentcategory other
                WHERE other.document_id = d.document_id AND other.category_id = c.id)
            """,
            {"going": list(going), "into": into.pk},
        )


def _set_supercategory(category: Category, text: str) -> None:
    new = json.dumps({"supercategory": text} if text else {}, ensure_ascii=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE annotations_documentcategory SET fields = (fields - 'supercategory') || %s::jsonb "
            "WHERE category_id = %s",
            [new, category.pk],
        )


def _merge_meta(category: Category, patch: Mapping[str, Any]) -> None:
    for table, column, key in (
        ("annotations_category", "meta", "id"),
        ("annotations_documentcategory", "fields", "category_id"),
    ):
        params: dict[str, Any] = {"category": category.pk}
        merged = merged_sql(column, patch, params)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = {merged} WHERE {key} = %(category)s", params)


def _check(*, name: str | None, supercategory: str | None, color: str | None, meta: Mapping[str, Any] | None) -> None:
    faults: dict[str, list[str]] = {}
    for key, text in (("name", name), ("supercategory", supercategory)):
        if text is not None and (found := json_faults(text)):
            faults[key] = found
        elif text is not None and len(text) > MAX_NAME:
            faults[key] = [f"{len(text):,} characters; {MAX_NAME} is the most."]
    if name is not None and not name.strip():
        faults["name"] = ["Expected a name."]
    if color and not COLOR.fullmatch(color):
        faults["color"] = [f"{color[:20]!r} is no colour; expected one such as #1f77b4."]
    taken = sorted(RESERVED & set(meta or ()))
    if taken:
        faults["meta"] = [f"{', '.join(taken)} cannot be among the other fields."]
    elif meta and (found := json_faults(meta)):
        faults["meta"] = found
    if faults:
        raise ServiceError("The category cannot be stored.", fields=faults)


def _taken(coco_id: int, name: str) -> Conflict:
    text = f"There is a category {name!r} with id {coco_id} already."
    return Conflict(text, fields={"name": [text]})
