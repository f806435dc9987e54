"""Logging in with a second factor, setting it up, and the API's documents, in a real browser under their policies."""

import base64
import time
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from accounts import second_factor
from tests import factories
from tests.browser.test_accessibility import faults


def test_a_second_factor_is_set_up_and_asked_for(open_as, transactional_db):
    user = factories.make_user("ann@example.com", password=factories.PASSWORD, is_staff=True)
    page = open_as(user, "/admin/work/second-factor")
    assert faults(page) == []
    page.get_by_role("button", name="Set it up").click()
    assert page.locator("img[alt*=QR]").evaluate("image => image.complete && image.naturalWidth") > 100
    assert faults(page) == []
    app = TOTP(base64.b32decode(page.locator("code").inner_text()), 6, SHA1(), 30)  # noqa: S303 - as apps do
    page.locator("#code").fill(app.generate(time.time() - 30).decode())
    page.get_by_role("button", name="Switch it on").click()
    codes = page.locator("pre").inner_text().split()
    assert len(codes) == second_factor.RECOVERY_CODES
    assert faults(page) == []
    page.context.clear_cookies()
    page.goto(page.url.replace("/admin/work/second-factor", "/admin/login/"))
    assert faults(page) == []
    for code in ("", codes[0]):
        page.locator("[name=username]").fill(user.email)
        page.locator("[name=password]").fill(factories.PASSWORD)
        page.locator("[name=code]").fill(code)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state("networkidle")
        assert ("/login/" in page.url) == (code == "")


def test_the_apis_documents_are_drawn(open_as, transactional_db):
    page = open_as(factories.make_user("ann@example.com", is_staff=True), "/api/v1/docs")
    page.get_by_text("/api/v1/auth/login").first.wait_for()
    other, said, asked = page.context.new_page(), [], []
    other.on("console", lambda message: said.append(message.text))
    other.on("request", lambda request: asked.append(urlsplit(request.url).netloc))
    other.goto(page.url.replace("/docs", "/redoc"))
    other.get_by_text("CocoHub API").first.wait_for()
    assert other.get_by_text("/api/v1/auth/login").count() or other.get_by_text("auth").count()
    other.wait_for_load_state("networkidle")
    assert (said, {host for host in asked if host}) == ([], {urlsplit(page.url).netloc})  # its maker's logo neither
