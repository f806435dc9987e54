"""What PostgreSQL's planner knows of the tables, renewed along with many new rows and not when autovacuum comes round.

Until then it takes their project for empty, and a query of it may run for minutes.
"""

from collections import Counter
from typing import Any

from django.db.models import Model

MANY = 10_000  # new rows that the planner should know of


def renew(cursor: Any, added: dict[type[Model], int]) -> None:
    """Within the transaction that added so many rows to these tables; where somebody else is at it, nobody waits."""
    for model, number in added.items():
        if number >= MANY:
            cursor.execute(f"ANALYZE (SKIP_LOCKED) {model._meta.db_table}")


class NewRows:
    """Counts what a transaction adds in several steps, and renews as soon as it is much: the next step needs it too."""

    def __init__(self) -> None:
        self._unknown: Counter[type[Model]] = Counter()

    def add(self, cursor: Any, added: dict[type[Model], int]) -> None:
        """So many more were added."""
        self._unknown.update(added)
        renew(cursor, self._unknown)
        for model in [model for model, number in self._unknown.items() if number >= MANY]:
            del self._unknown[model]
