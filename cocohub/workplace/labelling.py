"""Objects of the selected images given another category: the number is told first, and it can be undone."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import NotFound, ServiceError
from annotations import query, relabelling
from annotations.models import Category
from annotations.query import FIELDS
from annotations.query.fields import Scope
from annotations.query.tree import And, Differs, Everything, Has, Is, Node, Not, Or, Present, Term, all_of, any_of
from cocohub.workplace import bulk
from cocohub.workplace.pages import in_project
from projects.admin_base import admin_user
from projects.models import Project, Role

MOST_IDS = 150  # images named one by one in the query of a relabelling
NONE = "none"  # in the place of a category: objects without one
LISTED = 20  # categories of a preview


@in_project(as_json=True)
@require_safe
def category_list(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The project's categories, for lists to choose from."""
    rows = Category.objects.filter(project=project).order_by("name", "coco_id").values("id", "name", "coco_id")
    return JsonResponse({"categories": list(rows)})


@in_project(Role.CURATOR, as_json=True)
@require_POST
def relabel(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Give the objects of the selected images, or those of one category (`from`), the category `into`."""
    given = request.POST
    into = find_category(project, given.get("into", ""))
    asked: dict[str, Any] = {"user": admin_user(request), "project": project, "category": into}
    text = query.to_text(objects_of(project, request))
    if "apply" not in given:
        return JsonResponse(_foretold(relabelling.relabel(**asked, q=text, dry_run=True), into))
    done = relabelling.relabel(**asked, q=text)
    if done.edit is None:
        raise ServiceError(_("Nothing was changed."))
    return JsonResponse(bulk.answer(done.edit))


def objects_of(project: Project, request: HttpRequest) -> Node:
    """The query, among annotations, of the objects on the selected images; ServiceError where nothing is selected."""
    selection = bulk.selection_of(request)
    if selection.ids is None:
        images = about_images(query.parse(selection.q))
    elif len(selection.ids) > MOST_IDS:
        text = _("Objects of at most %(most)d images selected one by one are relabelled; or those of all that match.")
        raise ServiceError(text % {"most": MOST_IDS})
    else:
        images = any_of([Term("id", Is(str(key))) for key in selection.ids])
    chosen = request.POST.get("from", "")
    if not chosen:
        return images
    if chosen == NONE:
        own: Node = Not(Term("category", Present()))
    else:
        own = Term("category", Is(find_category(project, chosen).name))
    return own if isinstance(images, Everything) else all_of([images, own])


def about_images(tree: Node) -> Node:
    """A query of images as one of annotations: what it asks of some object of the image stays about some object."""
    match tree:
        case And(parts=parts):
            return all_of(map(about_images, parts))
        case Or(parts=parts):
            return any_of(map(about_images, parts))
        case Not(part=part):
            return Not(about_images(part))
        case Term(field="issue", test=Differs(value=value)):
            return all_of([_either_issue(Present()), Not(_either_issue(Is(value)))])
        case Term(field="issue", test=test):
            return _either_issue(test)
        case Term(field=name) if FIELDS[name].scope is Scope.OBJECT:
            return Has(tree)
    return tree


def _either_issue(test: Any) -> Node:
    """An image has the issues of its objects too."""
    return any_of([Term("issue", test), Has(Term("annotation.issue", test))])


def find_category(project: Project, key: str) -> Category:
    """The project's category of this key; NotFound if there is none."""
    found = None
    if key.isascii() and key.isdecimal() and len(key) <= bulk.ID_DIGITS:
        found = Category.objects.filter(project=project, pk=int(key)).first()
    if found is None:
        raise NotFound(_("Choose a category of this project."))
    return found


def _foretold(found: relabelling.Relabelling, into: Category) -> dict[str, Any]:
    text = ngettext(
        "%(count)s object will become “%(name)s”.", "%(count)s objects will become “%(name)s”.", found.changed
    )
    lines = [f"{row['name'] or _('No category')}: {row['annotations']:,}" for row in found.categories[:LISTED]]
    if found.matched > found.changed:
        lines.append(_("%(count)s are that already.") % {"count": f"{found.matched - found.changed:,}"})
    return {
        "count": found.changed,
        "exact": True,
        "text": text % {"count": f"{found.changed:,}", "name": into.name},
        "changes": lines,
    }
