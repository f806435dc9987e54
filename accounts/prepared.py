"""Queries that every request asks: compiled once, with the values put in each time.

Putting a query together and compiling it takes Django about as long as PostgreSQL takes to answer a small one.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

M = TypeVar("M", bound=Model)

# Stand for values while a query is compiled. Nothing else in it is like them, and they fit into any integer column:
# Django leaves out comparisons with what does not.
_NUMBERS = range(31_741, 31_799)


class Prepared(Generic[M]):
    """A queryset as a function of values: `Prepared(lambda pk: User.objects.filter(pk=pk), int)`.

    `kinds` are the types of the values, `int` or `UUID`. Each value must reach the SQL as a parameter of its own kind,
    so the function must not look at it.
    """

    def __init__(self, build: Callable[..., QuerySet[M]], *kinds: type) -> None:
        self._build = build
        self._marks = [
            UUID(int=number) if kind is UUID else number for kind, number in zip(kinds, _NUMBERS, strict=False)
        ]
        self._compiled: tuple[Any, str, list[Any]] | None = None

    def first(self, *values: Any) -> M | None:
        """The first row for these values; None if there is none."""
        return next(self.rows(*values), None)

    def rows(self, *values: Any) -> Iterator[M]:
        """The rows for these values. One statement."""
        if self._compiled is None:
            self._compiled = self._compile()
        made, sql, places = self._compiled
        compiler = copy.copy(made)  # each thread has a connection of its own
        compiler.connection = connections[DEFAULT_DB_ALIAS]
        parameters = tuple(place.of(values) if isinstance(place, _Place) else place for place in places)
        compiler.as_sql = lambda *args, **kwargs: (sql, parameters)
        return self._instances(compiler)

    def _compile(self) -> tuple[Any, str, list[Any]]:
        query = self._build(*self._marks).query
        compiler = query.get_compiler(using=DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        found = [next((n for n, mark in enumerate(self._marks) if _is(each, mark)), None) for each in parameters]
        if set(range(len(self._marks))) - set(found):
            raise ValueError("a value does not reach the SQL as a parameter")
        places = [each if n is None else _Place(n, type(each)) for each, n in zip(parameters, found, strict=True)]
        compiler.connection = None
        return compiler, sql, places

    def _instances(self, compiler: Any) -> Iterator[M]:
        """As Django's ModelIterable does."""
        results = compiler.execute_sql()
        info = compiler.klass_info
        model, columns = info["model"], info["select_fields"]
        first, end = columns[0], columns[-1] + 1
        names = [column[0].target.attname for column in compiler.select[first:end]]
        populators = get_related_populators(info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg] # of Django 6
        for row in compiler.results_iter(results):
            instance = model.from_db(DEFAULT_DB_ALIAS, names, row[first:end])
            for populator in populators:
                populator.populate(row, instance)
            for name, place in (compiler.annotation_col_map or {}).items():
                setattr(instance, name, row[place])
            yield instance


@dataclass(frozen=True)
class _Place:
    """Where a value goes in, as the type that the driver was given (psycopg's Int8 rather than int)."""

    number: int
    kind: type

    def of(self, values: tuple[Any, ...]) -> Any:
        value = values[self.number]
        return value if isinstance(value, UUID) else self.kind(value)


def _is(value: Any, mark: Any) -> bool:
    return isinstance(value, type(mark)) and value == mark
