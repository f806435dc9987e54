"""Logs: a JSON object on each line in production, words for people elsewhere; each says whose work it was.

`request_id`, `user_id`, `project_id` and `task_id` come from `accounts.context`; django-structlog carries them along
with the message that starts a task. Secrets are blotted out of whatever is logged, tracebacks too.
"""

import logging
import re
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any

import orjson
import structlog
from django.conf import settings

BLOT = "***"
KNOWN_FROM = 8  # characters; a shorter secret would blot out ordinary words
NAMES = r"(?:pass(?:word|wd)?|secret|token|api_?key|authorization|cookie|ticket|signature|refresh|access)"
PATTERNS = (
    (re.compile(r"cocohub_pat_\w+"), f"cocohub_pat_{BLOT}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), BLOT),
    (re.compile(r"(?i)\b(bearer|token|basic)(\s+)(?=\S*\d)[\w.~+/=-]{16,}"), rf"\1\2{BLOT}"),
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), BLOT),
    # `password=...`, `"refresh": "..."`, `?ticket=...`; what stands in quotes as a whole
    (re.compile(rf"(?i)(\b\w*{NAMES}\w*['\"]?\s*[:=]\s*)(['\"])(?:(?!\2).)+\2"), rf"\1\2{BLOT}\2"),
    (re.compile(rf"(?i)(\b\w*{NAMES}\w*\s*=\s*)[^\s'\",;&)}}]+"), rf"\1{BLOT}"),
)
SECRET_NAME = re.compile(rf"(?i)^\w*{NAMES}$")


def configuration(level: str, *, as_json: bool) -> dict[str, Any]:
    """Django's LOGGING."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: Any = structlog.processors.JSONRenderer(_dumps) if as_json else _as_words
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    blot,
                    last,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # It says of every task that it was sent, begun and done: the sweeper's alone would be all there is to read.
            "django_structlog": {"level": "WARNING"},
            # Its lines on 4xx have no id of the request; ours have.
            "django.request": {"level": "ERROR"},
        },
    }


def blot(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blot secrets out of everything that is about to be written."""
    event.pop("request", None)  # Django's own lines bring the whole request along
    for name, value in event.items():
        event[name] = _blotted(name, value)
    return event


def _blotted(name: str, value: Any) -> Any:
    if SECRET_NAME.match(name) and value:
        return BLOT
    if isinstance(value, str):
        for secret in _known():
            value = value.replace(secret, BLOT)
        for pattern, instead in PATTERNS:
            value = pattern.sub(instead, value)
        return value
    if isinstance(value, dict):
        return {key: _blotted(str(key), each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_blotted("", each) for each in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _blotted("", str(value))


@lru_cache(maxsize=1)
def _known() -> tuple[str, ...]:
    """The installation's own secrets, the longest first."""
    storage: Any = settings.STORAGES["default"]
    given: Iterable[Any] = (
        settings.SECRET_KEY,
        settings.SIMPLE_JWT["SIGNING_KEY"],
        settings.CVAT_API_TOKEN,
        settings.METRICS_TOKEN,
        settings.DATABASES["default"].get("PASSWORD"),
        storage.get("OPTIONS", {}).get("secret_key"),
        *settings.CREDENTIALS_KEYS,
    )
    return tuple(sorted({str(one) for one in given if one and len(str(one)) >= KNOWN_FROM}, key=len, reverse=True))


def _dumps(event: Any, **options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode(errors="replace")


def _as_words(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """As `time LEVEL logger message name=value ...`, with the traceback below."""
    given = dict(event)
    head = " ".join(str(given.pop(name, "")) for name in ("timestamp", "level", "logger", "event"))
    below = given.pop("exception", "")
    told = " ".join(f"{name}={value}" for name, value in given.items() if value not in ("", None))
    return f"{head} {told}".rstrip() + (f"\n{below}" if below else "")


requests = logging.getLogger("cocohub.requests")
QUIET = ("/api/v1/health", "/metrics", "/static/")


def tell_of_request(method: str, path: str, status: int, seconds: float, user_id: object) -> None:
    """One line for each request, without what stands behind the `?`: tickets and signatures are there."""
    level = logging.DEBUG if path.startswith(QUIET) and status < 500 else logging.INFO
    if not requests.isEnabledFor(level):
        return
    path = "/media/…" if path.startswith("/media/") else path  # the signed link is the permission
    facts = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 1)}
    if user_id is not None:
        facts["user_id"] = user_id
    requests.log(level, "%s %s %d", method, path, status, extra=facts)
