"""What is set: secrets, names, cookies, proxies, the bucket, static files. Asks nobody."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from cocohub.doctor.findings import Check, Found, error, ok, warning
from insights.plotting import fonts

SHORTEST_SECRET = 32  # characters
LEAST_KINDS = 8  # different characters: fewer is a word, or one key held down


def environment() -> Found:
    """An installation with a database of its own is meant to be run for others, so it is to be run safely."""
    if settings.PRODUCTION:
        return ok("COCOHUB_ENV is production: unsafe values are refused at the start.")
    if settings.DATABASE_IS_EMBEDDED:
        return ok("A try on this machine, with an embedded PostgreSQL.")
    return warning(
        "DATABASE_URL names a server, but COCOHUB_ENV is not production: nothing refuses unsafe values.",
        "Set COCOHUB_ENV=production, unless this is a developer's machine.",
    )


def debug() -> Found:
    """With DEBUG a page of an error shows settings and code to whoever asks."""
    if settings.DEBUG:
        return error("DEBUG is on: errors show code and settings to whoever meets them.", "Set DEBUG=0 and restart.")
    return ok("DEBUG is off.")


def secrets() -> Found:
    """Whoever guesses these signs sessions, tokens and links of their own."""
    given = {"SECRET_KEY": str(settings.SECRET_KEY), "JWT_SECRET": str(settings.SIMPLE_JWT["SIGNING_KEY"])}
    weak = [n for n, value in given.items() if len(value) < SHORTEST_SECRET or len(set(value)) < LEAST_KINDS]
    todo = 'Make one with `python -c "import secrets; print(secrets.token_urlsafe(48))"` and restart everything.'
    if weak:
        return error(f"{' and '.join(weak)} can be guessed: too short, or too few different characters.", todo)
    if len(set(given.values())) < len(given):
        return error("SECRET_KEY and JWT_SECRET are the same: who learns one has both.", todo)
    kept = [Path(settings.HOME, name) for name in ("secret_key", "jwt_secret")]
    readable = [str(path) for path in kept if path.exists() and path.stat().st_mode & 0o077]
    if readable:
        return error(f"Others on this machine may read {' and '.join(readable)}.", f"chmod 600 {' '.join(readable)}")
    return ok("SECRET_KEY and JWT_SECRET are long, and not the same.")


def hosts() -> Found:
    """The names this is served by; a client may make up any other."""
    if "*" in settings.ALLOWED_HOSTS:
        return error(
            "ALLOWED_HOSTS has `*`: links in answers can be made to lead anywhere.",
            "Name the hosts that this is served by.",
        )
    public = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not validate_host(f"[{public}]" if ":" in public else public, settings.ALLOWED_HOSTS):
        return error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}, and {public or 'its host'} is not among ALLOWED_HOSTS: links back "
            "from CVAT get an error.",
            "Set PUBLIC_URL to the address that people use, and its host in ALLOWED_HOSTS.",
        )
    return ok(f"Served by {_listed(settings.ALLOWED_HOSTS)}; people reach it at {settings.PUBLIC_URL}.")


def https() -> Found:
    """Passwords and cookies must not go over the wire in the clear."""
    if not settings.PRODUCTION:
        return ok("Not asked for outside of production.")
    if not settings.SESSION_COOKIE_SECURE or not settings.CSRF_COOKIE_SECURE:
        return error(
            "Cookies of log-ins may go over plain HTTP.", "Leave SESSION_COOKIE_SECURE and CSRF_COOKIE_SECURE on."
        )
    if not settings.PUBLIC_URL.startswith("https://"):
        return error(
            f"PUBLIC_URL is {settings.PUBLIC_URL}: not HTTPS. Browsers send no cookies there, so nobody can log in.",
            "Put a proxy that ends TLS in front, and give PUBLIC_URL with https://.",
        )
    if not settings.SECURE_SSL_REDIRECT or settings.SECURE_HSTS_SECONDS < 3600:
        return warning(
            "Who comes by plain HTTP is not led to HTTPS for good.",
            "Set SECURE_SSL_REDIRECT=1 and SECURE_HSTS_SECONDS=31536000, unless the proxy does both.",
        )
    return ok("Cookies go over HTTPS alone, and plain HTTP is led there.")


def proxies() -> Found:
    """Behind a proxy everybody comes from one address, unless the proxy is believed."""
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None) and not settings.TRUSTED_PROXIES:
        return warning(
            "BEHIND_HTTPS_PROXY is set and TRUSTED_PROXIES is not: all who log in count as one address, and wait for "
            "each other.",
            "Set TRUSTED_PROXIES to the proxy's address or network.",
        )
    return ok(f"Believed when they say for whom they ask: {_listed(settings.TRUSTED_PROXIES) or 'nobody'}.")


def storage_settings() -> Found:
    """Half a bucket is none."""
    options: dict[str, Any] = settings.STORAGES["default"].get("OPTIONS", {})  # type: ignore[attr-defined]
    if not settings.S3_BUCKET:
        if settings.S3_ENDPOINT:
            return error(
                "S3_ENDPOINT is set and S3_BUCKET is not: files go to the local disk, where other machines do not "
                "find them.",
                "Set S3_BUCKET, or take S3_ENDPOINT out.",
            )
        return ok("Files are on the local disk.")
    if bool(options.get("access_key")) != bool(options.get("secret_key")):
        return error(
            "Only one of S3_ACCESS_KEY and S3_SECRET_KEY is set.", "Set both, or none to use the role of the machine."
        )
    seen = urlsplit(settings.S3_PUBLIC_ENDPOINT or settings.S3_ENDPOINT)
    if settings.PRODUCTION and seen.hostname and "." not in seen.hostname:
        return warning(
            f"Links to pictures lead to {seen.geturl()}, a name that only machines beside this one know.",
            "Set S3_PUBLIC_ENDPOINT to the address at which browsers reach the bucket.",
        )
    if settings.PRODUCTION and seen.scheme == "http" and settings.PUBLIC_URL.startswith("https://"):
        return warning(
            f"Links to pictures lead to {seen.geturl()}: browsers do not load plain HTTP into a page of HTTPS.",
            "Set S3_PUBLIC_ENDPOINT to an address with https://.",
        )
    return ok(f"Files are in the bucket {settings.S3_BUCKET}, which browsers reach at {seen.geturl() or 'AWS'}.")


def static_files() -> Found:
    """Without them pages have no style, and no scripts."""
    if settings.PRODUCTION and not Path(settings.STATIC_ROOT, "staticfiles.json").exists():
        return error(
            f"There are no collected static files in {settings.STATIC_ROOT}.",
            "python manage.py collectstatic --noinput",
        )
    return ok("Static files are collected." if settings.PRODUCTION else "Static files are found where they lie.")


def hangul_font() -> Found:
    """Charts as PNG need one; the browser has its own."""
    if fonts.with_hangul() is None:
        return warning(
            "No font with Hangul was found: Korean names are missing in charts as PNG.",
            "Install fonts-nanum or fonts-noto-cjk, or set CHART_FONT to a font file.",
        )
    return ok(f"Charts as PNG are written with {Path(str(fonts.with_hangul())).name}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names))


CHECKS = (
    Check("environment", environment),
    Check("debug", debug),
    Check("secrets", secrets),
    Check("hosts", hosts),
    Check("https", https),
    Check("proxies", proxies),
    Check("storage_settings", storage_settings),
    Check("static_files", static_files),
    Check("hangul_font", hangul_font),
)
