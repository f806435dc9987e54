"""What a check is, and what it may find."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, and will not for ever, or not safely
    ERROR = "error"  # does not work, or is not safe
    SKIPPED = "skipped"  # could not be looked at, for what it needs is in error


@dataclass(frozen=True)
class Found:
    """What a check has found, and what is to be done about it (empty where all is well)."""

    grade: Grade
    told: str
    todo: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that is looked at. It is skipped where a check that it needs has found an error.

    `thorough` ones read every row or every file, and are only done where they are asked for.
    """

    name: str
    look: Callable[[], Found]
    needs: tuple[str, ...] = ()
    thorough: bool = False


@dataclass(frozen=True)
class Finding:
    """A check with what it has found."""

    check: Check
    found: Found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"check": self.check.name, "grade": str(self.found.grade), "found": self.found.told}
        return {**told, "todo": self.found.todo} if self.found.todo else told


def ok(told: str) -> Found:
    """All is well."""
    return Found(Grade.OK, told)


def warning(told: str, todo: str) -> Found:
    """It works, but somebody should look."""
    return Found(Grade.WARNING, told, todo)


def error(told: str, todo: str) -> Found:
    """It does not work, or is not safe."""
    return Found(Grade.ERROR, told, todo)
