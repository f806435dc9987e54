"""Which values of fields count as the same when what was sent is compared with what is here."""

import pytest

from exports.pulling.comparing import ABSENT, _equal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1 + 0.2, 0.3),
        (3, 3.0),
        ("3", "3"),
        (None, None),
        (True, True),
        ([1, [2.0]], (1, [2])),
        ({"a": {"b": 0.1 + 0.2}}, {"a": {"b": 0.3}}),
        (ABSENT, ABSENT),
    ],
)
def test_same(one, other):
    assert _equal(one, other)
    assert _equal(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (3, "3"),
        (1, True),
        (0, False),
        (0, None),
        (3, 3.01),
        ([1, 2], [1]),
        ([1], 1),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({"a": 1}, ["a"]),
        (ABSENT, None),
    ],
)
def test_different(one, other):
    assert not _equal(one, other)
    assert not _equal(other, one)
