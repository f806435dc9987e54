"""What the workplace's pages share: who may see them, what stands around them, how refusals are told."""

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import context
from accounts.errors import ServiceError
from accounts.phrases import in_words
from assets.models import ImageAsset
from projects import policies
from projects.models import Project, Role

View = Callable[..., HttpResponseBase]
MANY_IMAGES = 10_000  # a project with more is not counted through while somebody waits
SHORT_WAIT = 100  # milliseconds


# Addresses that only take forms, and the page that each form is on: after a login one comes back to that page.
PAGES_OF_FORMS = {
    "start-project": "admin:index",
    "steer-task": "admin:index",
    "revoke-token": "workplace:tokens",
    "bulk": "workplace:images",
    "undo": "workplace:images",
    "relabel": "workplace:images",
    "edit-image": "workplace:image",
    "merge-categories": "workplace:categories",
    "edit-category": "workplace:categories",
    "delete-category": "workplace:categories",
    "save-view": "workplace:insights",
    "change-view": "workplace:insights",
    "begin-upload": "workplace:imports",
    "upload-part": "workplace:imports",
    "survey": "workplace:imports",
    "steer-export": "workplace:export",
    "decide": "workplace:differences",
    "steer-webhook": "workplace:webhooks",
    "redeliver": "workplace:webhooks",
}
KEYS_OF_PAGES = {
    "workplace:image": ("image_pk",),
    "workplace:export": ("job_pk",),
    "workplace:differences": ("job_pk",),
}


def staff_only(view: View) -> View:
    """For whoever may use the admin; others are sent to its login, and from there to a page that can be looked at."""
    guarded = admin.site.admin_view(view)

    @functools.wraps(guarded)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        found = request.resolver_match
        page = PAGES_OF_FORMS.get(found.url_name or "") if found is not None else None
        if page is None or admin.site.has_permission(request):
            return guarded(request, *args, **kwargs)
        names = ("project_pk", *KEYS_OF_PAGES.get(page, ())) if "project_pk" in kwargs else ()
        back = reverse(page, kwargs={name: kwargs[name] for name in names})
        if request.META.get("QUERY_STRING"):
            back = f"{back}?{request.META['QUERY_STRING']}"
        return redirect_to_login(back, reverse("admin:login"))

    return inner


def in_project(role: Role = Role.VIEWER, *, as_json: bool = False) -> Callable[[View], View]:
    """A view of `(request, project, ...)` for members of at least this role; to strangers there is no such page."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def inner(request: HttpRequest, project_pk: int, **kwargs: Any) -> HttpResponseBase:
            context.tell(user_id=request.user.pk, project_id=project_pk)
            try:
                return view(request, policies.find_project(request.user, project_pk, role), **kwargs)
            except ServiceError as refusal:
                return refuse_json(refusal) if as_json else refuse(request, refusal)

        return staff_only(inner)

    return decorate


def refuse_json(refusal: ServiceError) -> JsonResponse:
    """The refusal in the shape of the API's errors."""
    body: dict[str, Any] = {"message": in_words(refusal.message)}
    if refusal.detail is not None:
        body["detail"] = refusal.detail
    if refusal.fields:
        body["fieldErrors"] = {name: [in_words(text) for text in texts] for name, texts in refusal.fields.items()}
    return JsonResponse(body, status=refusal.status)


def told(refusal: ServiceError) -> str:
    """The refusal in a line, in the page's language: what is wrong with the fields, or else as a whole."""
    texts = [text for texts in refusal.fields.values() for text in texts] or [refusal.message]
    return " ".join(in_words(text) for text in texts)


def refuse(request: HttpRequest, refusal: ServiceError) -> HttpResponse:
    """The refusal as a page."""
    if refusal.status == HTTPStatus.NOT_FOUND:
        raise Http404(refusal.message)
    if refusal.status == HTTPStatus.FORBIDDEN:
        raise PermissionDenied(in_words(refusal.message))
    context = {**admin.site.each_context(request), "title": _("This cannot be done"), "refusal": refusal}
    return TemplateResponse(request, "workplace/refused.html", context, status=refusal.status)


def metric_wait(project: Project) -> int | None:
    """Milliseconds that a page waits for figures which are not at hand; None for as long as the settings say.

    Those of a large project take seconds anyway: its pages show what there is, and ask again.
    """
    rows = ImageAsset.objects.filter(project=project).order_by()
    return SHORT_WAIT if rows[MANY_IMAGES : MANY_IMAGES + 1].exists() else None


def show(request: HttpRequest, template: str, project: Project, tab: str, **more: Any) -> TemplateResponse:
    """A page of a project, with the admin around it and the project's tabs above."""
    title = more.pop("title", None) or project.name
    context = {
        **admin.site.each_context(request),
        "title": title,
        "project": project,
        "role": Role(project.my_role) if project.my_role else None,
        "may_edit": (project.my_role or 0) >= Role.CURATOR,
        "may_export": (project.my_role or 0) >= Role.MANAGER,
        "tabs": tabs(project, tab),
        "is_fullwidth": "1",
        **more,
    }
    return TemplateResponse(request, template, context)


def tabs(project: Project, current: str) -> list[dict[str, Any]]:
    """The project's pages, for the row of tabs."""
    here = [
        ("images", _("Images"), "photo_library", reverse("workplace:images", args=[project.pk])),
        ("insights", _("Insights"), "insights", reverse("workplace:insights", args=[project.pk])),
        ("categories", _("Categories"), "category", reverse("workplace:categories", args=[project.pk])),
        ("imports", _("Import"), "upload", reverse("workplace:imports", args=[project.pk])),
        ("exports", _("Export"), "download", reverse("workplace:exports", args=[project.pk])),
    ]
    here.append(("cvat", _("CVAT"), "draw", reverse("workplace:cvat", args=[project.pk])))
    lists = [
        ("team", _("Team"), "group", "admin:projects_membership_changelist"),
    ]
    if (project.my_role or 0) >= Role.MANAGER:
        lists.append(("audit", _("Audit log"), "history", "admin:projects_auditlog_changelist"))
        here.append(("webhooks", _("Webhooks"), "webhook", reverse("workplace:webhooks", args=[project.pk])))
    rows = here + [(name, label, icon, f"{reverse(to)}?project={project.pk}") for name, label, icon, to in lists]
    return [{"label": label, "icon": icon, "link": link, "active": name == current} for name, label, icon, link in rows]
