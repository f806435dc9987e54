"""What is sent once is done once, what was not read is not done, and what went wrong is said in plain words."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from accounts.models import PersonalToken
from annotations.models import BulkEdit, Category
from assets.models import ImageAsset
from projects.models import Project, Role
from tests.workplace.browsing import staff


@pytest.fixture
def grid(open_as, curator, street):
    return open_as(curator, f"/admin/work/{street.pk}/images")


def tag_all(page):
    page.locator("#select-loaded").click()
    page.locator("[data-bulk=tags]").click()
    page.locator("#bulk-add").fill("night")


def merge_two(page, into):
    for name in ("car", "bus"):
        page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()
    page.locator("#merge-categories").click()
    page.locator("#merge-into").select_option(
        page.locator("#merge-into option", has_text=f"{into} (").get_attribute("value")
    )


def test_a_double_click_on_continue_changes_nothing(grid, street):
    tag_all(grid)
    grid.locator("#bulk-go").dblclick()
    expect(grid.locator("#bulk-told")).to_contain_text("This will be done to 48 images.")
    grid.locator("#bulk-go").dblclick(force=True)
    grid.wait_for_timeout(300)
    assert not BulkEdit.objects.exists()
    expect(grid.locator("#bulk-go")).to_be_enabled()
    grid.locator("#bulk-go").click()
    expect(grid.locator("#toast")).to_contain_text("48 images")
    assert BulkEdit.objects.count() == 1


def test_enter_twice_changes_nothing(grid):
    tag_all(grid)
    grid.locator("#bulk-add").press("Enter")
    expect(grid.locator("#bulk-told")).to_be_visible()
    grid.keyboard.press("Enter")
    grid.keyboard.down("Enter")
    grid.wait_for_timeout(900)
    grid.keyboard.down("Enter")  # held down: it repeats, on a button that is enabled by now
    grid.keyboard.up("Enter")
    grid.wait_for_timeout(300)
    assert not BulkEdit.objects.exists()


def test_a_double_click_does_not_merge_categories(open_as, curator, street):
    page = open_as(curator, f"/admin/work/{street.pk}/categories")
    number = Category.objects.filter(project=street).count()
    merge_two(page, "bus")
    page.locator("#fate-dialog .cc-button-main").dblclick()
    told = page.locator("#fate-dialog [data-part=told]")
    expect(told).to_be_visible()
    page.wait_for_timeout(300)
    assert Category.objects.filter(project=street).count() == number
    page.locator("#fate-dialog .cc-button-main").click()
    expect(page.locator("#toast")).to_be_visible()
    assert Category.objects.filter(project=street).count() == number - 1


def hold(page, pattern):
    """Keeps requests back until they are let go."""
    held = []
    page.route(pattern, lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    return held


def test_a_token_is_made_once_however_often_the_form_is_sent(open_as, curator):
    page = open_as(curator, "/admin/work/tokens")
    held = hold(page, "**/work/tokens")
    page.locator("#token-name").fill("script")
    rested = page.evaluate("""async () => {
        const form = document.getElementById("new-token-form");
        const button = form.querySelector("button");
        button.click();
        await new Promise((done) => setTimeout(done, 100));
        const { disabled } = button;
        button.click();
        form.requestSubmit();
        await new Promise((done) => setTimeout(done, 100));
        return disabled;
    }""")
    assert rested
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator("#new-token")).to_be_visible()
    assert PersonalToken.objects.count() == 1


def test_the_button_that_was_pressed_is_sent_with_the_form(open_as, curator, street):
    asset = ImageAsset.objects.filter(project=street).first()
    ImageAsset.objects.filter(pk=asset.pk).update(tags=["night"])
    page = open_as(curator, f"/admin/work/{street.pk}/images/{asset.pk}")
    page.get_by_role("button", name="Remove night").click()
    expect(page.locator("#tags")).to_contain_text("No tags")


def test_a_page_that_one_comes_back_to_has_its_buttons_again(open_as, curator, transactional_db):
    page = open_as(curator, "/admin/")
    page.evaluate("window.addEventListener('submit', (event) => event.preventDefault())")  # it never leaves
    page.locator("#project-name").fill("Boats")
    button = page.get_by_role("button", name="Make it")
    button.click()
    expect(button).to_be_disabled()
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(button).to_be_enabled()
    assert not Project.objects.filter(name="Boats").exists()


SAID = {
    "offline": ("This computer is offline.", "지금 오프라인입니다."),
    "away": ("The server does not answer just now (502).", "서버가 지금 응답하지 않습니다(502)."),
    "unreached": ("The server could not be reached.", "서버에 연결할 수 없습니다."),
    "ended": ("Your session has ended: log in again.", "세션이 끝났습니다. 다시 로그인하세요."),
}
UNCHANGED = ("Nothing was changed.", "바뀐 것이 없습니다.")


def break_it(page, how, pattern):
    """From now on the server cannot be asked."""
    if how == "offline":
        page.context.set_offline(True)
    elif how == "away":
        page.route(pattern, lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    elif how == "unreached":
        page.route(pattern, lambda route: route.abort("connectionrefused"))
    else:
        page.context.clear_cookies(name="sessionid")


@pytest.mark.parametrize("language", [0, 1], ids=["english", "korean"])
@pytest.mark.parametrize("how", sorted(SAID))
def test_a_dialog_says_why_nothing_was_done(open_quietly, curator, street, how, language):
    page = open_quietly(curator, f"/admin/work/{street.pk}/images", locale=("en-US", "ko-KR")[language])
    tag_all(page)
    break_it(page, how, "**/images/bulk")
    page.locator("#bulk-go").click()
    fault = page.locator("#bulk-fault")
    expect(fault).to_contain_text(SAID[how][language])
    if how != "away":
        expect(fault).to_contain_text(UNCHANGED[language])
    if how == "ended":
        address = urlsplit(fault.get_by_role("link").get_attribute("href"))
        assert address.path == "/admin/login/"
        assert parse_qs(address.query)["next"] == [f"/admin/work/{street.pk}/images"]
    expect(page.locator("#bulk-go")).to_be_enabled()
    assert not BulkEdit.objects.exists()


def test_a_change_whose_answer_is_lost_is_not_said_to_be_undone(open_quietly, curator, street):
    page = open_quietly(curator, f"/admin/work/{street.pk}/images")
    tag_all(page)
    page.locator("#bulk-go").click()
    expect(page.locator("#bulk-go")).to_have_text("Do it")
    page.route("**/images/bulk", lambda route: (route.fetch(), route.abort("connectionreset")))
    page.locator("#bulk-go").click()
    expect(page.locator("#bulk-fault")).to_contain_text("it is not known whether this was done")
    assert ImageAsset.objects.filter(project=street, tags=["night"]).count() == 48


@pytest.mark.parametrize("how", ["away", "unreached"])
def test_facets_and_scrolling_say_so_and_try_again(open_quietly, curator, street, monkeypatch, how):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 12)
    patterns = ("**/images/facets*", "**/images/more*")
    page = open_quietly(curator, "/admin/")
    for pattern in patterns:
        break_it(page, how, pattern)
    page.goto(page.url.replace("/admin/", f"/admin/work/{street.pk}/images"))
    expect(page.locator("#facets")).to_contain_text(SAID[how][0])
    page.mouse.wheel(0, 8000)
    expect(page.locator("#more-fault")).to_contain_text(SAID[how][0])
    expect(page.locator(".cc-tile")).to_have_count(12)
    for pattern in patterns:
        page.unroute(pattern)
    page.locator("#facets").get_by_role("button", name="Try again").click()
    expect(page.locator(".cc-facet").first).to_be_visible()
    page.locator("#more-fault").get_by_role("button", name="Try again").click()
    expect(page.locator(".cc-tile").nth(12)).to_be_attached()
    expect(page.locator("#more-fault")).to_be_hidden()


def test_scrolling_after_the_session_has_ended_leads_to_the_login(open_quietly, curator, street, monkeypatch):
    monkeypatch.setattr("cocohub.workplace.paging.PAGE", 12)
    page = open_quietly(curator, f"/admin/work/{street.pk}/images?size=l", viewport={"width": 900, "height": 300})
    page.wait_for_load_state("networkidle")
    break_it(page, "ended", "")
    page.mouse.wheel(0, 8000)
    expect(page.locator("#more-fault")).to_contain_text("Your session has ended")
    page.locator("#more-fault").get_by_role("link", name="Log in again").click()
    expect(page.locator("#login-form")).to_be_visible()


@pytest.mark.parametrize(
    ("page_of", "pattern", "place"),
    [
        ("insights", "**/insights/charts*", "#charts"),
        ("image", "**/objects", "#objects"),
    ],
)
def test_what_is_loaded_later_is_tried_again(open_quietly, curator, street, page_of, pattern, place):
    image = ImageAsset.objects.filter(project=street, annotation_count__gt=0).first()
    address = f"images/{image.pk}" if page_of == "image" else page_of
    page = open_quietly(curator, "/admin/")
    break_it(page, "away", pattern)
    page.goto(page.url.replace("/admin/", f"/admin/work/{street.pk}/{address}"))
    expect(page.locator(place)).to_contain_text(SAID["away"][0])
    page.unroute(pattern)
    page.locator(place).get_by_role("button", name="Try again").click()
    expect(page.locator(place)).not_to_contain_text(SAID["away"][0])
    expect(page.locator("[data-metric]" if page_of == "insights" else ".cc-object-row").first).to_be_visible()


def test_an_import_whose_session_has_ended_says_so(open_quietly, street):
    page = open_quietly(staff(street, Role.CURATOR), f"/admin/work/{street.pk}/imports")
    content = json.dumps({"images": [], "annotations": [], "categories": []}).encode()
    page.locator("#file").set_input_files({"name": "a.json", "mimeType": "application/json", "buffer": content})
    break_it(page, "ended", "")
    page.get_by_role("button", name="Start import").click()
    expect(page.locator("#upload-fault")).to_contain_text("Your session has ended")
    expect(page.locator("#upload-fault").get_by_role("link", name="Log in again")).to_be_visible()
