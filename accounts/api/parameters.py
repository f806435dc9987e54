"""What may stand behind the `?` of an address: what the OpenAPI document says, and nothing else.

A misspelt parameter would else be passed over in silence, and the answer be of everything.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, ClassVar

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import context, personal
from accounts.api import idempotency
from accounts.api.generator import Generator
from accounts.api.schema import ApiSchema
from accounts.errors import ServiceError

FREE = "_"  # names that begin so are the client's own business: cache busters, marks in logs
VARIABLE = re.compile(r"<[^>]+>|\{[^}]+\}")


class UnknownParameter(ServiceError):
    """The address has a parameter that there is not."""


class Described(APIView):
    """A call that the OpenAPI document describes, and that takes the parameters told there."""

    schema = ApiSchema()
    # Which scope of a personal token an action (or, in a plain view, a method in small letters) takes, where it is not
    # `read` for reading and `write` for the rest; None: no token may. `""` stands for all that are not named.
    token_scopes: ClassVar[Mapping[str, str | None]] = {}
    # Actions (or methods) whose answer is a secret.
    secret_answers: ClassVar[Collection[str]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Prove who calls and that they may; then look at how they ask."""
        super().initial(request, *args, **kwargs)
        if request.user is not None and request.user.is_authenticated:
            context.tell(user_id=request.user.pk)
        personal.require(request.auth, self.token_scope(request))
        self.enter(request, **kwargs)
        check(request)
        handler = getattr(self, "post", None)
        if request.method == "POST" and handler is not None:
            wrapped = idempotency.wrapped(handler, request, secret=self.answers_are_secret(request))
            setattr(self, "post", wrapped)  # noqa: B010 - where dispatch() looks for it

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """No cache keeps what is secret."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        if request.method == "POST" and self.answers_are_secret(request):
            answer["Cache-Control"] = "no-store"
        return answer

    def answers_are_secret(self, request: Request) -> bool:
        """Whether what is answered to a POST must not be kept, not even for a day."""
        return (getattr(self, "action", None) or "post") in self.secret_answers

    def token_scope(self, request: Request) -> str | None:
        """The scope that a personal token needs for this; None if none will do."""
        method = (request.method or "").lower()
        usual = "read" if method.upper() in SAFE_METHODS else "write"
        return self.token_scopes.get(getattr(self, "action", None) or method, self.token_scopes.get("", usual))

    def enter(self, request: Request, **kwargs: Any) -> None:
        """Find what the address names, before it is told anything about it."""


def check(request: Request) -> None:
    """Raise UnknownParameter, naming all of them and the nearest ones there are. Nothing is asked of a database."""
    match = request._request.resolver_match
    if not request.query_params or match is None:
        return
    known = _known(settings.ROOT_URLCONF).get((_shape(f"/{match.route}"), (request.method or "").lower()))
    if known is None:
        return
    unknown = [name for name in request.query_params if name not in known and not name.startswith(FREE)]
    if unknown:
        faults = {name[:100]: [_fault(name[:100], known)] for name in unknown}
        raise UnknownParameter(" ".join(texts[0] for texts in faults.values()), fields=faults)


def prepare() -> None:
    """Read the document before the first request would have to wait for it."""
    _known(settings.ROOT_URLCONF)


def _fault(name: str, known: frozenset[str]) -> str:
    text = f"There is no parameter {name!r} here."
    if nearest := get_close_matches(name.lower(), known, 1):
        return f"{text} Did you mean {nearest[0]!r}?"
    return f"{text} There are: {', '.join(sorted(known))}." if known else f"{text} There are none."


@lru_cache(maxsize=2)
def _known(urlconf: str) -> Mapping[tuple[str, str], frozenset[str]]:
    """The parameters of every call, by the shape of its address and its method. Made once: some 0.2 s."""
    paths = Generator(urlconf=urlconf).get_schema(request=None, public=True)["paths"]
    return {
        (_shape(path), method): frozenset(
            given["name"] for given in operation.get("parameters", ()) if given["in"] == "query"
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def _shape(path: str) -> str:
    return VARIABLE.sub("{}", path)
