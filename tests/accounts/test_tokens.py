"""What tokens are good for, and when they stop being that."""

import threading
import uuid
from datetime import timedelta

import jwt
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken

from accounts import services, tasks, tokens
from accounts.errors import Unauthorized
from accounts.models import RevokedSession
from tests import factories

ME, REFRESH, LOGOUT, PASSWORD = (f"/api/v1/auth/{name}" for name in ("me", "refresh", "logout", "password"))
KEY = django_settings.SIMPLE_JWT["SIGNING_KEY"]


@pytest.fixture
def user(db):
    return factories.make_user("ann@example.com")


@pytest.fixture
def pair(user):
    return tokens.issue(user)


def status(client, token: str, scheme: str = "Bearer") -> int:
    return client.get(ME, HTTP_AUTHORIZATION=f"{scheme} {token}").status_code


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def signed(payload: dict, key: str | None = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1_000_000_000},
        {"token_type": "refresh"},
        {"sub": "999999"},
        {"sub": "not a number"},
        {"sub": None},
        {"sid": "not a uuid"},
        {"sid": None},
        {"ver": 0},
        {"ver": "x"},
        {"ver": None},
    ],
)
def test_claims_that_are_not_in_order_get_401(pair, as_nobody, change):
    payload = {name: value for name, value in {**claims_of(pair.access), **change}.items() if value is not None}
    answer = as_nobody.get(ME, HTTP_AUTHORIZATION=f"Bearer {signed(payload)}")
    assert answer.status_code == 401
    assert set(answer.json()) == {"message"}
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_only_our_key_and_algorithm_count(pair, as_nobody):
    payload = claims_of(pair.access)
    assert status(as_nobody, signed(payload)) == 200
    assert status(as_nobody, signed(payload, "x" * 40)) == 401
    assert status(as_nobody, signed(payload, None, "none")) == 401
    assert status(as_nobody, signed(payload, KEY, "HS512")) == 401
    assert status(as_nobody, pair.access[:-4] + "AAAA") == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer a b", "Basic YTpi", "Bearer \xff\xfe", "x" * 5000])
def test_headers_that_hold_no_token_get_401(db, as_nobody, header):
    assert as_nobody.get(ME, HTTP_AUTHORIZATION=header).status_code == 401


def test_the_scheme_may_be_written_in_any_case(pair, as_nobody):
    assert status(as_nobody, pair.access, "bearer") == 200


def test_a_refresh_token_opens_nothing(pair, as_nobody):
    assert status(as_nobody, pair.refresh) == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b"])
def test_a_header_that_holds_no_token_is_refused_in_words(db, as_nobody, header):
    answer = as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert answer.json() == {"message": "The Authorization header must be the word Bearer, a space and a token."}


def test_an_access_token_cannot_be_traded(pair, as_nobody):
    assert as_nobody.post(REFRESH, {"refresh": pair.access}).status_code == 401


def test_authentication_costs_one_query(pair, as_nobody, django_assert_num_queries, user):
    with django_assert_num_queries(1):
        assert tokens.holder(AccessToken(pair.access)) == user


def test_the_database_holds_no_token_one_could_use(pair):
    assert OutstandingToken.objects.get().token == ""


# --- Rotation ---------------------------------------------------------------------------------------------------------


def test_a_refresh_token_can_be_traded_once(pair, as_nobody):
    first = as_nobody.post(REFRESH, {"refresh": pair.refresh})
    again = as_nobody.post(REFRESH, {"refresh": pair.refresh})
    assert (first.status_code, again.status_code) == (200, 401)
    assert status(as_nobody, first.json()["access"]) == 200
    assert as_nobody.post(REFRESH, {"refresh": first.json()["refresh"]}).status_code == 200


def test_rotation_keeps_the_session(pair):
    assert claims_of(tokens.rotate(pair.refresh).access)["sid"] == claims_of(pair.access)["sid"]


@pytest.mark.parametrize("refresh", ["", "x", "a.b.c", None, 5])
def test_junk_is_no_refresh_token(db, as_nobody, refresh):
    assert as_nobody.post(REFRESH, {"refresh": refresh}).status_code in (400, 401)


def test_a_refresh_token_we_do_not_know_is_refused(pair, as_nobody):
    OutstandingToken.objects.all().delete()
    assert as_nobody.post(REFRESH, {"refresh": pair.refresh}).status_code == 401


def test_an_expired_refresh_token_is_refused(pair, as_nobody):
    payload = {**claims_of(pair.refresh), "exp": 1_000_000_000}
    assert as_nobody.post(REFRESH, {"refresh": signed(payload)}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_many_clients_that_trade_one_token_at_once_one_wins():
    pair = tokens.issue(factories.make_user())
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def trade():
        try:
            start.wait()
            outcomes.append(tokens.rotate(pair.refresh).access)
        except Unauthorized:
            outcomes.append("")
        finally:
            connection.close()

    threads = [threading.Thread(target=trade) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    assert len([outcome for outcome in outcomes if outcome]) == 1
    assert OutstandingToken.objects.count() == 2


# --- The end of sessions ----------------------------------------------------------------------------------------------


def test_logout_ends_this_session_at_once_and_no_other(user, pair, as_nobody):
    other = tokens.issue(user)
    newer = tokens.rotate(pair.refresh)
    answer = as_nobody.post(LOGOUT, HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert answer.status_code == 204
    assert answer.content == b""
    assert status(as_nobody, pair.access) == 401
    assert status(as_nobody, newer.access) == 401
    assert as_nobody.post(REFRESH, {"refresh": newer.refresh}).status_code == 401
    assert status(as_nobody, other.access) == 200
    assert tasks.forget_expired_tokens() == 0, "it is known for as long as a token of it could be shown"
    assert status(as_nobody, pair.access) == 401


def test_logout_spends_the_refresh_token_it_is_given_and_ends_its_session(user, pair, as_nobody):
    other = tokens.issue(user)
    as_nobody.post(LOGOUT, {"refresh": other.refresh}, HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert BlacklistedToken.objects.count() == 1
    assert [status(as_nobody, each.access) for each in (pair, other)] == [401, 401]


def test_logout_does_nothing_to_somebody_elses_refresh_token(pair, as_nobody):
    other = tokens.issue(factories.make_user())
    answer = as_nobody.post(LOGOUT, {"refresh": other.refresh}, HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert answer.status_code == 204
    assert as_nobody.post(REFRESH, {"refresh": other.refresh}).status_code == 200


def test_logout_everywhere_ends_all_sessions_and_browsers(user, pair, as_nobody, client):
    other = tokens.issue(user)
    user.is_staff = True
    user.save()
    client.force_login(user)
    assert client.get("/admin/").status_code == 200
    as_nobody.post(LOGOUT, {"everywhere": True}, HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert status(as_nobody, other.access) == 401
    assert as_nobody.post(REFRESH, {"refresh": other.refresh}).status_code == 401
    assert client.get("/admin/").status_code == 302


def test_a_locked_or_deleted_user_is_out_at_once(user, pair, as_nobody):
    user.is_active = False
    user.save()
    assert status(as_nobody, pair.access) == 401
    assert as_nobody.post(REFRESH, {"refresh": pair.refresh}).status_code == 401
    user.delete()
    assert status(as_nobody, pair.access) == 401


def test_reactivation_does_not_revive_old_tokens(user, pair, admin, as_nobody):
    services.set_active(user=admin, target=user, active=False)
    services.set_active(user=admin, target=user, active=True)
    assert status(as_nobody, pair.access) == 401


# --- Passwords --------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(db):
    return factories.make_user("known@example.com", password=factories.PASSWORD)


def test_changing_the_password_needs_the_current_one(known, api):
    answer = api(known).post(PASSWORD, {"current_password": "wrong", "new_password": "another long phrase"})
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == {"current_password"}


@pytest.mark.parametrize("weak", ["short", "12345678901", "password123", "known@example.com"])
def test_a_weak_password_is_refused_with_reasons(known, api, weak):
    answer = api(known).post(PASSWORD, {"current_password": factories.PASSWORD, "new_password": weak})
    assert answer.status_code == 400
    assert answer.json()["fieldErrors"]["new_password"]


def test_a_new_password_ends_all_sessions_and_opens_a_new_one(known, api, as_nobody):
    old = tokens.issue(known)
    new = {"current_password": factories.PASSWORD, "new_password": "another long phrase"}
    answer = api(known).post(PASSWORD, new)
    assert answer.status_code == 200
    assert status(as_nobody, old.access) == 401
    assert as_nobody.post(REFRESH, {"refresh": old.refresh}).status_code == 401
    assert status(as_nobody, answer.json()["access"]) == 200
    credentials = {"email": known.email, "password": "another long phrase"}
    assert as_nobody.post("/api/v1/auth/login", credentials).status_code == 200


def test_spaces_around_a_password_are_part_of_it(known, api, as_nobody):
    api(known).post(PASSWORD, {"current_password": factories.PASSWORD, "new_password": "  padded phrase  "})
    stripped = {"email": known.email, "password": "padded phrase"}
    assert as_nobody.post("/api/v1/auth/login", stripped).status_code == 401


def test_guessing_the_current_password_is_throttled(known, api, monkeypatch):
    monkeypatch.setitem(services.throttling.api_settings.DEFAULT_THROTTLE_RATES, "login", "2/min")
    client = api(known)
    guess = {"current_password": "wrong", "new_password": "another long phrase"}
    assert [client.post(PASSWORD, guess).status_code for _ in range(3)] == [400, 400, 429]


# --- Housekeeping -----------------------------------------------------------------------------------------------------


def test_expired_tokens_and_sessions_are_forgotten_and_live_ones_kept(user, pair):
    expired = tokens.issue(user)
    OutstandingToken.objects.filter(jti=claims_of(expired.refresh)["jti"]).update(
        expires_at=timezone.now() - timedelta(hours=1)
    )
    past, future = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    RevokedSession.objects.create(sid=uuid.uuid4(), user=user, expires_at=past)
    kept = RevokedSession.objects.create(sid=uuid.uuid4(), user=user, expires_at=future)
    assert tasks.forget_expired_tokens() == 2
    assert OutstandingToken.objects.get().jti == claims_of(pair.refresh)["jti"]
    assert RevokedSession.objects.get() == kept
