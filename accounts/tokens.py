"""The pair of tokens a client works with, and whom a token speaks for.

A login opens a session, named by the claim `sid`, which every rotation of the refresh token carries on. The claim `ver`
is the user's `token_version` at that time: raising that ends all of the user's sessions at once.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, QuerySet
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.errors import Unauthorized
from accounts.models import RevokedSession, User
from accounts.prepared import Prepared

NOT_VALID = "This refresh token is not valid any more. Log in again."


@dataclass(frozen=True)
class Pair:
    """An access token for the calls, and a refresh token for the next pair."""

    access: str
    refresh: str


def issue(user: User, *, session: uuid.UUID | None = None) -> Pair:
    """A new pair for the user, in a new session unless one is carried on."""
    refresh = RefreshToken()
    refresh[api_settings.USER_ID_CLAIM] = str(user.pk)
    refresh["sid"] = str(session or uuid.uuid4())
    refresh["ver"] = user.token_version
    OutstandingToken.objects.create(
        user=user,
        jti=refresh["jti"],
        token="",  # who reads the database must not be able to log in with what is found there
        created_at=refresh.current_time,
        expires_at=datetime_from_epoch(refresh["exp"]),
    )
    return Pair(access=str(refresh.access_token), refresh=str(refresh))


@transaction.atomic
def rotate(refresh: str, admit: Callable[[User], None] = lambda user: None) -> Pair:
    """Trade a refresh token for a new pair; it can be traded once, also by clients that try at the same time.

    Raises Unauthorized, and what `admit` raises about its holder.
    """
    token = read_refresh(refresh)
    _spend(token)
    user = holder(token)
    if user is None:
        raise Unauthorized(NOT_VALID)
    admit(user)
    return issue(user, session=session_of(token))


def read_refresh(text: str) -> RefreshToken:
    """The refresh token, checked for signature, kind, age and use; raises Unauthorized."""
    try:
        return RefreshToken(text)  # type: ignore[arg-type]
    except (TokenError, KeyError) as error:
        raise Unauthorized(NOT_VALID) from error


def _spend(token: RefreshToken) -> None:
    known = OutstandingToken.objects.filter(jti=token["jti"]).first()
    # The unique key decides between two at the same time: the second waits for the first, then finds its row.
    if known is None or not BlacklistedToken.objects.get_or_create(token=known)[1]:
        raise Unauthorized(NOT_VALID)


def holder(token: Token) -> User | None:
    """Whom the token speaks for right now: None once the user, the session or all sessions are ended. One query."""
    try:
        user_id, session, version = int(token[api_settings.USER_ID_CLAIM]), session_of(token), int(token["ver"])
    except (KeyError, ValueError, TypeError):
        return None
    return _HOLDER.first(session, user_id, version)


def _holder(session: uuid.UUID, user: int, version: int) -> QuerySet[User]:
    ended = Exists(RevokedSession.objects.filter(sid=session))
    return User.objects.filter(~ended, pk=user, is_active=True, token_version=version)


_HOLDER = Prepared(_holder, uuid.UUID, int, int)


def session_of(token: Token) -> uuid.UUID:
    """Which login the token came from."""
    return uuid.UUID(token["sid"])


def end_session(user: User, session: uuid.UUID) -> None:
    """Make every token of this login worthless from now on."""
    RevokedSession.objects.get_or_create(
        sid=session, defaults={"user": user, "expires_at": timezone.now() + api_settings.REFRESH_TOKEN_LIFETIME}
    )


def retire(user: User, refresh: str) -> None:
    """Spend the user's refresh token and end its session; nothing happens to somebody else's or an invalid one."""
    try:
        token = read_refresh(refresh)
        if holder(token) == user:
            _spend(token)
            end_session(user, session_of(token))
    except Unauthorized:
        return


def forget_expired() -> int:
    """Delete what is known of tokens that have run out; how many rows went."""
    tokens, _ = OutstandingToken.objects.filter(expires_at__lt=timezone.now()).delete()
    sessions, _ = RevokedSession.objects.expired().delete()
    return tokens + sessions
