"""Through which door a change came, under which request id and with which script's token; set at the door, read by
audit lines and logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from structlog import contextvars as logged

request_id: ContextVar[str] = ContextVar("request_id", default="")
door: ContextVar[str] = ContextVar("door", default="")
token: ContextVar[str] = ContextVar("token", default="")


@contextmanager
def entering(by: str, *, request: str = "") -> Iterator[None]:
    """Mark what happens inside as having come by `api`, `admin`, `command` or `task`.

    Log lines inside say so too. Those of a task go on with what the message that started it brought along: the id of
    the request and its user.
    """
    door_before, request_before, token_before = door.set(by), request_id.set(request), token.set("")
    before = logged.get_contextvars()
    if by != "task":
        logged.clear_contextvars()
    tell(door=by or "web", **({"task_id" if by == "task" else "request_id": request} if request else {}))
    try:
        yield
    finally:
        door.reset(door_before)
        request_id.reset(request_before)
        token.reset(token_before)
        logged.clear_contextvars()
        tell(**before)


def tell(**facts: object) -> None:
    """Have all log lines from here on say this: `user_id=3`, `project_id=7`."""
    logged.bind_contextvars(**facts)
