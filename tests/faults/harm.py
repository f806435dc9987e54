"""What is done to the installation while it works."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cvat_double import Double
from tests.faults.house import WORKERS, House
from tests.faults.wire import Wire

LONGEST_STALL = 2.0  # seconds of a server that stands still
CVAT_FAULTS = (
    {"kind": "status", "status": 502, "times": 2},
    {"kind": "status", "status": 429, "seconds": 1, "times": 1},
    {"kind": "status_after", "status": 504, "times": 1},
    {"kind": "drop", "times": 2},
    {"kind": "cut", "times": 1},
    {"kind": "cut_upload", "method": "PATCH", "times": 1},
    {"kind": "delay", "seconds": 1.0, "times": 2},
)
# How often each is chosen, by weight. Workers do the work, so they are harmed most.
WEIGHTS: Mapping[str, int] = {
    "worker killed": 5,
    "child killed": 5,
    "worker stalled": 4,
    "postgres killed": 1,
    "session killed": 1,
    "postgres stalled": 1,
    "redis killed": 1,
    "redis emptied": 1,
    "redis stalled": 1,
    "beat killed": 1,
    "beat stalled": 1,
    "web killed": 1,
    "web stalled": 1,
}
CVAT_WEIGHT, STORAGE_WEIGHT = 4, 4
OF_WORKERS = {"worker killed", "child killed", "worker stalled"}


@dataclass
class Harm:
    """The ways to harm this installation, chosen by chance."""

    house: House
    chance: random.Random
    lease: float  # seconds
    cvat: Double | None = None
    storage: Wire | None = None

    def choose(self) -> str:
        """One of the ways."""
        weights = dict(WEIGHTS)
        if self.cvat is not None:
            weights["cvat unwell"] = CVAT_WEIGHT
        if self.storage is not None:
            weights |= {"storage killed": STORAGE_WEIGHT, "storage stalled": STORAGE_WEIGHT}
        return self.chance.choices(list(weights), list(weights.values()))[0]

    def do(self, what: str) -> bool:
        """Do it, and undo what does not end by itself; whether there was something to harm."""
        victim, way = what.rsplit(" ", 1)
        if victim in ("worker", "child"):
            holder = self.house.holder()
            if not holder:
                return False
            return self._of_worker(holder, victim, way)
        done: Callable[[], bool | None] = {
            "postgres killed": self.house.kill_postgres,
            "session killed": lambda: self.house.kill_backend(self.house.holder() or WORKERS[0]),
            "postgres stalled": lambda: self._while(self.house.stalled_server(self.house.postgres)),
            "redis killed": lambda: self.house.kill_redis(empty=False),
            "redis emptied": lambda: self.house.kill_redis(empty=True),
            "redis stalled": lambda: self._while(self.house.stalled_server(self.house.redis)),
            "beat killed": lambda: self.house.kill("beat"),
            "beat stalled": lambda: self._while(self.house.stalled("beat")),
            "web killed": lambda: self.house.kill("web"),
            "web stalled": lambda: self._while(self.house.stalled("web")),
            "cvat unwell": self._cvat,
            "storage killed": lambda: self._while(self._storage_away()),
            "storage stalled": lambda: self._while(self._storage_silent()),
        }[what]
        return done() is not False

    def _of_worker(self, holder: str, victim: str, way: str) -> bool:
        if victim == "child":
            return self.house.kill_child(holder)
        if way == "killed":
            self.house.kill(holder)
        else:
            with self.house.stalled(holder):
                time.sleep(self.chance.uniform(0.2, 2.5) * self.lease)
        return True

    def _while(self, harmed: "contextmanager[None]") -> None:  # type: ignore[valid-type]
        with harmed:  # type: ignore[attr-defined]
            time.sleep(self.chance.uniform(0.2, LONGEST_STALL))

    def _cvat(self) -> None:
        assert self.cvat is not None
        self.cvat.fault(**self.chance.choice(CVAT_FAULTS))

    @contextmanager
    def _storage_away(self) -> Iterator[None]:
        assert self.storage is not None
        self.storage.cut()
        try:
            yield
        finally:
            self.storage.mend()

    @contextmanager
    def _storage_silent(self) -> Iterator[None]:
        assert self.storage is not None
        self.storage.hold()
        try:
            yield
        finally:
            self.storage.mend()
