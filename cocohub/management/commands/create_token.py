"""`manage.py create_token`: a personal token for a script, printed once."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import personal
from accounts.errors import ServiceError
from accounts.models import PersonalToken, User
from projects.commands import ServiceCommand


class Command(ServiceCommand):
    """Make a token in a user's name."""

    help = (
        "Make a personal token with which a script calls the API in a user's name, and print it. It is stored nowhere: "
        'keep what is printed. Scripts send it as "Authorization: Bearer ...".'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command's options."""
        super().add_arguments(parser)
        parser.add_argument("email", help="whose name the script acts in")
        parser.add_argument("--name", required=True, help="what the token is called in the user's list")
        parser.add_argument(
            "--scope", choices=PersonalToken.Scope.values, default="read",
            help="what it may do; each includes the ones before (default: read)",
        )  # fmt: skip
        parser.add_argument("--days", type=int, help="how long it works (default: TOKEN_DAYS)")

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make it."""
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise ServiceError(f"There is no user {options['email']!r}.")
        if not user.is_active:
            raise ServiceError(f"{user.email} is locked out; no token of theirs would work.")
        token, secret = personal.create(
            user=user, name=options["name"], scopes=[options["scope"]], days=options["days"]
        )
        return {
            "token": secret,
            "name": token.name,
            "email": user.email,
            "scopes": list(token.scopes),
            "expires_at": token.expires_at.isoformat(),
        }

    def show(self, result: dict[str, Any]) -> None:
        """The token alone on stdout, so that a shell can take it; the rest on stderr."""
        self.stdout.write(result["token"])
        self.stderr.write(f"{result['email']}: {', '.join(result['scopes'])}, until {result['expires_at']}")
