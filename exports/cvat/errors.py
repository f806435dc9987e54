"""What CVAT answers when it does not do what was asked: one error, with subclasses by what there is to do about it."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

MAX_WORDS = 1000  # characters of CVAT's own words that go into a message
SAME_REQUEST = "the same background request already waits or runs"


class CvatError(Exception):
    """CVAT did not do it. `status` is CVAT's HTTP status (0: no answer), `words` are its own, `detail` the parsed body.

    `status` is never one to pass on to our own callers: CVAT's 401 is not theirs.
    """

    saying = "CVAT answered"

    def __init__(self, status: int, words: str, detail: object | None = None, *, doing: str = "") -> None:
        super().__init__(status, words, detail)
        self.status = status
        self.words = words
        self.detail = detail
        self.doing = doing

    def __str__(self) -> str:
        code = f" ({self.status})" if self.status else ""
        doing = f", asked to {self.doing}" if self.doing else ""
        return f"{self.saying}{code}{doing}: {self.words}" if self.words else f"{self.saying}{code}{doing}."


class Unauthorized(CvatError):
    """The token is unknown, expired, revoked, or of the other scheme. Give another."""

    saying = "CVAT does not accept the token"


class Forbidden(CvatError):
    """The token is good, but this is not allowed to its user; or a field was named that cannot be changed."""

    saying = "CVAT does not allow it"


class NotFound(CvatError):
    """CVAT has no such thing, or hides it from this user."""

    saying = "CVAT does not find it"


class Refused(CvatError):
    """The input is wrong. Repeating it helps nothing."""

    saying = "CVAT refused"


class WrongAddress(CvatError):
    """Somebody answers at the address, but not CVAT's API: a redirect, a web page, an address that is not allowed."""

    saying = "This is not the address of CVAT's API"


class Busy(CvatError):
    """Not now. `after` is when to ask again (seconds), `rq_id` the background request that is in the way."""

    saying = "CVAT is busy"

    def __init__(
        self,
        status: int,
        words: str,
        detail: object | None = None,
        *,
        doing: str = "",
        after: float | None = None,
        rq_id: str | None = None,
    ) -> None:
        super().__init__(status, words, detail, doing=doing)
        self.after = after
        self.rq_id = rq_id


class Unwell(CvatError):
    """No answer, or one of a server in trouble: it will pass. `maybe_done`: what was asked may have been done."""

    saying = "CVAT cannot be reached or is in trouble"

    def __init__(
        self, status: int, words: str, detail: object | None = None, *, doing: str = "", maybe_done: bool = True
    ) -> None:
        super().__init__(status, words, detail, doing=doing)
        self.maybe_done = maybe_done


class Broken500(CvatError):
    """CVAT's own code failed, often over a wrong input. What was asked may have been stored all the same: read back."""

    saying = "CVAT failed inside"


BY_STATUS: dict[int, type[CvatError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    500: Broken500,
}


def error_of(status: int, body: bytes, *, doing: str, after: float | None = None, hide: str = "") -> CvatError:
    """The typed error of an answer that is no success. `hide` (the token) never shows, even if CVAT repeats it."""
    text = body.decode("utf-8", "replace")
    if hide:
        text = text.replace(hide, "***")
    detail = parse(text)
    words = words_of(detail)
    rq_id = detail.get("rq_id") if isinstance(detail, Mapping) else None
    if status == 429 or (status == 409 and isinstance(rq_id, str)):
        return Busy(status, words, detail, doing=doing, after=after, rq_id=rq_id if isinstance(rq_id, str) else None)
    if 300 <= status < 400:
        return WrongAddress(status, "it redirects elsewhere, and redirects are not followed.", doing=doing)
    if status == 404 and isinstance(detail, str) and _is_page(text):
        return NotFound(status, f"no such address ({words}); is the URL the one of CVAT's API?", detail, doing=doing)
    if status in BY_STATUS:
        return BY_STATUS[status](status, words, detail, doing=doing)
    if status > 500:
        return Unwell(status, words, detail, doing=doing)
    return Refused(status, words, detail, doing=doing)


def parse(text: str) -> object:
    """The body as JSON if it is JSON, else as the text it is."""
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return text
    return parsed


def words_of(detail: object) -> str:
    """CVAT's words in one line, whichever of its shapes they come in: `shapes[1].points: invalid length ...`."""
    if isinstance(detail, Mapping) and isinstance(detail.get("detail"), str):
        return _cut(detail["detail"])
    if isinstance(detail, Mapping) and isinstance(detail.get("rq_id"), str):
        return SAME_REQUEST
    if isinstance(detail, str):
        return _cut(_page_words(detail) if _is_page(detail) else detail)
    if isinstance(detail, Mapping | list):
        return _cut("; ".join(_flat(detail, "")))
    return "" if detail is None else _cut(str(detail))


def last_line(message: str) -> str:
    """What a failed request says without its traceback: the last line that is not empty."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _flat(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = f"[{key}]" if str(key).isdigit() else f"{'.' if path else ''}{key}"
            yield from _flat(inner, f"{path}{name}")
    elif isinstance(value, list):
        texts = [item for item in value if isinstance(item, str)]
        if texts:
            yield f"{path}: {' '.join(texts)}" if path else " ".join(texts)
        for index, item in enumerate(value):
            if not isinstance(item, str):
                yield from _flat(item, f"{path}[{index}]")
    else:
        yield f"{path}: {value}" if path else str(value)


def _is_page(text: str) -> bool:
    # The content type says nothing: CVAT declares plain texts as text/html too.
    return text.lstrip()[:9].lower().startswith(("<!doctype", "<html"))


class _Heading(HTMLParser):
    """Collects the title, and the first heading if there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = ""
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("title", "h1") and data.strip():
            self.found.setdefault(self.inside, data.strip())


def _page_words(page: str) -> str:
    heading = _Heading()
    heading.feed(page[:20_000])
    return heading.found.get("title") or heading.found.get("h1") or "a web page"


def _cut(words: str) -> str:
    line = re.sub(r"\s+", " ", words).strip()
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
