"""Answers and refusals of the double, in CVAT's shapes."""

import json
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/vnd.cvat+json"
HTML_TYPE = "text/html; charset=utf-8"

PAGE = """
<!doctype html>
<html lang="en">
<head>
  <title>{title}</title>
</head>
<body>
  <h1>{title}</h1><p>{text}</p>
</body>
</html>
"""


@dataclass
class Answer:
    """Status, headers, body as bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that ends the handling."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def as_json(data: Any, status: int = 200, **headers: str) -> Answer:
    """JSON as CVAT sends it."""
    body = json.dumps(data).encode()
    return Answer(status, body, {"Content-Type": JSON_TYPE, **headers})


def empty(status: int = 204, **headers: str) -> Answer:
    """No body."""
    return Answer(status, b"", dict(headers))


def text(words: str, status: int) -> Answer:
    """Plain text, declared as HTML as CVAT does."""
    return Answer(status, words.encode(), {"Content-Type": HTML_TYPE})


def page(status: int) -> Answer:
    """The web pages of 404 and 500."""
    if status == 404:
        shown = PAGE.format(title="Not Found", text="The requested resource was not found on this server.")
    else:
        shown = PAGE.format(title="Server Error (500)", text="")
    return Answer(status, shown.encode(), {"Content-Type": HTML_TYPE})


def refuse(data: Any, status: int = 400, **headers: str) -> Refusal:
    """A refusal with a JSON body."""
    return Refusal(as_json(data, status, **headers))


def detail(words: str, status: int, **headers: str) -> Refusal:
    """A refusal of the framework: {"detail": words}."""
    return refuse({"detail": words}, status, **headers)


def missing(kind: str) -> Refusal:
    """No object of this id."""
    return detail(f"No {kind} matches the given query.", 404)


def broken() -> Refusal:
    """A 500."""
    return Refusal(page(500))


REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."


def too_long(most: int) -> str:
    """DRF's words for a text that is too long."""
    return f"Ensure this field has no more than {most} characters."
