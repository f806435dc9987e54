"""What a page of the admin may load and run: nothing from elsewhere, and no script that stands in the page itself."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

HEADER = "Content-Security-Policy"
ADMIN = "/admin/"
AMAZON = "https://*.amazonaws.com"


def picture_origins() -> list[str]:
    """Where signed links to pictures lead, besides to ourselves."""
    if not settings.S3_BUCKET:
        return []
    endpoint = settings.S3_ENDPOINT
    if not endpoint:
        return [AMAZON]
    parts = urlsplit(endpoint)
    return [f"{parts.scheme}://{parts.netloc}"]


def policy() -> str:
    """The header's value. Unfold's Alpine makes functions of attributes, hence unsafe-eval; its theme is inline CSS."""
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


class ContentSecurityPolicyMiddleware:
    """Sets the header on pages of the admin that have none of their own."""

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
        return _with_policy(request, self.get_response(request))

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        return _with_policy(request, await self.get_response(request))


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if request.path_info.startswith(ADMIN) and HEADER not in response:
        response[HEADER] = policy()
    return response
