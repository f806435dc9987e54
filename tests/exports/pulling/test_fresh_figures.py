"""What was changed in CVAT is in the figures as soon as it is taken over, and out of them when that is undone."""

from dataclasses import replace

from exports.pulling import services
from insights import reading
from projects import jobs
from tests.exports.pulling.conftest import pull
from tests.insights.freshness import check_that_nothing_is_wrong, read_all


def widths(project):
    (found,) = reading.read(project, ["box_widths"], wait_ms=60_000)
    return {each["label"]: each["count"] for each in found.figures["bins"] if each["count"]}


def work(pull):
    jobs.run(pull.task_id, services.run)


def test_figures_follow_what_comes_back_from_cvat_and_its_undo(scene, sent, desk, owner):
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 600, 15)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    pull(owner, sent)
    before = widths(scene)
    read_all(scene)
    applied = services.start_apply(user=owner, job=sent, policy="accept")
    work(applied)
    check_that_nothing_is_wrong(scene)
    after = widths(scene)
    assert after != before
    work(services.start_undo(user=owner, pull=applied))
    check_that_nothing_is_wrong(scene)
    assert widths(scene) == before
