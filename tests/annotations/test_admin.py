"""Categories in the admin: made, renamed and deleted through the services."""

import pytest
from django.urls import reverse

from annotations.models import Category
from projects.models import AuditLog, Role
from tests import factories
from tests.workplace.browsing import browser_of, staff

LIST = "/admin/annotations/category/"


@pytest.fixture
def by_curator(project):
    return browser_of(staff(project, Role.CURATOR))


def change(category):
    return reverse("admin:annotations_category_change", args=[category.pk])


def test_a_category_is_made_by_the_service(by_curator, images, project):
    form = {"project": project.pk, "name": "boat", "supercategory": "vehicle", "color": "#00ff00"}
    assert by_curator.post(f"{LIST}add/", form).status_code == 302
    assert Category.objects.get(name="boat").color == "#00ff00"
    assert AuditLog.objects.filter(action="category.created").exists()


def test_a_category_is_renamed_by_the_service(by_curator, images, project):
    person = Category.objects.get(name="person")
    form = {"name": "human", "supercategory": "being", "color": ""}
    assert by_curator.post(change(person), form).status_code == 302
    person.refresh_from_db()
    assert (person.name, person.supercategory) == ("human", "being")
    assert AuditLog.objects.filter(action="category.updated").exists()


def test_what_others_have_changed_meanwhile_is_not_written_over(by_curator, images):
    person = Category.objects.get(name="person")
    shown = by_curator.get(change(person)).context["adminform"].form.initial["version"]
    Category.objects.filter(pk=person.pk).update(supercategory="being")
    form = {"name": "human", "supercategory": "human", "color": "", "version": shown}
    assert "has been changed since" in by_curator.post(change(person), form, follow=True).content.decode()
    person.refresh_from_db()
    assert (person.name, person.supercategory) == ("person", "being")
    page = by_curator.get(change(person))
    assert b'type="hidden" name="version"' in page.content
    form["version"] = page.context["adminform"].form.initial["version"]
    by_curator.post(change(person), form)
    person.refresh_from_db()
    assert person.name == "human"


def test_only_managers_are_offered_to_delete(by_curator, images, project):
    truck = Category.objects.get(name="truck")
    Category.objects.filter(pk=truck.pk).update(name="unused", coco_id=99)
    delete = reverse("admin:annotations_category_delete", args=[truck.pk])
    assert by_curator.get(delete).status_code == 403
    assert browser_of(staff(project, Role.MANAGER)).get(delete).status_code == 200


def test_a_colour_that_is_none_is_refused(by_curator, images):
    person = Category.objects.get(name="person")
    by_curator.post(change(person), {"name": "person", "supercategory": "", "color": "red;x"})
    person.refresh_from_db()
    assert person.color == ""


def test_nobody_makes_a_category_in_somebody_elses_project(images, project):
    stranger = browser_of(staff(factories.make_project(), Role.CURATOR))
    stranger.post(f"{LIST}add/", {"project": project.pk, "name": "spy", "supercategory": "", "color": ""})
    assert not Category.objects.filter(name="spy").exists()


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_who_may_not_change_a_category_does_not(images, project, role):
    user = staff(project, role) if role else staff(factories.make_project(), Role.MANAGER)
    person = Category.objects.get(name="person")
    client = browser_of(user)
    client.post(change(person), {"name": "spy", "supercategory": "", "color": ""})
    client.post(reverse("admin:annotations_category_delete", args=[person.pk]), {"post": "yes"})
    client.post(LIST, {"action": "delete_selected", "_selected_action": [person.pk], "post": "yes"})
    person.refresh_from_db()
    assert person.name == "person"
