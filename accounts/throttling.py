"""How often a thing may be tried, counted in the cache."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from accounts.addresses import address_of
from accounts.errors import TooManyRequests

logger = logging.getLogger(__name__)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FAMILIAR_SECONDS = 30 * 86_400  # an address from which somebody has logged in counts so long as theirs
PARTS = 100  # of a rate: so many calls are counted here before the cache is told
TOLD_EVERY = 1.0  # seconds
HELD = 10_000  # keys that wait to be told, at most
PAUSE = 5.0  # seconds in which a cache that did not answer is not asked again

# Counts for this process alone while the cache is down: limits then are looser, but there are some.
_local = LocMemCache("throttling", {})
_down_until = 0.0


@dataclass(frozen=True)
class Budget:
    """How many calls the period allows, how many of them are left, and in how many seconds the next one begins."""

    limit: int
    left: int
    seconds: int


def check(scope: str, **who: str) -> Budget | None:
    """Count one try for each of `who` (`address="10.0.0.1", email="a@b.c"`), and say what is left; None: no limit.

    Raises TooManyRequests if one of them tried more often than the rate of the scope (`20/min`) allows. Tries are
    counted in windows of one period each; a rate of 0 is no limit. Of a rate in the hundreds each process tells the
    cache of a hundredth at a time, or once a second: it may be passed by that much. With the cache down each process
    counts by itself, so that people can still log in, and nobody can try for ever.
    """
    allowed, period = _rate(scope)
    if allowed:
        now = time.time()
        keys = [_key(scope, kind, name, now, period) for kind, name in who.items()]
        tries = max((_gathered.count(key, period, allowed // PARTS) for key in keys), default=0)
        _refuse_above(allowed, tries, now, period)
        return Budget(allowed, allowed - tries, _until_next(now, period))
    return None


def check_failures(scope: str, **who: str) -> None:
    """The same for what `fail` has counted, without counting one more."""
    allowed, period = _rate(scope)
    if allowed:
        now = time.time()
        failures = [_read(_key(scope, kind, name, now, period)) for kind, name in who.items()]
        _refuse_above(allowed - 1, max(failures, default=0), now, period)


def fail(scope: str, **who: str) -> None:
    """Count one failure for each of `who`."""
    allowed, period = _rate(scope)
    if allowed:
        now = time.time()
        for kind, name in who.items():
            _count(_key(scope, kind, name, now, period), period)


@contextmanager
def guessing(**who: str) -> Iterator[None]:
    """One guess of a secret by somebody who is logged in already: limited, and those that are wrong as at the log-in.

    What is raised inside is a wrong guess. Raises TooManyRequests before anything is looked at.
    """
    check_failures("login-failures", **who)
    check("login", **who)
    try:
        yield
    except Exception:
        fail("login-failures", **who)
        raise


def people(address: str, email: str) -> dict[str, str]:
    """Under which names the tries of one log-in are counted: the address, and the email.

    From an address that the owner of the email has logged in from, the email's tries are counted apart. So nobody can
    lock somebody out from elsewhere by trying wrong passwords.
    """
    known = _do("get", f"familiar:{_digest(email)}:{_digest(_network(address))}")
    return {"address": _network(address), "email": f"{email} at {_network(address)}" if known else email}


def make_familiar(address: str, email: str) -> None:
    """Remember that the owner of the email logs in from this address."""
    _do("set", f"familiar:{_digest(email)}:{_digest(_network(address))}", 1, FAMILIAR_SECONDS)


class CallThrottle(BaseThrottle):
    """Calls of the API: by user and by personal token, or by address where no user is known.

    The scarcest budget is left with the request as `rate_budget`, for the headers of the answer; a refusal's own is put
    there by `cocohub.errors`.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the call; raises TooManyRequests."""
        if found := [budget for budget in _spent(request) if budget is not None]:
            request._request.rate_budget = min(found, key=lambda one: one.left)  # type: ignore[attr-defined]
        return True


def _spent(request: Request) -> Iterator[Budget | None]:
    if request.user is None or not request.user.is_authenticated:
        yield check("address", address=_network(address_of(request._request)))
        return
    token = getattr(request.auth, "token_id", None)
    if token is not None:
        yield check("token", token=str(token))
    yield check("user", user=str(request.user.pk))


def forget() -> None:
    """Forget what this process has counted by itself, and that the cache did not answer."""
    global _down_until
    _local.clear()
    _gathered.forget()
    _down_until = 0.0


def _refuse_above(allowed: int, tries: int, now: float, period: int) -> None:
    if tries > allowed:
        wait = _until_next(now, period)
        raise TooManyRequests(
            _("Too many tries. Try again in %(seconds)d seconds.") % {"seconds": wait},
            retry_after=wait,
            budget=Budget(allowed, 0, wait),
        )


def _until_next(now: float, period: int) -> int:
    return int(period - now % period) + 1


def _rate(scope: str) -> tuple[int, int]:
    allowed, _slash, period = str(api_settings.DEFAULT_THROTTLE_RATES[scope]).partition("/")
    return int(allowed), SECONDS[(period or "m")[0]]


def _key(scope: str, kind: str, name: str, now: float, period: int) -> str:
    return f"tries:{scope}:{kind}:{_digest(name)}:{int(now // period)}"


class _Gathered:
    """Calls counted in this process, and told to the cache some at a time.

    A round to the cache for every call would cost a twentieth of a page's time, only to know to the last call what is
    one in thousands.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, int, float]] = {}  # what the cache said, what came since, and when it said

    def count(self, key: str, period: int, together: int) -> int:
        """One more; the sum as far as it is known here. Up to `together` calls are told at once."""
        if together < 2:
            return _count(key, period)
        now = time.monotonic()
        with self._lock:
            told, since, at = self._counts.get(key, (0, 0, 0.0))
            if told and since + 1 < together and now - at < TOLD_EVERY:
                self._counts[key] = told, since + 1, at
                return told + since + 1
            self._counts[key] = told + since + 1, 0, now  # others go on counting meanwhile
        total = _count(key, period, since + 1)
        with self._lock:
            if len(self._counts) > HELD:
                self._counts.clear()
            _before, since, _at = self._counts.get(key, (0, 0, 0.0))
            self._counts[key] = total, since, now
        return total + since

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self._counts.clear()


_gathered = _Gathered()


def _count(key: str, period: int, number: int = 1) -> int:
    try:
        return int(_do("incr", key, number))
    except ValueError:  # the first of its window
        return number if _do("add", key, number, period + 1) else int(_do("incr", key, number))


def _read(key: str) -> int:
    return int(_do("get", key) or 0)


def _do(what: str, *arguments: Any) -> Any:
    global _down_until
    if time.monotonic() >= _down_until:
        try:
            return getattr(cache, what)(*arguments)
        except (RedisError, OSError):
            _down_until = time.monotonic() + PAUSE
            logger.exception("The cache does not answer; tries are counted in this process alone.")
    return getattr(_local, what)(*arguments)


def _network(address: str) -> str:
    """What one client can choose its addresses from: of IPv6 a /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped) if found.ipv4_mapped else str(IPv6Address(int(found) >> 64 << 64))
    return address


def _digest(name: str) -> str:
    # Letter by letter, as PostgreSQL compares emails: to str.lower(), "İ" is two characters, and no "i". Else every
    # "i" in an email would double the tries that it gets.
    same = "".join(letter.lower()[0] for letter in name.strip())
    return hashlib.sha256(same.encode()).hexdigest()
