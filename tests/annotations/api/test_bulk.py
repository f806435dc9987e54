"""Bulk edits over HTTP."""

import pytest

from annotations import bulk
from annotations.models import BulkEdit
from assets.models import ImageAsset


@pytest.mark.parametrize(
    "body",
    [
        {"add_tags": ["x"]},
        {"q": "", "ids": [1], "add_tags": ["x"]},
        {"q": ""},
        {"q": "", "delete": True, "add_tags": ["x"]},
        {"q": "widht>3", "add_tags": ["x"]},
        {"q": "", "ids": "all", "add_tags": ["x"]},
        {"ids": [0], "add_tags": ["x"]},
        {"q": "", "metadata": {"id": 4}},
        {"q": "", "status": "broken"},
        {"q": "", "split": "a\u0000"},
    ],
)
def test_what_is_no_bulk_edit_is_refused(body, at, as_manager, images):
    answer = as_manager.post(at("assets/bulk"), body)
    assert answer.status_code == 400, answer.json()
    assert set(answer.json()) <= {"message", "detail", "fieldErrors"}
    assert not BulkEdit.objects.exists()


def test_roles(at, as_viewer, as_stranger, as_curator, as_nobody, images):
    body = {"q": "", "add_tags": ["x"]}
    assert as_viewer.post(at("assets/bulk"), body).status_code == 403
    assert as_stranger.post(at("assets/bulk"), body).status_code == 404
    assert as_nobody.post(at("assets/bulk"), body).status_code == 401
    assert as_curator.post(at("assets/bulk"), {"q": "", "delete": True}).status_code == 403
    assert as_curator.post(at("assets/bulk"), {**body, "dry_run": True}).status_code == 200


def test_project_version_and_owner_in_the_body_are_ignored(at, as_curator, images, stranger):
    elsewhere = stranger.owned_projects.get()
    body = {"q": "", "add_tags": ["x"], "project": elsewhere.pk, "version": 7, "created_by": stranger.pk}
    edit = as_curator.post(at("assets/bulk"), body).json()
    assert edit["created_by"] != stranger.pk
    assert not BulkEdit.objects.filter(project=elsewhere).exists()


def test_a_dry_run_shows_a_sample_and_changes_nothing(at, as_curator, images):
    found = as_curator.post(at("assets/bulk"), {"q": "split:train", "add_tags": ["x"], "dry_run": True}).json()
    assert (found["matched"], found["at_once"], found["obstacles"]) == (3, True, {})
    assert [row["file_name"] for row in found["sample"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "image_url" not in found["sample"][0]
    assert not ImageAsset.objects.filter(tags__contains=["x"]).exists()


def test_edit_list_read_and_undo(at, as_curator, as_viewer, images):
    edit = as_curator.post(at("assets/bulk"), {"ids": [images["a"].pk, images["b"].pk], "add_tags": ["x"]})
    assert edit.status_code == 200
    said = edit.json()
    numbers = {name: said[name] for name in ("state", "total", "done", "changed", "skipped", "task")}
    assert numbers == {"state": "succeeded", "total": 2, "done": 2, "changed": 2, "skipped": 0, "task": None}
    assert as_viewer.get(at(f"bulk-edits/{said['id']}")).json() == said
    assert as_viewer.post(at(f"bulk-edits/{said['id']}/undo")).status_code == 403
    undone = as_curator.post(at(f"bulk-edits/{said['id']}/undo"))
    assert (undone.status_code, undone.json()["undoes"], undone.json()["changed"]) == (200, said["id"], 2)
    assert as_curator.post(at(f"bulk-edits/{said['id']}/undo")).status_code == 409
    assert [row["action"] for row in as_viewer.get(at("bulk-edits")).json()["results"]] == ["undo", "edit"]


def test_a_large_edit_is_202_and_the_key_makes_it_one(at, as_curator, images, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    body, headers = {"q": "", "add_tags": ["x"]}, {"Idempotency-Key": "abc"}
    first = as_curator.post(at("assets/bulk"), body, headers=headers)
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert as_curator.get(first.headers["Location"]).json()["id"] == first.json()["id"]
    assert first.json()["task"]["kind"] == "bulk_edit"
    again = as_curator.post(at("assets/bulk"), body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert as_curator.post(at("assets/bulk"), {**body, "q": "tag:y"}, headers=headers).status_code == 422


def test_edits_of_another_project_are_404(at, as_curator, as_stranger, images, stranger):
    edit = as_curator.post(at("assets/bulk"), {"q": "", "add_tags": ["x"]}).json()
    elsewhere = stranger.owned_projects.get()
    path = f"/api/v1/projects/{elsewhere.pk}/bulk-edits/{edit['id']}"
    assert as_stranger.get(path).status_code == 404
    assert as_stranger.post(f"{path}/undo").status_code == 404
