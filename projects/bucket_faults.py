"""What the errors of an S3 client say. Only `projects.faults` asks."""

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
from s3transfer.exceptions import RetriesExceededError

TEMPORARY = (
    HTTPClientError,
    S3ConnectionError,
    IncompleteReadError,
    Boto3Error,
    RetriesExceededError,  # a body that broke off, again and again
)
TEMPORARY_STATUS = {408, 429, 500, 502, 503, 504}
REFUSED_STATUS = {401, 403}


def is_any(error: BaseException) -> bool:
    """Whether the error is one of a bucket."""
    return isinstance(error, (ClientError, BotoCoreError, Boto3Error, RetriesExceededError))


def is_temporary(error: BaseException) -> bool:
    """Whether trying again is worth it."""
    if isinstance(error, ClientError):
        return _status(error) in TEMPORARY_STATUS
    return isinstance(error, TEMPORARY)


def is_full(error: BaseException) -> bool:
    """Whether the bucket has no room left."""
    return isinstance(error, ClientError) and _status(error) == HTTPStatus.INSUFFICIENT_STORAGE


def wrong(error: BaseException) -> str:
    """What is wrong with the installation's access to its bucket; "" for anything else."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return "This installation has no credentials for its storage."
    if not isinstance(error, ClientError):
        return ""
    code = error.response.get("Error", {}).get("Code", "")
    if _status(error) in REFUSED_STATUS:
        return f"Storage refuses this installation's credentials ({code})."
    return "The bucket of this installation does not exist." if code == "NoSuchBucket" else ""


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
