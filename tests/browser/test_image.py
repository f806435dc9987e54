"""One image: what is drawn lies where it belongs, list and picture go together, edits land in the database."""

import io
import random

import orjson
import pytest
from django.core.files.storage import default_storage
from PIL import Image, ImageOps, ImageStat
from playwright.sync_api import expect

from annotations.coco import rle
from annotations.models import Annotation
from assets.models import ImageAsset

EXIF_ORIENTATION = 0x0112


def address(asset) -> str:
    return f"/admin/work/{asset.project_id}/images/{asset.pk}"


def open_image(open_as, curator, asset):
    page = open_as(curator, address(asset))
    page.wait_for_selector("#stage[data-drawn]")
    return page


def with_orientation(project, turned: bool) -> ImageAsset:
    for asset in ImageAsset.objects.filter(project=project, format="jpeg").order_by("pk"):
        with Image.open(default_storage.path(asset.uri)) as picture:
            if (picture.getexif().get(EXIF_ORIENTATION, 1) != 1) is turned:
                return asset
    raise LookupError("no such picture in the sample")


@pytest.mark.parametrize("turned", [False, True])
def test_the_picture_lies_in_the_pixels_that_coco_counts_in(open_as, curator, street, turned):
    asset = with_orientation(street, turned)
    page = open_image(open_as, curator, asset)
    page.wait_for_function("document.querySelector('.cc-sheet img').complete")
    page.add_style_tag(content=".cc-sheet svg, .cc-stage-tools { visibility: hidden }")
    shown = Image.open(io.BytesIO(page.locator(".cc-sheet").screenshot())).convert("RGB")
    stored = Image.open(default_storage.path(asset.uri)).convert("RGB")  # before any turn
    assert stored.size == (asset.width, asset.height)
    assert shown.width / shown.height == pytest.approx(stored.width / stored.height, rel=0.02)
    pick = random.Random(7)
    for _ in range(40):
        x, y = pick.uniform(0.05, 0.95), pick.uniform(0.05, 0.95)
        patches = [ImageStat.Stat(_around(picture, x, y)).mean for picture in (shown, stored)]
        assert max(abs(a - b) for a, b in zip(*patches, strict=True)) < 40


def test_objects_that_were_drawn_on_the_turned_picture_lie_on_it(open_as, curator, street):
    """The record's size tells it: so the page shows the picture turned, and the grid draws no boxes over its pixels."""
    asset = with_orientation(street, False)
    picture = Image.new("RGB", (400, 600), (255, 255, 255))
    picture.paste((200, 0, 0), (40, 380, 140, 540))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    with default_storage.open(asset.uri, "wb") as stored:
        stored.write(file.getvalue())
    turned = ImageOps.exif_transpose(Image.open(file))
    assert turned.size == (600, 400)
    ImageAsset.objects.filter(pk=asset.pk).update(width=600, height=400, issues=["size_turned"])
    page = open_image(open_as, curator, asset)
    page.wait_for_function("document.querySelector('.cc-sheet img').complete")
    page.add_style_tag(content=".cc-sheet svg, .cc-stage-tools { visibility: hidden }")
    shown = Image.open(io.BytesIO(page.locator(".cc-sheet").screenshot())).convert("RGB")
    for x, y in ((0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8), (0.1, 0.5), (0.7, 0.7)):
        patches = [ImageStat.Stat(_around(each, x, y)).mean for each in (shown, turned)]
        assert max(abs(a - b) for a, b in zip(*patches, strict=True)) < 40
    page.goto(f"{page.url.partition('/images')[0]}/images?boxes=1&q=id%3A{asset.pk}")
    page.wait_for_selector("[data-id][data-boxes='0']")


def _around(picture, x, y):
    left, top, side = x * picture.width, y * picture.height, picture.width * 0.03
    return picture.crop((int(left - side), int(top - side), int(left + side), int(top + side)))


@pytest.mark.parametrize("turned", [False, True])
def test_boxes_lie_where_the_file_has_them(open_as, curator, street, turned):
    asset = with_orientation(street, turned)
    page = open_image(open_as, curator, asset)
    page.locator("[data-toggle=boxes]").click()
    sheet = page.locator(".cc-sheet").bounding_box()
    scale = sheet["width"] / asset.width
    boxed = Annotation.objects.filter(image=asset, bbox__isnull=False).order_by("position")
    assert boxed.exists()
    for row in boxed[:10]:
        x, y, width, height = row.bbox
        drawn = page.locator(f"g[data-object='{row.pk}'] rect").bounding_box()
        expected = (sheet["x"] + x * scale, sheet["y"] + y * scale, width * scale, height * scale)
        assert (drawn["x"], drawn["y"], drawn["width"], drawn["height"]) == pytest.approx(expected, abs=2.5)


def test_masks_cover_as_many_pixels_as_the_file_says(open_as, curator, street):
    crowd = Annotation.objects.filter(project=street, iscrowd=1, segmentation__has_key="counts").first()
    page = open_image(open_as, curator, crowd.image)
    high, wide = crowd.segmentation["size"]
    counted = page.evaluate(
        """([rle, wide, high]) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: wide, height: high });
            const context = canvas.getContext("2d");
            context.fill(new Path2D(window.ccShapes.maskPath(rle)));
            const { data } = context.getImageData(0, 0, wide, high);
            let number = 0;
            for (let place = 3; place < data.length; place += 4) number += data[place] > 127;
            return number;
        }""",
        [crowd.segmentation, wide, high],
    )
    assert counted == int(crowd.area)


def test_compressed_masks_are_read_as_pycocotools_writes_them(open_as, curator, street):
    page = open_image(open_as, curator, ImageAsset.objects.filter(project=street).first())
    counts = [310, 12, 18, 12, 18, 12, 18, 100, 2, 33, 665]
    assert page.evaluate("text => window.ccShapes.decompress(text)", rle.encode_counts(counts)) == counts


def test_list_and_picture_go_together(open_as, curator, street):
    asset = ImageAsset.objects.filter(project=street).order_by("-annotation_count").first()
    page = open_image(open_as, curator, asset)
    expect(page.locator(".cc-object-row")).to_have_count(asset.annotation_count)
    row = page.locator(".cc-object-row").nth(2)
    key = row.get_attribute("data-object")
    row.click()
    expect(page.locator(f"g[data-object='{key}']")).to_have_class("cc-object cc-hot")
    record = orjson.loads(page.locator("#one-object pre").text_content())
    assert record["id"] == int(key)
    page.locator(".cc-group input").first.uncheck()
    name = page.locator(".cc-group span.cc-cut").first.inner_text().rpartition(" (")[0]
    hidden = Annotation.objects.filter(image=asset, category__name=name).first()
    expect(page.locator(f"g[data-object='{hidden.pk}']")).to_be_hidden()


def test_zoom_keeps_the_drawing_on_the_picture(open_as, curator, street):
    asset = with_orientation(street, True)
    page = open_image(open_as, curator, asset)
    page.locator("#stage").hover(position={"x": 200, "y": 200})
    page.mouse.wheel(0, -600)
    boxes = [page.locator(f".cc-sheet {kind}").bounding_box() for kind in ("> img", "> svg")]
    assert boxes[0] == pytest.approx(boxes[1], abs=1)
    page.keyboard.press("0")
    sheet, stage = (page.locator(name).bounding_box() for name in (".cc-sheet", "#stage"))
    assert sheet["x"] >= stage["x"]


def test_tags_status_and_metadata_are_changed_in_place(open_as, curator, street):
    asset = ImageAsset.objects.filter(project=street).first()
    page = open_image(open_as, curator, asset)
    page.keyboard.press("t")
    page.keyboard.type("checked, night")
    page.keyboard.press("Enter")
    expect(page.locator("#tags")).to_contain_text("checked")
    page.get_by_role("button", name="Remove night").click()
    expect(page.locator("#tags")).not_to_contain_text("night")
    page.locator("#status").select_option("in_review")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#status")).to_have_value("in_review")
    page.locator("#meta-key").fill("lens")
    page.locator("#meta-value").fill("35")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator(".cc-history")).to_contain_text('{"lens":35}')
    asset.refresh_from_db()
    assert (asset.tags, asset.status, asset.metadata["lens"]) == (["checked"], "in_review", 35)


def test_next_stays_within_the_query(open_as, curator, street):
    found = list(ImageAsset.objects.filter(project=street, annotations__category__name="bus").distinct().order_by("pk"))
    page = open_as(curator, f"{address(found[0])}?q=category%3Abus")
    for asset in found[1:3]:
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**{address(asset)}?q=category%3Abus")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**{address(found[1])}?q=category%3Abus")


def test_edits_leave_the_picture_and_ones_place_as_they_are(open_as, curator, street):
    asset = ImageAsset.objects.filter(project=street).first()
    ImageAsset.objects.filter(pk=asset.pk).update(tags=["one", "two"], metadata={"lens": "35.10", "iso": 100})
    page = open_image(open_as, curator, asset)
    page.evaluate("window.stayed = true")
    page.locator("[data-zoom=in]").click()
    shown = page.locator("[data-part=zoom]").inner_text()
    page.locator("#add-tags").fill("three")
    page.locator("#add-tags").press("Enter")
    expect(page.locator("#tags")).to_contain_text("three")
    expect(page.locator("#edit-told")).to_have_text("Saved.")
    expect(page.locator("#add-tags")).to_be_focused()
    expect(page.locator("#add-tags")).to_have_value("")
    page.get_by_role("button", name="Remove one").click()
    expect(page.locator("#tags")).not_to_contain_text("one")
    expect(page.get_by_role("button", name="Remove two")).to_be_focused()
    page.locator("[data-key=lens]").click()
    field = page.locator("#part-metadata dl [name=meta_value]")
    expect(field).to_have_value("35.10")
    field.press("Escape")
    expect(page.locator("[data-key=lens]")).to_be_focused()
    page.locator("[data-key=iso]").click()
    field.fill("200")
    field.press("Enter")
    expect(page.locator("[data-key=iso]")).to_have_text("200")
    expect(page.locator("[data-key=iso]")).to_be_focused()
    expect(page.locator(".cc-history")).to_contain_text('{"iso":200}')
    page.locator("#status").select_option("approved")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#edit-told")).to_have_text("Saved.")
    asset.refresh_from_db()
    assert (asset.tags, asset.metadata) == (["two", "three"], {"lens": "35.10", "iso": 200})
    expect(page.locator("#status")).to_be_focused()
    assert page.evaluate("window.stayed")
    assert page.locator("[data-part=zoom]").inner_text() == shown
    assert ImageAsset.objects.get(pk=asset.pk).status == "approved"


def test_what_somebody_else_changed_is_shown_and_not_overwritten(open_quietly, curator, street):
    asset = ImageAsset.objects.filter(project=street).first()
    ImageAsset.objects.filter(pk=asset.pk).update(metadata={"iso": 100})
    page = open_image(open_quietly, curator, asset)
    page.locator("[data-key=iso]").click()
    ImageAsset.objects.filter(pk=asset.pk).update(metadata={"iso": 400}, version=asset.version + 1)
    page.locator("#part-metadata dl [name=meta_value]").fill("200")
    page.locator("#part-metadata dl [name=meta_value]").press("Enter")
    expect(page.locator("#edit-told")).to_contain_text("has been changed since you read it")
    expect(page.locator("[data-key=iso]")).to_have_text("400")
    assert ImageAsset.objects.get(pk=asset.pk).metadata == {"iso": 400}


@pytest.mark.parametrize("value", ["5", "true", '{"a": 1', "null", " x "])
def test_text_that_reads_like_something_else_stays_text_when_it_is_edited(open_as, curator, street, value):
    asset = ImageAsset.objects.filter(project=street).first()
    ImageAsset.objects.filter(pk=asset.pk).update(metadata={"note": value})
    page = open_image(open_as, curator, asset)
    page.locator("[data-key=note]").click()
    field = page.locator("#part-metadata dl [name=meta_value]")
    quoted = orjson.dumps(value).decode()
    expect(field).to_have_value(quoted)
    field.fill(quoted[:-1] + '!"')
    field.press("Enter")
    expect(page.locator("#edit-told")).to_contain_text("Saved.")
    assert ImageAsset.objects.get(pk=asset.pk).metadata == {"note": value + "!"}


@pytest.mark.parametrize("place", ["[data-toggle=boxes]", ".cc-group input", ".cc-object-row"])
def test_arrows_page_on_wherever_one_has_clicked(open_as, curator, street, place):
    first = ImageAsset.objects.filter(project=street, annotation_count__gt=0).order_by("pk").first()
    page = open_image(open_as, curator, first)
    page.locator(place).first.click()
    after = ImageAsset.objects.filter(project=street, pk__gt=first.pk).order_by("pk").first()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**{address(after)}")
