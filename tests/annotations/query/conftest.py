"""The small data set of these tests, in a database."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.alternatives import AlternativesQuerySet, estimate
from annotations.models import Annotation
from annotations.query import Node, filter_annotations, filter_images
from assets.models import ImageAsset
from projects.models import Project
from tests.annotations.query.records import NOW, PICTURES, STRANGER, make_project, store


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def letters(project: Project) -> dict[int, str]:
    """The data set is stored, beside a look-alike in another project."""
    store(make_project("Elsewhere"), (STRANGER,))
    return store(project, PICTURES)


def assert_the_same_taken_apart(found: AlternativesQuerySet[Any], keys: list[int]) -> None:
    """Whichever way the rows are read, they are the same; `keys` are theirs, in order."""
    if not found._alternatives:
        return
    assert sorted(row["pk"] for row in found.primary_keys()) == keys
    assert found.primary_keys(2).count() == min(2, len(keys))
    assert sorted(found.apart().values_list("pk", flat=True)) == keys
    assert list(found.order_by("pk").first_rows(3).values_list("pk", flat=True)) == keys[:3]
    assert list(found.order_by("-pk").first_rows(2).values_list("pk", flat=True)) == keys[::-1][:2]
    later = [key for key in keys if key > keys[0]]
    assert sorted(row["pk"] for row in found.filter(pk__gt=keys[0] if keys else 0).primary_keys()) == later
    assert [row["pk"] for row in found.exclude(pk__in=later).primary_keys()] == keys[:1]
    assert estimate(found) >= 0


@pytest.fixture
def images(project: Project, letters: dict[int, str]) -> Callable[[str | Node], str]:
    """The letters of the images a query selects, in order; a letter twice would be a row twice."""

    def select(query: str | Node) -> str:
        found = filter_images(ImageAsset.objects.all(), project, query, now=NOW)
        keys = sorted(found.values_list("pk", flat=True))
        assert_the_same_taken_apart(found, keys)
        return "".join(sorted(letters[pk] for pk in keys))

    return select


@pytest.fixture
def annotations(project: Project, letters: dict[int, str]) -> Callable[[str | Node], list[int]]:
    """The numbers of the annotations a query selects."""

    def select(query: str | Node) -> list[int]:
        found = filter_annotations(Annotation.objects.all(), project, query, now=NOW)
        assert_the_same_taken_apart(found, sorted(found.values_list("pk", flat=True)))
        return sorted(found.values_list("coco_id", flat=True))

    return select
