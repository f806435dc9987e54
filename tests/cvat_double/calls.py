"""One call as the handlers see it, who makes it, and what its body says."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.cvat_double.answers import Answer, broken, detail, page, refuse
from tests.cvat_double.lists import moment
from tests.cvat_double.state import State

ACCEPTED = ("application/vnd.cvat+json", "*/*", "text/html")


@dataclass
class Call:
    """A call with its state; handlers hold the state's lock."""

    state: State
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    user_id: int = 0
    organization: int | None = None  # the context's, None for a sandbox or for every context
    every_context: bool = True

    @property
    def url(self) -> str:
        """The address without the query."""
        return f"{self.state.base}{self.path}"

    def json(self) -> dict[str, Any]:
        """The body, parsed as strictly as CVAT does."""
        kind = self.headers.get("Content-Type") or ""
        if not kind.startswith(("application/json", "application/vnd.cvat+json")):
            raise detail(f'Unsupported media type "{kind}" in request.', 415)
        if not self.body:
            return {}
        try:
            data = json.loads(self.body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise detail(f"JSON parse error - {error}", 400) from None
        if not isinstance(data, dict):
            raise broken()
        return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Out of range float values are not JSON compliant: '{name}'")


Handler = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Have a function handle a method at `/api` + pattern; groups are its arguments."""

    def add(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(f"/api{pattern}"), handler))
        return handler

    return add


def dispatch(call: Call) -> Answer:
    """Find who handles it; CVAT's answers where nobody does."""
    others = []
    for method, pattern, handler in ROUTES:
        found = pattern.fullmatch(call.path)
        if found is None:
            continue
        if method == call.method or (call.method == "HEAD" and method == "GET"):
            return handler(call, *(int(part) if part.isdigit() else part for part in found.groups()))
        others.append(method)
    if others and call.method == "OPTIONS":
        return Answer(
            200, b'{"name": "List"}', {"Content-Type": "application/vnd.cvat+json", "Allow": ", ".join(others)}
        )
    if others:
        raise detail(f'Method "{call.method}" not allowed.', 405)
    if re.fullmatch(r"/api/(tasks|projects|jobs|labels)/[^/]+", call.path):
        raise detail("Not found.", 404)
    return page(404)


# --- Who ---

OPEN = re.compile(r"/api/(server/about|server/health/|auth/login)")


def authenticate(call: Call, seconds: float) -> None:
    """Set the call's user, or refuse."""
    state = call.state
    given = call.headers.get("Authorization")
    if given is None:
        if OPEN.fullmatch(call.path):
            _throttle(state, seconds)
            return
        raise _unauthorized("Authentication credentials were not provided.")
    scheme, _, value = given.partition(" ")
    if scheme in ("Bearer", "Token") and not value.strip():
        raise _unauthorized("Invalid token header. No credentials provided.")
    if scheme == "Bearer" and value in state.tokens:
        token = state.tokens[value]
        if token["expiry_date"] is None or moment(token["expiry_date"]) > state.now():
            token["last_used_date"] = state.date()
            call.user_id = token["_user"]
            return
    if scheme == "Token" and value in state.keys:
        call.user_id = state.keys[value]
        return
    if scheme == "Basic":
        call.user_id = 1
        return
    raise _unauthorized("Invalid token.")


def _unauthorized(words: str) -> Exception:
    return detail(words, 401, **{"WWW-Authenticate": "Token"})


def _throttle(state: State, seconds: float) -> None:
    state.anonymous = [at for at in state.anonymous if seconds - at < 60]
    if len(state.anonymous) >= state.options.anonymous_limit:
        wait = 60 - int(seconds - state.anonymous[0])
        words = f"Request was throttled. Expected available in {wait} seconds."
        raise detail(words, 429, **{"Retry-After": str(wait)})
    state.anonymous.append(seconds)


def negotiate(call: Call) -> None:
    """Refuse an Accept header that CVAT does not satisfy."""
    accept = call.headers.get("Accept")
    if not accept or any(kind in accept for kind in ACCEPTED):
        if accept and re.search(r"version=(?!2\.0)", accept):
            raise detail('Invalid version in "Accept" header.', 406)
        return
    raise detail("Could not satisfy the request Accept header.", 406)


def choose_context(call: Call) -> None:
    """The organization by header or query."""
    header = call.headers.get("X-Organization")
    named, numbered = call.query.get("org"), call.query.get("org_id")
    if header is not None and named is not None and header != named:
        raise refuse(
            ['You cannot specify "org" query parameter and "X-Organization" HTTP header with different values.']
        )
    slug = header if header is not None else named
    if slug is None and numbered is None:
        return
    call.every_context = False
    if slug == "" or numbered == "":
        return
    for organization in call.state.organizations.values():
        if organization["slug"] == slug or (numbered and str(organization["id"]) == numbered):
            call.organization = organization["id"]
            return
    raise detail(f"{slug or numbered} organization does not exist.", 404)


def in_context(call: Call, organization: int | None) -> bool:
    """Whether an object shows in lists of this context."""
    return call.every_context or organization == call.organization
