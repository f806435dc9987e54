"""A few seconds of what `make fuzz` does for longer."""

import pytest

from tests.fuzz import inputs


@pytest.mark.parametrize("name", sorted(inputs.TARGETS))
def test_mutations_that_reach_new_lines_break_nothing(name):
    assert inputs.fuzz(name, 1.5, seed=7) > 20


def test_a_failure_is_not_lost(monkeypatch):
    def brittle(data: bytes) -> None:
        if b"\0" in data:
            raise KeyError("a bug")

    monkeypatch.setitem(inputs.TARGETS, "brittle", (brittle, [b"abc"]))
    with pytest.raises(KeyError):
        inputs.fuzz("brittle", 20, seed=1)
