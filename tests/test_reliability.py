"""The page on reliability is that of the list and of the kept summary, and has no gaps."""

from tests import bad_inputs, reliability


def test_the_page_is_up_to_date():
    assert reliability.PAGE.read_text() == reliability.page(), "write it anew: python -m tests.reliability"


def test_every_bad_input_is_on_the_page_with_a_test():
    text = reliability.PAGE.read_text()
    for item in bad_inputs.items():
        assert item.tests, item.number
        assert f"| {item.number} | {item.what} | `" in text


def test_what_was_kept_of_the_harness_found_nothing_wrong():
    kept = reliability.kept()
    assert kept
    assert [one["kind"] for one in kept if one["wrong"]] == []
