"""Calls: what is repeated and what is not, errors with a type, no way to a foreign host, the token never shown."""

import json
import logging
import time

import pytest

from exports.cvat.account import Account, Timeouts, allowed, host_of
from exports.cvat.client import Client
from exports.cvat.errors import (
    Broken500,
    Busy,
    CvatError,
    Forbidden,
    NotFound,
    Refused,
    Unauthorized,
    Unwell,
    WrongAddress,
    error_of,
)
from exports.cvat.transport import Retries, Transport
from tests.cvat_double import Double
from tests.exports.cvat.conftest import account_of
from tests.webhooks.receiver import dripping

# --- Repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
def test_read_is_repeated_over_a_bad_gateway(double, client, pauses, status):
    double.fault("status", status=status, times=2)
    assert client.me().username == "admin"
    assert len(pauses) == 2


def test_an_answer_that_comes_a_byte_at_a_time_is_given_up():
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n") as port:
        url = f"http://127.0.0.1:{port}"
        account = Account(url, token="t", allowed_hosts=frozenset([host_of(url)]), timeouts=Timeouts(2, 2, 0.5))
        start = time.monotonic()
        with (
            Transport(account, retries=Retries(attempts=1), pause=lambda seconds: None) as transport,
            pytest.raises(Unwell, match="took too long"),
        ):
            transport.call("GET", "/server/about", doing="ask")
    assert time.monotonic() - start < 7  # of the ten that the bytes go on for


def test_read_is_given_up_after_its_attempts(double, client, pauses):
    rule = double.fault("status", status=503, times=100)
    with pytest.raises(Unwell) as caught:
        client.me()
    assert (caught.value.status, rule.hits, len(pauses)) == (503, 4, 3)


def test_read_is_repeated_when_the_connection_is_cut(double, client):
    double.fault("cut", times=2)
    assert client.me().username == "admin"


def test_pauses_grow_and_vary():
    retries = Retries(first=1, longest=5)
    assert [retries.pause(attempt, None, 1.0) for attempt in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]
    assert retries.pause(3, None, 0.0) == 2


def test_retry_after_is_kept(double, client, pauses):
    double.fault("status", status=429, seconds=7)
    client.me()
    assert pauses == [7]


def test_429_is_repeated_for_calls_that_create(double, client, board):
    double.fault("status", status=429, seconds=1, method="POST")
    client.create_task("t", board.project.id, "https://x/2")
    assert len(client.tasks_linked("https://x/2")) == 1


def test_long_retry_after_is_left_to_the_caller(double, client, pauses):
    double.fault("status", status=429, seconds=3600)
    with pytest.raises(Busy) as caught:
        client.me()
    assert (caught.value.after, pauses) == (3600, [])


@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_create_is_not_repeated_when_nobody_knows(double, client, kind):
    rule = double.fault(kind, method="POST", times=5)
    with pytest.raises(Unwell) as caught:
        client.create_project("p", [])
    assert rule.hits == 1
    assert caught.value.maybe_done
    assert len(double.state.projects) == (1 if kind == "cut" else 0)


def test_time_out_after_accept_says_maybe_done(double, connect):
    double.fault("hang", method="POST", seconds=5)
    client = connect(timeouts=Timeouts(1, 0.3, 5))
    with pytest.raises(Unwell, match="no answer within the time") as caught:
        client.create_project("p", [])
    assert caught.value.maybe_done
    assert len(double.state.projects) == 1


def test_refused_connection_is_surely_not_done_and_is_repeated(pauses):
    with Double() as gone:
        account = account_of(gone)
    client = Client.open(account, retries=Retries(attempts=3), pause=pauses)
    with pytest.raises(Unwell, match=r"no connection \(.*refused\)") as caught:
        client.create_project("p", [])
    assert not caught.value.maybe_done
    assert len(pauses) == 2


def test_500_of_a_read_gets_one_more_chance(double, client):
    rule = double.fault("status", status=500, times=1)
    client.me()
    assert rule.hits == 1
    rule = double.fault("status", status=500, times=10)
    with pytest.raises(Broken500):
        client.me()
    assert rule.hits == 2


def test_500_of_a_write_is_not_repeated(double, client, board):
    rule = double.fault("status", status=500, times=10, method="PATCH")
    with pytest.raises(Broken500):
        client.save(board.task.id, "update", [])
    assert rule.hits == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 410, 413, 415])
def test_4xx_is_not_repeated(double, client, status):
    rule = double.fault("status", status=status, times=10, body='{"detail": "no"}')
    with pytest.raises(CvatError):
        client.me()
    assert rule.hits == 1


def test_update_and_delete_by_id_are_repeated(double, client, board):
    client.save(board.task.id, "create", [board.box("1")])
    double.fault("cut", method="PATCH", times=1)
    client.save(board.task.id, "delete", board.stored())
    assert board.stored() == []


def test_delete_of_what_is_gone_is_done(double, client, board):
    double.fault("cut", method="DELETE")
    client.delete_task(board.task.id)
    client.delete_task(board.task.id)
    client.delete_project(board.project.id)
    assert double.state.tasks == {}


# --- Errors -----------------------------------------------------------------------------------------------------------

SHAPES = [
    (400, {"name": ["This field is required."]}, Refused, "name: This field is required."),
    (400, {"shapes": [{}, {"points": ["bad"]}]}, Refused, "shapes[1].points: bad"),
    (
        400,
        {"labels": [{"attributes": [{"values": {"0": ["long"]}}]}]},
        Refused,
        "labels[0].attributes[0].values[0]: long",
    ),
    (400, ["All label names must be unique"], Refused, "All label names must be unique"),
    (400, "Adding more data is not supported", Refused, "Adding more data is not supported"),
    (400, {"detail": "JSON parse error - x"}, Refused, "JSON parse error - x"),
    (401, {"detail": "Invalid token."}, Unauthorized, "Invalid token."),
    (403, {"detail": "Attempted to update an unknown field"}, Forbidden, "Attempted"),
    (404, {"detail": "No Task matches the given query."}, NotFound, "No Task matches"),
    (409, {"rq_id": "action=create"}, Busy, "same background request"),
    (409, "File with same name already exists", Refused, "File with same name"),
    (413, "File size exceeds", Refused, "File size"),
    (429, {"detail": "Request was throttled."}, Busy, "throttled"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), SHAPES)
def test_error_has_a_type_and_cvats_words(status, body, kind, words):
    error = error_of(status, json.dumps(body).encode(), doing="try")
    assert type(error) is kind
    assert words in error.words
    assert words in str(error)
    assert (error.status, error.detail) == (status, body)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, "The export process is not finished", Refused, "The export process is not finished"),
        (404, "There is no request with specified id", NotFound, "There is no request"),
        (404, "\n<!doctype html>\n<html><head><title>Not Found</title></head></html>", NotFound, "is the URL"),
        (500, "<!doctype html><html><head><title>Server Error (500)</title>", Broken500, "Server Error (500)"),
        (502, "<html><head><title>502 Bad Gateway</title></head>", Unwell, "502 Bad Gateway"),
        (410, "This endpoint is no longer supported.\nUse", Refused, "no longer supported. Use"),
        (409, "", Refused, ""),
        (302, "", WrongAddress, "redirects"),
    ],
)
def test_texts_and_pages_are_read_too(status, body, kind, words):
    error = error_of(status, body.encode(), doing="try")
    assert type(error) is kind
    assert words in error.words


def test_busy_has_the_request_in_the_way():
    assert error_of(409, b'{"rq_id": "action=create&target_id=7"}', doing="").rq_id == "action=create&target_id=7"


def test_long_words_are_cut():
    assert len(error_of(400, json.dumps(["x" * 5000]).encode(), doing="").words) <= 1000


# --- Where it goes ----------------------------------------------------------------------------------------------------


def test_redirect_is_an_error_and_is_not_followed(double, client):
    with Double() as elsewhere:
        double.fault("status", status=302, headers={"Location": f"{elsewhere.url}/api/users/self"})
        with pytest.raises(WrongAddress, match="redirects"):
            client.me()
        assert elsewhere.state.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example",
        "http://cvat.example.evil.example",
        "http://cvat.example@evil.example",
        "http://user:secret@cvat.example",
        "ftp://cvat.example",
        "file:///etc/passwd",
        "//cvat.example",
        "cvat.example",
        "http://cvat.example:99999",
        "http://cvat.example:8081",
        "http://cvat.example/api?x=1",
        "http://cvat.example\\@evil.example",
        "http://cvat.example/ api",
        "http://[::1",
        "",
    ],
)
def test_address_that_is_not_allowed_is_refused(url):
    with pytest.raises(WrongAddress) as caught:
        Account(url, "t", allowed_hosts=frozenset({"cvat.example:80", "cvat.example:443"}))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://cvat.example", ["cvat.example"]),
        ("https://CVAT.example./api/", ["cvat.example:443"]),
        ("http://cvat.example:8080/cvat", ["cvat.example"]),
        ("http://[::1]:8080", ["[::1]:8080"]),
        ("http://[::1]:8080", ["::1"]),
    ],
)
def test_address_that_is_allowed(url, hosts):
    allowed(url, hosts)


@pytest.mark.parametrize(
    "url", ["http://c.example", "http://c.example/", "http://c.example/api", "http://c.example/api/"]
)
def test_url_is_taken_with_and_without_api(url):
    account = Account(url, "t", allowed_hosts=frozenset({"c.example"}))
    assert (account.api_url, account.web_url) == ("http://c.example/api", "http://c.example")
    assert host_of(url) == "c.example:80"


def test_address_check_sees_the_address_before_anything_is_sent(double):
    seen = []

    def refuse(address: str) -> None:
        seen.append(address)
        raise WrongAddress(0, f"{address} is not allowed.")

    transport = Transport(account_of(double), address_check=refuse, pause=lambda seconds: None)
    with pytest.raises(CvatError, match="not allowed"):
        Client(transport).me()
    assert seen == ["127.0.0.1"]
    assert double.state.calls == []


def test_answers_that_are_no_json_are_a_wrong_address(double, client):
    double.fault("body", body="<html><title>Sign in</title></html>")
    with pytest.raises(WrongAddress, match="expected JSON"):
        client.me()


def test_no_cookies_are_sent_back(double, client):
    double.fault("body", body="{}", headers={"Set-Cookie": "sessionid=1"})
    client.me()
    client.me()
    assert "Cookie" not in client.transport.account.headers


def test_organization_goes_with_every_call(double, connect):
    with double.state.lock:
        double.state.organizations[5] = {"id": 5, "slug": "team", "name": "Team", "owner": {}, "created_date": ""}
    team = connect(organization="team")
    team.create_project("p", [])
    assert double.state.projects[1]["organization"] == 5
    assert connect(organization="").projects_named("p") == []
    with pytest.raises(NotFound, match="organization does not exist"):
        connect(organization="other").projects_named("p")


def test_login_key_goes_as_token(double, connect):
    assert connect(token="double-login-key-of-admin", scheme="Token").me().username == "admin"
    with pytest.raises(Unauthorized):
        connect(scheme="Token").me()


# --- The token --------------------------------------------------------------------------------------------------------

SECRET = "very-secret-token-4711"


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "a\r\nX-Evil: 1", "é", "\0"])
def test_token_that_would_break_a_header_is_refused_unseen(token):
    with pytest.raises(ValueError, match="token") as caught:
        Account("http://c.example", token + SECRET if token else "", allowed_hosts=frozenset({"c.example"}))
    assert SECRET not in str(caught.value)


def test_token_never_shows(double, connect, caplog):
    caplog.set_level(logging.DEBUG)
    client = connect(token=SECRET)
    texts = [repr(client.transport.account), repr(client.transport.__dict__)]
    double.fault("status", status=400, body=json.dumps({"detail": f"you sent {SECRET}"}))
    double.fault("status", status=502, body=SECRET, times=2)
    for _ in range(2):
        with pytest.raises(CvatError) as caught:
            client.me()
        texts += [str(caught.value), repr(caught.value), str(caught.value.detail)]
    double.fault("cut", times=10)
    with pytest.raises(CvatError) as caught:
        client.me()
    texts += [str(caught.value), caplog.text]
    assert not [text for text in texts if SECRET in text]
    assert "CVAT" in caplog.text


def test_number_that_cvat_cannot_read_back_is_not_sent(double, client, board):
    with pytest.raises(ValueError, match="not finite"):
        client.save(board.task.id, "create", [board.box("1", points=(1, 1, float("inf"), 2))])
    with pytest.raises(ValueError, match="half of a character"):
        client.create_project("\ud800", [])
