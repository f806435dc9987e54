"""Charts that answer clicks, comparisons, saved views; categories; a folder that is imported."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from annotations import services as imports
from annotations.models import Annotation, Category, ImportJob
from assets.models import ImageAsset
from insights import refreshing
from insights.models import InsightView
from projects import jobs
from projects.models import Project, Role
from tests import factories
from tests.workplace.browsing import staff


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """The tests do themselves what a worker would."""
    monkeypatch.setattr(refreshing, "request", lambda project: None)
    monkeypatch.setattr(jobs, "ring", lambda task: True)


@pytest.fixture
def charts(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/insights")
    page.wait_for_selector("#classes .cc-bars")
    return page


def test_a_click_on_a_bar_shows_its_images(charts, street):
    row = charts.locator("#classes .cc-bar-row", has_text="bus").first
    row.click()
    expect(charts.locator("#query")).to_have_value("category:bus")
    found = ImageAsset.objects.filter(project=street, annotations__category__name="bus").distinct()
    expect(charts.locator("#number")).to_have_text(str(found.count()))


def test_a_click_on_a_piece_of_a_bar_shows_the_images_of_its_split(charts, street):
    row = charts.locator("#classes .cc-bar-row", has_text="bus").first
    row.locator(".cc-bar-track a").first.click()
    expect(charts.locator("#query")).to_have_value("category:bus split:train")


def test_a_click_on_a_column_and_on_a_cell_shows_their_images(charts):
    charts.locator("#annotations_per_image .cc-columns a").first.click()
    expect(charts.locator("#query")).to_have_value("annotations<1")
    charts.go_back()
    charts.locator("#resolution .cc-squares a").first.click()
    assert "width" in charts.locator("#query").input_value()


def test_stale_charts_are_marked_until_fresh_ones_come(charts, street, settings):
    expect(charts.locator("[data-stale]")).to_have_count(0)
    settings.METRIC_WAIT_MS = 0
    Project.objects.filter(pk=street.pk).update(revision=street.revision + 100)
    charts.reload()
    expect(charts.locator("#classes [data-stale]")).to_be_visible()
    settings.METRIC_WAIT_MS = 20_000
    expect(charts.locator("[data-stale]")).to_have_count(0)


def test_a_chart_is_saved_and_pinned(charts, street, curator):
    charts.locator("#classes [data-save]").click()
    charts.locator("#view-name").fill("Classes of the day <b>")
    charts.get_by_label("Pin it to the top").check()
    charts.get_by_role("button", name="Save", exact=True).click()
    expect(charts.locator("[data-view] h3")).to_have_text("Classes of the day <b>")
    view = InsightView.objects.get()
    assert (view.saved_by, view.pinned, view.shared, view.visualization["metric"]) == (curator, True, True, "classes")


def test_a_chart_is_taken_away(charts):
    charts.locator("#classes").get_by_label("Download Classes").click()
    with charts.expect_download() as download:
        charts.locator("#classes").get_by_text("PNG").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_two_splits_are_compared(charts, street):
    charts.get_by_role("link", name="Compare").click()
    charts.locator("#query-a").fill("split:train")
    charts.locator("#query-b").fill("split:val")
    charts.get_by_role("button", name="Compare").click()
    charts.locator("[data-metric=classes] .cc-pairs a").nth(1).click()
    assert "split:val" in charts.locator("#query").input_value()


# --- The grid ---------------------------------------------------------------------------------------------------------


def test_boxes_lie_over_the_thumbnails_on_demand(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images")
    page.wait_for_selector(".cc-tile")
    assert page.locator(".cc-tile-boxes").count() == 0
    page.keyboard.press("b")
    boxed = Annotation.objects.filter(project=street, bbox__isnull=False).order_by("id").first()
    tile = page.locator(f".cc-tile[data-id='{boxed.image_id}']")
    drawn = tile.locator("rect").first
    expect(drawn).to_be_visible()
    assert "boxes=1" in page.url
    # The picture stands whole in the middle of its frame; the box lies where the record has it.
    frame, image = tile.locator(".cc-tile-picture").bounding_box(), boxed.image
    scale = min(frame["width"] / image.width, frame["height"] / image.height)
    left = frame["x"] + (frame["width"] - image.width * scale) / 2
    first = Annotation.objects.filter(image=image, bbox__isnull=False).order_by("position").first().bbox
    assert drawn.bounding_box()["x"] == pytest.approx(left + first[0] * scale, abs=2.5)
    page.reload()
    expect(page.locator(".cc-tile-boxes").first).to_be_visible()
    page.keyboard.press("b")
    expect(page.locator(".cc-tile-boxes").first).to_be_hidden()


def test_queries_asked_before_and_saved_ones_are_at_hand(open_as, curator, street):
    InsightView.objects.create(
        project=street, name="Vehicles", query={"q": "supercategory:vehicle"}, visualization={"metric": "classes"}
    )
    page = open_as(curator, f"/admin/work/{street.pk}/images?q=category%3Abus")
    for text in ("widht>3", "tag:x"):
        page.goto(f"{page.url.partition('?')[0]}?q={text}")
    page.locator("#query-menu-button").click()
    expect(page.locator("#asked-before li")).to_have_text(["tag:x", "category:bus"])
    page.get_by_role("link", name="Vehicles").click()
    expect(page.locator("#query")).to_have_value("supercategory:vehicle")


def test_objects_are_relabelled_after_the_number_was_told(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images?q=category%3Abus")
    buses = Annotation.objects.filter(project=street, category__name="bus").count()
    page.locator("#select-loaded").click()
    page.locator("[data-bulk=relabel]").click()
    page.locator("#relabel-from").select_option(label="bus")
    page.locator("#relabel-into").select_option(label="truck")
    page.locator("#bulk-go").click()
    expect(page.locator("#bulk-told")).to_contain_text(f"{buses} objects will become “truck”.")
    page.locator("#bulk-go").click()
    expect(page.locator("#toast")).to_contain_text(f"{buses} objects relabelled.")
    assert not Annotation.objects.filter(project=street, category__name="bus").exists()
    page.locator("#undo").click()
    expect(page.locator("#toast")).to_contain_text(f"{buses} objects put back.")
    assert Annotation.objects.filter(project=street, category__name="bus").count() == buses


# --- Categories -------------------------------------------------------------------------------------------------------


def test_categories_are_merged_after_it_was_told_what_becomes_of_annotations(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/categories")
    bus, truck = (Category.objects.get(project=street, name=name) for name in ("bus", "truck"))
    buses, trucks = (Annotation.objects.filter(category=each).count() for each in (bus, truck))
    for each in (bus, truck):
        page.locator(f"[data-category='{each.pk}'] .cc-tick").check()
    page.locator("#merge-categories").click()
    page.locator("#merge-into").select_option(
        page.locator("#merge-into option", has_text="truck (").get_attribute("value")
    )
    page.locator("#fate-dialog").get_by_role("button", name="Continue").click()
    expect(page.locator("#fate-dialog")).to_contain_text(f"{buses} annotations become “truck”.")
    page.locator("#fate-dialog").get_by_role("button", name="Do it").click()
    expect(page.locator("#toast")).to_be_visible()
    assert Annotation.objects.filter(category=truck).count() == buses + trucks
    assert not Category.objects.filter(pk=bus.pk).exists()
    page.locator("#undo").click()
    expect(page.locator("#toast")).to_contain_text("put back")
    assert Annotation.objects.filter(category__name="bus").count() == buses


def test_a_category_gets_a_colour_that_its_boxes_have(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/categories")
    bus = Category.objects.get(project=street, name="bus")
    page.locator(f"[data-category='{bus.pk}'] [data-edit]").click()
    page.locator("#category-color").fill("#123456")
    page.locator("#category-dialog").get_by_role("button", name="Save").click()
    page.wait_for_selector(f"[data-category='{bus.pk}'][data-color='#123456']")
    image = Annotation.objects.filter(category=bus).first().image
    page.goto(f"{page.url.partition('/categories')[0]}/images?q=id%3A{image.pk}&boxes=1")
    page.wait_for_selector(".cc-tile-boxes rect[style*='#123456']")


# --- Import -----------------------------------------------------------------------------------------------------------


def test_a_folder_is_looked_at_and_imported(open_as, transactional_db, drawn, tmp_path):
    user = staff(None, None)
    project = factories.make_project(user)
    page = open_as(user, f"/admin/work/{project.pk}/imports")
    folder = tmp_path / "my set"
    shutil.copytree(drawn, folder)
    (folder / "notes.txt").write_text("not of use")
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#folder-told")).to_contain_text("files of the folder")
    page.get_by_role("button", name="Look first").click()
    expect(page.locator("#found tbody tr").first).to_be_visible()
    assert not ImportJob.objects.exists()
    splits = page.locator("[data-split-of]")
    assert {"train", "val"} == {splits.nth(place).input_value() for place in range(splits.count())}
    page.get_by_role("button", name="Start import").click()
    page.wait_for_selector("[data-task]")
    jobs.run(ImportJob.objects.get().task_id, imports.run_import)
    expect(page.get_by_text("Look at the images")).to_be_visible()
    assert ImageAsset.objects.filter(project=project).exclude(uri="").count() == 48


def test_a_part_that_was_lost_on_its_way_is_sent_again(open_as, transactional_db):
    user = staff(None, Role.VIEWER)
    project = factories.make_project(user)
    page = open_as(user, f"/admin/work/{project.pk}/imports")
    lost = []

    def lose_the_first(route):
        if not lost:
            lost.append(route.request.url)
            return route.fulfill(status=200, body="<html>a proxy says something")
        return route.continue_()

    page.route("**/imports/uploads/*", lose_the_first)
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "annotations": [],
        "categories": [],
    }
    content = json.dumps(document).encode()
    page.locator("#file").set_input_files({"name": "val.json", "mimeType": "application/json", "buffer": content})
    page.get_by_role("button", name="Look first").click()
    expect(page.locator("#found")).to_contain_text("val.json")
    assert lost


def test_a_chart_is_drawn_as_another_kind_and_kept_so(charts, street):
    card = charts.locator("#classes")
    card.get_by_label("Kind of chart of").click()
    card.get_by_role("link", name="Table").press("Enter")
    expect(card.locator("table")).to_be_visible()
    assert "kinds=classes%3Atable" in charts.url
    number = card.locator("tr", has_text="bus").locator("td").inner_text()
    assert int(number) == Annotation.objects.filter(project=street, category__name="bus").count()
    expect(charts.locator("#splits .cc-bars")).to_be_visible()  # the others are as before

    charts.locator("#annotations_per_image").get_by_label("Kind of chart of").click()
    charts.locator("#annotations_per_image [data-kind=line]").click()
    expect(charts.locator("#annotations_per_image polyline")).to_be_attached()
    expect(card.locator("table")).to_be_visible()

    card.locator("[data-save]").click()
    charts.locator("#view-name").fill("As a table")
    charts.get_by_label("Pin it to the top").check()
    charts.get_by_role("button", name="Save", exact=True).click()
    expect(charts.locator("[data-view] table")).to_be_visible()
    assert InsightView.objects.get().visualization["chart"] == "table"
    charts.locator("[data-view] tr", has_text="bus").get_by_role("link").click()
    expect(charts.locator("#query")).to_have_value("category:bus")
