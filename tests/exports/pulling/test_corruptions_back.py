"""What CVAT stores wrong without a word does not come home: one test for each of its ways, against the double.

The table is in CVAT's contract ("silent corruptions"); those that only concern the way out are tested there.
"""

from dataclasses import replace

import pytest

from annotations import editing
from annotations.models import Annotation
from exports.cvat.shapes import Shape, body_of
from exports.models import CvatDifference, CvatTask
from tests.exports.pulling.conftest import Desk, apply, exported, open_differences, pull, records, send


def only(job) -> CvatDifference:
    (difference,) = open_differences(job)
    return difference


def problem_of(owner, job) -> str:
    """The problem of the only difference; and that no policy takes it over."""
    pull(owner, job)
    difference = only(job)
    assert apply(owner, job, "theirs").result["left"] == 1
    return difference.problem


def test_shape_beyond_the_last_frame_is_dropped_by_cvat_and_not_missed(scene, sent, owner, desk):
    task, (box,) = desk.of("18")
    assert desk.draw(task, replace(box, id=None, frame=99)) == []
    pull(owner, sent)
    assert open_differences(sent) == []


def test_repeated_call_that_stored_everything_twice_adds_nothing(scene, sent, owner, desk):
    before = exported(scene)
    for task in desk.tasks:
        desk.draw(task, *(replace(shape, id=None) for shape in desk.shapes(task)))
    done = pull(owner, sent, policy="theirs")
    assert (done.result["added"], done.result["unchanged"]) == (0, 7)
    assert any("there twice" in note for note in done.result["notes"])
    assert exported(scene) == before


def test_double_that_was_moved_is_a_new_annotation_and_not_the_old_one(scene, sent, owner, desk):
    before = records(scene)
    task, (box,) = desk.of("18")
    (copy,) = desk.draw(task, replace(box, id=None))
    desk.save(task, "update", [replace(copy, points=(20, 20, 30, 30))])
    pull(owner, sent, policy="theirs")
    assert records(scene)[18] == before[18]
    assert records(scene)[19]["bbox"] == [20, 20, 10, 10]


def test_order_of_the_answer_is_nothing_to_rely_on(scene, sent, owner, desk, cvat):
    before = exported(scene)
    with cvat.state.lock:
        for job in cvat.state.jobs.values():
            job.shapes = dict(reversed(job.shapes.items()))
            cvat.state.touch(job.record)
    assert pull(owner, sent, policy="theirs").result["unchanged"] == 7
    assert exported(scene) == before


def test_shape_that_two_jobs_have_is_one_annotation_and_one_copy(scene, sent, owner, desk):
    """As with an overlap, once one of the two is edited: the one that we know is the annotation."""
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(3, 3, 10, 9)))
    desk.save(task, "update", [replace(box, points=(3, 3, 9, 9))])
    pull(owner, sent, policy="theirs")
    assert records(scene)[18]["bbox"] == [3, 3, 6, 6]
    assert records(scene)[19]["bbox"] == [3, 3, 7, 6]


def test_shape_stored_in_the_wrong_job_comes_home_to_its_own_frame(scene, owner, cvat, client):
    job = send(owner, scene, split="train", images_per_job=1)
    desk = Desk(client, job)
    task = desk.tasks[0]
    first, *_, last = task.jobs.order_by("start_frame")
    box = Shape("rectangle", last.start_frame, desk.labels["bus"].id, (1, 1, 9, 9))
    path = f"/jobs/{first.cvat_id}/annotations"
    client.transport.call("PATCH", path, query={"action": "create"}, body=body_of([box]), doing="draw")
    pull(owner, job)
    difference = only(job)
    frames = dict(task.sent_images.values_list("frame", "asset_id"))
    assert (difference.frame, difference.image_id) == (last.start_frame, frames[last.start_frame])


def test_task_that_cvat_cannot_read_any_more_spoils_no_other(scene, owner, cvat, client):
    """A keypoint on a frame of another job was stored: reading the task fails inside of CVAT from then on."""
    job = send(owner, scene, split="train", images_per_task=3, images_per_job=1)
    desk = Desk(client, job)
    task, (_, skeleton) = desk.of("13")
    other = next(frame for frame in range(task.size) if frame != skeleton.frame)
    elements = (replace(skeleton.elements[0], frame=other), *skeleton.elements[1:])
    desk.save(task, "create", [replace(skeleton, id=None, elements=elements)])
    other_task = next(one for one in desk.tasks if one.pk != task.pk)
    before = exported(scene)
    done = pull(owner, job, policy="theirs")
    assert (done.result["tasks_unreadable"], done.result["tasks"]) == (1, 1)
    assert f"Task {task.number} cannot be read" in done.result["notes"][0]
    assert exported(scene) == before
    assert CvatTask.objects.get(pk=other_task.pk).pulled_at is not None
    assert CvatTask.objects.get(pk=task.pk).pulled_at is None


def test_skeleton_with_missing_repeated_and_foreign_points_is_read_for_what_it_is(scene, sent, owner, desk):
    _, (_, skeleton) = desk.of("13")
    nose, eye, _ = skeleton.elements
    elements = (nose, eye, replace(nose, points=(40, 40), id=None))
    desk.change("13", lambda shape: replace(shape, elements=elements), at=1)
    pull(owner, sent, policy="theirs")
    assert records(scene)[13]["keypoints"] == [5, 6, 2, 7, 8, 1, 0, 0, 0]


def test_shape_of_a_type_that_the_label_is_not_for_is_a_problem(sent, owner, desk):
    task, (box,) = desk.of("18")
    wrong = Shape("rectangle", box.frame, desk.labels["person_keypoints"].id, (1, 1, 9, 9))
    desk.draw(task, wrong)
    pull(owner, sent, policy="theirs")
    # Its category is that of the skeleton: a box of a person is one.
    assert CvatDifference.objects.get().problem == ""
    desk.draw(task, Shape("points", box.frame, desk.labels["bus"].id, (1, 1)))
    assert "COCO has no points" in problem_of(owner, sent)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ((0, 5, 2, 3, 5, 5), "runs cover 5 pixels"),
        ((0, 12, 5, 5, 2, 3), "ends before it begins"),
        ((0.5, 11.5, 2, 3, 5, 5), "not whole"),
    ],
)
def test_broken_mask_is_a_problem_and_breaks_nothing(scene, sent, owner, desk, points, words):
    before = exported(scene)
    desk.change("14", lambda shape: replace(shape, points=points))
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    pull(owner, sent, policy="theirs")
    assert words in only(sent).problem
    after = records(scene)
    assert after[12]["bbox"] == [5, 5, 11, 10]
    assert exported(scene) != before
    assert after[14]["segmentation"]["counts"] in before.decode()


def test_mask_over_the_edge_is_cut_there(scene, sent, owner, desk):
    desk.change("14", lambda shape: replace(shape, points=(0, 12, -2, -1, 1, 1)))
    pull(owner, sent, policy="theirs")
    assert (records(scene)[14]["bbox"], records(scene)[14]["area"]) == ([0, 0, 2, 2], 4)


def test_swapped_corners_are_a_box_all_the_same(scene, sent, owner, desk):
    desk.change("12", lambda shape: replace(shape, points=(16, 15, 5, 5)))
    pull(owner, sent, policy="theirs")
    assert records(scene)[12]["bbox"] == [5, 5, 11, 10]


@pytest.mark.parametrize(
    "shape",
    [
        Shape("rectangle", 0, 0, (5, 5, 5, 9)),
        Shape("polygon", 0, 0, (5, 5, 5, 5, 5, 5)),
        Shape("polygon", 0, 0, (5, 5, 9, 5, 7, 5)),
    ],
)
def test_shape_without_an_area_is_a_problem(sent, owner, desk, shape):
    task, (box,) = desk.of("18")
    desk.draw(task, replace(shape, frame=box.frame, label_id=desk.labels["bus"].id))
    assert problem_of(owner, sent) == "It has no area."


def test_coordinates_outside_of_the_image_come_home_as_they_were_drawn(scene, sent, owner, desk):
    """COCO can say them, and a reader of COCO files tells of them."""
    desk.change("12", lambda shape: replace(shape, points=(-5, 5, 90, 15)))
    pull(owner, sent, policy="theirs")
    assert records(scene)[12]["bbox"] == [-5, 5, 95, 10]
    row = Annotation.objects.get(coco_id=12, split__name="train")
    assert "bbox_outside" in (row.issues or [])


@pytest.mark.parametrize(("name", "value"), [("color", "purple"), ("parked", "True"), ("lane", "many"), ("parked", "")])
def test_value_that_the_label_does_not_offer_is_a_problem(scene, sent, owner, desk, name, value):
    before = exported(scene)
    label = desk.labels["car"]
    names = {attribute.name for attribute in label.attributes}
    assert name in names
    desk.change("11", lambda shape: desk.valued(shape, **{name: value}))
    words = problem_of(owner, sent)
    assert f"The attribute {name!r}" in words
    assert "Correct it in CVAT" in words
    assert exported(scene) == before


def test_crowd_in_other_words_is_a_problem(sent, owner, desk):
    desk.change("12", lambda shape: desk.valued(shape, is_crowd="True"))
    assert "neither 'true' nor 'false'" in problem_of(owner, sent)


def test_attribute_that_is_there_twice_counts_once(scene, sent, owner, desk):
    before = exported(scene)
    label = desk.labels["bus"]
    color = label.attribute("color").id
    desk.change("12", lambda shape: replace(shape, attributes=(*shape.attributes, (color, "purple"))))
    pull(owner, sent, policy="theirs")
    assert exported(scene) == before


def test_blanks_that_cvat_cuts_are_still_here(scene, owner, cvat, client):
    row = Annotation.objects.get(coco_id=12, split__name="train")
    editing.update_annotation(user=owner, annotation=row, attributes={**row.attributes, "color": " blue "})
    job = send(owner, scene, split="train")
    desk = Desk(client, job)
    desk.change("12", lambda shape: desk.valued(shape, lane="1"))
    pull(owner, job, policy="theirs")
    assert records(scene)[12]["attributes"]["color"] == " blue "
    assert records(scene)[12]["attributes"]["lane"] == 1


def test_shape_saved_without_its_attributes_loses_none(scene, sent, owner, desk):
    before = records(scene)
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 12.5, 2, 11.5, 22, 1, 22), attributes=()))
    desk.change("14", lambda shape: replace(shape, attributes=()))
    pull(owner, sent, policy="theirs")
    after = records(scene)
    assert after[11]["attributes"] == before[11]["attributes"]
    assert after[11]["segmentation"][0][2] == 12.5
    assert after[14] == before[14]


def test_fields_that_cvat_does_not_know_are_still_here(scene, sent, owner, desk):
    before = records(scene)
    desk.change("18", lambda shape: replace(shape, points=(3, 3, 10, 8)))
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 12.5, 2, 11.5, 22, 1, 22)))
    pull(owner, sent, policy="theirs")
    assert records(scene)[18]["score"] == before[18]["score"] == 0.5
    assert records(scene)[11]["odd"] == "kept"
    assert records(scene)[11]["attributes"]["deep"] == {"x": 1}


def test_put_that_gives_every_shape_a_new_id_changes_nothing(scene, sent, owner, desk, client):
    before = exported(scene)
    for task in desk.tasks:
        shapes = [replace(shape, id=None) for shape in reversed(desk.shapes(task))]
        elements = [
            replace(shape, elements=tuple(replace(element, id=None) for element in shape.elements)) for shape in shapes
        ]
        path = f"/tasks/{task.cvat_id}/annotations"
        client.transport.call("PUT", path, body=body_of(elements), doing="restore a backup")
    assert pull(owner, sent, policy="theirs").result["unchanged"] == 7
    assert exported(scene) == before
    # And the new ids are known from now on: what is edited next is known by them.
    desk.change("12", lambda shape: desk.valued(replace(shape, points=(5, 5, 16, 15)), coco_id=""))
    pull(owner, sent, policy="theirs")
    assert records(scene)[12]["bbox"] == [5, 5, 11, 10]


def test_renamed_label_is_the_same_category(scene, sent, owner, desk, client):
    before = exported(scene)
    label = desk.labels["bus"]
    client.transport.call("PATCH", f"/labels/{label.id}", body={"name": "coach"}, doing="rename")
    done = pull(owner, sent, policy="theirs")
    assert done.result["unchanged"] == 7
    assert exported(scene) == before


def test_deleted_label_does_not_take_its_annotations_with_it_unasked(scene, sent, owner, desk, client):
    before = exported(scene)
    label, project = desk.labels["bus"], desk.tasks[0].cvat_project
    body = {"labels": [{"id": label.id, "deleted": True}]}
    client.transport.call("PATCH", f"/projects/{project.cvat_id}", body=body, doing="delete the label")
    pull(owner, sent, policy="accept")
    assert {one.conflict for one in open_differences(sent)} == {
        "Its label was deleted in CVAT, and everything that had it."
    }
    assert exported(scene) == before


def test_deleted_frames_delete_nothing_here(scene, sent, owner, desk, client):
    before = exported(scene)
    task, (box,) = desk.of("18")
    client.transport.call(
        "PATCH", f"/tasks/{task.cvat_id}/data/meta", body={"deleted_frames": [box.frame]}, doing="delete a frame"
    )
    desk.delete("18")
    done = pull(owner, sent, policy="theirs", everything=True)
    assert any("Frames were deleted in CVAT" in note for note in done.result["notes"])
    assert exported(scene) == before


def test_numbers_that_cvat_answers_as_floats_stay_whole_here(scene, sent, owner, desk):
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 12.5, 2, 11.5, 22, 1, 22)))
    pull(owner, sent, policy="theirs")
    text = exported(scene).decode()
    assert "[1, 2, 12.5, 2, 11.5, 22, 1, 22]" in text
    assert "[20, 20, 30, 20, 25.125, 30]" in text
