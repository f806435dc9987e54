"""Forms and lists that keep what somebody has chosen, at any width."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from annotations import query
from assets.models import ImageAsset
from insights.models import InsightView
from projects.models import Role
from tests.workplace.browsing import staff


def parameters(page) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(page.url).query).items()}


def test_counting_keeps_everything_that_was_chosen(open_as, street):
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/exports")
    page.get_by_label("to CVAT, in tasks of").check()
    page.get_by_label("images in a task").fill("33")
    page.locator("#export-split").select_option("val")
    page.locator("#export-kind").select_option("captions")
    page.locator("#export-query").fill("category:bus")
    expect(page.locator("#count-first")).to_be_visible()
    expect(page.get_by_role("button", name="Start export")).to_be_disabled()
    page.get_by_role("button", name="Count", exact=True).click()
    number = ImageAsset.objects.filter(project=street, annotations__category__name="bus").distinct().count()
    expect(page.get_by_role("status").filter(has_text="Look at them")).to_contain_text(str(number))
    expect(page.get_by_label("to CVAT, in tasks of")).to_be_checked()
    expect(page.get_by_label("images in a task")).to_have_value("33")
    expect(page.locator("#export-split")).to_have_value("val")
    expect(page.locator("#export-kind")).to_have_value("captions")
    expect(page.get_by_role("button", name="Start export")).to_be_enabled()
    assert "csrfmiddlewaretoken" not in page.url


def test_which_category_stays_is_never_taken_for_granted(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/categories")
    for name in ("car", "bus"):
        page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()
    page.locator("#merge-categories").click()
    expect(page.locator("#merge-into")).to_have_value("")
    expect(page.locator("#merge-into option").nth(1)).to_contain_text("annotations, ")
    page.locator("#fate-dialog .cc-button-main").click()
    expect(page.locator("#fate-dialog [data-part=told]")).to_be_hidden()
    page.locator("#merge-into").select_option(index=1)
    page.locator("#fate-dialog .cc-button-main").click()
    expect(page.locator("#fate-dialog [data-part=told]")).to_contain_text("On ")


def test_a_query_comes_back_with_its_order_its_table_and_its_boxes(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images?q=width%3E1")
    page.locator("#sort").select_option("-annotations")
    page.wait_for_url("**sort=-annotations*")
    page.locator("[data-size=l]").click()
    page.locator("#show-boxes").click()
    look = {"q": "width>1", "sort": "-annotations", "size": "l", "boxes": "1"}
    assert parameters(page) == look
    page.locator("#query-menu-button").click()
    page.locator("#query-name").fill("Wide ones")
    page.locator("#query-menu").get_by_role("button", name="Save").click()
    page.wait_for_load_state()
    assert parameters(page) == look
    assert InsightView.objects.get().query == look
    bare = page.url.partition("?")[0]
    for place, name in (("#saved-title", "Wide ones"), ("#asked-title", "width>1")):
        page.goto(bare)
        page.locator("#query-menu-button").click()
        line = page.locator(f"section[aria-labelledby={place[1:]}] a", has_text=name)
        if place == "#asked-title":
            expect(line).to_contain_text("most objects · L · Boxes")
        line.click()
        page.wait_for_url("**boxes=1*")
        assert parameters(page) == look


def test_queries_kept_by_an_earlier_version_are_still_there(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/images")
    page.evaluate(
        """() => localStorage.setItem(document.getElementById("query-menu").dataset.history, '["tag:old", 7]')"""
    )
    page.locator("#query-menu-button").click()
    expect(page.locator("#asked-before a")).to_have_text("tag:old")


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
def test_a_phone_shows_it_all(open_as, street, language):
    user = staff(street, Role.MANAGER)
    ImageAsset.objects.filter(project=street).update(tags=["night", "rain", "checked", "a longer tag of several words"])
    page = open_as(
        user, f"/admin/work/{street.pk}/images?view=table", viewport={"width": 390, "height": 800}, locale=language
    )
    assert page.locator(".cc-thumb").first.bounding_box()["width"] == 64
    assert max(row.bounding_box()["height"] for row in page.locator(".cc-line").all()[:8]) < 120
    image = ImageAsset.objects.filter(project=street)[1]
    ImageAsset.objects.filter(pk=image.pk).update(file_name="a-rather-long-name-of-a-picture-file-000000000001.jpg")
    base = page.url.partition("/images")[0]
    for name in ("categories", f"images/{image.pk}?q=width%3E1", "images", "exports", "imports", "insights", "cvat"):
        page.goto(f"{base}/{name}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        if name.startswith("images/"):
            tops = {round(page.locator(f"#{each}").bounding_box()["y"]) for each in ("before", "after")}
            assert len(tops) == 1
            up, after = (page.locator(f"#{each}").bounding_box() for each in ("up", "after"))
            assert abs(after["y"] - up["y"]) < 4


@pytest.mark.parametrize(("button", "what"), [("#export-chosen", "json"), ("#send-cvat", "cvat")])
def test_ticked_images_are_exported_or_sent(open_as, street, button, what):
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images")
    chosen = [page.locator(".cc-tile").nth(place).get_attribute("data-id") for place in (1, 3)]
    for place in (1, 3):
        page.locator(".cc-tile").nth(place).hover()
        page.locator(".cc-pick").nth(place).click()
    page.locator(button).click()
    page.wait_for_url("**/exports?*")
    expect(page.locator("#export-query")).to_have_value(f"id:({' OR '.join(chosen)})")
    expect(page.get_by_role("status").filter(has_text="Look at them")).to_contain_text("2 images")
    expect(page.locator(f"#export-form [name=what][value={what}]")).to_be_checked()


def rows_of_images(street, number):
    """Ids of so many images without pictures."""
    split = street.splits.first()
    rows = [ImageAsset(project=street, split=split, coco_id=90_000 + n, file_name=f"{n}.jpg") for n in range(number)]
    return [image.pk for image in ImageAsset.objects.bulk_create(rows)]


def load_all(page):
    """Press the button until there are no more images; those in sight come by themselves, so it may be gone by then."""
    page.wait_for_function("() => { const more = document.getElementById('more'); more.click(); return more.hidden; }")


def scattered(street) -> list[int]:
    """Ids of 210 images tagged `night`, with another between every two of them."""
    chosen = rows_of_images(street, 420)[::2]
    ImageAsset.objects.filter(pk__in=chosen).update(tags=["night"])
    return chosen


def exported_ids(street, page):
    """What the query of the exports' page finds."""
    page.wait_for_url("**/exports?*")
    text = page.locator("#export-query").input_value()
    found = query.filter_images(ImageAsset.objects.filter(project=street), street, text)
    return set(found.values_list("pk", flat=True))


def test_hundreds_that_follow_each_other_are_exported(open_as, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 300)
    rows_of_images(street, 400)
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?sort=file")
    load_all(page)
    page.locator("#select-loaded").click()
    page.locator(".cc-tile").nth(7).click()
    left = int(page.locator(".cc-tile").nth(7).get_attribute("data-id"))
    page.locator("#export-chosen").click()
    assert exported_ids(street, page) == set(street.assets.values_list("pk", flat=True)) - {left}


def test_scattered_ones_are_exported_by_the_query_that_found_them(open_as, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 300)
    chosen = scattered(street)
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?q=tag:night&sort=-id")
    page.locator("#select-loaded").click()
    for place in (3, 180):
        page.locator(".cc-tile").nth(place).click()
    left = {int(page.locator(".cc-tile").nth(place).get_attribute("data-id")) for place in (3, 180)}
    page.locator("#export-chosen").click()
    assert exported_ids(street, page) == set(chosen) - left


def test_too_scattered_ones_are_refused_with_a_way_out(open_as, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 500)
    scattered(street)
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?q=tag:night&sort=file")
    page.locator("#select-loaded").click()
    page.locator("#export-chosen").click()
    expect(page.locator("#toast")).to_contain_text("Give them a tag")
    assert page.url.endswith("sort=file")


def test_links_keep_the_size_and_boxes_chosen_since(open_as, street):
    page = open_as(staff(street, Role.CURATOR), f"/admin/work/{street.pk}/images")
    page.locator("[data-size=l]").click()
    page.locator("#show-boxes").click()
    page.locator("#facets a").first.click()
    page.wait_for_url("**q=*")
    assert "size=l" in page.url
    assert "boxes=1" in page.url
    expect(page.locator("#browse")).to_have_class("cc-size-l")
    page.locator("#show-boxes").click()
    page.locator(".cc-tile [data-open]").first.click()
    page.wait_for_url("**/images/*")
    assert "size=l" in page.url
    assert "boxes" not in page.url
