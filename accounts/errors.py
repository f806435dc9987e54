"""What can go wrong for a reason that the caller can act on. Framework-free; the doors turn these into answers."""

from http import HTTPStatus


class ServiceError(Exception):
    """An expected refusal: says what was found, what was expected and what to do.

    `fields` names the input fields at fault ({field: [messages]}), `detail` holds machine-readable facts.
    """

    status = HTTPStatus.BAD_REQUEST

    def __init__(
        self, message: str, *, detail: object | None = None, fields: dict[str, list[str]] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.fields = fields or {}


class NotFound(ServiceError):
    """There is no such thing, or it belongs to somebody else: the two look the same to a stranger."""

    status = HTTPStatus.NOT_FOUND


class Forbidden(ServiceError):
    """The user is known and sees the project, but the role does not allow this."""

    status = HTTPStatus.FORBIDDEN


class Conflict(ServiceError):
    """The state of things does not allow it now."""

    status = HTTPStatus.CONFLICT


class NotYet(Conflict):
    """The same as Conflict, and it ends by itself; `retry_after` says in how many seconds to ask again."""

    retry_after = 1


class StaleEdit(ServiceError):
    """Somebody changed the record since it was read."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooLarge(ServiceError):
    """More bytes, entries or characters than this installation takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unauthorized(ServiceError):
    """The credentials are missing, wrong, expired or revoked."""

    status = HTTPStatus.UNAUTHORIZED


class TooManyRequests(ServiceError):
    """Asked too often; `retry_after` says in how many seconds to ask again, `budget` which limit was reached."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after: int, budget: object | None = None) -> None:
        super().__init__(message, detail={"retryAfter": retry_after})
        self.retry_after = retry_after
        self.budget = budget


class NoSpace(ServiceError):
    """The disk is full; what was begun has been taken back."""

    status = HTTPStatus.INSUFFICIENT_STORAGE


class Locked(ServiceError):
    """Another request is at it right now."""

    status = HTTPStatus.LOCKED


class Gone(ServiceError):
    """It was there and has run out."""

    status = HTTPStatus.GONE
