"""What may be written next in a query: where the cursor stands, and what the project has to put there."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annotations import vocabulary
from annotations.query import FIELDS, Field, QueryError, to_text
from annotations.query.fields import ORDER, Kind, Scope, find
from annotations.query.parser import FUNCTIONS, MAX_CHARACTERS
from annotations.query.scanner import QUOTE, Scanner
from annotations.query.tree import Is, Present, Term, Word
from projects.models import Project

KINDS = ("field", "function", "operator", "keyword", "value", "key")
LIMIT, MAX_LIMIT = 20, 100
AGO = ("-1d", "-7d", "-30d", "-1y")
_MEANINGS = {
    ":": "is", "=": "is exactly", "!=": "has another value", ">": "greater", ">=": "greater or equal",
    "<": "less", "<=": "less or equal",
}  # fmt: skip
_HELP = {"has": "one object meets all of it", "count": "so many objects meet it"}
_KEYWORDS = {"OR": "at least one holds", "AND": "both hold", "NOT": "does not hold"}


@dataclass(frozen=True)
class Suggestion:
    """Something to put in the place of what is written from `start` to the cursor."""

    text: str
    kind: str
    help: str = ""
    count: int | None = None
    count_is_exact: bool | None = None


@dataclass(frozen=True)
class Completion:
    """Suggestions, and how many characters of the text stand before what they replace."""

    start: int
    suggestions: list[Suggestion]


@dataclass(frozen=True)
class _Target:
    """The field and path that a value belongs to."""

    field: Field
    path: tuple[str, ...]
    operator: str = ":"


@dataclass(frozen=True)
class _Spot:
    """What stands at the end of a text, begun and perhaps not finished."""

    start: int
    typed: str = ""
    target: _Target | None = None  # a value of it is being typed
    keys_of: _Target | None = None  # a key below it is being typed
    operators_of: _Target | None = None  # an operator may follow
    in_objects: bool = False
    joins: bool = False  # a condition stands before it, so a keyword may follow


_NOTHING_FITS = _Spot(0)


def complete(project: Project, text: str, *, limit: int = LIMIT) -> Completion:
    """What may stand at the end of a query that is written so far; the most fitting first.

    A text that cannot be a query gets no suggestions, and no error: it is still being written.
    """
    spot = _Reader(text).spot() if len(text) <= MAX_CHARACTERS and "\0" not in text else _NOTHING_FITS
    if spot is _NOTHING_FITS:
        return Completion(len(text), [])
    return Completion(spot.start, list(_suggestions(project, spot, limit))[:limit])


def as_json(found: Completion, cursor: int) -> dict[str, Any]:
    """The completion as the API gives it."""
    return {"start": found.start, "cursor": cursor, "suggestions": [asdict(each) for each in found.suggestions]}


class _Reader:
    """Goes through a text as the parser does, but only to see where it ends."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.open: list[_Target | str] = []  # what the open parentheses are: values of a field, objects, a group
        self.joins = False

    def spot(self) -> _Spot:
        """Where the text ends."""
        scanner = self.scanner
        while True:
            scanner.skip_space()
            char = scanner.peek()
            if char == "":
                return self._at(scanner.position, target=self._target())
            if char == "(":
                self._open("group")
            elif char == ")":
                scanner.take(")")
                closed = self.open.pop() if self.open else "group"
                self.joins = True
                if closed == "count" and (found := self._after_count()) is not None:
                    return found
            elif char == "-" and not scanner.peek(1).isdigit():
                scanner.take("-")
            elif (found := self._term(char)) is not None:
                return found

    def _target(self) -> _Target | None:
        top = self.open[-1] if self.open else None
        return top if isinstance(top, _Target) else None

    def _open(self, what: _Target | str) -> None:
        self.scanner.take("(")
        inherited = self._target() if what == "group" else None
        self.open.append(inherited or what)
        self.joins = False

    def _at(self, start: int, typed: str = "", **what: Any) -> _Spot:
        inside = any(each in FUNCTIONS for each in self.open if isinstance(each, str))
        return _Spot(start, typed, in_objects=inside, joins=self.joins, **what)

    def _term(self, char: str) -> _Spot | None:
        """Go past one condition, or give the spot if the text ends in it."""
        scanner, start = self.scanner, self.scanner.position
        if target := self._target():
            return self._value(target)
        if char == QUOTE:
            return self._quoted(start, None)
        word = scanner.word()
        segments, ended = self._path(word)
        if ended:
            return self._name(start, segments)
        after_word = scanner.position
        scanner.skip_space()
        if word in FUNCTIONS and scanner.peek() == "(":
            self._open(word)
            return None
        operator = scanner.operator()
        field = _field(segments)
        if not scanner.peek() and field is not None:
            return self._at(scanner.position, operators_of=_Target(*field))
        if not operator:
            scanner.position = after_word if after_word > start else start + 1
            self.joins = True
            return None
        scanner.take(operator)
        return self._after_operator(None if field is None else _Target(*field, operator), operator)

    def _after_operator(self, target: _Target | None, operator: str) -> _Spot | None:
        scanner = self.scanner
        scanner.skip_space()
        if operator == ":" and scanner.peek() == "(":
            self._open(target or "group")
            return None
        if operator == ":" and (inner := scanner.operator()):
            scanner.take(inner)
            target = None if target is None else _Target(target.field, target.path, inner)
        return self._value(target)

    def _value(self, target: _Target | None) -> _Spot | None:
        scanner, start = self.scanner, self.scanner.position
        if scanner.peek() == QUOTE:
            return self._quoted(start, target)
        typed = scanner.value()
        if not scanner.peek():
            return self._at(start, typed, target=target) if target else _NOTHING_FITS
        if not typed:
            scanner.position += 1
        self.joins = True
        return None

    def _quoted(self, start: int, target: _Target | None) -> _Spot | None:
        try:
            self.scanner.quoted()
        except QueryError:
            return self._at(start, self.scanner.text[start + 1 :], target=target) if target else _NOTHING_FITS
        self.joins = True
        return None

    def _path(self, word: str) -> tuple[list[str], bool]:
        """The parts of a dotted name, and whether the text ends in it."""
        scanner = self.scanner
        segments = word.split(".")
        while len(segments) > 1 and segments[-1] == "" and scanner.peek() == QUOTE:
            start = scanner.position
            try:
                segments[-1] = scanner.quoted()
            except QueryError:
                segments[-1] = scanner.text[start + 1 :]
                self.key_start = start
                return segments, True
            if scanner.peek() != ".":
                return segments, False
            segments += scanner.word().split(".")[1:]
        self.key_start = scanner.position - len(segments[-1])
        return segments, not scanner.peek()

    def _name(self, start: int, segments: list[str]) -> _Spot:
        field = FIELDS.get(segments[0])
        if field is not None and field.part and len(segments) > 1:
            return self._at(self.key_start, segments[-1], keys_of=_Target(field, tuple(segments[1:-1])))
        return self._at(start, ".".join(segments))

    def _after_count(self) -> _Spot | None:
        scanner = self.scanner
        scanner.skip_space()
        operator = scanner.operator()
        if not scanner.peek() and not operator:
            return self._at(scanner.position, operators_of=_Target(FIELDS["annotations"], ()))
        if operator:
            scanner.take(operator)
            return self._value(None)
        return None


def _field(segments: Sequence[str]) -> tuple[Field, tuple[str, ...]] | None:
    try:
        return find(segments, column=1)
    except QueryError:
        return None


def _suggestions(project: Project, spot: _Spot, limit: int) -> Iterator[Suggestion]:
    if spot.target:
        yield from _values(project, spot.target, spot.typed, limit)
    elif spot.keys_of:
        yield from _keys(project, spot.keys_of, spot.typed, limit)
    else:
        if spot.operators_of:
            yield from _operators(spot.operators_of.field)
        yield from _names(spot)


def _names(spot: _Spot) -> Iterator[Suggestion]:
    typed = spot.typed.lower()
    if exact := FIELDS.get(spot.typed):
        yield from _operators(exact, spot.typed)
    if spot.joins:
        for word, meaning in _KEYWORDS.items():
            if word.startswith(spot.typed):
                yield Suggestion(word, "keyword", meaning)
    fields = [field for field in FIELDS.values() if not (spot.in_objects and field.scope is Scope.IMAGE)]
    fitting = [field for field in fields if field.name.startswith(typed)]
    fitting += [field for field in fields if typed in field.name and field not in fitting]
    for field in fitting:
        if field is exact and not field.part:
            continue  # its operators have been given
        yield Suggestion(f"{field.name}{'.' if field.part else ':'}", "field", field.help)
    for name in FUNCTIONS:
        if name.startswith(typed) and not spot.in_objects:
            yield Suggestion(f"{name}(", "function", _HELP[name])


def _operators(field: Field, before: str = "") -> Iterator[Suggestion]:
    if field.part and before:
        return
    for operator in field.operators:
        yield Suggestion(f"{before}{operator}", "operator", _MEANINGS[operator])


def _keys(project: Project, target: _Target, typed: str, limit: int) -> Iterator[Suggestion]:
    for found in vocabulary.keys(project, target.field, target.path, typed, limit):
        text = to_text(Term("metadata", Present(), (str(found.value),)))[len("metadata.") : -len(":*")]
        yield Suggestion(text, "key", "", found.number, found.exact)


def _values(project: Project, target: _Target, typed: str, limit: int) -> Iterator[Suggestion]:
    field = target.field
    if field.kind is Kind.DATE:
        yield from (Suggestion(text, "value", "so long ago") for text in AGO if target.operator in ORDER)
        return
    before = len(to_text(Term(field.name, Present(), target.path))) - 1
    for found in vocabulary.values(project, field, target.path, typed.strip(QUOTE), limit):
        value: str | Word | bool = found.value
        if field.kind is Kind.BOOLEAN:
            value = found.value == Word("true")
        text = to_text(Term(field.name, Is(value), target.path))[before:]
        yield Suggestion(text, "value", "", found.number, found.exact)
