"""Distances, by hand and by their laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.comparison import earth_mover, jensen_shannon, total_variation


@pytest.mark.parametrize(
    ("a", "b", "variation", "jensen"),
    [
        ({"x": 1.0}, {"x": 1.0}, 0, 0),
        ({"x": 1.0}, {"y": 1.0}, 1, 1),
        ({"x": 0.5, "y": 0.5}, {"x": 1.0}, 0.5, 0.557923),  # sqrt(1 - 0.75 log2 3 + 0.5)
    ],
)
def test_distances_of_shares_by_hand(a, b, variation, jensen):
    assert total_variation(a, b) == pytest.approx(variation)
    assert jensen_shannon(a, b) == pytest.approx(jensen, abs=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [([1, 0, 0], [1, 0, 0], 0), ([1, 0, 0], [0, 0, 1], 1), ([1, 0, 0], [0, 1, 0], 0.5), ([1], [1], 0), ([], [], 0)],
)
def test_earth_is_moved_over_bins(a, b, distance):
    assert earth_mover(a, b) == distance


weights = st.lists(st.integers(0, 100), min_size=2, max_size=8).filter(any)


def shares(counts):
    return [count / sum(counts) for count in counts]


@given(a=weights, b=weights)
def test_distances_lie_between_0_and_1_and_do_not_depend_on_the_order(a, b):
    size = max(len(a), len(b))
    one, other = (shares(each + [0] * (size - len(each))) for each in (a, b))
    named = [{str(n): share for n, share in enumerate(each) if share} for each in (one, other)]
    for distance, pair in ((total_variation, named), (jensen_shannon, named), (earth_mover, (one, other))):
        assert -1e-9 <= distance(*pair) <= 1 + 1e-9
        assert distance(*pair) == pytest.approx(distance(*reversed(pair)))
        assert distance(pair[0], pair[0]) == pytest.approx(0, abs=1e-6)
