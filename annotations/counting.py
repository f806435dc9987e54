"""How many rows a query finds: exactly up to a cap, PostgreSQL's estimate above it, and which of the two it is."""

from typing import Any

from django.db import connection
from django.db.models import QuerySet

CAP = 10_000  # rows


def count(rows: QuerySet[Any], cap: int = CAP) -> tuple[int, bool]:
    """(number, whether it is exact). One statement, or two where there are more than `cap` rows."""
    found = rows.order_by().values("pk")[: cap + 1].count()
    if found <= cap:
        return found, True
    sql, params = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        plan = cursor.fetchone()[0]
    return max(found, int(plan[0]["Plan"]["Plan Rows"])), False
