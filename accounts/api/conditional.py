"""Conditional requests: `If-None-Match` for what is read again, `If-Match` for changes of one record.

The ETag of a record is `"<version>.<digest>"`: the version says whether an edit is stale, the digest whether the answer
is the same (a category's new name changes the answers of its annotations, but no annotation).
"""

import re
import time
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.rendering import dumps
from accounts.errors import StaleEdit

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="An ETag as read: 412 if the record has changed since."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag as read: 304 if the answer is still the same."
)
RECORD = re.compile(r'(?:W/)?"([0-9a-f]{1,32})(?:\.[0-9a-f]+)?"')


def record(
    request: Request, data: Mapping[str, Any], version: object, *, links: Collection[str] = (), status: int = 200
) -> Response:
    """The answer for one record, with its ETag; 304 where a reader has it already.

    `links` are fields of the data that run out; such an answer is taken for another one after half of their life.
    """
    steady = {name: value for name, value in data.items() if name not in links}
    tag = f'"{version}.{digest(dumps(steady), link_life() if links else 0)}"'
    if request.method in SAFE_METHODS and (answer := unchanged(request, tag)):
        return answer
    return Response(data, status=status, headers=headers(tag))


def version(header: str) -> str | None:
    """The version of an `If-Match` header; None where there is none to be met. Raises StaleEdit for what is no ETag."""
    if header in ("", "*"):
        return None
    found = RECORD.fullmatch(header)
    if found is None:
        raise StaleEdit(f"If-Match is {header[:60]!r}, which is no ETag of a record. Read the record again.")
    return found[1]


def number(header: str) -> int | None:
    """The same, of records whose version is a number."""
    asked = version(header)
    if asked is None:
        return None
    if not asked.isdecimal() or len(asked) > 9:
        raise StaleEdit(f"If-Match is {header[:60]!r}, which is the ETag of something else. Read the record again.")
    return int(asked)


def expected(request: Request, given: int | None) -> int | None:
    """The version that a change is of: `given` in the body, or in `If-Match`. Raises StaleEdit if the two differ."""
    asked = number(request.headers.get("If-Match", ""))
    if given is not None and asked is not None and given != asked:
        raise StaleEdit(f"If-Match names version {asked} and the body version {given}. Read the record again.")
    return asked if given is None else given


def unchanged(request: Request, tag: str | None) -> Response | None:
    """The answer 304 if the client has what this ETag stands for."""
    asked = request.headers.get("If-None-Match", "")
    if tag is None or tag.removeprefix("W/") not in re.findall(r'"[^"]*"', asked):
        return None
    return Response(status=304, headers=headers(tag))


def headers(tag: str | None) -> dict[str, str]:
    """The headers of an answer with this ETag."""
    return {} if tag is None else {"ETag": tag, "Cache-Control": "private, no-cache"}


def tagged(answer: Response, tag: str | None) -> Response:
    """The answer with this ETag."""
    for name, value in headers(tag).items():
        answer[name] = value
    return answer


def digest(*parts: object) -> str:
    """A short name of what was given."""
    told = b"\n".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return blake2b(told, digest_size=12).hexdigest()


def link_life() -> int:
    """A number that grows once in half of the time that links last."""
    return int(time.time()) // max(settings.MEDIA_LINK_SECONDS // 2, 1)
