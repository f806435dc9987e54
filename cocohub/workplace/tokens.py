"""One's own tokens for scripts: made, shown once, revoked."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import personal
from accounts.errors import ServiceError
from accounts.models import PersonalToken
from accounts.phrases import in_words
from cocohub.workplace.pages import staff_only, told
from projects.admin_base import admin_user

LISTED = personal.MAX_TOKENS


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponseBase:
    """The list, with the form for another one. A new token stands in the answer to the form, and nowhere else."""
    shown: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            token, secret = personal.create(
                user=admin_user(request),
                name=request.POST.get("name", ""),
                scopes=request.POST.getlist("scopes"),
                days=_days(request.POST.get("days", "")),
            )
            shown = {"made": token, "secret": secret}
        except ServiceError as refusal:
            shown, status = {"refusal": told(refusal), "given": request.POST}, refusal.status
    rows = PersonalToken.objects.filter(user=admin_user(request)).select_related("user").newest_first()
    context = {
        **admin.site.each_context(request),
        "title": _("Personal tokens"),
        "is_fullwidth": "1",
        "rows": rows[:LISTED],
        "scopes": PersonalToken.Scope.choices,
        "days": settings.TOKEN_DAYS,
        "most_days": settings.TOKEN_MAX_DAYS,
        **shown,
    }
    return TemplateResponse(request, "workplace/tokens.html", context, status=status)


@staff_only
@require_POST
def revoke(request: HttpRequest, token_pk: int) -> HttpResponseBase:
    """End one of them."""
    try:
        personal.revoke(user=admin_user(request), pk=token_pk)
    except ServiceError as refusal:
        messages.error(request, in_words(refusal.message))
    else:
        messages.success(request, _("The token is revoked: it opens nothing any more."))
    return redirect("workplace:tokens")


def _days(text: str) -> int | None:
    if not text.strip():
        return None
    return int(text) if text.strip().isdecimal() and len(text) < 7 else 0
