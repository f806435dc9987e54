"""Objects in the grid: their boxes over the thumbnails, and relabelling those of the selected images."""

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations import query
from annotations.models import Annotation, Category, Kind
from assets.models import ImageAsset
from cocohub.workplace.labelling import MOST_IDS, about_images
from insights.models import InsightView
from projects.models import AuditLog, Role
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff


def test_boxes_are_given_for_the_images_that_are_asked_for(by_curator, images, work):
    asked = ",".join(str(images[name].pk) for name in "ab")
    found = orjson.loads(by_curator.get(work("images/boxes"), {"ids": asked}).content)["images"]
    assert found.keys() == {str(images["a"].pk), str(images["b"].pk)}
    own = list(Annotation.objects.filter(image=images["a"], bbox__isnull=False).order_by("position"))
    assert [box for box, _, _ in found[str(images["a"].pk)]["boxes"]] == [row.bbox for row in own]
    assert found[str(images["a"].pk)]["size"] == [images["a"].width, images["a"].height]


def test_boxes_of_other_projects_are_not_given(by_curator, images, work, tmp_path):
    other = scenes.load_scenes(factories.make_project(), tmp_path)["a"]
    found = orjson.loads(by_curator.get(work("images/boxes"), {"ids": str(other.pk)}).content)
    assert found == {"images": {}}
    stranger = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert stranger.get(work("images/boxes"), {"ids": str(images["a"].pk)}).status_code == 404


@pytest.mark.parametrize("ids", ["x", "1;2", "9" * 30, ",".join(map(str, range(500)))])
def test_odd_numbers_of_images_are_refused(by_curator, images, work, ids):
    assert by_curator.get(work("images/boxes"), {"ids": ids}).status_code == 400


def test_boxes_of_a_crowded_image_are_cut_and_cost_the_same(by_curator, project, images, work, monkeypatch):
    image = images["a"]
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work("images/boxes"), {"ids": str(image.pk)})
    Annotation.objects.bulk_create(
        Annotation(
            project=project, split=image.split, image=image, coco_id=2000 + number, bbox=[number, 0, 1, 1], position=900
        )
        for number in range(30)
    )
    monkeypatch.setattr("cocohub.workplace.boxes.MOST_BOXES", 10)
    with CaptureQueriesContext(connection) as many:
        answer = by_curator.get(work("images/boxes"), {"ids": str(image.pk)})
    assert len(orjson.loads(answer.content)["images"][str(image.pk)]["boxes"]) == 10
    assert len(many) == len(few) <= 6


# --- Relabelling ------------------------------------------------------------------------------------------------------


def category(project, name) -> Category:
    return Category.objects.filter(project=project, name=name).first()


def relabel(client, project, **form):
    return client.post(f"/admin/work/{project.pk}/images/relabel", form)


def of(name, *images) -> int:
    return Annotation.objects.filter(category__name=name, image__in=images).count()


def test_the_number_of_objects_is_told_before_anything_is_done(by_curator, project, images):
    cars = of("car", images["a"])
    assert cars
    into = category(project, "truck").pk
    said = relabel(by_curator, project, ids=images["a"].pk, **{"from": category(project, "car").pk}, into=into).json()
    assert (said["count"], said["changes"]) == (cars, [f"car: {cars}"])
    assert "will become “truck”" in said["text"]
    assert of("car", images["a"]) == cars


def test_objects_are_relabelled_and_it_is_undone(by_curator, project, images):
    cars, trucks = of("car", images["a"]), of("truck", images["a"])
    form = {"ids": images["a"].pk, "from": category(project, "car").pk, "into": category(project, "truck").pk}
    done = relabel(by_curator, project, **form, apply="1").json()
    assert done["changed"] == cars
    assert (of("car", images["a"]), of("truck", images["a"])) == (0, cars + trucks)
    assert AuditLog.objects.filter(door="admin", project=project, action__contains="relabel").exists()
    back = by_curator.post(done["undo"]).json()
    assert "put back" in back["text"]
    assert (of("car", images["a"]), of("truck", images["a"])) == (cars, trucks)


def test_all_that_match_means_images_that_match(by_curator, project, images):
    """`category:car` selects images with a car; with no category named, all of their objects are meant."""
    objects = Annotation.objects.filter(image=images["a"], kind=Kind.OBJECT).exclude(category__name="truck").count()
    others = Annotation.objects.exclude(image=images["a"]).filter(category__name="truck").count()
    form = {"all": "1", "q": "category:car", "into": category(project, "truck").pk}
    assert relabel(by_curator, project, **form).json()["count"] == objects
    relabel(by_curator, project, **form, apply="1")
    assert Annotation.objects.exclude(image=images["a"]).filter(category__name="truck").count() == others


@pytest.mark.parametrize(
    "text",
    ["", "category:car", "-category:car", "split:train width>10", "issue:*", "has(area>3) OR tag:x", "count(area>1)>0",
     "issue!=x", "annotation.issue:*", "attributes.color:*"],
)  # fmt: skip
def test_a_query_of_images_chooses_the_same_images_among_annotations(project, images, text):
    tree = query.parse(text)
    chosen = query.filter_images(ImageAsset.objects.filter(project=project), project, tree)
    expected = set(Annotation.objects.filter(image__in=[row.pk for row in chosen]).values_list("pk", flat=True))
    found = query.filter_annotations(Annotation.objects.all(), project, about_images(tree))
    assert {row.pk for row in found} == expected


@pytest.mark.parametrize(
    "form", [{}, {"into": "x"}, {"into": "9" * 30}, {"from": "77777777"}, {"ids": ""}, {"all": "1", "q": "widht:1"}]
)
def test_a_relabelling_that_makes_no_sense_is_refused(by_curator, project, images, form):
    given = {"ids": images["a"].pk, "into": category(project, "truck").pk, "apply": "1", **form}
    if not form:
        del given["into"]
    answer = relabel(by_curator, project, **given)
    assert answer.status_code in (400, 404)
    assert answer.json()["message"]
    assert not AuditLog.objects.filter(action__contains="relabel").exists()


def test_too_many_images_one_by_one_are_refused(by_curator, project, images):
    form = {"ids": ",".join(map(str, range(1, MOST_IDS + 2))), "into": category(project, "truck").pk}
    assert relabel(by_curator, project, **form).status_code == 400


def test_viewers_and_strangers_relabel_nothing(project, images):
    form = {"ids": images["a"].pk, "into": category(project, "truck").pk, "apply": "1"}
    assert relabel(browser_of(staff(project, Role.VIEWER)), project, **form).status_code == 403
    assert relabel(browser_of(staff(factories.make_project(), Role.MANAGER)), project, **form).status_code == 404


def test_a_category_of_another_project_is_none(by_curator, project, images, tmp_path):
    other = factories.make_project()
    scenes.load_scenes(other, tmp_path)
    form = {"ids": images["a"].pk, "into": category(other, "truck").pk, "apply": "1"}
    assert relabel(by_curator, project, **form).status_code == 404


def test_saved_queries_stand_in_the_query_bar(by_curator, project, images, work):
    for name, text, shared in (("Cars", "category:car", True), ("All", "", True), ("Hidden", "tag:x", False)):
        InsightView.objects.create(
            project=project, name=name, query={"q": text}, visualization={"metric": "classes"}, shared=shared
        )
    page = by_curator.get(work("images"))
    assert [view["name"] for view in page.context["views"]] == ["Cars"]
    form = {"metric": "classes", "q": "tag:x", "name": "Tagged", "shared": "1", "back": "images"}
    assert by_curator.post(work("insights/views"), form)["Location"] == work("images?q=tag%3Ax")
    assert {view["name"] for view in by_curator.get(work("images")).context["views"]} == {"Cars", "Tagged"}
