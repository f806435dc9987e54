"""Fields of a body that are nearly ours: refused by name, before anything is done; others are left alone."""

import ast
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

from accounts.api.forms import Spelt
from assets.models import ImageAsset
from insights.api.serializers import InsightViewSerializer
from projects.api.serializers import MemberSerializer, ProjectSerializer
from tests.annotations.coco.reading import good
from tests.annotations.documents import import_document

ROOT = Path(__file__).resolve().parents[2]
OF_VIEWS = {ProjectSerializer, MemberSerializer, InsightViewSerializer}  # read with `self.get_serializer(data=...)`


def bodies() -> set[type]:
    """What the views of the API read bodies with."""
    found: set[type] = set(OF_VIEWS)
    for path in ROOT.glob("*/api/*.py"):
        if path.parts[-3] == "tests":
            continue
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(word.arg == "data" for word in node.keywords):
                name = ast.unparse(node.func)
                if not name.startswith("self."):
                    found.add(reduce(getattr, name.split("."), module))
    return found


def test_every_body_is_read_with_care_for_its_names():
    assert len(bodies()) > 30
    assert {form.__name__ for form in bodies() if not issubclass(form, Spelt)} == set()


@pytest.mark.parametrize("name", ["dryrun", "dryRun", "dry-run", "dry_rum", "Dry_Run"])
def test_a_misspelt_field_does_not_make_a_trial_a_deed(project, as_manager, name):
    import_document(project, good())
    answer = as_manager.post(f"/api/v1/projects/{project.pk}/assets/bulk", {"q": "", "delete": True, name: True})
    assert answer.status_code == 400
    assert answer.json()["fieldErrors"] == {name: [f"There is no field {name!r} here. Did you mean 'dry_run'?"]}
    assert ImageAsset.objects.filter(project=project).count() == len(good()["images"])


@pytest.mark.parametrize(
    ("address", "body", "ours"),
    [
        ("/api/v1/projects/{}/exports/coco", {"query": "tag:x"}, "q"),
        ("/api/v1/projects/{}/assets/bulk", {"q": "", "delete": True, "preview": True}, "dry_run"),
        ("/api/v1/auth/tokens", {"name": "a", "scopes": ["read"], "expires_at": "2030-01-01"}, "days"),
    ],
)
def test_what_others_call_ours_is_named(project, as_manager, address, body, ours):
    answer = as_manager.post(address.format(project.pk), body)
    assert answer.status_code == 400
    assert f"Did you mean {ours!r}?" in str(answer.json()["fieldErrors"])


@pytest.mark.parametrize(
    ("body", "misspelt"),
    [
        ({"name": "a", "descripton": "b"}, {"descripton"}),
        ({"name": "a", "Source": "b", "descr": "c"}, {"Source"}),
        ({"nmae": "a"}, {"nmae"}),
        ({"name": "a", "owner": 1, "role": "owner", "is_staff": True, "status": "ready", "x" * 10_000: 1}, set()),
    ],
)
def test_only_what_is_nearly_ours_is_refused(as_owner, body, misspelt):
    answer = as_owner.post("/api/v1/projects", body)
    assert answer.status_code == (400 if misspelt else 201)
    assert misspelt <= set(answer.json().get("fieldErrors", {}))
    assert misspelt or answer.json()["status"] != "failed"


def test_names_of_uploaded_files_are_looked_at_too(project, as_curator):
    answer = as_curator.post(f"/api/v1/projects/{project.pk}/coco", {"flie": "x", "stricts": "1"}, format="multipart")
    assert set(answer.json()["fieldErrors"]) == {"flie", "stricts"}
