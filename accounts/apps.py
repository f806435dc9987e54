from typing import Any

from django.apps import AppConfig
from django.contrib.auth import signals
from django.utils.translation import gettext_lazy as _

from accounts.addresses import address_of


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        """Have logins told to the audit trail, whichever door they come through: Django announces them all."""
        signals.user_logged_in.connect(_logged_in, dispatch_uid="accounts.login")
        signals.user_logged_out.connect(_logged_out, dispatch_uid="accounts.logout")
        signals.user_login_failed.connect(_login_failed, dispatch_uid="accounts.login_failed")


def _logged_in(*, user: Any, request: Any = None, **_signal: Any) -> None:
    _record(user, "auth.login", **_whence(request))


def _logged_out(*, user: Any, **_signal: Any) -> None:
    if user is not None:
        _record(user, "auth.logout")


def _login_failed(*, credentials: dict[str, Any], request: Any = None, **_signal: Any) -> None:
    _record(None, "auth.login_failed", actor=str(credentials.get("username", "")), **_whence(request))


def _whence(request: Any) -> dict[str, str]:
    return {} if request is None else {"address": address_of(request)}


def _record(user: Any, action: str, *, actor: str = "", **detail: Any) -> None:
    from accounts import trail  # models can be imported only once all apps are loaded

    trail.record(user, action, actor=actor, **detail)
