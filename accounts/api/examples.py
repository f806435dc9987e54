"""Examples of every call in the OpenAPI document: real requests and their answers, as a story of tests made them.

They are kept in `examples.json`, by `METHOD path`: `request` by media type, `answers` by status and media type.
"""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).parent / "examples.json"


@cache
def known() -> dict[str, dict[str, Any]]:
    """All examples."""
    found: dict[str, dict[str, Any]] = orjson.loads(FILE.read_bytes())
    return found


def add_to(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: the document with its examples. What has one by hand keeps it."""
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            told = known().get(f"{method.upper()} {path}", {})
            _fill(operation.get("requestBody", {}).get("content", {}), told.get("request", {}))
            for status, content in told.get("answers", {}).items():
                _fill(operation["responses"].get(status, {}).get("content", {}), content)
    return result


def _fill(content: dict[str, Any], told: dict[str, Any]) -> None:
    for kind, example in told.items():
        if kind in content and not {"example", "examples"} & set(content[kind]):
            content[kind]["example"] = example
