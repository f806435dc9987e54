"""docs/query.md tells of every field, and all that it shows works."""

import re
from pathlib import Path

import pytest

from annotations.query import FIELDS, canonical, parse
from annotations.query.fields import COUNT
from assets.models import ImageAsset

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "query.md").read_text()
# Cells of the tables' last columns, where the examples stand.
EXAMPLES = re.findall(r"\| `([^`]+)` \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_field_is_described_with_its_example(field):
    assert re.search(rf"^\| `{re.escape(field.name)}` \| .+ \| `{re.escape(field.example)}` \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_choices_of_a_field_are_described(field):
    assert all(f"`{choice}`" in TEXT for choice in field.choices)


@pytest.mark.parametrize("example", [*EXAMPLES, COUNT.example])
def test_example_parses(example):
    assert parse(canonical(example)) == parse(example)


def test_there_are_examples():
    assert len(EXAMPLES) > len(FIELDS) + 20


def test_statuses_are_those_of_the_model():
    assert FIELDS["status"].choices == tuple(ImageAsset.Status.values)
