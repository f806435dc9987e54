"""The grid: looking, choosing, changing many images, by mouse and by keyboard."""

import pytest
from playwright.sync_api import expect

from assets.models import ImageAsset
from projects.models import AuditLog, Project, Role
from tests.workplace.browsing import staff


@pytest.fixture
def grid(open_as, curator, street):
    return open_as(curator, f"/admin/work/{street.pk}/images")


def names(page) -> list[str]:
    return page.locator(".cc-tile-name").all_inner_texts()


def test_a_facet_narrows_the_query_and_the_address_keeps_it(grid, street):
    grid.locator(".cc-facet", has_text="bus").first.click()
    expect(grid.locator("#query")).to_have_value("category:bus")
    found = ImageAsset.objects.filter(project=street, annotations__category__name="bus").distinct()
    expect(grid.locator("#number")).to_have_text(str(found.count()))
    assert sorted(names(grid)) == sorted(found.values_list("file_name", flat=True))
    grid.reload()
    expect(grid.locator("#query")).to_have_value("category:bus")
    grid.locator(".cc-facet[aria-current]", has_text="bus").click()
    expect(grid.locator("#query")).to_have_value("")


def test_pictures_are_really_shown(grid):
    first = grid.locator(".cc-tile img").first
    expect(first).to_be_visible()
    grid.wait_for_function("document.querySelector('.cc-tile img').naturalWidth > 0")


def test_scrolling_down_loads_the_rest(open_as, curator, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 12)
    page = open_as(curator, f"/admin/work/{street.pk}/images")
    for _ in range(8):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(150)
    expect(page.locator(".cc-tile")).to_have_count(48)
    assert len(set(names(page))) == 48
    expect(page.locator("#more")).to_be_hidden()


def test_clicks_select_and_shift_selects_up_to_here(grid):
    grid.locator(".cc-tile").nth(1).hover()
    grid.locator(".cc-pick").nth(1).click()
    grid.locator(".cc-tile").nth(4).click(modifiers=["Shift"])
    expect(grid.locator("#chosen-number")).to_have_text("4")
    grid.locator(".cc-tile").nth(2).click()
    expect(grid.locator("#chosen-number")).to_have_text("3")
    grid.locator("#clear-selection").click()
    expect(grid.locator("#bulk-bar")).to_be_hidden()


def test_many_are_tagged_after_the_number_was_told_and_it_can_be_undone(grid, street, curator):
    grid.locator("#select-loaded").click()
    grid.locator("[data-bulk=tags]").click()
    grid.locator("#bulk-add").fill("night, <b>bold</b>")
    grid.locator("#bulk-go").click()
    expect(grid.locator("#bulk-told")).to_contain_text("This will be done to 48 images.")
    expect(grid.locator("#bulk-told")).to_contain_text("<b>bold</b>")
    tagged = ImageAsset.objects.filter(project=street, tags=["night", "<b>bold</b>"])
    assert not tagged.exists()
    grid.locator("#bulk-go").click()
    expect(grid.locator("#toast")).to_contain_text("48 images tagged.")
    assert tagged.count() == 48
    line = AuditLog.objects.filter(action="assets.updated").latest("id")
    assert (line.user, line.door) == (curator, "admin")
    grid.locator("#undo").click()
    expect(grid.locator("#toast")).to_contain_text("48 images put back.")
    assert not tagged.exists()


def test_all_that_match_are_more_than_those_that_are_loaded(open_as, curator, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 6)
    page = open_as(curator, f"/admin/work/{street.pk}/images?q=split%3Atrain", viewport={"width": 1280, "height": 500})
    number = ImageAsset.objects.filter(project=street, split__name="train").count()
    page.locator(".cc-pick").first.click(force=True)
    page.locator("#select-matching").click()
    expect(page.locator("#chosen-number")).to_have_text(str(number))
    page.locator("[data-bulk=status]").click()
    page.locator("#bulk-status").select_option("approved")
    page.locator("#bulk-go").click()
    expect(page.locator("#bulk-told")).to_contain_text(f"This will be done to {number} images.")
    page.locator("#bulk-go").click()
    expect(page.locator("#toast")).to_contain_text(f"{number} images have the status now.")
    assert ImageAsset.objects.filter(project=street, status="approved").count() == number


def test_the_keyboard_does_it_all(grid, street):
    grid.keyboard.press("ArrowRight")
    first = grid.evaluate("document.activeElement.dataset.id")
    grid.keyboard.press("ArrowRight")
    grid.keyboard.press(" ")
    grid.keyboard.press("ArrowRight")
    grid.keyboard.press("Shift+ ")
    expect(grid.locator("#chosen-number")).to_have_text("2")
    grid.keyboard.press("t")
    expect(grid.locator("#bulk-add")).to_be_focused()
    grid.keyboard.type("quick")
    grid.keyboard.press("Enter")
    expect(grid.locator("#bulk-go")).to_be_focused()
    grid.keyboard.press("Enter")
    expect(grid.locator("#toast")).to_contain_text("2 images tagged.")
    tagged = list(ImageAsset.objects.filter(tags=["quick"]).values_list("pk", flat=True))
    assert len(tagged) == 2
    assert int(first) not in tagged
    grid.keyboard.press("?")
    expect(grid.locator("#help-dialog")).to_be_visible()
    grid.keyboard.press("Escape")
    grid.keyboard.press("/")
    expect(grid.locator("#query")).to_be_focused()


def test_the_query_is_completed(grid):
    grid.locator("#query").press_sequentially("category:bu")
    expect(grid.locator("#suggestions li").first).to_contain_text("bus")
    grid.keyboard.press("ArrowDown")
    grid.keyboard.press("Enter")
    grid.keyboard.press("Escape")
    grid.locator("#query").press("Enter")
    expect(grid.locator("#query")).to_have_value("category:bus")


def test_a_mistake_is_marked(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images?q=tag:x+widht>3")
    expect(page.locator("#fault mark")).to_have_text("widht")


def test_names_do_nothing_but_be_read(open_as, curator, street):
    evil = "<img src=x onerror=alert(1)>"
    Project.objects.filter(pk=street.pk).update(name=evil)
    ImageAsset.objects.filter(project=street).update(file_name=evil, tags=[evil, "javascript:alert(1)"], issues=[evil])
    image = ImageAsset.objects.filter(project=street).first()
    for address in (f"/admin/work/{street.pk}/images", f"/admin/work/{street.pk}/images/{image.pk}", "/admin/"):
        page = open_as(curator, address)
        page.wait_for_load_state("networkidle")
        assert evil in page.locator("body").inner_text()
        assert page.locator("img[src=x]").count() == 0


def test_a_viewer_selects_but_changes_nothing(open_as, street):
    page = open_as(staff(street, Role.VIEWER), f"/admin/work/{street.pk}/images")
    page.locator("#select-loaded").click()
    expect(page.locator("#bulk-bar")).to_be_visible()
    assert page.locator("[data-bulk]").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_window(open_as, curator, street, width):
    image = ImageAsset.objects.filter(project=street).first()
    page = open_as(curator, "/admin/", viewport={"width": width, "height": 800})
    base = page.url.removesuffix("/admin/")
    for name in (
        "images",
        "images?view=table&q=tag:x OR id>0",
        f"images/{image.pk}",
        "insights",
        "categories",
        "imports",
        "exports",
        "cvat",
    ):
        page.goto(f"{base}/admin/work/{street.pk}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_korean_is_spoken(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images", locale="ko-KR")
    expect(page.locator("#query")).to_be_visible()
    text = page.locator("#main").inner_text()
    assert "모두 선택" in text
    for english in ("Images", "Select all", "Export", "Search", "Categories"):
        assert english not in text
