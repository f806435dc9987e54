"""One function for each part: it returns what is known of it, or raises Unwell. Each ends within its time-out."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import Error as DatabaseFault
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Min
from django.utils import timezone

from accounts.errors import ServiceError
from cocohub import celery_app
from cocohub.health import beating
from exports import connecting
from exports.cvat import checking
from exports.cvat.account import Timeouts
from exports.cvat.client import Client
from exports.cvat.transport import Retries
from projects.models import Task

SECONDS = 2  # each part has so long to answer
QUEUES = ("imports", "thumbnails", "insights", "exports", "sweeps")


class Unwell(Exception):
    """The part does not answer, or not as it should; the message is for who runs the installation."""


def database() -> dict[str, Any]:
    """PostgreSQL takes a new session and has all migrations of this version."""
    wanted = {key for key in MigrationLoader(None, ignore_no_migrations=True).disk_migrations}
    try:
        with (
            psycopg.connect(**database_params(), connect_timeout=SECONDS, autocommit=True) as session,
            session.cursor() as cursor,
        ):
            cursor.execute(f"SET statement_timeout = {SECONDS * 1000}")
            cursor.execute("SELECT current_setting('server_version'), pg_is_in_recovery()")
            version, standby = cursor.fetchone() or ("", False)
            cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
            applied: set[tuple[str, str]] = set()
            if (cursor.fetchone() or (False,))[0]:
                cursor.execute("SELECT app, name FROM django_migrations")
                applied = {(app, name) for app, name in cursor.fetchall()}
    except psycopg.Error as error:
        raise Unwell(f"PostgreSQL does not answer: {first_line(error)}") from error
    missing = sorted(f"{app}.{name}" for app, name in wanted - applied)
    if missing:
        raise Unwell(f"{len(missing)} migration(s) are not applied, {missing[0]} first. Run `manage.py migrate`.")
    if standby:
        raise Unwell("PostgreSQL is a standby: it can be read, but nothing can be written.")
    return {"version": version}


def database_params() -> dict[str, Any]:
    """What a session beside Django's is opened with: all that libpq knows of, so that it goes where Django's go."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - {"connect_timeout"}
    return {name: value for name, value in connection.get_connection_params().items() if name in known}


def broker() -> dict[str, Any]:
    """Redis answers and takes writes; how many messages wait in each queue."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            known: Any = client.info("server")
            client.set("cocohub:health", "1", ex=60)  # a full or read-only server answers a ping, too
            return {"version": known["redis_version"], "waiting": {name: client.llen(name) for name in QUEUES}}
    except redis.RedisError as error:
        raise Unwell(f"Redis does not take what it should: {first_line(error)}") from error


def storage() -> dict[str, Any]:
    """The bucket is there and ours, or the folder can be written to and its disk has room."""
    if hasattr(default_storage, "bucket_name"):
        return _bucket(default_storage)
    place = Path(default_storage.path(""))
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe = place / f".health-{socket.gethostname()}-{os.getpid()}"
        probe.write_bytes(b"cocohub")
        probe.unlink()
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise Unwell(f"The storage folder cannot be written to: {error.strerror}.") from error
    if free < settings.MIN_FREE_BYTES:
        raise Unwell(f"The disk of the storage has {free:,} bytes left; MIN_FREE_BYTES is {settings.MIN_FREE_BYTES:,}.")
    return {"kind": "local", "free_bytes": free}


def _bucket(store: Any) -> dict[str, Any]:
    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"max_attempts": 0})
    client = store._create_session().client(
        "s3",
        region_name=store.region_name,
        endpoint_url=store.endpoint_url,
        config=store.client_config.merge(patience),
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )
    try:
        client.head_bucket(Bucket=store.bucket_name)
    except (ClientError, BotoCoreError) as error:
        raise Unwell(f"The bucket {store.bucket_name!r} does not answer: {error}") from error
    return {"kind": "s3", "bucket": store.bucket_name}


def workers() -> dict[str, Any]:
    """Workers answer, and between them they serve every queue."""
    try:
        with celery_app.connection_for_write(connect_timeout=SECONDS) as session:
            found = celery_app.control.inspect(timeout=SECONDS / 2, connection=session).active_queues() or {}
    except (OSError, redis.RedisError) as error:
        raise Unwell(f"The workers cannot be asked: {first_line(error)}") from error
    serving = {name: sorted(queue["name"] for queue in queues) for name, queues in found.items()}
    unserved = set(QUEUES).difference(*serving.values())
    if unserved:
        raise Unwell(f"No worker answers for {', '.join(sorted(unserved))}.")
    return {"workers": serving}


def beat() -> dict[str, Any]:
    """Beat sends what is due; without it nothing is taken over from a dead worker, and nothing is cleaned up."""
    try:
        ago = beating.seconds_ago()
    except redis.RedisError as error:
        raise Unwell(f"Whether beat lives cannot be asked: {first_line(error)}") from error
    if ago is None:
        raise Unwell("Beat has sent nothing yet. Is `celery -A cocohub beat` running?")
    if ago > max(30.0, 3 * settings.TASK_SWEEP_SECONDS):
        raise Unwell(f"Beat has sent nothing for {ago:,.0f} seconds. Is `celery -A cocohub beat` running?")
    return {"seconds_ago": round(ago, 1)}


def queues() -> dict[str, Any]:
    """How many jobs of each kind wait and run, and for how many seconds the oldest has waited."""
    now = timezone.now()
    try:
        waiting = Task.objects.filter(status=Task.Status.QUEUED).values("kind")
        running = Task.objects.filter(status=Task.Status.RUNNING).values("kind")
        oldest = waiting.aggregate(at=Min("created_at"))["at"]
        return {
            "waiting": dict(waiting.annotate(jobs=Count("pk")).values_list("kind", "jobs")),
            "running": dict(running.annotate(jobs=Count("pk")).values_list("kind", "jobs")),
            "oldest_seconds": round((now - oldest).total_seconds()) if oldest else 0,
        }
    except DatabaseFault as error:
        raise Unwell(f"The jobs cannot be read: {first_line(error)}") from error


def cvat() -> dict[str, Any]:
    """The CVAT of the installation answers and knows our token. What is not set up cannot be unwell."""
    if not settings.CVAT_API_URL:
        return {"configured": False}
    try:
        account = connecting.account_of_installation()
    except ServiceError as error:
        raise Unwell(error.message) from error
    account = replace(account, timeouts=Timeouts(connect=SECONDS, read=SECONDS))
    with Client.open(account, retries=Retries(attempts=1)) as client:
        found = checking.check(client)
    if not found.ok:
        raise Unwell(found.message)
    return {"configured": True, "version": found.version, "user": found.username}


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


Look = Callable[[], dict[str, Any]]
READY: dict[str, Look] = {"database": database, "redis": broker, "storage": storage}
ALL: dict[str, Look] = {**READY, "workers": workers, "beat": beat, "queues": queues, "cvat": cvat}
