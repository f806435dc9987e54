"""A bucket to test with: moto's server on this machine, or any S3 that the environment names, behind a wire.

`COCOHUB_TEST_S3_ENDPOINT=http://host:port` with `COCOHUB_TEST_S3_ACCESS_KEY` and `COCOHUB_TEST_S3_SECRET_KEY` names
another; each use makes a bucket of its own there, and deletes it. The wire speaks HTTP, so the endpoint must, too.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import boto3

from tests.faults.house import wait_until
from tests.faults.wire import Wire

VARIABLE = "COCOHUB_TEST_S3_"


@contextmanager
def server() -> Iterator[tuple[str, str, str]]:
    """Endpoint, access key and secret key of an S3."""
    if endpoint := os.environ.get(f"{VARIABLE}ENDPOINT"):
        yield endpoint, os.environ[f"{VARIABLE}ACCESS_KEY"], os.environ[f"{VARIABLE}SECRET_KEY"]
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            return False

        wait_until(answers, 60, "moto's server answers")
        yield f"http://127.0.0.1:{port}", "test", "test"
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def bucket_at(endpoint: str, access: str, secret: str) -> Iterator[str]:
    """A bucket that is gone afterwards."""
    s3: Any = boto3.resource(
        "s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1"
    )
    ours = s3.Bucket(f"cocohub-test-{secrets.token_hex(6)}")
    ours.create()
    try:
        yield ours.name
    finally:
        with suppress(Exception):
            for unfinished in ours.multipart_uploads.all():
                unfinished.abort()
            ours.objects.all().delete()
            ours.delete()


def wire_to(endpoint: str) -> Wire:
    """A wire to the server of the endpoint."""
    place = urlsplit(endpoint)
    return Wire(place.port or 80, place.hostname or "127.0.0.1")


@contextmanager
def bucket() -> Iterator[tuple[Wire, dict[str, str]]]:
    """A wire to a bucket, and the settings of an installation that uses it."""
    with server() as (endpoint, access, secret), bucket_at(endpoint, access, secret) as name:
        with wire_to(endpoint) as wire:
            yield wire, {
                "S3_BUCKET": name, "S3_ENDPOINT": wire.url, "S3_ACCESS_KEY": access, "S3_SECRET_KEY": secret,
                "S3_TIMEOUT_SECONDS": "3",
            }  # fmt: skip
