"""Django's `changepassword`, after which the user's tokens and browsers are out too."""

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword

from accounts import services
from accounts.context import entering
from accounts.models import User


class Command(changepassword.Command):
    """Give a user a new password."""

    def handle(self, *args: Any, **options: Any) -> Any:
        """Ask for it and store it as Django does; then end the user's sessions."""
        email = options["username"] or getpass.getuser()
        told = super().handle(*args, **options)
        with entering("command"):
            services.end_sessions_by_command(target=User.objects.get_by_natural_key(email))
        return told
