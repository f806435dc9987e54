"""`python -m tests.exports.sending.child`: turns of workers, each in a process that can be killed.

Each line of the input is JSON with the task, where its storage is, and its CVAT. A process is forked for it, which says
its number once it is about to begin: starting Django anew for each would cost more than all that is tested.
"""

import json
import os
import signal
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 - Django has to be set up first

from exports.sending import pipeline  # noqa: E402
from projects import jobs  # noqa: E402


def main() -> None:
    """Fork until there is no more input."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is dead is gone: the tests look for the number
    for line in sys.stdin:
        if os.fork() == 0:
            try:
                work(json.loads(line))
            finally:
                os._exit(0)


def work(asked: dict[str, Any]) -> None:
    """Do the task, without the pauses between questions."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for name, value in asked["settings"].items():
        setattr(settings, name, value)
    pipeline.pause_of = lambda claim: lambda seconds: claim.check()
    print(os.getpid(), flush=True)
    jobs.run(asked["task"], pipeline.run)


if __name__ == "__main__":
    main()
