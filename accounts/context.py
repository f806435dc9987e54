"""Through which door a change came and under which request id; set at the door, read by audit lines and logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
door: ContextVar[str] = ContextVar("door", default="")


@contextmanager
def entering(by: str, *, request: str = "") -> Iterator[None]:
    """Mark what happens inside as having come by `api`, `admin`, `command` or `task`."""
    door_token, request_token = door.set(by), request_id.set(request)
    try:
        yield
    finally:
        door.reset(door_token)
        request_id.reset(request_token)
