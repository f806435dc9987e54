"""JSON out, by orjson."""

from collections.abc import Mapping, Set
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from django.db.models import QuerySet
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS
INT64 = range(-(2**63), 2**64)  # what orjson writes by itself


def dumps(data: Any) -> bytes:
    """JSON text of API data: decimals as numbers, times in UTC with a `Z`, `orjson.Fragment` as it is."""
    try:
        return orjson.dumps(data, default=_encode, option=OPTIONS)
    except TypeError:
        # Numbers beyond 64 bits are rare (somebody's metadata) and cost a copy of the answer.
        return orjson.dumps(_with_long_numbers(data), default=_encode, option=OPTIONS)


def _encode(value: Any) -> Any:
    match value:
        case Decimal():
            return orjson.Fragment(str(value)) if value.is_finite() else None
        case Promise():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case QuerySet() | Set():
            return list(value)
        case bytes():
            return value.decode()
        case Mapping():
            return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _with_long_numbers(value: Any) -> Any:
    match value:
        case dict():
            return {key: _with_long_numbers(item) for key, item in value.items()}
        case list() | tuple():
            return [_with_long_numbers(item) for item in value]
        case int() if value not in INT64:
            return orjson.Fragment(str(value))
    return value


class JSONRenderer(BaseRenderer):
    """Writes answers of the API."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 by definition
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The answer's bytes; none for an answer without data."""
        return b"" if data is None else dumps(data)
