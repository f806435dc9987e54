"""Who calls: `Authorization: Bearer <access token>`, or a personal token in its place."""

from typing import Any, cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts import personal, tokens
from accounts.models import User

NOT_VALID = _("This access token is not valid or has run out. Refresh it, or log in again.")
NO_TOKEN = _("This personal token is not valid: it may have run out or been revoked.")
NO_BEARER = _("The Authorization header must be the word Bearer, a space and a token.")
ENDED = _("This session has ended. Log in again.")


class BearerAuthentication(JWTAuthentication):
    """Takes access tokens of sessions that are still open, and personal tokens of scripts; nothing else.

    A refresh token, another algorithm, an ended session, an old password or a deactivated user all get 401.
    """

    def authenticate(self, request: Request) -> tuple[User, Any] | None:  # type: ignore[override]
        """The caller with the claims of the access token, or with what a personal token grants."""
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header else None
        if raw is None or not personal.is_one(raw):
            return super().authenticate(request)  # type: ignore[return-value]
        found = personal.holder(raw.decode(errors="replace"))
        if found is None:
            raise AuthenticationFailed(NO_TOKEN)
        return found

    def get_raw_token(self, header: bytes) -> bytes | None:
        """The token of the header; the scheme may be written in any case (RFC 9110)."""
        scheme, _space, rest = header.partition(b" ")
        try:
            return super().get_raw_token(b"Bearer " + rest if scheme.lower() == b"bearer" else header)
        except AuthenticationFailed as error:  # its own detail is a text and a code, which would be told as one text
            raise AuthenticationFailed(NO_BEARER) from error

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
