"""A client that writes down one good answer of every call, as the examples of the OpenAPI document have it."""

import re
from typing import Any
from urllib.parse import urlsplit

import orjson
from rest_framework.test import APIClient

from tests.asynchronous import run

ITEMS = 2  # of a list that are shown
LINES = 4  # of a CSV
TEXT = 400  # characters of one text
# What is secret, changes with every run, or is of the machine, and what stands for it.
REPLACED = [
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTU0MzI1MDB9.c2lnbmF0dXJl"),
    (re.compile(r"eyJ0[\w-]+(?:[:.%][\w-]+)*"), "dGlja2V0OjQy"),
    (re.compile(r"cocohub_pat_\w+"), "cocohub_pat_4fQ7wXcR2m"),
    (re.compile(r"whsec_[\w+/=-]+"), "whsec_C2FVsBQIhrscChlQIMV1hWs7Yg"),
    (re.compile(r"https?://testserver"), "https://cocohub.example.org"),
    (re.compile(r"http://127\.0\.0\.1:8000"), "https://cocohub.example.org"),
    (re.compile(r"http://(127\.0\.0\.1|localhost):\d+"), "https://cvat.example.org"),
    (re.compile(r"([?&](?:ticket|signature|token|sig)=)[^&\"\s]+"), r"\1aW1hZ2VzOjQy"),
    (re.compile(r"(?<=[?&]cursor=)[\w%-]+"), "W2ZhbHNlLCJpZCIsMl0"),
]
DATE = re.compile(r"20\d\d-\d\d-\d\dT(\d\d:\d\d:\d\d)(\.\d+)?")


class Recorder(APIClient):
    """Remembers, by `METHOD path` of the document, a request's body and its answer."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self.told: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []
        self._paths = [
            (
                re.compile(
                    re.sub(r"\{\w+\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")) + r"\Z"
                ),
                path,
            )
            for path in sorted(document["paths"], key=lambda path: (path.count("{"), path))
        ]

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Make the call; its answer must be good."""
        if body is not None:
            more = {"data": body, **({} if {"format", "content_type"} & set(more) else {"format": "json"}), **more}
        answer = getattr(self, method.lower())(path, **more)
        assert 200 <= answer.status_code < 300, (method, path, answer.status_code, answer.content[:500])
        name = f"{method.upper()} {self.path_of(path)}"
        told = self.told.setdefault(name, {})
        kind = (
            "multipart/form-data" if more.get("format") == "multipart" else more.get("content_type", "application/json")
        )
        if body and "request" not in told and "octet" not in kind:
            told["request"] = {kind: tidy(orjson.loads(body) if isinstance(body, bytes) else body)}
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        shown = self._shown(answer, kind)
        if shown is not None:
            told.setdefault("answers", {}).setdefault(str(answer.status_code), {}).setdefault(kind, shown)
        return answer

    def path_of(self, address: str) -> str:
        """The path of the document that the address is one of."""
        path = urlsplit(address).path
        return next(path_ for pattern, path_ in self._paths if pattern.match(path))

    def _shown(self, answer: Any, kind: str) -> Any:
        if answer.status_code == 204 or kind.startswith(("image/", "application/zip")):
            return None
        content = self._streamed(answer) if answer.streaming else answer.content
        if kind == "application/json":
            return tidy(orjson.loads(content)) if content else None
        if kind == "text/csv":
            return tidy("".join(content.decode("utf-8-sig").splitlines(keepends=True)[:LINES]))
        return tidy(content.decode())

    def _streamed(self, answer: Any) -> bytes:
        async def gathered() -> bytes:
            return b"".join([part async for part in answer.streaming_content])

        return run(gathered()) if answer.is_async else b"".join(answer.streaming_content)


def tidy(value: Any) -> Any:
    """The value without secrets and addresses of here, lists cut short."""
    if isinstance(value, dict):
        return {name: tidy(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        numbers = all(isinstance(part, (int, float)) for part in value)
        return [tidy(part) for part in value[: 12 if numbers else ITEMS]]
    if hasattr(value, "name") and hasattr(value, "read"):
        return value.name
    if not isinstance(value, str):
        return value
    for pattern, instead in REPLACED:
        value = pattern.sub(instead, value)
    return DATE.sub(r"2026-11-23T\1", value)
