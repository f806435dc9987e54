"""One shape for every error of the API, and no HTML where JSON was asked for."""

import io
import json
import logging
import re
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.handlers.wsgi import WSGIHandler
from django.db import DataError, IntegrityError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path, re_path
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import parsing
from accounts.api.rendering import dumps
from accounts.errors import Conflict, StaleEdit, TooLarge, TooManyRequests, Unauthorized
from accounts.models import User
from cocohub import errors, middleware, urls
from tests import factories

LOGIN = "/api/v1/auth/login"
ME = "/api/v1/auth/me"


class Child(serializers.Serializer):
    size = serializers.IntegerField(min_value=1)


class Parent(serializers.Serializer):
    name = serializers.CharField()
    children = Child(many=True)


def unique_violation():
    factories.make_user("twice@example.com")
    factories.make_user("twice@example.com")


def integer_overflow():
    User.objects.filter(pk=1).update(token_version=2**40)


def statement_timeout():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        cursor.execute("SELECT pg_sleep(1)")


def nested_form():
    Parent(data={"children": [{"size": 1}, {"size": 0}]}).is_valid(raise_exception=True)


FAULTS = {
    "conflict": Conflict("Taken.", detail={"by": 1}, fields={"name": ["Taken."]}),
    "stale": StaleEdit("Somebody was quicker."),
    "large": TooLarge("Too large."),
    "unauthorized": Unauthorized("Who?"),
    "often": TooManyRequests("Slower.", retry_after=7),
    "throttled": Throttled(wait=9.5),
    "invalid": ValidationError({"a": ["one", "two"], "b": {"c": ["three"], "d": [{}, {"e": ["four"]}]}}),
    "general": ValidationError(["This and that."]),
    "nested": nested_form,
    "django-invalid": DjangoValidationError({"name": ["Too odd."]}),
    "django-general": DjangoValidationError("Too odd."),
    "denied": PermissionDenied(),
    "unique": unique_violation,
    "overflow": integer_overflow,
    "timeout": statement_timeout,
    "bug": KeyError("secret internals"),
    "suspicious": SuspiciousOperation("odd"),
}


class FaultView(APIView):
    """Fails in the way the address says."""

    permission_classes = ()
    authentication_classes = ()

    def get(self, request, kind):
        fault = FAULTS[kind]
        if isinstance(fault, Exception):
            raise fault
        return Response(fault())

    def post(self, request, kind):
        return Response(request.data)


def plain_bug(request):
    raise KeyError("secret internals")


urlpatterns = [
    path("api/v1/fault/<str:kind>", FaultView.as_view(), name="fault"),
    path("plain-bug", plain_bug),
    path("api/plain-bug", plain_bug),
    path("", include(urls.urlpatterns[:-1])),
    re_path(r"^api/(?P<path>.*)$", errors.no_such_address),
]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.fixture
def client(settings):
    """A client of addresses that fail; it sees answers, not exceptions."""
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


def shape_is_right(answer) -> dict:
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert isinstance(body["message"], str)
    assert body["message"]
    assert set(body) <= {"message", "detail", "fieldErrors"}
    for texts in body.get("fieldErrors", {}).values():
        assert all(isinstance(text, str) for text in texts)
    assert answer["X-Request-ID"]
    return body


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("conflict", 409, {"message": "Taken.", "detail": {"by": 1}, "fieldErrors": {"name": ["Taken."]}}),
        ("stale", 412, {"message": "Somebody was quicker."}),
        ("large", 413, {"message": "Too large."}),
        ("unauthorized", 401, {"message": "Who?"}),
        ("often", 429, {"message": "Slower.", "detail": {"retryAfter": 7}}),
        ("general", 400, {"message": "This and that."}),
        ("django-general", 400, {"message": "Too odd."}),
    ],
)
def test_expected_refusals_keep_their_words(client, kind, status, body):
    answer = client.get(f"/api/v1/fault/{kind}")
    assert answer.status_code == status
    assert shape_is_right(answer) == body


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("invalid", {"a": ["one", "two"], "b.c": ["three"], "b.d.1.e": ["four"]}),
        ("nested", {"name": ["This field is required."], "children.1.size": None}),
        ("django-invalid", {"name": ["Too odd."]}),
    ],
)
def test_invalid_input_names_its_fields_flat(client, kind, fields):
    answer = client.get(f"/api/v1/fault/{kind}")
    assert answer.status_code == 400
    found = shape_is_right(answer)["fieldErrors"]
    assert set(found) == set(fields)
    assert all(found[name] == texts for name, texts in fields.items() if texts)


def test_headers_that_say_what_to_do_are_kept(client):
    assert client.get("/api/v1/fault/often")["Retry-After"] == "7"
    assert client.get("/api/v1/fault/throttled")["Retry-After"] == "10"
    assert client.get("/api/v1/fault/unauthorized")["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "status"), [("unique", 409), ("overflow", 400), ("timeout", 503), ("denied", 403), ("suspicious", 400)]
)
def test_what_the_database_or_django_refuses_is_no_bug(client, kind, status):
    answer = client.get(f"/api/v1/fault/{kind}")
    assert answer.status_code == status
    assert "twice@example.com" not in str(shape_is_right(answer))


@pytest.mark.parametrize("error", [IntegrityError("x"), DataError("x"), OperationalError("secret host")])
def test_database_errors_tell_no_internals(error):
    problem = errors.describe(error)
    assert problem.status in (400, 503)
    assert "secret" not in problem.message


@pytest.mark.parametrize("address", ["/api/v1/fault/bug", "/api/plain-bug"])
def test_a_bug_says_the_request_id_and_nothing_else(client, address, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.get(address, HTTP_X_REQUEST_ID="req-77")
    assert answer.status_code == 500
    body = shape_is_right(answer)
    assert body["detail"] == {"requestId": "req-77"}
    assert "req-77" in body["message"]
    assert "secret" not in answer.content.decode()
    assert "req-77" in caplog.text
    assert "secret internals" in caplog.text


def test_outside_of_the_api_errors_are_pages(client):
    for address, status in (("/plain-bug", 500), ("/nothing-here", 404)):
        answer = client.get(address)
        assert answer.status_code == status
        assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
@pytest.mark.parametrize("address", ["/api/nothing", "/api/v1/nothing", "/api/v1/projects/", "/api/v1/projects/x"])
def test_an_address_there_is_not_gets_json_whatever_the_method(settings, address, method, debug):
    settings.DEBUG = debug
    answer = getattr(Client(enforce_csrf_checks=True), method)(address)
    assert answer.status_code == 404
    assert shape_is_right(answer) == {"message": "There is nothing at this address."}


def test_a_method_that_is_not_there_gets_405_with_what_is(as_owner, project):
    answer = as_owner.put(f"/api/v1/projects/{project.pk}")
    assert answer.status_code == 405
    assert "PATCH" in answer["Allow"]
    shape_is_right(answer)


def test_a_host_that_is_not_ours_gets_400(client):
    assert shape_is_right(client.get(ME, HTTP_HOST="evil.example"))
    assert client.get(ME, HTTP_HOST="evil.example").status_code == 400


def test_only_json_can_be_had(as_owner):
    answer = as_owner.get(ME, HTTP_ACCEPT="application/xml")
    assert answer.status_code == 406
    shape_is_right(answer)


def test_a_foreign_origin_gets_no_permission_to_read(as_owner):
    answer = as_owner.get(ME, HTTP_ORIGIN="https://evil.example")
    assert "Access-Control-Allow-Origin" not in answer


def test_an_allowed_origin_does(as_owner, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    answer = as_owner.get(ME, HTTP_ORIGIN="https://app.example")
    assert answer["Access-Control-Allow-Origin"] == "https://app.example"


def test_a_csrf_failure_below_the_api_is_json(rf):
    assert errors.csrf_failure(rf.post("/api/x"), "no cookie").status_code == 403
    shape_is_right_without_middleware = errors.csrf_failure(rf.post("/api/x"), "no cookie")
    assert "message" in json.loads(shape_is_right_without_middleware.content)
    assert errors.csrf_failure(rf.post("/admin/"), "no cookie")["Content-Type"].startswith("text/html")


# --- Bodies -----------------------------------------------------------------------------------------------------------


def post(client, body, content_type="application/json", **extra):
    return client.generic("POST", "/api/v1/fault/x", body, content_type=content_type, **extra)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"nonsense",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1} trailing',
        b"\xff\xfe",
        b'"\\ud800"',
        b"{'a': 1}",
    ],
)
def test_malformed_json_gets_400_that_says_where(client, body):
    answer = post(client, body)
    if body == b"":
        assert answer.status_code == 200  # no body is an empty one
    else:
        assert answer.status_code == 400
        assert "not valid JSON" in shape_is_right(answer)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'[{"a":' * 60 + b"1" + b"}]" * 60,
        b"[" * 5000 + b"]" * 5000,
        b"[" * 100_000,
    ],
)
def test_json_nested_too_deep_gets_400(client, body):
    answer = post(client, body)
    assert answer.status_code == 400
    shape_is_right(answer)


@pytest.mark.parametrize(
    "body", [b"[" * 100 + b"]" * 100, b'["' + b"[" * 500 + b'"]', b'"' + b"{" * 500 + b'"', b"[" + b"[]," * 500 + b"1]"]
)
def test_json_that_only_looks_deep_is_read(client, body):
    assert post(client, body).status_code == 200


def test_a_body_too_large_gets_413(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert post(client, b'"' + b"x" * 998 + b'"').status_code == 200
    answer = post(client, b'"' + b"x" * 999 + b'"')
    assert answer.status_code == 413
    assert "1000 bytes" in shape_is_right(answer)["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=bz2_codec",
        "application/json; charset=utf-16",
        "application/json; charset=nonsense",
        "application/json; charset=rot13",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "nonsense",
    ],
)
def test_a_wrong_content_type_or_charset_gets_415(client, content_type):
    answer = post(client, b"a=1", content_type)
    assert answer.status_code == 415
    shape_is_right(answer)


ODD_CHARSETS = ["bz2_codec", "rot13", "hex"]


@pytest.mark.parametrize("charset", ODD_CHARSETS)
def test_a_charset_that_is_no_text_breaks_no_page_of_the_admin(client, db, charset):
    content_type = f"application/x-www-form-urlencoded; charset={charset}"
    assert client.generic("POST", "/admin/login/", b"username=x", content_type=content_type).status_code == 200


@pytest.mark.parametrize("charset", ODD_CHARSETS)
def test_nor_the_building_of_a_request_with_a_query(settings, transactional_db, charset):
    settings.ROOT_URLCONF = __name__
    answers = []
    environ = RequestFactory()._base_environ(
        PATH_INFO="/api/v1/fault/x",
        QUERY_STRING="search=x",
        REQUEST_METHOD="POST",
        CONTENT_TYPE=f"application/json; charset={charset}",
        CONTENT_LENGTH="2",
        **{"wsgi.input": io.BytesIO(b"{}")},
    )
    application = middleware.wsgi_with_text_charsets(WSGIHandler())
    body = b"".join(application(environ, lambda status, headers: answers.append(status)))
    assert answers[0].startswith("415")
    assert "message" in json.loads(body)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nor_under_asgi(settings, async_client, anyio_backend):
    settings.ROOT_URLCONF = __name__
    odd = "application/json; charset=bz2_codec"
    answer = await async_client.generic("POST", "/api/v1/fault/x?search=x", b"{}", content_type=odd)
    assert answer.status_code == 415


def test_a_body_of_unsaid_length_is_not_taken_for_none(client):
    answer = client.generic("POST", "/api/v1/fault/x", b"", HTTP_TRANSFER_ENCODING="chunked")
    assert answer.status_code == 411
    assert "Content-Length" in shape_is_right(answer)["message"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "us-ascii"])
def test_utf8_may_be_said(client, charset):
    assert post(client, '{"a": "é"}'.encode(), f"application/json; charset={charset}").json() == {"a": "é"}


def test_a_form_with_thousands_of_fields_to_the_admin_gets_400(client, db):
    fields = "&".join(f"f{number}=1" for number in range(2000))
    answer = client.post("/admin/login/", fields, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


# --- Request ids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc-123", "A.b_c:9", "x" * 64])
def test_a_clients_request_id_is_kept(client, given):
    assert client.get("/api/v1/fault/denied", HTTP_X_REQUEST_ID=given)["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "é", "<script>"])
def test_an_odd_one_is_replaced(client, given):
    made = client.get("/api/v1/fault/denied", HTTP_X_REQUEST_ID=given)["X-Request-ID"]
    assert made != given
    assert len(made) == 32


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_works_the_same_under_asgi(async_client, anyio_backend):
    answer = await async_client.get("/api/v1/nothing", headers={"X-Request-ID": "req-5"})
    assert (answer.status_code, answer["X-Request-ID"]) == (404, "req-5")


# --- JSON out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("531.0"), "531.0"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        (Decimal("NaN"), "null"),
        (orjson.Fragment(b'{"kept": 1.50}'), '{"kept": 1.50}'),
        (gettext_lazy("name"), '"name"'),
        ({1: 2}, '{"1":2}'),
        ({"big": [10**40, {"x": -(10**30)}]}, '{"big":[' + str(10**40) + ',{"x":' + str(-(10**30)) + "}]}"),
        ({"a"}, '["a"]'),
        (b"bytes", '"bytes"'),
        (float("nan"), "null"),
    ],
)
def test_values_keep_their_form(value, text):
    assert dumps(value).decode() == text


def test_times_end_in_z():
    assert dumps(datetime(2026, 1, 1, tzinfo=UTC)) == b'"2026-01-01T00:00:00Z"'


def test_what_has_no_json_form_is_a_bug():
    with pytest.raises(TypeError, match="object"):
        dumps(object())


def test_reading_stops_at_the_limit(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    class Endless:
        def read(self, size):
            assert size == 11
            return b"x" * size

    with pytest.raises(TooLarge):
        parsing.read_limited(Endless())


# --- The documentation ------------------------------------------------------------------------------------------------


def test_the_schema_describes_errors_tokens_and_pages(client, db):
    answer = client.get("/api/v1/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json")
    schema = json.loads(answer.content)
    operations = [
        operation
        for path_, item in schema["paths"].items()
        for method, operation in item.items()
        if path_.startswith("/api/v1/") and "fault" not in path_ and isinstance(operation, dict)
    ]
    without = [operation["operationId"] for operation in operations if "default" not in operation["responses"]]
    assert not without
    assert schema["components"]["schemas"]["Error"]["required"] == ["message"]
    assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    listing = schema["paths"]["/api/v1/projects"]["get"]
    assert {parameter["name"] for parameter in listing["parameters"]} >= {"cursor", "page_size", "search", "status"}


@pytest.mark.parametrize("address", ["/api/v1/docs", "/api/v1/redoc"])
def test_the_docs_can_be_browsed(client, db, address):
    answer = client.get(address)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "schema" in text + client.get(f"{address}?script=").content.decode()
    assert "://" not in re.sub(r'href="/[^"]*"', "", text)  # nothing is loaded from elsewhere
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)


def test_the_root_leads_to_the_admin(client):
    assert client.get("/")["Location"] == "/admin/"


def test_answers_made_without_drf_have_the_same_shape():
    answer = errors.answer(400, "No.", {"a": 1}, **{"Retry-After": "3"})
    assert isinstance(answer, HttpResponse)
    assert json.loads(answer.content) == {"message": "No.", "detail": {"a": 1}}
    assert answer["Retry-After"] == "3"
