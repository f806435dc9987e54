"""Opening a session: who may, what it answers, and how it refuses."""

import time

import pytest

from accounts import throttling
from accounts.models import User
from projects.models import AuditLog
from tests import factories

LOGIN = "/api/v1/auth/login"


@pytest.fixture
def user(db) -> User:
    return factories.make_user("ann@example.com", password=factories.PASSWORD, name="Ann")


def log_in(client, email="ann@example.com", password=factories.PASSWORD, **extra):
    return client.post(LOGIN, {"email": email, "password": password}, **extra)


def test_wrong_password_unknown_email_and_locked_account_get_the_same_answer(user, as_nobody):
    factories.make_user("locked@example.com", password=factories.PASSWORD, is_active=False)
    answers = [
        log_in(as_nobody, password="wrong"),
        log_in(as_nobody, email="nobody@example.com"),
        log_in(as_nobody, email="locked@example.com"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json() == {"message": "No active account has this email and password."}
    assert answers[0]["WWW-Authenticate"].startswith("Bearer")


def test_unknown_email_takes_as_long_as_a_wrong_password(user, as_nobody, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    user.set_password(factories.PASSWORD)
    user.save()

    def seconds(**given):
        start = time.process_time()  # of this process, whatever else the machine does
        log_in(as_nobody, **given)
        return time.process_time() - start

    seconds()  # the first request of a process loads what the others find
    known, unknown = seconds(password="wrong"), seconds(email="nobody@example.com", password="wrong")
    assert 0.4 < unknown / known < 2.5


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({}, {"email", "password"}),
        ({"email": "ann@example.com"}, {"password"}),
        ({"email": "ann@example.com", "password": "x" * 1025}, {"password"}),
        ({"email": "a" * 255, "password": "x"}, {"email"}),
        ({"email": "ann\0@example.com", "password": "x"}, {"email"}),
        ({"email": ["ann@example.com"], "password": {"a": 1}}, {"email", "password"}),
    ],
)
def test_bad_input_names_its_fields(db, as_nobody, body, at_fault):
    answer = as_nobody.post(LOGIN, body)
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == at_fault


def test_a_body_that_is_a_list_is_refused(db, as_nobody):
    answer = as_nobody.post(LOGIN, [1, 2])
    assert answer.status_code == 400
    assert "message" in answer.json()


def test_login_gives_tokens_that_work(user, as_nobody):
    answer = log_in(as_nobody)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access", "refresh", "user"}
    assert body["user"]["email"] == "ann@example.com"
    assert "password" not in body["user"]
    me = as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {body['access']}")
    assert me.json()["name"] == "Ann"


def test_the_email_may_be_typed_in_any_case(user, as_nobody):
    assert log_in(as_nobody, email="ANN@Example.Com").status_code == 200


def test_letters_that_only_meet_in_upper_case_are_different_emails(db, as_nobody):
    factories.make_user("i@example.com", password=factories.PASSWORD)
    factories.make_user("ı@example.com", password=factories.PASSWORD)
    assert log_in(as_nobody, email="I@example.com").json()["user"]["email"] == "i@example.com"


def test_no_cache_keeps_the_tokens(user, as_nobody):
    opened = log_in(as_nobody)
    traded = as_nobody.post("/api/v1/auth/refresh", {"refresh": opened.json()["refresh"]})
    assert (opened.status_code, traded.status_code) == (200, 200)
    assert opened["Cache-Control"] == traded["Cache-Control"] == "no-store"


def test_login_with_a_stale_token_in_the_header_works(user, as_nobody):
    assert log_in(as_nobody, HTTP_AUTHORIZATION="Bearer stale").status_code == 200


def test_login_sets_last_login_and_leaves_an_audit_line(user, as_nobody):
    log_in(as_nobody, HTTP_X_REQUEST_ID="req-1")
    user.refresh_from_db()
    assert user.last_login is not None
    line = AuditLog.objects.get(action="auth.login")
    assert (line.user, line.actor, line.door, line.request_id) == (user, "ann@example.com", "api", "req-1")


def test_a_failed_login_leaves_an_audit_line_without_the_password(user, as_nobody):
    log_in(as_nobody, password="wrong-secret")
    line = AuditLog.objects.get(action="auth.login_failed")
    assert (line.user, line.actor) == (None, "ann@example.com")
    assert "wrong-secret" not in str(line.detail)


def test_a_burst_for_one_email_is_refused_from_everywhere(user, as_nobody, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login", "3/min")
    for number in range(3):
        assert log_in(as_nobody, password="wrong", REMOTE_ADDR=f"10.0.0.{number}").status_code == 401
    answer = log_in(as_nobody, REMOTE_ADDR="10.0.0.9")
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert answer.json()["detail"]["retryAfter"] == int(answer["Retry-After"])


def test_a_burst_from_one_address_is_refused_for_every_email(user, as_nobody, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login", "3/min")
    for number in range(3):
        log_in(as_nobody, email=f"u{number}@example.com")
    assert log_in(as_nobody).status_code == 429
    assert log_in(as_nobody, REMOTE_ADDR="10.0.0.2").status_code == 200


def test_a_forged_forwarding_header_does_not_change_the_address(user, as_nobody, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login", "2/min")
    answers = [
        log_in(as_nobody, email=f"u{number}@example.com", HTTP_X_FORWARDED_FOR=f"10.1.1.{number}")
        for number in range(3)
    ]
    assert answers[-1].status_code == 429


def test_people_can_log_in_while_the_cache_is_down(user, as_nobody, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }
    assert log_in(as_nobody).status_code == 200


def test_the_admin_page_is_throttled_and_audited_like_the_api(client, db, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login", "2/min")
    factories.make_user("staff@example.com", password=factories.PASSWORD, is_staff=True)
    credentials = {"username": "staff@example.com", "password": factories.PASSWORD}
    for _ in range(2):
        assert client.post("/admin/login/", {**credentials, "password": "wrong"}).status_code == 200
    refused = client.post("/admin/login/", credentials)
    assert refused.status_code == 200
    assert "Too many tries" in refused.content.decode()
    assert AuditLog.objects.filter(action="auth.login_failed", door="admin").count() == 2
