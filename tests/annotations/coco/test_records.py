"""Records of a section: the places found for them hold exactly their text."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.coco.records import Records

BLANKS = st.text(" \t\r\n", max_size=3)
ELEMENTS = st.sampled_from(["1", '"a, b"', '" "', "{}", '{"a": [1, 2], "b": "]"}', "[ ]", "null", "-1.50E+3", '"é"'])


@given(st.lists(st.tuples(BLANKS, ELEMENTS, BLANKS)), BLANKS)
def test_each_record_is_found_whatever_blanks_are_around(elements, inner):
    text = "[" + (",".join(before + element + after for before, element, after in elements) or inner) + "]"
    expected = [element.encode() for _, element, _ in elements]

    records = Records(text.encode())

    assert [bytes(record) for record in records] == expected
    assert len(records) == len(expected)
    assert [bytes(records[place]) for place in range(len(records))] == expected
    assert [bytes(record) for record in records[1:3]] == expected[1:3]


def test_none_stands_behind_the_last():
    with pytest.raises(IndexError):
        Records(b"[1, 2]")[2]


def test_a_record_costs_few_bytes():
    text = b"[" + b", ".join([b'{"id": 1}'] * 100_000) + b"]"
    tracemalloc.start()
    try:
        records = Records(text)
        assert len(records) == 100_000
        assert tracemalloc.get_traced_memory()[0] < 20 * len(records)
    finally:
        tracemalloc.stop()
