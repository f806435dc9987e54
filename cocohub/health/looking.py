"""Looking at the parts side by side, so that the slowest alone decides how long it takes."""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from cocohub.health.parts import SECONDS, Look, Unwell

logger = logging.getLogger(__name__)

PATIENCE = SECONDS + 1.0  # seconds for a part that does not keep its own time-out
KEPT = 1.0  # seconds for which an answer is given again: many who ask at once look once


@dataclass(frozen=True)
class Part:
    """What was found of one part."""

    ok: bool
    milliseconds: int
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {"ok": self.ok, "milliseconds": self.milliseconds}
        if self.message:
            told["message"] = self.message
        return {**told, **self.facts}


class Watch:
    """Looks at some parts, at most once a second whoever asks, and never longer than PATIENCE."""

    def __init__(self, parts: Mapping[str, Look]) -> None:
        self.parts = parts
        self._running: dict[str, Future[Part]] = {}
        self._found: dict[str, Part] = {}
        self._at = float("-inf")
        self._lock = threading.Lock()

    def look(self) -> dict[str, Part]:
        """Each part by its name."""
        with self._lock:
            if time.monotonic() - self._at < KEPT:
                return self._found
            until = time.monotonic() + PATIENCE
            # One that hangs is not asked again until it has come back: it would only tie up another thread.
            for name, look in self.parts.items():
                running = self._running.get(name)
                if running is None or running.done():
                    self._running[name] = _begin(name, look)
            self._found = {name: self._wait(name, until) for name in self.parts}
            self._at = time.monotonic()
            return self._found

    def _wait(self, name: str, until: float) -> Part:
        try:
            return self._running[name].result(max(0.0, until - time.monotonic()))
        except TookTooLong:
            return Part(False, round(PATIENCE * 1000), f"No answer within {PATIENCE:g} seconds.")


def _begin(name: str, look: Look) -> Future[Part]:
    """Look, in a thread that nobody waits for at the end of the process: what it asks may never answer."""
    found: Future[Part] = Future()
    threading.Thread(target=lambda: found.set_result(_timed(look)), name=f"health-{name}", daemon=True).start()
    return found


def _timed(look: Look) -> Part:
    before = time.monotonic()
    try:
        facts, message, ok = look(), "", True
    except Unwell as error:
        facts, message, ok = {}, str(error), False
    except Exception as error:
        logger.exception("Looking at a part failed.")  # whatever its library raises, the others are to be seen
        facts, message, ok = {}, f"{type(error).__name__}: {error}", False
    finally:
        connection.close()  # this thread's: it may not be asked again for long
    return Part(ok, round((time.monotonic() - before) * 1000), message, facts)
