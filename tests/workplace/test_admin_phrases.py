"""Korean pages speak Korean in what services, queries and files say too: sentences, codes, actions and states."""

import ast
import re
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from accounts.phrases import in_words
from annotations import problem_words, quality
from annotations.query import QueryError, parse
from assets.models import ImageAsset
from cocohub.templatetags import workplace
from cocohub.workplace import crontab_words, metric_words
from exports.models import CvatDifference, CvatTask
from projects import audit_words, faults
from projects.models import Role, Task
from projects.services import NAME_TAKEN
from tests import factories
from tests.workplace import sentences
from tests.workplace.browsing import browser_of, staff

ROOT = Path(settings.BASE_DIR)
APPS = ("accounts", "projects", "assets", "annotations", "insights", "exports")
HANGUL = re.compile("[가-힣]")
AUDITED = frozenset(action.partition(".")[0] for action in audit_words.ACTIONS)  # what may be acted on
TELLING = {"CocoFileError", "Problem", "Quarantine", "Unfit", "_note", "_tell", "append"}


def sources() -> list[Path]:
    """Modules whose words reach pages: not those of the API and the commands."""
    found = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py"))]
    return [path for path in found if not {"api", "management", "migrations"} & set(path.parts)]


def korean() -> dict[str, str]:
    return tomllib.loads((ROOT / "locale/ko/phrases.toml").read_text())


def test_every_sentence_of_a_refusal_has_korean():
    said = {
        text: path.name
        for path in sources()
        for text in sentences.said(path)
        if " " in text.strip() and re.search("[a-z]", text.replace("{}", ""))
    }
    assert len(said) > 200
    assert {text: where for text, where in said.items() if text not in korean()} == {}


def test_every_sentence_that_has_a_name_has_korean():
    said = {text: path.name for path in sources() for text in sentences.constants(path)}
    assert len(said) > 5
    assert {text: where for text, where in said.items() if text not in korean()} == {}
    with translation.override("ko"):
        told = in_words(f"The server's disk does not serve as it should (No such device). {faults._TELL}")
    assert told.endswith("고친 뒤 다시 시도할 수 있습니다.")


def test_times_are_written_as_korean_has_them():
    moment = datetime(2026, 11, 23, 17, 36)
    with translation.override("ko"):
        assert date_format(moment, "DATETIME_FORMAT") == "2026년 11월 23일 오후 5:36"
    with translation.override("en"):
        assert date_format(moment, "DATETIME_FORMAT") == "Nov. 23, 2026, 5:36 p.m."


def test_states_of_a_round_trip_are_korean():
    with translation.override("ko"):
        assert CvatDifference.Kind.CHANGED.label == "변경됨"
        assert CvatTask.Step.SENT.label == "CVAT에 있음"
        assert in_words("shape 778") == "도형 778"
        assert in_words("track 3 @ 7") == "트랙 3, 프레임 7"


def test_every_sentence_of_an_imports_report_has_korean():
    said = {
        text: path.name
        for path in sources()
        if path.is_relative_to(ROOT / "annotations")
        for text in sentences.said(path, sentences.PROBLEMS)
        if " " in text.strip() and re.search("[a-z]", text)
    }
    assert len(said) > 100
    assert {text: where for text, where in said.items() if text not in korean()} == {}


def test_the_report_of_an_import_is_read_in_korean():
    with translation.override("ko"):
        told = in_words("'image_id' is 9; no usable image of the file has this id.")
        assert told == "'image_id'가 9인데 파일에 이 id의 쓸 수 있는 이미지가 없습니다."
        assert in_words("Expected an object {...}.") == "객체 {...}여야 합니다."
        assert in_words("In the record, a string holds the NUL character.") == (
            "레코드에서 문자열에 NUL 문자가 있습니다."
        )


def test_korean_sentences_are_korean_and_keep_what_is_put_in():
    for text, translated in korean().items():
        assert HANGUL.search(translated), text
        holes = set(re.findall(r"(?<!{){([0-9]*)}", translated))
        assert holes == {str(number) for number in range(text.count("{}"))}, text


def test_every_action_of_the_trail_has_a_name():
    found = set()
    for path in [*sources(), *(ROOT / "cocohub").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("record", "record_account_event"):
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and re.fullmatch(r"[a-z]+\.[a-z_]+", str(part.value)):
                        found.add(part.value)
    found = {action for action in found if action.partition(".")[0] in AUDITED}
    assert len(found) > 40
    assert found - audit_words.ACTIONS.keys() == set()


def test_every_problem_and_issue_has_a_name():
    found = set(quality.IMAGE_FLAGS)
    for path in (ROOT / "annotations").rglob("*.py"):
        if {"api", "query", "migrations"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if name in TELLING and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    found = {code for code in found if isinstance(code, str) and re.fullmatch("[a-z]+(_[a-z]+)+", code)}
    assert len(found) > 60
    assert found - problem_words.CODES.keys() == set()


NAMES = {
    "actions": audit_words.ACTIONS,
    "problems": problem_words.CODES,
    "phases": workplace.PHASES,
    "states of images": dict(ImageAsset.Status.choices),
    "states of tasks": dict(Task.Status.choices),
    "kinds of tasks": dict(Task.Kind.choices),
    "roles": dict(Role.choices),
    "periodic tasks": {name: gettext_lazy(name) for name in settings.CELERY_BEAT_SCHEDULE},
}


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_every_name_is_korean_on_a_korean_page(kind):
    with translation.override("ko"):
        names = {code: str(name) for code, name in NAMES[kind].items()}
    assert {code: name for code, name in names.items() if not HANGUL.search(name)} == {}


@pytest.mark.parametrize(
    ("query", "korean_text"),
    [
        ("widht>3", "'widht' 필드가 없습니다(1번째 글자): width을(를) 찾으셨나요?"),
        ("tag:x (", "조건이 없습니다(8번째 글자)."),
        ("width>abc", "'abc'은(는) 숫자가 아닙니다(7번째 글자): 예: width:640..1280."),
    ],
    ids=["field", "condition", "number"],
)
def test_what_is_wrong_with_a_query_is_said_in_korean(query, korean_text):
    with pytest.raises(QueryError) as error:
        parse(query)
    with translation.override("en"):
        assert in_words(error.value.message) == error.value.message
    with translation.override("ko"):
        said = in_words(error.value.message)
    assert said == korean_text


def test_a_korean_page_tells_of_a_wrong_query_and_of_a_wrong_tag_in_korean(by_curator, project, images, work):
    headers = {"Accept-Language": "ko"}
    page = by_curator.get(work("images") + "?q=widht>3", headers=headers).content.decode()
    assert "필드가 없습니다" in page
    assert "there is no field" not in page
    form = {"ids": images["a"].pk, "add_tags": "x" * 101}
    said = by_curator.post(work("images/bulk"), form, headers=headers).json()
    assert said["message"] == "변경할 수 없습니다."
    assert HANGUL.search(said["fieldErrors"]["add_tags"][0])


def test_the_trail_and_the_facets_have_names(project, images, work):
    ImageAsset.objects.filter(project=project).update(issues=["size_odd"])
    client, headers = browser_of(staff(project, Role.MANAGER)), {"Accept-Language": "ko"}
    client.post(work(f"images/{images['a'].pk}/edit"), {"add_tags": "x"}, headers=headers)
    assert (
        "이미지 변경" in client.get(f"/admin/projects/auditlog/?project={project.pk}", headers=headers).content.decode()
    )
    assert "이상한 크기" in client.get(work("images/facets"), headers=headers).content.decode()
    page = client.get(work(f"images/{images['a'].pk}"), headers=headers).content.decode()
    assert 'title="size_odd">이상한 크기' in page


def test_periodic_tasks_are_listed_in_korean(admin):
    PeriodicTask.objects.create(
        name="forget expired tokens", task="accounts.tasks.x", interval=IntervalSchedule.objects.create(every=1)
    )
    client = browser_of(admin)
    page = client.get("/admin/django_celery_beat/periodictask/", headers={"Accept-Language": "ko"}).content.decode()
    assert "만료된 토큰 지우기" in page
    assert "forget expired tokens" not in page


@pytest.mark.parametrize(
    ("fields", "english", "korean"),
    [
        ({"minute": "17"}, "every hour, at minute 17 (UTC)", "매시 17분 (UTC)"),
        ({"minute": "3", "hour": "23"}, "every day at 23:03 (UTC)", "매일 23:03 (UTC)"),
        ({"minute": "*/5"}, "every 5 minutes (UTC)", "5분마다 (UTC)"),
        ({}, "every minute (UTC)", "매분 (UTC)"),
        (
            {"minute": "0", "hour": "8", "day_of_week": "0,1"},
            "Sunday, Monday at 08:00 (UTC)",
            "일요일, 월요일 08:00 (UTC)",
        ),
        (
            {"minute": "0", "hour": "8", "day_of_month": "1"},
            "At 08:00 AM, on day 1 of the month UTC",
            "0 8 1 * * (m/h/dM/MY/d) UTC",
        ),
        (
            {"minute": "0", "hour": "8", "day_of_week": "1-5"},
            "At 08:00 AM, only on Monday, Tuesday, Wednesday, Thursday, and Friday UTC",
            "0 8 * * 1-5 (m/h/dM/MY/d) UTC",
        ),
    ],
)
def test_crontabs_say_when_they_run(fields, english, korean):
    crontab = CrontabSchedule(timezone="UTC", **fields)
    for language, words in (("en", english), ("ko", korean)):
        with translation.override(language):
            assert crontab_words.in_words(crontab) == words


def test_crontabs_are_listed_and_shown_in_korean(admin):
    crontab = CrontabSchedule.objects.create(minute="17", timezone="UTC")
    task = PeriodicTask.objects.create(name="mine", task="accounts.tasks.x", crontab=crontab)
    client, korean = browser_of(admin), {"Accept-Language": "ko"}
    there = "/admin/django_celery_beat"
    for model, row in (("crontabschedule", crontab), ("periodictask", task)):
        for path in (f"{model}/", f"{model}/{row.pk}/change/"):
            page = client.get(f"{there}/{path}", headers=korean).content.decode()
            assert "매시 17분 (UTC)" in page, path
            for english in ("past the hour", "Human readable", "Scheduler", "One-off"):
                assert english not in page, path


def test_refusals_of_plain_forms_are_in_korean(owner, project):
    owner.is_staff = True
    owner.save()
    other = factories.make_project(owner, name="Another")
    client, korean = browser_of(owner), {"Accept-Language": "ko"}
    given = {"name": project.name, "description": "", "source": ""}
    answer = client.post(f"/admin/projects/project/{other.pk}/change/", given, headers=korean, follow=True)
    page = answer.content.decode()
    with translation.override("ko"):
        assert (said := in_words(NAME_TAKEN)) != NAME_TAKEN
    assert said in page
    assert NAME_TAKEN not in page


def test_charts_of_issues_name_them():
    with translation.override("ko"):
        assert metric_words.label("image_issues", "size_odd") == "이상한 크기"
        assert metric_words.label("tags", "size_odd") == "size_odd"  # a word of the data


def test_what_has_no_korean_is_shown_as_it_is():
    with translation.override("ko"):
        assert in_words("Nobody has said this before.") == "Nobody has said this before."
        assert in_words("") == ""


def test_the_api_speaks_as_it_did(as_curator, project):
    answer = as_curator.get(f"/api/v1/projects/{project.pk}/assets?q=widht>3", headers={"Accept-Language": "ko"})
    assert answer.status_code == 400
    assert "there is no field" in answer.json()["message"]
