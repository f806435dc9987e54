"""What is counted of the whole installation, whichever process it happens in: kept in Redis, read by Prometheus.

Every process gathers its counts for a second and adds them to one hash. So workers need no port that Prometheus must
find, and what a process counted outlives it. A count is never worth a failure: with Redis away it is dropped.
"""

import atexit
import json
import logging
import os
import threading
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

KEY = "cocohub:meters"
EVERY = 1.0  # seconds between two writes of one process
PATIENCE = 1.0  # seconds that Redis may take
SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


@dataclass(frozen=True)
class Meter:
    """One thing that is counted (`counter`) or timed (`histogram` of seconds), by labels of few values each."""

    kind: Literal["counter", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...]


METERS = {
    meter.name: meter
    for meter in (
        Meter("counter", "cocohub_jobs", "Jobs that have ended, by how.", ("kind", "outcome")),
        Meter("counter", "cocohub_jobs_postponed", "Attempts put back because a server was unwell.", ("kind",)),
        Meter("histogram", "cocohub_job_seconds", "How long jobs took from start to end.", ("kind",)),
        Meter("counter", "cocohub_rows_imported", "Rows that imports have added.", ("what",)),
        Meter("counter", "cocohub_cvat_calls", "Calls to CVAT, each try by itself.", ("method", "outcome")),
        Meter("counter", "cocohub_cvat_retries", "Calls to CVAT that were made again.", ("method",)),
        Meter("histogram", "cocohub_cvat_call_seconds", "How long CVAT took to answer a try.", ("method",)),
        Meter("counter", "cocohub_webhook_deliveries", "Attempts to deliver to webhooks.", ("outcome",)),
        Meter("counter", "cocohub_cache_reads", "Looks into what is remembered.", ("cache", "outcome")),
        Meter("histogram", "cocohub_metric_seconds", "How long figures of insights took to compute.", ("metric",)),
    )
}

# A field of the hash: the meter, its labels' values, and for histograms the part (`sum`, `count` or a bound).
Field = tuple[str, tuple[str, ...], str]

_lock = threading.Lock()
_gathered: Counter[Field] = Counter()
_timer: threading.Timer | None = None


def count(name: str, number: float = 1, **labels: object) -> None:
    """Add to a counter: `count("cocohub_jobs", kind="import", outcome="succeeded")`."""
    if number:
        _add({(name, _values(name, labels), ""): number})


def observe(name: str, seconds: float, **labels: object) -> None:
    """Add one observation to a histogram."""
    values = _values(name, labels)
    fields: dict[Field, float] = {(name, values, "sum"): seconds, (name, values, "count"): 1}
    fields.update({(name, values, str(bound)): 1 for bound in SECONDS if seconds <= bound})
    _add(fields)


def flush() -> None:
    """Write what has been gathered, now."""
    global _timer
    with _lock:
        gathered, _timer = dict(_gathered), None
        _gathered.clear()
    if not gathered:
        return
    try:
        with _redis(settings.REDIS_URL).pipeline(transaction=False) as pipeline:
            for field, number in gathered.items():
                pipeline.hincrbyfloat(KEY, json.dumps(field), number)
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        logger.warning("%d counts are lost, for Redis does not take them: %s", len(gathered), error)


def read() -> dict[Field, float]:
    """All that was counted. Raises redis.RedisError."""
    found: Any = _redis(settings.REDIS_URL).hgetall(KEY)
    fields = {}
    for name, number in found.items():
        meter, values, part = json.loads(name)
        fields[(meter, tuple(values), part)] = float(number)
    return fields


def _add(fields: dict[Field, float]) -> None:
    global _timer
    with _lock:
        for field, number in fields.items():
            _gathered[field] += number  # type: ignore[assignment] # seconds, too
        if _timer is None:
            _timer = threading.Timer(EVERY, flush)
            _timer.daemon = True
            _timer.start()


def _values(name: str, labels: dict[str, object]) -> tuple[str, ...]:
    meter = METERS[name]
    if set(labels) != set(meter.labels):
        raise ValueError(f"{name} has the labels {meter.labels}, not {tuple(labels)}")
    return tuple(str(labels[label]) for label in meter.labels)


@lru_cache(maxsize=2)
def _redis(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)


def _begin_anew() -> None:
    """In a child: what was gathered is the parent's to write, and its timer has not come along."""
    global _lock, _timer
    _lock, _timer = threading.Lock(), None
    _gathered.clear()
    _redis.cache_clear()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(flush)
