"""What can be wrong with a COCO file, and how it is told.

A flaw of the whole file is a `CocoFileError`. A flaw of one record is a `Problem`: `quarantined` (left out, the rest
lands), `repaired` (and said so) or `kept` (stored as it is and flagged, since it may be meant).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from accounts.errors import ServiceError

RAW_LIMIT = 2_000  # characters of a value or record shown with its problem
WHOLE_LIMIT = 1024 * 1024  # characters of a record that is left out: it can be taken from the report and mended


class Action(StrEnum):
    """What was done about a problem."""

    QUARANTINED = "quarantined"
    REPAIRED = "repaired"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw: where (a JSON path such as `$.annotations[3].bbox`), what was found, and what to do about it."""

    code: str
    action: Action
    path: str
    message: str
    fix: str = ""
    raw: str = ""

    def as_dict(self) -> dict[str, str]:
        """The problem as a line of the report."""
        return {
            "code": self.code,
            "action": self.action.value,
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
            "raw": self.raw,
        }


Reporter = Callable[[Problem], None]


def printable(text: str) -> str:
    """The text as UTF-8 can hold it: names of files on disk need not be."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class CocoFileError(ServiceError):
    """The file as a whole cannot be imported; nothing of it was stored.

    `offset` is the byte at which reading stopped, where that is known.
    """

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, code: str, message: str, *, offset: int | None = None, path: str = "$") -> None:
        detail = {"code": code, "path": path}
        message = printable(message)
        super().__init__(message, detail=detail if offset is None else {**detail, "offset": offset})
        self.code = code
        self.offset = offset
        self.path = path


class NoCocoFile(CocoFileError):
    """Nothing of what was sent is a COCO file. That is seen before there is a job."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str) -> None:
        super().__init__("no_coco_file", message)


class Quarantine(Exception):
    """Raised inside a record's reader: the record is left out for this reason."""

    def __init__(self, code: str, message: str, fix: str = "", *, at: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.at = at  # the rest of the path inside the record, such as ".bbox"


# What document.py put in the place of what JSON does not have -> what stood there.
STAND_INS = ((b'"\xff"', b"NaN"), (b'"\xffInfin"', b"Infinity"), (b'"\xff-Infin"', b"-Infinity"), (b"\xffu", b"\\u"))


def excerpt(raw: bytes, limit: int = RAW_LIMIT) -> str:
    """The start of a record's text as it stood in the file, for showing it with its problem."""
    start = raw[: limit * 4]
    if b"\xff" in start:
        for stand_in, original in STAND_INS:
            start = start.replace(stand_in, original)
    text = start.decode("utf-8", "replace")
    return text if len(text) <= limit else text[: limit - 1] + "…"
