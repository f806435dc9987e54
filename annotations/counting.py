"""How many rows a query finds: exactly up to a cap, PostgreSQL's estimate above it, and which of the two it is."""

from typing import Any

from django.db import connection
from django.db.models import IntegerField, QuerySet, Subquery

CAP = 10_000  # rows


def count(rows: QuerySet[Any], cap: int = CAP) -> tuple[int, bool]:
    """(number, whether it is exact). One statement, or two where there are more than `cap` rows."""
    return settled(rows, rows.order_by().values("pk")[: cap + 1].count(), cap)


def settled(rows: QuerySet[Any], found: int, cap: int = CAP) -> tuple[int, bool]:
    """(number, whether it is exact), given how many of the first `cap + 1` rows were found. At most one statement."""
    return (found, True) if found <= cap else (max(found, estimate(rows)), False)


def estimate(rows: QuerySet[Any]) -> int:
    """PostgreSQL's estimate of the number of rows, from its statistics. One statement that runs nothing."""
    sql, params = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        plan = cursor.fetchone()[0]
    return int(plan[0]["Plan"]["Plan Rows"])


class CappedCount(Subquery):
    """The number of rows, up to `cap + 1`, as a column: counts in the same statement that reads a page."""

    def __init__(self, rows: QuerySet[Any], cap: int = CAP) -> None:
        super().__init__(
            rows.order_by().values("pk")[: cap + 1],
            output_field=IntegerField(),
            template="(SELECT count(*) FROM (%(subquery)s) AS capped)",
        )
