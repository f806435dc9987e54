"""Which errors say that a server is unwell right now, so that the same work may well succeed a little later; and which
say that who runs the installation has to put something right first."""

import errno
import os
from datetime import timedelta
from http import HTTPStatus

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as S3ConnectionError
from django.conf import settings
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from s3transfer.exceptions import RetriesExceededError

from projects.claims import TryLater

_TELL = "Tell who runs it; what is stored is untouched, and this can be tried again then."

FIRST_PAUSE = timedelta(seconds=settings.TASK_RETRY_SECONDS)
PAUSE_FACTOR = 3

TEMPORARY = (
    TryLater,
    OperationalError,
    InterfaceError,
    HTTPClientError,
    S3ConnectionError,
    IncompleteReadError,
    Boto3Error,
    RetriesExceededError,  # a body that broke off, again and again
    BrokerError,
    RedisConnectionError,
    RedisTimeoutError,
    ConnectionError,
    TimeoutError,
)
TEMPORARY_S3_STATUS = {408, 429, 500, 502, 503, 504}
REFUSED_S3_STATUS = {401, 403}
FULL = {errno.ENOSPC, errno.EDQUOT}
DISK = {errno.EIO, errno.EROFS, errno.EACCES}


def is_temporary(error: BaseException) -> bool:
    """Whether trying again is worth it."""
    if isinstance(error, ClientError):
        return _status(error) in TEMPORARY_S3_STATUS
    return isinstance(error, TEMPORARY)


def to_put_right(error: BaseException) -> str:
    """For the user, what who runs the installation has to put right before this can be done; "" for anything else."""
    if is_full(error):
        return "The server has no space left; nothing of this was kept. Try again once there is room."
    if isinstance(error, OSError) and error.errno in DISK:
        return f"The server's disk does not serve as it should ({os.strerror(error.errno)}). {_TELL}"
    if isinstance(error, ClientError) and _status(error) in REFUSED_S3_STATUS:
        code = error.response.get("Error", {}).get("Code", "")
        return f"Storage refuses this installation's credentials ({code}). {_TELL}"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return f"This installation has no credentials for its storage. {_TELL}"
    if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchBucket":
        return f"The bucket of this installation does not exist. {_TELL}"
    return ""


def is_full(error: BaseException) -> bool:
    """Whether there is no room left, on a disk of ours or in the bucket."""
    if isinstance(error, ClientError):
        return _status(error) == HTTPStatus.INSUFFICIENT_STORAGE
    return isinstance(error, OSError) and error.errno in FULL


def is_of_storage(error: BaseException) -> bool:
    """Whether storage has failed, in whatever way."""
    return isinstance(error, (ClientError, BotoCoreError, Boto3Error, RetriesExceededError))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


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
