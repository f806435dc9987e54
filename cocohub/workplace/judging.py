"""Predictions against people's annotations, as a piece of the page of insights."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from annotations.models import ImportJob
from cocohub.workplace import charts
from cocohub.workplace.choosing import query_of
from cocohub.workplace.pages import in_project
from insights.predictions import reading
from projects.models import Project

SOURCES = 50
KINDS = {"bbox": _("boxes"), "segm": _("masks"), "keypoints": _("keypoints")}
SUMMARY = (
    ("ap", "AP"), ("ap50", "AP50"), ("ap75", "AP75"), ("ap_small", _("AP, small")), ("ap_medium", _("AP, medium")),
    ("ap_large", _("AP, large")), ("ar", "AR"),
)  # fmt: skip


def sources_of(project: Project) -> list[str]:
    """Whose predictions were imported into the project."""
    rows = ImportJob.objects.filter(project=project, what=ImportJob.What.PREDICTIONS).exclude(source="")
    return list(rows.order_by("source").values_list("source", flat=True).distinct()[:SOURCES])


@in_project(as_json=True)
@require_safe
def predictions(request: HttpRequest, project: Project) -> HttpResponseBase:
    """How well the `source` predicts what people have annotated; `X-Waiting: 1` while that is being found out."""
    images = reverse("workplace:images", args=[project.pk])
    found = reading.read(project, request.GET.get("source", ""), query_of(request))
    context: dict[str, Any] = {"found": found, "cards": [], "mistakes": None}
    if found.figures is not None:
        context["cards"] = [_card(kind, images) for kind in found.figures["kinds"]]
        context["mistakes"] = _mistakes(found.figures["mistakes"], images)
    answer = TemplateResponse(request, "workplace/predictions.html", context)
    if found.stale or found.pending:
        answer["X-Waiting"] = "1"
    return answer


def _card(kind: Any, images: str) -> dict[str, Any]:
    known = [each for each in kind["classes"] if each["ap"] is not None]
    rows = [
        charts.Row(
            each["category"], [charts.Part(100 * each["ap"], 0, "")], _shown(each["ap"]), charts.link(images, each["q"])
        )
        for each in sorted(known, key=lambda each: each["ap"])
    ]
    return {
        "title": KINDS[kind["kind"]],
        "truths": kind["truths"],
        "detections": kind["detections"],
        "numbers": [(label, _shown(kind[name])) for name, label in SUMMARY],
        "chart": charts.Chart("rows", rows=rows[: charts.BARS], more=rows[charts.BARS : charts.MORE_BARS]),
    }


def _mistakes(found: Any, images: str) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "precision": _shown(found["precision"]),
        "recall": _shown(found["recall"]),
        "score": _shown(found["score"]),
        "false_positives": found["false_positives"],
        "false_negatives": found["false_negatives"],
        "worst_positives": charts.link(images, found["most_false_positives"]["q"]),
        "worst_negatives": charts.link(images, found["most_false_negatives"]["q"]),
    }


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
