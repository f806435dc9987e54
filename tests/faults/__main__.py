"""`python -m tests.faults --kind import --runs 100 --seed 1`: see tests/faults/running.py."""

import argparse
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

KINDS = ("import", "thumbnails", "insights", "bulk", "export", "send", "pull")
# Shorter than in production, so that many fit into an hour: what is proved is the order of things, not the length.
QUICK = {"TASK_LEASE_SECONDS": "2", "TASK_SWEEP_SECONDS": "0.5", "TASK_RETRY_SECONDS": "0.5"}
AS_IN_PRODUCTION = {"TASK_LEASE_SECONDS": "15", "TASK_SWEEP_SECONDS": "5", "TASK_RETRY_SECONDS": "10"}


def main() -> int:
    """Run, print the summary, and give 1 if anything was not as in an undisturbed run."""
    parser = argparse.ArgumentParser(description="Kill and stall the parts of an installation while it works.")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all of them")
    parser.add_argument("--runs", type=int, default=100, help="disturbances for each kind of job")
    parser.add_argument("--seed", type=int, default=0, help="default: by the clock")
    parser.add_argument("--storage", choices=("disk", "s3"), default="disk")
    parser.add_argument("--production-times", action="store_true", help="leases and pauses as production has them")
    parser.add_argument("--home", type=Path, default=None, help="default: `faults` below COCOHUB_HOME")
    parser.add_argument("--json", type=Path, default=None, help="write the summary there, too")
    options = parser.parse_args()
    home = options.home or Path(os.environ.get("COCOHUB_HOME", "var")).absolute() / "faults"
    home.mkdir(parents=True, exist_ok=True)
    times = AS_IN_PRODUCTION if options.production_times else QUICK
    os.environ |= {**times, "COCOHUB_HOME": str(home), "COCOHUB_ENV": "development"}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
    # Asked to stop, it stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from tests.faults import running  # after the environment is set

    seed = options.seed or int(time.time()) % 1_000_000
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = running.run(
        kinds=options.kind or list(KINDS), disturbances=options.runs, seed=seed, storage=options.storage, home=home,
        port=port, times=times,
    )  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    return 1 if any(kind["wrong"] for kind in told["kinds"]) else 0


if __name__ == "__main__":
    sys.exit(main())
