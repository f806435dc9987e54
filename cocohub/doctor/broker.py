"""Redis: whether it answers, keeps what it is given, and throws nothing away; and whether all clocks agree."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.health import parts

OLDEST = (6, 2)
FULL = 0.9  # of maxmemory
APART = 2.0  # seconds between two clocks; leases of jobs and codes of log-ins bear more


def answers() -> Found:
    """Takes writes, too."""
    try:
        told = parts.broker()
    except parts.Unwell as failure:
        return error(str(failure), "Start it, or put REDIS_URL right.")
    number = tuple(int(part) for part in str(told["version"]).split(".")[:2])
    if number < OLDEST:
        return error(f"Redis {told['version']} is too old.", "Upgrade to 6.2 or newer.")
    return ok(f"Redis {told['version']} takes writes.")


def memory() -> Found:
    """A broker that throws away what it has no room for loses messages and counters without a word."""
    with _asked() as client:
        told: Any = client.info("memory")
    policy, used, most = told.get("maxmemory_policy", "noeviction"), told["used_memory"], told.get("maxmemory", 0)
    if policy != "noeviction":
        return error(
            f"maxmemory-policy is {policy}: Redis throws messages and counters away when it is full.",
            "redis-cli CONFIG SET maxmemory-policy noeviction, and in its configuration.",
        )
    if most and used > FULL * most:
        return warning(f"{used:,} of {most:,} bytes are used; full, it refuses writes.", "Raise maxmemory.")
    return ok(f"maxmemory-policy is noeviction; {used:,} bytes are used.")


def persistence() -> Found:
    """Jobs are rows and are published again, but counters of limits and of metrics are in Redis alone."""
    with _asked() as client:
        told: Any = client.info("persistence")
    if told.get("aof_enabled") != 1:
        return warning(
            "appendonly is off: a restart forgets counters of limits and metrics, and all waiting messages, which are "
            "sent again from their rows.",
            "redis-cli CONFIG SET appendonly yes, and in its configuration.",
        )
    if told.get("aof_last_write_status") != "ok" or told.get("aof_last_bgrewrite_status") != "ok":
        return error("Redis cannot write its file.", "See its log; mostly the disk is full.")
    return ok("What Redis holds is written to its disk.")


def clocks() -> Found:
    """Leases, tokens and codes compare times of this machine with those of PostgreSQL and Redis."""
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        row = cursor.fetchone()
    between = time.time()
    with _asked() as client:
        told: Any = client.time()
    after = time.time()
    apart = {
        "PostgreSQL": row[0] - (before + between) / 2,
        "Redis": told[0] + told[1] / 1e6 - (between + after) / 2,
    }
    # What the asking itself took is not a difference of clocks.
    slack = APART + (after - before)
    wrong = {name: seconds for name, seconds in apart.items() if abs(seconds) > slack}
    if wrong:
        words = ", ".join(f"{name} is {abs(s):,.1f} s {'ahead' if s > 0 else 'behind'}" for name, s in wrong.items())
        return error(
            f"Clocks differ from this machine's: {words}. Jobs may be taken from workers that live, and links and "
            "codes end too early.",
            "Let NTP (chrony, systemd-timesyncd) set the clock of every machine.",
        )
    return ok("The clocks of this machine, PostgreSQL and Redis agree.")


@contextmanager
def _asked() -> Iterator[redis.Redis]:
    timeouts = {"socket_timeout": parts.SECONDS, "socket_connect_timeout": parts.SECONDS}
    with redis.Redis.from_url(settings.REDIS_URL, **timeouts) as client:
        yield client


CHECKS = (
    Check("redis", answers),
    Check("redis_memory", memory, ("redis",)),
    Check("redis_persistence", persistence, ("redis",)),
    Check("clocks", clocks, ("database", "redis")),
)
