"""Which errors say that a server is unwell right now, so that the same work may well succeed a little later; and which
say that who runs the installation has to put something right first."""

import errno
import os
from datetime import timedelta
from types import ModuleType

from django.conf import settings
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from projects.claims import TryLater

_TELL = "Tell who runs it; what is stored is untouched, and this can be tried again then."

FIRST_PAUSE = timedelta(seconds=settings.TASK_RETRY_SECONDS)
PAUSE_FACTOR = 3

TEMPORARY = (
    TryLater,
    OperationalError,
    InterfaceError,
    BrokerError,
    RedisConnectionError,
    RedisTimeoutError,
    ConnectionError,
    TimeoutError,
)
FULL = {errno.ENOSPC, errno.EDQUOT}
# Broken, read-only, not ours; a disk of a network that is gone or another one now; something else for a folder.
DISK = {errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTDIR}


def is_temporary(error: BaseException) -> bool:
    """Whether trying again is worth it."""
    return isinstance(error, TEMPORARY) or _bucket().is_temporary(error)


def to_put_right(error: BaseException) -> str:
    """For the user, what who runs the installation has to put right before this can be done; "" for anything else."""
    if is_full(error):
        return "The server has no space left; nothing of this was kept. Try again once there is room."
    if isinstance(error, OSError) and error.errno in DISK:
        return f"The server's disk does not serve as it should ({os.strerror(error.errno)}). {_TELL}"
    wrong = _bucket().wrong(error)
    return wrong and f"{wrong} {_TELL}"


def is_full(error: BaseException) -> bool:
    """Whether there is no room left, on a disk of ours or in the bucket."""
    return (isinstance(error, OSError) and error.errno in FULL) or _bucket().is_full(error)


def is_of_storage(error: BaseException) -> bool:
    """Whether storage has failed, in whatever way."""
    return _bucket().is_any(error)


def _bucket() -> ModuleType:
    from projects import bucket_faults  # with boto3, which an installation without a bucket never needs in memory

    return bucket_faults


def pause_after(error: BaseException, attempt: int) -> timedelta:
    """How long to wait after the attempt of this number (1, 2, ...)."""
    if isinstance(error, TryLater) and error.after is not None:
        return error.after
    return FIRST_PAUSE * PAUSE_FACTOR ** (attempt - 1)


def in_words(error: BaseException) -> str:
    """The error for the user."""
    if isinstance(error, TryLater):
        return error.message
    if isinstance(error, (OperationalError, InterfaceError)):
        return "The database did not answer as it should."
    return f"A server that is needed did not answer ({type(error).__name__})."
