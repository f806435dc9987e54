"""Rows that meet at least one of several conditions, read so that each condition can use an index of its own.

`a OR b` over two tables is one condition to PostgreSQL, which it tries on every row of the project in turn. Taken
apart, each alternative is a query that an index answers; their rows are put together afterwards.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Self, TypeVar

from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.db.models.sql.where import WhereNode

M = TypeVar("M", bound=Model)


class AlternativesQuerySet(QuerySet[M]):
    """Remembers the alternatives of `either`; what is filtered afterwards narrows each of them too.

    Read as usual it is `a OR b`. `first_rows`, `primary_keys` and `apart` read the alternatives one by one, and so does
    `estimate`.
    """

    _alternatives: tuple[QuerySet[M], ...] = ()
    _anyhow: QuerySet[M] | None = None  # the rows without the alternatives: of how many they are a part

    def either(self, conditions: Sequence[Q]) -> Self:
        """Rows that meet at least one of the conditions."""
        rows = self.filter(reduce(Q.__or__, conditions))
        if len(conditions) > 1:
            plain = self.order_by()
            rows._alternatives = tuple(plain.filter(condition) for condition in conditions)
            rows._anyhow = plain
        return rows

    def first_rows(self, number: int) -> Self:
        """`self[:number]`."""
        return self.apart(number)[:number]

    def apart(self, most: int | None = None) -> Self:
        """The same rows; of each alternative no more than the first `most`, in the order of these rows."""
        if not self._alternatives:
            return self
        keys = self._parts(most)
        return self.unfiltered().filter(pk__in=keys[0].union(*keys[1:], all=True))

    def unfiltered(self) -> Self:
        """Read in the same way, but whatever rows there are: for who knows the keys of those that are meant."""
        rows: Self = self._chain()  # type: ignore[attr-defined]
        rows._alternatives, rows._anyhow = (), None
        rows.query.where = WhereNode()
        return rows

    def primary_keys(self, most: int | None = None) -> "QuerySet[Any, Any]":
        """The primary keys, each once and in no order; with `most`, so many at most.

        Not `keys`: dict() takes what has that for a mapping, and dict(rows.values_list(...)) would break.
        """
        if not self._alternatives:
            found = self.order_by().values("pk")
        else:
            parts = self.order_by()._parts(most)
            found = parts[0].union(*parts[1:])
        return found if most is None else found[:most]

    def _parts(self, most: int | None) -> "list[QuerySet[Any, Any]]":
        order = self.query.order_by
        if most is None:
            return [rows.values("pk") for rows in self._alternatives]
        return [rows.order_by(*order).values("pk")[:most] for rows in self._alternatives]

    def _filter_or_exclude_inplace(self, negate: bool, args: Any, kwargs: Any) -> None:
        super()._filter_or_exclude_inplace(negate, args, kwargs)  # type: ignore[misc]
        if self._alternatives and self._anyhow is not None:
            self._alternatives = tuple(_narrowed(rows, negate, args, kwargs) for rows in self._alternatives)
            self._anyhow = _narrowed(self._anyhow, negate, args, kwargs)

    def _clone(self) -> Self:
        copy: Self = super()._clone()  # type: ignore[misc]
        copy._alternatives, copy._anyhow = self._alternatives, self._anyhow
        return copy


def _narrowed(rows: Any, negate: bool, args: Any, kwargs: Any) -> Any:
    return rows.exclude(*args, **kwargs) if negate else rows.filter(*args, **kwargs)


def estimate(rows: QuerySet[Any]) -> int:
    """PostgreSQL's estimate of the number of rows, from its statistics. One statement that runs nothing.

    Alternatives count as if they had nothing to do with each other.
    """
    asked: list[QuerySet[Any, Any]] = [rows.order_by().values("pk")]
    if isinstance(rows, AlternativesQuerySet) and rows._anyhow is not None:
        asked = [*rows._parts(None), rows._anyhow.values("pk")]
    plan = _plan(asked)
    if plan["Node Type"] != "Append" or len(plan["Plans"]) != len(asked):
        # There is one, or the planner has seen that one of them finds nothing and left it out.
        return int(plan["Plan Rows"] if len(asked) == 1 else _plan([rows.order_by().values("pk")])["Plan Rows"])
    *parts, whole = [max(part["Plan Rows"], 1) for part in plan["Plans"]]
    outside = reduce(lambda share, part: share * (1 - min(part / whole, 1)), parts, 1.0)
    return round(whole * (1 - outside))


def _plan(asked: Sequence[QuerySet[Any, Any]]) -> dict[str, Any]:
    compiled = [each.query.sql_with_params() for each in asked]
    sql = " UNION ALL ".join(f"({text})" for text, _ in compiled)
    with connections[asked[0].db].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", [value for _, values in compiled for value in values])
        plan: dict[str, Any] = cursor.fetchone()[0][0]["Plan"]
    return plan
