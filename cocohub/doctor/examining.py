"""Doing the checks, one after the other."""

import logging
from collections.abc import Iterator, Sequence

from django.db import DatabaseError, transaction

from cocohub.doctor import broker, configured, content, people, postgresql, shelves, work
from cocohub.doctor.findings import Check, Finding, Found, Grade, error

logger = logging.getLogger(__name__)

CHECKS: tuple[Check, ...] = (
    *configured.CHECKS,
    *postgresql.CHECKS,
    *broker.CHECKS,
    *shelves.CHECKS,
    *work.CHECKS,
    *people.CHECKS,
    *content.CHECKS,
)


def examine(checks: Sequence[Check] = CHECKS, *, thorough: bool = False) -> Iterator[Finding]:
    """What each check finds, as it is found. What depends on something that is in error is not looked at."""
    bad: set[str] = set()
    for check in checks:
        if check.thorough and not thorough:
            continue
        blocked = [name for name in check.needs if name in bad]
        found = Found(Grade.SKIPPED, f"Not looked at, for {blocked[0]} is not well.") if blocked else _look(check)
        if found.grade in (Grade.ERROR, Grade.SKIPPED):
            bad.add(check.name)
        yield Finding(check, found)


def _look(check: Check) -> Found:
    try:
        if "database" not in check.needs:
            return check.look()
        with transaction.atomic():  # a statement that fails must not spoil those of the checks behind it
            return check.look()
    except Exception as failure:
        # Whatever a library raises where nobody thought of it, the other checks are to be done.
        logger.debug("The check %s failed.", check.name, exc_info=True)
        told = f"This could not be looked at: {type(failure).__name__}: {failure}"
        return error(told, "Give this line to who develops CocoHub." if not isinstance(failure, DatabaseError) else
                     "Has PostgreSQL been stopped meanwhile, or may this user not read it?")  # fmt: skip
