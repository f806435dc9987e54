"""`python -m tests.exports.sending.child TASK`: one turn of a worker, in a process that can be killed."""

import sys

import django

django.setup()

from exports.sending import pipeline  # noqa: E402 - Django has to be set up first
from projects import jobs  # noqa: E402


def main() -> None:
    """Do the task, without the pauses between questions."""
    pipeline.pause_of = lambda claim: lambda seconds: claim.check()
    print("ready", flush=True)
    jobs.run(sys.argv[1], pipeline.run)


if __name__ == "__main__":
    main()
