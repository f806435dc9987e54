"""What a web process does before its first request, so that nobody waits for it."""

import gc

from django.urls import get_resolver

from accounts.api import parameters

NEW_OBJECTS = 10_000  # of containers, between two looks for cycles; an answer of a page makes some thousands


def warm_up() -> None:
    """Load what requests need, and take all that is there by now out of the collector's rounds.

    A full collection looks at every object there is, and each answer brings the next one nearer: a tenth of the time of
    a page went there.
    """
    get_resolver().url_patterns  # noqa: B018 - loads them all
    parameters.prepare()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
