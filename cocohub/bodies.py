"""Bodies of requests before Django sees them: large ones go to a disk that has room, or are refused at once.

Django's ASGI handler receives the whole body before it calls a view, and throws it away if the client goes in the
middle. For uploads in parts (tus) that would lose what resuming is for, so `in_pieces` hands a long part over as
several short ones, each of which is kept when it has come. Before any of it is read, the application is asked whether
it would be taken.
"""

import asyncio
import errno
import re
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.api.rendering import dumps

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

PIECE = 8 * 1024 * 1024  # bytes
FORM_OVERHEAD = 1024 * 1024  # bytes of a multipart body that are not files
LEFT_OF_PART = "cocohub.left_of_part"  # in the scope: bytes of the part that are to come, with the piece at hand
TUS_PART = re.compile(r"/api/v1/projects/\d+/uploads/[0-9a-f-]{36}")
OF_THE_PART = {b"content-length", b"upload-offset", b"upload-checksum", b"expect"}  # headers, in small letters
FULL = {errno.ENOSPC, errno.EDQUOT}


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Handler(ASGIHandler):
    """Django's handler; bodies wait in the folder of uploads, and one without end is cut off.

    All of a request, its middleware and its view, is one call in the request's thread. Django's own would go over to
    that thread and back for each middleware's two halves, which takes longer than most answers.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """The middleware and the view, as one synchronous call."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The answer; an answer that is streamed is still made in the event loop, piece by piece."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        try:
            _refuse_large(_length(scope))
            await super().__call__(scope, receive, send)
        except _Refused as refused:
            await _answer(send, refused.status, refused.message)

    async def read_body(self, receive: Any) -> IO[bytes]:
        """The whole body, in memory while it is small. Raises RequestAborted if the client is gone."""
        body = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - the handler closes it
            max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        try:
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestAborted
                chunk = message.get("body", b"")
                size += len(chunk)
                _refuse_large(size)
                body.write(chunk)
                more = message.get("more_body", False)
            body.seek(0)
        except BaseException as error:
            body.close()
            if isinstance(error, OSError) and error.errno in FULL:
                raise _Refused(
                    HTTPStatus.INSUFFICIENT_STORAGE, "The server has no space left; nothing of this was kept."
                ) from error
            raise
        return body


def _length(scope: Message) -> int:
    text = _header(scope, b"content-length")
    return int(text) if text.isdigit() else 0


def _header(scope: Message, name: bytes) -> bytes:
    return next((value for key, value in scope.get("headers", ()) if key.lower() == name), b"")


def _refuse_large(size: int) -> None:
    if size > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD:
        raise _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body has more than {settings.MAX_UPLOAD_BYTES:,} bytes, which is the most that is taken.",
        )


async def _answer(send: Send, status: HTTPStatus, message: str) -> None:
    # The rest of the body is not read: the connection cannot be used again.
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": dumps({"message": message})})


def in_pieces(application: Application) -> Application:
    """The application, called several times for one long part of a tus upload.

    The first call has nothing of the body: whoever may not send it, sends it to the wrong place or sends more than was
    announced gets that answer, and nothing is read. Each of the others has a piece and the `Upload-Offset` where it
    belongs; the first that is refused ends it, and the client gets that answer, or the last. A part with a checksum
    goes through whole, for it counts as a whole.
    """

    async def call(scope: Message, receive: Receive, send: Send) -> None:
        if not _is_tus_part(scope) or _length(scope) <= PIECE:
            await application(scope, receive, send)
            return
        part = _Part(scope, receive)
        answer = await part.hand_over(application)
        taken = answer[0]["status"] == HTTPStatus.NO_CONTENT
        if taken and _header(scope, b"upload-checksum"):
            await application(scope, receive, send)
            return
        while taken and not part.is_over and await part.collect():
            answer = await part.hand_over(application)
            taken = answer[0]["status"] == HTTPStatus.NO_CONTENT
        if not part.is_gone:
            for message in answer:
                await send(message)

    return call


def _is_tus_part(scope: Message) -> bool:
    return scope["type"] == "http" and scope["method"] == "PATCH" and bool(TUS_PART.fullmatch(scope["path"]))


class _Part:
    """One request's body on its way."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.is_gone = False  # the client
        self.is_over = False
        offset = _header(scope, b"upload-offset")
        self.offset = int(offset) if offset.isdigit() else None
        self.left = _length(scope)  # bytes
        self._piece = bytearray()

    async def collect(self) -> bool:
        """Receive the next piece; False if there is nothing more."""
        while len(self._piece) < PIECE and not self.is_over:
            message = await self.receive()
            self.is_gone = message["type"] == "http.disconnect"
            self._piece += message.get("body", b"")
            self.is_over = self.is_gone or not message.get("more_body", False)
        return bool(self._piece)

    async def hand_over(self, application: Application) -> list[Message]:
        """Call the application with the piece, or with nothing before the first; give its answer."""
        piece, self._piece = bytes(self._piece), bytearray()
        headers = [(key, value) for key, value in self.scope["headers"] if key not in OF_THE_PART]
        headers.append((b"content-length", b"%d" % len(piece)))
        if self.offset is not None:
            headers.append((b"upload-offset", b"%d" % self.offset))
            self.offset += len(piece)
        answer: list[Message] = []
        body = [{"type": "http.request", "body": piece, "more_body": False}]

        async def receive() -> Message:
            if body:
                return body.pop()
            await _never()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answer.append(message)

        await application({**self.scope, "headers": headers, LEFT_OF_PART: self.left}, receive, send)
        self.left -= len(piece)
        return answer


async def _never() -> None:
    """Wait until cancelled: to the application, the client stays while its piece is being kept."""
    await asyncio.Event().wait()
