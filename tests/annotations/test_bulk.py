"""Bulk edits and their undoing: what lands, what is kept, what is refused, and what a dead worker leaves."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.errors import Conflict, Forbidden, NotFound, ServiceError
from annotations import batches, bulk
from annotations.changes import Change, Selection
from annotations.models import Annotation, BulkEdit, Category, CocoDocument, PreviousAnnotation, PreviousImage
from annotations.query import QueryError
from assets.models import ImageAsset, Split
from assets.services import Edit, update_asset
from projects import jobs
from projects.models import AuditLog, Task
from tests.annotations.scenes import TRAIN, exported, exported_text, load, state

TAG = Change(Edit(add_tags=["new"]))


def tags(project):
    rows = ImageAsset.objects.filter(project=project).order_by("coco_id")
    return {str(name)[0]: held for name, held in rows.values_list("file_name", "tags")}


def start(user, project, q="", change=TAG, **options):
    return bulk.start(user=user, project=project, selection=Selection(q), change=change, **options)


@pytest.fixture
def large(monkeypatch):
    """Everything is large: a task, in batches of one image."""
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    monkeypatch.setattr(batches, "BATCH", 1)


# --- Who may ----------------------------------------------------------------------------------------------------------


def test_viewer_may_not_start_a_bulk_edit(project, images, viewer):
    with pytest.raises(Forbidden):
        start(viewer, project)


def test_stranger_sees_no_project(project, images, stranger):
    with pytest.raises(NotFound):
        start(stranger, project)


def test_curator_may_not_delete_and_manager_may(project, images, curator, manager):
    with pytest.raises(Forbidden):
        start(curator, project, "file:a.jpg", Change(delete=True))
    start(manager, project, "file:a.jpg", Change(delete=True))
    assert not ImageAsset.objects.filter(pk=images["a"].pk).exists()


def test_curator_may_not_undo_a_deletion(project, images, curator, manager):
    deletion = start(manager, project, "file:a.jpg", Change(delete=True))
    with pytest.raises(Forbidden):
        bulk.start_undo(user=curator, edit=deletion)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (Change(Edit(add_tags=[" x"])), "add_tags"),
        (Change(Edit(status="missing")), "status"),
        (Change(Edit(metadata={"width": 3})), "metadata"),
        (Change(Edit(metadata={"x": float("nan")})), "metadata"),
        (Change(split="a\0b"), "split"),
    ],
)
def test_a_change_that_cannot_be_is_refused(project, images, curator, change, field):
    with pytest.raises(ServiceError) as caught:
        start(curator, project, change=change)
    assert field in caught.value.fields


def test_nothing_to_do_and_two_things_at_once_are_refused(project, images, manager):
    for change in (Change(), Change(TAG.edit, delete=True)):
        with pytest.raises(ServiceError, match="not both"):
            start(manager, project, change=change)


def test_a_query_with_a_mistake_is_refused(project, images, curator):
    with pytest.raises(QueryError):
        start(curator, project, "widht>3")


# --- What lands -------------------------------------------------------------------------------------------------------


def test_edits_by_query_and_by_ids(project, images, curator):
    edit = start(curator, project, "split:train width>100")
    assert (edit.total, batches.numbers(edit)) == (2, {"done": 2, "changed": 2, "skipped": 0})
    assert tags(project) == {"a": [], "b": ["new"], "c": ["new"], "v": []}
    chosen = Selection(ids=(images["a"].pk, images["b"].pk))
    edit = bulk.start(user=curator, project=project, selection=chosen, change=TAG)
    assert batches.numbers(edit) == {"done": 2, "changed": 1, "skipped": 0}


def test_images_of_another_project_are_out_of_reach(project, images, stranger):
    elsewhere = stranger.owned_projects.get()
    chosen = Selection(ids=(images["a"].pk,))
    for ask in (bulk.start, bulk.preview):
        with pytest.raises(ServiceError, match=f"1 of 1 ids are no images of this project: {images['a'].pk}"):
            ask(user=stranger, project=elsewhere, selection=chosen, change=TAG)
    assert tags(project)["a"] == []


def test_one_unknown_id_refuses_all(project, images, curator):
    chosen = Selection(ids=(images["a"].pk, 10**15, images["b"].pk))
    with pytest.raises(ServiceError, match=f"1 of 3 ids are no images of this project: {10**15}. Nothing was done"):
        bulk.start(user=curator, project=project, selection=chosen, change=TAG)
    assert tags(project)["a"] == tags(project)["b"] == []


@pytest.mark.parametrize(
    ("held", "edit", "expected"),
    [
        (["a", "b"], Edit(add_tags=["c", "a", "c"]), ["a", "b", "c"]),
        (["a", "b"], Edit(remove_tags=["a", "x"]), ["b"]),
        (["a", "b"], Edit(add_tags=["c", "d"], remove_tags=["a", "c"]), ["b", "d"]),
        (["a"], Edit(tags=["x", "y", "x"]), ["x", "y"]),
        (["a"], Edit(tags=["x"], add_tags=["y", "x"], remove_tags=["x"]), ["y"]),
        (["a"], Edit(tags=[]), []),
    ],
)
def test_tags_after_an_edit(project, images, curator, held, edit, expected):
    ImageAsset.objects.filter(pk=images["a"].pk).update(tags=held)
    start(curator, project, "file:a.jpg", Change(edit))
    assert tags(project)["a"] == expected


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"color": "green"}, '{"iso": 100.50, "color": "green", "license": 1}'),
        ({"color": None, "gone": None}, '{"iso": 100.50, "license": 1}'),
        ({"n": {"a": None, "b": {"c": 1}}}, '{"n": {"b": {"c": 1}}, "iso": 100.50, "color": "red", "license": 1}'),
        ({"color": {"name": "red"}}, '{"iso": 100.50, "color": {"name": "red"}, "license": 1}'),
        ({"l": [1, None, {"x": None}]}, '{"l": [1, null, {"x": null}], "iso": 100.50, "color": "red", "license": 1}'),
        ({"%s": "%(x)s", 'a"b': "'"}, None),
    ],
)  # fmt: skip
def test_metadata_is_merged_as_rfc_7396_says_and_other_numbers_keep_their_digits(
    project, images, curator, patch, expected
):
    start(curator, project, "file:a.jpg", Change(Edit(metadata=patch)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata::text FROM assets_imageasset WHERE id = %s", [images["a"].pk])
        (text,) = cursor.fetchone()
    if expected is None:
        assert ImageAsset.objects.get(pk=images["a"].pk).metadata.items() >= patch.items()
    else:
        assert text == expected


def test_nested_metadata_keeps_its_neighbours(project, images, curator):
    start(curator, project, "file:c.jpg", Change(Edit(metadata={"nested": {"deep": {"y": 2}, "more": True}})))
    held = ImageAsset.objects.get(pk=images["c"].pk).metadata
    assert held == {"license": 1, "nested": {"deep": {"x": 1.10, "y": 2}, "more": True}}


def test_ready_is_only_for_images_with_a_picture(project, images, curator):
    ImageAsset.objects.filter(pk=images["b"].pk).update(uri="images/x", status="approved")
    ImageAsset.objects.filter(pk=images["c"].pk).update(uri="images/y", issues=["file_broken"])
    start(curator, project, "split:train", Change(Edit(status="ready")))
    rows = ImageAsset.objects.filter(project=project, split__name="train").order_by("coco_id")
    assert list(rows.values_list("status", flat=True)) == ["missing", "ready", "broken"]


def test_what_is_as_wanted_already_is_not_written(project, images, curator):
    start(curator, project)
    project.refresh_from_db()
    before, revision = state(project), project.revision
    versions = list(ImageAsset.objects.order_by("pk").values_list("version", flat=True))
    edit = start(curator, project)
    project.refresh_from_db()
    assert batches.numbers(edit)["changed"] == 0
    assert versions == list(ImageAsset.objects.order_by("pk").values_list("version", flat=True))
    assert (state(project), project.revision) == (before, revision)


def test_the_audit_line_tells_the_query_and_the_number(project, images, curator):
    edit = start(curator, project, "  split:train   AND width>100")
    line = AuditLog.objects.get(project=project, action="assets.updated")
    assert line.detail["q"] == "split:train width>100"
    assert (line.detail["number"], line.detail["bulk_edit"], line.user) == (2, edit.pk, curator)
    assert line.detail["change"] == {"add_tags": ["new"]}


# --- Another split ----------------------------------------------------------------------------------------------------


def test_images_go_to_another_split_with_annotations_and_documents(project, images, curator):
    start(curator, project, "file:a.jpg", Change(split="holdout"))
    found = exported(project, "holdout")
    assert found == {**TRAIN, "images": TRAIN["images"][:1], "annotations": TRAIN["annotations"][:2]}
    assert exported(project, "train")["images"] == TRAIN["images"][1:]


def test_ids_that_would_meet_are_refused_and_named(project, images, curator, tmp_path):
    load(project, "other", {**TRAIN, "images": TRAIN["images"][:2], "annotations": []}, tmp_path)
    before = state(project)
    with pytest.raises(Conflict) as caught:
        start(curator, project, "split:train", Change(split="other"))
    assert caught.value.detail["images"] == [1, 2]
    assert state(project) == before
    assert not BulkEdit.objects.exists()


def test_annotation_ids_that_would_meet_are_refused(project, images, curator, tmp_path):
    other = {**TRAIN, "images": [{"id": 50}], "annotations": [{**TRAIN["annotations"][0], "id": 11, "image_id": 50}]}
    load(project, "other", other, tmp_path)
    with pytest.raises(Conflict) as caught:
        start(curator, project, "split:train", Change(split="other"))
    assert (caught.value.detail["images"], caught.value.detail["annotations"]) == ([], [11])


def test_one_category_id_for_two_names_is_refused(project, images, curator):
    with pytest.raises(Conflict) as caught:  # 3 is a truck in train and a cat in val
        start(curator, project, "file:b.jpg", Change(split="val"))
    assert [clash["name"] for clash in caught.value.detail["categories"]] == ["cat"]
    start(curator, project, "file:a.jpg", Change(split="val"))  # has no truck


def test_two_splits_into_one_are_refused_where_their_ids_meet(project, images, curator, tmp_path):
    load(project, "other", {**TRAIN, "images": TRAIN["images"][:1], "annotations": []}, tmp_path)
    found = bulk.preview(
        user=curator, project=project, selection=Selection("split:(train OR other)"), change=Change(split="both")
    )
    assert found.obstacles["images"] == [1]
    assert not Split.objects.filter(name="both").exists()


# --- Trying -----------------------------------------------------------------------------------------------------------


def test_a_preview_tells_and_does_nothing(project, images, curator):
    before = state(project)
    found = bulk.preview(user=curator, project=project, selection=Selection("split:train"), change=TAG)
    assert (found.matched, found.at_once) == (3, True)
    assert [image.file_name for image in found.sample] == ["a.jpg", "b.jpg", "c.jpg"]
    assert state(project) == before
    assert not BulkEdit.objects.exists()
    assert not AuditLog.objects.filter(action__startswith="assets.").exists()


# --- Sent twice -------------------------------------------------------------------------------------------------------


def test_the_same_key_is_the_same_edit(project, images, curator, manager):
    first = start(curator, project, key="k1")
    assert start(curator, project, key="k1").pk == first.pk
    assert BulkEdit.objects.count() == 1
    assert start(manager, project, key="k1").pk != first.pk  # keys are each user's own


def test_the_key_of_another_change_is_refused(project, images, curator):
    start(curator, project, key="k1")
    with pytest.raises(Conflict, match="another change"):
        start(curator, project, "split:val", key="k1")


def test_two_at_once_with_one_key_are_one_edit(project, images, curator, monkeypatch):
    first = start(curator, project, key="k1")
    answers = iter([None, first])  # the second request looked before the first one had committed
    monkeypatch.setattr(bulk, "_known", lambda *args: next(answers))
    assert start(curator, project, key="k1").pk == first.pk
    assert BulkEdit.objects.count() == 1


# --- Undoing ----------------------------------------------------------------------------------------------------------

KINDS = [
    TAG,
    Change(Edit(tags=["only"])),
    Change(Edit(remove_tags=["old"])),
    Change(Edit(status="approved")),
    Change(Edit(metadata={"color": None, "iso": 1, "nested": {"deep": None}})),
    Change(split="elsewhere"),
    Change(Edit(add_tags=["x"], status="rejected", metadata={"y": 1}), split="elsewhere"),
    Change(delete=True),
]


@pytest.mark.parametrize("change", KINDS, ids=str)
@pytest.mark.parametrize("size", ["small", "large"])
def test_undo_restores_what_was_there(project, images, manager, change, size, request, run_task):
    ImageAsset.objects.filter(pk__in=[images["a"].pk, images["v"].pk]).update(tags=["old", "älter"])
    before, files = state(project), [exported_text(project, split) for split in ("train", "val")]
    if size == "large":
        request.getfixturevalue("large")
    edit = start(manager, project, "-file:c.jpg", change)
    if edit.task:
        assert run_task(edit.task, bulk.run).status == Task.Status.SUCCEEDED
    assert state(project) != before
    undone = bulk.start_undo(user=manager, edit=edit)
    if undone.task:
        task = run_task(undone.task, bulk.run)
        assert task.result["skipped"] == 0
    assert state(project) == before
    assert [exported_text(project, split) for split in ("train", "val")] == files


def test_undo_names_images_that_were_changed_since(project, images, curator):
    edit = start(curator, project)
    start(curator, project, "file:a.jpg", Change(Edit(status="approved")))
    with pytest.raises(Conflict) as caught:
        bulk.start_undo(user=curator, edit=edit)
    assert caught.value.detail == {"changed": 1, "images": [images["a"].pk]}
    assert tags(project)["b"] == ["new"]
    undone = bulk.start_undo(user=curator, edit=edit, skip_changed=True)
    assert batches.numbers(undone) == {"done": 4, "changed": 3, "skipped": 1}
    assert tags(project) == {"a": ["new"], "b": [], "c": [], "v": []}


def test_undo_of_a_deletion_leaves_alone_what_is_there_again(project, images, manager, tmp_path):
    edit = start(manager, project, "split:train", Change(delete=True))
    load(project, "train", {**TRAIN, "images": TRAIN["images"][:1], "annotations": []}, tmp_path)
    with pytest.raises(Conflict) as caught:
        bulk.start_undo(user=manager, edit=edit)
    assert caught.value.detail == {"changed": 1, "images": [images["a"].pk]}
    undone = bulk.start_undo(user=manager, edit=edit, skip_changed=True)
    assert batches.numbers(undone) == {"done": 3, "changed": 2, "skipped": 1}
    assert Annotation.objects.filter(image=images["b"].pk).count() == 1


def test_undo_of_a_deletion_refuses_images_whose_category_is_gone(project, images, manager):
    edit = start(manager, project, "file:b.jpg", Change(delete=True))
    Category.objects.get(project=project, name="truck").delete()
    with pytest.raises(Conflict):
        bulk.start_undo(user=manager, edit=edit)


def test_undo_of_a_move_refuses_images_whose_place_is_taken(project, images, curator, tmp_path):
    edit = start(curator, project, "file:a.jpg", Change(split="elsewhere"))
    load(project, "train", {**TRAIN, "images": TRAIN["images"][:1], "annotations": []}, tmp_path)
    with pytest.raises(Conflict):
        bulk.start_undo(user=curator, edit=edit)


@pytest.mark.parametrize("size", ["small", "large"])
def test_edits_are_undone_one_after_the_other(project, images, manager, size, request, run_task):
    if size == "large":
        request.getfixturevalue("large")

    def done(edit):
        if edit.task is not None:
            run_task(edit.task, bulk.run)
        return edit

    seen, edits = [], []
    changes = (
        TAG, Change(Edit(status="in_review")), Change(delete=True), Change(split="x"), Change(Edit(metadata={"a": 1})),
    )  # fmt: skip
    for change in changes[:3]:
        seen.append(state(project))
        edits.append(done(start(manager, project, "", change)))
    done(bulk.start_undo(user=manager, edit=edits.pop()))
    assert state(project) == seen.pop()
    for change in changes[3:]:
        seen.append(state(project))
        edits.append(done(start(manager, project, "", change)))
    while edits:
        undone = done(bulk.start_undo(user=manager, edit=edits.pop()))
        assert (batches.numbers(undone)["skipped"], state(project)) == (0, seen.pop())


def test_undoing_the_last_edit_does_not_hide_what_was_changed_before_it(project, images, curator):
    first = start(curator, project)
    update_asset(user=curator, asset=images["a"], edit=Edit(add_tags=["mine"]))
    bulk.start_undo(user=curator, edit=start(curator, project, "", Change(Edit(status="in_review"))))
    with pytest.raises(Conflict) as caught:
        bulk.start_undo(user=curator, edit=first)
    assert caught.value.detail == {"changed": 1, "images": [images["a"].pk]}


def test_undo_is_done_once_and_is_not_undone(project, images, curator):
    edit = start(curator, project)
    undone = bulk.start_undo(user=curator, edit=edit, key="u")
    assert bulk.start_undo(user=curator, edit=edit, key="u").pk == undone.pk
    with pytest.raises(Conflict, match="nothing to undo"):
        bulk.start_undo(user=curator, edit=edit)
    with pytest.raises(Conflict, match="make the change again"):
        bulk.start_undo(user=curator, edit=undone)


def test_a_deletion_keeps_rows_and_forgets_nothing(project, images, manager):
    start(manager, project, "split:train", Change(delete=True))
    assert (PreviousImage.objects.count(), PreviousAnnotation.objects.count()) == (3, 3)
    assert not Annotation.objects.filter(split__name="train").exists()
    assert CocoDocument.objects.filter(split__name="train").exists()


# --- Large ones -------------------------------------------------------------------------------------------------------


def test_a_large_edit_is_a_task_and_tells_its_numbers(project, images, curator, large, run_task):
    edit = start(curator, project)
    assert edit.total is None
    assert tags(project)["a"] == []
    task = run_task(edit.task, bulk.run)
    assert task.status == Task.Status.SUCCEEDED
    assert (task.done, task.total) == (4, 4)
    assert task.result == {"done": 4, "changed": 4, "skipped": 0, "edit": edit.pk}
    assert set(map(tuple, tags(project).values())) == {("new",)}
    assert AuditLog.objects.filter(action="assets.updated").count() == 1


def test_the_images_are_chosen_once(project, images, curator, large, run_task):
    """What the first batch changes does not change which images the second is about."""
    ImageAsset.objects.filter(project=project).update(checksum="same", uri="x")
    edit = start(curator, project, "duplicate:true -tag:new", Change(Edit(add_tags=["new"])))
    run_task(edit.task, bulk.run)
    assert all(held == ["new"] for held in tags(project).values())


@pytest.mark.parametrize("change", [TAG, Change(delete=True), Change(split="x")], ids=str)
def test_a_killed_worker_leaves_whole_batches_and_the_next_goes_on(
    project, images, manager, large, run_task, monkeypatch, change
):
    before = state(project)
    edit = start(manager, project, "", change)
    done = []

    def die_in_the_third(batch):
        perform(batch)
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(batch.number)
        return True

    perform = batches.perform
    monkeypatch.setattr(batches, "perform", die_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        jobs.run(edit.task.pk, bulk.run)
    assert batches.numbers(edit) == {"done": 2, "changed": 2, "skipped": 0}
    Task.objects.filter(pk=edit.task.pk).update(lease_until=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(batches, "perform", perform)
    task = run_task(edit.task, bulk.run)
    assert (task.status, task.result["done"], task.result["changed"]) == (Task.Status.SUCCEEDED, 4, 4)
    assert PreviousImage.objects.count() == 4
    assert set(ImageAsset.objects.values_list("version", flat=True)) <= {2}
    bulk.start_undo(user=manager, edit=edit)
    run_task(edit.undos.get().task, bulk.run)
    assert state(project) == before


def test_a_cancelled_edit_leaves_what_is_done_says_so_and_can_be_undone(
    project, images, curator, large, run_task, monkeypatch
):
    before = state(project)
    edit = start(curator, project)

    def cancel_in_the_second(batch):
        if batch.number == 1:
            Task.objects.filter(pk=edit.task.pk).update(cancel_requested=True)
        return perform(batch)

    perform = batches.perform
    monkeypatch.setattr(batches, "perform", cancel_in_the_second)
    monkeypatch.setattr("projects.claims.WRITE_INTERVAL", 0)
    task = run_task(edit.task, bulk.run)
    assert task.status == Task.Status.CANCELLED
    task.refresh_from_db()
    assert "2 of 4 images were done and stay so" in task.message
    line = AuditLog.objects.get(action="assets.updated_stopped")
    assert (line.detail["number"], line.detail["status"]) == (2, "cancelled")
    assert sum(held == ["new"] for held in tags(project).values()) == 2
    undone = bulk.start_undo(user=curator, edit=edit)
    run_task(undone.task, bulk.run)
    assert state(project) == before


def test_a_cancelled_edit_can_be_finished(project, images, curator, large, run_task):
    edit = start(curator, project)
    jobs.cancel(user=curator, task=edit.task)
    jobs.retry(user=curator, task=edit.task)
    run_task(edit.task, bulk.run)
    edit.refresh_from_db()
    assert batches.numbers(edit)["changed"] == 4


def test_an_edit_that_was_undone_half_way_is_not_gone_on_with(project, images, curator, large, run_task, monkeypatch):
    before = state(project)
    edit = start(curator, project)
    batches.choose(edit, bulk._chosen(edit))
    batches.perform(next(batches.left(edit)))
    jobs.cancel(user=curator, task=edit.task)
    run_task(bulk.start_undo(user=curator, edit=edit).task, bulk.run)
    assert state(project) == before
    jobs.retry(user=curator, task=edit.task)
    task = run_task(edit.task, bulk.run)
    assert (task.status, state(project)) == (Task.Status.FAILED, before)
    assert "It was undone" in task.message


def test_who_may_not_delete_does_not_steer_a_deletion_or_its_undo(project, images, manager, curator, large, run_task):
    deletion = start(manager, project, "", Change(delete=True))
    with pytest.raises(Forbidden):
        jobs.cancel(user=curator, task=deletion.task)
    jobs.cancel(user=manager, task=deletion.task)
    with pytest.raises(Forbidden):
        jobs.retry(user=curator, task=deletion.task)
    jobs.retry(user=manager, task=deletion.task)
    run_task(deletion.task, bulk.run)
    undoing = bulk.start_undo(user=manager, edit=deletion)
    with pytest.raises(Forbidden):
        jobs.cancel(user=curator, task=undoing.task)


def test_a_running_edit_is_not_undone(project, images, curator, large):
    edit = start(curator, project)
    with pytest.raises(Conflict, match="still at it"):
        bulk.start_undo(user=curator, edit=edit)


def test_a_large_move_that_cannot_be_changes_nothing(project, images, curator, large, run_task, tmp_path):
    load(project, "other", {**TRAIN, "images": TRAIN["images"][2:], "annotations": []}, tmp_path)
    before = state(project)
    task = run_task(start(curator, project, "split:train", Change(split="other")).task, bulk.run)
    assert task.status == Task.Status.FAILED
    assert "'other'" in task.message
    assert state(project) == before


def test_a_batch_is_not_done_twice(project, images, curator, large, run_task):
    edit = start(curator, project)
    run_task(edit.task, bulk.run)
    versions = list(ImageAsset.objects.order_by("pk").values_list("version", flat=True))
    for batch in edit.batches.all():
        assert batches.perform(batch) is False
    assert versions == list(ImageAsset.objects.order_by("pk").values_list("version", flat=True))
    assert PreviousImage.objects.count() == 4
