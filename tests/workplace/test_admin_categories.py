"""Categories in the workplace: seen with their numbers, coloured, renamed, merged, deleted; all told and undone."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.models import Annotation, Category
from assets.models import ImageAsset
from insights import refreshing
from projects.models import AuditLog, Role
from tests import factories
from tests.workplace.browsing import browser_of, staff

EVIL = '"><img src=x onerror=alert(1)>'


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Nobody is asked to count what is late."""
    monkeypatch.setattr(refreshing, "request", lambda project: None)


def named(project, name) -> Category:
    return Category.objects.get(project=project, name=name)


def used(name) -> int:
    return Annotation.objects.filter(category__name=name).count()


def test_categories_are_listed_with_their_numbers(by_curator, project, images, work):
    lines = {line["row"].name: line for line in by_curator.get(work("categories")).context["lines"]}
    assert lines.keys() == set(Category.objects.filter(project=project).values_list("name", flat=True))
    assert all(line["annotations"] == used(name) for name, line in lines.items())
    assert lines["car"]["q"] == "category:car"


def test_a_category_is_made_renamed_and_coloured(by_curator, project, images, work):
    by_curator.post(work("categories"), {"name": "boat", "supercategory": "vehicle"})
    boat = named(project, "boat")
    assert boat.supercategory == "vehicle"
    by_curator.post(work(f"categories/{boat.pk}/edit"), {"name": "ship", "supercategory": "", "color": "#FF0000"})
    boat.refresh_from_db()
    assert (boat.name, boat.supercategory, boat.color) == ("ship", "", "#ff0000")
    by_curator.post(work(f"categories/{boat.pk}/edit"), {"name": "ship", "color": "#ff0000", "no_color": "1"})
    boat.refresh_from_db()
    assert boat.color == ""
    assert AuditLog.objects.filter(door="admin", action="category.updated").count() == 2


def test_an_edit_of_what_has_moved_on_is_refused(by_curator, project, images, work):
    car = named(project, "car")
    form = {"name": "auto", "version": "0000000000000000"}
    page = by_curator.post(work(f"categories/{car.pk}/edit"), form, follow=True)
    assert "has been changed since you read it" in page.content.decode()
    assert named(project, "car") == car


def test_what_becomes_of_annotations_is_told_before_a_merge(by_curator, project, images, work):
    car, truck = named(project, "car"), named(project, "truck")
    cars = used("car")
    said = by_curator.post(work("categories/merge"), {"ids": f"{car.pk},{truck.pk}", "into": truck.pk}).json()
    assert (said["count"], said["blocked"]) == (cars, False)
    number = ImageAsset.objects.filter(annotations__category=car).distinct().count()
    assert said["changes"][:2] == [
        f"On {number} image{'' if number == 1 else 's'}.",
        f"These categories go: car ({cars})",
    ]
    assert used("car") == cars


def test_categories_are_merged_and_it_is_undone(by_curator, project, images, work):
    car, truck = named(project, "car"), named(project, "truck")
    cars, trucks = used("car"), used("truck")
    form = {"ids": f"{car.pk},{truck.pk}", "into": truck.pk, "apply": "1"}
    done = by_curator.post(work("categories/merge"), form).json()
    assert (used("truck"), Category.objects.filter(pk=car.pk).exists()) == (cars + trucks, False)
    by_curator.post(done["undo"])
    assert (used("car"), used("truck")) == (cars, trucks)


@pytest.mark.parametrize("form", [{}, {"ids": "1"}, {"into": "x"}, {"ids": "x", "into": "car"}, {"into": "car"}])
def test_a_merge_of_nothing_is_refused(by_curator, project, images, work, form):
    given = {**form, "apply": "1"}
    if given.get("into") == "car":
        given["into"] = named(project, "car").pk
    answer = by_curator.post(work("categories/merge"), given)
    assert answer.status_code in (400, 404)
    assert answer.json()["message"]


@pytest.mark.parametrize(("fate", "left"), [("keep", True), ("delete", False)])
def test_managers_delete_a_category_and_say_what_becomes_of_its_annotations(project, images, work, fate, left):
    client = browser_of(staff(project, Role.MANAGER))
    car = named(project, "car")
    keys = list(Annotation.objects.filter(category=car).values_list("pk", flat=True))
    said = client.post(work(f"categories/{car.pk}/delete"), {"annotations": fate}).json()
    assert said["count"] == len(keys)
    assert ("deleted" if fate == "delete" else "without a category") in said["text"]
    done = client.post(work(f"categories/{car.pk}/delete"), {"annotations": fate, "apply": "1"}).json()
    assert Annotation.objects.filter(pk__in=keys).exists() is left
    assert not Category.objects.filter(name="car").exists()
    client.post(done["undo"])
    assert Annotation.objects.filter(pk__in=keys, category__name="car").count() == len(keys)


def test_a_deletion_without_a_fate_is_refused(project, images, work):
    client = browser_of(staff(project, Role.MANAGER))
    answer = client.post(work(f"categories/{named(project, 'car').pk}/delete"), {"apply": "1"})
    assert answer.status_code == 409


def test_only_those_who_may_change_categories(project, images, work):
    car = named(project, "car")
    paths = {
        "categories/merge": {"ids": car.pk, "into": car.pk, "apply": "1"},
        f"categories/{car.pk}/edit": {"name": "x"},
        f"categories/{car.pk}/delete": {"annotations": "keep", "apply": "1"},
    }
    viewer, curator = (browser_of(staff(project, role)) for role in (Role.VIEWER, Role.CURATOR))
    stranger = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert {viewer.post(work(path), form).status_code for path, form in paths.items()} == {403}
    assert {stranger.post(work(path), form).status_code for path, form in paths.items()} == {404}
    assert curator.post(work(f"categories/{car.pk}/delete"), {"annotations": "keep", "apply": "1"}).status_code == 403
    viewer.post(work("categories"), {"name": "new"})
    assert not Category.objects.filter(name="new").exists()
    assert named(project, "car") == car
    assert "data-edit" not in viewer.get(work("categories")).content.decode()


def test_names_are_text_and_never_markup(by_curator, project, images, work):
    Category.objects.filter(name="car").update(name=EVIL)
    assert "<img src=x" not in by_curator.get(work("categories")).content.decode()


def test_the_page_costs_the_same_however_many_categories(by_curator, project, images, work):
    by_curator.get(work("categories"))
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work("categories"))
    Category.objects.bulk_create(Category(project=project, coco_id=500 + n, name=f"n{n}") for n in range(40))
    with CaptureQueriesContext(connection) as many:
        by_curator.get(work("categories"))
    assert len(many) == len(few) <= 11
