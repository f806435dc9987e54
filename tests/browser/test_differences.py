"""The differences of an export in a real browser: drawn over the picture, decided by a click."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from assets.models import ImageAsset
from exports import connecting
from exports.models import CvatDifference, ExportJob
from exports.pulling import reading
from exports.sending import pipeline
from tests.cvat_double import Double
from tests.exports.pulling.conftest import Desk, pull, send


@pytest.fixture
def cvat(settings) -> Iterator[Double]:
    """The installation's CVAT."""
    with Double() as running:
        settings.CVAT_API_URL, settings.CVAT_API_TOKEN = running.url, running.token
        yield running


@pytest.fixture
def edited(street, cvat, monkeypatch) -> ExportJob:
    """An export in which somebody moved, deleted and drew something on several images."""
    monkeypatch.setattr(pipeline, "pause_of", lambda claim: lambda seconds: claim.check())
    monkeypatch.setattr(reading, "pause_of", lambda claim: lambda seconds: claim.check())
    job = send(street.owner, street, split="train")
    with connecting.client_of(street) as client:
        desk = Desk(client, job)
        task = desk.tasks[0]
        polygons = [shape for shape in desk.shapes(task) if shape.type == "polygon"][:40:8]
        moved = [
            replace(shape, points=tuple(value + 9 * (at % 5 == 0) for at, value in enumerate(shape.points)))
            for shape in polygons
        ]
        desk.save(task, "update", moved[:-1])
        desk.save(task, "delete", polygons[-1:])
        masks = [shape for shape in desk.shapes(task) if shape.type == "mask"][:1]
        desk.save(task, "update", [replace(mask, points=(0, 600, 20, 20, 49, 39)) for mask in masks])
        skeletons = [shape for shape in desk.shapes(task) if shape.type == "skeleton"][:1]
        for skeleton in skeletons:
            first = replace(skeleton.elements[0], points=(30.0, 30.0), outside=False)
            desk.save(task, "update", [replace(skeleton, elements=(first, *skeleton.elements[1:]))])
        desk.draw(task, replace(polygons[0], id=None, points=tuple(value / 2 + 40 for value in polygons[0].points)))
    pull(street.owner, job)
    return job


@pytest.mark.parametrize("width", [1280, 390])
def test_differences_are_drawn_and_decided(edited, curator, open_as, width):
    page = open_as(
        curator,
        f"/admin/work/{edited.project_id}/exports/{edited.pk}/differences",
        viewport={"width": width, "height": 900},
    )
    cards = page.locator(".cc-diff")
    waiting = CvatDifference.objects.open().count()
    expect(cards).to_have_count(waiting)
    picture = cards.first.locator("image")
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] > 50
    loaded = picture.evaluate("image => fetch(image.href.baseVal).then(answer => answer.headers.get('content-type'))")
    assert loaded.startswith("image/")
    assert picture.evaluate("image => getComputedStyle(image).imageOrientation") == "none"
    stroke = cards.first.locator(".cc-diff-after path, .cc-diff-before path").first
    assert stroke.evaluate("path => getComputedStyle(path).stroke") in ("rgb(48, 164, 108)", "rgb(229, 72, 77)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    number = cards.first.get_attribute("id")
    cards.first.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("1 difference was decided.")).to_be_visible()
    expect(page.locator(f"#{number}")).to_have_count(0)
    page.get_by_role("link", name=re.compile("^taken over 1")).click()
    expect(page.locator(f"#{number}")).to_be_visible()


def test_a_picture_whose_record_has_the_turned_size_is_shown_turned(edited, curator, open_as):
    ImageAsset.objects.filter(project=edited.project).update(issues=["size_turned"])
    page = open_as(curator, f"/admin/work/{edited.project_id}/exports/{edited.pk}/differences")
    picture = page.locator(".cc-diff image").first
    assert picture.evaluate("image => getComputedStyle(image).imageOrientation") == "from-image"
