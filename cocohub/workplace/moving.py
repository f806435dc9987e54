"""Data in and data out: imports with their reports, exports with their files."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.api.streaming import stored_file, streamed
from accounts.errors import ServiceError
from accounts.phrases import in_words
from annotations import query
from annotations import services as import_services
from annotations.api import reports
from annotations.counting import count
from annotations.models import ImportJob
from assets import storage
from cocohub.workplace import cvat, report_links, report_pages, sending
from cocohub.workplace.choosing import images_of, query_of
from cocohub.workplace.judging import sources_of
from cocohub.workplace.pages import in_project, refuse_json, show
from exports import services as export_services
from exports.models import ExportJob
from projects import policies
from projects.admin_base import admin_user
from projects.models import Project, Role

LISTED = 25  # jobs
NAME_LENGTH = 100
OF_PREDICTIONS = ("annotations_added", "annotations_removed", "annotations_unchanged")  # told of nothing else
ACTIONS = ("quarantined", "repaired", "kept")


@in_project()
@require_http_methods(["GET", "HEAD", "POST"])
def imports(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Start an import, and see those there were."""
    if request.method == "POST":
        return _start_import(request, project)
    jobs = ImportJob.objects.filter(project=project).select_related("task", "created_by").newest_first()[:LISTED]
    prefix = settings.IMPORT_PREFIX if settings.IMPORT_PREFIX != "/" else ""
    sources = sources_of(project)
    return show(request, "workplace/imports.html", project, "imports", jobs=jobs, prefix=prefix, sources=sources)


def _start_import(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Queue it; the script of the page is answered in JSON, a plain form by going on to the next page."""
    scripted = request.headers.get("Accept", "").startswith("application/json")
    try:
        policies.require(admin_user(request), Role.CURATOR, project)
        upload, wanted = sending.asked(request, project)
        job = import_services.start_import(user=admin_user(request), project=project, upload=upload, wanted=wanted)
    except ServiceError as refusal:
        if scripted:
            return refuse_json(refusal)
        messages.error(request, in_words(refusal.message))
        return redirect("workplace:imports", project_pk=project.pk)
    if scripted:
        return JsonResponse({"next": reverse("workplace:import", args=[project.pk, job.pk])}, status=202)
    return redirect("workplace:import", project_pk=project.pk, job_pk=job.pk)


@in_project()
@require_safe
def one_import(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """Follow an import; once it is over, read its report."""
    job = ImportJob.objects.filter(project=project, pk=job_pk).select_related("task", "created_by").first()
    if job is None:
        raise Http404(_("There is no such import in this project."))
    action, code = request.GET.get("action", ""), request.GET.get("code", "")
    report = (
        report_pages.read_page(job.task.log, action, code, request.GET.get("page", ""))
        if job.task.is_finished
        else None
    )
    if report is not None:
        report_links.add_links(job, report["shown"])
    return show(
        request,
        "workplace/import.html",
        project,
        "imports",
        title=str(job),
        job=job,
        task=job.task,
        report=report,
        numbers=_numbers(job.task.result, job.what),
        action=action,
        code=code,
    )


@in_project()
@require_safe
def download_report(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """The whole report as a file, or all problems of one code or action: JSON, or CSV with cells made safe."""
    job = ImportJob.objects.filter(project=project, pk=job_pk).select_related("task").first()
    content = storage.read(job.task.log) if job is not None else None
    if content is None:
        raise Http404(_("There is no report of this import."))
    action, code = request.GET.get("action", ""), request.GET.get("code", "")
    if request.GET.get("format") == "csv":
        lines = reports.as_csv(content, code, action)
        return streamed(request, lines, "text/csv; charset=utf-8", f"import-{job_pk}.csv")
    if action or code:
        return streamed(request, reports.chosen(content, code, action), "application/json", f"import-{job_pk}.json")
    return stored_file(request, content, "application/json", f"import-{job_pk}.json")


def _numbers(result: dict[str, Any], what: str) -> list[tuple[str, Any]]:
    names = (
        ("images", _("images")),
        ("annotations", _("annotations")),
        ("categories", _("categories")),
        ("pictures", _("picture files")),
        ("images_with_picture", _("images with a picture")),
        ("images_missing", _("pictures missing")),
        ("images_broken", _("pictures broken")),
        ("annotations_added", _("added")),
        ("annotations_removed", _("replaced")),
        ("annotations_unchanged", _("unchanged")),
        ("repaired", _("repaired")),
        ("quarantined", _("left out")),
    )
    left = () if what == ImportJob.What.PREDICTIONS else OF_PREDICTIONS
    return [(label, result[name]) for name, label in names if name in result and name not in left]


@in_project()
@require_http_methods(["GET", "HEAD", "POST"])
def exports(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Start an export of what a query chooses, and see those there were."""
    if request.method == "POST":
        return _start_export(request, project)
    text = query_of(request)
    context: dict[str, Any] = {"q": text, "connected": cvat.is_connected(project)}
    context |= {name: request.GET.get(name, "") for name in cvat.OPTIONS}
    try:
        with query.statement_timeout():
            context["number"], context["exact"] = count(images_of(project, text))
    except query.QueryError as error:
        context["fault"] = in_words(error.message)
    jobs = ExportJob.objects.filter(project=project).select_related("task", "created_by").newest_first()[:LISTED]
    splits = list(project.splits.values_list("name", flat=True))
    return show(request, "workplace/exports.html", project, "exports", jobs=jobs, splits=splits, **context)


def _start_export(request: HttpRequest, project: Project) -> HttpResponseBase:
    given = request.POST
    what = given.get("what", "json")
    if what == "cvat":
        return cvat.start(request, project)
    wanted = export_services.Wanted(
        q=given.get("q", "").strip(),
        split=given.get("split", ""),
        kind=given.get("kind", ""),
        package=what in ("zip", "pictures"),
        pictures=what == "pictures",
    )
    try:
        job = export_services.start_export(user=admin_user(request), project=project, wanted=wanted)
    except ServiceError as refusal:
        return cvat.back_to_form(request, project, refusal)
    return redirect("workplace:export", project_pk=project.pk, job_pk=job.pk)


@in_project()
@require_safe
def one_export(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """Follow an export; once it is over, take the file."""
    job = _find_export(project, job_pk)
    more = cvat.context_of(job)
    tab = "cvat" if job.target == ExportJob.Target.CVAT else "exports"
    return show(request, "workplace/export.html", project, tab, title=str(job), job=job, task=job.task, **more)


@in_project()
@require_safe
def download_export(request: HttpRequest, project: Project, job_pk: int) -> HttpResponseBase:
    """The exported file."""
    job = _find_export(project, job_pk)
    content = storage.read(job.payload_uri)
    if content is None:
        raise Http404(_("There is no file of this export yet."))
    ending = job.payload_uri.rpartition(".")[2]
    kind = "application/zip" if ending == "zip" else "application/json"
    return stored_file(request, content, kind, f"export-{job.pk}.{ending}")


def _find_export(project: Project, job_pk: int) -> ExportJob:
    rows = ExportJob.objects.select_related("task", "created_by", "cvat_project", "deletion")
    job = rows.filter(project=project, pk=job_pk).first()
    if job is None:
        raise Http404(_("There is no such export in this project."))
    return job
