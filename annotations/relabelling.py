"""Annotations given other categories, many at once: by a query, by merging categories, by deleting one.

Each is a bulk edit: a few annotations at once, many as a task; and each can be undone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from accounts.errors import Conflict, ServiceError
from accounts.models import User
from annotations import bulk, categories, labels, query
from annotations.categories import Clash
from annotations.models import Annotation, BulkEdit, Category, DocumentCategory, Kind
from projects import policies
from projects.models import Project, Role

Action = BulkEdit.Action
FATES = ("refuse", labels.KEEP, labels.DELETE)  # what becomes of a deleted category's annotations


@dataclass(frozen=True)
class Relabelling:
    """What relabelling by a query did, or would do. Where a task does it, only the task knows."""

    matched: int  # annotations of the query
    changed: int  # of them, those that were of another category, or of none
    images: int
    categories: list[dict[str, Any]]  # that they were of: id, name, annotations
    done: bool
    edit: BulkEdit | None = None

    @property
    def bulk_edit(self) -> int | None:
        """The key of the bulk edit, with which it can be undone."""
        return self.edit.pk if self.edit is not None else None


@dataclass
class Effect:
    """What a merge or a deletion of categories does, or would do."""

    annotations: int = 0
    images: int | None = None  # that have one of these annotations; counted for a dry run alone
    categories: list[dict[str, Any]] = field(default_factory=list)  # that go: id, coco_id, name, annotations
    documents: int = 0  # COCO documents whose list of categories changes
    clashes: list[Clash] = field(default_factory=list)
    done: bool = False
    edit: BulkEdit | None = None

    @property
    def bulk_edit(self) -> int | None:
        """The key of the bulk edit, with which it can be undone."""
        return self.edit.pk if self.edit is not None else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "annotations": self.annotations,
            "images": self.images,
            "categories": self.categories,
            "documents": self.documents,
            "clashes": [asdict(clash) for clash in self.clashes],
            "done": self.done,
        }


def relabel(*, user: User, project: Project, q: str, category: Category, dry_run: bool = False) -> Relabelling:
    """Give all objects that a query selects the category; with `dry_run` only tell how many. For curators.

    Raises Conflict where that would give a COCO document one id for two names or two ids for one name, and QueryError
    for a query that takes too long to be told about.
    """
    policies.require(user, Role.CURATOR, project)
    edit = BulkEdit(
        project=project, action=Action.RELABEL, selection={"q": query.canonical(q)},
        change={"category": category.pk, "name": category.name}, created_by=user,
    )  # fmt: skip
    if dry_run:
        with query.statement_timeout():
            found = _found(edit)
            categories.refuse_clashes(project, category, _places(edit))
        return found
    with query.statement_timeout():
        few = _few(edit)
        found = _found(edit) if few is not None else Relabelling(0, 0, 0, [], done=False)
    bulk.begin(edit, few)
    return Relabelling(found.matched, found.changed, found.images, found.categories, few is not None, edit)


def _few(edit: BulkEdit) -> list[int] | None:
    """The keys of the annotations, if they are few enough to be changed while the client waits."""
    keys = [row["pk"] for row in labels.chosen(edit)[: bulk.AT_ONCE_ANNOTATIONS + 1]]
    return sorted(keys) if len(keys) <= bulk.AT_ONCE_ANNOTATIONS else None


def _found(edit: BulkEdit) -> Relabelling:
    objects = Annotation.objects.filter(kind=Kind.OBJECT)
    matched = query.filter_annotations(objects, edit.project, edit.selection["q"]).primary_keys().count()
    rows = Annotation.objects.filter(pk__in=labels.chosen(edit))
    found = rows.order_by().values("category", "category__name").annotate(annotations=Count("pk"))
    listed = [
        {"id": row["category"], "name": row["category__name"], "annotations": row["annotations"]}
        for row in found.order_by("-annotations", "category")
    ]
    images = rows.order_by().aggregate(number=Count("image", distinct=True))["number"]
    return Relabelling(matched, sum(each["annotations"] for each in listed), images, listed, done=False)


def _places(edit: BulkEdit) -> list[categories.Place]:
    rows = Annotation.objects.filter(pk__in=labels.chosen(edit))
    return list(rows.order_by().values_list("split_id", "kind").distinct())


def merge_categories(
    *, user: User, project: Project, sources: Sequence[Category], into: Category, dry_run: bool = False
) -> Effect:
    """Give the annotations of some categories to another one, and take those categories out. For curators.

    Documents that list one of the sources list `into` in its place. With `dry_run` nothing is changed. Raises Conflict
    where a document would have one id for two names, or two ids for one name.
    """
    policies.require(user, Role.CURATOR, project)
    going = sorted({category.pk for category in sources})
    if not going or into.pk in going:
        raise ServiceError(
            "Name one or more categories to merge, and another one to merge them into.",
            fields={"categories": ["Expected categories other than the one they are merged into."]},
        )
    edit = BulkEdit(
        project=project, action=Action.MERGE, selection={"categories": going},
        change={"category": into.pk, "name": into.name}, created_by=user,
    )  # fmt: skip
    with transaction.atomic():
        if not dry_run:
            list(Category.objects.select_for_update().filter(pk__in=[*going, into.pk]).order_by("pk"))
        effect = _effect(project, going, images=dry_run)
        places = categories.places(going)
        effect.clashes = categories.clashes(project, into.coco_id, into.name, places, [*going, into.pk])
        if not dry_run:
            categories.refuse(effect.clashes)
            _begin(edit, effect)
    return effect


def delete_category(
    *,
    user: User,
    category: Category,
    annotations: str = "refuse",
    dry_run: bool = False,
    version: str | None = None,
) -> Effect:
    """Take a category out of the project and of every document that lists it. For managers.

    `annotations` says what becomes of its annotations: `refuse` raises Conflict if there are any, `keep` leaves them
    without a category, `delete` deletes them. Raises StaleEdit if `version` is given and not the category's any more.
    """
    project = category.project
    policies.require(user, Role.MANAGER, project)
    if annotations not in FATES:
        text = f"{annotations[:40]!r} is nothing that can become of annotations; expected {', '.join(FATES)}."
        raise ServiceError(text, fields={"annotations": [text]})
    edit = BulkEdit(
        project=project, action=Action.UNLIST, selection={"categories": [category.pk]},
        change={"annotations": annotations}, created_by=user,
    )  # fmt: skip
    with transaction.atomic():
        if not dry_run:
            categories.hold(category, version)
        effect = _effect(project, [category.pk], images=dry_run)
        if dry_run:
            return effect
        if effect.annotations and annotations == "refuse":
            raise Conflict(
                f"{effect.annotations:,} annotations are of category {category.name!r}. Merge it into another one, or "
                "say whether they are to be kept without a category or deleted.",
                detail=effect.as_dict(),
            )
        _begin(edit, effect)
    return effect


def _begin(edit: BulkEdit, effect: Effect) -> None:
    edit.change["categories"] = effect.categories
    few = _few(edit)
    bulk.begin(edit, few)
    effect.done = few is not None
    effect.edit = edit


def _effect(project: Project, going: Sequence[int], *, images: bool) -> Effect:
    effect = Effect(documents=DocumentCategory.objects.filter(category__in=going).values("document").distinct().count())
    counted = Annotation.objects.filter(project=project, category=OuterRef("pk")).order_by().values("category")
    number = Coalesce(Subquery(counted.values(number=Count("pk"))), 0)
    for category in Category.objects.filter(pk__in=going).order_by("pk").annotate(number=number):
        effect.annotations += category.number
        said = {"id": category.pk, "coco_id": category.coco_id, "name": category.name, "annotations": category.number}
        effect.categories.append(said)
    if images:
        held = Annotation.objects.filter(project=project, category__in=going).order_by()
        effect.images = held.aggregate(number=Count("image", distinct=True))["number"]
    return effect
