"""Data in and out, and what the home page tells of it."""

import io
import json
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from annotations import services as imports
from annotations.models import Annotation, ImportJob
from assets.models import ImageAsset
from cocohub.workplace import report_pages
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


def start_and_work(page):
    page.get_by_role("button", name="Start import").click()
    expect(page.locator("[data-task]")).to_be_visible()
    job = ImportJob.objects.latest("pk")
    jobs.run(job.task_id, imports.run_import)
    expect(page.locator("[data-task]")).to_have_count(0)
    return job


def test_pictures_come_later(open_as, transactional_db):
    user = staff(None, None)
    project = factories.make_project(user)
    page = open_as(user, f"/admin/work/{project.pk}/imports")
    document = {**FLAWED, "images": [{"id": 1, "file_name": "a/one.png", "width": 12, "height": 8}], "annotations": []}
    choose(page, "instances_val.json", json.dumps(document).encode())
    start_and_work(page)
    assert not ImageAsset.objects.get().uri
    page.locator(".cc-tabs a", has_text="Import").click()
    page.get_by_label("Pictures only").check()
    expect(page.locator("#file")).to_be_hidden()
    expect(page.locator("#look-first")).to_be_hidden()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_role("alert")).to_have_text("Choose pictures, or a zip of them.")
    picture = io.BytesIO()
    Image.new("RGB", (12, 8), "teal").save(picture, "PNG")
    page.locator("#images").set_input_files({"name": "one.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    job = start_and_work(page)
    assert job.what == ImportJob.What.IMAGES
    expect(page.locator(".cc-numbers div", has_text="images with a picture")).to_contain_text("1")
    assert ImageAsset.objects.get().format == "png"


def test_predictions_come_with_the_name_of_what_made_them(open_as, street):
    page = open_as(staff(street, Role.CURATOR), f"/admin/work/{street.pk}/imports")
    page.get_by_label("Predictions").check()
    expect(page.locator("#images")).to_be_hidden()
    rows = Annotation.objects.filter(project=street, split__name="val", bbox__isnull=False, is_machine=False)
    results = [
        {
            "image_id": row.image.coco_id, "category_id": row.category.coco_id, "bbox": row.bbox,
            "score": round(0.9 - place / 1000, 3),
        }
        for place, row in enumerate(rows.select_related("image", "category")[:20])
    ]  # fmt: skip
    choose(page, "results_val.json", json.dumps(results).encode())
    page.get_by_label("What made them").fill("yolo-v9")
    page.locator("#split").fill("val")
    job = start_and_work(page)
    assert (job.what, job.source) == (ImportJob.What.PREDICTIONS, "yolo-v9")
    made = Annotation.objects.filter(project=street, is_machine=True, source="yolo-v9")
    assert made.count() == len(results)
    expect(page.locator(".cc-numbers div", has_text="added")).to_contain_text(str(len(results)))
    page.get_by_role("link", name="Predictions against people").click()
    expect(page.locator("#source")).to_have_value("yolo-v9")
    expect(page.locator("#predictions .cc-figures").first).to_be_visible()


def test_a_long_report_is_paged_and_filtered_and_leads_to_images(open_as, transactional_db, monkeypatch):
    monkeypatch.setattr(report_pages, "PROBLEMS", 3)
    user = staff(None, None)
    project = factories.make_project(user)
    document = {
        "images": [{"id": 1, "file_name": "one.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {
                "id": n,
                "image_id": 1 if n % 2 else 77,
                "category_id": 1,
                "bbox": [90, 90, 40, 40],
                "area": 1,
                "iscrowd": 0,
            }
            for n in range(1, 9)
        ],
    }
    page = open_as(user, f"/admin/work/{project.pk}/imports")
    choose(page, "instances_val.json", json.dumps(document).encode())
    start_and_work(page)
    everything = page.locator(".cc-filter a").first
    problems = page.locator(".cc-problem")
    expect(problems).to_have_count(3)
    expect(page.get_by_role("navigation", name="Pages of the report")).to_contain_text("1 to 3 of ")
    page.locator(".cc-filter a", has_text="dangling_image_id").click()
    expect(page.get_by_text("1 to 3 of 4")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("4 to 4 of 4")).to_be_visible()
    expect(problems).to_have_count(1)
    expect(page.get_by_role("link", name="Next")).to_have_count(0)
    everything.click()
    seen = 0
    while True:
        seen += problems.count()
        if not page.get_by_role("link", name="Next").count():
            break
        page.get_by_role("link", name="Next").click()
        page.wait_for_load_state()
    assert seen >= 8
    page.locator(".cc-filter a", has_text="outside").first.click()
    page.get_by_role("link", name="Look at the image", exact=True).first.click()
    expect(page.locator("#stage")).to_be_visible()
    assert page.url.endswith(f"/images/{ImageAsset.objects.get().pk}")


def drop(page, area, *paths):
    """Let files or folders fall onto an area, as from the desktop."""
    box = page.locator(f".cc-drop[data-for={area}]").bounding_box()
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 40, "y": box["y"] + 20}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


@pytest.fixture
def fallen(tmp_path):
    """A folder with a COCO file and two pictures, and beside it a zip of the pictures."""
    folder = tmp_path / "My boats"
    folder.mkdir()
    names = ("one.png", "two.png")
    images = [{"id": n, "file_name": name, "width": 12, "height": 8} for n, name in enumerate(names, 1)]
    (folder / "instances_val.json").write_text(json.dumps({**FLAWED, "images": images, "annotations": []}))
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for place, name in enumerate(names):
            Image.new("RGB", (12, 8), (place * 90, 80, 80)).save(folder / name)
            archive.write(folder / name, name)
    return folder


def import_page(open_as):
    user = staff(None, None)
    return open_as(user, f"/admin/work/{factories.make_project(user).pk}/imports")


def test_a_coco_file_dropped_with_the_zip_of_its_pictures_is_imported_with_them(open_as, transactional_db, fallen):
    page = import_page(open_as)
    drop(page, "file", fallen.parent / "pictures.zip", fallen / "instances_val.json")
    page.wait_for_function("document.getElementById('images').files.length === 1")
    start_and_work(page)
    assert ImageAsset.objects.exclude(uri="").count() == 2


def test_a_dropped_folder_gives_the_import_its_name(open_as, transactional_db, fallen):
    page = import_page(open_as)
    drop(page, "file", fallen)
    expect(page.locator("#folder-told")).to_contain_text("3 files")
    assert start_and_work(page).file_name == "My boats.zip"


def test_of_a_folder_dropped_on_pictures_the_pictures_are_taken(open_as, transactional_db, fallen):
    page = import_page(open_as)
    drop(page, "images", fallen)
    page.wait_for_function("document.getElementById('images').files.length === 2")
    choose(page, "instances_val.json", (fallen / "instances_val.json").read_bytes())
    start_and_work(page)
    assert ImageAsset.objects.exclude(uri="").count() == 2


def test_a_zip_among_pictures_is_not_passed_over_in_silence(open_as, transactional_db, fallen):
    page = import_page(open_as)
    choose(page, "instances_val.json", (fallen / "instances_val.json").read_bytes())
    page.locator("#images").set_input_files([fallen.parent / "pictures.zip", fallen / "one.png"])
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose one zip of pictures")
    assert not ImportJob.objects.exists()
