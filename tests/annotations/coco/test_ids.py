"""Ids of annotations: seen, given, found again."""

import pytest

from annotations.coco.ids import Ids, Places, peek_id


def records(*ids: str) -> list[bytes]:
    """Records with these ids, as JSON text."""
    return [b'{"id": %s}' % text.encode() for text in ids]


def test_ids_are_new_once_and_for_each_family():
    ids = Ids([])

    assert [ids.is_new(0, number) for number in (1, 2, 2, 5, 3, 5, 3)] == [True, True, False, True, True, False, False]
    assert ids.is_new(1, 2)
    assert sorted(ids.of(0)) == [1, 2, 3, 5]
    assert list(ids.of(2)) == []


def test_given_ids_go_on_after_the_greatest_of_the_whole_file():
    ids = Ids(records("3", "900", '"1000"', "null", '"text"', "-5"))

    assert [ids.give(0), ids.give(0), ids.give(1)] == [1001, 1002, 1003]
    assert not ids.is_new(0, 1001)


def test_given_ids_keep_away_from_ids_beyond_reach():
    taken = 2**62 - 1, 2**62, 2**63 - 1
    ids = Ids(records(*map(str, taken)))

    given = [ids.give(0) for _ in range(3)]

    assert not set(given) & set(taken)
    assert max(given) < 2**63


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b'{"id": 7}', 7),
        (b'{"id": "7"}', 7),
        (b'{"id": 7.0}', 7),
        (b'{"id": null}', None),
        (b"{}", None),
        (b"[]", None),
        (b'{"id": "\xffud800"}', None),
        (b'{"id": "\\u0000"}', None),
        (b'{"id": 1e999}', None),
    ],
)
def test_id_is_peeked_at_without_reading_the_record(record, found):
    assert peek_id(record) == found


def test_places_of_an_id_are_in_the_order_of_the_file():
    places = Places(records("2", "1", "null", "2", '"2"', "3"))

    assert list(places.of(2)) == [0, 3, 4]
    assert list(places.of(1)) == [1]
    assert list(places.of(9)) == []
