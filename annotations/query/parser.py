"""Text to tree, by recursive descent. Binds from tight to loose: NOT and `-`, AND (also unwritten), OR.

query    = [ any ]
any      = all { "OR" all }
all      = factor { [ "AND" ] factor }
factor   = ( "NOT" | "-" ) factor | "(" any ")" | term
term     = text | name operator value | name ":" "(" any ")"      (in there, a term is a value of that field)
         | "has" "(" [ any ] ")" | "count" "(" [ any ] ")" operator value
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from annotations.query import values
from annotations.query.errors import QueryError
from annotations.query.fields import COUNT, FIELDS, FILE, ORDERED_KINDS, Field, Scope, find
from annotations.query.scanner import QUOTE, Scanner
from annotations.query.tree import Count, Everything, Has, Node, Not, Present, Term, all_of, any_of
from annotations.query.values import Raw

MAX_CHARACTERS = 4_000
MAX_LEVELS = 50
MAX_TERMS = 200
FUNCTIONS = ("has", "count")


def parse(text: str, *, max_characters: int | None = MAX_CHARACTERS) -> Node:
    """The tree of a query; QueryError, with the column, if it is none. An empty text asks for everything."""
    if max_characters is not None and len(text) > max_characters:
        raise QueryError(
            f"the query has {len(text):,} characters",
            column=max_characters + 1,
            hint=f"at most {max_characters:,} are read; select by a tag instead",
        )
    for column, char in enumerate(text, start=1):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise QueryError(
                f"the character U+{ord(char):04X} cannot be searched for", column=column, word=ascii(char)[1:-1]
            )
    return _tree(text) if len(text) <= MAX_CHARACTERS else _Parser(text).query()


@lru_cache(maxsize=512)  # a request reads its query several times, and people ask the same again
def _tree(text: str) -> Node:
    return _Parser(text).query()


@dataclass(frozen=True, slots=True)
class _Target:
    """The field that the values of a group belong to."""

    field: Field
    path: tuple[str, ...]
    column: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.levels = 0
        self.terms = 0
        self.in_objects = False

    def query(self) -> Node:
        self.scanner.skip_space()
        if not self.scanner.peek():
            return Everything()
        node = self._any(None)
        self.scanner.skip_space()
        if self.scanner.peek():  # only a parenthesis stops the reading before the end
            raise QueryError(
                "this parenthesis closes nothing",
                column=self.scanner.column,
                word=")",
                hint='quote it to search for it: ")"',
            )
        return node

    def _any(self, target: _Target | None) -> Node:
        parts = [self._all(target)]
        while self._take_keyword("OR"):
            parts.append(self._all(target))
        return any_of(parts)

    def _all(self, target: _Target | None) -> Node:
        parts = [self._factor(target)]
        while True:
            explicit = self._take_keyword("AND")
            if not explicit and (self.scanner.peek() in ("", ")") or self.scanner.keyword() == "OR"):
                return all_of(parts)
            parts.append(self._factor(target))

    def _factor(self, target: _Target | None) -> Node:
        scanner = self.scanner
        scanner.skip_space()
        column = scanner.column
        if scanner.peek() in ("", ")"):
            raise QueryError("a condition is missing", column=column, word=scanner.peek())
        if self._take_keyword("NOT"):
            with self._level(column):
                return Not(self._factor(target), at=column)
        if scanner.peek() == "-" and not (target and self._minus_is_sign(target)):
            scanner.take("-")
            if not scanner.peek() or scanner.peek().isspace():
                raise QueryError(
                    "'-' must stand right before what it excludes", column=column, word="-", hint="as in -tag:car"
                )
            with self._level(column):
                return Not(self._factor(target), at=column)
        if scanner.peek() == "(":
            return self._parenthesised(lambda: self._any(target))
        if keyword := scanner.keyword():
            raise QueryError(
                f"{keyword} stands where a condition should",
                column=column,
                word=keyword,
                hint=f'to search for the word, quote it: "{keyword}"',
            )
        return self._term() if target is None else self._value(target, ":")

    def _term(self) -> Node:
        scanner = self.scanner
        column = scanner.column
        if operator := scanner.operator():
            raise QueryError(
                f"a field is missing before '{operator}'", column=column, word=operator, hint="as in width>1024"
            )
        if scanner.peek() == QUOTE:
            text = scanner.quoted()
            if operator := scanner.operator():
                raise QueryError("a field's name takes no quotes", column=column, word=text)
            return self._bare(Raw(text, quoted=True, column=column), after=scanner.peek())
        word = scanner.word()
        segments, is_whole = self._path(word)
        typed = scanner.text[column - 1 : scanner.position]
        after_word = scanner.peek()
        scanner.skip_space()
        if word in FUNCTIONS and scanner.peek() == "(":
            return self._function(word, column)
        if operator := scanner.operator():
            if not is_whole:
                raise QueryError(
                    "a name is missing beside a dot",
                    column=column,
                    word=".".join(segments),
                    hint=f'to search for a text with {operator} in it, quote it: "a{operator}b"',
                )
            return self._field(segments, operator, column)
        if typed != word:
            raise QueryError(
                "a comparison is missing", column=scanner.column, word=typed, hint='as in metadata."a key":1'
            )
        if after_word == "(":
            raise QueryError(
                f"there is no function '{word}'",
                column=column,
                word=word,
                hint='the functions are has(...) and count(...); quote a text with a parenthesis in it: "img(1)"',
                known=FUNCTIONS,
            )
        return self._bare(Raw(word, quoted=False, column=column), after=after_word)

    def _path(self, word: str) -> tuple[list[str], bool]:
        """The parts of a dotted name of which `word` has been read, and whether each is there.

        A quoted part may follow a dot; JSON has a key without characters, which is `""`.
        """
        scanner = self.scanner
        segments = word.split(".")
        given = [bool(segment) for segment in segments]
        while len(segments) > 1 and not given[-1] and scanner.peek() == QUOTE:
            segments[-1], given[-1] = scanner.quoted(), True
            if scanner.peek() == ".":
                more = scanner.word().split(".")[1:]
                segments += more
                given += map(bool, more)
        return segments, len(segments) == 1 or all(given)

    def _bare(self, raw: Raw, *, after: str) -> Node:
        """A text that stands by itself and so searches the file names."""
        if self.in_objects:
            raise QueryError(
                "a text by itself searches file names, which objects do not have",
                column=raw.column,
                word=raw.text,
                hint=f"name a field, as in category:{raw.text}",
            )
        self._end_of_text(raw, after)
        self._count_term(raw.column)
        return Term(FILE.name, values.read(FILE, ":", raw), at=raw.column)

    def _field(self, segments: list[str], operator: str, column: int) -> Node:
        scanner = self.scanner
        if len(segments) > MAX_LEVELS:
            raise _too_deep(column)
        field, path = find(segments, column=column)
        if self.in_objects and field.scope is Scope.IMAGE:
            raise QueryError(
                f"'{field.name}' belongs to the image, not to its objects",
                column=column,
                word=field.name,
                hint="write it outside has() and count()",
                known=[each.shown_name for each in FIELDS.values() if each.scope is Scope.OBJECT],
            )
        target = _Target(field, path, column)
        scanner.take(operator)
        scanner.skip_space()
        if operator == ":" and scanner.peek() == "(":
            return self._parenthesised(lambda: self._any(target))
        return self._value(target, operator, at=column)

    def _value(self, target: _Target, operator: str, *, at: int | None = None) -> Node:
        if operator == ":" and (inner := self.scanner.operator()) not in ("", ":"):
            self.scanner.take(inner)  # `width:>640`, and `created:(>2026-01-01 <2026-02-01)`
            operator = inner
        raw = self._raw(target.field.name + operator)
        self._count_term(raw.column)
        return Term(target.field.name, values.read(target.field, operator, raw), path=target.path, at=at or raw.column)

    def _raw(self, before: str) -> Raw:
        """The value here, with its quotes taken off."""
        scanner = self.scanner
        scanner.skip_space()
        column = scanner.column
        if scanner.peek() == QUOTE:
            raw = Raw(scanner.quoted(), quoted=True, column=column)
            self._end_of_text(raw, scanner.peek())
            return raw
        keyword = scanner.keyword()
        text = scanner.value()
        if keyword or not text:
            raise QueryError(
                f"a value is missing after '{before}'",
                column=column,
                word=text or scanner.peek(),
                hint=f'to search for the word, quote it: "{keyword}"' if keyword else "",
            )
        raw = Raw(text, quoted=False, column=column)
        self._end_of_text(raw, scanner.peek())
        return raw

    def _end_of_text(self, raw: Raw, after: str) -> None:
        """What ends a text is white space or the parenthesis around it; anything else is a slip."""
        if after and not after.isspace() and after != ")":
            raise QueryError(
                f"{after} stands right after '{raw.text}'",
                column=self.scanner.column,
                word=after,
                hint='put a space between two conditions, or quote the whole text: "a (1).jpg"',
            )

    def _function(self, name: str, column: int) -> Node:
        if self.in_objects:
            raise QueryError(
                f"{name}(...) stands within another", column=column, word=name, hint="has() and count() do not nest"
            )
        self._count_term(column)
        self.in_objects = True
        condition = self._parenthesised(lambda: self._any(None), or_nothing=True)
        self.in_objects = False
        if name == "has":
            return Has(condition, at=column)
        scanner = self.scanner
        scanner.skip_space()
        operator = scanner.operator()
        if not operator:
            raise QueryError(
                "a comparison is missing after count(...)",
                column=scanner.column,
                word=scanner.peek(),
                hint="as in count(category:car)>=3",
                known=COUNT.operators,
            )
        scanner.take(operator)
        raw = self._raw(f"count(...){operator}")
        test = values.read(COUNT, operator, raw)
        if isinstance(test, Present):
            raise QueryError("'*' is not a number", column=raw.column, word="*", hint=f"as in {COUNT.example}")
        return Count(condition, test, at=column)

    def _parenthesised(self, inside: Callable[[], Node], *, or_nothing: bool = False) -> Node:
        scanner = self.scanner
        column = scanner.column
        scanner.take("(")
        with self._level(column):
            scanner.skip_space()
            node = Everything(at=column) if or_nothing and scanner.peek() == ")" else inside()
        scanner.skip_space()
        if not scanner.take(")"):
            raise QueryError("this parenthesis is not closed", column=column, word="(")
        return node

    def _take_keyword(self, keyword: str) -> bool:
        self.scanner.skip_space()
        return self.scanner.keyword() == keyword and self.scanner.take(keyword)

    def _minus_is_sign(self, target: _Target) -> bool:
        following = self.scanner.peek(1)
        return target.field.kind in ORDERED_KINDS and (following.isdigit() or following == ".")

    def _count_term(self, column: int) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise QueryError(
                f"the query has more than {MAX_TERMS} terms", column=column, hint="select by a tag instead"
            )

    @contextmanager
    def _level(self, column: int) -> Iterator[None]:
        self.levels += 1
        if self.levels > MAX_LEVELS:
            raise _too_deep(column)
        yield
        self.levels -= 1


def _too_deep(column: int) -> QueryError:
    return QueryError(f"the query is nested deeper than {MAX_LEVELS} levels", column=column, hint="write it flatter")
