"""A few seconds of what `make fuzz` does for longer."""

import json

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


def test_what_was_tried_is_told_to_the_file_that_is_named(tmp_path, monkeypatch):
    path = tmp_path / "fuzz.jsonl"
    monkeypatch.setenv("FUZZ_SUMMARY", str(path))
    tried = inputs.fuzz("rle", 0.3, seed=5)
    told = json.loads(path.read_text())
    assert (told["target"], told["inputs"], told["seed"], told["by"]) == ("rle", tried, 5, "mutations")
