"""Differences in the admin: looked at, ticked, taken over or refused; and pulls undone."""

from dataclasses import replace

import pytest
from django.urls import reverse

from exports.models import CvatDifference, CvatPull
from exports.pulling import services
from projects.models import Role, Task
from tests import factories
from tests.exports.pulling.conftest import open_differences, pull, records
from tests.workplace.browsing import browser_of, staff

DIFFERENCES = "admin:exports_cvatdifference"
PULLS = "admin:exports_cvatpull"


@pytest.fixture
def edited(sent, desk, owner):
    """A box moved, a box deleted: and both are known."""
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.delete("16")
    pull(owner, sent)
    return sent


def tick(browser, action: str, *rows, address: str = DIFFERENCES):
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return browser.post(reverse(f"{address}_changelist"), data, follow=True)


def test_difference_shows_the_three_records(scene, edited):
    browser = browser_of(staff(scene, Role.VIEWER))
    changed, deleted = open_differences(edited)
    page = browser.get(reverse(f"{DIFFERENCES}_change", args=[changed.pk])).content.decode()
    assert "&quot;area&quot;: 110" in page
    assert "as it is here" in page.lower()
    listed = browser.get(reverse(f"{DIFFERENCES}_changelist")).content.decode()
    assert "changed 12" in listed
    assert f"deleted {deleted.key}" in listed


def test_ticked_differences_are_taken_over_and_refused(scene, edited):
    browser = browser_of(staff(scene, Role.CURATOR))
    changed, deleted = open_differences(edited)
    assert "1 difference was decided" in tick(browser, "take_over", changed).content.decode()
    assert "1 difference was decided" in tick(browser, "refuse", deleted).content.decode()
    assert records(scene)[12]["bbox"] == [5, 5, 11, 10]
    assert 16 in records(scene)
    assert "decided already" in tick(browser, "take_over", deleted).content.decode()


def test_viewer_and_stranger_may_not_decide(scene, edited):
    changed, deleted = open_differences(edited)
    for user in (staff(scene, Role.VIEWER), staff(factories.make_project(), Role.MANAGER)):
        tick(browser_of(user), "take_over", changed, deleted)
    assert len(open_differences(edited)) == 2


def test_pull_is_undone_from_its_list(scene, edited, owner, admin):
    services.decide(user=owner, job=edited, differences=[row.pk for row in open_differences(edited)], decision="theirs")
    work = CvatPull.objects.get(action="apply")
    browser = browser_of(admin)
    assert "taken_over: 2" in browser.get(reverse(f"{PULLS}_changelist")).content.decode()
    assert "A worker puts it back" in tick(browser, "undo", work, address=PULLS).content.decode()
    waiting = CvatPull.objects.get(action="undo")
    assert waiting.task.status == Task.Status.QUEUED
    services.perform_here(waiting)
    assert records(scene)[12]["bbox"] == [5, 5, 10, 10]
    assert CvatDifference.objects.open().count() == 2
    assert "nothing to undo" in tick(browser, "undo", work, address=PULLS).content.decode()
