"""axe (https://github.com/dequelabs/axe-core) finds nothing serious on the main pages: light, dark, wide, narrow."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from assets.models import ImageAsset
from exports.models import ExportJob
from insights import refreshing
from projects.models import Role, Task
from tests import factories
from tests.workplace.browsing import staff

SERIOUS = ("serious", "critical")


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Nobody is asked to count what is late."""
    monkeypatch.setattr(refreshing, "request", lambda project: None)


def faults(page) -> list[str]:
    """What axe finds, one line for each place."""
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} ({node['failureSummary'][:300]})"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:5]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nothing_serious_is_in_the_way(open_as, street, width, scheme):
    user = staff(street, Role.MANAGER)
    job = ExportJob.objects.create(project=street, task=factories.make_task(street, Task.Kind.EXPORT))
    image = ImageAsset.objects.filter(project=street).order_by("-annotation_count").first()
    page = open_as(user, "/admin/", viewport={"width": width, "height": 900}, color_scheme=scheme)
    base = page.url.removesuffix("/admin/")
    found = {"home": faults(page)}
    for name in (
        "images?boxes=1", "images?view=table", "images?q=widht>3", f"images/{image.pk}", "insights",
        "insights?a=split:train&b=split:val", "categories", "imports", "exports", f"exports/{job.pk}", "cvat",
    ):  # fmt: skip
        page.goto(f"{base}/admin/work/{street.pk}/{name}")
        found[name] = faults(page)
    ImageAsset.objects.filter(pk=image.pk).update(uri="", thumbnail_uri="")
    page.goto(f"{base}/admin/assets/imageasset/")
    found["list of images"] = faults(page)
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_dialogs_have_nothing_serious_either(open_as, street):
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images")
    for button, dialog in (("#help", "#help-dialog"), ("#query-menu-button", "#query-menu")):
        page.locator(button).click()
        page.wait_for_selector(f"{dialog}[open]")
        assert faults(page) == []
        page.keyboard.press("Escape")
    page.locator("#select-loaded").click()
    page.locator("[data-bulk=relabel]").click()
    page.wait_for_selector("#relabel-into option", state="attached")
    assert faults(page) == []
