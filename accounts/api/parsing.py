"""JSON in, by orjson, with limits."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from accounts.errors import TooLarge

MAX_DEPTH = 100
UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}


class JSONParser(BaseParser):
    """Reads JSON bodies: UTF-8 only, bounded in size and depth."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body as Python values.

        Raises ParseError (400) on malformed or too deeply nested JSON, UnsupportedMediaType (415) on a charset other
        than UTF-8, TooLarge (413).
        """
        charset = parse_header_parameters(media_type or "")[1].get("charset", "utf-8")
        if charset.strip("\"'").lower() not in UTF8:
            raise UnsupportedMediaType(media_type or "", f"JSON is UTF-8, not {charset[:40]!r}.")
        body = read_limited(stream)
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"This is not valid JSON: {error}.") from error
        if _depth_exceeds(data, MAX_DEPTH, body):
            raise ParseError(f"This JSON is nested deeper than {MAX_DEPTH} levels.")
        return data


def read_limited(stream: IO[bytes]) -> bytes:
    """The whole body, or TooLarge if it has more than DATA_UPLOAD_MAX_MEMORY_SIZE bytes."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body has more than {limit} bytes, which is the most this installation takes as JSON.")
    return body


def _depth_exceeds(data: Any, limit: int, body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    level = [data] if isinstance(data, (dict, list)) else []
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
