"""The list of bad inputs has no gaps, and names tests that there are."""

import pytest

from tests import bad_inputs

PROVED = range(1, 87)


def test_every_item_is_listed_once_in_order():
    assert [item.number for item in bad_inputs.items()] == list(range(1, 87))


@pytest.mark.parametrize("number", PROVED)
def test_every_item_that_is_proved_has_its_tests(number):
    item = bad_inputs.items()[number - 1]
    assert item.tests, item.what
    assert len(set(item.tests)) == len(item.tests)


def test_every_test_that_is_named_is_there():
    named = {name for item in bad_inputs.items() for name in item.tests}
    gone = [name for name in named if name.partition("::")[2] not in bad_inputs.tests_of(name.partition("::")[0])]
    assert sorted(gone) == []


def test_a_name_that_is_no_test_is_noticed():
    assert "test_every_item_is_listed_once_in_order" in bad_inputs.tests_of("tests/test_bad_inputs.py")
    assert "no_test" not in bad_inputs.tests_of("tests/test_bad_inputs.py")


def test_the_page_is_that_of_the_list():
    assert bad_inputs.PAGE.read_text() == bad_inputs.page(), "write it anew: python -m tests.bad_inputs"
