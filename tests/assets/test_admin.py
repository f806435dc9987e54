"""Images in the admin: tagged and edited through the services, by curators of their project."""

import json

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.urls import reverse

from assets.admin import merge_patch_between, split_tags
from assets.models import ImageAsset
from assets.services import merge_patch
from projects.models import AuditLog, Role
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff

LIST = "/admin/assets/imageasset/"


@pytest.fixture
def images(project, tmp_path):
    return scenes.load_scenes(project, tmp_path)


@pytest.fixture
def by_curator(project):
    return browser_of(staff(project, Role.CURATOR, email="cora@example.com"))


def act(client, action, images, **more):
    form = {"action": action, ACTION_CHECKBOX_NAME: [image.pk for image in images], "index": 0, **more}
    return client.post(LIST, form)


def change(image):
    return reverse("admin:assets_imageasset_change", args=[image.pk])


def test_tags_are_asked_for_and_the_number_is_told(by_curator, images):
    page = act(by_curator, "add_tags", [images["a"], images["b"]]).content.decode()
    assert "This will be done to 2 images." in page
    assert ImageAsset.objects.filter(tags=[]).count() == 4


def test_tags_are_added_and_removed_through_the_service(by_curator, images, project):
    revision = project.revision
    act(by_curator, "add_tags", [images["a"], images["b"]], tags="night, rain ,night", apply="1")
    act(by_curator, "remove_tags", [images["b"]], tags="rain", apply="1")
    images["a"].refresh_from_db()
    images["b"].refresh_from_db()
    project.refresh_from_db()
    assert (images["a"].tags, images["b"].tags) == (["night", "rain"], ["night"])
    assert project.revision > revision
    line = AuditLog.objects.filter(action="assets.updated").earliest("id")
    assert (line.actor, line.door, line.detail["number"]) == ("cora@example.com", "admin", 2)


def test_what_others_have_changed_meanwhile_is_not_written_over(by_curator, images):
    image = images["a"]
    page = by_curator.get(change(image))
    assert b'type="hidden" name="seen_version"' in page.content
    initial = page.context["adminform"].form.initial
    ImageAsset.objects.filter(pk=image.pk).update(tags=["theirs"], version=2)
    form = {"tag_text": "mine", "review": "", "other_fields": "{}", "seen_version": initial["seen_version"]}
    told = by_curator.post(change(image), form, follow=True).content.decode()
    assert "has been changed since" in told
    image.refresh_from_db()
    assert image.tags == ["theirs"]
    by_curator.post(change(image), {**form, "seen_version": 2})
    image.refresh_from_db()
    assert image.tags == ["mine"]


def test_tags_must_be_named(by_curator, images):
    page = act(by_curator, "add_tags", [images["a"]], tags=" , ", apply="1").content.decode()
    assert "Name at least one tag." in page


def test_select_all_stays_within_ones_projects(by_curator, images, tmp_path):
    other = scenes.load_scenes(factories.make_project(), tmp_path)
    act(by_curator, "add_tags", [images["a"]], tags="mine", apply="1", select_across="1")
    assert ImageAsset.objects.filter(tags=["mine"]).count() == 4
    other["a"].refresh_from_db()
    assert other["a"].tags == []


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_a_forged_action_changes_nothing(images, project, role):
    user = staff(project, role) if role else staff(factories.make_project(), Role.MANAGER)
    act(browser_of(user), "add_tags", images.values(), tags="forged", apply="1", select_across="1")
    assert not ImageAsset.objects.filter(tags__contains=["forged"]).exists()


def test_where_one_project_refuses_none_is_changed(images, project, tmp_path):
    other = factories.make_project()
    theirs = scenes.load_scenes(other, tmp_path)
    user = staff(project, Role.CURATOR)
    factories.join(other, user, Role.VIEWER)
    act(browser_of(user), "add_tags", [images["a"], theirs["a"]], tags="x", apply="1")
    assert not ImageAsset.objects.filter(tags__contains=["x"]).exists()


def test_the_form_changes_what_is_different_and_nothing_else(by_curator, images):
    image = images["a"]
    form = {
        "tag_text": "one, two",
        "review": "approved",
        "other_fields": '{"license": 2, "iso": 100.5, "new": {"x": [1, null]}}',
    }
    assert by_curator.post(change(image), form).status_code == 302
    image.refresh_from_db()
    assert (image.tags, image.status) == (["one", "two"], "approved")
    assert image.metadata == {"license": 2, "iso": 100.5, "new": {"x": [1, None]}}
    line = AuditLog.objects.get(action="asset.updated")
    assert line.detail["metadata"] == {"color": None, "license": 2, "new": {"x": [1, None]}}


def test_metadata_that_is_no_object_is_refused_on_the_page(by_curator, images):
    page = by_curator.post(change(images["a"]), {"tag_text": "", "review": "", "other_fields": "[1]"}).content.decode()
    assert "Expected a JSON object" in page


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (None, 302)])
def test_who_may_not_change_an_image_does_not(images, project, role, status):
    user = staff(project, role) if role else staff(factories.make_project(), Role.MANAGER)
    answer = browser_of(user).post(change(images["a"]), {"tag_text": "x", "review": "", "other_fields": "{}"})
    assert answer.status_code == status
    images["a"].refresh_from_db()
    assert images["a"].tags == []


def test_a_viewer_sees_an_image_as_plain_text(images, project):
    page = browser_of(staff(project, Role.VIEWER)).get(change(images["a"])).content.decode()
    assert "a.jpg" in page
    assert "tag_text" not in page


def test_a_list_of_images_as_csv_is_safe(by_curator, images):
    ImageAsset.objects.filter(pk=images["a"].pk).update(file_name="=HYPERLINK(1)")
    answer = act(by_curator, "as_csv", [images["a"], images["b"]])
    text = b"".join(answer.streaming_content).decode()
    assert "'=HYPERLINK(1)" in text
    assert "b.jpg" in text
    assert "c.jpg" not in text


def test_tags_as_typed():
    assert split_tags(" a, b,,a ,c d ") == ["a", "b", "c d"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"a": 1}, {}),
        ({"a": 1, "b": {"x": 1, "y": 2}}, {"a": 1, "b": {"x": 1}}),
        ({"a": 1}, {"a": True}),
        ({"a": [1]}, {"a": [1, 2], "c": {"d": "e"}}),
        ({"a": {"b": 1}}, {"a": 5}),
    ],
)
def test_a_patch_makes_after_of_before(before, after):
    patch = merge_patch_between(before, after)
    merged = merge_patch(json.dumps(before), patch)
    assert (before if merged is None else json.loads(merged)) == after
