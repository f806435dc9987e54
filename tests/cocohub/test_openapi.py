"""How complete the OpenAPI document is: counted over all of its operations."""

import re

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.projects.test_access_matrix import OPEN

CHANGES = {"post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def operations(document) -> dict[str, dict]:
    """Every operation by `METHOD path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def lacking(operations, wanted) -> set[str]:
    return {name for name, operation in operations.items() if not wanted(name, operation)}


def is_open(operation) -> bool:
    return not operation.get("security") or {} in operation["security"]


def test_the_document_is_valid_openapi(document):
    validate_schema(document)
    assert document["openapi"].startswith("3.")


def test_every_operation_has_a_summary_a_description_and_a_name_of_its_own(operations):
    assert len(operations) > 100
    assert lacking(operations, lambda _, one: 3 < len(one.get("summary", "")) <= 140) == set()
    assert lacking(operations, lambda _, one: one.get("description")) == set()
    names = [one["operationId"] for one in operations.values()]
    assert len(names) == len(set(names))


def test_every_tag_says_what_it_is_about(document, operations):
    told = {tag["name"]: tag["description"] for tag in document["tags"]}
    used = {tag for one in operations.values() for tag in one["tags"]}
    assert used == set(told)
    assert all(told.values())


def test_every_operation_tells_what_can_go_wrong(operations):
    def complete(name: str, one: dict) -> bool:
        wanted = {"400", "429", "default"}
        method, path = name.split()
        if not is_open(one):
            wanted |= {"401", "403"}
            if method.lower() in CHANGES:
                wanted.add("409")
            if method == "POST":
                wanted.add("422")
        if "{" in path:
            wanted.add("404")
        if any(parameter["name"] == "If-Match" for parameter in one.get("parameters", ())):
            wanted.add("412")
        return wanted <= set(one["responses"])

    assert lacking(operations, complete) == set()


def test_every_error_has_the_one_shape_and_an_example(operations):
    for name, operation in operations.items():
        for code, answer in operation["responses"].items():
            if not re.fullmatch(r"4\d\d", code):
                continue
            assert answer["description"], (name, code)
            for content in answer["content"].values():
                assert content["schema"]["$ref"].endswith("/Error"), (name, code)
                assert content["example"]["message"], (name, code)


def test_every_success_is_described_or_has_a_shape(operations):
    def told(_name: str, one: dict) -> bool:
        good = [answer for code, answer in one["responses"].items() if code.startswith("2")]
        return bool(good) and all(answer.get("content") or answer.get("description") for answer in good)

    assert lacking(operations, told) == set()


def test_who_calls_is_proven_by_one_of_two_tokens_or_not_at_all(document, operations):
    schemes = document["components"]["securitySchemes"]
    assert {"bearer", "personalToken"} <= set(schemes)
    assert all(scheme["type"] == "apiKey" or scheme["description"] for scheme in schemes.values())
    either = [{"bearer": []}, {"personalToken": []}]
    closed = {name: one for name, one in operations.items() if not is_open(one)}
    of_accounts = {name for name in closed if re.search(r"auth/(tokens|password|logout)", name)}
    assert len(of_accounts) == 5
    assert lacking(closed, lambda _, one: one["security"][:2] == either) == of_accounts
    assert all(closed[name]["security"] == either[:1] for name in of_accounts)
    assert len(operations) - len(closed) <= len(OPEN)
