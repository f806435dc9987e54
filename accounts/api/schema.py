"""What the OpenAPI document says of every call: how to prove who you are, and what an error looks like."""

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


class ApiSchema(AutoSchema):
    """Adds the shape of errors to every operation, and to those that can be sent again without harm, how."""

    def get_override_parameters(self) -> list[Any]:
        """What is told of an operation by hand; `Idempotency-Key` of every POST of somebody who is known."""
        told = list(super().get_override_parameters())
        if self.method == "POST" and self.view.authentication_classes:
            told.append(idempotency.PARAMETER)
        return told

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        bodies.setdefault("default", self._get_response_for_code(ErrorSerializer, "default", direction=direction))
        bodies["default"]["description"] = "What went wrong"
        return bodies

    def get_paginated_name(self, serializer_name: str) -> str:
        """Pages that tell more than their rows, such as a count, are of a shape of their own."""
        name = super().get_paginated_name(serializer_name)
        return f"Counted{name}" if getattr(self._get_paginator(), "extra_schema", None) else name


class BearerScheme(SimpleJWTScheme):
    """Names our authentication in the document."""

    target_class = "accounts.api.authentication.BearerAuthentication"
    name = "bearer"
