"""What happens to every request before Django looks at it."""

import re
import uuid
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.context import entering
from cocohub import errors

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
TEXT_ENCODINGS = {"utf-8", "utf8", "us-ascii", "ascii"}


class RequestIdMiddleware:
    """Names every request, says by which door it came, and answers with the name in `X-Request-ID`.

    A client's own `X-Request-ID` is kept if it is short and plain. Logs and audit lines carry it.
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
            response = _refusal(request) or self.get_response(request)
        return _named(response, request_id)  # type: ignore[arg-type]

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        request_id = _request_id(request)
        with entering(_door(request), request=request_id):
            response = _refusal(request) or await self.get_response(request)  # type: ignore[misc]
        return _named(response, request_id)


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _door(request: HttpRequest) -> str:
    if errors.is_api(request):
        return "api"
    return "admin" if request.path_info.startswith("/admin/") else ""


def _refusal(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse a charset in which Django would fail to decode query and form (`charset=bz2_codec`)."""
    if request.encoding is None or request.encoding.lower() in TEXT_ENCODINGS:
        return None
    if errors.is_api(request):
        return errors.answer(415, f"The charset must be UTF-8, not {request.encoding[:40]!r}.")
    request.encoding = None  # type: ignore[assignment]
    return None


def _named(response: HttpResponseBase, request_id: str) -> HttpResponseBase:
    response["X-Request-ID"] = request_id
    return response
