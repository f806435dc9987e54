"""Calls that our own OpenAPI document allows, and many that it does not, by people of several roles.

Whatever comes: no 5xx, answers are as the document says, and every error has our shape. Each call is rolled back, so
that all find the same world. The suite makes a few of each; `FUZZ=20 pytest tests/fuzz` (or `make fuzz`) makes twenty
times as many, others each time, and prints the seed; with `FUZZ_SUMMARY=FILE` what was tried goes there too.
"""

import os
import random
from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

from accounts import throttling, tokens
from projects.models import Role
from tests import factories
from tests.fuzz import world
from tests.fuzz.inputs import tell

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

FACTOR = int(os.environ.get("FUZZ", "0"))
CASES = max(2, 3 * FACTOR)  # of each call, by each role
SEED = int(os.environ.get("FUZZ_SEED", random.randrange(10**6) if FACTOR else 1))
ROLES = ("anonymous", "viewer", "curator", "owner", *(("stranger", "manager", "admin") if FACTOR else ()))
STREAMS = {"/api/v1/tasks/{id}/events"}  # its answer has no end; tests/projects/test_progress.py follows it
CHECKS = [
    checks.not_a_server_error,
    openapi.response_schema_conformance,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
]
UNWELL = {"/api/v1/health/ready"}  # 503 where a part is: that is its answer


@pytest.fixture
def headers(project, owner, curator, viewer, stranger, admin):
    """The header of each role, renewed for every call: some end the session."""
    people = {"owner": owner, "curator": curator, "viewer": viewer, "stranger": stranger, "admin": admin}
    people["manager"] = factories.join(project, role=Role.MANAGER).user

    def of(role: str) -> dict[str, str]:
        if role == "anonymous":
            return {}
        people[role].refresh_from_db()
        return {"Authorization": f"Bearer {tokens.issue(people[role]).access}"}

    return of


@pytest.fixture
def names(project, as_owner, tmp_path):
    yield world.build(project, as_owner, tmp_path)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def _keep_the_connection() -> None:
    """The application runs in the test's transaction: the end of a request must not close it.

    Django's own test client does the same, and undoes it after each of its calls.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)


@pytest.mark.parametrize("role", ROLES)
def test_any_call_is_answered_as_the_document_says(role, headers, names, settings, monkeypatch, capsys):
    settings.METRIC_WAIT_MS = 0
    for rate in throttling.api_settings.DEFAULT_THROTTLE_RATES:
        monkeypatch.setitem(throttling.api_settings.DEFAULT_THROTTLE_RATES, rate, "0")
    _keep_the_connection()
    document = schemathesis.openapi.from_wsgi("/api/v1/schema?format=json", get_wsgi_application())
    made: Counter[str] = Counter()
    faults: dict[str, str] = {}
    chance = random.Random(f"{SEED} {role}")
    for operation in (found.ok() for found in document.get_all_operations()):
        if operation.path not in STREAMS:
            _try(operation, role, headers, names, chance, made, faults)
    addresses, answers = len(document.raw_schema["paths"]), dict(sorted(made.items()))
    with capsys.disabled():
        if FACTOR:
            print(f"\n{role}: {sum(made.values())} calls of {addresses} addresses, seed {SEED}, answers {answers}")
    tell(role=role, calls=sum(made.values()), addresses=addresses, answers=answers, seed=SEED, faults=len(faults))
    assert sum(made.values()) > 200
    assert not faults, "\n\n".join(f"{label}\n{text}" for label, text in faults.items())


def _try(operation, role, headers, names, chance, made, faults) -> None:
    label = f"{operation.method.upper()} {operation.path}"

    @given(case=operation.as_strategy())
    @seed(f"{SEED} {role} {label}")
    @settings(
        max_examples=CASES, deadline=None, database=None, phases=[Phase.generate], derandomize=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def run(case: Any) -> None:
        _put_names(case, names, chance)
        if label in faults:
            return
        with transaction.atomic():
            try:
                answer = case.call(headers={**(case.headers or {}), **headers(role)})
                made[str(answer.status_code)] += 1
                fault = _fault_of(case, answer)
            finally:
                transaction.set_rollback(True)
        if fault:
            faults[label] = f"{fault}\n{case.as_curl_command()[:1500]}\n{answer.status_code} {answer.content[:600]!r}"

    run()


def _put_names(case: Any, names: dict[str, list[Any]], chance: random.Random) -> None:
    """Nine of ten times the address names what there is; else what was made up is left."""
    for start, known in names.items():
        parameter = start.rpartition("{")[2].rstrip("}")
        here = case.path.startswith(start) and case.path[len(start) :][:1] in ("", "/")
        if here and chance.random() < 0.9:
            case.path_parameters[parameter] = chance.choice(known)


def _fault_of(case: Any, answer: Any) -> str:
    if answer.status_code == 503 and case.path in UNWELL:
        return ""
    try:
        case.validate_response(answer, checks=CHECKS)
    except (checks.FailureGroup, checks.Failure) as fault:
        told = getattr(fault, "exceptions", [fault])
        return "\n".join(f"{type(each).__name__}: {each}" for each in told)[:2500]
    if answer.status_code < 400:
        return ""
    told = answer.json() if answer.content else None
    ours = isinstance(told, dict) and isinstance(told.get("message"), str) and told["message"]
    if not ours or set(told) - {"message", "detail", "fieldErrors"}:
        return "An error that is not of our shape."
    if answer.status_code == 429 and "Retry-After" not in answer.headers:
        return "A 429 that does not say when to come back."
    return ""
