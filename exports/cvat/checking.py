"""What is wrong with a connection to CVAT, said plainly."""

from dataclasses import dataclass

from exports.cvat.client import Client
from exports.cvat.errors import CvatError, Forbidden, NotFound, Unauthorized, Unwell, WrongAddress

OLDEST = (2, 48)  # access tokens appear


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome: `message` for people, and what is known of the server and the user."""

    ok: bool
    message: str
    version: str = ""
    username: str = ""
    warnings: tuple[str, ...] = ()


def check(client: Client) -> Check:
    """Ask the server who it is and who we are; never raises CvatError."""
    account = client.transport.account
    version = ""
    try:
        about = client.about()
        version = about.version
        if not version:
            return Check(False, f"{account.api_url} answers, but not as CVAT does; is the URL the one of CVAT's API?")
        user = client.me()
        if not user.id:
            return Check(False, f"{account.api_url} does not say whose token it is.", version)
        warnings = []
        if account.scheme == "Bearer" and client.token_is_read_only():
            return Check(
                False, "The access token is read-only: CocoHub could not send anything.", version, user.username
            )
        if about.numbers < OLDEST:
            warnings.append(f"CVAT {version} is older than {OLDEST[0]}.{OLDEST[1]}, which this client is made for.")
        client.projects_named("CocoHub: does this organization exist?")
    except CvatError as error:
        return Check(False, _plainly(error, account.api_url, account.scheme, account.organization), version)
    return Check(True, f"CVAT {version}, as {user.username}.", version, user.username, tuple(warnings))


def _plainly(error: CvatError, url: str, scheme: str, organization: str | None) -> str:
    if isinstance(error, Unauthorized):
        other = "Token (a login key of an older CVAT)" if scheme == "Bearer" else "Bearer (a personal access token)"
        return f"{error} It is sent as {scheme}; if it is of the other kind, say {other}. Or it is expired or revoked."
    if isinstance(error, Forbidden):
        return f"{error} The token's user lacks the rights."
    if isinstance(error, NotFound) and organization and "organization" in error.words:
        return f"{error} Check the organization's slug ({organization!r})."
    if isinstance(error, NotFound | WrongAddress):
        return f"{error} Expected CVAT's API at {url}."
    if isinstance(error, Unwell):
        return f"{error} Tried {url}."
    return str(error)
