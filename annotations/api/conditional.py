"""ETags of lists of images and annotations."""

from rest_framework.request import Request

from accounts.api.conditional import (
    IF_MATCH,
    IF_NONE_MATCH,
    digest,
    headers,
    link_life,
    number,
    record,
    tagged,
    unchanged,
    version,
)
from annotations.query import Node, QueryError, parse
from annotations.query.moments import is_ago
from annotations.query.tree import Between, Compare, Differs, Is, Moment, terms
from projects.models import Project

__all__ = [
    "IF_MATCH",
    "IF_NONE_MATCH",
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
        if _counts_from_now(parse(request.query_params.get("q", ""))):
            return None
    except QueryError:
        return None
    life = link_life() if links else 0
    return f'W/"{digest(project.pk, project.revision, request.build_absolute_uri(), life)}"'


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
