"""What people did in CVAT, drawn over the picture: as it went out, as it is here, as it would be; and the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import ServiceError
from accounts.phrases import in_words
from annotations.models import Category
from assets import storage
from assets.models import ImageAsset
from cocohub.workplace import remarks
from cocohub.workplace.drawing import DOT, Drawing, bounds_of, drawing_of, size_of, view_of
from cocohub.workplace.pages import in_project, show
from cocohub.workplace.picture import SHOWN_BY_BROWSERS
from exports.models import CvatDifference, CvatPull, ExportJob
from exports.pulling import loading, services
from projects.admin_base import admin_user
from projects.models import Project, Role

PAGE = 24  # differences
ASPECTS = {
    "geometry": gettext_lazy("outline"),
    "keypoints": gettext_lazy("keypoints"),
    "label": gettext_lazy("category"),
    "crowd": gettext_lazy("crowd"),
    "attributes": gettext_lazy("attributes"),
}
POLICIES = (CvatPull.Policy.ACCEPT, CvatPull.Policy.THEIRS, CvatPull.Policy.OURS)


@dataclass
class Card:
    """One difference on the page."""

    row: CvatDifference
    drawings: list[Drawing]
    view: str  # SVG's viewBox
    dot: float
    picture: str | None
    image: ImageAsset | None
    labels: list[str]  # category before and after
    aspects: list[str]
    facts: list[tuple[str, str, str]]  # name, here, in CVAT


@in_project()
@require_safe
def differences(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """The differences of an export, a page at a time: those that wait first, or those that were decided; or the
    remarks that people left in CVAT."""
    job = _find(project, job_pk)
    chosen = request.GET.get("decision", "")
    decision = chosen if chosen in CvatDifference.Decision.values else str(CvatDifference.Decision.OPEN)
    kind = request.GET.get("kind", "") if request.GET.get("kind", "") in CvatDifference.Kind.values else ""
    rows = CvatDifference.objects.filter(job=job, decision=decision)
    if kind:
        rows = rows.filter(kind=kind)
    if request.GET.get("only") == "conflict":
        rows = rows.exclude(conflict="", problem="")
    after = request.GET.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < 19 else 0
    related = rows.select_related("cvat_task", "cvat_task__cvat_project", "decided_by").order_by("pk")
    counted = dict(
        CvatDifference.objects.filter(job=job).order_by().values_list("decision").annotate(number=Count("pk"))
    )
    which = request.GET.get("remarks", "") if request.GET.get("remarks", "") in ("open", "resolved") else ""
    written = list(remarks.rows_of(job, which).filter(pk__gt=start)[: PAGE + 1]) if which else []
    found = [] if which else list(related.filter(pk__gt=start)[: PAGE + 1])
    following = next((listed[PAGE - 1].pk for listed in (found, written) if len(listed) > PAGE), None)
    last = CvatPull.objects.filter(job=job).select_related("task").order_by("-pk").first()
    return show(
        request, "workplace/differences.html", project, "cvat", title=_("Differences in CVAT"), job=job,
        cards=_cards(project, found[:PAGE]), following=following, which=which,
        remark_cards=remarks.cards_of(project, written[:PAGE]), remark_numbers=remarks.numbers_of(job),
        decision=decision, kind=kind, only=request.GET.get("only", ""),
        decisions=[(value, label, counted.get(value, 0)) for value, label in CvatDifference.Decision.choices],
        kinds=CvatDifference.Kind.choices, last=last,
        busy=last is not None and last.task is not None and not last.task.is_finished,
    )  # fmt: skip


@in_project(Role.CURATOR)
@require_POST
def decide(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """Take one over, or refuse it; pull; or deal with all that are open."""
    job = _find(project, job_pk)
    user, given = admin_user(request), request.POST
    try:
        if "pull" in given:
            services.start_pull(user=user, job=job, everything=True)
            messages.success(request, _("CVAT is being read."))
        elif given.get("policy") in POLICIES:
            services.start_apply(user=user, job=job, policy=given["policy"])
            messages.success(request, _("A worker is at it."))
        elif given.get("undo", "").isdecimal():
            pull = CvatPull.objects.filter(job=job, pk=int(given["undo"])).select_related("job", "project").first()
            if pull is None:
                raise Http404(_("There is no such pull."))
            services.start_undo(user=user, pull=pull)
            messages.success(request, _("A worker puts it back."))
        else:
            done = services.decide(
                user=user,
                job=job,
                differences=_numbers(given.getlist("difference")),
                decision=given.get("decision", ""),
            )
            words = ngettext("%(number)d difference was decided.", "%(number)d differences were decided.", len(done))
            messages.success(request, words % {"number": len(done)})
    except ServiceError as refusal:
        messages.error(request, in_words(refusal.message))
    back = request.POST.get("back", "")
    page = reverse("workplace:differences", args=[project.pk, job.pk])
    return redirect(f"{page}?{back}" if back and "\n" not in back and len(back) < 500 else page)


def _find(project: Project, job_pk: int) -> ExportJob:
    job = ExportJob.objects.to_cvat().filter(project=project, pk=job_pk).select_related("project", "task").first()
    if job is None:
        raise Http404(_("There is no such export in this project."))
    return job


def _numbers(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if text.isdecimal() and len(text) < 19]


# --- What is drawn ----------------------------------------------------------------------------------------------------


def _cards(project: Project, rows: Sequence[CvatDifference]) -> list[Card]:
    images = {
        image.pk: image
        for image in ImageAsset.objects.filter(project=project, pk__in=[row.image_id for row in rows if row.image_id])
    }
    now = loading.fields_of(project, [row.annotation_id for row in rows if row.annotation_id is not None])
    names = dict(Category.objects.filter(project=project).values_list("pk", "name"))
    return [_card(row, images.get(row.image_id or 0), now.get(row.annotation_id or 0), names) for row in rows]


def _card(
    row: CvatDifference, image: ImageAsset | None, now: Mapping[str, Any] | None, names: Mapping[int, str]
) -> Card:
    states: dict[str, Mapping[str, Any]] = {}
    if row.subject == CvatDifference.Subject.ANNOTATION:
        if row.before:
            states["before"] = row.before
        if row.conflict and now is not None:
            states["now"] = now
        if row.kind != CvatDifference.Kind.DELETED and row.after:
            states["after"] = {**row.before, **row.after}
    width, height = size_of(image)
    drawings = [drawing_of(kind, fields) for kind, fields in states.items()]
    view = view_of([bounds_of(fields) for fields in states.values()], width, height)
    showable = image is not None and image.format in SHOWN_BY_BROWSERS
    return Card(
        row=row,
        drawings=drawings,
        view=" ".join(f"{value:g}" for value in view),
        dot=max(view[2], view[3]) * DOT,
        picture=storage.link(image.uri if showable else image.thumbnail_uri) if image is not None else None,
        image=image,
        labels=_labels(row, now, names),
        aspects=[str(ASPECTS.get(aspect, aspect)) for aspect in row.aspects],
        facts=_facts(row, now),
    )


def _labels(row: CvatDifference, now: Mapping[str, Any] | None, names: Mapping[int, str]) -> list[str]:
    if row.subject == CvatDifference.Subject.TAG:
        return [str((row.after or row.before).get("tag", ""))]
    here = (now or row.before).get("category")
    there = row.after.get("category", here)
    return [names.get(key, "?") for key in dict.fromkeys([here, there]) if key is not None]


def _facts(row: CvatDifference, now: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Attributes and the like that differ: name, value here, value in CVAT."""
    here = now or row.before
    found = []
    attributes = row.after.get("attributes")
    if isinstance(attributes, Mapping):
        own = here.get("attributes")
        own = own if isinstance(own, Mapping) else {}
        for name in sorted({*attributes, *own}):
            if attributes.get(name) != own.get(name):
                found.append((name, _plain(own.get(name)), _plain(attributes.get(name))))
    if "iscrowd" in row.after and row.kind == CvatDifference.Kind.CHANGED:
        found.append((_("crowd"), _plain(here.get("iscrowd")), _plain(row.after["iscrowd"])))
    return found


def _plain(value: Any) -> str:
    return "-" if value is None else str(value)[:100]
