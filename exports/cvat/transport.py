"""One HTTP call to CVAT, repeated where that is safe: time-outs, pauses, no redirects, errors with a type."""

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import orjson
import urllib3
from urllib3 import exceptions as faults

from accounts import metering, outbound
from exports.cvat.account import Account
from exports.cvat.errors import Broken500, Busy, CvatError, Unwell, WrongAddress, error_of

logger = logging.getLogger(__name__)

ACCEPT = "application/vnd.cvat+json"  # application/json alone is a 406
MIB = 1024 * 1024
MAX_ANSWER = 1024 * MIB  # bytes; annotations come in one piece
READ_SIZE = 256 * 1024

Query = Mapping[str, str | int]


class Repeat(Enum):
    """Whether a call whose outcome is not known may be made again."""

    SAFE = "safe"  # reads, and writes that change nothing the second time
    UNSENT = "unsent"  # only if CVAT surely did not carry it out: refused connection, 429


@dataclass(frozen=True)
class Retries:
    """How often and how long: pauses double from `first` to `longest` seconds, each between half and all of it."""

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0

    def pause(self, attempt: int, asked: float | None, chance: float) -> float:
        """Seconds to wait after this attempt (1, 2, ...); what CVAT asked for is never undercut."""
        grown: float = min(self.longest, self.first * 2 ** (attempt - 1))
        return max(grown * (0.5 + chance / 2), asked or 0.0)


@dataclass(frozen=True)
class Answer:
    """A success: status, headers (any case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The parsed body. Raises WrongAddress for a web page: then it is somebody else who answered."""
        try:
            return orjson.loads(self.body)
        except ValueError:
            kind = self.headers.get("Content-Type", "no content type")
            raise WrongAddress(self.status, f"expected JSON, found {kind}.") from None


class Transport:
    """Makes the calls of one account. Safe to share between threads; close it, or use it in a `with`.

    `pause` sleeps (a worker may pass one that looks whether it should stop). `address_check` sees the IP address of
    each new connection before anything is sent, and raises to refuse it.
    """

    def __init__(
        self,
        account: Account,
        *,
        retries: Retries | None = None,
        pause: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        address_check: Callable[[str], None] | None = None,
    ) -> None:
        self.account = account
        self.retries = retries or Retries()
        self.pause = pause
        self._chance = chance
        self._pools = urllib3.PoolManager(num_pools=2, maxsize=4, cert_reqs="CERT_REQUIRED", ca_certs=account.ca_file)
        if address_check is not None:
            self._pools.pool_classes_by_scheme = outbound.checked_pools(address_check)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._pools.clear()

    def call(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        repeat: Repeat | None = None,
        query: Query | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Call `path` (below the API's address) and return the success; raises CvatError.

        `body` goes as JSON, `data` as it is. Without `repeat`, reads are repeated and other calls are not.
        """
        repeat = repeat or (Repeat.SAFE if method in ("GET", "HEAD", "DELETE") else Repeat.UNSENT)
        sent = {"Accept": ACCEPT, "User-Agent": "CocoHub", **self.account.headers, **(headers or {})}
        if body is not None:
            data = _compact(body, doing)
            sent["Content-Type"] = "application/json"
        url = f"{self.account.api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        most = attempts or self.retries.attempts
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._metered(method, url, data, sent, doing)
            except CvatError as error:
                asked = error.after if isinstance(error, Busy) else None
                if attempt >= most or not _worth(error, method, repeat, attempt) or (asked or 0) > self._longest:
                    raise
                seconds = self.retries.pause(attempt, asked, self._chance())
                logger.info("CVAT: %s %s: %s; again in %.1f s", method, path, error, seconds)
                metering.count("cocohub_cvat_retries", method=method)
                self.pause(seconds)

    @property
    def _longest(self) -> float:
        # CVAT asks for up to a minute; who asks for more gets it from the queue, not from a sleeping worker.
        return max(self.retries.longest, 90.0)

    def _metered(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str], doing: str) -> Answer:
        start, outcome = time.monotonic(), "failed"
        try:
            answer = self._once(method, url, data, headers, doing)
            outcome = str(answer.status)
            return answer
        except CvatError as error:
            outcome = str(error.status) if error.status else "no answer"
            raise
        finally:
            metering.count("cocohub_cvat_calls", method=method, outcome=outcome)
            metering.observe("cocohub_cvat_call_seconds", time.monotonic() - start, method=method)

    def _once(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str], doing: str) -> Answer:
        limits = self.account.timeouts
        deadline = time.monotonic() + limits.total
        timeout = urllib3.Timeout(connect=limits.connect, read=limits.read)
        try:
            response = self._pools.request(
                method,
                url,
                body=data,
                headers=dict(headers),
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                content = _read(response, deadline)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (faults.NewConnectionError, faults.ConnectTimeoutError, faults.SSLError) as error:
            raise Unwell(0, _reason(error), doing=doing, maybe_done=False) from None
        except (faults.HTTPError, OSError) as error:
            raise Unwell(0, _reason(error), doing=doing) from None
        if 200 <= response.status < 300:
            return Answer(response.status, response.headers, content)
        raise error_of(
            response.status,
            content,
            doing=doing,
            after=_retry_after(response.headers.get("Retry-After")),
            hide=self.account.token,
        )


def _worth(error: CvatError, method: str, repeat: Repeat, attempt: int) -> bool:
    if isinstance(error, Busy):
        return error.status == 429
    if isinstance(error, Unwell):
        return repeat is Repeat.SAFE or not error.maybe_done
    # Often a wrong input, and then it stays one: a read gets one more chance, a write is for the caller to look into.
    return isinstance(error, Broken500) and method in ("GET", "HEAD") and attempt == 1


def _compact(body: Any, doing: str) -> bytes:
    try:
        data = orjson.dumps(body)
        # It writes null for a number that is not finite: where there is one, it is looked for with more care.
        if b"null" not in data:
            return data
    except orjson.JSONEncodeError:  # half of a character, or a whole number of more than 64 bits
        pass
    try:
        # CVAT stores 1e400 and then cannot read it back; NaN it refuses.
        return json.dumps(body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError:
        raise ValueError(f"Cannot {doing}: a number is not finite, or a text has half of a character.") from None


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    # What has come so far, not so many bytes: else one byte now and then would put the deadline off for hours.
    while part := response.read1(READ_SIZE):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            raise faults.HTTPError(f"the answer is larger than {MAX_ANSWER // MIB} MiB")
        if time.monotonic() > deadline:
            raise faults.HTTPError("the answer took too long")
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    """Why, without urllib3's names of objects and addresses."""
    if isinstance(error, faults.NameResolutionError):
        return "the host name is not known (DNS)."
    if isinstance(error, faults.NewConnectionError):  # also one of those that took too long, to urllib3
        return f"no connection ({str(error).rpartition(': ')[2]})."
    if isinstance(error, faults.ConnectTimeoutError):
        return "no connection within the time allowed."
    if isinstance(error, faults.SSLError):
        return f"TLS failed ({str(error)[:200]})."
    if isinstance(error, faults.ReadTimeoutError):
        return "no answer within the time allowed."
    if isinstance(error, faults.ProtocolError | OSError):
        return "the connection was cut before the answer was complete."
    return f"{str(error)[:200]}."


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
