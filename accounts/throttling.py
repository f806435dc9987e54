"""How often a thing may be tried, counted in the cache."""

import hashlib
import logging
import time

from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from accounts.errors import TooManyRequests

logger = logging.getLogger(__name__)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def check(scope: str, **who: str) -> None:
    """Count one try for each of `who` (`address="10.0.0.1", email="a@b.c"`).

    Raises TooManyRequests if one of them tried more often than the rate of the scope (`20/min`) allows. Tries are
    counted in windows of one period each. With the cache down nobody is refused, so that people can still log in.
    """
    allowed, period = _rate(scope)
    now = time.time()
    try:
        tries = [_count(f"tries:{scope}:{kind}:{_digest(name)}", now, period) for kind, name in who.items()]
    except (RedisError, OSError):
        logger.exception("The cache does not answer; %s is not limited.", scope)
        return
    if max(tries, default=0) > allowed:
        wait = int(period - now % period) + 1
        raise TooManyRequests(
            _("Too many tries. Try again in %(seconds)d seconds.") % {"seconds": wait}, retry_after=wait
        )


def address_of(request: HttpRequest) -> str:
    """The client's address, as far as NUM_PROXIES lets the proxies be believed."""
    return BaseThrottle().get_ident(request) or ""  # type: ignore[arg-type]


def _rate(scope: str) -> tuple[int, int]:
    allowed, _slash, period = str(api_settings.DEFAULT_THROTTLE_RATES[scope]).partition("/")
    return int(allowed), SECONDS[period[0]]


def _count(key: str, now: float, period: int) -> int:
    key = f"{key}:{int(now // period)}"
    cache.add(key, 0, timeout=period + 1)
    try:
        return cache.incr(key)
    except ValueError:  # it ran out in between
        return 1


def _digest(name: str) -> str:
    return hashlib.sha256(name.strip().lower().encode()).hexdigest()
