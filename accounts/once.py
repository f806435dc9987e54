"""Calls that are made once however often they are sent: a row for each, by user, key and address.

The row is there before the work begins, so that of two at the same time one works and the other is told to wait. An
answer of 2xx is kept for a day and given again. Where the work failed nothing was made: the row goes, and the call can
be sent again.
"""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from django.db.models import QuerySet
from django.utils import timezone

from accounts.errors import NotYet, ServiceError
from accounts.models import IdempotentCall, User

MAX_KEY = 100  # characters
KEPT = timedelta(hours=24)
LONGEST = timedelta(minutes=15)  # a call that is not answered by then died with its process


class AnotherBody(ServiceError):
    """The key was used for something else."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True)
class Answer:
    """What a call was answered; `body` is None where it held a secret and was not kept."""

    status: int
    body: bytes | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """The right to do the work; end it with `keep` or `release`."""

    row: int
    holder: uuid.UUID

    def keep(self, answer: Answer) -> None:
        """The work is done, and this is what to answer for a day."""
        self._mine().update(status=answer.status, answer=answer.body, headers=answer.headers)

    def release(self) -> None:
        """The work was not done: the same call may be made again."""
        self._mine().delete()

    def _mine(self) -> QuerySet[IdempotentCall]:
        return IdempotentCall.objects.filter(pk=self.row, holder=self.holder)


def begin(*, user: User, key: str, path: str, body: bytes) -> Turn | Answer:
    """The turn to do the work, or the answer that was given already. `body` is a digest.

    Raises ServiceError for a key that will not do, AnotherBody where the key came with another body, and NotYet while
    the first call with it is still being answered.
    """
    if len(key) > MAX_KEY or not (key.isascii() and key.isprintable()):
        raise ServiceError(f"The Idempotency-Key must be printable ASCII of at most {MAX_KEY} characters.")
    mine = IdempotentCall(user=user, key=key, path=path[:300], body=body, holder=uuid.uuid4())
    IdempotentCall.objects.bulk_create([mine], ignore_conflicts=True)
    row = IdempotentCall.objects.filter(user=user, key=key, path=mine.path).first()
    if row is None:  # released in between
        raise NotYet("The first request with this Idempotency-Key has just failed. Send it again.")
    if row.holder == mine.holder:
        return Turn(row.pk, mine.holder)
    age = timezone.now() - row.started_at
    if age > KEPT or (row.status is None and age > LONGEST):
        return _take_over(row, mine)
    if bytes(row.body) != body:
        raise AnotherBody("This Idempotency-Key was used for another request. Give each request a key of its own.")
    if row.status is None:
        raise _in_flight()
    return Answer(row.status, None if row.answer is None else bytes(row.answer), dict(row.headers))


def forget_old() -> int:
    """Delete what is older than a day; how many rows went."""
    return IdempotentCall.objects.filter(started_at__lt=timezone.now() - KEPT).delete()[0]


def _take_over(row: IdempotentCall, mine: IdempotentCall) -> Turn:
    taken = IdempotentCall.objects.filter(pk=row.pk, holder=row.holder).update(
        holder=mine.holder, body=mine.body, started_at=timezone.now(), status=None, answer=None, headers={}
    )
    if not taken:
        raise _in_flight()
    return Turn(row.pk, mine.holder)


def _in_flight() -> NotYet:
    return NotYet("The first request with this Idempotency-Key is still being answered. Ask again in a moment.")
