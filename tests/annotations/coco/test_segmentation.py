"""Segmentations: polygons and RLE."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.coco.problems import Quarantine
from annotations.coco.segmentation import read_segmentation


def told_of(raw: bytes, width: int = 0, height: int = 0):
    """The segmentation, and the codes of what was told."""
    problems = []
    found = read_segmentation(raw, width, height, "$.s", problems.append)
    return found, [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("raw", "bounds"),
    [
        (b"[[1, 2, 5, 2, 5.5, 9]]", (1, 2, 5.5, 9)),
        (b"[[1, 2, 5, 2, 5, 9], [-3, 0, 1, 1, 2, 20]]", (-3, 0, 5, 20)),
        (b"[]", None),
        (b"null", None),
        (b'{"size": [3, 4], "counts": [4, 1, 7]}', (1, 1, 2, 2)),
        (b'{"size": [3, 4], "counts": [12]}', None),
        (b'{"counts": "417", "size": [3, 4]}', (1, 1, 2, 2)),
    ],
)
def test_segmentation_is_kept_to_the_letter_and_knows_its_bounds(raw, bounds):
    found, told = told_of(raw, 4, 3)

    assert (found.text, found.bounds, told) == (raw, bounds, [])


def test_rle_of_another_size_than_its_image_is_told():
    raw = b'{"size": [3, 4], "counts": [12]}'

    assert told_of(raw, 4, 3)[1] == []
    assert told_of(raw, 3, 4)[1] == ["rle_size_mismatch"]
    assert told_of(raw, 0, 0)[1] == []


def test_good_parts_keep_their_text_where_bad_ones_are_left_out():
    found, told = told_of(b"[[1,2],[1.50, 2e0, 5, 2, 5, 9],[]]")

    assert found.text == b"[[1.50, 2e0, 5, 2, 5, 9]]"
    assert told == ["polygon_invalid", "polygon_invalid"]


def test_numbers_that_are_no_texts_keep_theirs_where_others_are_mended():
    assert told_of(b'[["1", 2.50, 5, "2.0", 5, 9]]')[0].text == b"[[1,2.50,5,2.0,5,9]]"


def test_flat_list_of_texts_is_left_out():
    with pytest.raises(Quarantine):
        told_of(b'["1", "2", "5", "2", "5", "9"]')


@given(st.recursive(st.sampled_from(["1", "2.5", "null", '"3"', '"x"', "true", "1e400", '"\\u0000"', "{}"]), (
    lambda inner: st.lists(inner, max_size=7).map(lambda items: f"[{','.join(items)}]")
)))  # fmt: skip
@settings(max_examples=120)
def test_any_value_gives_a_segmentation_or_quarantine(text):
    try:
        found, _ = told_of(text.encode(), 100, 100)
    except Quarantine:
        return
    assert isinstance(found.text, bytes)
