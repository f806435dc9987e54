"""What is wrong with a query, and where. Framework-free."""

import difflib
from collections.abc import Iterable

from accounts.errors import ServiceError


class QueryError(ServiceError):
    """A query that cannot be answered: tells the place, the offending word and what to write instead.

    `column` counts characters from 1 and is None where the query as a whole is at fault; `known` lists the names
    that would have been understood in place of `word`. The same facts are in `detail` for the API.
    """

    def __init__(
        self,
        message: str,
        *,
        column: int | None = None,
        word: str = "",
        hint: str = "",
        known: Iterable[str] = (),
    ) -> None:
        self.column = column
        self.word = word
        self.hint = hint
        self.known = list(known)
        place = "" if column is None else f" at column {column}"
        text = f"{message}{place}: {hint}" if hint else f"{message}{place}"
        text = text if text.endswith("?") else f"{text}."
        detail = {"column": column, "word": word, "hint": hint, "known": self.known}
        super().__init__(text, detail=detail, fields={"q": [text]})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known names, or an empty text."""
    names = {name.lower(): name for name in known}
    nearest = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {names[nearest[0]]}?" if nearest else ""
