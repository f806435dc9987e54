"""Addresses below `project`, and statements that read or write tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

SETTINGS = ("set_config", "current_setting", "SAVEPOINT")  # of the session: they read no table


@pytest.fixture
def at(project) -> Callable[[str], str]:
    """`at("assets")` is that address of the project."""
    return lambda path: f"/api/v1/projects/{project.pk}/{path}"


@pytest.fixture
def statements() -> Callable[[], "Iterator[list[str]]"]:
    """`with statements() as sent:` collects the SQL that is sent meanwhile, but for settings of the session."""

    @contextmanager
    def collecting() -> Iterator[list[str]]:
        sent: list[str] = []
        with CaptureQueriesContext(connection) as captured:
            yield sent
        sent += [each["sql"] for each in captured if not any(word in each["sql"] for word in SETTINGS)]

    return collecting
