"""What the tests of the workplace look at."""

from collections.abc import Callable

import pytest

from annotations.models import ImportJob
from exports.models import ExportJob
from projects.models import Role, Task
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff


@pytest.fixture
def images(project, tmp_path):
    """The images of `project` by the first letters of their file names: a, b, c in train, v in val."""
    return scenes.load_scenes(project, tmp_path)


@pytest.fixture
def jobs(project):
    """An import and an export."""
    started = ImportJob.objects.create(project=project, task=factories.make_task(project), file_name="a.json")
    task = factories.make_task(project, Task.Kind.EXPORT)
    return started, ExportJob.objects.create(project=project, task=task)


@pytest.fixture
def by_curator(project):
    """The browser of a curator."""
    return browser_of(staff(project, Role.CURATOR))


@pytest.fixture
def work(project) -> Callable[[str], str]:
    """The address of a page of the project."""
    return lambda page: f"/admin/work/{project.pk}/{page}"
