"""Which errors say that a server is unwell right now, and that the same work may well succeed a little later."""

from datetime import timedelta

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as S3ConnectionError
from django.conf import settings
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from projects.claims import TryLater

FIRST_PAUSE = timedelta(seconds=settings.TASK_RETRY_SECONDS)
PAUSE_FACTOR = 3

TEMPORARY = (
    TryLater,
    OperationalError,
    InterfaceError,
    HTTPClientError,
    S3ConnectionError,
    BrokerError,
    RedisConnectionError,
    RedisTimeoutError,
    ConnectionError,
    TimeoutError,
)
TEMPORARY_S3_STATUS = {429, 500, 502, 503, 504}


def is_temporary(error: BaseException) -> bool:
    """Whether trying again is worth it."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in TEMPORARY_S3_STATUS
    return isinstance(error, TEMPORARY)


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
