"""A limit on how long a query may keep the database busy."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import OperationalError, transaction

from annotations.query.errors import QueryError

_SET = "SELECT set_config('statement_timeout', %s, true)"
_READ_AND_SET = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)"


@contextmanager
def statement_timeout(milliseconds: int | None = None, *, using: str | None = None) -> Iterator[None]:
    """Run the block in a transaction whose statements may each take so long (settings.QUERY_TIMEOUT_MS by default).

    QueryError if one takes longer. A queryset is only run when it is read, so read it within the block. Costs one
    statement, or two inside of somebody else's transaction, who goes on with the limit that was there before.
    """
    limit = settings.QUERY_TIMEOUT_MS if milliseconds is None else milliseconds
    connection = transaction.get_connection(using)
    outermost = not connection.in_atomic_block
    try:
        with transaction.atomic(using=using), connection.cursor() as cursor:
            cursor.execute(_SET if outermost else _READ_AND_SET, [str(limit)])
            before = cursor.fetchone()[0]
            yield
            if not outermost:
                cursor.execute(_SET, [before])
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        raise QueryError(
            f"the query was stopped after {limit / 1000:g} s", hint="narrow it, for example to a split or a tag"
        ) from error
