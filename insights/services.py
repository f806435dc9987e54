"""Saved views: made, changed, copied, pinned, taken out. Curators write, viewers read."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from django.db import IntegrityError, transaction

from accounts.api.rendering import dumps
from accounts.errors import Conflict, Forbidden, NotFound, ServiceError, StaleEdit
from accounts.models import User
from insights import visualization
from insights.models import InsightView
from projects import audit, policies
from projects.models import Project, Role

MAX_NAME = 200
MAX_VIEWS = 1_000  # of a project
CHANGEABLE = ("name", "query", "visualization", "shared")


@transaction.atomic
def create_view(
    *, user: User, project: Project, name: str, query: Any, visualization: Any, shared: bool = True
) -> InsightView:
    """Keep a view. For curators. Raises ServiceError for what cannot be drawn, Conflict for a name already used."""
    policies.require(user, Role.CURATOR, project)
    if InsightView.objects.filter(project=project).count() >= MAX_VIEWS:
        raise Conflict(f"This project has {MAX_VIEWS:,} views, which is the most. Delete some that nobody needs.")
    values = _checked(project, {"name": name, "query": query, "visualization": visualization, "shared": shared})
    view = InsightView(project=project, saved_by=user, **values)
    _save(view)
    audit.record(user, project, "view.created", view=view.pk, **values)
    return view


@transaction.atomic
def update_view(*, user: User, view: InsightView, version: str | None = None, **changes: Any) -> InsightView:
    """Change `name`, `query`, `visualization` or `shared`. For curators; only who saved a view can make it private.

    Raises StaleEdit if `version` is given and the view has been changed since.
    """
    held = _lock(user, view, version)
    values = _checked(held.project, {name: changes[name] for name in CHANGEABLE if name in changes})
    values = {name: value for name, value in values.items() if getattr(held, name) != value}
    if values.get("shared") is False and held.saved_by_id != user.pk:
        text = "Only who saved a view can make it private. Duplicate it to have one of your own."
        raise Forbidden(text, fields={"shared": [text]})
    if values:
        before = {name: getattr(held, name) for name in values}
        for name, value in values.items():
            setattr(held, name, value)
        _save(held)
        audit.record(
            user, held.project, "view.updated", view=held.pk, changes={n: [before[n], values[n]] for n in values}
        )
    return held


@transaction.atomic
def duplicate_view(*, user: User, view: InsightView, name: str = "") -> InsightView:
    """Keep a copy as one's own, private until it is shared. For curators."""
    policies.require(user, Role.CURATOR, view.project)
    copy = InsightView(
        project=view.project,
        saved_by=user,
        name=_checked_name(name) if name else _free_name(user, view),
        query=view.query,
        visualization=view.visualization,
        shared=False,
    )
    _save(copy)
    audit.record(user, view.project, "view.duplicated", view=copy.pk, of=view.pk, name=copy.name)
    return copy


@transaction.atomic
def pin_view(*, user: User, view: InsightView, pinned: bool, version: str | None = None) -> InsightView:
    """Have the view stand first in the lists of everybody who sees it, or no longer. For curators."""
    held = _lock(user, view, version)
    if held.pinned != pinned:
        held.pinned = pinned
        held.save(update_fields=["pinned", "updated_at"])
        audit.record(user, held.project, "view.pinned" if pinned else "view.unpinned", view=held.pk, name=held.name)
    return held


@transaction.atomic
def delete_view(*, user: User, view: InsightView, version: str | None = None) -> None:
    """Take a view out. For who saved it, and for managers. Raises StaleEdit as `update_view` does."""
    held = _lock(user, view, version)
    if held.saved_by_id != user.pk:
        policies.require(user, Role.MANAGER, held.project)
    pk = held.pk
    held.delete()
    audit.record(user, held.project, "view.deleted", view=pk, name=held.name)


def version_of(view: InsightView) -> str:
    """What of a view can be changed, as one word: the same as long as that is."""
    told = [view.pk, view.name, view.query, view.visualization, view.shared, view.pinned]
    return blake2b(dumps(told), digest_size=8).hexdigest()


def _checked(project: Project, values: dict[str, Any]) -> dict[str, Any]:
    """All faults of all fields at once."""
    faults: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    checks: dict[str, Callable[[Any], Any]] = {
        "name": _checked_name,
        "query": lambda value: visualization.checked_query(project, value),
        "visualization": visualization.checked,
        "shared": bool,
    }
    first: ServiceError | None = None
    for name, value in values.items():
        try:
            found[name] = checks[name](value)
        except ServiceError as error:
            first = first or error
            faults |= error.fields
    if first is not None:
        raise ServiceError(first.message, detail=first.detail, fields=faults)
    return found


def _checked_name(name: Any) -> str:
    text = name.strip() if isinstance(name, str) else ""
    if not text or len(text) > MAX_NAME or "\0" in text:
        message = f"Expected a name of 1 to {MAX_NAME} characters."
        raise ServiceError(message, fields={"name": [message]})
    return text


def _free_name(user: User, view: InsightView) -> str:
    taken = set(InsightView.objects.filter(project=view.project, saved_by=user).values_list("name", flat=True))
    number = 1
    while True:
        ending = " (copy)" if number == 1 else f" (copy {number})"
        name = view.name[: MAX_NAME - len(ending)] + ending
        if name not in taken:
            return name
        number += 1


def _save(view: InsightView) -> None:
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as error:
        text = f"You have a view named {view.name!r} in this project already."
        raise Conflict(text, fields={"name": [text]}) from error


def _lock(user: User, view: InsightView, version: str | None) -> InsightView:
    policies.require(user, Role.CURATOR, view.project)
    visible = InsightView.objects.visible_to(user)
    held = visible.select_for_update(of=("self",)).select_related("project").filter(pk=view.pk).first()
    if held is None:
        raise NotFound(f"There is no view {view.pk} among those you see.")
    if version is not None and version != version_of(held):
        raise StaleEdit("The view has been changed since you read it. Read it again and repeat your change.")
    return held
