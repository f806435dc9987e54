"""A limit on how long a query may keep the database busy."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import OperationalError, transaction

from annotations.query.errors import QueryError

_SET = "SELECT set_config('statement_timeout', %s, true)"
_READ_AND_SET = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)"
# A page from the middle of a list is found by probing from its cursor on. Merging two indexes instead would begin at
# the beginning of the one that the cursor does not bound, and read all that lies before.
_FOR_DEEP_PAGES = ", set_config('enable_mergejoin', 'off', true)"

_AS_USUAL = ", set_config('enable_mergejoin', reset_val, true) FROM pg_settings WHERE name = 'enable_mergejoin'"


@contextmanager
def statement_timeout(
    milliseconds: int | None = None, *, using: str | None = None, deep_page: bool = False
) -> Iterator[None]:
    """Run the block in a transaction whose statements may each take so long (settings.QUERY_TIMEOUT_MS by default).

    QueryError if one takes longer. A queryset is only run when it is read, so read it within the block. Costs one
    statement, or two inside of somebody else's transaction, who goes on with the limit that was there before.
    With `deep_page`, statements are planned for reading from the middle of an ordered list.
    """
    limit = settings.QUERY_TIMEOUT_MS if milliseconds is None else milliseconds
    connection = transaction.get_connection(using)
    outermost = not connection.in_atomic_block
    try:
        with transaction.atomic(using=using), connection.cursor() as cursor:
            cursor.execute(
                (_SET if outermost else _READ_AND_SET) + (_FOR_DEEP_PAGES if deep_page else ""), [str(limit)]
            )
            before = cursor.fetchone()[0]
            yield
            if not outermost:
                # What was planned for deep pages is planned as usual again.
                cursor.execute(_SET + (_AS_USUAL if deep_page else ""), [before])
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        raise QueryError(
            f"the query was stopped after {limit / 1000:g} s", hint="narrow it, for example to a split or a tag"
        ) from error
