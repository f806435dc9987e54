"""ETags of lists of images and annotations."""

from rest_framework.request import Request

from accounts.api.conditional import (
    IF_MATCH,
    IF_NONE_MATCH,
    digest,
    expected,
    headers,
    link_life,
    number,
    record,
    tagged,
    unchanged,
    version,
)
from annotations.query import QueryError, parse
from annotations.query.moments import counts_from_now
from projects.models import Project

__all__ = [
    "IF_MATCH",
    "IF_NONE_MATCH",
    "expected",
    "headers",
    "number",
    "record",
    "tag_of",
    "tagged",
    "unchanged",
    "version",
]


def tag_of(request: Request, project: Project, *, links: bool) -> str | None:
    """The weak ETag of a list: the same as long as the project's revision and the request are.

    None where that does not make the answer the same: the query counts from the clock (`created>-7d`). An answer with
    `links`, which run out, is taken for another one after half of their life.
    """
    try:
        if counts_from_now(parse(request.query_params.get("q", ""))):
            return None
    except QueryError:
        return None
    life = link_life() if links else 0
    return f'W/"{digest(project.pk, project.revision, request.build_absolute_uri(), life)}"'
