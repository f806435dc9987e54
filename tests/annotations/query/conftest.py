"""The small data set of these tests, in a database."""

from collections.abc import Callable

import pytest

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


@pytest.fixture
def images(project: Project, letters: dict[int, str]) -> Callable[[str | Node], str]:
    """The letters of the images a query selects, in order; a letter twice would be a row twice."""

    def select(query: str | Node) -> str:
        found = filter_images(ImageAsset.objects.all(), project, query, now=NOW)
        return "".join(sorted(letters[pk] for pk in found.values_list("pk", flat=True)))

    return select


@pytest.fixture
def annotations(project: Project, letters: dict[int, str]) -> Callable[[str | Node], list[int]]:
    """The numbers of the annotations a query selects."""

    def select(query: str | Node) -> list[int]:
        found = filter_annotations(Annotation.objects.all(), project, query, now=NOW)
        return sorted(found.values_list("coco_id", flat=True))

    return select
