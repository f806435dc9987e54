"""The generator of the OpenAPI document, for one thread at a time."""

import threading
from typing import Any

from drf_spectacular.generators import SchemaGenerator

_turn = threading.RLock()
NULL = {"nullable": True, "enum": [None]}
_NULL_ENUM = {"$ref": "#/components/schemas/NullEnum"}  # drf-spectacular's own


class Generator(SchemaGenerator):
    """drf-spectacular's, whose registry of extensions is filled on first use and is not made for several threads."""

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        """The whole document, as far as `request` may see it."""
        with _turn:
            return super().get_schema(request, public)


def null_is_an_alternative(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: `nullable` without a type says nothing in OpenAPI 3.0, so null is spelled out.

    What is referred to has a type, and null is not of it (https://spec.openapis.org/oas/v3.0.3#schema-object).
    """
    _spell_out(result)
    return result


def _spell_out(value: Any) -> None:
    if isinstance(value, dict) and value.get("nullable") and "type" not in value:
        several = next((name for name in ("allOf", "oneOf", "anyOf") if name in value), None)
        if several is not None:
            ways = value.pop(several)
            value["oneOf" if several == "allOf" else several] = [*ways, *([] if _NULL_ENUM in ways else [NULL])]
            del value["nullable"]
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _spell_out(part)
