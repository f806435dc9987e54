"""From a project to its CVAT: whose credentials, how they are saved, and what to do when CVAT does not answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import sealing
from accounts.errors import NotFound, ServiceError
from accounts.models import User
from exports.cvat import errors
from exports.cvat.account import Account, Scheme, host_of
from exports.cvat.checking import Check, check
from exports.cvat.client import Client
from exports.cvat.guarding import check_for
from exports.cvat.waiting import TookTooLong
from exports.models import CvatConnection
from projects import audit, faults, policies
from projects.claims import TryLater
from projects.models import Project, Role

NOT_SET = (
    "No CVAT is connected: set CVAT_API_URL and CVAT_API_TOKEN for the installation, or give this project a connection "
    "of its own."
)
FIRST_PAUSE = 3 * faults.FIRST_PAUSE  # before asking an unwell CVAT again; the client has tried for a while by then
SLOW_PAUSE = timedelta(minutes=2)  # before looking again at what CVAT is still making


def allowed_hosts() -> frozenset[str]:
    """Hosts that this installation lets anybody ask."""
    own = host_of(settings.CVAT_API_URL)
    return frozenset([*settings.CVAT_ALLOWED_HOSTS, *([own] if own else [])])


def account_of(project: Project) -> Account:
    """The account that the project works with: its own, else the installation's. Raises ServiceError."""
    connection = CvatConnection.objects.filter(project=project).first()
    if connection is not None:
        return _account(
            connection.url or settings.CVAT_API_URL,
            sealing.unseal(connection.token_sealed),
            connection.scheme,
            connection.organization,
        )
    return account_of_installation()


def account_of_installation() -> Account:
    """The account in the environment. Raises ServiceError if there is none, or none that can be used."""
    if not settings.CVAT_API_URL or not settings.CVAT_API_TOKEN:
        raise ServiceError(NOT_SET)
    scheme, organization = settings.CVAT_TOKEN_SCHEME, settings.CVAT_ORGANIZATION
    return _account(settings.CVAT_API_URL, settings.CVAT_API_TOKEN, scheme, organization)


@contextmanager
def client_of(project: Project, *, pause: Callable[[float], None] | None = None) -> Iterator[Client]:
    """A client of the project's CVAT for the length of the work. `pause` sleeps, and may look whether to stop."""
    options: dict[str, Any] = {"pause": pause} if pause is not None else {}
    with open_client(account_of(project), **options) as client:
        yield client


def open_client(account: Account, **options: Any) -> Client:
    """A client that speaks to no address but those that this installation allows."""
    return Client.open(account, address_check=check_for(account.url, settings.CVAT_ALLOWED_NETWORKS), **options)


@contextmanager
def told_plainly() -> Iterator[None]:
    """For work in a task: CVAT's refusals become ServiceErrors with its own words, its weaknesses TryLater."""
    try:
        yield
    except TookTooLong as error:
        raise TryLater(str(error), after=SLOW_PAUSE) from error
    except errors.Busy as error:
        raise TryLater(str(error), after=max(timedelta(seconds=error.after or 0), FIRST_PAUSE)) from error
    except errors.Unwell as error:
        raise TryLater(str(error), after=FIRST_PAUSE) from error
    except errors.CvatError as error:
        raise refusal_of(error) from error


@contextmanager
def told_at_once() -> Iterator[None]:
    """For work that somebody waits for: whatever CVAT does wrong is a ServiceError with its words."""
    try:
        yield
    except errors.CvatError as error:
        raise refusal_of(error) from error


def refusal_of(error: errors.CvatError) -> ServiceError:
    """What CVAT said, as an error of ours; its status is in the detail, for it is not our answer's."""
    return ServiceError(str(error), detail={"cvatStatus": error.status, "cvatWords": error.words})


# --- A project's own connection -----------------------------------------------------------------------------------


def save_connection(
    *,
    user: User,
    project: Project,
    token: str = "",
    url: str = "",
    scheme: str = "",
    organization: str = "",
) -> CvatConnection:
    """Give the project credentials of its own, after CVAT has accepted them. For managers.

    Without a token the stored one stays, unless the address changes: it was given for that address alone. Raises
    ServiceError, with the field, for what CVAT does not accept; nothing is saved then.
    """
    policies.require(user, Role.MANAGER, project)
    known = CvatConnection.objects.filter(project=project).first()
    if not token:
        if known is None or host_of(known.url or settings.CVAT_API_URL) != host_of(url or settings.CVAT_API_URL):
            text = "Give the token of this address."
            raise ServiceError(text, fields={"token": [text]})
        token = sealing.unseal(known.token_sealed)
    account = _account(url or settings.CVAT_API_URL, token, scheme or CvatConnection.Scheme.BEARER, organization)
    found = check_account(account)
    if not found.ok:
        raise ServiceError(found.message, fields={"token": [found.message]})
    with transaction.atomic():
        connection, _ = CvatConnection.objects.update_or_create(
            project=project,
            defaults={
                "url": url,
                "token_sealed": sealing.seal(token),
                "scheme": account.scheme,
                "organization": organization,
                "username": found.username[:200],
                "version": found.version[:40],
                "checked_at": timezone.now(),
                "saved_by": user,
            },
        )
        audit.record(
            user, project, "cvat.connected", url=account.web_url, organization=organization, username=found.username
        )
    return connection


def delete_connection(*, user: User, project: Project) -> None:
    """Forget the project's credentials: it works with the installation's again. For managers."""
    policies.require(user, Role.MANAGER, project)
    with transaction.atomic():
        gone, _ = CvatConnection.objects.filter(project=project).delete()
        if not gone:
            raise NotFound("This project has no CVAT connection of its own.")
        audit.record(user, project, "cvat.disconnected")


def check_connection(*, user: User, project: Project) -> Check:
    """Ask CVAT whether the project's credentials work. For managers; never raises for what CVAT says."""
    policies.require(user, Role.MANAGER, project)
    found = check_project(project)
    changes = {"checked_at": timezone.now(), **({"version": found.version[:40]} if found.ok else {})}
    CvatConnection.objects.filter(project=project).update(**changes)
    return found


def check_project(project: Project | None) -> Check:
    """The same for commands; None asks about the installation's credentials."""
    try:
        account = account_of(project) if project is not None else account_of_installation()
    except ServiceError as error:
        return Check(False, error.message)
    return check_account(account)


def check_account(account: Account) -> Check:
    """Ask the server, once and not for long."""
    brief = replace(account, timeouts=replace(account.timeouts, connect=5.0, read=15.0, total=30.0))
    with open_client(brief, pause=_no_longer_than(1.0)) as client:
        return check(client)


def _account(url: str, token: str, scheme: str, organization: str) -> Account:
    kind: Scheme = "Token" if scheme == "Token" else "Bearer"
    try:
        return Account(
            url,
            token.strip(),
            kind,
            organization,  # "" is sent too: otherwise look-ups would find what belongs to others
            allowed_hosts(),
            settings.CVAT_CA_FILE or None,
        )
    except errors.WrongAddress as error:
        raise ServiceError(str(error), fields={"url": [str(error)]}) from error
    except ValueError as error:
        field = "organization" if "organization" in str(error) else "token"
        raise ServiceError(str(error), fields={field: [str(error)]}) from error


def _no_longer_than(limit: float) -> Callable[[float], None]:
    return lambda seconds: time.sleep(min(seconds, limit))
