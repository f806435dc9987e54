"""What a query found at a revision of its project, kept in the memory of the process: people turn the pages of one
query, add a facet and come back, and each time its rows would be counted again.

The revision grows with every write to the project's data, so what is kept is never stale; it is only forgotten.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Generic, TypeVar

from django.core.cache import caches
from django.utils import timezone

from accounts import metering
from annotations import query
from annotations.query.moments import counts_from_now
from projects.models import Project

T = TypeVar("T")

MEMORY = "memory"  # of settings.CACHES


class Question(Generic[T]):
    """A query over a project as it is now, with whatever else chooses rows; QueryError if it is none.

    `about` names what is asked: two questions with the same words about different things share nothing.
    """

    def __init__(self, project: Project, about: str, q: str, *others: str) -> None:
        tree = query.parse(q)
        self._key: str | None = None
        if not counts_from_now(tree):  # `created>-7d` is another question each time
            words = (query.to_text(tree), str(timezone.get_current_timezone()), *others)
            digest = blake2b(repr(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            self._key = f"{about}:{project.pk}:{project.revision}:{digest}"

    def answer(self, find: Callable[[], T]) -> T:
        """From memory, or what `find` gives; that must be picklable, and is to be left as it is."""
        value: T | None = self.recalled()
        if value is None:
            value = find()
            if self._key:
                caches[MEMORY].set(self._key, value)
        return value

    def recalled(self) -> T | None:
        """The answer if it is remembered, None otherwise."""
        if not self._key:
            return None
        value: T | None = caches[MEMORY].get(self._key)
        metering.count("cocohub_cache_reads", cache="queries", outcome="miss" if value is None else "hit")
        return value
