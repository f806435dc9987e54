"""The second factor: set up by a QR code, asked for at every door that takes a password, and not to be got round."""

import base64
import re
import time

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.test import Client

from accounts import second_factor, throttling, tokens
from accounts.errors import Conflict, Forbidden
from accounts.models import SecondFactor, User
from projects.models import AuditLog
from tests import factories

LOGIN, PAGE = "/api/v1/auth/login", "/admin/work/second-factor"


class Phone:
    """An authenticator app that has been given a secret; `ahead` half minutes from now, to codes that were not used."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.totp = TOTP(base64.b32decode(secret), 6, SHA1(), 30)  # noqa: S303 - as apps do

    def code(self, ahead: int = 0) -> str:
        return self.totp.generate(time.time() + 30 * ahead).decode()


@pytest.fixture
def user(db) -> User:
    return factories.make_user("ann@example.com", password=factories.PASSWORD, is_staff=True)


@pytest.fixture
def phone(user) -> Phone:
    second_factor.begin(user)
    app = Phone(second_factor.secret_of(user))
    app.recovery = second_factor.confirm(user, app.code(-1))
    return app


def log_in(client, **more):
    return client.post(LOGIN, {"email": "ann@example.com", "password": factories.PASSWORD, **more})


def enter(browser, code=""):
    return browser.post("/admin/login/", {"username": "ann@example.com", "password": factories.PASSWORD, "code": code})


def test_the_api_asks_for_a_code_once_the_password_is_right(user, phone, as_nobody):
    asked = log_in(as_nobody)
    assert (asked.status_code, asked.json()["detail"]) == (401, {"secondFactor": "needed"})
    wrong = log_in(as_nobody, code="000000")
    assert (wrong.status_code, wrong.json()["detail"]) == (401, {"secondFactor": "wrong"})
    assert log_in(as_nobody, code=phone.code()).status_code == 200


def test_who_does_not_know_the_password_does_not_learn_of_it(user, phone, as_nobody):
    answers = {
        as_nobody.post(LOGIN, {"email": email, "password": "wrong", "code": phone.code()}).content
        for email in ("ann@example.com", "nobody@example.com")
    }
    assert answers == {b'{"message":"No active account has this email and password."}'}


def test_the_admin_asks_for_it_too(user, phone):
    browser = Client()
    for code in ("", "000000"):
        assert enter(browser, code).status_code == 200
        assert "_auth_user_id" not in browser.session
    assert enter(browser, phone.code()).status_code == 302
    assert browser.get("/admin/").status_code == 200


def test_a_code_works_once_at_all_doors_together(user, phone, as_nobody):
    code = phone.code()
    assert log_in(as_nobody, code=code).status_code == 200
    assert log_in(as_nobody, code=code).status_code == 401
    assert enter(Client(), code).status_code == 200
    assert log_in(as_nobody, code=phone.code(1)).status_code == 200


def test_a_code_of_long_ago_or_of_later_does_not_work(user, phone, as_nobody):
    for ahead in (-3, 3):
        assert log_in(as_nobody, code=phone.code(ahead)).status_code == 401


def test_a_recovery_code_works_once_however_it_is_written(user, phone, as_nobody):
    first, second = phone.recovery[:2]
    assert log_in(as_nobody, code=first.upper()).status_code == 200
    assert log_in(as_nobody, code=first).status_code == 401
    assert log_in(as_nobody, code=second.replace("-", " ")).status_code == 200
    assert second_factor.codes_left(user) == second_factor.RECOVERY_CODES - 2


def test_codes_cannot_be_guessed(user, phone, as_nobody, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login-failures", "3/h")
    assert [log_in(as_nobody, code=f"00000{n}").status_code for n in range(4)] == [401, 401, 401, 429]
    assert log_in(as_nobody, code=phone.code()).status_code == 429
    assert AuditLog.objects.filter(action="auth.second_factor_failed").count() == 3


def test_nor_in_an_open_browser(user, phone, client, monkeypatch):
    monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, "login-failures", "2/h")
    client.force_login(user)
    for number in range(2):
        client.post(PAGE, {"do": "remove", "code": f"00000{number}"})
    page = client.post(PAGE, {"do": "remove", "code": phone.code()}, follow=True)
    assert "Too many tries" in page.content.decode()
    assert second_factor.is_on(user)


def test_what_the_database_holds_opens_nothing(user, phone):
    row = SecondFactor.objects.get()
    kept = f"{row.secret_sealed} {row.recovery}"
    assert phone.secret not in kept
    assert not any(code.replace("-", "") in kept for code in phone.recovery)


def test_other_sessions_end_when_it_is_switched_on(user, as_nobody):
    pair = tokens.issue(user)
    second_factor.begin(user)
    second_factor.confirm(user, Phone(second_factor.secret_of(user)).code())
    assert as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}").status_code == 401


def test_nothing_is_asked_for_before_it_is_confirmed(user, as_nobody):
    second_factor.begin(user)
    assert log_in(as_nobody).status_code == 200


def test_an_admin_takes_it_from_who_has_lost_the_phone(user, phone, admin, as_nobody):
    pair = tokens.issue(user)
    with pytest.raises(Forbidden):
        second_factor.take_away(user=user, target=admin)
    with pytest.raises(Conflict):
        second_factor.take_away(user=admin, target=admin)
    browser = Client()
    browser.force_login(admin)
    browser.post("/admin/accounts/user/", {"action": "take_second_factor_away", "_selected_action": [user.pk]})
    assert log_in(as_nobody).status_code == 200
    assert as_nobody.get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}").status_code == 401
    assert AuditLog.objects.filter(action="user.second_factor_removed").count() == 1


# --- The page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def test_it_is_set_up_on_a_page(user, browser, as_nobody):
    assert browser.post(PAGE, {"do": "begin"}).status_code == 302
    page = browser.get(PAGE).content.decode()
    assert 'src="data:image/svg+xml' in page
    app = Phone(re.search(r"<code>([A-Z2-7]{32})</code>", page)[1])
    browser.post(PAGE, {"do": "confirm", "code": "000000"})
    assert not second_factor.is_on(user)
    shown = browser.post(PAGE, {"do": "confirm", "code": app.code(-1)})
    codes = re.findall(r"\b[0-9a-f]{4}(?:-[0-9a-f]{4}){3}\b", shown.content.decode())
    assert len(codes) == second_factor.RECOVERY_CODES
    assert "no-store" in shown["Cache-Control"]
    again = browser.get(PAGE)  # this browser stays, and sees neither secret nor codes any more
    assert again.status_code == 200
    assert not any(code in again.content.decode() for code in codes)
    assert "<code>" not in again.content.decode()
    assert log_in(as_nobody).status_code == 401
    assert AuditLog.objects.get(action="auth.second_factor_added").door == "admin"


def test_it_takes_a_code_to_switch_it_off_or_to_have_new_codes(user, phone, browser):
    browser.post(PAGE, {"do": "remove", "code": "000000"})
    browser.post(PAGE, {"do": "remove"})
    assert second_factor.is_on(user)
    browser.post(PAGE, {"do": "renew", "code": phone.code()})
    browser.post(PAGE, {"do": "remove", "code": phone.recovery[0]})  # one of those before
    assert second_factor.is_on(user)
    browser.post(PAGE, {"do": "remove", "code": phone.code(1)})
    assert not second_factor.is_on(user)


def test_a_second_one_is_not_put_in_its_place(user, phone, browser):
    browser.post(PAGE, {"do": "begin"})
    assert second_factor.is_on(user)
    assert second_factor.secret_of(user) == ""


# --- Demanded ---------------------------------------------------------------------------------------------------------


def test_a_session_from_before_it_was_demanded_is_not_prolonged(user, settings, as_nobody):
    opened = log_in(as_nobody).json()
    settings.STAFF_SECOND_FACTOR = "required"
    refused = as_nobody.post("/api/v1/auth/refresh", {"refresh": opened["refresh"]})
    assert (refused.status_code, refused.json()["detail"]) == (403, {"secondFactor": "demanded"})


def test_staff_see_nothing_else_until_they_have_one(user, browser, settings, as_nobody):
    settings.STAFF_SECOND_FACTOR = "required"
    for address in ("/admin/", "/admin/projects/project/", "/admin/password_change/", "/admin/work/1/images"):
        answer = browser.get(address)
        assert (answer.status_code, answer.get("Location")) == (302, PAGE)
        assert browser.post(address).status_code == 302
    assert "demands" in browser.get(PAGE).content.decode()
    refused = log_in(as_nobody)
    assert (refused.status_code, refused.json()["detail"]) == (403, {"secondFactor": "demanded"})
    browser.post(PAGE, {"do": "begin"})
    app = Phone(second_factor.secret_of(user))
    browser.post(PAGE, {"do": "confirm", "code": app.code(-1)})
    assert browser.get("/admin/").status_code == 200
    browser.post(PAGE, {"do": "remove", "code": app.code()})
    assert second_factor.is_on(user)
    assert log_in(as_nobody, code=app.code()).status_code == 200


def test_people_who_are_no_staff_are_not_asked_to(settings, as_nobody, db):
    settings.STAFF_SECOND_FACTOR = "required"
    factories.make_user("bob@example.com", password=factories.PASSWORD)
    assert as_nobody.post(LOGIN, {"email": "bob@example.com", "password": factories.PASSWORD}).status_code == 200
