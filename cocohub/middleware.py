"""What happens to every request before Django looks at it."""

import codecs
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from accounts import second_factor
from accounts.context import entering
from accounts.throttling import Budget
from cocohub import errors, logs

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TEXT_ENCODINGS = {"utf-8", "utf8", "us-ascii", "ascii"}
CHARSET = re.compile(r"(charset\s*=\s*[\"']?)([\w.:-]+)", re.IGNORECASE)


class RequestIdMiddleware:
    """Names every request, says by which door it came, and answers with the name in `X-Request-ID`.

    A client's own `X-Request-ID` is kept if it is short and plain. Logs and audit lines carry it. The answer also says
    what is left of the caller's limit, where one was counted (`RateLimit-*`).
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._answer_later(request)
        request_id = _request_id(request)
        with entering(_door(request), request=request_id):
            start = time.monotonic()
            response = _refusal(request) or self.get_response(request)
            _tell(request, response, start)  # type: ignore[arg-type]
        return _named(request, response, request_id)  # type: ignore[arg-type]

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        request_id = _request_id(request)
        with entering(_door(request), request=request_id):
            start = time.monotonic()
            response = _refusal(request) or await self.get_response(request)  # type: ignore[misc]
            _tell(request, response, start)
        return _named(request, response, request_id)


def _tell(request: HttpRequest, response: HttpResponseBase, start: float) -> None:
    user = request.__dict__.get("_cached_user")  # of a browser session, where somebody has looked
    seconds = time.monotonic() - start
    logs.tell_of_request(request.method or "", request.path, response.status_code, seconds, user and user.pk)


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _door(request: HttpRequest) -> str:
    if errors.is_api(request):
        return "api"
    return "admin" if request.path_info.startswith("/admin/") else ""


def _refusal(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse what Django and DRF would fail on or, worse, misread."""
    odd_charset = request.encoding is not None and request.encoding.lower() not in TEXT_ENCODINGS
    if not errors.is_api(request):
        if odd_charset:
            request.encoding = None  # type: ignore[assignment]
        return None
    if odd_charset:
        return errors.answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The charset must be UTF-8, not {request.encoding!r}.")
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        # DRF takes a body of unsaid length for none.
        return errors.answer(HTTPStatus.LENGTH_REQUIRED, "Say how long the body is: send a Content-Length.")
    return None


def _named(request: HttpRequest, response: HttpResponseBase, request_id: str) -> HttpResponseBase:
    response["X-Request-ID"] = request_id
    budget: Budget | None = getattr(request, "rate_budget", None)
    if budget is not None:
        response["RateLimit-Limit"] = str(budget.limit)
        response["RateLimit-Remaining"] = str(max(0, budget.left))
        response["RateLimit-Reset"] = str(budget.seconds)
    return response


def wsgi_with_text_charsets(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application, safe from codecs that make no text.

    `charset=bz2_codec` makes Django 5.2 fail while it builds the request, before any middleware, if there is a query
    string. Renamed to a charset that nobody knows, it gets its 415 like any other. (ASGI decodes the query by itself.)
    """

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["CONTENT_TYPE"] = CHARSET.sub(_known_text, environ.get("CONTENT_TYPE", ""))
        return application(environ, start_response)

    return call


def _known_text(match: re.Match[str]) -> str:
    try:
        codec = codecs.lookup(match[2])
    except LookupError:
        return match[0]
    return match[0] if codec._is_text_encoding else f"{match[1]}x-{match[2]}"


# Asked by supervisors, load balancers and Prometheus: by an address, not by our name, and inside, without TLS. Their
# answers hold no link that a made-up name could lead astray. The same are exempt from SECURE_SSL_REDIRECT.
ASKED_BY_ADDRESS = re.compile(r"/(api/v1/health/(live|ready)|metrics|metrics/installation)")


@sync_and_async_middleware
def any_host_for_probes(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Checks no `Host` where probes and scrapers ask."""

    def let_in(request: HttpRequest) -> None:
        if ASKED_BY_ADDRESS.fullmatch(request.path_info):
            request.get_host = lambda: "localhost"  # type: ignore[method-assign]

    async def later(request: HttpRequest) -> Any:
        let_in(request)
        return await get_response(request)

    def now(request: HttpRequest) -> Any:
        let_in(request)
        return get_response(request)

    return later if iscoroutinefunction(get_response) else now


class SecondFactorMiddleware:
    """Leads staff to where a second factor is set up, if the installation demands one; they see no page before that."""

    sync_capable = True
    async_capable = True
    OPEN = ("/admin/work/second-factor", "/admin/login/", "/admin/logout/", "/admin/language/", "/admin/jsi18n/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._answer_later(request)
        led = self._led(request) if self._concerns(request) else None
        return self.get_response(request) if led is None else led

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        led = await sync_to_async(self._led, thread_sensitive=True)(request) if self._concerns(request) else None
        return await self.get_response(request) if led is None else led  # type: ignore[misc]

    def _concerns(self, request: HttpRequest) -> bool:
        demanded = settings.STAFF_SECOND_FACTOR == "required" and request.path_info.startswith("/admin/")
        return demanded and request.path_info not in self.OPEN

    def _led(self, request: HttpRequest) -> HttpResponseBase | None:
        if request.user.is_authenticated and second_factor.must_set_up(request.user):
            return HttpResponseRedirect(self.OPEN[0])
        return None
