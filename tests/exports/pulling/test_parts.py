"""An outline with a part that CVAT cannot hold goes with its other parts, and comes home with all of them."""

import json
from dataclasses import replace

import pytest

from annotations.models import Annotation
from exports.snapshots import Snapshot
from projects.reports import open_report
from tests.exports.pulling.conftest import Desk, apply, exported, open_differences, pull, records, send
from tests.exports.sending import scenes

GOOD = [1, 2, 11.5, 2, 11.5, 22, 1, 22]
OTHER = [20, 20, 30, 20, 25.125, 30]
BEYOND = [60, 40, 70, 40, 70, 60, 60, 60]  # of an image of 64 x 48
BAD = {
    "two points": [5, 5, 9, 9],
    "half a pair": [5, 5, 9],
    "seven numbers": [5, 5, 9, 9, 5, 9, 7],
    "one point thrice": [5, 5, 5, 5, 5, 5],
    "a line": [5, 5, 9, 9, 13, 13],
    "nothing": [],
    "beside the image": [70, 5, 80, 5, 80, 9],
}


@pytest.fixture
def with_parts(transactional_db, project, owner, cvat, tmp_path):
    """`with_parts(parts)` sends the project with these as the outline of annotation 11."""

    def make(parts):
        scenes.load(project, "train", scenes.TRAIN, tmp_path)
        # The import takes out what has less than three points; a table may be older than that, or written by others.
        Annotation.objects.filter(project=project, coco_id=11).update(segmentation=parts)
        before = records(project)
        assert before[11]["segmentation"] == parts
        job = send(owner, project, split="train")
        return job, before

    return make


def desk_of(client, job) -> Desk:
    return Desk(client, job)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("place", [0, 1])
def test_untouched_it_is_what_it_was(project, owner, client, with_parts, bad, place):
    parts = [GOOD, OTHER]
    parts.insert(place, bad)
    job, before = with_parts(parts)
    text = exported(project)
    _, shapes = desk_of(client, job).of("11")
    assert [list(shape.points) for shape in shapes] == [GOOD, OTHER]
    assert {shape.group for shape in shapes} != {0}
    assert job.task.result["left_out"] == {"images": 0, "annotations": 1, "parts": 1}
    assert any("Parts of 1 outlines have no area and stay here" in note for note in job.task.result["notes"])
    with open_report(job.task) as file:
        (told,) = json.load(file)["detail"]["parts"]
    assert (told["coco_id"], told["reason"].partition(":")[0]) == ("11", f"segmentation[{place}]")
    (task,) = job.cvat_tasks.all()
    assert task.parts_left_out == 1
    assert [item.key for item in Snapshot.of(job).sent(task) if item.parts] == ["11"]

    pull(owner, job, everything=True)
    assert open_differences(job) == []
    assert exported(project) == text
    assert records(project) == before


MOVED = [20, 20, 31, 20, 25.125, 30]
STORABLE = [name for name, part in BAD.items() if len(part) >= 6 and len(part) % 2 == 0]


@pytest.mark.parametrize("name", [name for name in BAD if name not in STORABLE])
def test_what_no_door_lets_in_is_a_problem_where_the_outline_was_moved(project, owner, client, with_parts, name):
    job, before = with_parts([GOOD, BAD[name], OTHER])
    desk_of(client, job).change("11", lambda shape: replace(shape, points=tuple(MOVED)), at=1)
    pull(owner, job)
    apply(owner, job, "theirs")
    (difference,) = open_differences(job)
    assert "cannot be stored; expected pairs, 6 numbers or more" in difference.problem
    assert records(project) == before


@pytest.mark.parametrize("bad", [BAD[name] for name in STORABLE], ids=STORABLE)
def test_a_part_that_is_moved_leaves_the_bad_one_in_its_place(project, owner, client, with_parts, bad):
    job, before = with_parts([GOOD, bad, OTHER])
    desk_of(client, job).change("11", lambda shape: replace(shape, points=tuple(MOVED)), at=1)
    pull(owner, job)
    apply(owner, job, "accept")
    after = records(project)
    kept = after[11]["segmentation"]
    assert kept == [GOOD, bad, MOVED]
    assert json.dumps(kept[:2]) == json.dumps([GOOD, bad])  # whole numbers stay whole
    beside = 80 if bad == BAD["beside the image"] else 31
    assert after[11]["bbox"] == [1, 2, beside - 1, 28]
    area = 210 + 55 + (20 if beside == 80 else 0)
    assert after[11]["area"] == area
    assert {key: one for key, one in after.items() if key != 11} == {
        key: one for key, one in before.items() if key != 11
    }


def test_one_part_that_is_left_stands_alone(project, owner, client, with_parts):
    job, before = with_parts([BAD["a line"], GOOD, BAD["two points"]])
    desk = desk_of(client, job)
    _, (shape,) = desk.of("11")
    assert shape.group == 0
    desk.change("11", lambda shape: desk.valued(shape, lane="7"))
    pull(owner, job)
    (difference,) = open_differences(job)
    assert difference.aspects == ["attributes"]
    apply(owner, job, "accept")
    assert records(project)[11] == {**before[11], "attributes": {**before[11]["attributes"], "lane": 7}}


def test_a_part_over_the_edge_is_not_taken_for_a_bad_one_of_as_many_points(project, owner, client, with_parts):
    line = [5, 5, 9, 9, 13, 13, 17, 17]
    job, _ = with_parts([line, BEYOND])
    _, (shape,) = desk_of(client, job).of("11")
    assert shape.points == (60, 40, 64, 40, 64, 48, 60, 48)
    desk_of(client, job).change("11", lambda shape: replace(shape, points=(59, 40, *shape.points[2:])))
    pull(owner, job)
    apply(owner, job, "accept")
    assert records(project)[11]["segmentation"] == [line, [59, 40, 70, 40, 70, 60, 60, 60]]


def test_the_good_parts_deleted_is_the_annotation_deleted(project, owner, client, with_parts):
    job, _ = with_parts([GOOD, BAD["a line"]])
    desk_of(client, job).delete("11")
    pull(owner, job)
    (difference,) = open_differences(job)
    assert (difference.kind, difference.key) == ("deleted", "11")


@pytest.mark.parametrize("parts", [[[5, 5, 9, 9]], [[5, 5, 5, 5, 5, 5], [1, 1, 2, 2, 3, 3]]], ids=["one", "two"])
def test_without_any_good_part_it_stays_here_whole(project, owner, client, with_parts, parts):
    job, before = with_parts(parts)
    assert job.task.result["left_out"] == {"images": 0, "annotations": 2, "parts": 0}
    with pytest.raises(LookupError):
        desk_of(client, job).of("11")
    pull(owner, job, everything=True)
    assert open_differences(job) == []
    assert records(project) == before
