"""Progress as it happens, as server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

`progress` events carry the task as `GET tasks/{id}` shows it, twice a second at most and only when it has changed;
`end` is the last one. The view is done before the first event: what follows is sent by the event loop.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from hashlib import blake2s
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection
from django.http import StreamingHttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from accounts import tokens
from accounts.api.authentication import BearerAuthentication, caller
from accounts.api.parameters import Described
from accounts.api.rendering import dumps
from accounts.errors import NotFound
from accounts.models import User
from projects import watching
from projects.api.serializers import TaskSerializer
from projects.models import Task

TICKET_SALT = "cocohub.task-events"
TICKET_SECONDS = 120
RETRY = 3_000  # milliseconds after which a browser connects again
CLAIMS = ("sub", "sid", "ver")  # of an access token: who, which login, which password


def ticket_for(claims: Mapping[str, Any], task: UUID) -> str:
    """A signed word that opens the events of this one task for a short while, for the session of these claims."""
    content = {"task": str(task), **{name: str(claims[name]) for name in CLAIMS}}
    return signing.TimestampSigner(salt=TICKET_SALT).sign_object(content)


class TicketAuthentication(BaseAuthentication):
    """Takes `?ticket=`: EventSource of browsers cannot send a header. Who logs out ends the ticket too."""

    def authenticate(self, request: Request) -> tuple[User, Mapping[str, Any]] | None:
        """The ticket's user and claims; None if there is no ticket."""
        ticket = request.query_params.get("ticket")
        if not ticket:
            return None
        try:
            claims = signing.TimestampSigner(salt=TICKET_SALT).unsign_object(ticket, max_age=TICKET_SECONDS)
        except signing.BadSignature as error:
            raise AuthenticationFailed("This ticket is not valid or has run out. Ask for another.") from error
        kwargs = (request.parser_context or {}).get("kwargs", {})
        user = tokens.holder(claims)
        if user is None or claims["task"] != str(kwargs.get("pk")):
            raise AuthenticationFailed("This ticket is for another task, or its session has ended.")
        return user, claims

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="api"'


class TicketScheme(OpenApiAuthenticationExtension):
    """Describes the ticket in the OpenAPI document."""

    target_class = TicketAuthentication
    name = "ticket"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A key in the query."""
        return {"type": "apiKey", "in": "query", "name": "ticket"}


class WhateverIsAsked(BaseContentNegotiation):
    """Errors are JSON also for who accepts nothing but an event stream."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The first one."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first one."""
        return renderers[0], renderers[0].media_type


@extend_schema(tags=["tasks"])
class TaskEventsView(Described):
    """The progress of one task as a stream of events."""

    authentication_classes = (BearerAuthentication, TicketAuthentication)
    content_negotiation_class = WhateverIsAsked

    @extend_schema(
        parameters=[
            OpenApiParameter("ticket", str, description="From `POST tasks/{id}/ticket`, instead of a header."),
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="What was seen already."),
        ],
        responses={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "`progress` events, then `end`.")},
    )
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        """Follow a task: `progress` events whenever it gets on, `end` when it is over."""
        user = caller(request)
        if not Task.objects.visible_to(user).filter(pk=pk).exists():
            raise NotFound(f"There is no task {pk} among yours.")
        claims: Any = request.auth
        watcher = watching.Watcher(pk, user.pk, {name: claims[name] for name in CLAIMS})
        seen = request.headers.get("Last-Event-ID", "")
        if not connection.in_atomic_block:
            connection.close()  # the thread that made it stays until the stream ends, and would hold it
        response = StreamingHttpResponse(_events(watcher, seen), content_type="text/event-stream; charset=utf-8")
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"  # nginx
        return response


def shown(task: Task) -> bytes:
    """The task as the API shows it."""
    return dumps(TaskSerializer(task).data)


async def _events(watcher: watching.Watcher, seen: str) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY
    async with aclosing(watching.follow(watcher, shown)) as following:
        async for news in following:
            if news is None:
                yield b": still here\n\n"
                continue
            name = blake2s(news.data, digest_size=8).hexdigest()
            if news.is_last or name != seen:
                event = b"end" if news.is_last else b"progress"
                yield b"event: %s\nid: %s\ndata: %s\n\n" % (event, name.encode(), news.data)
