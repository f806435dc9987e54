"""Connections to PostgreSQL that a web process keeps and lends to one request at a time.

Under ASGI Django answers every request in a thread of its own, so a connection kept for its thread (CONN_MAX_AGE) is
never used again: without a pool each request opens a session, which costs more than its queries. Only the processes
that serve the web have one: workers fork, which a pool does not survive, and their one thread keeps its connection.

What a request sets must end with its transaction (SET LOCAL), for the next one gets the same session.
"""

import atexit

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

KEPT = 1  # connections that stay open while nobody asks anything
# How long the pool tries to connect, at growing intervals and one attempt at a time, before the next request begins
# anew. Left to itself it goes on for minutes, and when the server is back after an outage it sleeps as long again.
TRY_SECONDS = 6


def pool_connections() -> None:
    """Have all connections that this process makes come from a pool. Call it before the first one is made."""
    if not settings.DATABASE_POOL_SIZE:
        return
    database = connections.settings[DEFAULT_DB_ALIAS]
    database["CONN_MAX_AGE"] = 0  # back to the pool when the request is answered
    database["OPTIONS"] = {
        **database["OPTIONS"],
        "pool": {
            "min_size": KEPT,
            "max_size": settings.DATABASE_POOL_SIZE,
            "timeout": settings.DATABASE_POOL_TIMEOUT,
            "reconnect_timeout": TRY_SECONDS,
            "name": "cocohub",
        },
    }
    atexit.register(_close)


def _close() -> None:
    connections[DEFAULT_DB_ALIAS].close_pool()  # type: ignore[attr-defined] # PostgreSQL's has one
