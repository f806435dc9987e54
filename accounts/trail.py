"""What the accounts have to tell the audit trail.

The lines live in `projects`, a room above this one, which plugs its recorder in when Django starts.
"""

from typing import Any, Protocol

from accounts.models import User


class Recorder(Protocol):
    """Writes one audit line that belongs to no project; `actor` is the email typed where there is no user."""

    def __call__(self, user: User | None, action: str, *, actor: str = "", **detail: Any) -> object: ...


_recorders: list[Recorder] = []


def keep_with(recorder: Recorder) -> None:
    """Have every later event written by this recorder."""
    _recorders[:] = [recorder]


def record(user: User | None, action: str, *, actor: str = "", **detail: Any) -> None:
    """Leave an audit line such as `auth.login` or `user.created`."""
    for recorder in _recorders:
        recorder(user, action, actor=actor, **detail)
