"""Pages that tell of an error: in our look, in both languages, with a way home, and with no secret in them."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from cocohub import errors
from projects.models import Role
from tests import factories
from tests.workplace.browsing import browser_of, staff

LANGUAGES = ["en", "ko"]
WORDS = {
    404: ("There is nothing here", "여기에는 아무것도 없습니다"),
    403: ("You may not do this", "이 작업을 할 권한이 없습니다"),
    500: ("Something went wrong on our side", "서버에서 문제가 생겼습니다"),
    "csrf": ("This page is too old", "오래된 페이지입니다"),
    400: ("This request cannot be answered", "이 요청에는 답할 수 없습니다"),
}


def looks_like_ours(answer, kind, language) -> None:
    text = answer.content.decode()
    assert f"<h1>{WORDS[kind][LANGUAGES.index(language)]}</h1>" in text
    assert f'<html lang="{language}">' in text
    assert f'href="{reverse("admin:index")}"' in text
    assert "workplace/fault.css" in text
    assert "style-src 'self'" in answer["Content-Security-Policy"]
    assert "script-src" not in answer["Content-Security-Policy"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_there_is_not(by_curator, project, work, language):
    for address in ("/nothing", "/admin/work/1/nothing", work("images/999999")):
        answer = by_curator.get(address, headers={"Accept-Language": language})
        assert answer.status_code == 404
        looks_like_ours(answer, 404, language)


def test_a_strangers_project_and_none_at_all_read_the_same(project, images, jobs, work):
    client = browser_of(staff(factories.make_project(), Role.MANAGER))
    paths = ["images", f"images/{images['a'].pk}", "insights", "categories", f"exports/{jobs[1].pk}"]
    for path in paths:
        theirs, none = client.get(work(path)), client.get(work(path).replace(f"/{project.pk}/", "/987654/", 1))
        assert (theirs.status_code, none.status_code) == (404, 404)
        assert theirs.content == none.content
        assert project.name not in theirs.content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_role_does_not_allow(project, images, work, language):
    client = browser_of(staff(project, Role.VIEWER))
    edit = work(f"images/{images['a'].pk}/edit")
    answer = client.post(edit, {"add_tags": "x"}, headers={"Accept-Language": language})
    assert answer.status_code == 403
    looks_like_ours(answer, 403, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_form_without_its_token(project, work, language):
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff(project, Role.CURATOR))
    answer = client.post(work("categories"), {"name": "x"}, headers={"Accept-Language": language})
    assert answer.status_code == 403
    looks_like_ours(answer, "csrf", language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bug_is_told_with_the_number_of_the_request(project, work, monkeypatch, language):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the works")

    monkeypatch.setattr("cocohub.workplace.categories.reading.read", broken)
    client = browser_of(staff(project, Role.CURATOR))
    client.raise_request_exception = False
    answer = client.get(work("categories"), headers={"Accept-Language": language})
    assert answer.status_code == 500
    looks_like_ours(answer, 500, language)
    assert re.search(r"<code>[0-9a-f]{32}</code>", answer.content.decode())
    assert "secret" not in answer.content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_form_with_too_many_fields(project, work, settings, language):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3
    client = browser_of(staff(project, Role.CURATOR))
    form = {f"n{number}": "x" for number in range(9)}
    answer = client.post(work("categories"), form, headers={"Accept-Language": language})
    assert answer.status_code in (400, 413)
    looks_like_ours(answer, 400, language)


def test_a_page_of_an_error_that_cannot_be_made_is_still_an_answer(rf, monkeypatch):
    monkeypatch.setattr(errors, "render_to_string", lambda *_: 1 / 0)
    answer = errors.server_error(rf.get("/admin/"))
    assert (answer.status_code, answer.content) == (500, b"500 Internal Server Error")
