"""Single JSON values: are they fit to be stored, and what number or text do they hold.

Values are bytes of JSON text, already known to be well-formed but for BAD. PostgreSQL's jsonb cannot hold NUL
characters, lone surrogates and numbers of thousands of digits, and drops repeated keys, so all of these are found here.
"""

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

MAX_DEPTH = 64
MAX_DIGITS = 400  # longest number that is taken; a double needs 17 digits, 1e308 needs 309
INT64 = 2**63

NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
PLAIN_NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?\Z")
LONG_NUMBER = re.compile(rb"[0-9.]{%d}|[eE][+-]?0*[1-9][0-9]{3}" % MAX_DIGITS)
EXPONENT = re.compile(rb"\d[eE]")
EXPONENTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?\d+(?:\.\d+)?[eE][+-]?\d+')  # strings are eaten whole
# A byte that UTF-8 never has. document.py puts it where a file has what JSON does not: the tokens NaN, Infinity and
# -Infinity become strings of the same length that begin with it, of half a surrogate pair it replaces the backslash.
BAD = b"\xff"
NOT_A_NUMBER = b'"\xff'
HALF_PAIR = b"\xffu"
REMEMBERED = 2_048  # bytes: longer values are checked each time, so that the memory of verdicts stays small

# What msgspec raises for text that it cannot decode, and for text that holds BAD.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class Unfit(Exception):
    """The value cannot be stored; `code` and the message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TooDeep(Exception):
    """Nested deeper than MAX_DEPTH: the whole file is refused."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unfit("duplicate_key", f"the key {twice!r} appears twice in one object")
    for name in found:
        _check_text(name)
    return found


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Unfit("nul_character", "a string holds the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit("lone_surrogate", "a string holds half of a surrogate pair") from None


def _check_number(token: str) -> float:
    if len(token) > MAX_DIGITS:
        raise Unfit("number_too_long", f"a number has {len(token)} characters; {MAX_DIGITS} is the most")
    value = float(token)
    if value in (float("inf"), float("-inf")):
        raise Unfit("not_a_number", f"the number {token[:40]} is beyond what a double can hold")
    exponent = token.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise Unfit("number_too_long", f"the number {token[:40]} has an exponent beyond ±{MAX_DIGITS}")
    return value


def _walk(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise TooDeep
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for child in value.values():
            _walk(child, depth + 1)
    elif isinstance(value, list):
        for child in value:
            _walk(child, depth + 1)


def depth_of(raw: bytes) -> int:
    """How deep brackets are nested in JSON text, strings not counted."""
    deepest = depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', raw):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"]", b"}"):
            depth -= 1
    return deepest


def nested_too_deep(raw: bytes) -> bool:
    """Whether the text is nested deeper than MAX_DEPTH."""
    return raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and depth_of(raw) > MAX_DEPTH


def _flaw(raw: bytes) -> tuple[str, str] | None:
    if nested_too_deep(raw):
        raise TooDeep
    if BAD in raw:
        return flaw_of_file(raw)
    try:
        value = json.loads(raw, object_pairs_hook=_pairs, parse_int=_check_number, parse_float=_check_number)
        _walk(value, 1)
    except Unfit as found:
        return found.code, found.message
    return None


def flaw_of_file(raw: bytes) -> tuple[str, str]:
    """Code and message for a value that holds BAD."""
    if HALF_PAIR in raw:
        return "lone_surrogate", "a string holds half of a surrogate pair"
    return "not_a_number", "NaN or Infinity is no JSON number"


_remembered_flaw = lru_cache(maxsize=8192)(_flaw)


def check(raw: bytes) -> None:
    """Raise Unfit if PostgreSQL could not store the value to the letter, TooDeep if it is nested too deep."""
    first = raw[0]
    if first == 0x22:  # a string
        if b"\\" not in raw and BAD not in raw:
            return
    elif (first not in b"{[" and len(raw) < 32 and b"e" not in raw.lower()) or raw in (
        b"true",
        b"false",
    ):  # a plain number, or null
        return
    found = _remembered_flaw(raw) if len(raw) <= REMEMBERED else _flaw(raw)
    if found is not None:
        raise Unfit(*found)


def has_long_number(raw: bytes) -> bool:
    """Whether lists of numbers hold one that is too long: looked for only where commas are far apart."""
    if (b"e" in raw or b"E" in raw) and LONG_NUMBER.search(raw):
        return True
    at, last = 0, len(raw) - MAX_DIGITS
    while at <= last:
        comma = raw.rfind(b",", at, at + MAX_DIGITS)
        if comma < 0:
            return LONG_NUMBER.search(raw) is not None
        at = comma + 1
    return False


def spelled_out(raw: bytes) -> bytes:
    """The same JSON with exponents written out.

    PostgreSQL would write 1E5 as 100000, which is a whole number to those who read it; 100000.0 stays what it was.
    """
    if (b"e" not in raw and b"E" not in raw) or not EXPONENT.search(raw):
        return raw
    return EXPONENTS.sub(_spelled, raw)


def _spelled(match: re.Match[bytes]) -> bytes:
    if match[0][:1] == b'"':
        return match[0]
    text = format(Decimal(match[0].decode()), "f").encode()
    return text if b"." in text else text + b".0"


def same(one: bytes, other: bytes) -> bool:
    """Whether two values are equal, however they are written; what cannot be decoded equals only itself."""
    if one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except (*UNREADABLE, RecursionError):
        return False


def as_number(raw: bytes) -> bytes | None:
    """The number's own text, also when it stands in a string (`"63.5"`); None if there is no finite number."""
    token = raw[1:-1].strip() if raw[:1] == b'"' else raw
    if len(token) < 32 and PLAIN_NUMBER.match(token):
        return token
    if len(token) > MAX_DIGITS or not NUMBER.match(token) or LONG_NUMBER.search(token):
        return None
    return token if abs(float(token)) != float("inf") else None


def as_integer(raw: bytes) -> int | None:
    """The whole number, also from `3.0` or `"3"`; None if it is none or does not fit 64 bits."""
    token = as_number(raw)
    if token is None:
        return None
    try:
        value = int(token)
    except ValueError:
        number = float(token)
        if not number.is_integer() or abs(number) >= 2**53:
            return None
        value = int(number)
    return value if -INT64 <= value < INT64 else None


def as_text(raw: bytes) -> str | None:
    """The string's characters; None if the value is no string. Raises Unfit for NUL and lone surrogates."""
    if raw[:1] != b'"':
        return None
    if BAD in raw:
        code, message = flaw_of_file(raw)
        if code == "not_a_number":
            return None
        raise Unfit(code, message)
    if b"\\" not in raw:
        return raw[1:-1].decode()
    text = json.loads(raw)
    _check_text(text)
    return str(text)
