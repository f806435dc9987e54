"""`Idempotency-Key` on every POST: a call that is sent again is not made again.

As in draft-ietf-httpapi-idempotency-key-header: the same key and body get the same answer, marked with
`Idempotency-Replayed: true`; another body gets 422, a call that is still being answered 409.
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import once
from accounts.api.authentication import caller
from accounts.errors import Conflict

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_ANSWER = 1024 * 1024  # bytes; a longer one is not kept, and the call would be made again
KEPT_HEADERS = ("Location", "ETag", "Content-Type", "Cache-Control", "Upload-Offset", "Upload-Expires", "Tus-Resumable")
OF_UPLOADS = ("Content-Length", "Content-Type", "Upload-Length", "Upload-Metadata", "Upload-Checksum")
PARSED = {"application/json", "multipart/form-data"}
PARAMETER = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="A word of your own for this request (a UUID, say). Sent again within 24 hours with the same key and "
    "body it is not made again: the answer is the first one. With another body it is 422, while the first is still "
    "being answered 409.",
)

Handler = Callable[..., HttpResponseBase]


def wrapped(handler: Handler, request: Request, *, secret: bool) -> Handler:
    """The handler of a POST, called once for each key. Answers that are `secret` are not kept; a repeat gets 409."""
    if not request.headers.get(HEADER) or not request.user.is_authenticated:
        return handler

    def call(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        found = once.begin(user=caller(request), key=request.headers[HEADER], path=request.path, body=_digest(request))
        if isinstance(found, once.Answer):
            return _again(found)
        try:
            response = handler(request, *args, **kwargs)
        except BaseException:
            found.release()
            raise
        _keep(found, response, secret)
        return response

    return call


def _again(answer: once.Answer) -> HttpResponse:
    if answer.body is None:
        raise Conflict(
            "This was done already, for the same Idempotency-Key. What was answered was secret and not kept."
        )
    return HttpResponse(answer.body, status=answer.status, headers={**answer.headers, REPLAYED: "true"})


def _keep(turn: once.Turn, response: HttpResponseBase, secret: bool) -> None:
    if response.status_code >= 300 or response.streaming:
        turn.release()
        return

    def keep(rendered: Any) -> None:
        if len(rendered.content) > MAX_ANSWER:
            turn.release()
            return
        headers = {name: rendered[name] for name in KEPT_HEADERS if rendered.has_header(name)}
        turn.keep(once.Answer(rendered.status_code, None if secret else rendered.content, headers))

    if isinstance(response, Response):
        response.add_post_render_callback(keep)
    else:
        keep(response)


def _digest(request: Request) -> bytes:
    """Names the body, in whatever order its fields come. Bytes of uploads in parts are named by their headers."""
    digest = blake2b(digest_size=32)
    if PARSED.isdisjoint(parser.media_type for parser in request.parsers or ()):
        told = [(name, request.headers.get(name, "")) for name in OF_UPLOADS]
        digest.update(orjson.dumps(told))
    else:
        for part in _parts(request.data):
            digest.update(part)
    query = sorted(request.query_params.lists())
    digest.update(orjson.dumps(query))
    return salted_hmac("cocohub.idempotency", digest.digest(), algorithm="sha256").digest()


def _parts(data: Any) -> Iterable[bytes]:
    if isinstance(data, QueryDict):
        for name in sorted(data):
            for value in data.getlist(name):
                yield orjson.dumps([name, getattr(value, "name", value)])
                if isinstance(value, UploadedFile):
                    yield from value.chunks()
                    value.seek(0)
        return
    yield orjson.dumps(dict(data) if isinstance(data, Mapping) else data, option=orjson.OPT_SORT_KEYS)
