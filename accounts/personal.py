"""Tokens that people give to their scripts: made, checked, listed and revoked.

A token acts in its user's name, with the user's roles, and for no more than its scopes: `write` includes `read`, and
`manage` includes both. It opens nothing of the account itself: no password, no sessions, no other tokens.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import context, throttling, tokens, trail
from accounts.errors import Conflict, Forbidden, NotFound, ServiceError
from accounts.models import PersonalToken, User

PREFIX = "cocohub_pat_"
SHOWN = 4  # characters after the prefix that tell tokens apart in lists
MAX_TOKENS = 50  # of one user
USED_EVERY = timedelta(minutes=1)  # "last used" is as exact as this, so that a busy script does not write at each call
KEPT_DAYS = 30  # in lists after running out
Scope = PersonalToken.Scope
_INCLUDED = {
    Scope.READ: frozenset({"read"}),
    Scope.WRITE: frozenset({"read", "write"}),
    Scope.MANAGE: frozenset({"read", "write", "manage"}),
}


class Granted(dict[str, str]):
    """What a request with a token has for claims: those of a session (`sub`, `sid`, `ver`), and what it may."""

    def __init__(self, token: PersonalToken) -> None:
        super().__init__(sub=str(token.user_id), sid=str(token.sid), ver=str(token.version))
        self.token_id = token.pk
        self.scopes = frozenset().union(*(_INCLUDED[Scope(scope)] for scope in token.scopes))


@transaction.atomic
def create(*, user: User, name: str, scopes: Iterable[str], days: int | None = None) -> tuple[PersonalToken, str]:
    """Make a token; the second of the answer is the token itself, which is nowhere to be had afterwards.

    It runs out after `days` (TOKEN_DAYS if not given). Raises ServiceError for what will not do, Conflict for a name
    that is taken or one token too many.
    """
    throttling.check("new-tokens", user=str(user.pk))
    name, days = name.strip(), settings.TOKEN_DAYS if days is None else days
    wanted = sorted({Scope(scope) for scope in _known(scopes)}, key=list(Scope).index)
    _check(name, wanted, days)
    User.objects.select_for_update().get(pk=user.pk)  # two at once would both find room for one more
    there = PersonalToken.objects.filter(user=user)
    if there.count() >= MAX_TOKENS:
        raise Conflict(_("You have %(number)d tokens. Revoke one first.") % {"number": MAX_TOKENS})
    if there.filter(name__iexact=name).exists():
        text = _("You have a token of this name.")
        raise Conflict(text, fields={"name": [text]})
    secret = PREFIX + secrets.token_hex(32)
    token = PersonalToken.objects.create(
        user=user,
        name=name,
        digest=digest(secret),
        start=secret[: len(PREFIX) + SHOWN],
        scopes=wanted,
        version=user.token_version,
        expires_at=timezone.now() + timedelta(days=days),
    )
    trail.record(user, "token.created", name=name, scopes=wanted, expires_at=token.expires_at)
    return token, secret


@transaction.atomic
def revoke(*, user: User, pk: int) -> None:
    """End one of the user's tokens: it opens nothing from now on. Raises NotFound."""
    token = PersonalToken.objects.filter(user=user, pk=pk).first()
    if token is None:
        raise NotFound(_("There is no token %(pk)s among yours.") % {"pk": pk})
    tokens.end_session(user, token.sid)
    token.delete()
    trail.record(user, "token.revoked", name=token.name)


def is_one(text: str | bytes) -> bool:
    """Whether this is meant to be a personal token."""
    return text[: len(PREFIX)] in (PREFIX, PREFIX.encode())


def holder(secret: str) -> tuple[User, Granted] | None:
    """Whom the token speaks for and what it may; None if it is unknown, revoked, ended or has run out. One query.

    Once a minute it is also written down that it is in use.
    """
    found = (
        PersonalToken.objects.filter(
            digest=digest(secret),
            expires_at__gt=timezone.now(),
            user__is_active=True,
            user__token_version=F("version"),
        )
        .select_related("user")
        .first()
    )
    if found is None:
        return None
    now = timezone.now()
    if found.last_used_at is None or now - found.last_used_at > USED_EVERY:
        PersonalToken.objects.filter(pk=found.pk).update(last_used_at=now)
    context.token.set(found.name)
    return found.user, Granted(found)


def require(granted: object, scope: str | None) -> None:
    """Raise Forbidden if this is a token that lacks the scope; None is for what no token may. Log-ins may all."""
    if not isinstance(granted, Granted):
        return
    if scope is None:
        raise Forbidden("A personal token may not do this. Log in.", detail={"scopes": sorted(granted.scopes)})
    if scope not in granted.scopes:
        raise Forbidden(
            f"This needs a token with the scope {scope!r}; yours has {', '.join(sorted(granted.scopes))}.",
            detail={"scopes": sorted(granted.scopes), "needed": scope},
        )


def forget_expired() -> int:
    """Delete tokens that ran out long ago; how many went."""
    return PersonalToken.objects.expired_long_ago(KEPT_DAYS).delete()[0]


def digest(secret: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(secret.encode()).digest()


def _known(scopes: Iterable[str]) -> list[str]:
    given = list(scopes)
    if unknown := [scope for scope in given if scope not in Scope.values]:
        text = _("There is no scope %(name)r; the scopes are %(known)s.") % {
            "name": unknown[0][:40],
            "known": ", ".join(Scope.values),
        }
        raise ServiceError(text, fields={"scopes": [text]})
    return given


def _check(name: str, scopes: list[Scope], days: int) -> None:
    faults: dict[str, list[str]] = {}
    if not 1 <= len(name) <= 100 or not name.isprintable():
        faults["name"] = [_("Give it a name of 1 to 100 characters, so that you know it again.")]
    if not scopes:
        faults["scopes"] = [_("Choose what it may do.")]
    if not 1 <= days <= settings.TOKEN_MAX_DAYS:
        faults["days"] = [_("A token works for 1 to %(days)d days.") % {"days": settings.TOKEN_MAX_DAYS}]
    if faults:
        raise ServiceError(" ".join(text for texts in faults.values() for text in texts), fields=faults)
