"""Every page of the admin and of the workplace against every kind of person, found by walking the URLconf.

What is meant to be open is named below with its reason; new pages are covered without being named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from annotations.models import BulkEdit
from projects.admin_base import ProjectScopedAdmin
from projects.models import AuditLog, Role
from tests import factories
from tests.fuzz import world
from tests.workplace.browsing import browser_of, staff

OPEN = {
    "/admin/login/": "asks for the password",
    "/admin/logout/": "ends what there may be",
    "/admin/language/": "a choice of language, which changes nothing of anybody's",
    "/admin/jsi18n/": "words of scripts",
}
LOGIN = "/admin/login/?next="
MISSING = "987654"
UUID = "00000000-0000-0000-0000-000000000001"
# Of re_path(): what to put for the groups.
GROUPS = {"path": "nothing", "task_pk": UUID, "what": "cancel", "url": "nothing/", "app_label": "projects"}
CONVERTED = {"int": MISSING, "uuid": UUID, "slug": "x", "str": "x", "path": MISSING}


@dataclass(frozen=True)
class Page:
    """One address below /admin/."""

    template: str

    def address(self, project: int) -> str:
        return self.template.replace("<project>", str(project))

    @property
    def of_project(self) -> bool:
        return "<project>" in self.template


def walk(resolver: URLResolver, prefix: str = "/") -> Iterator[Page]:
    for entry in resolver.url_patterns:
        path = prefix + _filled(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from walk(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("/admin/"):
            yield Page(path)


def _filled(pattern: str) -> str:
    pattern = pattern.replace("<int:project_pk>", "<project>")
    pattern = re.sub(r"<(\w+):\w+>", lambda found: CONVERTED[found[1]], pattern)
    pattern = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", lambda found: GROUPS[found[1]], pattern)
    return re.sub(r"[\^$\\]", "", pattern)


PAGES = sorted(set(walk(get_resolver())), key=lambda page: page.template)
CLOSED = [page for page in PAGES if page.template not in OPEN]
OF_PROJECT = [page for page in CLOSED if page.of_project]
OF_MODELS = [
    (model, what) for model, page in admin.site._registry.items() if isinstance(page, ProjectScopedAdmin)
    for what in ("change", "delete", "history")
]  # fmt: skip


def each(pages: list[Page]) -> Any:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.template)


def test_the_walk_found_them():
    templates = {page.template for page in PAGES}
    assert set(OPEN) <= templates
    assert len(OF_PROJECT) > 30
    assert {
        "/admin/",
        "/admin/accounts/user/",
        "/admin/work/<project>/images",
        "/admin/projects/project/add/",
    } <= templates
    assert len(OF_MODELS) > 30


@each(CLOSED)
def test_nobody_sees_it_without_logging_in_as_staff(page, project, curator):
    plain = browser_of(curator)  # a member, but no staff
    for browser in (Client(), plain):
        for method in (browser.get, browser.post):
            answer = method(page.address(project.pk))
            assert answer.status_code == 302, (answer.status_code, method)
            assert answer["Location"].startswith(LOGIN) or answer["Location"].endswith("/"), answer["Location"]
            assert not answer["Location"].startswith("/admin/work")


@each(OF_PROJECT)
def test_a_stranger_finds_no_project_behind_it(page, project):
    browser = browser_of(staff(None, None))
    for method in (browser.get, browser.post):
        theirs, missing = (method(page.address(pk)).status_code for pk in (project.pk, 999_999))
        assert theirs == missing
        assert theirs in (404, 405)


@each(OF_PROJECT)
def test_a_viewer_changes_nothing_by_it(page, project):
    browser = browser_of(staff(project, Role.VIEWER))
    lines, edits = AuditLog.objects.count(), BulkEdit.objects.count()
    assert browser.get(page.address(project.pk)).status_code < 500
    answer = browser.post(page.address(project.pk), {"q": "", "name": "x"})
    assert answer.status_code in (302, 400, 403, 404, 405)
    if answer.status_code == 302:  # back to the page, which says why not
        told = [str(message) for message in browser.get(answer["Location"]).context["messages"]]
        assert any("viewer" in text for text in told), told
    assert (AuditLog.objects.count(), BulkEdit.objects.count()) == (lines, edits)


@each(CLOSED)
def test_no_page_fails_whoever_opens_it(page, project):
    roles = (Role.CURATOR, Role.MANAGER) if page.of_project else (Role.CURATOR,)
    for role in roles:
        browser = browser_of(staff(project, role))
        for method in (browser.get, browser.post):
            assert method(page.address(project.pk)).status_code < 500


def test_no_row_of_a_project_is_opened_by_a_stranger(project, as_owner, tmp_path):
    world.build(project, as_owner, tmp_path)
    factories.make_line(project)
    browser, tried = browser_of(staff(None, None)), 0
    for model, what in OF_MODELS:
        page = admin.site._registry[model]
        path = page.project_path
        row = model._default_manager.filter(**{path or "pk": project.pk}).first()
        if row is None:
            continue
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=[row.pk])
        for method in (browser.get, browser.post):
            answer = method(address, {"post": "yes"})
            gone = answer.status_code in (403, 404, 405)
            assert gone or (answer.status_code == 302 and answer["Location"] == "/admin/"), address
            assert model._default_manager.filter(pk=row.pk).exists()
        tried += 1
    assert tried > 24


def test_lists_show_a_stranger_nothing(project, as_owner, tmp_path):
    world.build(project, as_owner, tmp_path)
    browser = browser_of(staff(None, None))
    for model in {model for model, _what in OF_MODELS}:
        page = admin.site._registry[model]
        request = browser.get("/admin/").wsgi_request
        assert not page.get_queryset(request).exists(), model
