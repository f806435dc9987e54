"""Limits: how often who may try what, from where, and what the refusal says."""

import io
from unittest import mock

import pytest
from django.core.management import call_command
from django.test import RequestFactory

from accounts import throttling, tokens
from accounts.addresses import address_of
from accounts.models import User
from projects.models import AuditLog, Membership, Role
from tests import factories

WRONG = "wrong"
LOGIN = "/api/v1/auth/login"
RATES = throttling.api_settings.DEFAULT_THROTTLE_RATES


@pytest.fixture
def rates(monkeypatch):
    """`rates(login="3/min")` sets rates for this test."""
    return lambda **given: [monkeypatch.setitem(RATES, name.replace("_", "-"), rate) for name, rate in given.items()]


@pytest.fixture
def user(db) -> User:
    return factories.make_user("ann@example.com", password=factories.PASSWORD, is_staff=True)


def log_in(client, address, password=WRONG, email="ann@example.com"):
    return client.post(LOGIN, {"email": email, "password": password}, REMOTE_ADDR=address)


# --- Whose address it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "client"),
    [
        ([], "10.0.0.1", "1.2.3.4", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, 10.0.0.2", "10.0.0.2"),
        (["10.0.0.0/8"], "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        (["10.0.0.0/8"], "10.0.0.1", "", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4:4711", "1.2.3.4"),
        (["fd00::/8"], "fd00::1", "[2001:db8::5]:80", "2001:db8::5"),
        (["unix"], "", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "", "1.2.3.4", "unix"),
        (["10.0.0.0/8"], "10.0.0.1", "rubbish, <script>", "<script>"),
    ],
    ids=str,
)
def test_forwarding_is_believed_of_trusted_proxies_only(settings, proxies, remote, forwarded, client):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)) == client


def test_clients_behind_a_trusted_proxy_are_told_apart(user, as_nobody, rates, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    rates(login="2/min")

    def status(client: str, email: str) -> int:
        body = {"email": email, "password": "wrong"}
        return as_nobody.post(LOGIN, body, HTTP_X_FORWARDED_FOR=client).status_code

    assert [status("1.1.1.1", f"{number}@example.com") for number in range(3)] == [401, 401, 429]
    assert status("2.2.2.2", "4@example.com") == 401


def test_the_addresses_of_one_ipv6_network_are_one_client(user, as_nobody, rates):
    rates(login="2/min")
    seen = [log_in(as_nobody, f"2001:db8::{n}", email=f"{n}@example.com").status_code for n in range(1, 4)]
    assert seen == [401, 401, 429]
    assert log_in(as_nobody, "2001:db8:0:1::1", email="4@example.com").status_code == 401


# --- Wrong passwords --------------------------------------------------------------------------------------------------


def test_after_many_failures_even_the_right_password_is_not_looked_at(user, as_nobody, rates):
    rates(login="0", login_failures="3/h")
    for number in range(3):
        assert log_in(as_nobody, f"10.0.0.{number}").status_code == 401
    refused = log_in(as_nobody, "10.0.0.9", factories.PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 3600


def test_an_address_that_failed_often_is_refused_for_every_email(user, as_nobody, rates):
    rates(login="0", login_failures="3/h")
    for number in range(3):
        log_in(as_nobody, "10.0.0.1", email=f"u{number}@example.com")
    assert log_in(as_nobody, "10.0.0.1", factories.PASSWORD).status_code == 429
    assert log_in(as_nobody, "10.0.0.2", factories.PASSWORD).status_code == 200


def test_nobody_can_lock_the_owner_out_from_elsewhere(user, as_nobody, rates):
    assert log_in(as_nobody, "10.0.0.1", factories.PASSWORD).status_code == 200
    rates(login="0", login_failures="3/h")
    for number in range(5):
        log_in(as_nobody, f"10.6.6.{number}")
    assert log_in(as_nobody, "10.6.6.9", factories.PASSWORD).status_code == 429
    assert log_in(as_nobody, "10.0.0.1", factories.PASSWORD).status_code == 200


def test_an_unknown_email_is_limited_just_as_a_known_one(user, as_nobody, rates):
    rates(login="0", login_failures="3/h")
    answers = {
        email: [log_in(as_nobody, f"10.{net}.0.{number}", email=email) for number in range(5)]
        for net, email in enumerate(("ann@example.com", "nobody@example.com"))
    }
    known, unknown = ([answer.status_code for answer in found] for found in answers.values())
    assert known == unknown == [401, 401, 401, 429, 429]


@pytest.mark.parametrize("letter", ["I", "\u0130"], ids=["capital", "capital with a dot"])
def test_one_email_has_one_limit_however_it_is_spelt(as_nobody, db, rates, letter):
    factories.make_user("vivian@example.com", password=factories.PASSWORD)
    rates(login="0", login_failures="2/h")
    for number, email in enumerate((f"v{letter}vian@example.com", f"viv{letter}an@example.com")):
        assert log_in(as_nobody, f"10.0.0.{number}", email=email).status_code == 401
    assert log_in(as_nobody, "10.0.0.9", factories.PASSWORD, email="vivian@example.com").status_code == 429


def test_the_admins_door_counts_with_the_apis(user, as_nobody, client, rates):
    rates(login="0", login_failures="3/h")
    for number in range(3):
        log_in(as_nobody, f"10.0.0.{number}")
    form = {"username": "ann@example.com", "password": factories.PASSWORD}
    assert "Too many tries" in client.post("/admin/login/", form).content.decode()
    assert "_auth_user_id" not in client.session


def test_a_failure_says_in_the_trail_where_it_came_from(user, as_nobody):
    log_in(as_nobody, "10.0.0.7")
    assert AuditLog.objects.get(action="auth.login_failed").detail == {"address": "10.0.0.7"}


def test_with_the_cache_down_there_are_limits_still(user, as_nobody, rates, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }
    rates(login="0", login_failures="3/h")
    assert [log_in(as_nobody, "10.0.0.1").status_code for _ in range(4)] == [401, 401, 401, 429]


# --- Calls ------------------------------------------------------------------------------------------------------------


def test_calls_are_limited_per_user_and_say_when_to_come_back(as_owner, as_stranger, rates):
    rates(user="2/min")
    assert [as_owner.get("/api/v1/projects").status_code for _ in range(3)] == [200, 200, 429]
    refused = as_owner.get("/api/v1/auth/me")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused.json()["detail"] == {"retryAfter": int(refused["Retry-After"])}
    assert as_stranger.get("/api/v1/projects").status_code == 200


def test_calls_without_a_user_are_limited_per_address(as_nobody, db, rates):
    rates(address="2/min")
    seen = [as_nobody.post("/api/v1/auth/refresh", {"refresh": "x"}).status_code for _ in range(3)]
    assert seen == [401, 401, 429]
    assert as_nobody.get("/api/v1/schema").status_code == 429
    assert as_nobody.get("/api/v1/schema", REMOTE_ADDR="10.0.0.2").status_code == 200


def test_probes_are_never_limited(as_nobody, db, rates):
    rates(address="1/min")
    assert {as_nobody.get("/api/v1/health/live").status_code for _ in range(4)} == {200}


def test_counting_a_call_asks_no_database(as_owner, django_assert_num_queries):
    as_owner.get("/api/v1/auth/me")
    with django_assert_num_queries(2):  # the user, and the roles that are told
        as_owner.get("/api/v1/auth/me")


# --- Who is there is not found out by asking --------------------------------------------------------------------------


def test_emails_of_nobody_are_tried_a_few_times_only(project, as_manager, as_owner, rates):
    rates(member_misses="3/h")
    factories.make_user("new@example.com")
    factories.make_user("locked@example.com", is_active=False)
    members = f"/api/v1/projects/{project.pk}/members"
    emails = ("a@example.com", "locked@example.com", "b@example.com")
    answers = [as_manager.post(members, {"email": email, "role": "viewer"}) for email in emails]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    texts = {answer.json()["message"].replace(email, "E") for answer, email in zip(answers, emails, strict=True)}
    assert len(texts) == 1
    refused = as_manager.post(members, {"email": "new@example.com", "role": "viewer"})
    assert (refused.status_code, "Retry-After" in refused) == (429, True)
    assert not Membership.objects.filter(user__email="new@example.com").exists()
    assert as_owner.post(members, {"email": "new@example.com", "role": "viewer"}).status_code == 201


# --- What ends sessions -----------------------------------------------------------------------------------------------


def test_a_password_changed_in_the_admin_ends_all_tokens_but_not_this_browser(user, client, as_nobody):
    pair = tokens.issue(user)
    client.force_login(user)
    form = {"old_password": factories.PASSWORD, "new_password1": "another long phrase"}
    answer = client.post("/admin/password_change/", {**form, "new_password2": "another long phrase"})
    assert answer.status_code == 302
    assert as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}").status_code == 401
    assert as_nobody.post("/api/v1/auth/refresh", {"refresh": pair.refresh}).status_code == 401
    assert client.get("/admin/").status_code == 200
    assert AuditLog.objects.get(action="auth.password_changed").door == "admin"


def test_the_old_password_cannot_be_guessed_in_an_open_browser(user, client, rates):
    rates(login="2/min")
    client.force_login(user)
    form = {"new_password1": "another long phrase", "new_password2": "another long phrase"}
    for _ in range(2):
        client.post("/admin/password_change/", {**form, "old_password": "wrong"})
    page = client.post("/admin/password_change/", {**form, "old_password": factories.PASSWORD})
    assert "Too many tries" in page.content.decode()
    user.refresh_from_db()
    assert user.check_password(factories.PASSWORD)


def test_wrong_guesses_of_ones_own_password_count_as_failures_at_both_doors(user, client, as_nobody, rates):
    rates(login="0", login_failures="2/h")
    access = tokens.issue(user).access
    client.force_login(user)
    form = {"new_password1": "another long phrase", "new_password2": "another long phrase"}

    def guess(current):
        body = {"current_password": current, "new_password": "another long phrase"}
        return as_nobody.post("/api/v1/auth/password", body, HTTP_AUTHORIZATION=f"Bearer {access}")

    assert guess(WRONG).status_code == 400
    client.post("/admin/password_change/", {**form, "old_password": WRONG})
    refused = guess(factories.PASSWORD)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) >= 1
    page = client.post("/admin/password_change/", {**form, "old_password": factories.PASSWORD})
    assert "Too many tries" in page.content.decode()
    user.refresh_from_db()
    assert user.check_password(factories.PASSWORD)


def test_a_password_given_by_command_ends_all_tokens(user, as_nobody):
    pair = tokens.issue(user)
    with mock.patch("getpass.getpass", return_value="another long phrase"):
        call_command("changepassword", user.email, stdout=io.StringIO())
    assert as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}").status_code == 401
    assert AuditLog.objects.get(action="user.password_set").door == "command"


def test_a_role_taken_away_counts_for_live_tokens(project, as_curator, curator):
    address = f"/api/v1/projects/{project.pk}/categories"
    assert as_curator.post(address, {"name": "cat"}).status_code == 201
    Membership.objects.filter(user=curator).update(role=Role.VIEWER)
    assert as_curator.post(address, {"name": "dog"}).status_code == 403
    Membership.objects.filter(user=curator).delete()
    assert as_curator.get(address).status_code == 404


def test_admin_rights_taken_away_count_for_live_tokens(as_admin, admin, project):
    assert as_admin.get("/api/v1/users").status_code == 200
    User.objects.filter(pk=admin.pk).update(is_superuser=False)
    assert as_admin.get("/api/v1/users").status_code == 403
    assert as_admin.get(f"/api/v1/projects/{project.pk}").status_code == 404


# --- Counting many ----------------------------------------------------------------------------------------------------


def test_great_limits_are_told_to_the_cache_some_at_a_time(rates):
    rates(user="1000/min")
    with mock.patch.object(throttling, "_do", side_effect=throttling._do) as asked:
        left = [throttling.check("user", user="7").left for _ in range(500)]

    assert left == list(range(999, 499, -1))
    assert asked.call_count <= 55


def test_a_great_limit_holds_over_several_processes(rates):
    processes = [throttling._Gathered() for _ in range(3)]
    counts = [process.count("tries:many", 60, 10) for _ in range(100) for process in processes]

    assert 300 - 3 * 10 <= counts[-1] <= 300
    assert counts[299] > 100, "each process knows of the others"


def test_a_small_limit_holds_to_the_last_call_over_several_processes(rates):
    processes = [throttling._Gathered() for _ in range(3)]
    counts = [process.count("tries:few", 60, 0) for _ in range(10) for process in processes]

    assert counts == list(range(1, 31))


def test_what_was_not_told_yet_is_told_within_a_second(rates):
    one, other = throttling._Gathered(), throttling._Gathered()
    with mock.patch.object(throttling.time, "monotonic", return_value=1_000.0) as clock:
        [one.count("tries:slow", 60, 100) for _ in range(5)]
        clock.return_value += throttling.TOLD_EVERY
        assert one.count("tries:slow", 60, 100) == 6
        assert other.count("tries:slow", 60, 100) == 7
