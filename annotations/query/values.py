"""What stands after a field and an operator, read as the kind of value that the field holds."""

import decimal
import re
from dataclasses import dataclass
from decimal import Decimal

from annotations.query.errors import QueryError, did_you_mean
from annotations.query.fields import EQUALITY, Field, Kind
from annotations.query.moments import is_ago, read_moment
from annotations.query.tree import (
    Between,
    Compare,
    Contains,
    Differs,
    Is,
    Matches,
    Moment,
    Ordered,
    Present,
    Test,
    Word,
)

# Enough for every column and for exact areas; more digits are a mistake or an attack.
MAX_DIGITS = 40
_EXPONENT_DIGITS = 3
RANGE = ".."
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?(?P<exponent>[0-9]+))?")
_BYTES = re.compile(rf"(?P<number>{_NUMBER.pattern})(?P<unit>b|kb|mb|gb)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NOT_A_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_DATE_LIKE = re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}.*)?")
# Keeps every digit of a product.
EXACT = decimal.Context(prec=2 * MAX_DIGITS)


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was typed, without its quotes."""

    text: str
    quoted: bool
    column: int


def read(field: Field, operator: str, raw: Raw) -> Test:
    """The test that `field operator value` stands for; QueryError if the field takes no such thing."""
    if operator not in field.operators:
        raise QueryError(
            f"'{field.name}' has no order, so '{operator}' says nothing",
            column=raw.column,
            word=raw.text,
            hint=f"use {' '.join(EQUALITY)} as in {field.example}",
        )
    if operator == ":" and not raw.quoted and raw.text == "*":
        return Present()
    match field.kind:
        case Kind.NAME | Kind.NAMES | Kind.TEXT:
            return _text_test(field, operator, raw)
        case Kind.CHOICE | Kind.BOOLEAN:
            value = _choice(field, raw) if field.kind is Kind.CHOICE else _boolean(field, raw)
            return Differs(value) if operator == "!=" else Is(value)
        case Kind.JSON:
            return _json_test(field, operator, raw)
    return _ordered_test(field, operator, raw)


def has_wildcard(text: str) -> bool:
    """Whether an unquoted text is a pattern."""
    return "*" in text or "?" in text


def is_json_scalar(text: str) -> bool:
    """Whether a text without quotes stands also for a JSON number, boolean or null."""
    return text in ("true", "false", "null") or number_of(text) is not None


def number_of(text: str) -> Decimal | None:
    """The number that a text is, if it is one of no more than MAX_DIGITS digits."""
    found = _NUMBER.fullmatch(text)
    if not found or len(found["exponent"] or "") > _EXPONENT_DIGITS:
        return None
    number = Decimal(text)
    if number.is_zero():
        return Decimal(0)
    digits = max(number.adjusted() + 1, 1) + max(-int(number.as_tuple().exponent), 0)
    return number if digits <= MAX_DIGITS else None


def _text_test(field: Field, operator: str, raw: Raw) -> Test:
    text = raw.text.lower() if field.lower else raw.text
    if operator == "!=":
        return Differs(text)
    if operator == "=":
        return Is(text)
    if not raw.quoted and has_wildcard(text):
        return Matches(text)
    return Contains(text) if field.kind is Kind.TEXT else Is(text)


def _choice(field: Field, raw: Raw) -> str:
    if raw.text not in field.choices:
        raise QueryError(
            f"'{raw.text}' is no {field.name}",
            column=raw.column,
            word=raw.text,
            hint=did_you_mean(raw.text, field.choices) or f"write one of {', '.join(field.choices)}",
            known=field.choices,
        )
    return raw.text


def _boolean(field: Field, raw: Raw) -> bool:
    try:
        return _BOOLEANS[raw.text.lower()]
    except KeyError:
        raise QueryError(
            f"'{raw.text}' is neither true nor false",
            column=raw.column,
            word=raw.text,
            hint=f"as in {field.example}",
            known=_BOOLEANS,
        ) from None


def _ordered_test(field: Field, operator: str, raw: Raw) -> Test:
    if operator == ":" and RANGE in raw.text:
        return _range_test(field, raw)
    value = _ordered(field, raw)
    if operator in EQUALITY:
        if isinstance(value, Moment) and is_ago(value):
            raise QueryError(
                f"'{raw.text}' is one instant",
                column=raw.column,
                word=raw.text,
                hint=f"compare with it, as in {field.name}>{raw.text}",
            )
        return Differs(value) if operator == "!=" else Is(value)
    return Compare(operator, value)


def _range_test(field: Field, raw: Raw) -> Test:
    start, _, end = raw.text.partition(RANGE)
    low, high = Raw(start, raw.quoted, raw.column), Raw(end, raw.quoted, raw.column + len(start) + len(RANGE))
    if not low.text and not high.text:
        raise QueryError("the range has no ends", column=raw.column, word=raw.text, hint="write 1..9, 1.. or ..9")
    if not high.text:
        return Compare(">=", _ordered(field, low))
    if not low.text:
        return Compare("<=", _ordered(field, high))
    test = Between(_ordered(field, low), _ordered(field, high))
    if isinstance(test.low, Decimal) and isinstance(test.high, Decimal) and test.low > test.high:
        raise QueryError(
            f"no number is in {raw.text}", column=raw.column, word=raw.text, hint="write the smaller number first"
        )
    return test


def _ordered(field: Field, raw: Raw) -> Ordered:
    if field.kind is Kind.DATE:
        moment = read_moment(raw.text)
        if moment is None:
            raise QueryError(
                f"'{raw.text}' is no date",
                column=raw.column,
                word=raw.text,
                hint="write 2026-01-31, 2026-01-31T10:00 or how long ago, as in -7d (units h, d, w, m, y)",
            )
        return moment
    if field.kind is Kind.JSON:
        number = None if raw.quoted else number_of(raw.text)
        return raw.text if number is None else number
    return _number(field, raw)


def _number(field: Field, raw: Raw) -> Decimal:
    text, unit = raw.text, ""
    if field.kind is Kind.BYTES and (found := _BYTES.fullmatch(text)):
        text, unit = found["number"], (found["unit"] or "").lower()
    number = number_of(text)
    if number is not None and unit:
        number = number_of(format(EXACT.multiply(number, _UNITS[unit]), "f"))
    if number is None:
        hint = f"numbers have at most {MAX_DIGITS} digits" if _NUMBER.fullmatch(text) else f"as in {field.example}"
        raise QueryError(f"'{raw.text}' is not a number", column=raw.column, word=raw.text, hint=hint)
    return number


def _json_test(field: Field, operator: str, raw: Raw) -> Test:
    if operator not in EQUALITY:
        if not raw.quoted and _NOT_A_NUMBER.fullmatch(raw.text):
            raise QueryError(f"'{raw.text}' is not a number", column=raw.column, word=raw.text, hint="quote a text")
        return Compare(operator, _ordered(field, raw))
    if operator == ":" and not raw.quoted:
        if _is_json_range(raw.text):
            return _range_test(field, raw)
        if has_wildcard(raw.text):
            return Matches(raw.text)
    value = Word(raw.text) if not raw.quoted and is_json_scalar(raw.text) else raw.text
    return Differs(value) if operator == "!=" else Is(value)


def _is_json_range(text: str) -> bool:
    """Whether `..` joins two numbers or two dates here: in `../images` or `a..b` it is text."""
    low, found, high = text.partition(RANGE)
    ends = [end for end in (low, high) if end]
    if not found or not ends:
        return False
    return all(number_of(end) is not None for end in ends) or all(_DATE_LIKE.fullmatch(end) for end in ends)
