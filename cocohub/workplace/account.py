"""Pages of one's own account in the admin."""

from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import second_factor, throttling
from accounts.admin import OwnPasswordForm
from accounts.errors import ServiceError
from accounts.models import User
from cocohub.workplace.pages import staff_only, told
from projects.admin_base import admin_user

MODULE = 5  # pixels of a square of the QR code


@staff_only
def own_password(request: HttpRequest) -> HttpResponseBase:
    """Change one's own password. Unfold's page takes no form of ours, hence this one before it."""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse_lazy("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return view(request)


@sensitive_post_parameters("code")
@staff_only
@never_cache
@require_http_methods(["GET", "POST"])
def second_factor_page(request: HttpRequest) -> HttpResponseBase:
    """One's own second factor: set up by a QR code, with recovery codes that are shown once; or taken away again."""
    user = admin_user(request)
    codes: list[str] = []
    if request.method == "POST":
        try:
            codes = _done(request, request.POST.get("do", ""), request.POST.get("code", ""))
        except ServiceError as refusal:
            messages.error(request, told(refusal))
        if not codes:
            return HttpResponseRedirect(reverse("workplace:second-factor"))
    uri = second_factor.uri_of(user)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Second factor"),
        "is_on": second_factor.is_on(user),
        "is_demanded": second_factor.must_set_up(user),
        "left": second_factor.codes_left(user),
        "picture": segno.make(uri, micro=False).svg_data_uri(scale=MODULE, light="white") if uri else "",
        "secret": second_factor.secret_of(user),
        "codes": codes,
    }
    return TemplateResponse(request, "workplace/second_factor.html", context)


def _done(request: HttpRequest, what: str, code: str) -> list[str]:
    """Do it; recovery codes where there are new ones."""
    user = admin_user(request)
    if what == "begin":
        second_factor.begin(user)
        return []
    with throttling.guessing(code_of=str(user.pk)):  # codes are tried here as at the log-in
        return _done_with_code(request, user, what, code)


def _done_with_code(request: HttpRequest, user: User, what: str, code: str) -> list[str]:
    match what:
        case "confirm":
            codes = second_factor.confirm(user, code)
            update_session_auth_hash(request, user)  # all sessions have ended but this one
            return codes
        case "renew":
            return second_factor.renew_codes(user, code)
        case "remove":
            second_factor.remove(user, code)
            messages.success(request, _("Log-ins take your password alone now."))
    return []
