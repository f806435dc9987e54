"""Users in the admin, for global admins; and the admin's own login."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist import admin as _registers  # noqa: F401 - what is taken away below
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.forms import (
    AdminOwnPasswordChangeForm,
    AdminPasswordChangeForm,
    AuthenticationForm,
    UserChangeForm,
    UserCreationForm,
)
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import second_factor, services, throttling
from accounts.admin_base import ServiceAdmin
from accounts.errors import TooManyRequests, Unauthorized
from accounts.models import User
from accounts.phrases import in_words

# Roles are held per project, and tokens are nobody's business.
admin.site.unregister([Group, OutstandingToken, BlacklistedToken])


class LoginForm(AuthenticationForm):
    """The admin's login, as often as the API's, and with the same second factor."""

    code = forms.CharField(
        label=_("Code of your authenticator app"),
        help_text=_("Only if you have set one up. A recovery code does, too."),
        max_length=40,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"}),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse bursts before any password is looked at."""
        try:
            with services.trying(self.request, self.cleaned_data.get("username", "")):
                cleaned = super().clean()
                second_factor.admit(self.get_user(), cleaned.get("code", ""))
                return cleaned
        except (TooManyRequests, Unauthorized) as refusal:
            self.user_cache = None
            raise ValidationError(in_words(refusal.message)) from refusal


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """One's own password, changed by the service: every token ends, and this browser stays."""

    def clean_old_password(self) -> str:
        """Limited like log-ins: whoever sits at an open browser must not try one after the other."""
        try:
            with throttling.guessing(password_of=str(self.user.pk)):
                return super().clean_old_password()
        except TooManyRequests as refusal:
            raise ValidationError(in_words(refusal.message)) from refusal

    def save(self, commit: bool = True) -> User:
        """Store it. Django then renews the session of this browser."""
        services.set_own_password(user=self.user, new=self.cleaned_data["new_password1"])
        return self.user


admin.site.login_form = LoginForm


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ServiceAdmin):  # type: ignore[misc]
    """Users. Who is no global admin does not see this page, whatever Django permissions somebody gave."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "name")
    actions = ("take_second_factor_away",)
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (_("May"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "is_staff", "usable_password", "password1", "password2")}),)

    @admin.action(description=_("Take the second factor away"))
    def take_second_factor_away(self, request: HttpRequest, queryset: Any) -> None:
        """For people who have lost their phone and their recovery codes."""
        for target in queryset:
            second_factor.take_away(user=_user(request), target=target)
        self.message_user(request, _("They log in by password alone until they set it up again."), messages.SUCCESS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether this is a global admin."""
        return _is_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this is a global admin."""
        return _is_admin(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether this is a global admin."""
        return _is_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this is a global admin."""
        return _is_admin(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this is a global admin."""
        return _is_admin(request)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Add or change, by the services."""
        user, given = _user(request), form.cleaned_data
        if not change:
            password = given["password1"] if given.get("set_usable_password", True) else None
            made = services.create_user(
                user=user, email=given["email"], password=password, name=given["name"], is_staff=given["is_staff"]
            )
            obj.pk, obj._state.adding = made.pk, False
            return
        changes = {name: given[name] for name in form.changed_data}
        active = changes.pop("is_active", None)
        if changes:
            services.update_user(user=user, target=obj, **changes)
        if active is not None:
            services.set_active(user=user, target=obj, active=active)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, dict[str, list[str]]]]:
        """Django's message; the page for a new password calls this once it has stored one."""
        if isinstance(form, AdminPasswordChangeForm):
            services.end_sessions_after_new_password(user=_user(request), target=form.user)
        return super().construct_change_message(request, form, formsets, add)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete, by the services."""
        services.delete_user(user=_user(request), target=obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete what was ticked, by the services."""
        for target in queryset:
            services.delete_user(user=_user(request), target=target)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionError("The admin lets only users in.")
    return request.user


def _is_admin(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_staff and request.user.is_superuser)
