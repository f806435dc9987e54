"""A project's images: grid or table, the query above them, facets beside them, bulk changes below."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotations import completion, counting, query
from annotations.api.lists import quickly
from annotations.remembering import Question
from assets import storage
from assets.models import ImageAsset
from assets.services import REVIEW
from cocohub.workplace import choosing, paging
from cocohub.workplace.choosing import Fault, address, images_of, query_of
from cocohub.workplace.pages import in_project, show
from insights.models import InsightView
from insights.visualization import LOOKS
from projects.models import Project

SIZES = ("s", "m", "l")
SUGGESTIONS = 12
VIEWS = 20  # saved ones in the query bar
EXAMPLES = (
    "tag:night",
    "category:person",
    "has(category:car area>5000)",
    "annotations:0",
    "status:in_review",
    "issue:*",
)


@in_project()
@require_safe
def images(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The page; a query with a mistake shows where it is and what would be right."""
    text, sort = query_of(request), paging.sort_of(request)
    view = "table" if request.GET.get("view") == "table" else "grid"
    context: dict[str, Any] = {
        "title": project.name,
        "q": text,
        "sort": sort,
        "sorts": [(name, label) for name, (label, _) in paging.SORTS.items()],
        "view": view,
        "size": request.GET.get("size") if request.GET.get("size") in SIZES else "m",
        "sizes": SIZES,
        "state": address(request),
        "cleared": address(request, q=""),
        "grid_address": address(request, view=""),
        "table_address": address(request, view="table"),
        "examples": EXAMPLES,
        "boxes": request.GET.get("boxes") == "1",
        "views": _views(request, project),
        "statuses": [(value, label) for value, label in ImageAsset.Status.choices if value in REVIEW],
    }
    try:
        with query.statement_timeout():
            rows = images_of(project, text)
            question: Question[counting.Found] = Question(project, "images", text)
            found = question.answer(lambda: counting.find(rows))
            page = paging.page_of(request, _for_cards(quickly(rows, found)), sort)
    except query.QueryError as error:
        return show(request, "workplace/images.html", project, "images", fault=Fault.of(text, error), **context)
    context |= {"number": found.number, "exact": found.exact, "page": page, "shown": cards(page.images)}
    context["empty"] = not text and not found.number
    return show(request, "workplace/images.html", project, "images", **context)


def _views(request: HttpRequest, project: Project) -> list[dict[str, str]]:
    """Saved views that have a query, the pinned ones first; `address` has the page's parameters of each."""
    rows = InsightView.objects.visible_to(request.user).filter(project=project).exclude(query__q="")
    found = list(rows.filter(query__has_key="q").order_by("-pinned", "name", "id").only("name", "query")[:VIEWS])
    return [
        {
            "name": view.name,
            "q": view.query["q"],
            "address": urlencode({name: view.query[name] for name in ("q", *LOOKS) if view.query.get(name)}),
        }
        for view in found
    ]


@in_project(as_json=True)
@require_safe
def more(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The next images, as a piece of the page."""
    sort = paging.sort_of(request)
    with query.statement_timeout():
        rows = images_of(project, query_of(request), paging.beyond(request, sort))
        page = paging.page_of(request, _for_cards(rows), sort)
    view = "table" if request.GET.get("view") == "table" else "grid"
    context = {"project": project, "page": page, "shown": cards(page.images), "view": view, "state": address(request)}
    return TemplateResponse(request, "workplace/images_page.html", context)


@in_project(as_json=True)
@require_safe
def facets(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The facets, as a piece of the page: it is there sooner without them."""
    groups, found = choosing.facets(request, project)
    context = {"groups": groups, "found": found}
    return TemplateResponse(request, "workplace/facets.html", context)


@in_project(as_json=True)
@require_safe
def complete(request: HttpRequest, project: Project) -> HttpResponseBase:
    """What may stand at the cursor of a query that is being written."""
    text = request.GET.get("q", "")
    with query.statement_timeout():
        found = completion.complete(project, text, limit=SUGGESTIONS)
    return JsonResponse(completion.as_json(found, len(text)))


def _for_cards(rows: QuerySet[ImageAsset]) -> QuerySet[ImageAsset]:
    return rows.select_related("split").defer("metadata")


def cards(found: list[ImageAsset]) -> list[dict[str, Any]]:
    """Images as the grid and the table show them."""
    return [
        {
            "asset": asset,
            "name": str(asset),
            "picture": storage.link(asset.thumbnail_uri or asset.uri),
            "pixels": f"{asset.width} × {asset.height}" if asset.width and asset.height else _("size unknown"),
            "status": asset.get_status_display(),
        }
        for asset in found
    ]
