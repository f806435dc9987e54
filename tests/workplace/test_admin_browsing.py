"""Images in the workplace: chosen by queries and facets, changed in bulk, looked at one by one."""

import re

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.counting import CAP
from annotations.facets import CAP as FACETS_CAP
from annotations.models import Annotation, Category
from assets.models import ImageAsset
from projects.models import AuditLog, Project, Role
from tests.workplace.browsing import browser_of, staff

EVIL = "<img src=x onerror=alert(1)>"


def test_the_query_chooses_images(by_curator, images, work):
    page = by_curator.get(work("images"), {"q": "category:car"})
    assert [card["name"] for card in page.context["shown"]] == ["a.jpg"]
    assert page.context["number"] == 1


def test_a_mistake_in_the_query_is_marked_at_its_column(by_curator, images, work):
    page = by_curator.get(work("images"), {"q": "category:car widht>3"}).content.decode()
    assert "did you mean width?" in page
    assert "category:car <mark>widht</mark>&gt;3" in page


@pytest.mark.parametrize("page", ["images/more", "images/facets"])
def test_pieces_of_the_page_tell_a_mistake_as_json(by_curator, images, work, page):
    answer = by_curator.get(work(page), {"q": "widht>3"})
    assert (answer.status_code, answer.json()["detail"]["column"]) == (400, 1)


def test_pages_go_on_where_the_last_one_ended(by_curator, project, images, work, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 3)
    first = by_curator.get(work("images"), {"sort": "-width"})
    cursor = re.search(r'data-cursor="([^"]+)"', first.content.decode())[1]
    second = by_curator.get(work("images/more"), {"sort": "-width", "cursor": cursor})
    names = [card["name"] for page in (first, second) for card in page.context["shown"]]
    assert names == ["c.jpg", "b.jpg", "a.jpg", "v.jpg"]
    assert "data-cursor" not in second.content.decode()


def test_a_broken_cursor_is_refused(by_curator, images, work):
    assert by_curator.get(work("images/more"), {"cursor": "x"}).status_code == 400


def test_facets_count_and_add_to_the_query(by_curator, images, work):
    page = by_curator.get(work("images/facets"), {"q": "split:train", "view": "table"})
    facets = {facet.name: {value.label: value for value in facet.values} for facet in page.context["groups"]}
    assert facets["categories"]["car"].count == 1
    assert facets["categories"]["car"].link == "?q=split%3Atrain+category%3Acar&view=table"
    assert facets["splits"]["train"].active
    assert facets["splits"]["train"].link == "?view=table"


def test_a_facet_of_an_odd_value_makes_a_query_that_finds_it(by_curator, images, work):
    odd = 'a "b" (c) OR <b>'
    ImageAsset.objects.filter(pk=images["a"].pk).update(tags=[odd])
    facets = by_curator.get(work("images/facets")).context["groups"]
    link = next(value.link for value in facets[0].values if value.label == odd)
    assert [card["name"] for card in by_curator.get(work("images") + link).context["shown"]] == ["a.jpg"]


def test_names_are_text_and_never_markup(by_curator, project, images, work):
    image = images["a"]
    ImageAsset.objects.filter(pk=image.pk).update(file_name=EVIL, tags=[EVIL], issues=[EVIL], metadata={EVIL: EVIL})
    Category.objects.filter(name="car").update(name=EVIL)
    Project.objects.filter(pk=project.pk).update(name=EVIL)
    for page in ("images", "images?view=table", "images/facets", f"images/{image.pk}", "imports", "exports"):
        assert "<img src=x" not in by_curator.get(work(page)).content.decode()
    assert "<img src=x" not in by_curator.get(work("images"), {"q": f'widht:"{EVIL}"'}).content.decode()
    assert "<img src=x" not in by_curator.get("/admin/").content.decode()


@pytest.mark.parametrize("page", ["images", "images?view=table", "images?q=category:car&sort=-annotations"])
def test_a_page_of_images_costs_the_same_however_many(by_curator, project, images, work, page):
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work(page))
    split = images["a"].split
    ImageAsset.objects.bulk_create(
        ImageAsset(project=project, split=split, coco_id=100 + number, file_name=f"{number}.jpg")
        for number in range(40)
    )
    project.touch()
    with CaptureQueriesContext(connection) as many:
        by_curator.get(work(page))
    assert len(many) == len(few) <= 18
    limits = [f"LIMIT {cap + 1}" for cap in (CAP, FACETS_CAP)]
    counts = [query["sql"] for query in many if "COUNT(*)" in query["sql"]]
    assert all(any(limit in sql for limit in limits) for sql in counts)


def bulk(client, project, **form):
    return client.post(f"/admin/work/{project.pk}/images/bulk", form)


def test_the_number_is_told_before_anything_is_done(by_curator, project, images):
    answer = bulk(by_curator, project, all="1", q="split:train", add_tags="night").json()
    assert (answer["count"], answer["text"]) == (3, "This will be done to 3 images.")
    assert answer["changes"] == ["Add: night"]
    assert not ImageAsset.objects.exclude(tags=[]).exists()


def test_a_bulk_change_is_done_told_and_undone(by_curator, project, images):
    done = bulk(
        by_curator, project, all="1", q="split:train", add_tags="night, x", status="in_review", meta_key="n",
        meta_value="7", apply="1",
    ).json()  # fmt: skip
    assert done["changed"] == 3
    changed = ImageAsset.objects.filter(tags=["night", "x"], status="in_review", metadata__n=7)
    assert changed.count() == 3
    assert AuditLog.objects.filter(door="admin", project=project, action="assets.updated").exists()
    assert by_curator.post(done["undo"]).json()["changed"] == 3
    assert not changed.exists()


def test_the_undo_tells_what_it_left_alone(by_curator, project, images):
    done = bulk(by_curator, project, all="1", q="split:train", add_tags="night", apply="1").json()
    bulk(by_curator, project, ids=images["a"].pk, add_tags="day", apply="1")
    told = by_curator.post(done["undo"]).json()["text"]
    assert told == "2 images put back. 1 was changed since, or its place is taken: it stays as it is."


def test_the_same_change_sent_twice_is_done_once(by_curator, project, images):
    for _ in range(2):
        bulk(by_curator, project, ids=images["a"].pk, add_tags="x", apply="1", key="once")
    assert AuditLog.objects.filter(action="assets.updated").count() == 1


@pytest.mark.parametrize(
    "form",
    [
        {"ids": "", "add_tags": "x"},
        {"ids": "1;DROP", "add_tags": "x"},
        {"ids": "9" * 30, "add_tags": "x"},
        {"ids": "\u0663", "add_tags": "x"},
        {"all": "1"},
        {"all": "1", "status": "missing"},
        {"all": "1", "meta_key": "id", "meta_value": "1"},
        {"all": "1", "q": "widht:1", "add_tags": "x"},
        {"all": "1", "add_tags": "a\u0000b"},
    ],
)
def test_a_bulk_change_that_makes_no_sense_is_refused(by_curator, project, images, form):
    answer = bulk(by_curator, project, **form, apply="1")
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_managers_delete_images(project, images):
    client = browser_of(staff(project, Role.MANAGER))
    assert bulk(client, project, ids=images["a"].pk, delete="1").json()["count"] == 1
    bulk(client, project, ids=images["a"].pk, delete="1", apply="1")
    assert not ImageAsset.objects.filter(pk=images["a"].pk).exists()


def test_objects_are_given_as_coco_has_them(by_curator, images, work):
    found = orjson.loads(by_curator.get(work(f"images/{images['b'].pk}/objects")).content)
    (only,) = found["objects"]
    assert (only["category"], only["bbox"], only["keypoints"]) == ("truck", [0, 0, 20, 20], [1, 1, 2, 3, 3, 0])
    assert only["area"] == 400.5


def test_previous_and_next_are_those_of_the_query(by_curator, images, work):
    page = by_curator.get(work(f"images/{images['b'].pk}"), {"q": "split:train", "sort": "-width"}).context
    assert (page["before"], page["after"]) == (images["c"].pk, images["a"].pk)
    ends = by_curator.get(work(f"images/{images['v'].pk}"), {"q": "split:val"}).context
    assert (ends["before"], ends["after"]) == (None, None)


def test_an_image_with_a_broken_query_is_shown_all_the_same(by_curator, images, work):
    page = by_curator.get(work(f"images/{images['a'].pk}"), {"q": "widht:1"})
    assert page.status_code == 200
    assert "did you mean width?" in page.content.decode()


def test_the_record_has_its_numbers_to_the_letter(by_curator, images, work):
    page = by_curator.get(work(f"images/{images['a'].pk}")).content.decode()
    assert "&quot;iso&quot;: 100.50" in page


def test_tags_status_and_metadata_are_edited_in_place(by_curator, images, work):
    image = images["a"]
    edit = work(f"images/{image.pk}/edit")
    for form in (
        {"add_tags": "one, two"}, {"remove_tag": "one"}, {"status": "approved"}, {"meta_key": "n", "meta_value": "[1]"},
        {"remove_key": "color"},
    ):  # fmt: skip
        image.refresh_from_db()
        form["version"] = image.version
        assert by_curator.post(f"{edit}?q=tag:x", form)["Location"] == f"{edit.removesuffix('/edit')}?q=tag%3Ax"
    image.refresh_from_db()
    assert (image.tags, image.status, image.metadata["n"]) == (["two"], "approved", [1])
    assert "color" not in image.metadata
    page = by_curator.get(work(f"images/{image.pk}")).content.decode()
    assert "tags added: one, two" in page


def test_an_edit_of_what_has_moved_on_is_refused(by_curator, images, work):
    image = images["a"]
    page = by_curator.post(work(f"images/{image.pk}/edit"), {"status": "approved", "version": "0"}, follow=True)
    assert "has been changed since you read it" in page.content.decode()
    image.refresh_from_db()
    assert image.status != "approved"


def test_one_image_costs_the_same_however_many_objects(by_curator, project, images, work):
    image = images["a"]
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work(f"images/{image.pk}/objects"))
    Annotation.objects.bulk_create(
        Annotation(project=project, split=image.split, image=image, coco_id=1000 + number, category_id=None)
        for number in range(50)
    )
    with CaptureQueriesContext(connection) as many:
        by_curator.get(work(f"images/{image.pk}/objects"))
    assert len(many) == len(few) <= 6
