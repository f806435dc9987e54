"""docs/reliability.md, from the list of bad inputs and the summaries of the last long runs of faults and fuzzing.

`python -m tests.reliability [SUMMARY ...]` writes the page; summaries that are named (`tests.faults --json`, and
`var/fuzz.jsonl` of `make fuzz`) take the place of those kept of the same kinds.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import bad_inputs

PAGE = bad_inputs.ROOT / "docs" / "reliability.md"
KEPT = Path(__file__).parent / "faults" / "summary.json"
FUZZED = Path(__file__).parent / "fuzz" / "summary.json"
HEAD = """# Reliability: what is promised, and what proves it

Nothing that was acknowledged is lost, nothing is done by halves, and whatever a job leaves after its parts have
died and hung is what it leaves in peace. This page is written by `python -m tests.reliability`.

## Kills and stalls

`make faults` (`RUNS=100 KIND=import SEED=7 STORAGE=s3`, each as wished) runs web, two workers, beat, PostgreSQL,
Redis and storage as real processes with a home of their own, and the stand-in for CVAT. While a job runs, a part of
it, chosen by a seed, is killed with signal 9 or stands still for a while; CVAT answers wrongly, late or not at all.
Then rows, audit lines, files (by content) and objects in CVAT are compared with those of an undisturbed run;
numbers of rows, ids of tasks and moments are taken out before. A job whose worker has died three times has failed,
as it should, and is asked for again.

Leases and pauses are short in these runs (a lease of 2 s, a sweep each 0.5 s), so that many fit into an hour. In
production they are 15 s and 5 s (`TASK_LEASE_SECONDS`, `TASK_SWEEP_SECONDS`): a dead worker's job is running again
after 20 s and what a worker needs to take a message. `--production-times` measures that.

"""
STORAGE = """
## Storage

`tests/cocohub/test_storage_faults.py` has storage fail in the middle of uploads, uploads in parts, imports, thumbnails,
exports and downloads: 5xx, silence, broken connections, slow bodies, lost credentials, no space; on the local disk the
errors that it has (no space, read-only, I/O). The bucket is moto's server behind a wire that fails on demand. With
`COCOHUB_TEST_S3_ENDPOINT`, `COCOHUB_TEST_S3_ACCESS_KEY` and `COCOHUB_TEST_S3_SECRET_KEY` the same tests run against any
S3 (over HTTP), each in a bucket of its own that is deleted afterwards.

| what fails | a request gets | a job |
|---|---|---|
| 5xx, silence, a broken connection | 503, `Retry-After` | tries again after 10 s, 30 s; then fails and can be retried |
| credentials, a bucket that is not there | 503 that says so | fails at once and says so; can be retried |
| no space | 507 | fails at once and says so; can be retried |
"""
FUZZING = """
## Inputs nobody thought of

`make fuzz` (`FUZZ=10 SECONDS=60`) feeds our parsers with bytes that are guided by the code they reach, and the API with
calls that its own document allows and does not, by each role. A parser may only answer with records and problems, or
with its error and a place in the text; the API with no 5xx, as its document says, errors in our one shape. The suite
tries some of each every time; this is the last long run:

"""
CATALOGUE = """
## Each bad input and fault, and its tests

What each gets is told in [bad-inputs.md](bad-inputs.md).
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD, *_lines(_harness()), STORAGE, FUZZING, *_lines(_fuzzed()), CATALOGUE, *_lines(_items())]
    return "".join(parts)


def _lines(found: Iterator[str]) -> Iterator[str]:
    return (f"{line}\n" for line in found)


def _harness() -> Iterator[str]:
    yield (
        "| job | storage | lease | disturbances | runs | seed | outcome | retries | running again: median, longest "
        "| by victim |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for one in kept():
        again = one["again_seconds"]
        outcome = "all equal" if not one["wrong"] else f"{len(one['wrong'])} differences"
        seconds = (
            f"{again['median']} s, {again['longest']} s of {again['measured']} deaths" if again["measured"] else ""
        )
        victims = ", ".join(f"{number} {what}" for what, number in one["by_victim"].items())
        kind, stored, lease = _way(one)
        yield (
            f"| {kind} | {stored} | {lease} s | {one['disturbances']} | {one['runs']} | {one['seed']} | "
            f"{outcome} | {one['retries']} | "
            f"{seconds} | {victims} |"
        )


def _fuzzed() -> Iterator[str]:
    told = json.loads(FUZZED.read_text())
    yield "| parser | inputs | guided by | reached | seconds | seed | failures |\n|---|---:|---|---|---:|---:|---:|"
    for one in told["parsers"]:
        seconds = f"{one['seconds']:g}"
        cells = (one["target"], f"{one['inputs']:,}", one["by"], one["reached"], seconds, one["seed"])
        yield f"| {' | '.join(map(str, cells))} | 0 |"  # it would have ended with the first
    yield "\n| calls by | calls | addresses | seed | failures | answers |\n|---|---:|---:|---:|---:|---|"
    for one in told["roles"]:
        answers = ", ".join(f"{status}: {number:,}" for status, number in one["answers"].items())
        yield (
            f"| {one['role']} | {one['calls']:,} | {one['addresses']} | {one['seed']} | {one['faults']} | {answers} |"
        )


def kept() -> list[dict[str, Any]]:
    """The summaries of the last full runs, one for each kind of job."""
    found: list[dict[str, Any]] = json.loads(KEPT.read_text())
    return found


def keep(files: list[Path]) -> None:
    """Put the summaries of these files in the place of older ones of the same kind, storage and times."""
    known = {_way(one): one for one in (kept() if KEPT.exists() else [])}
    for path in files:
        if path.suffix == ".jsonl":
            _keep_fuzzed([json.loads(line) for line in path.read_text().splitlines()])
            continue
        told = json.loads(path.read_text())
        for one in told["kinds"]:
            ran = {**one, "storage": told["storage"], "lease": told["times"].get("TASK_LEASE_SECONDS", "15")}
            known[_way(ran)] = ran
    KEPT.write_text(json.dumps([known[way] for way in sorted(known)], indent=2) + "\n")


def _keep_fuzzed(told: list[dict[str, Any]]) -> None:
    parsers = sorted((one for one in told if "target" in one), key=lambda one: one["target"])
    roles = sorted((one for one in told if "role" in one), key=lambda one: one["role"])
    FUZZED.write_text(json.dumps({"parsers": parsers, "roles": roles}, indent=2) + "\n")


def _way(one: dict[str, Any]) -> tuple[str, str, int]:
    return one["kind"], one.get("storage", "disk"), int(one.get("lease", "2"))


def _items() -> Iterator[str]:
    for item in bad_inputs.items():
        if item.number in bad_inputs.SECTIONS:
            yield f"\n### {bad_inputs.SECTIONS[item.number]}\n\n| | what comes | tests |\n|---|---|---|"
        names = "<br>".join(f"`{name.removeprefix('tests/')}`" for name in item.tests)
        yield f"| {item.number} | {item.what} | {names} |"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        keep([Path(name) for name in sys.argv[1:]])
    PAGE.write_text(page())
