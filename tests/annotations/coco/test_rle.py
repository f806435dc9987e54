"""Our run-length encodings against those of pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from annotations.coco import rle


@st.composite
def masks(draw) -> np.ndarray:
    """Small masks: noise, blocks, empty and full ones."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    if draw(st.booleans()):
        bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
        return np.array(bits, dtype=np.uint8).reshape(height, width)
    mask = np.zeros((height, width), dtype=np.uint8)
    top, left = draw(st.integers(0, height)), draw(st.integers(0, width))
    mask[top : draw(st.integers(top, height)), left : draw(st.integers(left, width))] = 1
    return mask


def runs_of(mask: np.ndarray) -> list[int]:
    """Column by column, zeros first."""
    counts, last, run = [], 0, 0
    for bit in mask.flatten(order="F"):
        if bit != last:
            counts.append(run)
            last, run = bit, 0
        run += 1
    return [*counts, run]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between pycocotools and numpy
@given(masks())
@settings(max_examples=150, deadline=None)
def test_runs_and_their_text_are_those_of_pycocotools(mask):
    height, width = mask.shape
    theirs = coco.encode(np.asfortranarray(mask))
    counts = runs_of(mask)

    assert rle.encode_counts(counts) == theirs["counts"].decode()
    assert rle.decode_counts(theirs["counts"].decode()) == counts
    assert rle.flaw(counts, height, width) is None
    assert rle.area(counts) == coco.area(theirs)
    assert list(rle.bounds(counts, height)) == coco.toBbox(theirs).tolist()
    assert (coco.decode({"size": [height, width], "counts": rle.encode_counts(counts).encode()}) == mask).all()


@given(st.lists(st.integers(0, 2**40), max_size=30))
@settings(max_examples=150)
def test_any_runs_come_back_from_their_text(counts):
    assert rle.decode_counts(rle.encode_counts(counts)) == counts


@given(st.text(max_size=40) | st.text(alphabet=[chr(code) for code in range(48, 112)], max_size=40))
@settings(max_examples=300)
def test_any_text_gives_runs_or_a_value_error(text):
    try:
        counts = rle.decode_counts(text)
    except ValueError:
        return
    assert all(isinstance(count, int) for count in counts)


@pytest.mark.parametrize("text", ["~", "0é", "P", "o", "oooooooooooooooo0", "\n", " 0"])
def test_text_that_is_no_rle_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for people
        rle.decode_counts(text)


@pytest.mark.parametrize(
    ("counts", "height", "width", "told"),
    [
        ([1], 0, 1, "size is 0 x 1"),
        ([1], 1, -1, "size is 1 x -1"),
        ([], 100_000, 100_000, "more than 500,000,000 pixels"),
        ([5, -1], 2, 2, "a run is negative"),
        ([3], 2, 2, "its runs cover 3 pixels, its size has 4"),
        ([], 1, 1, "its runs cover 0 pixels, its size has 1"),
    ],
)
def test_runs_that_do_not_fit_their_size_are_told(counts, height, width, told):
    assert told in rle.flaw(counts, height, width)


def test_empty_mask_has_no_bounds():
    assert rle.bounds([16], 4) == (0, 0, 0, 0)
    assert rle.bounds([3, 0, 13], 4) == (0, 0, 0, 0)
