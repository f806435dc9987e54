"""An import's report a page at a time: its problems stand one a line, so that none of it is held whole."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from assets import storage

PROBLEMS = 200  # on a page
PROBLEMS_START = b'"problems": ['
PAGE_DIGITS = 7


def read_page(key: str, action: str = "", code: str = "", page: str = "") -> dict[str, Any] | None:
    """A stored report: its head, and a page of the problems that fit; None if there is none that can be read.

    `first` and `last` say which of the `fitting` problems are `shown`; `before` and `after` are the pages beside this
    one, None at the ends. A page that is none of the report's is the nearest one.
    """
    content = storage.read(key)
    if content is None:
        return None
    with content:
        lines = iter(content.readline, b"")  # going through a Django file itself would start anew each time
        try:
            head = orjson.loads(b"".join(_head(lines)))
        except orjson.JSONDecodeError:
            return None
        fitting = sum(
            row["count"]
            for row in head.get("by_code", ())
            if (not action or row["action"] == action) and (not code or row["code"] == code)
        )
        pages = max(1, -(-fitting // PROBLEMS))
        number = int(page) if page.isdecimal() and page.isascii() and len(page) <= PAGE_DIGITS else 1
        number = min(max(number, 1), pages)
        start = (number - 1) * PROBLEMS
        shown = [orjson.loads(line) for line in islice(_fitting(lines, action, code), start, start + PROBLEMS)]
    return {
        **head,
        "shown": shown,
        "fitting": fitting,
        "first": start + 1,
        "last": start + len(shown),
        "before": number - 1 if number > 1 else None,
        "after": number + 1 if number < pages else None,
    }


def _head(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The report's lines before its problems, closed so that they are a document; a short report whole."""
    held = b""
    for line in lines:
        if PROBLEMS_START in line:
            yield held.rstrip().removesuffix(b",") + b"\n}"
            return
        yield held
        held = line
    yield held


def _fitting(lines: Iterator[bytes], action: str, code: str) -> Iterator[bytes]:
    """The problems that fit, as `annotations.report` writes them: JSON without spaces, one a line."""
    wanted = [
        f'"{name}":'.encode() + orjson.dumps(value) for name, value in (("code", code), ("action", action)) if value
    ]
    for line in lines:
        text = line.strip().removesuffix(b",")
        # A record within a problem is a string, whose quotation marks are escaped: it cannot pass for a field.
        if text.startswith(b"{") and all(each in text for each in wanted):
            yield text
