"""`manage.py tag_assets`."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from annotations import batches, bulk
from assets.models import ImageAsset


def tag(project, *arguments):
    out = io.StringIO()
    call_command("tag_assets", "--project", project.name, "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture(autouse=True)
def migrated(monkeypatch):
    """The test database is."""
    monkeypatch.setattr("projects.commands.migrate_embedded", lambda: None)


def test_a_dry_run_tells_and_changes_nothing(project, images):
    found = tag(project, "--q", "split:train", "--add", "x", "--dry-run")
    assert found == {
        "project": project.name, "q": "split:train", "matched": 3, "sample": ["a.jpg", "b.jpg", "c.jpg"]
    }  # fmt: skip
    assert not ImageAsset.objects.filter(tags__contains=["x"]).exists()


@pytest.mark.parametrize("at_once", [2_000, 0])
def test_tags_are_added_and_removed_few_or_many(project, images, monkeypatch, claims_here, at_once):
    monkeypatch.setattr(bulk, "AT_ONCE", at_once)
    monkeypatch.setattr(batches, "BATCH", 2)
    ImageAsset.objects.filter(pk=images["a"].pk).update(tags=["old"])
    found = tag(project, "--q", "split:train", "--add", "x", "--add", "y", "--remove", "old")
    assert (found["state"], found["matched"], found["changed"]) == ("succeeded", 3, 3)
    assert ImageAsset.objects.get(pk=images["a"].pk).tags == ["x", "y"]


def test_a_mistake_is_told_in_one_line(project, images):
    with pytest.raises(CommandError, match="widht"):
        tag(project, "--q", "widht>3", "--add", "x")
