"""A project's figures as charts: of a query, or of two side by side; kept as views, taken away as files."""

import re
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import ServiceError
from annotations import query
from assets.models import ImageAsset
from cocohub.workplace import chart_kinds, charts, judging
from cocohub.workplace import metric_words as words
from cocohub.workplace.chart_style import percent
from cocohub.workplace.choosing import Fault, query_of
from cocohub.workplace.pages import in_project, metric_wait, show, told
from insights import comparison, reading, services
from insights.api import pictures
from insights.metrics import METRICS
from insights.models import InsightView
from insights.reading import Reading
from insights.visualization import CHARTS, LOOKS
from projects.admin_base import admin_user
from projects.models import Project, Role

LISTED = 50  # saved views
DRAWN = 6  # pinned views
FORMS = tuple(pictures.FORMS)


@in_project()
@require_safe
def insights(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The page; its charts come by themselves, as they may take a while."""
    compared = "a" in request.GET or "b" in request.GET
    texts = [request.GET.get(name, "").strip() for name in ("a", "b")] if compared else [query_of(request)]
    views = list(_views(request, project)[:LISTED])
    context: dict[str, Any] = {
        "title": project.name,
        "q": "" if compared else texts[0],
        "a": texts[0],
        "b": texts[-1],
        "compared": compared,
        "empty": not (compared or texts[0] or ImageAsset.objects.filter(project=project).exists()),
        "pairs": _pairs(project) if compared else [],
        "views": views,
        "charts": reverse("workplace:insight-charts", args=[project.pk]) + _address(request, compared=compared),
        "groups": [(key, title) for key, title, _ in words.groups()],
        "sources": [] if compared else judging.sources_of(project),
    }
    for text in texts:
        try:
            query.parse(text)
        except query.QueryError as error:
            context["fault"] = Fault.of(text, error)
    return show(request, "workplace/insights.html", project, "insights", **context)


def _address(request: HttpRequest, *, compared: bool) -> str:
    names = ("a", "b") if compared else ("q", "kinds")
    return "?" + urlencode({name: request.GET.get(name, "").strip() for name in names})


def _views(request: HttpRequest, project: Project) -> Any:
    rows = InsightView.objects.visible_to(request.user).filter(project=project).select_related("saved_by")
    return rows.order_by("-pinned", "name", "id")


def _pairs(project: Project) -> list[tuple[str, str]]:
    """Splits to be compared: each with the one that most is in, as far as there are two."""
    names = [name for name in project.splits.order_by("id").values_list("name", flat=True)[:6] if name]
    texts = [query.to_text(query.parse(f'split:"{name}"')) if '"' not in name else "" for name in names]
    return [(texts[0], other) for other in texts[1:] if texts[0] and other]


@in_project(as_json=True)
@require_safe
def insight_charts(request: HttpRequest, project: Project) -> HttpResponseBase:
    """The charts, as a piece of the page; `X-Waiting: 1` while fresh figures are on their way."""
    images = reverse("workplace:images", args=[project.pk])
    if "a" in request.GET:
        return _comparison(request, project, images)
    text = query_of(request)
    chosen = _kinds(request)
    found = {each.metric: each for each in reading.dashboard(project, text, wait_ms=metric_wait(project))}
    pinned = [] if text else [view for view in _views(request, project)[:DRAWN] if view.pinned]
    context = {
        "project": project,
        "q": text,
        "groups": [
            (key, title, [_card(project, found[name], images, chosen) for name in names])
            for key, title, names in words.groups()
        ],
        "pinned": [card for view in pinned if (card := _card_of_view(project, view, images))],
        "may_edit": (project.my_role or 0) >= Role.CURATOR,
    }
    answer = TemplateResponse(request, "workplace/insight_charts.html", context)
    if any(each.stale or each.pending for each in found.values()):
        answer["X-Waiting"] = "1"
    return answer


def _kinds(request: HttpRequest) -> dict[str, str]:
    """The kinds of chart that the address asks for: `kinds=classes:table,splits:column`; what does not fit is not."""
    pairs = [part.partition(":") for part in request.GET.get("kinds", "").split(",")]
    return {name: kind for name, _, kind in pairs if name in METRICS and kind in chart_kinds.kinds_of(name)}


def _choices(metric: str, text: str, chosen: dict[str, str]) -> list[dict[str, Any]]:
    """The kinds of chart to choose from, each with the address at which it is drawn."""
    fitting = chart_kinds.kinds_of(metric)
    choices = []
    for kind in fitting:
        others = {**chosen, metric: kind}
        kinds = ",".join(f"{name}:{each}" for name, each in others.items() if each != chart_kinds.kinds_of(name)[0])
        label, icon = chart_kinds.NAMES[kind]
        asked = {name: value for name, value in (("q", text), ("kinds", kinds)) if value}
        now = chosen.get(metric, fitting[0]) == kind
        choices.append(
            {"kind": kind, "label": label, "icon": icon, "link": f"?{urlencode(asked)}#{metric}", "now": now}
        )
    return choices


def _card(
    project: Project, found: Reading, images: str, chosen: dict[str, str], options: dict[str, Any] | None = None
) -> dict[str, Any]:
    kind = chosen.get(found.metric) or CHARTS[METRICS[found.metric].kind][0]
    drawn = None
    if found.figures is not None:
        drawn = chart_kinds.chart(found.metric, found.figures, images, kind, options)
    return {
        "name": found.metric,
        "title": words.title(found.metric),
        "reading": found,
        "chart": drawn,
        "kind": kind,
        "choices": _choices(found.metric, found.q, chosen),
        "files": _files(reverse("workplace:insights", args=[project.pk]), found.metric, found.q, kind),
    }


def _card_of_view(project: Project, view: InsightView, images: str) -> dict[str, Any] | None:
    name, text = view.visualization.get("metric", ""), view.query.get("q", "")
    if name not in METRICS:
        return None
    try:
        [found] = reading.read(project, [name], text, wait_ms=metric_wait(project))
    except query.QueryError:
        return None
    kinds, options = {name: view.visualization.get("chart", "")}, view.visualization.get("options", {})
    return {
        **_card(project, found, images, kinds, options),
        "title": view.name,
        "view": view,
        "under": options.get("title") or words.title(name),
        "q": text,
    }


def _files(base: str, metric: str, text: str, kind: str) -> list[tuple[str, str]]:
    own = CHARTS[METRICS[metric].kind][0]
    asked = {name: value for name, value in (("q", text), ("chart", "" if kind == own else kind)) if value}
    tail = f"?{urlencode(asked)}" if asked else ""
    return [(form.upper(), f"{base}/{metric}.{form}{tail}") for form in FORMS]


def _comparison(request: HttpRequest, project: Project, images: str) -> HttpResponseBase:
    found = comparison.compare(
        project, request.GET.get("a", "").strip(), request.GET.get("b", "").strip(), wait_ms=metric_wait(project)
    )
    readings = [each for row in found for each in (row.a, row.b) if each is not None]
    cards = [
        {
            "name": row.metric,
            "title": words.title(row.metric),
            "compared": row,
            "distance": None if row.distance is None else percent(row.distance),
            "width": 0 if row.distance is None else round(100 * row.distance),
            "chart": charts.pair(row, images),
            "waiting": any(each is not None and each.pending for each in (row.a, row.b)),
            "stale": any(each is not None and each.stale for each in (row.a, row.b)),
        }
        for row in found
    ]
    answer = TemplateResponse(request, "workplace/insight_comparison.html", {"project": project, "cards": cards})
    if any(each.stale or each.pending for each in readings):
        answer["X-Waiting"] = "1"
    return answer


@in_project()
@require_safe
def insight_file(request: HttpRequest, project: Project, metric: str, form: str) -> HttpResponseBase:
    """A metric as CSV, SVG or PNG."""
    if metric not in METRICS:
        raise Http404(_("There is no such metric."))
    pictures.check_form(form)
    [found] = reading.read(project, [metric], query_of(request))
    if found.figures is None:
        raise ServiceError(_("The figures are still being counted. Try again in a moment."))
    name, fitting = f"{project.name}-{metric}", CHARTS[METRICS[metric].kind]
    kind = request.GET.get("chart", "")
    answer: HttpResponse = pictures.file_of(found, kind if kind in fitting else fitting[0], {}, form, name)
    return answer


@in_project(Role.CURATOR)
@require_POST
def save_view(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Keep a chart with its query, and go back to where it was asked for."""
    given = request.POST
    metric = given.get("metric", "")
    try:
        view = services.create_view(
            user=admin_user(request),
            project=project,
            name=given.get("name", ""),
            query={"q": given.get("q", "").strip()} | {name: given[name] for name in LOOKS if given.get(name)},
            visualization={"metric": metric, **({"chart": given["chart"]} if given.get("chart") else {})},
            shared=bool(given.get("shared")),
        )
        if given.get("pinned"):
            services.pin_view(user=admin_user(request), view=view, pinned=True)
        messages.success(request, _("Saved as “%(name)s”.") % {"name": view.name})
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    return HttpResponseRedirect(_back(request, project))


@in_project(Role.CURATOR)
@require_POST
def change_view(request: HttpRequest, project: Project, view_pk: int, what: str) -> HttpResponseBase:
    """Pin a view, take the pin out, or delete the view."""
    view = _views(request, project).filter(pk=view_pk).first()
    if view is None or what not in ("pin", "unpin", "delete"):
        raise Http404(_("There is no such view in this project."))
    try:
        if what == "delete":
            services.delete_view(user=admin_user(request), view=view)
        else:
            services.pin_view(user=admin_user(request), view=view, pinned=what == "pin")
    except ServiceError as refusal:
        messages.error(request, told(refusal))
    return HttpResponseRedirect(_back(request, project))


def _back(request: HttpRequest, project: Project) -> str:
    """The page of insights or of images, with the query that it had and how it was looked at."""
    pages = {"images": "workplace:images", "insights": "workplace:insights"}
    page = reverse(pages.get(request.POST.get("back", ""), "workplace:insights"), args=[project.pk])
    text = re.sub(r"[\x00-\x1f]", "", request.POST.get("back_q", request.POST.get("q", ""))).strip()
    look = {name: request.POST[name] for name in LOOKS if request.POST.get(name)}
    kept = {name: value for name, value in {"q": text, **look}.items() if value}
    return f"{page}?{urlencode(kept)}" if kept else page
