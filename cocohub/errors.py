"""The one shape of every error answer below /api/: `{message, detail?, fieldErrors?}`."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from accounts.api.rendering import dumps
from accounts.context import request_id
from accounts.errors import NotYet, ServiceError, TooManyRequests, Unauthorized
from cocohub.headers import POLICY, fault_policy
from projects import faults

logger = logging.getLogger(__name__)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
UNIQUE_VIOLATION, FOREIGN_KEY_VIOLATION, EXCLUSION_VIOLATION = "23505", "23503", "23P01"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}
WHOLE_FORM = {api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS}
NO_SUCH_ADDRESS = "There is nothing at this address."


@dataclass(frozen=True)
class Problem:
    """An error as the client is told of it."""

    status: int
    message: str
    detail: object | None = None
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON; what there is nothing to say of is left out."""
        body: dict[str, Any] = {"message": self.message}
        if self.detail is not None:
            body["detail"] = self.detail
        if self.fields:
            body["fieldErrors"] = dict(self.fields)
        return body


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """The answer to an exception that left an API view; None for a bug, which becomes a 500 below Django's care."""
    problem = describe(error)
    if problem is None:
        return None
    if isinstance(error, TooManyRequests) and error.budget is not None:
        context["request"]._request.rate_budget = error.budget
    set_rollback()
    return Response(problem.body, status=problem.status, headers=dict(problem.headers))


def describe(error: BaseException) -> Problem | None:
    """What to tell the client of this exception; None if it is a bug."""
    match error:
        case ServiceError():
            return Problem(error.status, error.message, error.detail, error.fields, _service_headers(error))
        case exceptions.ValidationError():
            return invalid(error.detail)
        case exceptions.APIException():
            return Problem(error.status_code, _text(error.detail), headers=_drf_headers(error))
        case Http404():
            return Problem(HTTPStatus.NOT_FOUND, "There is no such thing here.")
        case PermissionDenied():
            return Problem(HTTPStatus.FORBIDDEN, str(error) or "You may not do this.")
        case DjangoValidationError():
            return invalid(error.message_dict if hasattr(error, "error_dict") else error.messages)
        case RequestDataTooBig():
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than this installation takes.")
        case TooManyFieldsSent() | TooManyFilesSent():
            return Problem(HTTPStatus.BAD_REQUEST, "The form has more fields or files than this installation takes.")
        case MultiPartParserError() | UnreadablePostError():
            return Problem(HTTPStatus.BAD_REQUEST, "The body could not be read to its end.")
        case Error():
            return _database_problem(error)
        case _ if faults.is_of_storage(error) or faults.to_put_right(error):
            logger.error("Storage failed a request: %s", error, exc_info=error)
            status = HTTPStatus.INSUFFICIENT_STORAGE if faults.is_full(error) else HTTPStatus.SERVICE_UNAVAILABLE
            told = faults.to_put_right(error) or "Storage does not answer as it should; try again in a moment."
            return Problem(status, told, headers={"Retry-After": "5"})
    return None


def invalid(detail: Any) -> Problem:
    """A 400 that names the fields at fault; nested ones as `categories.0.name`."""
    fields: dict[str, list[str]] = {}
    for path, text in _flatten(detail):
        fields.setdefault(path, []).append(text)
    general = [text for name in ("", *WHOLE_FORM) for text in fields.pop(name, [])]
    message = " ".join(general) or "Some fields are not valid: " + ", ".join(fields) + "."
    return Problem(HTTPStatus.BAD_REQUEST, message, fields=fields)


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, below in detail.items():
            inner = path if name in WHOLE_FORM else f"{path}.{name}".lstrip(".")
            yield from _flatten(below, inner)
    elif isinstance(detail, (list, tuple)):
        for index, below in enumerate(detail):
            deeper = isinstance(below, (Mapping, list, tuple))
            yield from _flatten(below, f"{path}.{index}".lstrip(".") if deeper else path)
    else:
        yield path, str(detail)


def _text(detail: Any) -> str:
    return " ".join(text for _, text in _flatten(detail))


def _service_headers(error: ServiceError) -> Mapping[str, str]:
    if isinstance(error, TooManyRequests | NotYet):
        return {"Retry-After": str(error.retry_after)}
    return CHALLENGE if isinstance(error, Unauthorized) else {}


def _drf_headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _database_problem(error: Error) -> Problem | None:
    match error:
        case IntegrityError() if _sqlstate(error) in (UNIQUE_VIOLATION, EXCLUSION_VIOLATION):
            return Problem(HTTPStatus.CONFLICT, "This already exists, perhaps made by somebody else just now.")
        case IntegrityError() if _sqlstate(error) == FOREIGN_KEY_VIOLATION:
            return Problem(HTTPStatus.CONFLICT, "Something this refers to is gone, or still needed elsewhere.")
        case IntegrityError() | DataError():
            logger.warning("Refused by the database: %s", error)
            return Problem(HTTPStatus.BAD_REQUEST, "A value is outside of what can be stored.")
        case OperationalError() | InterfaceError():
            logger.error("The database failed a request: %s", error, exc_info=error)
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The database does not answer as it should; try again in a moment.",
                headers={"Retry-After": "5"},
            )
    return None


def _sqlstate(error: Error) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


# --- Outside of API views: addresses that do not exist, refusals by Django itself, bugs -------------------------------


def is_api(request: HttpRequest) -> bool:
    """Whether the client speaks to the API, and so wants JSON."""
    return request.path_info.startswith("/api/")


def answer(status: int, message: str, detail: object | None = None, **headers: str) -> HttpResponse:
    """An error as JSON, made without DRF."""
    body = dumps(Problem(status, message, detail).body)
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)


def _page(request: HttpRequest, status: int, template: str, **context: Any) -> HttpResponse:
    """An error as a page that says what one can do. It asks no database and knows of nobody, so it tells no secrets."""
    try:
        content = render_to_string(template, context)
    except Exception:
        logger.exception("The page of an error could not be made")
        return HttpResponse(f"{status} {HTTPStatus(status).phrase}", status=status, content_type="text/plain")
    return HttpResponse(content, status=status, headers={POLICY: fault_policy(), "Cache-Control": "no-store"})


def _status_of(error: BaseException) -> int:
    problem = describe(error)
    return problem.status if problem is not None else HTTPStatus.BAD_REQUEST


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400; 413 where the body was too large."""
    if not is_api(request):
        return _page(request, _status_of(exception), "400.html")
    problem = describe(exception) or Problem(HTTPStatus.BAD_REQUEST, "The request is not one that can be answered.")
    return answer(problem.status, problem.message)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if not is_api(request):
        return _page(request, HTTPStatus.FORBIDDEN, "403.html", told=str(exception))
    return answer(HTTPStatus.FORBIDDEN, str(exception) or "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    if not is_api(request):
        return _page(request, HTTPStatus.NOT_FOUND, "404.html")
    return answer(HTTPStatus.NOT_FOUND, NO_SUCH_ADDRESS)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: says the request's id and nothing else; the log has the rest under the same id."""
    name = request_id.get()
    if not is_api(request):
        return _page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "500.html", name=name)
    logger.error("Request %s failed: %s %s", name, request.method, request.path)
    return answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"Something went wrong on our side. Give request id {name} to who runs this installation.",
        {"requestId": name},
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """What settings.CSRF_FAILURE_VIEW should name."""
    if not is_api(request):
        return _page(request, HTTPStatus.FORBIDDEN, "403_csrf.html")
    return answer(HTTPStatus.FORBIDDEN, f"CSRF check failed: {reason}")


@csrf_exempt
def no_such_address(request: HttpRequest, path: str = "") -> HttpResponse:
    """Whatever below /api/ no other address matched, whatever the method, also with DEBUG on."""
    return answer(HTTPStatus.NOT_FOUND, NO_SUCH_ADDRESS)
