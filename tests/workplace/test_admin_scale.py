"""What keeps the pages quick in a project with millions of rows: nothing reads, counts or skips all of them."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import admin_base
from annotations.models import Annotation
from assets.models import ImageAsset
from cocohub.workplace import overview, pages, paging
from cocohub.workplace.choosing import images_of
from insights import refreshing
from projects.models import AuditLog, Role, Task
from tests import factories
from tests.workplace.browsing import browser_of, staff

LISTS = [ImageAsset, Annotation, AuditLog, Task]
WHOLE_COUNT = re.compile(r'^SELECT COUNT\(\*\) AS "__count" FROM')


def address(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture
def by_manager(project):
    """The browser of a manager, who sees the audit log too."""
    return browser_of(staff(project, Role.MANAGER))


@pytest.fixture
def many(project, images):
    """Forty images, some with objects."""
    split = images["a"].split
    made = ImageAsset.objects.bulk_create(
        ImageAsset(project=project, split=split, coco_id=100 + number, file_name=f"{99 - number}.jpg", width=number)
        for number in range(40)
    )
    Annotation.objects.bulk_create(
        Annotation(project=project, split=split, image=image, coco_id=1000 + number, iscrowd=number % 2)
        for number, image in enumerate(made[::10])
    )
    project.touch()
    return made


@pytest.mark.parametrize("model", LISTS)
def test_lists_read_no_more_than_they_show(by_manager, project, many, model):
    factories.make_line(project, project_name=project.name)
    factories.make_task(project)
    with CaptureQueriesContext(connection) as queries:
        assert by_manager.get(address(model)).status_code == 200
    asked = [query["sql"] for query in queries if model._meta.db_table in query["sql"]]
    assert asked
    assert not [sql for sql in asked if WHOLE_COUNT.match(sql) or "DISTINCT" in sql]
    assert [sql for sql in asked if "COUNT(*)" in sql and f"LIMIT {admin_base.COUNTED}" in sql]


def test_pages_skip_keys_and_then_read_their_own_rows(by_manager, many, monkeypatch):
    assert by_manager.get(address(ImageAsset)).context["cl"].result_count == 44
    monkeypatch.setattr("assets.admin.ImageAssetAdmin.list_per_page", 10)
    with CaptureQueriesContext(connection) as queries:
        page = by_manager.get(address(ImageAsset), {"p": 5})
    newest_first = list(ImageAsset.objects.order_by("-id").values_list("pk", flat=True))
    assert [row.pk for row in page.context["cl"].result_list] == newest_first[40:50]
    skipping = [query["sql"] for query in queries if "OFFSET 40" in query["sql"]]
    assert len(skipping) == 1
    assert '"file_name"' not in skipping[0]


def test_pages_end_where_counting_ends(by_manager, many, monkeypatch):
    monkeypatch.setattr(admin_base, "COUNTED", 15)
    monkeypatch.setattr("assets.admin.ImageAssetAdmin.list_per_page", 10)
    assert len(by_manager.get(address(ImageAsset), {"p": 2}).context["cl"].result_list) == 5
    assert by_manager.get(address(ImageAsset), {"p": 9}).status_code == 302  # Django leads back to the list


def test_no_address_sorts_by_what_has_no_index(by_manager, many):
    shown = by_manager.get(address(ImageAsset), {"o": "2"}).context["cl"].result_list
    assert [row.pk for row in shown] == list(ImageAsset.objects.order_by("-id").values_list("pk", flat=True))[:50]


@pytest.mark.parametrize(("value", "number"), [("1", 2), ("0", 2)])
def test_crowds_are_filtered_without_reading_all_to_know_them(by_manager, many, value, number):
    found = by_manager.get(address(Annotation), {"crowd": value, "q": ""}).context["cl"].queryset
    assert found.filter(coco_id__gte=1000).count() == number
    assert {row.iscrowd for row in found} == {int(value)}


def test_audit_lines_are_filtered_by_door(by_manager, project):
    for door in ("api", "task"):
        factories.make_line(project, project_name=project.name, door=door)
    found = by_manager.get(address(AuditLog), {"door": "task"}).context["cl"].queryset
    assert {line.door for line in found} == {"task"}


@pytest.mark.parametrize("sort", sorted(paging.SORTS))
@pytest.mark.parametrize("near", [1, 3, 100])
@pytest.mark.parametrize("q", ["", "has(iscrowd:false)", "width>100"])
def test_neighbours_are_the_same_however_near_they_are_looked_for(project, many, monkeypatch, sort, near, q):
    monkeypatch.setattr(paging, "NEAR", near)
    rows = images_of(project, q)
    ordered = list(rows.order_by(*paging.SORTS[sort][1]).values_list("pk", flat=True))
    everything = list(
        ImageAsset.objects.filter(project=project).order_by(*paging.SORTS[sort][1]).values_list("pk", flat=True)
    )
    for place in (0, 7, 20, len(everything) - 1):
        asset = ImageAsset.objects.get(pk=everything[place])
        before = [key for key in everything[:place] if key in ordered]
        after = [key for key in everything[place + 1 :] if key in ordered]
        expected = (before[-1] if before else None, after[0] if after else None)
        assert paging.neighbours(rows, asset, sort) == expected


def test_the_next_images_are_looked_for_from_there_on(by_manager, project, many, monkeypatch):
    monkeypatch.setattr(paging, "PAGE", 1)
    page = by_manager.get(f"/admin/work/{project.pk}/images", {"q": "has(iscrowd:false)"})
    seen = [image.pk for image in page.context["page"].images]
    cursor = page.context["page"].cursor
    while cursor:
        with CaptureQueriesContext(connection) as queries:
            page = by_manager.get(
                f"/admin/work/{project.pk}/images/more", {"q": "has(iscrowd:false)", "cursor": cursor}
            )
        assert any(f'"image_id" > (SELECT {seen[-1]})' in query["sql"] for query in queries)
        seen += [image.pk for image in page.context_data["page"].images]
        cursor = page.context_data["page"].cursor
    assert seen == list(
        ImageAsset.objects.filter(annotations__iscrowd=0).distinct().order_by("id").values_list("pk", flat=True)
    )


def test_the_home_page_looks_for_pictures_among_the_first_images_alone(by_manager, project, many, monkeypatch):
    monkeypatch.setattr(overview, "LOOKED_AT", 2)
    ImageAsset.objects.filter(project=project).update(uri="")
    ImageAsset.objects.filter(pk=many[-1].pk).update(uri="images/x.jpg")
    assert by_manager.get("/admin/").context["cards"][0].pictures == []
    ImageAsset.objects.filter(project=project).update(uri="images/x.jpg")
    assert len(by_manager.get("/admin/").context["cards"][0].pictures) == 2


def test_a_large_project_shows_its_charts_when_they_are_counted(by_manager, project, many, monkeypatch):
    asked = []
    monkeypatch.setattr(refreshing, "request", asked.append)
    monkeypatch.setattr(pages, "MANY_IMAGES", 30)
    monkeypatch.setattr(pages, "SHORT_WAIT", 0)
    for page in ("insights/charts", "insights/charts?a=&b=split:val"):
        assert by_manager.get(f"/admin/work/{project.pk}/{page}")["X-Waiting"] == "1"
    assert by_manager.get(f"/admin/work/{project.pk}/categories").context["stale"]
    assert asked
    monkeypatch.setattr(pages, "MANY_IMAGES", 1_000)
    assert "X-Waiting" not in by_manager.get(f"/admin/work/{project.pk}/insights/charts")
