"""The page of differences: three states drawn over the picture, and the decision."""

import re
from dataclasses import replace

import pytest
from django.urls import reverse

from annotations import editing
from annotations.coco import rle
from annotations.models import Annotation
from cocohub.workplace.drawing import drawing_of, view_of
from exports.models import CvatPull
from exports.pulling import services
from projects.models import Role, Task
from tests import factories
from tests.exports.pulling.conftest import open_differences, pull, records
from tests.workplace.browsing import browser_of, staff


@pytest.fixture
def edited(sent, desk, owner):
    """A box moved on both sides, a mask drawn over, a person's keypoint moved, a box deleted, one drawn; a problem."""
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    editing.update_annotation(
        user=owner, annotation=Annotation.objects.get(coco_id=12, split__name="train"), bbox=[1, 1, 2, 2]
    )
    desk.change("14", lambda shape: replace(shape, points=(0, 12, 2, 3, 5, 5)))
    desk.change("13", lambda shape: replace(shape, elements=(
        replace(shape.elements[0], points=(9.5, 6)), *shape.elements[1:]
    )), at=1)  # fmt: skip
    desk.change("11", lambda shape: desk.valued(shape, lane="<b>7</b>" if False else "7"))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)), replace(box, id=None, type="points"))
    pull(owner, sent)
    return sent


def address(job, name="differences") -> str:
    return reverse(f"workplace:{name}", args=[job.project_id, job.pk])


def page(browser, job, **narrow) -> str:
    answer = browser.get(address(job), narrow)
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_difference_is_a_card_with_its_drawings(scene, edited):
    text = page(browser_of(staff(scene, Role.CURATOR)), edited)
    cards = re.findall(r'<article class="cc-card cc-diff" id="difference-(\d+)".*?</article>', text, re.S)
    assert [int(number) for number in cards] == [one.pk for one in open_differences(edited)]
    (box,) = re.findall(rf'id="difference-{_pk(edited, "12")}".*?</article>', text, re.S)
    assert 'd="M5 5h10v10h-10z"' in box  # before
    assert 'd="M1 1h2v2h-2z"' in box  # now, for there is a conflict
    assert 'd="M5 5h11v10h-11z"' in box  # after
    assert "Changed here meanwhile, too: geometry." in box
    (person,) = re.findall(rf'id="difference-{_pk(edited, "13")}".*?</article>', text, re.S)
    assert 'cx="9.5" cy="6"' in person
    (mask,) = re.findall(rf'id="difference-{_pk(edited, "14")}".*?</article>', text, re.S)
    assert "M2 3h1v3h-1z" in mask
    (lane,) = re.findall(rf'id="difference-{_pk(edited, "11")}".*?</article>', text, re.S)
    assert "<dt>lane</dt><dd>1 → 7</dd>" in lane
    assert "<image href=" in box


def _pk(job, key: str) -> int:
    return next(one.pk for one in open_differences(job) if one.key == key)


def test_decisions_are_buttons(scene, edited):
    browser = browser_of(staff(scene, Role.CURATOR))
    number = _pk(edited, "14")
    answer = browser.post(address(edited, "decide"), {"difference": number, "decision": "theirs"}, follow=True)
    assert "1 difference was decided." in answer.content.decode()
    assert records(scene)[14]["bbox"] == [2, 3, 4, 3]
    assert f'id="difference-{number}"' not in page(browser, edited)
    assert f'id="difference-{number}"' in page(browser, edited, decision="theirs")
    work = CvatPull.objects.get(action="apply")
    browser.post(address(edited, "decide"), {"undo": work.pk})
    services.perform_here(CvatPull.objects.get(action="undo"))
    assert records(scene)[14]["bbox"] == [2, 4, 1, 30]


def test_all_without_conflicts_are_taken_over_by_a_worker(scene, edited):
    browser = browser_of(staff(scene, Role.CURATOR))
    browser.post(address(edited, "decide"), {"policy": "accept"})
    work = CvatPull.objects.get(action="apply")
    assert work.task.status == Task.Status.QUEUED
    assert "disabled" in page(browser, edited)
    services.perform_here(work)
    left = page(browser, edited)
    assert left.count("cc-card cc-diff") == 2  # a conflict and a problem
    assert "COCO has no points" in left
    assert page(browser, edited, only="conflict").count("cc-card cc-diff") == 2
    browser.post(address(edited, "decide"), {"pull": "1"})
    assert CvatPull.objects.filter(action="read", task__status="queued").count() == 1


def test_page_is_narrowed_and_turned(scene, edited, monkeypatch):
    from cocohub.workplace import differences

    browser = browser_of(staff(scene, Role.VIEWER))
    assert page(browser, edited, kind="deleted").count("cc-card cc-diff") == 1
    assert page(browser, edited, decision="ours").count("cc-card cc-diff") == 0
    assert page(browser, edited, decision="nonsense", kind="nonsense", after="x").count("cc-card cc-diff") == 7
    monkeypatch.setattr(differences, "PAGE", 4)
    first = page(browser, edited)
    assert first.count("cc-card cc-diff") == 4
    after = re.search(r"after=(\d+)", first)[1]
    assert page(browser, edited, after=after).count("cc-card cc-diff") == 3


def test_who_may_not_decide_has_no_buttons(scene, edited):
    viewer = browser_of(staff(scene, Role.VIEWER))
    assert 'value="theirs"' not in page(viewer, edited)
    number = _pk(edited, "14")
    body = {"difference": number, "decision": "theirs"}
    assert viewer.post(address(edited, "decide"), body).status_code == 403
    stranger = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert stranger.get(address(edited)).status_code == 404
    assert stranger.post(address(edited, "decide"), body).status_code == 404
    assert len(open_differences(edited)) == 7


def test_page_is_in_korean(scene, edited):
    browser = browser_of(staff(scene, Role.CURATOR))
    text = browser.get(address(edited), headers={"Accept-Language": "ko"}).content.decode()
    assert "충돌 없는 것 모두 반영" in text


def test_back_leads_nowhere_else(scene, edited):
    browser = browser_of(staff(scene, Role.CURATOR))
    body = {"difference": _pk(edited, "14"), "decision": "ours", "back": "//evil.example/"}
    answer = browser.post(address(edited, "decide"), body)
    assert answer.headers["Location"].startswith(address(edited) + "?")


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(10, 10, 20, 20)], (0, 0, 58, 58)),
        ([(90, 70, 100, 80)], (42, 22, 58, 58)),  # moved onto the picture
        ([(0, 0, 100, 80)], (0, 0, 100, 80)),
        ([(200, 200, 210, 210)], (176, 176, 58, 58)),  # drawn beside it
        ([None], (0, 0, 100, 80)),
    ],
)
def test_what_is_shown_is_on_the_picture(boxes, expected):
    view = view_of(boxes, 100, 80)
    assert view == pytest.approx(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"segmentation": {"size": [3], "counts": "x"}},
        {"segmentation": {"size": [3, 3], "counts": [1, "x"]}},
        {"segmentation": [[1, 2], "x", [1, 2, 3]]},
        {"segmentation": "x", "bbox": [1, 2]},
        {"keypoints": [1, 2]},
        {"keypoints": [1, "x", 2], "segmentation": [[1, 2, 3, "x", 5, 6]]},
        {},
    ],
)
def test_records_that_cannot_be_drawn_draw_nothing(fields):
    drawing = drawing_of("before", fields)
    assert (drawing.paths, drawing.points) == ([], [])


def test_mask_is_drawn_run_by_run():
    runs = [1, 3, 5]  # the second column of an image three pixels high begins within the run
    for counts in (runs, rle.encode_counts(runs)):
        assert drawing_of("after", {"segmentation": {"size": [3, 3], "counts": counts}}).paths == [
            "M0 1h1v2h-1zM1 0h1v1h-1z"
        ]
