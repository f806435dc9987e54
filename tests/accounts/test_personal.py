"""Personal tokens: made and shown once, checked for scope and age at every call, ended at once."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import context, personal, services, tasks, throttling
from accounts.models import PersonalToken
from projects.models import AuditLog, Role
from tests import factories
from tests.projects.test_access_matrix import CLOSED, UNSAFE, call
from tests.workplace.browsing import browser_of, staff

TOKENS, ME, PROJECTS = "/api/v1/auth/tokens", "/api/v1/auth/me", "/api/v1/projects"
RATES = throttling.api_settings.DEFAULT_THROTTLE_RATES


def script(user, scope="read", **more) -> APIClient:
    """A client with a personal token of the user; `client.row` is its row."""
    row, secret = personal.create(user=user, name=f"{scope} {user.personal_tokens.count()}", scopes=[scope], **more)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    client.row = row
    return client


def test_a_token_is_shown_once_and_stored_as_a_hash(as_curator, curator):
    answer = as_curator.post(TOKENS, {"name": "nightly import", "scopes": ["write"], "days": 7})
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    secret = made.pop("token")
    assert secret.startswith("cocohub_pat_")
    assert len(secret) == len("cocohub_pat_") + 64
    row = PersonalToken.objects.get()
    stored = json.dumps([str(value) for value in PersonalToken.objects.values().get().values()])
    assert secret not in stored
    assert bytes(row.digest) == personal.digest(secret)
    assert 6.9 < (row.expires_at - timezone.now()) / timedelta(days=1) < 7
    assert as_curator.get(TOKENS).json()["results"] == [made]
    line = AuditLog.objects.get(action="token.created")
    assert (line.user, line.detail["name"], secret in json.dumps(line.detail)) == (curator, "nightly import", False)


def test_a_script_works_with_it_and_leaves_its_name_in_the_trail(curator, project):
    client = script(curator, "write")
    assert client.get(ME).json()["email"] == curator.email
    made = client.post(f"{PROJECTS}/{project.pk}/categories", {"name": "car"})
    assert made.status_code == 201
    line = AuditLog.objects.get(action="category.created")
    assert (line.user, line.detail["token"], line.door) == (curator, client.row.name, "api")
    assert context.token.get() == ""


def test_when_it_was_last_used_is_written_once_a_minute(curator):
    client = script(curator)
    with CaptureQueriesContext(connection) as first:
        client.get(ME)
    client.row.refresh_from_db()
    used = client.row.last_used_at
    assert used is not None
    with CaptureQueriesContext(connection) as second:
        client.get(ME)
    client.row.refresh_from_db()
    assert client.row.last_used_at == used
    assert len(second) == len(first) - 1


@pytest.mark.parametrize("scope", ["read", "write", "manage"])
def test_scopes_include_the_ones_before(owner, project, scope):
    client = script(owner, scope)
    allowed = ["read", "write", "manage"].index(scope)
    calls = [
        client.get(f"{PROJECTS}/{project.pk}"),
        client.patch(f"{PROJECTS}/{project.pk}", {"source": "x"}),
        client.post(f"{PROJECTS}/{project.pk}/members", {"email": factories.make_user().email, "role": "viewer"}),
        client.post(TOKENS, {"name": "another", "scopes": ["read"]}),
    ]
    assert [answer.status_code // 100 for answer in calls] == [2 if n <= allowed else 4 for n in range(4)]
    assert {answer.status_code for answer in calls[allowed + 1 :]} == {403}


def test_lacking_scope_says_which_in_the_usual_shape(curator, project):
    answer = script(curator).post(f"{PROJECTS}/{project.pk}/categories", {"name": "car"})
    assert answer.status_code == 403
    assert answer.json() == {
        "message": "This needs a token with the scope 'write'; yours has read.",
        "detail": {"scopes": ["read"], "needed": "write"},
    }


READING_POSTS = {"task-ticket"}  # opens a stream that only reads
# By their own permission: the door of CVAT, and what asks for other proof.
CHANGES = [route for route in CLOSED if route.method in UNSAFE and route.name not in READING_POSTS]


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: f"{route.method.upper()} {route.template}")
def test_a_reading_token_changes_nothing_anywhere(route, admin, project):
    assert call(script(admin), route, project_pk=project.pk).status_code == 403


def test_a_token_never_goes_beyond_its_users_roles(viewer, stranger, project):
    path = f"{PROJECTS}/{project.pk}"
    assert script(viewer, "manage").post(f"{path}/categories", {"name": "car"}).status_code == 403
    assert script(stranger, "manage").get(path).status_code == 404


@pytest.mark.parametrize("way", ["revoked", "locked out", "new password", "everywhere", "expired", "deleted user"])
def test_an_ended_token_opens_nothing(way, curator, admin, as_curator):
    client = script(curator)
    assert client.get(ME).status_code == 200
    match way:
        case "revoked":
            assert as_curator.delete(f"{TOKENS}/{client.row.pk}").status_code == 204
            assert AuditLog.objects.get(action="token.revoked").detail["name"] == client.row.name
        case "locked out":
            services.set_active(user=admin, target=curator, active=False)
        case "new password":
            services.set_own_password(user=curator, new="another long one 42")
        case "everywhere":
            as_curator.post("/api/v1/auth/logout", {"everywhere": True})
        case "expired":
            PersonalToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "deleted user":
            services.delete_user(user=admin, target=curator)
    answer = client.get(ME)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["message"]


def test_locking_out_and_letting_in_again_does_not_bring_tokens_back(curator, admin):
    client = script(curator)
    services.set_active(user=admin, target=curator, active=False)
    services.set_active(user=admin, target=curator, active=True)
    assert client.get(ME).status_code == 401
    assert PersonalToken.objects.get().works is False


def test_a_ticket_that_was_opened_with_a_token_ends_with_it(curator, project, as_nobody):
    client = script(curator)
    task = factories.make_task(project)
    ticket = client.post(f"/api/v1/tasks/{task.pk}/ticket")
    assert ticket.status_code == 201
    personal.revoke(user=curator, pk=client.row.pk)
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}/events", {"ticket": ticket.json()["ticket"]}).status_code == 401


@pytest.mark.parametrize("junk", ["cocohub_pat_", "cocohub_pat_" + "0" * 64, "cocohub_pat_\xff", "cocohub_pat_é"])
def test_made_up_tokens_are_401(junk, db, as_nobody):
    as_nobody.credentials(HTTP_AUTHORIZATION=f"Bearer {junk}")
    assert as_nobody.get(ME).status_code == 401


def test_nobody_sees_or_revokes_somebody_elses(curator, as_owner):
    client = script(curator)
    assert as_owner.get(TOKENS).json()["results"] == []
    assert as_owner.delete(f"{TOKENS}/{client.row.pk}").status_code == 404
    assert client.get(ME).status_code == 200


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes.0"),
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
    ],
    ids=str,
)
def test_what_will_not_do_is_named(as_curator, given, field):
    answer = as_curator.post(TOKENS, {"name": "n", "scopes": ["read"], "days": 1, **given})
    assert answer.status_code == 400
    assert field in answer.json()["fieldErrors"]
    assert not PersonalToken.objects.exists()


def test_names_are_ones_own_and_their_number_has_an_end(as_curator, curator, owner, monkeypatch):
    monkeypatch.setattr(personal, "MAX_TOKENS", 2)
    new = {"name": "A", "scopes": ["read"]}
    personal.create(user=owner, **new)
    assert as_curator.post(TOKENS, new).status_code == 201
    assert as_curator.post(TOKENS, {**new, "name": "a"}).status_code == 409
    assert as_curator.post(TOKENS, {**new, "name": "b"}).status_code == 201
    assert as_curator.post(TOKENS, {**new, "name": "c"}).status_code == 409


def test_making_many_is_limited(as_curator, monkeypatch):
    monkeypatch.setitem(RATES, "new-tokens", "2/h")
    seen = [as_curator.post(TOKENS, {"name": str(n), "scopes": ["read"]}).status_code for n in range(3)]
    assert seen == [201, 201, 429]


def test_each_token_has_a_limit_of_its_own_and_the_answers_tell_of_it(curator, as_curator, monkeypatch):
    monkeypatch.setitem(RATES, "token", "3/min")
    one, other = script(curator), script(curator)
    answers = [one.get(ME) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in answers} == {"3"}
    assert answers[-1]["Retry-After"] == answers[-1]["RateLimit-Reset"]
    assert answers[-1]["Retry-After"] == "30"
    assert other.get(ME).status_code == as_curator.get(ME).status_code == 200


def test_calls_without_a_user_tell_of_the_addresss_limit(as_nobody, db, monkeypatch):
    monkeypatch.setitem(RATES, "address", "100/min")
    answer = as_nobody.post("/api/v1/auth/login", {"email": "a@example.com", "password": "x"})
    assert (answer.status_code, answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == (401, "100", "99")
    monkeypatch.setitem(RATES, "address", "0")
    answer = as_nobody.post("/api/v1/auth/login", {"email": "a@example.com", "password": "x"})
    assert "RateLimit-Limit" not in answer


def test_what_ran_out_long_ago_is_forgotten(curator):
    long_ago, lately, fresh = script(curator).row, script(curator).row, script(curator).row
    now = timezone.now()
    for row, days in ((long_ago, 31), (lately, 29)):
        PersonalToken.objects.filter(pk=row.pk).update(expires_at=now - timedelta(days=days))
    tasks.forget_expired_tokens()
    assert set(PersonalToken.objects.values_list("pk", flat=True)) == {lately.pk, fresh.pk}


# --- By command and in the workplace ----------------------------------------------------------------------------------


def test_the_command_prints_a_token_that_works(curator, as_nobody):
    out = io.StringIO()
    call_command("create_token", curator.email, "--name", "ci", "--scope", "write", "--json", stdout=out)
    made = json.loads(out.getvalue())
    as_nobody.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    assert as_nobody.get(ME).json()["email"] == curator.email
    assert made["scopes"] == ["write"]
    assert AuditLog.objects.get(action="token.created").door == "command"


def test_the_command_says_what_is_wrong(curator, admin):
    with pytest.raises(CommandError, match="There is no user"):
        call_command("create_token", "nobody@example.com", "--name", "ci")
    services.set_active(user=admin, target=curator, active=False)
    with pytest.raises(CommandError, match="locked out"):
        call_command("create_token", curator.email, "--name", "ci")


def test_the_workplace_shows_a_new_token_once_and_revokes_it(project, as_nobody):
    user = staff(project, Role.VIEWER)
    browser = browser_of(user)
    page = browser.post("/admin/work/tokens", {"name": "<b>ci</b>", "scopes": ["read"], "days": "5"})
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert "<b>ci</b>" not in page.content.decode()
    again = browser.get("/admin/work/tokens")
    assert secret not in again.content.decode()
    as_nobody.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert as_nobody.get(ME).status_code == 200
    row = PersonalToken.objects.get()
    assert browser.get(f"/admin/work/tokens/{row.pk}/revoke").status_code == 405
    assert browser.post(f"/admin/work/tokens/{row.pk}/revoke").status_code == 302
    assert as_nobody.get(ME).status_code == 401


@pytest.mark.parametrize("given", [{"name": ""}, {"scopes": ["all"]}, {"days": "x"}, {"days": "99999"}], ids=str)
def test_the_workplace_says_what_will_not_do(project, given):
    browser = browser_of(staff(project, Role.VIEWER))
    page = browser.post("/admin/work/tokens", {"name": "n", "scopes": ["read"], **given})
    assert page.status_code == 400
    assert page.context["refusal"] in page.content.decode().replace("&#x27;", "'")
    assert not PersonalToken.objects.exists()


def test_the_workplace_leaves_others_tokens_alone(project, owner):
    row = script(owner).row
    browser = browser_of(staff(project, Role.MANAGER))
    assert row.name not in browser.get("/admin/work/tokens").content.decode()
    browser.post(f"/admin/work/tokens/{row.pk}/revoke")
    assert PersonalToken.objects.filter(pk=row.pk).exists()


def test_the_page_speaks_korean_and_is_linked_from_the_account(project):
    browser = browser_of(staff(project, Role.VIEWER))
    browser.cookies["django_language"] = "ko"
    page = browser.get("/admin/work/tokens").content.decode()
    assert "개인 토큰" in page
    assert 'href="/admin/work/tokens"' in browser.get("/admin/").content.decode()
