"""Long answers, written while they are read: Django would hold all of a generator's output in memory under ASGI."""

import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from rest_framework.request import Request

PIECE = 256 * 1024  # bytes sent at once
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?|bytes=-(\d{1,18})", re.ASCII)


def streamed(
    request: Request | HttpRequest, parts: Iterable[bytes], content_type: str, name: str = "", status: int = 200
) -> StreamingHttpResponse:
    """An answer of these parts, made one after the other; a download if it has a name."""
    pieces = _joined(parts)
    asked = request._request if isinstance(request, Request) else request
    content = _from_thread(pieces) if isinstance(asked, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=content_type, status=status)
    if name:
        response["Content-Disposition"] = content_disposition_header(True, name)
    return response


def stored_file(
    request: Request | HttpRequest, file: IO[bytes], content_type: str, name: str = ""
) -> StreamingHttpResponse:
    """An answer of a file that can be sought in, or of the one range that is asked for, so that a download can go on.

    `file` is closed once it is sent. A range that lies outside is 416; several ranges are answered with the whole
    (RFC 9110, 14.2).
    """
    size = file.seek(0, os.SEEK_END)
    asked = RANGE.fullmatch(request.headers.get("Range", "")) if request.method == "GET" and size else None
    first, end = _range_of(asked, size) if asked else (0, size)
    status = 200 if asked is None else 206 if first < end else 416
    if status == 416:
        first = end = 0
    file.seek(first)
    response = streamed(request, read_in_pieces(file, end - first), content_type, name, status)
    # A client that goes away before the first piece leaves the generator unstarted: the answer closes the file then.
    response._resource_closers.append(file.close)  # type: ignore[attr-defined] # as FileResponse does
    response["Accept-Ranges"] = "bytes"
    response["Content-Length"] = str(end - first)
    if status == 416:
        response["Content-Range"] = f"bytes */{size}"
    elif status == 206:
        response["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return response


def _range_of(asked: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the one after the last; the first is not below the second where nothing of it is there."""
    first, last, of_the_end = asked.groups()
    if of_the_end is not None:
        return max(0, size - int(of_the_end)), size
    return int(first), min(size, int(last) + 1 if last else size)


def read_in_pieces(file: IO[bytes], size: int | None = None) -> Iterator[bytes]:
    """A file's bytes from where it stands, `size` of them at most; it is closed at the end."""
    with file:
        while piece := file.read(PIECE if size is None else min(PIECE, size)):
            yield piece
            if size is not None:
                size -= len(piece)


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    waiting, size = [], 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _let_go() -> None:
    """Give back the request's database connection: a slow client must not keep it for hours."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def _from_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    await sync_to_async(_let_go, thread_sensitive=True)()
    following = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await following()) is not None:
        yield piece
