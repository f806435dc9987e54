"""What the OpenAPI document says of every call: in a line and in full, how to prove who you are, what can go wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from accounts.api import idempotency


class ErrorSerializer(serializers.Serializer):
    """Every answer of 400 and above."""

    message = serializers.CharField(help_text="What was found, what was expected and what to do.")
    detail = serializers.JSONField(required=False, help_text="Facts for programs.")
    fieldErrors = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Messages by input field; nested fields as `categories.0.name`.",
    )


@dataclass(frozen=True)
class _Refusal:
    """A status of 400 and above: when it is answered, and one such answer."""

    status: str
    when: str
    example: dict[str, Any]


BAD_REQUEST = _Refusal(
    "400",
    "Something in the request is not valid; `fieldErrors` names the fields and parameters.",
    {"message": "Some fields are not valid: name.", "fieldErrors": {"name": ["This field may not be blank."]}},
)
UNAUTHORIZED = _Refusal(
    "401",
    "No token, or one that has run out or been ended.",
    {"message": "This access token is not valid or has run out. Refresh it, or log in again."},
)
FORBIDDEN = _Refusal(
    "403",
    "Your role, or the scope of your personal token, does not allow this.",
    {
        "message": "You are a viewer of this project; this needs a curator.",
        "detail": {"role": "viewer", "needed": "curator"},
    },
)
NOT_FOUND = _Refusal(
    "404",
    "There is no such thing, or it is not yours to see.",
    {"message": "There is no project 7 among yours."},
)
CONFLICT = _Refusal(
    "409",
    "The state of things does not allow it now; or the first call with this `Idempotency-Key` is being answered.",
    {"message": "This already exists, perhaps made by somebody else just now."},
)
STALE = _Refusal(
    "412",
    "`If-Match` names an older state: somebody has changed it since. Read it again.",
    {"message": "Somebody has changed this since you read it. Read it again."},
)
ANOTHER_BODY = _Refusal(
    "422",
    "The `Idempotency-Key` was used with another body.",
    {"message": "This Idempotency-Key was used for another request. Give each request a key of its own."},
)
TOO_MANY = _Refusal(
    "429",
    "Asked too often; `Retry-After` says in how many seconds to ask again.",
    {"message": "Too many tries. Try again in 17 seconds.", "detail": {"retryAfter": 17}},
)
SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)", re.DOTALL)


class ApiSchema(AutoSchema):
    """Adds a summary and what can go wrong to every operation, and to those that can be sent again, how."""

    def get_summary(self) -> str | None:
        """The first sentence of the description, where no summary is given."""
        told = super().get_summary()
        first = SENTENCE.match(" ".join(self.get_description().split()))
        return told or (first[1].rstrip(".") if first else None)

    def get_auth(self) -> list[dict[str, Any]]:
        """Which tokens will do; no personal token for what is of the account itself."""
        ways: list[dict[str, Any]] = super().get_auth()
        if getattr(self.view, "token_scopes", {}).get("", "any") is None:
            return [way for way in ways if "personalToken" not in way]
        return ways

    def _refusals(self) -> Iterator[_Refusal]:
        known = bool(self.view.authentication_classes)
        changes = self.method in ("POST", "PUT", "PATCH", "DELETE")
        yield BAD_REQUEST
        yield from (UNAUTHORIZED, FORBIDDEN) if known else ()
        if "{" in self.path:
            yield NOT_FOUND
        if known and changes:
            yield CONFLICT
        if any(getattr(one, "name", "") == "If-Match" for one in self.get_override_parameters()):
            yield STALE
        if known and self.method == "POST":
            yield ANOTHER_BODY
        yield TOO_MANY

    def get_override_parameters(self) -> list[Any]:
        """What is told of an operation by hand; `Idempotency-Key` of every POST of somebody who is known."""
        told = list(super().get_override_parameters())
        if self.method == "POST" and self.view.authentication_classes:
            told.append(idempotency.PARAMETER)
        return told

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        for refusal in self._refusals():
            if refusal.status not in bodies:
                told = self._get_response_for_code(ErrorSerializer, refusal.status, direction=direction)
                told["description"] = refusal.when
                for content in told["content"].values():
                    content["example"] = refusal.example
                bodies[refusal.status] = told
        bodies.setdefault("default", self._get_response_for_code(ErrorSerializer, "default", direction=direction))
        bodies["default"]["description"] = "What went wrong"
        return bodies

    def get_paginated_name(self, serializer_name: str) -> str:
        """Pages that tell more than their rows, such as a count, are of a shape of their own."""
        name = super().get_paginated_name(serializer_name)
        return f"Counted{name}" if getattr(self._get_paginator(), "extra_schema", None) else name


class BearerScheme(SimpleJWTScheme):
    """The two kinds of token that go into the same header; either will do."""

    target_class = "accounts.api.authentication.BearerAuthentication"
    name = ["bearer", "personalToken"]  # type: ignore[assignment]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """One or the other."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        """An access token of a log-in, or a personal token of a script."""
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The access token of `POST auth/login`. It runs out after minutes: refresh it.",
            },
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "cocohub_pat_...",
                "description": "A personal token of `POST auth/tokens`, for scripts: works for days, as far as its "
                "scopes (`read`, `write`, `manage`) and its user's roles go.",
            },
        ]
