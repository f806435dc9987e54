"""Files as answers: whole, from where a download broke off, and never in one piece in memory."""

import io

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.test import RequestFactory

from accounts.api import streaming
from accounts.api.streaming import stored_file
from tests import asynchronous

CONTENT = bytes(range(256)) * 4


def answer(asked: str = "", content: bytes = CONTENT, method: str = "GET") -> StreamingHttpResponse:
    headers = {"Range": asked} if asked else {}
    request = RequestFactory().generic(method, "/file", headers=headers)
    return stored_file(request, io.BytesIO(content), "application/zip", "of mine.zip")


def body(response: StreamingHttpResponse) -> bytes:
    return b"".join(response.streaming_content)


def test_whole_file():
    response = answer()

    assert (response.status_code, response["Content-Length"], response["Accept-Ranges"]) == (200, "1024", "bytes")
    assert response["Content-Disposition"] == 'attachment; filename="of mine.zip"'
    assert "Content-Range" not in response
    assert body(response) == CONTENT


@pytest.mark.parametrize(
    ("asked", "expected", "told"),
    [
        ("bytes=1000-", CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=0-0", CONTENT[:1], "bytes 0-0/1024"),
        ("bytes=0-", CONTENT, "bytes 0-1023/1024"),
        ("bytes=10-19", CONTENT[10:20], "bytes 10-19/1024"),
        ("bytes=1020-9999", CONTENT[1020:], "bytes 1020-1023/1024"),
        ("bytes=-5", CONTENT[-5:], "bytes 1019-1023/1024"),
        ("bytes=-5000", CONTENT, "bytes 0-1023/1024"),
    ],
)
def test_range(asked, expected, told):
    response = answer(asked)

    assert (response.status_code, response["Content-Range"]) == (206, told)
    assert response["Content-Length"] == str(len(expected))
    assert body(response) == expected


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=9-2", "bytes=-0"])
def test_range_that_is_not_there(asked):
    response = answer(asked)

    assert (response.status_code, response["Content-Range"], body(response)) == (416, "bytes */1024", b"")


@pytest.mark.parametrize(
    "asked", ["bytes=a-b", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=٣-", "bytes=" + "9" * 40]
)
def test_what_is_no_range_gets_the_whole(asked):
    response = answer(asked)

    assert (response.status_code, body(response)) == (200, CONTENT)


def test_range_of_a_post_and_of_an_empty_file():
    assert answer("bytes=1-", method="POST").status_code == 200
    empty = answer(content=b"")
    assert (empty.status_code, empty["Content-Length"], body(empty)) == (200, "0", b"")


@pytest.mark.django_db  # the end of a request looks after connections
def test_file_is_closed_even_if_nobody_reads():
    file = io.BytesIO(CONTENT)
    stored_file(RequestFactory().get("/"), file, "application/zip").close()

    assert file.closed


def test_under_asgi_one_piece_at_a_time_is_read(monkeypatch):
    monkeypatch.setattr(streaming, "PIECE", 100)
    read = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size)
            return super().read(size)

    async def receive() -> list[bytes]:
        request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": []}, io.BytesIO())
        pieces = aiter(stored_file(request, Watched(CONTENT), "application/zip").streaming_content)
        first = await anext(pieces)
        assert read == [100]
        return [first, *[piece async for piece in pieces]]

    received = asynchronous.run(receive())

    assert b"".join(received) == CONTENT
    assert {len(piece) for piece in received[:-1]} == {100}
