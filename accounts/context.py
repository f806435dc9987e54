"""Through which door a change came, under which request id and with which script's token; set at the door, read by
audit lines and logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
door: ContextVar[str] = ContextVar("door", default="")
token: ContextVar[str] = ContextVar("token", default="")


@contextmanager
def entering(by: str, *, request: str = "") -> Iterator[None]:
    """Mark what happens inside as having come by `api`, `admin`, `command` or `task`."""
    door_before, request_before, token_before = door.set(by), request_id.set(request), token.set("")
    try:
        yield
    finally:
        door.reset(door_before)
        request_id.reset(request_before)
        token.reset(token_before)
