"""Waiting for what CVAT does in its background, with growing pauses and an end."""

import time
from collections.abc import Callable

from exports.cvat.client import Client
from exports.cvat.errors import CvatError, NotFound, Unwell, last_line
from exports.cvat.records import Request, Task

FIRST_PAUSE = 0.2  # seconds
LONGEST_PAUSE = 15.0
GROWTH = 1.5
SECOND_LOOK = 1.0  # seconds until a failed request has its short message, a finished one its frames
LOOKS = 5


class CreationFailed(CvatError):
    """CVAT could not make the task from the images. The task is spoilt: delete it and make a new one, once."""

    saying = "CVAT could not make the task"


class TookTooLong(CvatError):
    """The request is still waiting or running after all the time allowed; it may finish later."""

    saying = "CVAT is still at it"


class RequestGone(CvatError):
    """CVAT knows no such request and the task has no frames: it was cancelled or lost. Start it again."""

    saying = "CVAT has lost the request"


def wait_for_task(
    client: Client,
    task_id: int,
    rq_id: str,
    *,
    limit: float,
    first_pause: float = FIRST_PAUSE,
    clock: Callable[[], float] = time.monotonic,
) -> Task:
    """Wait until the task has its frames, `limit` seconds at most, and return it.

    Raises CreationFailed with CVAT's reason, RequestGone, TookTooLong, or NotFound if the task was deleted meanwhile.
    """
    end = clock() + limit
    pause = first_pause
    while True:
        request = _look(client, rq_id)
        if request is None or request.status == "finished":
            # Known for some minutes after its end only. So the task is what counts.
            return _made(client, task_id, gone=request is None, pause=min(first_pause, SECOND_LOOK))
        if request.status == "failed":
            client.transport.pause(SECOND_LOOK)
            again = _look(client, rq_id)  # at first the message may be a whole traceback
            words = last_line(again.message if again and again.status == "failed" else request.message)
            raise CreationFailed(0, words or "it gave no reason", doing=f"from the images of task {task_id}")
        if clock() + pause > end:
            raise TookTooLong(0, f"{request.status} after {limit:.0f} seconds", doing=f"make task {task_id}")
        client.transport.pause(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _look(client: Client, rq_id: str) -> Request | None:
    try:
        return client.request(rq_id)
    except NotFound:
        return None
    except CvatError as error:
        if error.status == 400 and "does not exist" in error.words:  # the task of the request was deleted
            return None
        raise


def _made(client: Client, task_id: int, *, gone: bool, pause: float) -> Task:
    for look in range(LOOKS):
        task = client.task(task_id)
        if task.size:
            return task
        if gone and look:
            raise RequestGone(0, "the task has no frames", doing=f"make task {task_id}")
        client.transport.pause(pause)
    raise Unwell(0, "the request is finished, but the task shows no frames.", doing=f"make task {task_id}")
