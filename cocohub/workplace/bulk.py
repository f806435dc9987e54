"""Changes to many images at once: first the number is told, then it is done, and it can be undone."""

import json
import re
from typing import Any

import orjson
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.errors import NotFound, ServiceError
from annotations import batches, labels, query
from annotations import bulk as bulk_edits
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
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


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
            {"count": number, "exact": exact, "text": _foretold(change, number, exact), "changes": told(change)}
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

    A number that would be written otherwise (5.10, 1e3, one of twenty digits) stays the text it is. Raises ServiceError
    for what begins like JSON and is none, as it would be kept as text that no query finds; and for a list or an object
    with such a number in it.
    """
    text = text.strip()
    if not text:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text[0] in '{["':
            raise ServiceError(_("The value begins like JSON and is none: %(why)s") % {"why": error}) from error
        return text
    if other := _written_otherwise(text):
        if text[0] not in "{[":
            return text
        found, kept = other
        told = _("The number %(number)s would be kept as %(kept)s. Write it so, or in quotes.")
        raise ServiceError(told % {"number": found, "kept": kept})
    return value


def is_number_as_text(value: Any) -> bool:
    """Whether what was typed is a number that stayed text."""
    return isinstance(value, str) and NUMBER.fullmatch(value) is not None


def _written_otherwise(text: str) -> tuple[str, str] | None:
    """The first number in JSON whose digits would not come out again as they stand, and how it would come out."""
    found: list[tuple[str, str]] = []

    def look(number: str) -> None:
        kept = orjson.dumps(orjson.loads(number)).decode()
        if kept != number:
            found.append((number, kept))

    json.loads(text, parse_float=look, parse_int=look)
    return found[0] if found else None


def told(change: Change) -> list[str]:
    """The change in words."""
    edit, lines = change.edit, []
    if change.delete:
        lines.append(_("Their annotations are deleted with them."))
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
            line = _("Metadata %(key)s = %(value)s") % {"key": key, "value": shown}
            lines.append(f"{line} {kept_as_text()}" if is_number_as_text(value) else line)
    return lines


def kept_as_text() -> str:
    """Said of a number that stays text."""
    return _("(kept as text, so that no digit is lost)")


def _foretold(change: Change, number: int, exact: bool) -> str:
    if change.delete:
        if not exact:
            return _("About %(count)s images will be deleted.") % {"count": f"{number:,}"}
        text = ngettext("%(count)s image will be deleted.", "%(count)s images will be deleted.", number)
    elif not exact:
        return _("This will be done to about %(count)s images.") % {"count": f"{number:,}"}
    else:
        text = ngettext("This will be done to %(count)s image.", "This will be done to %(count)s images.", number)
    return text % {"count": f"{number:,}"}


def answer(edit: BulkEdit) -> dict[str, Any]:
    """What is told after a bulk edit, and where it can be undone."""
    if edit.finished_at is None:
        return {"text": _("It goes on in the background; the home page shows how far it is."), "undo": ""}
    numbers = batches.numbers(edit)
    changed, skipped = numbers["changed"], numbers["skipped"]
    undone = edit.action == BulkEdit.Action.UNDO
    text = _of_annotations(edit, changed) if labels.is_about_annotations(edit) else _of_images(edit, changed)
    way_back = reverse("workplace:undo", args=[edit.project_id, edit.pk]) if changed and not undone else ""
    text = text % {"count": f"{changed:,}"}
    if skipped:
        left = ngettext(
            "%(count)s was changed since, or its place is taken: it stays as it is.",
            "%(count)s were changed since, or their places are taken: they stay as they are.",
            skipped,
        )
        text = f"{text} {left % {'count': f'{skipped:,}'}}"
    return {"text": text, "changed": changed, "undo": way_back}


def _of_images(edit: BulkEdit, changed: int) -> str:
    """What has happened to images, in the word that fits."""
    if edit.action == BulkEdit.Action.UNDO:
        return ngettext("%(count)s image put back.", "%(count)s images put back.", changed)
    if edit.action == BulkEdit.Action.DELETE:
        return ngettext("%(count)s image deleted.", "%(count)s images deleted.", changed)
    match sorted(edit.change):
        case ["add_tags"]:
            return ngettext("%(count)s image tagged.", "%(count)s images tagged.", changed)
        case ["remove_tags"]:
            return ngettext("Tags taken from %(count)s image.", "Tags taken from %(count)s images.", changed)
        case ["status"]:
            return ngettext("%(count)s image has the status now.", "%(count)s images have the status now.", changed)
        case ["split"]:
            return ngettext("%(count)s image moved to the split.", "%(count)s images moved to the split.", changed)
        case ["metadata"]:
            return ngettext("Metadata of %(count)s image changed.", "Metadata of %(count)s images changed.", changed)
    return ngettext("%(count)s image changed.", "%(count)s images changed.", changed)


def _of_annotations(edit: BulkEdit, changed: int) -> str:
    match edit.action:
        case BulkEdit.Action.UNDO:
            return ngettext("%(count)s object put back.", "%(count)s objects put back.", changed)
        case BulkEdit.Action.RELABEL:
            return ngettext("%(count)s object relabelled.", "%(count)s objects relabelled.", changed)
        case BulkEdit.Action.MERGE:
            return ngettext(
                "Merged: %(count)s annotation has the category now.",
                "Merged: %(count)s annotations have the category now.",
                changed,
            )
    if edit.change.get("annotations") == labels.DELETE:
        return ngettext(
            "Category deleted, with %(count)s annotation.", "Category deleted, with %(count)s annotations.", changed
        )
    return ngettext(
        "Category deleted; %(count)s annotation is kept without one.",
        "Category deleted; %(count)s annotations are kept without one.",
        changed,
    )
