"""To CVAT and back in a real browser: sent, edited there, pulled, looked at as before and after, taken over, undone."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from annotations.models import Annotation
from exports import connecting
from exports.models import CvatDifference, CvatPull, CvatTask, ExportJob
from exports.pulling import reading
from exports.pulling import services as pulling
from exports.sending import pipeline
from projects import jobs
from projects.models import AuditLog, Role, Task
from tests.cvat_double import Double
from tests.exports.pulling.conftest import Desk
from tests.workplace.browsing import staff

PUSH = 7.0  # pixels
DRAWN = (10.0, 12.0, 70.0, 60.0)  # left, top, right, bottom


@pytest.fixture
def cvat(settings) -> Iterator[Double]:
    """The installation's CVAT."""
    with Double() as running:
        settings.CVAT_API_URL, settings.CVAT_API_TOKEN = running.url, running.token
        yield running


@pytest.fixture(autouse=True)
def no_doorbell(monkeypatch):
    """The test does itself what a worker would, and nobody waits."""
    monkeypatch.setattr(jobs, "ring", lambda task: True)
    monkeypatch.setattr(pipeline, "pause_of", lambda claim: lambda seconds: claim.check())
    monkeypatch.setattr(reading, "pause_of", lambda claim: lambda seconds: claim.check())


def work() -> None:
    """What the page has asked for last."""
    task = CvatPull.objects.select_related("task").latest("pk").task
    assert task is not None
    jobs.run(task.pk, pulling.run)
    task.refresh_from_db()
    assert task.status == Task.Status.SUCCEEDED, task.message


def send_all_shown(page: Page) -> ExportJob:
    """From the grid, by the bar of the selection."""
    page.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Send to CVAT").click()
    expect(page.get_by_label("to CVAT, in tasks of")).to_be_checked()
    page.get_by_label("images in a task").fill("20")
    page.get_by_role("button", name="Start export").click()
    expect(page.locator("[data-task]")).to_be_visible()
    job = ExportJob.objects.get()
    jobs.run(job.task_id, pipeline.run)
    expect(page.get_by_role("heading", name="In CVAT")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(CvatTask.objects.filter(job=job).count())
    return job


def edit(project, job: ExportJob) -> dict[str, str]:
    """Move one, give one another category, delete one, draw one; which keys these are."""
    with connecting.client_of(project) as client:
        desk = Desk(client, job)
        task = desk.tasks[0]
        polygons = [shape for shape in desk.shapes(task) if shape.type == "polygon" and not shape.group]
        moved, deleted = polygons[0], polygons[1]
        points = tuple(value + PUSH if value < 100 else value - PUSH for value in moved.points)
        desk.save(task, "update", [replace(moved, points=points)])
        desk.save(task, "delete", [deleted])
        desk.draw(task, replace(moved, id=None, type="rectangle", points=DRAWN, attributes=()))
        return {"moved": desk.key_of(moved), "deleted": desk.key_of(deleted)}


def outlines(page: Page, card: str) -> list[str]:
    """Which states of an object are drawn over the picture."""
    drawn = page.locator(f"{card} svg g").evaluate_all("all => all.map(each => each.getAttribute('class'))")
    return [name.removeprefix("cc-diff-") for name in drawn]


def test_a_correction_goes_all_the_way(open_as, street, cvat):
    page = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?q=category:car split:train")
    number = int(page.locator("#number").inner_text())
    job = send_all_shown(page)
    sent = CvatTask.objects.filter(job=job, step=CvatTask.Step.SENT)
    assert sum(sent.values_list("images", flat=True)) == number
    keys = edit(street, job)
    before = {str(row.coco_id): row for row in Annotation.objects.filter(project=street, split__name="train", kind=0)}

    page.get_by_role("link", name="Differences in CVAT").click()
    expect(page.get_by_text("There is nothing here.")).to_be_visible()
    expect(page.locator(".cc-tabs [aria-current]")).to_have_text(re.compile("CVAT"))
    page.get_by_role("button", name="Pull now").click()
    expect(page.locator("[data-task]")).to_be_visible()
    work()
    cards = page.locator(".cc-diff")
    expect(cards).to_have_count(3)  # the page has noticed by itself that the worker is done
    found = {row.kind: row for row in CvatDifference.objects.filter(job=job)}
    assert outlines(page, f"#difference-{found['changed'].pk}") == ["before", "after"]
    assert outlines(page, f"#difference-{found['deleted'].pk}") == ["before"]
    assert outlines(page, f"#difference-{found['added'].pk}") == ["after"]
    assert (found["changed"].key, found["deleted"].key) == (keys["moved"], keys["deleted"])

    page.locator(f"#difference-{found['deleted'].pk}").get_by_role("button", name="Refuse").click()
    expect(cards).to_have_count(2)
    page.get_by_role("button", name="Take over all without conflicts").click()
    work()
    expect(cards).to_have_count(0)

    now = {str(row.coco_id): row for row in Annotation.objects.filter(project=street, split__name="train", kind=0)}
    assert now[keys["moved"]].segmentation != before[keys["moved"]].segmentation
    assert now[keys["moved"]].version == before[keys["moved"]].version + 1
    assert now[keys["deleted"]].segmentation == before[keys["deleted"]].segmentation
    (new,) = [row for key, row in now.items() if key not in before]
    left, top, right, bottom = DRAWN
    assert new.bbox == [left, top, right - left, bottom - top]
    assert sorted(CvatDifference.objects.filter(job=job).values_list("kind", "decision")) == [
        ("added", "theirs"),
        ("changed", "theirs"),
        ("deleted", "ours"),
    ]
    assert AuditLog.objects.filter(project=street, door="admin", action__startswith="cvat").exists()

    page.get_by_role("link", name=re.compile("^taken over 2")).click()
    expect(cards).to_have_count(2)
    page.locator(f"#difference-{found['changed'].pk}").get_by_role("button", name="Undo").click()
    work()
    again = Annotation.objects.get(pk=now[keys["moved"]].pk)
    assert again.segmentation == before[keys["moved"]].segmentation
    assert not Annotation.objects.filter(pk=new.pk).exists()
    assert CvatDifference.objects.filter(job=job).open().count() == 2
    page.reload()
    expect(page.get_by_role("link", name=re.compile("^to be decided 2"))).to_be_visible()


def test_viewers_look_and_decide_nothing(open_as, street, cvat):
    manager = open_as(staff(street, Role.MANAGER), f"/admin/work/{street.pk}/images?q=category:bus split:val")
    job = send_all_shown(manager)
    page = open_as(staff(street, Role.VIEWER), f"/admin/work/{street.pk}/cvat")
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_role("heading", name="Differences in CVAT", level=2)).to_be_visible()
    expect(page.get_by_role("button", name="Pull now")).to_have_count(0)
    assert not CvatPull.objects.filter(job=job).exists()
