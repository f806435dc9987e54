"""Image records: their table, their ids, their other fields."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.coco.images import TEXT_IDS, ImageTable, join_fields, read_images, record_id, text_id, without_fields
from annotations.coco.problems import Quarantine


def test_table_finds_the_row_of_an_id():
    table = ImageTable()
    raws = [b'{"id": 7, "width": 3, "height": 4}', b'{"id": "x"}', b"{}", b'{"id": -1}']

    records = list(read_images(raws, table, lambda problem: None))

    assert [record.index for record in records] == [0, 1, 3]
    assert (table.rows[7], table.rows[-1]) == (0, 2)
    assert (list(table.widths), list(table.heights), list(table.indexes)) == ([3, 0, 0], [4, 0, 0], [0, 1, 3])
    assert len(table) == 3


@given(st.text(min_size=1, max_size=20))
@settings(max_examples=100)
def test_number_of_a_text_is_above_those_of_files_and_fits_64_bits(text):
    assert TEXT_IDS <= text_id(text) < 2**63
    assert text_id(text) == text_id(text)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"5", (5, None)),
        (b"-0", (0, None)),
        (b'"5"', (5, None)),
        (b'"005"', (text_id("005"), "005")),
        (b'"a b"', (text_id("a b"), "a b")),
        (b'"5.5"', None),
        (b'" "', None),
        (b'""', None),
        (b"5.5", None),
        (b"null", None),
        (b"[]", None),
        (b'"' + b"x" * 1_001 + b'"', None),
    ],
)
def test_id_is_a_whole_number_or_a_text_that_is_no_number(raw, found):
    assert record_id(raw) == found


def test_fields_are_joined_to_the_letter():
    assert join_fields({"a": b"1.50", 'k"': b'{"b" : [ ]}'}, "$") == b'{"a":1.50,"k\\"":{"b" : [ ]}}'
    with pytest.raises(Quarantine) as caught:
        join_fields({"ok": b"1", "bad": b"1e999"}, "$")
    assert caught.value.at == ".bad"


def test_fields_are_taken_out_of_a_text():
    assert json.loads(without_fields(b'{"width": 1, "a": 2.50}', ("width", "height"))) == {"a": 2.50}
    assert without_fields(b'{ "a": 1 }', ("width",)) == b'{ "a": 1 }'
