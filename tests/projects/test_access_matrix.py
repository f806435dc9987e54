"""Every address of the API against every kind of caller, found by walking the URLconf: new ones are covered too.

An address that is meant to be open, or a change that is meant for viewers, is named below with its reason.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from accounts import tokens
from tests import factories

API = "api/v1/"
UNSAFE = {"post", "put", "patch", "delete"}

# Addresses that need no token, by name.
OPEN = {
    "login": "asks for the password instead",
    "refresh": "asks for the refresh token instead",
    "schema": "says what the API is like, and holds no data",
    "docs": "shows the schema",
    "redoc": "shows the schema",
    "media": "the signed link is the permission, so that <img> works without a header",
    "cvat-delivery": "CVAT's signature over the body is the permission",
    "health-live": "for load balancers",
    "health-ready": "for load balancers",
}
# Changes that viewers may make, as "name method".
FOR_VIEWERS: dict[str, str] = {"project-member-leave post": "to leave is everybody's own affair"}
# Reading that takes more than a viewer, as "name".
NOT_FOR_VIEWERS = {
    "project-audit-list": "what others did is for managers",
    "project-cvat-connection": "by whose credentials work is sent is for managers",
    "project-webhook-list": "who outside is told of what is for managers",
    "project-webhook-detail": "who outside is told of what is for managers",
    "project-webhook-delivery-list": "who outside is told of what is for managers",
}

SAMPLES = {"int": 987_654, "uuid": uuid.UUID(int=1), "str": "x", "slug": "x", "path": "x"}


@dataclass(frozen=True)
class Route:
    """One address and one method."""

    name: str
    method: str
    template: str
    kwargs: tuple[tuple[str, Any], ...]

    @property
    def label(self) -> str:
        return f"{self.name} {self.method}"

    @property
    def of_project(self) -> bool:
        return "project_pk" in dict(self.kwargs)

    @property
    def is_list(self) -> bool:
        """Whether nothing but the project is named."""
        return {name for name, _ in self.kwargs} <= {"project_pk"}

    def address(self, **known: Any) -> str:
        """The address with the given ids, and any others for the rest."""
        path = self.template
        for name, sample in self.kwargs:
            path = path.replace(f"<{name}>", str(known.get(name, sample)))
        return f"/{path}"


def walk(resolver: URLResolver, prefix: str = "", converters: dict[str, Any] | None = None) -> Iterator[Route]:
    """All routes below a resolver."""
    for entry in resolver.url_patterns:
        assert isinstance(entry.pattern, RoutePattern) or not prefix.startswith(API), f"{entry} is no path()"
        inner = {**(converters or {}), **getattr(entry.pattern, "converters", {})}
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, path, inner)
        elif path.startswith(API):
            yield from _routes(entry, path, inner)


def _routes(entry: URLPattern, path: str, converters: dict[str, Any]) -> Iterator[Route]:
    kwargs = []
    for name, converter in converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        kwargs.append((name, SAMPLES[kind]))
        path = path.replace(f"<{kind}:{name}>", f"<{name}>")
    for method in _methods(entry.callback):
        yield Route(entry.name or "", method, path, tuple(kwargs))


def _methods(view: Any) -> list[str]:
    if actions := getattr(view, "actions", None):
        return [method for method in actions if method != "head"]
    known = getattr(view, "cls", None) or getattr(view, "view_class", None)
    methods = [method for method in ("get", *sorted(UNSAFE)) if hasattr(known, method)]
    return methods or ["get"]


ROUTES = list(walk(get_resolver()))
CLOSED = [route for route in ROUTES if route.name not in OPEN]
OF_PROJECT = [route for route in CLOSED if route.of_project]
CHANGES = [route for route in OF_PROJECT if route.method in UNSAFE]
LISTS = [route for route in OF_PROJECT if route.method == "get" and route.is_list]


def each(routes: list[Route]) -> Any:
    return pytest.mark.parametrize("route", routes, ids=lambda route: f"{route.method.upper()} {route.template}")


def call(client: Any, route: Route, **known: Any) -> Any:
    return getattr(client, route.method)(route.address(**known))


def test_the_walk_finds_what_there_is():
    labels = {route.label for route in ROUTES}
    assert {"project-list get", "project-detail delete", "project-member-detail patch", "task-cancel post"} <= labels
    assert len(ROUTES) == len({(route.template, route.method) for route in ROUTES})
    assert all(route.name for route in ROUTES), "every address needs a name"


def test_every_exception_is_still_needed():
    names, labels = {route.name for route in ROUTES}, {route.label for route in ROUTES}
    assert set(FOR_VIEWERS) <= labels
    assert set(NOT_FOR_VIEWERS) <= names


@pytest.fixture
def bad_tokens(owner) -> dict[str, str]:
    """Authorization headers that must open nothing."""
    pair = tokens.issue(owner)
    payload = jwt.decode(pair.access, options={"verify_signature": False})
    key = settings.SIMPLE_JWT["SIGNING_KEY"]
    head, body, signature = pair.access.split(".")
    return {
        "none": "",
        "expired": f"Bearer {jwt.encode({**payload, 'exp': 1_000_000_000}, key, algorithm='HS256')}",
        "tampered": f"Bearer {head}.{body}.{signature[::-1]}",
        "unsigned": f"Bearer {jwt.encode(payload, None, algorithm='none')}",
        "refresh": f"Bearer {pair.refresh}",
    }


@each(CLOSED)
def test_without_a_good_token_nothing_opens(route, project, as_nobody, bad_tokens):
    for kind, header in bad_tokens.items():
        as_nobody.credentials(**({"HTTP_AUTHORIZATION": header} if header else {}))
        answer = call(as_nobody, route, project_pk=project.pk)
        assert answer.status_code == 401, kind
        assert answer["Content-Type"] == "application/json"
        assert answer.json()["message"]
        assert answer["WWW-Authenticate"].startswith("Bearer")


@each(OF_PROJECT)
def test_a_stranger_finds_no_project(route, project, as_stranger):
    theirs = call(as_stranger, route, project_pk=project.pk)
    missing = call(as_stranger, route, project_pk=999_999_999)
    assert theirs.status_code == missing.status_code == 404
    assert theirs.json()["message"].replace(str(project.pk), "N") == missing.json()["message"].replace("999999999", "N")


@each(CHANGES)
def test_a_viewer_changes_nothing(route, project, as_viewer):
    if route.label in FOR_VIEWERS:
        pytest.skip(FOR_VIEWERS[route.label])
    answer = call(as_viewer, route, project_pk=project.pk)
    assert answer.status_code == 403
    assert "viewer" in answer.json()["message"]


@each(LISTS)
def test_a_viewer_reads(route, project, as_viewer):
    status = call(as_viewer, route, project_pk=project.pk).status_code
    if route.name in NOT_FOR_VIEWERS:
        assert status == 403
    else:
        assert status not in (401, 403, 404), status
        assert status < 500


@each([route for route in CLOSED if not route.of_project and route.kwargs])
def test_what_is_not_there_or_not_ones_own_is_404_or_403(route, as_stranger):
    answer = call(as_stranger, route)
    assert answer.status_code in (403, 404)
    assert answer.json()["message"]


@each(OF_PROJECT)
def test_a_project_that_is_being_deleted_is_gone(route, owner, api):
    hidden = factories.make_project(owner, deleting=True)
    assert call(api(owner), route, project_pk=hidden.pk).status_code == 404


@each([route for route in OF_PROJECT if route.method == "get" and not route.is_list])
def test_ids_of_nothing_are_404_for_the_owner_too(route, project, as_owner):
    assert call(as_owner, route, project_pk=project.pk).status_code == 404
