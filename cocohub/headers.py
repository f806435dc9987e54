"""What every answer tells browsers: what a page may load, who may embed it, what it may use of the machine.

Together with Django's own (HSTS, nosniff, referrer and opener policy, secure cookies) this is what Mozilla's HTTP
Observatory asks for: https://developer.mozilla.org/en-US/observatory/docs/tests_and_scoring
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

POLICY = "Content-Security-Policy"
ADMIN = "/admin/"
DOCS = ("/api/v1/docs", "/api/v1/redoc")
AMAZON = "https://*.amazonaws.com"
# For data and files: nothing in them is run or loaded, and no page shows them in a frame.
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
UNUSED = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone"),
    *("midi", "payment", "usb"),
)


def picture_origins() -> list[str]:
    """Where signed links to pictures lead, besides to ourselves."""
    if not settings.S3_BUCKET:
        return []
    endpoint = settings.S3_PUBLIC_ENDPOINT or settings.S3_ENDPOINT
    if not endpoint:
        return [AMAZON]
    parts = urlsplit(endpoint)
    return [f"{parts.scheme}://{parts.netloc}"]


def admin_policy() -> str:
    """Of the admin. Unfold's Alpine makes functions of attributes, hence unsafe-eval; its theme is inline CSS."""
    pictures = " ".join(["'self'", "data:", "blob:", *picture_origins()])
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            f"img-src {pictures}",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def docs_policy() -> str:
    """Of the API's browsable documents: Swagger and Redoc set styles by script, and Redoc's worker is made of text."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def fault_policy() -> str:
    """Of the pages that tell of an error, wherever they stand: they have a style and a picture, and no script."""
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def policy_of(path: str) -> str:
    """The policy of what is at this path."""
    if path.startswith(ADMIN):
        return admin_policy()
    return docs_policy() if path.startswith(DOCS) else NOTHING


class BrowserHeadersMiddleware:
    """Sets the headers on answers that have none of their own."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._answer_later(request)
        return _with_headers(request, self.get_response(request))

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        return _with_headers(request, await self.get_response(request))


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault(POLICY, policy_of(request.path_info))
    response.headers.setdefault("Permissions-Policy", ", ".join(f"{name}=()" for name in UNUSED))
    # Pages of other origins read answers only as CORS lets them; this keeps them from embedding them, too.
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    return response
