"""PostgreSQL: whether it answers, is of a version and state that work, and is looked after."""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.health import parts

OLDEST, NEWEST = 15, 18  # major versions that the tests have been run with
IDLE_SECONDS, LONG_SECONDS = 300, 3600  # of a transaction that waits for its client, and of any
FULL = 0.8  # of the connections that there may be
MANY_DEAD, DEAD_SHARE = 100_000, 0.3  # rows of a table
OLD_TRANSACTIONS = 1_000_000_000  # half of the way to where PostgreSQL refuses to write
SHOWN = 3


def database() -> Found:
    """Takes a session, and can be written to."""
    try:
        with psycopg.connect(**parts.database_params(), connect_timeout=parts.SECONDS, autocommit=True) as session:
            standby = session.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    except psycopg.Error as failure:
        return error(f"PostgreSQL does not answer: {parts.first_line(failure)}", "Start it, or put DATABASE_URL right.")
    if standby:
        return error("PostgreSQL is a standby: nothing can be written.", "Let DATABASE_URL lead to the primary.")
    return ok("PostgreSQL answers.")


def version() -> Found:
    """Of a kind that this was tried with."""
    ((number,),) = _rows("SELECT current_setting('server_version_num')::int / 10000")
    if number < OLDEST:
        return error(
            f"PostgreSQL {number} is too old.", f"Upgrade to {OLDEST} or newer; {NEWEST} is what tests run on."
        )
    if number > NEWEST:
        return warning(f"PostgreSQL {number} is newer than what this was tried with.", f"Use {OLDEST} to {NEWEST}.")
    return ok(f"PostgreSQL {number}.")


def migrations() -> Found:
    """Those of this version, and no others."""
    wanted = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    ours = {app for app, _ in wanted}
    applied = set(_rows("SELECT app, name FROM django_migrations")) if _has_table("django_migrations") else set()
    missing = sorted(".".join(key) for key in wanted - applied)
    if missing:
        return error(f"Not applied: {_listed(missing)}.", "python manage.py migrate")
    newer = sorted(".".join(key) for key in applied - wanted if key[0] in ours and key[1][:4].isdecimal())
    if newer:
        return error(
            f"The database has been migrated by a newer version: {_listed(newer)}.",
            "Run that version, or restore the backup from before the upgrade.",
        )
    return ok("All migrations are applied.")


def extensions() -> Found:
    """Those that indexes need, and not the one that hides operators from them."""
    there = {name for (name,) in _rows("SELECT extname FROM pg_extension")}
    missing = sorted({"btree_gin", "pg_trgm"} - there)
    if missing:
        return error(
            f"Missing: {', '.join(missing)}.",
            f"As a superuser: {' '.join(f'CREATE EXTENSION {name};' for name in missing)}",
        )
    if "intarray" in there:
        return error(
            "intarray is installed: its operators hide those that the indexes serve.", "DROP EXTENSION intarray;"
        )
    return ok("btree_gin and pg_trgm are there, intarray is not.")


def indexes() -> Found:
    """One that was being made without locks when something broke is there, costs writes, and is used by no query."""
    broken = [name for (name,) in _rows(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND n.nspname = current_schema() "
        "AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) "
        "ORDER BY 1"
    )]  # fmt: skip
    if broken:
        each = " ".join(f'REINDEX INDEX CONCURRENTLY "{name}";' for name in broken)
        return error(f"Half-made indexes, which nothing uses: {_listed(broken)}.", each)
    return ok("All indexes are whole.")


def connections() -> Found:
    """When there are none left, requests and workers fail."""
    ((used, most),) = _rows(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
        "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    if used > FULL * most:
        return warning(
            f"{used} of {most} connections are in use.",
            "Lower DATABASE_POOL_SIZE or the number of processes, raise max_connections, or put PgBouncer in front "
            "(session pooling).",
        )
    return ok(f"{used} of {most} connections are in use.")


def transactions() -> Found:
    """A transaction that stays open keeps dead rows from being cleared away, and migrations from running."""
    found = _rows(
        "SELECT pid, state, extract(epoch FROM clock_timestamp() - xact_start)::int FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND "
        "clock_timestamp() - xact_start > make_interval(secs => CASE WHEN state LIKE 'idle in%%' THEN %s ELSE %s END) "
        "ORDER BY 3 DESC",
        [IDLE_SECONDS, LONG_SECONDS],
    )
    if found:
        told = ", ".join(f"pid {pid} ({state}, {seconds:,} s)" for pid, state, seconds in found[:SHOWN])
        return warning(
            f"{len(found)} transaction(s) have been open for long: {told}.",
            f"See whose they are in pg_stat_activity; SELECT pg_terminate_backend({found[0][0]}); ends one.",
        )
    return ok("No transaction has been open for long.")


def dead_rows() -> Found:
    """What was changed or deleted and not cleared away makes tables slow."""
    ((on,),) = _rows("SELECT current_setting('autovacuum')::bool")
    if not on:
        return error("autovacuum is off: tables grow, and at last nothing can be written.", "Set autovacuum = on.")
    found = _rows(
        "SELECT relname, n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE schemaname = current_schema() AND "
        "n_dead_tup > %s AND n_dead_tup > %s * n_live_tup ORDER BY n_dead_tup DESC",
        [MANY_DEAD, DEAD_SHARE],
    )
    if found:
        told = ", ".join(f"{name} ({dead:,} beside {live:,})" for name, dead, live in found[:SHOWN])
        each = " ".join(f"VACUUM (ANALYZE) {name};" for name, _, _ in found[:SHOWN])
        return warning(f"Dead rows that are not cleared away: {told}.", each)
    ((age,),) = _rows("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")
    if age > OLD_TRANSACTIONS:
        return warning(f"The oldest unfrozen row is {age:,} transactions old.", "VACUUM (FREEZE);")
    return ok("Dead rows are cleared away.")


def durability() -> Found:
    """A commit must outlive a power cut: imports say that they are done."""
    off = [
        name
        for name in ("fsync", "full_page_writes")
        if _rows("SELECT current_setting(%s)::bool", [name]) == [(False,)]
    ]
    if off:
        return error(f"{' and '.join(off)} off: a power cut may ruin the database.", "Set them on.")
    return ok("Commits outlive a power cut.")


def _has_table(name: str) -> bool:
    return _rows("SELECT to_regclass(%s) IS NOT NULL", [name]) == [(True,)]


def _rows(sql: str, values: Sequence[Any] = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return cursor.fetchall()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


ASKED = ("database",)
CHECKS = (
    Check("database", database),
    Check("database_version", version, ASKED),
    Check("migrations", migrations, ASKED),
    Check("extensions", extensions, ("database", "migrations")),
    Check("indexes", indexes, ASKED),
    Check("connections", connections, ASKED),
    Check("transactions", transactions, ASKED),
    Check("dead_rows", dead_rows, ASKED),
    Check("durability", durability, ASKED),
)
