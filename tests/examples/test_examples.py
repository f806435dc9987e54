"""The examples of the OpenAPI document: written down from real calls, and true of the document as it is.

`COCOHUB_RECORD_EXAMPLES=1 python -m pytest tests/examples` writes them anew; what differs is to be looked at.
"""

import os
import re
from typing import Any

import orjson
import pytest
from drf_spectacular.generators import SchemaGenerator
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator

from accounts.api import examples
from tests.examples.recorder import Recorder
from tests.examples.story import Story
from tests.webhooks.receiver import listening

JSON = "application/json"
# Bytes: there is nothing to read in an example of them.
BYTES = {"application/zip", "image/png", "image/svg+xml", "*/*", "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(document) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def contents(operation, of_request: bool):
    """Each media type of a request, or of good answers, with where it stands."""
    if of_request:
        yield from (
            ("request", kind, content) for kind, content in operation.get("requestBody", {}).get("content", {}).items()
        )
        return
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from ((status, kind, content) for kind, content in answer.get("content", {}).items())


def faults(document, schema, example, of_request: bool) -> list[str]:
    validator = (OAS30WriteValidator if of_request else OAS30ReadValidator)(
        {**schema, "components": document["components"]}
    )
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(example)
    ]


@pytest.fixture
def told(transactional_db, document, cvat, settings) -> dict[str, Any]:
    """What the story writes down today."""
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    recorder = Recorder(document)
    with listening() as receiver:
        Story(recorder, cvat, receiver.url).tell()
    return recorder.told


def test_the_story_makes_every_call_and_the_examples_have_what_it_is_answered(told, document):
    if os.environ.get("COCOHUB_RECORD_EXAMPLES"):
        examples.FILE.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        examples.known.cache_clear()
    assert set(told) == set(operations(document))
    assert {name: places(one) for name, one in told.items()} == {
        name: places(one) for name, one in examples.known().items()
    }


def places(told) -> set[tuple[str, ...]]:
    """Which bodies there are, and of those that are objects, which members."""
    found = {("request", kind) for kind in told.get("request", ())}
    for status, bodies in told.get("answers", {}).items():
        for kind, body in bodies.items():
            found |= {(status, kind, name) for name in body} if isinstance(body, dict) else {(status, kind)}
    return found


@pytest.mark.parametrize("of_request", [True, False], ids=["requests", "answers"])
def test_every_body_has_an_example(document, of_request):
    lacking = [
        f"{name} {place} {kind}"
        for name, operation in operations(document).items()
        if not (of_request and has_example(operation, True))
        for place, kind, content in contents(operation, of_request)
        if kind not in BYTES and not {"example", "examples"} & set(content)
    ]
    assert lacking == []


def has_example(operation, of_request: bool) -> bool:
    """One way to send it is enough: a form and JSON say the same."""
    return any("example" in content for _, _, content in contents(operation, of_request))


@pytest.mark.parametrize("of_request", [True, False], ids=["requests", "answers"])
def test_every_example_is_one_of_its_schema(document, of_request):
    wrong = {
        f"{name} {place}": found
        for name, operation in operations(document).items()
        for place, kind, content in contents(operation, of_request)
        if "example" in content and kind == JSON
        and (found := faults(document, content["schema"], content["example"], of_request))
    }  # fmt: skip
    assert wrong == {}


def test_examples_hold_no_secret_and_no_address_of_where_they_were_made():
    text = examples.FILE.read_text()
    assert "testserver" not in text
    assert "127.0.0.1" not in text
    assert "/tmp" not in text
    assert set(re.findall(r"eyJ[\w.-]+", text)) <= {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3OTU0MzI1MDB9.c2lnbmF0dXJl"}
    assert set(re.findall(r"cocohub_pat_\w+", text)) == {"cocohub_pat_4fQ7wXcR2m"}
