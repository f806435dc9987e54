"""Conditional requests: `If-None-Match` for lists, `If-Match` for changes of one record."""

import hashlib
import re
import time

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import StaleEdit
from annotations.query import Node, QueryError, parse
from annotations.query.moments import is_ago
from annotations.query.tree import Between, Compare, Differs, Is, Moment, terms
from projects.models import Project

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="An ETag as read: 412 if the record has changed since."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag as read: 304 if the answer is still the same."
)


def tag_of(request: Request, project: Project, *, links: bool) -> str | None:
    """The weak ETag of a list: the same as long as the project's revision and the request are.

    None where that does not make the answer the same: the query counts from the clock (`created>-7d`). An answer with
    `links`, which run out, is taken for another one after half of their life.
    """
    try:
        if _counts_from_now(parse(request.query_params.get("q", ""))):
            return None
    except QueryError:
        return None
    half_life = max(settings.MEDIA_LINK_SECONDS // 2, 1)
    parts = [project.pk, project.revision, request.build_absolute_uri(), int(time.time()) // half_life if links else 0]
    digest = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=12).hexdigest()
    return f'W/"{digest}"'


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


def version(header: str) -> int | None:
    """The version of an `If-Match` header; None where there is none to be met."""
    if header in ("", "*"):
        return None
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', header)
    if found is None:
        raise StaleEdit(f"If-Match is {header[:60]!r}, which is no ETag of a record. Read the record again.")
    return int(found[1])


def _counts_from_now(tree: Node) -> bool:
    for term in terms(tree):
        match term.test:
            case Is(value=value) | Differs(value=value) | Compare(value=value):
                ends = [value]
            case Between(low=low, high=high):
                ends = [low, high]
            case _:
                continue
        if any(isinstance(end, Moment) and is_ago(end) for end in ends):
            return True
    return False
