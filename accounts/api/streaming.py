"""Long answers, written while they are read: Django would hold all of a generator's output in memory under ASGI."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from rest_framework.request import Request

PIECE = 256 * 1024  # bytes sent at once


def streamed(request: Request, parts: Iterable[bytes], content_type: str, name: str = "") -> StreamingHttpResponse:
    """An answer of these parts, made one after the other; a download if it has a name."""
    pieces = _joined(parts)
    is_async = isinstance(request._request, ASGIRequest)
    response = StreamingHttpResponse(_from_thread(pieces) if is_async else pieces, content_type=content_type)
    if name:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def read_in_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file's bytes; it is closed at the end."""
    with file:
        while piece := file.read(PIECE):
            yield piece


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


async def _from_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    following = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await following()) is not None:
        yield piece
