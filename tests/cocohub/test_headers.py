"""What browsers are told, on every kind of answer, and in production."""

import json
import os
import subprocess
import sys

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.conftest import ROOT

PRODUCTION = {
    "COCOHUB_ENV": "production",
    "COCOHUB_EMBEDDED": "0",
    "SECRET_KEY": "x" * 40,
    "JWT_SECRET": "y" * 40,
    "ALLOWED_HOSTS": "cocohub.example.org",
    "DATABASE_URL": "postgresql://db/cocohub",
    "REDIS_URL": "redis://redis",
}
PAGES = [
    *("/", "/admin/", "/admin/login/", "/admin/nothing", "/api/v1/docs", "/api/v1/redoc", "/api/v1/schema"),
    *("/api/v1/health/live", "/api/v1/projects", "/api/v1/nothing", "/nothing", "/media/broken"),
    "/static/workplace/workplace.css",
]


def in_production(script: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script with production's settings, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
    return subprocess.run(
        [sys.executable, "-c", f"import django, json; django.setup()\n{script}"],
        cwd=ROOT,
        env={**environment, **PRODUCTION, "DJANGO_SETTINGS_MODULE": "cocohub.settings", **more},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_has_the_headers(client, db, page):
    answer = client.get(page)
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["default-src"] in ("'none'", "'self'")
    assert "'unsafe-inline'" not in policy.get("script-src", "")
    assert policy.get("object-src", policy["default-src"]) == "'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


def test_pictures_keep_their_own_policy_and_type(client, db):
    link = default_storage.url(default_storage.save("p/page.html", ContentFile(b"<script>alert(1)</script>")))
    answer = client.get(link)
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert b"".join(answer.streaming_content).startswith(b"<script>")


def test_pictures_may_be_shown_where_the_api_may_be_called(client, db, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    link = default_storage.url(default_storage.save("p/a.jpg", ContentFile(b"x")))
    answer = client.get(link)
    assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert b"".join(answer.streaming_content) == b"x"


# --- Origins ----------------------------------------------------------------------------------------------------------


def test_foreign_origins_may_not_read(client, db, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    for origin in ("https://evil.example", "null", "https://app.example.org.evil.example", "http://app.example.org"):
        for answer in (
            client.get("/api/v1/health/live", headers={"Origin": origin}),
            client.options("/api/v1/projects", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
        ):
            assert "Access-Control-Allow-Origin" not in answer


def test_allowed_origins_may_read_the_api_without_cookies_and_nothing_else(client, db, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    headers = {"Origin": "https://app.example.org"}
    answer = client.get("/api/v1/health/live", headers=headers)
    assert answer["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Access-Control-Allow-Credentials" not in answer
    assert "origin" in answer["Vary"].lower()
    assert "Access-Control-Allow-Origin" not in client.get("/admin/login/", headers=headers)


# --- Cookies and production -------------------------------------------------------------------------------------------


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client, db):
    client.get("/admin/login/")
    cookie = client.cookies["csrftoken"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_production_asks_for_tls_and_its_cookies_need_it():
    # The list of static files is made when an image is built; here there is none.
    script = """
from django.test import Client, override_settings
static = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
override_settings(STORAGES=static).enable()
answers = [Client().get(path, secure=secure, headers={"Host": "cocohub.example.org"}, follow=False)
           for path, secure in (("/api/v1/projects", False), ("/admin/login/", True))]
print(json.dumps([[answer.status_code, dict(answer.headers), {
    name: [cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]]
    for name, cookie in answer.cookies.items()}] for answer in answers]))
"""
    done = in_production(script)
    assert done.returncode == 0, done.stderr
    (plain, plain_headers, _), (_, headers, cookies) = json.loads(done.stdout)
    assert (plain, plain_headers["Location"]) == (301, "https://cocohub.example.org/api/v1/projects")
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert cookies == {"__Host-csrf": [True, True, "Lax", "/", ""]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY has 5 characters"),
        ({"JWT_SECRET": ""}, "JWT_SECRET is not set"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"DEBUG": "1"}, "DEBUG is on"),
        ({"TRUSTED_PROXIES": "10.0.0.0/99"}, "TRUSTED_PROXIES"),
        ({"LOGIN_RATE": "many"}, "'many'"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_production_refuses_to_start_on_unsafe_settings(change, told):
    done = in_production("", **change)
    assert done.returncode != 0
    assert told in done.stderr
