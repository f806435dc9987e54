"""There and back: what an annotator does in CVAT comes home, annotation by annotation, and nothing else moves."""

import json
from dataclasses import replace

import pytest

from accounts.errors import Conflict
from annotations import editing
from annotations.models import Annotation
from assets.models import ImageAsset
from exports.cvat.shapes import Shape
from exports.models import CvatDifference, CvatJob, CvatKnown, CvatTask
from exports.pulling import services
from exports.sending import deleting, pipeline
from exports.sending import services as sending
from projects import jobs
from projects.models import AuditLog, Project
from tests.exports.pulling.conftest import Desk, apply, exported, open_differences, pull, records, send, undo


def row(number: int) -> Annotation:
    return Annotation.objects.get(coco_id=number, split__name="train")


def test_no_edit_changes_nothing(scene, sent, owner):
    before, revision = exported(scene), Project.objects.get(pk=scene.pk).revision
    done = pull(owner, sent, everything=True)
    assert open_differences(sent) == []
    assert {name: done.result[name] for name in ("added", "changed", "deleted", "unchanged", "tasks")} == {
        "added": 0, "changed": 0, "deleted": 0, "unchanged": 7, "tasks": 2
    }  # fmt: skip
    apply(owner, sent, "theirs")
    assert exported(scene) == before
    assert Project.objects.get(pk=scene.pk).revision == revision
    assert CvatKnown.objects.count() == 0


def test_unchanged_jobs_are_not_read_again(sent, owner, cvat, desk):
    pull(owner, sent)
    calls = len(cvat.calls("GET", "/annotations"))
    assert pull(owner, sent).result["tasks_without_news"] == 2
    assert len(cvat.calls("GET", "/annotations")) == calls
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    assert pull(owner, sent).result["tasks"] == 1


def test_moved_box_comes_home_with_its_history(scene, sent, owner, desk, cvat):
    before = records(scene)
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    pull(owner, sent)
    (difference,) = open_differences(sent)
    assert (difference.kind, difference.aspects, difference.key) == ("changed", ["geometry"], "12")
    assert records(scene) == before  # nothing is taken over by itself
    apply(owner, sent, "accept")
    after = records(scene)
    assert after[12] == {**before[12], "bbox": [5, 5, 11, 10], "area": 110}
    assert {key: value for key, value in after.items() if key != 12} == {
        key: value for key, value in before.items() if key != 12
    }
    assert (row(12).source, row(12).is_machine, row(12).version) == ("cvat", False, 2)
    line = AuditLog.objects.get(action="annotation.updated")
    job = CvatJob.objects.get(task=difference.cvat_task)
    assert line.user == owner
    assert line.detail["cvat_job"] == job.cvat_id
    assert line.detail["cvat_time"] == job.updated_date
    assert line.detail["cvat_task"] == difference.cvat_task.cvat_id
    assert AuditLog.objects.filter(action="cvat.taken_over").count() == 1
    # A second pull of the same state has nothing.
    assert pull(owner, sent, everything=True).result["changed"] == 0


def test_user_in_cvat_is_named(scene, sent, owner, desk, cvat, client):
    worker = cvat.state.add_user("anna", "token-of-anna")
    job = CvatJob.objects.order_by("cvat_id").first()
    client.transport.call("PATCH", f"/jobs/{job.cvat_id}", body={"assignee": worker["id"]}, doing="assign")
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.change("13", lambda shape: replace(shape, occluded=True))
    pull(owner, sent)
    assert {one.cvat_user for one in open_differences(sent)} <= {"anna", ""}
    assert "anna" in {one.cvat_user for one in open_differences(sent)}


def test_every_kind_of_edit_at_once(scene, sent, owner, desk):
    before = records(scene)
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 11.5, 2, 12.5, 23, 1, 22)))
    desk.change("11", lambda shape: desk.valued(shape, color="-", lane="2"), at=1)
    desk.change("13", lambda shape: replace(shape, elements=(
        replace(shape.elements[0], points=(9.5, 6)), replace(shape.elements[1], outside=True), shape.elements[2],
    )), at=1)  # fmt: skip
    desk.change("14", lambda shape: replace(shape, points=(0, 60, 3, 0, 4, 29)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    bus, car = desk.labels["bus"], desk.labels["car"]
    desk.change("12", lambda shape: replace(shape, label_id=car.id, attributes=()))
    desk.draw(task, Shape("polygon", 1, bus.id, (1, 1, 9, 1, 9, 9)))
    pull(owner, sent)
    assert len(open_differences(sent)) == 7
    apply(owner, sent, "accept")
    after = records(scene)

    assert after[11]["segmentation"] == [[1, 2, 11.5, 2, 12.5, 23, 1, 22], [20, 20, 30, 20, 25.125, 30]]
    assert after[11]["bbox"] == [1, 2, 29, 28]
    assert after[11]["area"] == pytest.approx(220.5 + 50, abs=5)
    assert after[11]["attributes"] == {"lane": 2, "parked": True, "deep": {"x": 1}}
    assert after[11]["odd"] == "kept"
    assert after[12] == {**before[12], "category_id": 1}
    assert after[13] == {**before[13], "keypoints": [9.5, 6, 2, 0, 0, 0, 0, 0, 0], "num_keypoints": 1}
    assert isinstance(after[14]["segmentation"]["counts"], str)
    assert (after[14]["bbox"], after[14]["area"], after[14]["iscrowd"]) == ([3, 0, 2, 30], 60, 1)
    assert 16 not in after
    assert after[15] == before[15]
    assert after[17] == before[17]
    assert after[18] == before[18]
    new = {key: value for key, value in after.items() if key not in before}
    assert sorted(new) == [19, 20]
    assert {(one["category_id"], tuple(one["bbox"])) for one in new.values()} == {
        (2, (30, 30, 10, 15)), (2, (1, 1, 8, 8))
    }  # fmt: skip
    assert all(one["iscrowd"] == 0 for one in new.values())
    counted = ImageAsset.objects.filter(project=scene)
    assert all(image.annotation_count == image.annotations.count() for image in counted)
    # And what is there now is what CVAT has.
    done = pull(owner, sent, everything=True)
    assert [done.result[name] for name in ("added", "changed", "deleted")] == [0, 0, 0]


def test_undo_puts_everything_back_to_the_letter(scene, sent, owner, desk):
    before = exported(scene)
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 11.5, 2, 12.5, 23, 1, 22)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    pull(owner, sent)
    work = apply(owner, sent, "theirs")
    assert exported(scene) != before
    undone = undo(owner, work)
    assert undone.result == {"undone": 3, "skipped": 0, "undoes": work.pk}
    assert exported(scene) == before
    assert len(open_differences(sent)) == 3  # to be decided again
    assert CvatKnown.objects.count() == 0
    apply(owner, sent, "accept")
    assert sorted(records(scene)) == [11, 12, 13, 14, 15, 17, 18, 19]


def test_undo_leaves_alone_what_was_changed_since(scene, sent, owner, desk):
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.change("18", lambda shape: replace(shape, points=(3, 3, 10, 8)))
    pull(owner, sent)
    work = apply(owner, sent, "accept")
    editing.update_annotation(user=owner, annotation=row(12), bbox=[1, 1, 2, 2])
    assert undo(owner, work).result["skipped"] == 1
    assert records(scene)[12]["bbox"] == [1, 1, 2, 2]
    assert records(scene)[18]["bbox"] == [3, 3, 6, 5]


def test_changed_on_both_sides_waits_for_a_decision(scene, sent, owner, desk):
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    editing.update_annotation(user=owner, annotation=row(12), bbox=[1, 1, 2, 2])
    pull(owner, sent)
    (difference,) = open_differences(sent)
    assert difference.conflict == "Changed here meanwhile, too: geometry."
    assert apply(owner, sent, "accept").result["left"] == 1
    assert records(scene)[12]["bbox"] == [1, 1, 2, 2]
    apply(owner, sent, "theirs")
    assert records(scene)[12]["bbox"] == [5, 5, 11, 10]


def test_ours_refuses_and_is_remembered(scene, sent, owner, desk):
    before = exported(scene)
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    pull(owner, sent)
    assert apply(owner, sent, "ours").result["refused"] == 3
    assert exported(scene) == before
    done = pull(owner, sent, everything=True)
    assert [done.result[name] for name in ("added", "changed", "deleted")] == [0, 0, 0]
    # Changed once more in CVAT, it is asked again.
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 17, 15)))
    assert pull(owner, sent).result["changed"] == 1


def test_different_aspects_of_both_sides_go_together(scene, sent, owner, desk):
    editing.update_annotation(user=owner, annotation=row(11), attributes={"color": "red", "lane": 1, "mine": 5})
    desk.change("11", lambda shape: desk.valued(shape, lane="7"))
    pull(owner, sent, policy="accept")
    assert records(scene)[11]["attributes"] == {"color": "red", "lane": 7, "mine": 5}


def test_changed_here_after_the_pull_is_not_overwritten(scene, sent, owner, desk):
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    pull(owner, sent)
    editing.update_annotation(user=owner, annotation=row(12), bbox=[1, 1, 2, 2])
    assert apply(owner, sent, "accept").result == {"taken_over": 0, "refused": 0, "left": 1}
    (difference,) = open_differences(sent)
    assert "after it was pulled" in difference.conflict
    assert records(scene)[12]["bbox"] == [1, 1, 2, 2]


def test_deleted_here_and_changed_there_can_come_back_with_its_id(scene, sent, owner, desk):
    before = records(scene)
    desk.change("11", lambda shape: replace(shape, points=(1, 2, 11.5, 2, 12.5, 23, 1, 22)))
    editing.delete_annotation(user=owner, annotation=row(11))
    pull(owner, sent)
    (difference,) = open_differences(sent)
    assert difference.conflict == "It was deleted here meanwhile."
    work = apply(owner, sent, "theirs")
    after = records(scene)[11]
    assert (after["odd"], after["attributes"], after["area"]) == ("kept", before[11]["attributes"], after["area"])
    assert after["segmentation"][0] == [1, 2, 11.5, 2, 12.5, 23, 1, 22]
    undo(owner, work)
    assert 11 not in records(scene)


def test_new_ids_are_above_all_that_were_ever_sent(scene, sent, owner, desk):
    """The greatest id was deleted here: an annotation drawn in CVAT does not get it."""
    editing.delete_annotation(user=owner, annotation=row(18))
    task, (box,) = desk.of("16")
    desk.draw(task, replace(box, id=None, points=(3, 3, 9, 9)))
    pull(owner, sent, policy="accept")
    assert max(records(scene)) == 19


def test_some_are_chosen(scene, sent, owner, desk):
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.change("18", lambda shape: replace(shape, points=(3, 3, 10, 8)))
    pull(owner, sent)
    first, second = open_differences(sent)
    apply(owner, sent, "theirs", [second.pk])
    assert open_differences(sent) == [first]


def test_copy_is_new_and_the_original_keeps_its_id(scene, sent, owner, desk):
    before = records(scene)
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(40, 30, 50, 40)))
    pull(owner, sent, policy="accept")
    after = records(scene)
    assert after[18] == before[18]
    assert after[19]["bbox"] == [40, 30, 10, 10]
    (difference,) = CvatDifference.objects.all()
    assert difference.note == "A copy of annotation 18."


def test_tag_of_a_frame_becomes_a_tag_of_the_image_and_goes_again(scene, sent, owner, desk, client):
    task, label = desk.tasks[0], desk.labels["bus"]
    body = {"version": 0, "shapes": [], "tracks": [], "tags": [{"frame": 1, "label_id": label.id, "attributes": []}]}
    path = f"/tasks/{task.cvat_id}/annotations"
    made = client.transport.call("PATCH", path, query={"action": "create"}, body=body, doing="tag").json()
    pull(owner, sent)
    (difference,) = open_differences(sent)
    assert (difference.subject, difference.after) == ("tag", {"tag": "bus"})
    work = apply(owner, sent, "accept")
    image = ImageAsset.objects.get(pk=difference.image_id)
    assert image.tags == ["bus"]
    assert pull(owner, sent, everything=True).result["added"] == 0
    undo(owner, work)
    image.refresh_from_db()
    assert image.tags == []
    apply(owner, sent, "accept")
    client.transport.call("PATCH", path, query={"action": "delete"}, body={**body, "tags": made["tags"]}, doing="untag")
    pull(owner, sent, policy="accept")
    image.refresh_from_db()
    assert image.tags == []


def test_stage_and_state_are_mirrored(sent, owner, client):
    job = CvatJob.objects.order_by("cvat_id").first()
    client.transport.call("PATCH", f"/jobs/{job.cvat_id}", body={"stage": "acceptance"}, doing="move on")
    client.transport.call("PATCH", f"/jobs/{job.cvat_id}", body={"state": "completed"}, doing="move on")
    pull(owner, sent)
    job.refresh_from_db()
    assert (job.stage, job.state) == ("acceptance", "completed")
    task = CvatTask.objects.get(pk=job.task_id)
    assert (task.stage, task.state, task.status) == ("acceptance", "completed", "completed")


def test_task_that_is_gone_is_told_and_deletes_nothing(scene, sent, owner, client):
    before = exported(scene)
    task = CvatTask.objects.filter(job=sent).first()
    client.delete_task(task.cvat_id)
    done = pull(owner, sent, policy="theirs")
    assert done.result["tasks_gone"] == 1
    assert exported(scene) == before
    task.refresh_from_db()
    assert task.gone_at is not None


def test_several_splits_in_one_task(scene, owner, cvat, client):
    """Ids of two splits meet in one task: each comes home to its own."""
    job = send(owner, scene, per_split=False)
    desk = Desk(client, job)
    key = next(desk.key_of(shape) for shape in desk.shapes(desk.tasks[0]) if shape.label_id == desk.labels["tram"].id)
    assert key.startswith("11@")
    desk.change(key, lambda shape: replace(shape, points=(1, 1, 9, 9)))
    before = exported(scene)
    pull(owner, job, policy="accept")
    assert exported(scene) == before
    assert records(scene, "val")[11]["bbox"] == [1, 1, 8, 8]


def test_image_deleted_here_is_a_problem_for_what_was_drawn_on_it(scene, sent, owner, desk):
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    ImageAsset.objects.filter(pk=row(18).image_id).delete()
    pull(owner, sent)
    (difference,) = open_differences(sent)
    assert difference.problem == "The image is not here any more."
    assert apply(owner, sent, "theirs").result["left"] == 1


def test_machine_made_annotation_that_a_person_corrected_is_a_person_s(scene, owner, cvat, client):
    Annotation.objects.filter(coco_id=12, split__name="train").update(is_machine=True, source="yolo")
    job = send(owner, scene, split="train", sources=["yolo"])
    desk = Desk(client, job)
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    work = pull(owner, job, policy="accept")
    assert (row(12).is_machine, row(12).source) == (False, "cvat")
    undo(owner, work)
    assert (row(12).is_machine, row(12).source) == (True, "yolo")


def test_result_is_json(sent, owner):
    assert json.loads(json.dumps(pull(owner, sent).result))["pull"] > 0


def test_export_that_is_sent_again_begins_anew(scene, sent, owner, desk, client):
    """Deleted in CVAT and sent again from its snapshot: what was taken over before is not taken back."""
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    pull(owner, sent, policy="accept")
    before = exported(scene)
    job = sending.delete_in_cvat(user=owner, job=sent)
    jobs.run(job.deletion_id, deleting.run)
    with pytest.raises(Conflict, match="None of this export's tasks"):
        services.start_pull(user=owner, job=sent)
    job = sending.retry(user=owner, job=sent)
    jobs.run(job.task_id, pipeline.run)
    pull(owner, sent, policy="accept")
    assert open_differences(sent) == []
    assert exported(scene) == before
    # And what is done there now comes home as ever.
    again = Desk(client, sent)
    again.change("18", lambda shape: replace(shape, points=(3, 3, 10, 8)))
    pull(owner, sent, policy="accept")
    assert records(scene)[18]["bbox"] == [3, 3, 7, 5]
