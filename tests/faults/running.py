"""Runs of each kind of job: one in peace, then as many as it takes, harmed again and again until each has ended.

What a project has afterwards, with its files, its audit lines and its objects in CVAT, must equal what the undisturbed
run left. A job that failed because its worker died three times is asked for again, as its owner would.
"""

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import django

from tests.cvat_double import Double
from tests.faults.house import House, wait_until

PEACE_SECONDS = 120  # an undisturbed run
END_SECONDS = 180  # after the last disturbance
HARMS_PER_RUN = 6
RETRIES = 12
WEB_AT_START = 0.3  # of the runs: the web is harmed while it is being asked

T = TypeVar("T")


@dataclass
class Summary:
    """What came of one kind."""

    kind: str
    seed: int
    runs: int = 0
    harms: Counter[str] = field(default_factory=Counter)
    missed: int = 0  # the job had ended by itself
    retries: int = 0  # asked for again after three deaths, or three failures of a server
    again: list[float] = field(default_factory=list)  # seconds from a worker's death until the job ran again
    wrong: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and docs."""
        return {
            "kind": self.kind, "seed": self.seed, "runs": self.runs, "disturbances": sum(self.harms.values()),
            "by_victim": dict(sorted(self.harms.items())), "retries": self.retries,
            "again_seconds": {
                "measured": len(self.again),
                "median": round(statistics.median(self.again), 1) if self.again else None,
                "longest": round(max(self.again), 1) if self.again else None,
            },
            "wrong": self.wrong,
        }  # fmt: skip


def run(
    *, kinds: list[str], disturbances: int, seed: int, storage: str, home: Path, port: int, times: dict[str, str]
) -> dict[str, Any]:
    """All of it; prints as it goes and gives the summary."""
    with ExitStack() as stack:
        cvat = stack.enter_context(Double())
        environment = {
            **times, "CVAT_API_URL": cvat.url, "CVAT_API_TOKEN": cvat.token, "CVAT_ALLOWED_HOSTS": "",
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
        }  # fmt: skip
        wire = None
        if storage == "s3":
            from tests.faults.buckets import bucket

            wire, options = stack.enter_context(bucket())
            environment |= options
        os.environ |= environment
        house = House(home, port, environment)
        stack.callback(house.stop)
        os.environ |= {"DATABASE_URL": house.database_url, "REDIS_URL": house.redis_url}
        django.setup()
        from tests.faults.turns import Turns

        turns = Turns(house, cvat, wire, float(times["TASK_LEASE_SECONDS"]))
        turns.prepare()
        told = {"storage": storage, "times": times, "kinds": []}
        for name in kinds:
            summary = turns.harm(name, disturbances, seed)
            told["kinds"].append(summary.as_dict())
            print(f"\n{line_of(summary)}", flush=True)
        print("\n" + "\n".join(line_of_dict(one) for one in told["kinds"]), flush=True)
        return told


def line_of(summary: Summary) -> str:
    """The summary in a line."""
    return line_of_dict(summary.as_dict())


def line_of_dict(told: dict[str, Any]) -> str:
    """The same, of what was written."""
    by_victim = ", ".join(f"{number} {what}" for what, number in told["by_victim"].items())
    again = told["again_seconds"]
    outcome = "all equal" if not told["wrong"] else f"{len(told['wrong'])} WRONG"
    return (
        f"{told['kind']}: {told['disturbances']} disturbances in {told['runs']} runs, seed {told['seed']}: {outcome}; "
        f"asked for again {told['retries']} times; running again after {again['median']} s, at most "
        f"{again['longest']} s ({again['measured']} deaths). {by_victim}"
    )


def steadily(work: Callable[[], T]) -> T:
    """Do it again until the database is there again."""
    from django.db import InterfaceError, OperationalError, connection

    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def seeded(seed: int, kind: str, number: int) -> Iterator[random.Random]:
    """Chance of its own for each run, so that one can be repeated alone."""
    yield random.Random(f"{seed}/{kind}/{number}")


__all__ = ["Summary", "run", "seeded", "steadily", "wait_until"]
