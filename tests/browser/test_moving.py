"""Data in and out, and what the home page tells of it."""

import json

import pytest
from playwright.sync_api import expect

from annotations import services as imports
from annotations.models import ImportJob
from assets.models import ImageAsset
from exports import services as exports
from exports.models import ExportJob
from projects import jobs
from projects.models import Role, Task
from tests import factories
from tests.workplace.browsing import staff

FLAWED = {
    "images": [{"id": 1, "file_name": "<img src=x onerror=alert(1)>.jpg", "width": 10, "height": 10}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
    ],
    "categories": [{"id": 1, "name": "javascript:alert(1)"}],
}


@pytest.fixture(autouse=True)
def no_doorbell(monkeypatch):
    """The tests do themselves what a worker would."""
    monkeypatch.setattr(jobs, "ring", lambda task: True)


def choose(page, name, content):
    page.locator("#file").set_input_files({"name": name, "mimeType": "application/json", "buffer": content})


def test_an_import_is_sent_followed_and_its_report_read(open_as, transactional_db):
    user = staff(None, None)
    page = open_as(user, "/admin/")
    page.locator("#project-name").fill("Boats")
    page.get_by_role("button", name="Make it").click()
    content = json.dumps(FLAWED).encode()
    page.locator("#file").set_input_files(
        {"name": "instances_val.json", "mimeType": "application/json", "buffer": content}
    )
    page.get_by_role("button", name="Start import").click()
    expect(page.locator("[data-task]")).to_be_visible()
    jobs.run(ImportJob.objects.get().task_id, imports.run_import)
    expect(page.get_by_text("Look at the images")).to_be_visible()
    expect(page.locator(".cc-problem")).to_have_count(2)
    page.locator(".cc-filter a", has_text="dangling_image_id").click()
    expect(page.locator(".cc-problem")).to_have_count(1)
    expect(page.locator(".cc-problem")).to_contain_text("$.annotations[1]")
    page.get_by_text("Look at the images").click()
    expect(page.locator(".cc-tile-name")).to_have_text("<img src=x onerror=alert(1)>.jpg")
    assert ImageAsset.objects.get().split.name == "val"


def test_a_file_that_is_none_is_refused_in_words(open_as, transactional_db):
    user = staff(None, None)
    project = factories.make_project(user)
    page = open_as(user, f"/admin/work/{project.pk}/imports")
    choose(page, "x.json", b'{"images": 3')
    page.get_by_role("button", name="Start import").click()
    expect(page.locator("[data-task]")).to_be_visible()
    jobs.run(ImportJob.objects.get().task_id, imports.run_import)
    expect(page.get_by_role("alert")).to_contain_text("not valid JSON")
    page.goto(page.url.partition("/admin/")[0] + "/admin/")
    expect(page.get_by_role("link", name="Read the report")).to_be_visible()


def test_an_export_of_a_query_is_followed_and_downloaded(open_as, street):
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?q=category%3Abus")
    number = page.locator("#number").inner_text()
    page.locator(".cc-tools a", has_text="Export").click()
    expect(page.get_by_role("status").filter(has_text="images")).to_contain_text(f"{number} images")
    page.get_by_role("button", name="Start export").click()
    expect(page.locator("[data-task]")).to_be_visible()
    jobs.run(ExportJob.objects.get().task_id, exports.run_export)
    with page.expect_download() as download:
        page.locator("a.cc-button-main", has_text="Download").click()
    document = json.loads(download.value.path().read_text())
    assert len(document["images"]) == int(number)


def test_bars_on_the_home_page_move_by_themselves(open_as, transactional_db):
    user = staff(None, None)
    project = factories.make_project(user)
    task = factories.make_task(project, status=Task.Status.RUNNING, phase="annotations", done=10, total=100)
    page = open_as(user, "/admin/")
    bar = page.locator(f"[data-task='{task.pk}'] progress")
    expect(bar).to_have_js_property("value", 10)
    Task.objects.filter(pk=task.pk).update(done=70)
    expect(bar).to_have_js_property("value", 70)
