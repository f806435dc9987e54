"""What a query means, as a tree. Frozen, comparable and hashable; knows nothing of Django.

Two texts that ask the same in the same order give equal trees: the column of a node (`at`, from 1) is left out of
comparisons, and nested ANDs and ORs are flattened by `all_of` and `any_of`, which the parser builds trees with.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Word:
    """A JSON scalar as it was typed without quotes: `3` is the number and the text, `true` the boolean and the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A date (`2026-01-31`, `2026-01`, `2026`), a time (`2026-01-31T10:00Z`), or how long ago (`-7d`).

    Kept as text: what it stands for depends on the clock and the time zone of whoever asks.
    """

    text: str


Value = Decimal | str | bool | Word | Moment
Ordered = Decimal | str | Moment


@dataclass(frozen=True, slots=True)
class Present:
    """There is a value."""


@dataclass(frozen=True, slots=True)
class Is:
    """The value is this one; of many values (tags, JSON arrays), one is."""

    value: Value


@dataclass(frozen=True, slots=True)
class Differs:
    """There is a value, and it is not this one."""

    value: Value


@dataclass(frozen=True, slots=True)
class Contains:
    """The text has this in it, in upper or lower case."""

    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text fits this pattern: `*` stands for any characters, `?` for one."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Compare:
    """The value is greater (`>`, `>=`) or less (`<`, `<=`) than this one."""

    operator: str
    value: Ordered


@dataclass(frozen=True, slots=True)
class Between:
    """The value is in this range, its ends included."""

    low: Ordered
    high: Ordered


Test = Present | Is | Differs | Contains | Matches | Compare | Between


@dataclass(frozen=True, slots=True)
class Everything:
    """No condition: every image, or every object within has() and count()."""

    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Term:
    """A test on one field; `path` is the way down into a JSON field."""

    field: str
    test: Test
    path: tuple[str, ...] = ()
    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the part does not hold for, fields without a value included."""

    part: "Node"
    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold."""

    parts: tuple["Node", ...]
    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple["Node", ...]
    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Has:
    """One object of the image meets the whole condition."""

    condition: "Node"
    at: int = dataclasses.field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Count:
    """The number of the image's objects that meet the condition passes the test."""

    condition: "Node"
    test: Test
    at: int = dataclasses.field(default=1, compare=False)


Node = Everything | Term | Not | And | Or | Has | Count


def all_of(parts: Iterable[Node]) -> Node:
    """The conjunction of the parts, flat; a single part is itself."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat), at=flat[0].at)


def any_of(parts: Iterable[Node]) -> Node:
    """The disjunction of the parts, flat; a single part is itself."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat), at=flat[0].at)


def terms(node: Node) -> Iterator[Term]:
    """All terms of a tree, from left to right, those within has() and count() among them."""
    match node:
        case Term():
            yield node
        case Not(part=inner) | Has(condition=inner) | Count(condition=inner):
            yield from terms(inner)
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from terms(part)
