"""Changes to one image and to several, by the services."""

import pytest
from django.db import connection

from accounts.errors import Forbidden, NotFound, ServiceError, StaleEdit
from assets import services
from assets.models import ImageAsset, Split
from assets.services import Edit
from projects.models import AuditLog


@pytest.fixture
def image(project):
    """An image without a picture, whose metadata has a number that a double cannot hold."""
    split = Split.objects.create(project=project, name="train")
    made = ImageAsset.objects.create(project=project, split=split, coco_id=1, tags=["a"], metadata={"x": 1})
    with connection.cursor() as cursor:
        text = '{"x": 1, "exact": 0.10000000000000000000000001}'
        cursor.execute("UPDATE assets_imageasset SET metadata = %s::jsonb WHERE id = %s", [text, made.pk])
    return made


def metadata_text(image):
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata::text FROM assets_imageasset WHERE id = %s", [image.pk])
        return cursor.fetchone()[0]


def test_roles(image, viewer, stranger, curator):
    for user, error in ((viewer, Forbidden), (stranger, NotFound)):
        with pytest.raises(error):
            services.update_asset(user=user, asset=image, edit=Edit(add_tags=["b"]))
    assert services.update_asset(user=curator, asset=image, edit=Edit(add_tags=["b"])).tags == ["a", "b"]


def test_a_stale_edit_is_refused(image, curator):
    services.update_asset(user=curator, asset=image, edit=Edit(add_tags=["b"]), version=1)
    with pytest.raises(StaleEdit) as caught:
        services.update_asset(user=curator, asset=image, edit=Edit(add_tags=["c"]), version=1)
    assert caught.value.detail == {"version": 2}


def test_an_edit_is_told_with_what_was_before(image, curator, project):
    services.update_asset(user=curator, asset=image, edit=Edit(tags=["b"], status="approved"))
    detail = AuditLog.objects.get(action="asset.updated").detail
    assert (detail["before"]["tags"], detail["before"]["status"], detail["tags"]) == (["a"], "missing", ["b"])
    project.refresh_from_db()
    assert project.revision == 1


@pytest.mark.parametrize("edit", [Edit(add_tags=["a"]), Edit(remove_tags=["z"]), Edit(metadata={"x": 1.0, "z": None})])
def test_what_changes_nothing_leaves_no_trace(image, curator, project, edit):
    assert services.update_asset(user=curator, asset=image, edit=edit).version == 1
    project.refresh_from_db()
    assert (project.revision, AuditLog.objects.count()) == (0, 0)


@pytest.mark.parametrize("edit", [Edit(), Edit(add_tags=[]), Edit(metadata={}), Edit(remove_tags=[], metadata={})])
def test_an_empty_edit_changes_nothing(image, curator, edit):
    assert services.update_asset(user=curator, asset=image, edit=edit).version == 1


def test_numbers_that_are_not_touched_keep_every_digit(image, curator):
    services.update_asset(user=curator, asset=image, edit=Edit(metadata={"x": None, "y": {"z": [1.50]}}))
    assert metadata_text(image) == '{"y": {"z": [1.5]}, "exact": 0.10000000000000000000000001}'


def test_a_patch_that_is_nested_deeply_is_merged(image, curator):
    patch = {"leaf": 1}
    for _ in range(services.MAX_DEPTH - 2):
        patch = {"k": patch}
    services.update_asset(user=curator, asset=image, edit=Edit(metadata=patch))
    assert metadata_text(image).count('"k"') == services.MAX_DEPTH - 2
    with pytest.raises(ServiceError):
        services.update_asset(user=curator, asset=image, edit=Edit(metadata={"k": {"k": patch}}))


def test_several_images_are_changed_together(image, curator, project):
    other = ImageAsset.objects.create(project=project, split=image.split, coco_id=2, tags=["b"])
    rows = ImageAsset.objects.filter(project=project)
    assert services.update_assets(user=curator, project=project, assets=rows, edit=Edit(add_tags=["b"])) == 1
    other.refresh_from_db()
    assert (other.version, ImageAsset.objects.get(pk=image.pk).tags) == (1, ["a", "b"])
