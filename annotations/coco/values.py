"""Single JSON values: are they fit to be stored, and what number or text do they hold.

Values are bytes of JSON text, already known to be well-formed. PostgreSQL's jsonb cannot hold NUL characters, lone
surrogates and numbers of thousands of digits, and drops repeated keys, so all of these are found here.
"""

import json
import re
from functools import lru_cache
from typing import Any

import msgspec

MAX_DEPTH = 64
MAX_DIGITS = 400  # longest number that is taken; a double needs 17 digits, 1e308 needs 309
INT64 = 2**63

NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
LONG_NUMBER = re.compile(rb"[0-9.]{%d}|[eE][+-]?0*[0-9]{4}" % MAX_DIGITS)
# Stand-ins of the same length for the tokens NaN, Infinity and -Infinity, which JSON does not have (document.py).
NOT_A_NUMBER = b'"\x7f'

_text = msgspec.json.Decoder(str)
_float = msgspec.json.Decoder(float)


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


@lru_cache(maxsize=8192)
def _verdict(raw: bytes) -> Unfit | None:
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and depth_of(raw) > MAX_DEPTH:
        raise TooDeep
    if NOT_A_NUMBER in raw:
        return Unfit("not_a_number", "NaN or Infinity is no JSON number")
    try:
        value = json.loads(raw, object_pairs_hook=_pairs, parse_int=_check_number, parse_float=_check_number)
        _walk(value, 1)
    except Unfit as found:
        return found
    return None


def check(raw: bytes) -> None:
    """Raise Unfit if PostgreSQL could not store the value to the letter, TooDeep if it is nested too deep."""
    first = raw[0]
    if first == 0x22:  # a string
        if b"\\" not in raw and raw[:2] != NOT_A_NUMBER:
            return
    elif (first not in b"{[" and len(raw) < 32 and b"e" not in raw.lower()) or raw in (
        b"true",
        b"false",
    ):  # a plain number, or null
        return
    found = _verdict(raw)
    if found is not None:
        raise found


def as_number(raw: bytes) -> bytes | None:
    """The number's own text, also when it stands in a string (`"63.5"`); None if there is no finite number."""
    token = raw[1:-1].strip() if raw[:1] == b'"' else raw
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
    if raw[:1] != b'"' or raw[:2] == NOT_A_NUMBER:
        return None
    if b"\\" not in raw:
        return raw[1:-1].decode()
    text = json.loads(raw)
    _check_text(text)
    return str(text)
