"""Changes to many images at once: first the number is told, then it is done, and it can be undone."""

from typing import Any

import orjson
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.errors import NotFound, ServiceError
from annotations import bulk as bulk_edits
from annotations import labels, query
from annotations.changes import Change, Selection
from annotations.counting import count
from annotations.models import BulkEdit
from assets.admin import split_tags
from assets.models import ImageAsset
from assets.services import Edit
from cocohub.workplace.pages import in_project
from projects import policies
from projects.admin_base import admin_user
from projects.models import Project, Role

MOST_IDS = 10_000
ID_DIGITS = 18


@in_project(Role.CURATOR, as_json=True)
@require_POST
def bulk(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Change the images of `ids`, or with `all` those of `q`; without `apply` only tell what would be done."""
    change, selection = change_of(request), selection_of(request)
    policies.require(admin_user(request), change.role, project)
    change.check()
    selection.check()
    if "apply" not in request.POST:
        with query.statement_timeout():
            number, exact = count(selection.images(project))
        return JsonResponse(
            {"count": number, "exact": exact, "text": _foretold(number, exact), "changes": told(change)}
        )
    edit = bulk_edits.start(
        user=admin_user(request), project=project, selection=selection, change=change, key=request.POST.get("key", "")
    )
    return JsonResponse(answer(edit))


@in_project(Role.CURATOR, as_json=True)
@require_POST
def undo(request: HttpRequest, project: Project, edit_pk: int) -> HttpResponseBase:
    """Put back what a bulk edit changed; images that were changed since stay as they are."""
    edit = BulkEdit.objects.filter(project=project, pk=edit_pk).select_related("project").first()
    if edit is None:
        raise NotFound(_("There is no such change in this project."))
    undone = bulk_edits.start_undo(user=admin_user(request), edit=edit, skip_changed=True)
    return JsonResponse(answer(undone))


def selection_of(request: HttpRequest) -> Selection:
    """What the page has selected. Raises ServiceError where that is nothing, or no selection."""
    if request.POST.get("all"):
        return Selection(q=request.POST.get("q", ""))
    words = [word for word in request.POST.get("ids", "").split(",") if word]
    if not words or len(words) > MOST_IDS or not all(_is_key(word) for word in words):
        raise ServiceError(_("Select between 1 and %(most)d images, or all that match.") % {"most": MOST_IDS})
    return Selection(ids=tuple(int(word) for word in words))


def _is_key(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= ID_DIGITS


def change_of(request: HttpRequest) -> Change:
    """The change that the form describes. Raises ServiceError where it describes none."""
    given = request.POST
    if given.get("delete"):
        return Change(delete=True)
    key = given.get("meta_key", "").strip()
    edit = Edit(
        add_tags=tuple(split_tags(given.get("add_tags", ""))),
        remove_tags=tuple(split_tags(given.get("remove_tags", ""))),
        status=given.get("status") or None,
        metadata={key: typed_value(given.get("meta_value", ""))} if key else None,
    )
    change = Change(edit, split=given.get("split", "").strip() or None)
    if not change.columns:
        raise ServiceError(_("Say what is to be changed."))
    return change


def typed_value(text: str) -> Any:
    """What was typed, as JSON where it is a number, a truth value, a list or an object; None for nothing.

    Raises ServiceError for what begins like JSON and is none: it would be kept as text that no query finds.
    """
    text = text.strip()
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text[0] in '{["':
            raise ServiceError(_("The value begins like JSON and is none: %(why)s") % {"why": error}) from error
        return text


def told(change: Change) -> list[str]:
    """The change in words."""
    edit, lines = change.edit, []
    if change.delete:
        lines.append(_("They are deleted with their annotations."))
    if edit.add_tags:
        lines.append(_("Add: %(tags)s") % {"tags": ", ".join(edit.add_tags)})
    if edit.remove_tags:
        lines.append(_("Remove: %(tags)s") % {"tags": ", ".join(edit.remove_tags)})
    if edit.status:
        lines.append(_("Status: %(status)s") % {"status": ImageAsset.Status(edit.status).label})
    if change.split is not None:
        lines.append(_("Split: %(split)s") % {"split": change.split})
    for key, value in (edit.metadata or {}).items():
        if value is None:
            lines.append(_("Remove metadata %(key)s") % {"key": key})
        else:
            shown = value if isinstance(value, str) else orjson.dumps(value).decode()
            lines.append(_("Metadata %(key)s = %(value)s") % {"key": key, "value": shown})
    return lines


def _foretold(number: int, exact: bool) -> str:
    if not exact:
        return _("This will be done to about %(count)s images.") % {"count": f"{number:,}"}
    text = ngettext("This will be done to %(count)s image.", "This will be done to %(count)s images.", number)
    return text % {"count": f"{number:,}"}


def answer(edit: BulkEdit) -> dict[str, Any]:
    """What is told after a bulk edit, and where it can be undone."""
    if edit.finished_at is None:
        return {"text": _("It goes on in the background; the home page shows how far it is."), "undo": ""}
    changed = sum(edit.batches.values_list("changed", flat=True))
    undone = edit.action == BulkEdit.Action.UNDO
    if labels.is_about_annotations(edit):
        text = _of_annotations(changed, undone=undone)
    elif undone:
        text = ngettext("%(count)s image put back.", "%(count)s images put back.", changed)
    else:
        text = ngettext("%(count)s image changed.", "%(count)s images changed.", changed)
    way_back = reverse("workplace:undo", args=[edit.project_id, edit.pk]) if changed and not undone else ""
    return {"text": text % {"count": f"{changed:,}"}, "changed": changed, "undo": way_back}


def _of_annotations(changed: int, *, undone: bool) -> str:
    if undone:
        return ngettext("%(count)s object put back.", "%(count)s objects put back.", changed)
    return ngettext("%(count)s object changed.", "%(count)s objects changed.", changed)
