"""How many rows a query finds: exactly up to a cap, PostgreSQL's estimate above it, and which of the two it is."""

from array import array
from typing import Any, NamedTuple

from django.db.models import IntegerField, QuerySet, Subquery

from accounts.alternatives import AlternativesQuerySet, estimate

__all__ = ["CAP", "CappedCount", "Found", "count", "estimate", "exactly", "find", "settled"]

CAP = 1_000  # rows; a page is not read until they are counted


def count(rows: QuerySet[Any]) -> tuple[int, bool]:
    """(number, whether it is exact). One statement, or two where there are more than `CAP` rows."""
    return settled(rows, _keys(rows, CAP + 1).count())


def settled(rows: QuerySet[Any], found: int) -> tuple[int, bool]:
    """(number, whether it is exact), given how many of the first `CAP + 1` rows were found. At most one statement."""
    return (found, True) if found <= CAP else (max(found, estimate(rows)), False)


class Found(NamedTuple):
    """How many rows there are, whether that is exact, and if so their keys (64-bit, in no order)."""

    number: int
    exact: bool
    keys: "array[int] | None"


def exactly(rows: QuerySet[Any]) -> int:
    """How many there are, however long it takes to count them. One statement."""
    return _keys(rows, None).count()


def find(rows: QuerySet[Any]) -> Found:
    """Count, and keep the keys of few. One statement, or two."""
    keys = array("q", _keys(rows, CAP + 1).values_list("pk", flat=True))
    if len(keys) > CAP:
        return Found(*settled(rows, len(keys)), None)
    return Found(len(keys), True, keys)


class CappedCount(Subquery):
    """The number of rows, up to `cap + 1`, as a column: counts in the same statement that reads a page."""

    def __init__(self, rows: QuerySet[Any], cap: int = CAP) -> None:
        super().__init__(
            _keys(rows, cap + 1),
            output_field=IntegerField(),
            template="(SELECT count(*) FROM (%(subquery)s) AS capped)",
        )


def _keys(rows: QuerySet[Any], most: int | None) -> QuerySet[Any, Any]:
    return rows.primary_keys(most) if isinstance(rows, AlternativesQuerySet) else rows.order_by().values("pk")[:most]
