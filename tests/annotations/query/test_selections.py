"""Queries against PostgreSQL, a table worked out by hand, and the oracle."""

import pytest
from hypothesis import HealthCheck, given, settings

from annotations.query import QueryError, parse, to_text
from tests.annotations.query import oracle
from tests.annotations.query.records import PICTURES
from tests.annotations.query.selections import SELECTIONS
from tests.annotations.query.trees import trees

GOOD = [(query, letters) for query, letters in SELECTIONS if letters is not None]
# One database for many examples: a query changes nothing.
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_there_are_enough_selections():
    assert len({query for query, _ in GOOD}) == len(GOOD) >= 120


def test_each_query_selects_the_images_worked_out_by_hand(images):
    wrong = {query: (found, letters) for query, letters in GOOD if (found := images(query)) != letters}
    assert wrong == {}


@pytest.mark.parametrize(("query", "letters"), GOOD)
def test_the_oracle_agrees_with_what_was_worked_out_by_hand(query, letters):
    assert "".join(sorted(oracle.images(parse(query), PICTURES))) == letters


@pytest.mark.parametrize("query", [query for query, letters in SELECTIONS if letters is None])
def test_what_looks_like_sql_is_a_query_with_a_mistake(query):
    with pytest.raises(QueryError):
        parse(query)


def test_each_query_selects_the_annotations_that_the_oracle_selects(annotations):
    expected = {query: sorted(oracle.annotations(parse(query), PICTURES)) for query, _ in GOOD}
    assert {query: annotations(query) for query in expected} == expected


@many
@given(tree=trees())
def test_any_tree_selects_the_images_that_the_oracle_selects(images, tree):
    assert images(tree) == "".join(sorted(oracle.images(tree, PICTURES))), to_text(tree)


@many
@given(tree=trees())
def test_any_tree_selects_the_annotations_that_the_oracle_selects(annotations, tree):
    assert annotations(tree) == sorted(oracle.annotations(tree, PICTURES)), to_text(tree)
