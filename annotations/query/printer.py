"""Tree to text: the canonical form, which parses back to the same tree."""

import re
from decimal import Decimal

from annotations.query.fields import FIELDS, Kind
from annotations.query.scanner import KEYWORDS
from annotations.query.tree import (
    And,
    Between,
    Compare,
    Contains,
    Count,
    Differs,
    Everything,
    Has,
    Is,
    Matches,
    Moment,
    Node,
    Not,
    Or,
    Ordered,
    Present,
    Term,
    Test,
    Value,
    Word,
)
from annotations.query.values import is_json_scalar

_PLAIN_KEY = re.compile(r'[^\s()":<>=!.]+')
# May stand without quotes: no white space, parenthesis, quote or wildcard, no range, no operator or sign in front.
_PLAIN_VALUE = re.compile(r'(?!.*\.\.)[^\s()"*?:<>=!-][^\s()"*?]*')


def to_text(node: Node) -> str:
    """The canonical text of a tree. It can be longer than `parse` takes from people."""
    match node:
        case Everything():
            return ""
        case Term(field=field, path=path, test=test):
            return ".".join([field, *map(_key, path)]) + _test(test, field)
        case Not(part=part):
            return f"-{_grouped(part, And, Or)}"
        case And(parts=parts):
            return " ".join(_grouped(part, Or) for part in parts)
        case Or(parts=parts):
            return " OR ".join(to_text(part) for part in parts)
        case Has(condition=condition):
            return f"has({to_text(condition)})"
        case Count(condition=condition, test=test):
            return f"count({to_text(condition)}){_test(test, 'count')}"
    raise TypeError(f"{node!r} is no node of a query")


def _grouped(node: Node, *looser: type) -> str:
    """The text of a part, in parentheses where it binds looser than what is around it."""
    return f"({to_text(node)})" if isinstance(node, looser) else to_text(node)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _test(test: Test, field: str) -> str:
    match test:
        case Present():
            return ":*"
        case Is(value=value):
            # On a text `:` looks for a part, so the whole needs `=`.
            is_text = field in FIELDS and FIELDS[field].kind is Kind.TEXT
            return f"{'=' if is_text else ':'}{_value(value, field)}"
        case Differs(value=value):
            return f"!={_value(value, field)}"
        case Contains(text=text):
            return f":{_value(text, field)}"
        case Matches(pattern=pattern):
            return f":{pattern}"
        case Compare(operator=operator, value=str(value)):
            return f"{operator}{_quoted(value)}"
        case Compare(operator=operator, value=value):
            return f"{operator}{_value(value, field)}"
        case Between(low=low, high=high):
            return f":{_end(low)}..{_end(high)}"
    raise TypeError(f"{test!r} is no test of a query")


def _value(value: Value, field: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return _number(value)
        case Word(text=text) | Moment(text=text):
            return text
    # In metadata a quoted number is a text and nothing else.
    quoted = field in FIELDS and FIELDS[field].kind is Kind.JSON and is_json_scalar(value)
    return _quoted(value) if quoted or value in KEYWORDS or not _PLAIN_VALUE.fullmatch(value) else value


def _end(value: Ordered) -> str:
    return _number(value) if isinstance(value, Decimal) else value.text if isinstance(value, Moment) else value


def _number(number: Decimal) -> str:
    """Without an exponent, and without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
