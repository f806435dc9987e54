"""Pages of one's own account in the admin."""

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse_lazy

from accounts.admin import OwnPasswordForm
from cocohub.workplace.pages import staff_only


@staff_only
def own_password(request: HttpRequest) -> HttpResponseBase:
    """Change one's own password. Unfold's page takes no form of ours, hence this one before it."""
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm,
        success_url=reverse_lazy("admin:password_change_done"),
        extra_context=admin.site.each_context(request),
    )
    return view(request)
