"""Who calls: `Authorization: Bearer <access token>`."""

from typing import cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts import tokens
from accounts.models import User

NOT_VALID = _("This access token is not valid or has run out. Refresh it, or log in again.")
ENDED = _("This session has ended. Log in again.")


class BearerAuthentication(JWTAuthentication):
    """Takes access tokens of sessions that are still open, and only those.

    A refresh token, another algorithm, an ended session, an old password or a deactivated user all get 401.
    """

    def get_raw_token(self, header: bytes) -> bytes | None:
        """The token of the header; the scheme may be written in any case (RFC 9110)."""
        scheme, _space, rest = header.partition(b" ")
        return super().get_raw_token(b"Bearer " + rest if scheme.lower() == b"bearer" else header)

    def get_validated_token(self, raw_token: bytes) -> Token:
        """The token, checked for signature, kind and age."""
        try:
            return super().get_validated_token(raw_token)
        except InvalidToken as error:
            raise AuthenticationFailed(NOT_VALID) from error

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        """Whom the token speaks for. One query."""
        user = tokens.holder(validated_token)
        if user is None:
            raise AuthenticationFailed(ENDED)
        return user


def caller(request: Request) -> User:
    """Who calls, typed; the permission classes have let only users in."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def session(request: Request) -> UUID:
    """The session that the caller's token belongs to."""
    return tokens.session_of(cast(Token, request.auth))
