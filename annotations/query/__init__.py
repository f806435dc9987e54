"""The query language `q`: text to tree to SQL over whitelisted fields. docs/query.md is its manual."""

from annotations.query.errors import QueryError
from annotations.query.fields import FIELDS, Field
from annotations.query.parser import parse
from annotations.query.printer import to_text
from annotations.query.sql import Beyond, filter_annotations, filter_images
from annotations.query.timeout import statement_timeout
from annotations.query.tree import Node


def canonical(text: str) -> str:
    """The canonical form of a query: equal for texts that ask the same in the same order; QueryError if it is none."""
    return to_text(parse(text))


__all__ = [
    "FIELDS",
    "Beyond",
    "Field",
    "Node",
    "QueryError",
    "canonical",
    "filter_annotations",
    "filter_images",
    "parse",
    "statement_timeout",
    "to_text",
]
