"""A real browser before a live server with a drawn data set; what goes wrong in the page fails the test."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from accounts.models import User
from cocohub.sample import draw_sample
from projects.models import Project, Role
from tests import factories
from tests.workplace.browsing import staff

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IMAGES = 48  # the least with which the sample has every special case
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Chrome says so on the console when it is told to, whatever the page does about it.
WATCH = """
    document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
    });
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as Debian has it."""
    if CHROMIUM is None:
        pytest.skip("There is no chromium here; `apt-get install chromium` brings one.")
    # Playwright's loop runs in this thread, and Django would take the tests' own queries for ones out of a coroutine.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """The folder of a drawn data set."""
    folder = tmp_path_factory.mktemp("sample")
    draw_sample(folder, images=IMAGES)
    return folder


@pytest.fixture
def street(transactional_db, drawn) -> Project:
    """A project with the drawn data set; its owner may use the admin."""
    owner = factories.make_user("olga@example.com", is_staff=True, name="Olga Owner")
    project = factories.make_project(owner, name="Street scenes")
    call_command("import_coco", str(drawn), project=project.name, owner=owner.email, stdout=io.StringIO())
    return project


@pytest.fixture
def curator(street) -> User:
    """A curator of the project."""
    return staff(street, Role.CURATOR)


@pytest.fixture
def open_as(browser, live_server) -> Iterator[Callable[..., Page]]:
    """`open_as(user, address, **context)` is a page of a browser in which the user has logged in."""
    yield from pages(browser, live_server.url)


@pytest.fixture
def open_quietly(browser, live_server) -> Iterator[Callable[..., Page]]:
    """As `open_as`, where answers of 4xx and 5xx, and lost ones, are what the test is about: Chrome tells of each."""
    yield from pages(browser, live_server.url, expected="Failed to load resource")


def pages(browser: Browser, url: str, expected: str | None = None) -> Iterator[Callable[..., Page]]:
    """Opens pages; afterwards no fault may have been told but those that begin with `expected`."""
    faults: list[str] = []
    contexts = []

    def said(message: ConsoleMessage) -> None:
        if message.type == "error" and (expected is None or not message.text.startswith(expected)):
            faults.append(message.text)

    def open_page(user: User, address: str, **options) -> Page:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **options})
        context.add_init_script(WATCH)
        context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}])
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", said)
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(url + address)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            # A request that is still being answered would be in the way of emptying the tables.
            with suppress(PlaywrightError):
                page.wait_for_load_state("networkidle", timeout=2_000)
        context.close()
    assert faults == []
