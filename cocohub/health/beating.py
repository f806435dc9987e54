"""Whether beat lives: it leaves the time in Redis whenever it sends a task, which is every few seconds."""

import logging
import time
from typing import Any

from django.core.cache import cache
from redis import RedisError

logger = logging.getLogger(__name__)

KEY = "cocohub.beat"


def note(*args: Any, **kwargs: Any) -> None:
    """Leave the time. Beat goes on without."""
    try:
        cache.set(KEY, time.time(), None)
    except RedisError as error:
        logger.warning("Beat could not leave the time: %s", error)


def seconds_ago() -> float | None:
    """How long ago beat last sent something; None if it never did, or Redis has been emptied since."""
    noted: float | None = cache.get(KEY)
    return None if noted is None else max(0.0, time.time() - noted)
