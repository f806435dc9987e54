"""The records of a section: where each one lies in the mapped file, in sixteen bytes a record.

A list of slices would take four times as much, and a file may have millions of records.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import overload

import msgspec

_slices = msgspec.json.Decoder(list[msgspec.Raw]).decode
_GAP = re.compile(rb"[\s,]*+")
_COMMA, _SPACE = b", "
_BLANKS = frozenset(b" \t\r\n")


class Records(Sequence[memoryview]):
    """The elements of a JSON array as slices of its text, in their order; `text` must be valid JSON."""

    def __init__(self, text: memoryview | bytes = b"[]") -> None:
        self._text = memoryview(text)
        self._starts = array("q")
        self._lengths = array("q")
        self._find()

    def _find(self) -> None:
        text, starts, lengths = self._text, self._starts.append, self._lengths.append
        at = 1  # after the bracket: a section's text begins with it
        for index, element in enumerate(_slices(text)):
            length = len(element)
            # Most files are written with one separator throughout, "," or ", ".
            if index and text[at] == _COMMA and text[at + 1] not in _BLANKS:
                at += 1
            elif index and text[at] == _COMMA and text[at + 1] == _SPACE and text[at + 2] not in _BLANKS:
                at += 2
            else:
                at = _GAP.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing at all, too
            starts(at)
            lengths(length)
            at += length

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> memoryview: ...
    @overload
    def __getitem__(self, place: slice) -> list[memoryview]: ...
    def __getitem__(self, place: int | slice) -> memoryview | list[memoryview]:
        if isinstance(place, slice):
            return list(starmap(self._cut, zip(self._starts[place], self._lengths[place], strict=True)))
        return self._cut(self._starts[place], self._lengths[place])

    def __iter__(self) -> Iterator[memoryview]:
        return starmap(self._cut, zip(self._starts, self._lengths, strict=True))

    def _cut(self, start: int, length: int) -> memoryview:
        return self._text[start : start + length]
