"""The small imported project of these tests."""

import pytest

from tests.annotations import scenes


@pytest.fixture
def images(project, tmp_path):
    """The images of `project` by the first letters of their file names: a, b, c in train, v in val."""
    return scenes.load_scenes(project, tmp_path)
