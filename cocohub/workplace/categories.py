"""A project's categories: colours, names, merging and deleting, where it is said first what becomes of annotations."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.errors import ServiceError
from annotations import categories as services
from annotations import relabelling
from annotations.models import Category
from annotations.query import to_text
from annotations.query.tree import Is, Term
from cocohub.workplace import bulk
from cocohub.workplace.labelling import find_category
from cocohub.workplace.pages import in_project, metric_wait, show, told
from insights import reading
from projects import policies
from projects.admin_base import admin_user
from projects.models import Project, Role

LISTED = 2_000
MOST_MERGED = 100  # at once


@in_project()
@require_http_methods(["GET", "HEAD", "POST"])
def categories(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The list; and make a category."""
    if request.method == "POST":
        return _make(request, project)
    rows = list(Category.objects.filter(project=project).order_by("name", "coco_id")[: LISTED + 1])
    [found] = reading.read(project, ["classes"], wait_ms=metric_wait(project))
    bars = {} if found.figures is None else {bar["label"]: bar for bar in found.figures["bars"]}
    complete = found.figures is not None and not found.figures["other"]
    lines = [_line(row, bars.get(row.name), complete=complete) for row in rows[:LISTED]]
    return show(
        request,
        "workplace/categories.html",
        project,
        "categories",
        lines=lines,
        cut=len(rows) > LISTED,
        stale=found.stale or found.pending,
        may_delete=(project.my_role or 0) >= Role.MANAGER,
    )


def _line(row: Category, bar: Any, *, complete: bool) -> dict[str, Any]:
    """A category as the page shows it. Counts are by name: two categories of one name share theirs."""
    points = row.meta.get("keypoints") if isinstance(row.meta, dict) else None
    return {
        "row": row,
        "version": services.version_of(row),
        "annotations": bar["count"] if bar else 0 if complete else None,
        "images": bar.get("images") if bar else 0 if complete else None,
        "keypoints": len(points) if isinstance(points, list) else 0,
        "q": to_text(Term("category", Is(row.name))),
    }


def _make(request: HttpRequest, project: Project) -> HttpResponseBase:
    given = request.POST
    try:
        policies.require(admin_user(request), Role.CURATOR, project)
        made = services.create_category(
            user=admin_user(request),
            project=project,
            name=given.get("name", "").strip(),
            supercategory=given.get("supercategory", "").strip(),
        )
        messages.success(request, _("Category “%(name)s” was made.") % {"name": made.name})
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    return HttpResponseRedirect(reverse("workplace:categories", args=[project.pk]))


@in_project(Role.CURATOR)
@require_POST
def edit_category(request: HttpRequest, project: Project, category_pk: int) -> HttpResponseBase:
    """Rename or recolour a category."""
    category = Category.objects.filter(project=project, pk=category_pk).first()
    if category is None:
        raise Http404(_("There is no such category in this project."))
    given = request.POST
    try:
        changed = services.update_category(
            user=admin_user(request),
            category=category,
            version=given.get("version") or None,
            name=given.get("name", category.name).strip(),
            supercategory=given.get("supercategory", category.supercategory).strip(),
            color="" if given.get("no_color") else given.get("color", category.color),
        )
        messages.success(request, _("Category “%(name)s” was saved.") % {"name": changed.name})
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    return HttpResponseRedirect(reverse("workplace:categories", args=[project.pk]))


@in_project(Role.CURATOR, as_json=True)
@require_POST
def merge(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Make the categories `ids` one with `into`; without `apply` only tell what would become of what."""
    words = [word for word in request.POST.get("ids", "").split(",") if word][: MOST_MERGED + 1]
    if not request.POST.get("into"):
        raise ServiceError(_("Choose which of the categories stays."))
    if len(words) > MOST_MERGED:
        raise ServiceError(_("At most %(most)d categories are merged at once.") % {"most": MOST_MERGED})
    into = find_category(project, request.POST.get("into", ""))
    sources = [find_category(project, word) for word in words if word != str(into.pk)]
    asked: dict[str, Any] = {"user": admin_user(request), "project": project, "sources": sources, "into": into}
    if "apply" not in request.POST:
        effect = relabelling.merge_categories(**asked, dry_run=True)
        text = ngettext(
            "%(count)s annotation becomes “%(name)s”.", "%(count)s annotations become “%(name)s”.", effect.annotations
        ) % {"count": f"{effect.annotations:,}", "name": into.name}
        gone = _("These categories go:")
        return JsonResponse(_foretold(effect, text, gone))
    return JsonResponse(_done(relabelling.merge_categories(**asked)))


@in_project(Role.MANAGER, as_json=True)
@require_POST
def delete_category(request: HttpRequest, project: Project, category_pk: int) -> HttpResponseBase:
    """Take a category out; `annotations` says what becomes of its annotations. Without `apply` only tell."""
    category = find_category(project, str(category_pk))
    category.project = project
    fate = request.POST.get("annotations", "refuse")
    asked: dict[str, Any] = {"user": admin_user(request), "category": category, "annotations": fate}
    if "apply" not in request.POST:
        effect = relabelling.delete_category(**asked, dry_run=True)
        if fate == "delete":
            text = ngettext(
                "%(count)s annotation is deleted.", "%(count)s annotations are deleted.", effect.annotations
            )
        else:
            text = ngettext(
                "%(count)s annotation is left without a category.",
                "%(count)s annotations are left without a category.",
                effect.annotations,
            )
        return JsonResponse(_foretold(effect, text % {"count": f"{effect.annotations:,}"}, _("This category goes:")))
    return JsonResponse(_done(relabelling.delete_category(**asked)))


def _foretold(effect: relabelling.Effect, text: str, gone: str) -> dict[str, Any]:
    lines = []
    if effect.images:
        images = ngettext("On %(count)s image.", "On %(count)s images.", effect.images)
        lines.append(images % {"count": f"{effect.images:,}"})
    lines.append(f"{gone} " + ", ".join(f"{row['name']} ({row['annotations']:,})" for row in effect.categories))
    if effect.documents:
        lines.append(
            ngettext(
                "%(count)s COCO document lists other categories then.",
                "%(count)s COCO documents list other categories then.",
                effect.documents,
            )
            % {"count": effect.documents}
        )
    lines += [
        _("In the way: split “%(split)s” has “%(name)s” with id %(id)s; one file cannot have both.")
        % {"split": clash.split, "name": clash.name, "id": clash.coco_id}
        for clash in effect.clashes
    ]
    return {"text": text, "changes": lines, "count": effect.annotations, "blocked": bool(effect.clashes)}


def _done(effect: relabelling.Effect) -> dict[str, Any]:
    return bulk.answer(effect.edit) if effect.edit is not None else {"text": _("Nothing was changed."), "undo": ""}
