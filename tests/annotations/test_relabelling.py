"""Many annotations relabelled, categories merged and deleted: at once or by a task, and undone."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.errors import Conflict, Forbidden
from annotations import batches, bulk, categories, relabelling, undo
from annotations.changes import Change, Selection
from annotations.models import (
    Annotation,
    BulkEdit,
    Category,
    DocumentCategory,
    PreviousAnnotation,
    PreviousImage,
    PreviousLabel,
)
from annotations.tasks import forget_old_undos
from assets.models import ImageAsset
from projects import jobs
from projects.models import AuditLog, Task
from tests.annotations.scenes import exported, exported_text, state


@pytest.fixture
def named(project, images):
    """Categories by name."""
    return {category.name: category for category in Category.objects.filter(project=project)}


@pytest.fixture
def large(monkeypatch):
    """Everything is large: a task, in batches of one annotation."""
    monkeypatch.setattr(bulk, "AT_ONCE_ANNOTATIONS", 0)
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    monkeypatch.setattr(batches, "BATCH", 1)


def everything(project):
    """All that an edit of labels may touch, but for versions and times."""
    listed = DocumentCategory.objects.filter(document__project=project).order_by("pk")
    rows = Category.objects.filter(project=project).order_by("pk")
    files = [exported_text(project, split) for split in ("train", "val")]
    return state(project), list(listed.values()), list(rows.values()), files


EDITS = {
    "relabel": lambda user, project, named: relabelling.relabel(
        user=user, project=project, q="split:train", category=named["car"]
    ),
    "merge": lambda user, project, named: relabelling.merge_categories(
        user=user, project=project, sources=[named["truck"], named["person"]], into=named["car"]
    ),
    "merge into one of another split": lambda user, project, named: relabelling.merge_categories(
        user=user, project=project, sources=[named["car"], named["person"]], into=named["bus"]
    ),
    "delete with annotations": lambda user, project, named: relabelling.delete_category(
        user=user, category=named["car"], annotations="delete"
    ),
    "delete, annotations kept": lambda user, project, named: relabelling.delete_category(
        user=user, category=named["car"], annotations="keep"
    ),
}


def finished(edit, run_task):
    """The bulk edit after its task, if it has one."""
    if edit.task is not None:
        task = run_task(edit.task, bulk.run)
        assert task.status == Task.Status.SUCCEEDED, task.message
    edit.refresh_from_db()
    return edit


@pytest.mark.parametrize("name", EDITS)
def test_a_task_does_what_is_done_at_once_and_both_are_undone(
    name, project, images, named, manager, run_task, monkeypatch, request
):
    before = everything(project)
    at_once = EDITS[name](manager, project, named)
    assert (at_once.done, at_once.edit.task) == (True, None)
    after = [exported(project, split) for split in ("train", "val")]
    assert after != [exported_text(project, split) for split in ("train", "val")]
    bulk.start_undo(user=manager, edit=at_once.edit)
    assert everything(project) == before

    request.getfixturevalue("large")
    as_task = EDITS[name](manager, project, named)
    assert (as_task.done, as_task.edit.task.status) == (False, Task.Status.QUEUED)
    assert everything(project) == before
    edit = finished(as_task.edit, run_task)
    assert [exported(project, split) for split in ("train", "val")] == after
    assert edit.task.result["changed"] == batches.numbers(at_once.edit)["changed"] > 0
    finished(bulk.start_undo(user=manager, edit=edit), run_task)
    assert everything(project) == before
    with pytest.raises(Conflict, match="nothing to undo"):
        bulk.start_undo(user=manager, edit=edit)


@pytest.mark.parametrize("name", EDITS)
def test_a_killed_worker_is_followed_by_one_that_goes_on(
    name, project, images, named, manager, large, run_task, monkeypatch
):
    before = everything(project)
    edit = EDITS[name](manager, project, named).edit
    perform = batches.perform
    calls = []

    def die_in_the_second(batch):
        calls.append(batch.number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return perform(batch)

    monkeypatch.setattr(batches, "perform", die_in_the_second)
    with suppress(KeyboardInterrupt):
        jobs.run(edit.task.pk, bulk.run)
    monkeypatch.setattr(batches, "perform", perform)
    if edit.batches.filter(done_at=None).exists():  # there was a second one
        Task.objects.filter(pk=edit.task.pk).update(lease_until=timezone.now() - timedelta(hours=1))
        finished(edit, run_task)
    changed = batches.numbers(edit)["changed"]
    assert changed == PreviousLabel.objects.count() + PreviousAnnotation.objects.count()
    undone = finished(bulk.start_undo(user=manager, edit=edit), run_task)
    assert batches.numbers(undone)["changed"] == changed
    assert everything(project) == before


def test_a_cancelled_merge_keeps_its_categories_and_is_undone(
    project, images, named, curator, large, run_task, monkeypatch
):
    before = everything(project)
    edit = EDITS["merge"](curator, project, named).edit
    perform = batches.perform

    def cancel_after_the_first(batch):
        Task.objects.filter(pk=edit.task.pk).update(cancel_requested=batch.number > 0)
        return perform(batch)

    monkeypatch.setattr(batches, "perform", cancel_after_the_first)
    monkeypatch.setattr("projects.claims.WRITE_INTERVAL", 0)
    task = run_task(edit.task, bulk.run)
    assert task.status == Task.Status.CANCELLED
    task.refresh_from_db()
    assert "annotations were done and stay so" in task.message
    assert Category.objects.filter(name="truck").exists()
    finished(bulk.start_undo(user=curator, edit=edit), run_task)
    assert everything(project) == before


def test_annotations_that_were_added_during_a_merge_come_along(project, images, named, curator, large, run_task):
    edit = EDITS["merge"](curator, project, named).edit
    one = Annotation.objects.get(coco_id=13)

    def added_meanwhile(claim):
        batches.choose(edit, Annotation.objects.filter(pk=one.pk).values("pk"))
        edit.save(update_fields=["total"])
        return bulk.run(claim)

    run_task(edit.task, added_meanwhile)
    assert not Category.objects.filter(pk__in=[named["truck"].pk, named["person"].pk]).exists()
    assert set(Annotation.objects.filter(split=one.split).values_list("category", flat=True)) == {named["car"].pk}
    edit.refresh_from_db()
    assert edit.total == batches.numbers(edit)["changed"] == 2


def test_what_was_changed_since_is_named_or_left_alone(project, images, named, curator):
    edit = EDITS["relabel"](curator, project, named).edit
    one = Annotation.objects.get(coco_id=13)
    Annotation.objects.filter(pk=one.pk).update(category=named["truck"], version=one.version + 1)
    with pytest.raises(Conflict) as caught:
        bulk.start_undo(user=curator, edit=edit)
    assert caught.value.detail == {"changed": 1, "annotations": [one.pk]}
    undone = bulk.start_undo(user=curator, edit=edit, skip_changed=True)
    assert batches.numbers(undone) == {"done": 2, "changed": 1, "skipped": 1}
    assert Annotation.objects.get(coco_id=11).category == named["person"]


@pytest.mark.parametrize("size", ["small", "large"])
def test_relabellings_are_undone_one_after_the_other(project, images, named, manager, size, request, run_task):
    if size == "large":
        request.getfixturevalue("large")
    seen, edits = [], []
    for name in ("relabel", "merge into one of another split"):
        seen.append(everything(project))
        edits.append(finished(EDITS[name](manager, project, named).edit, run_task))
    while edits:
        undone = finished(bulk.start_undo(user=manager, edit=edits.pop()), run_task)
        assert (batches.numbers(undone)["skipped"], everything(project)) == (0, seen.pop())


def test_deleted_annotations_do_not_come_back_to_a_place_that_is_taken(project, images, named, manager):
    lost = Annotation.objects.get(coco_id=12)
    edit = EDITS["delete with annotations"](manager, project, named).edit
    Annotation.objects.create(
        project=project, split_id=lost.split_id, image_id=lost.image_id, category=named["person"], coco_id=12
    )
    with pytest.raises(Conflict):
        bulk.start_undo(user=manager, edit=edit)
    undone = bulk.start_undo(user=manager, edit=edit, skip_changed=True)
    assert batches.numbers(undone) == {"done": 1, "changed": 0, "skipped": 1}
    assert Category.objects.filter(pk=named["car"].pk).exists()


def test_after_the_undo_of_a_merge_the_target_stays_listed_where_it_is_used(project, images, named, curator):
    edit = EDITS["merge into one of another split"](curator, project, named).edit
    one = Annotation.objects.get(coco_id=13)
    Annotation.objects.filter(pk=one.pk).update(category=named["bus"], version=one.version + 1)
    bulk.start_undo(user=curator, edit=edit)
    found = exported(project, "train")
    assert [record["name"] for record in found["categories"]] == ["person", "car", "truck", "bus"]
    assert [record["category_id"] for record in found["annotations"]] == [1, 2, 7]


def test_the_undo_is_refused_where_the_old_category_has_no_place_any_more(project, images, named, curator):
    edit = EDITS["merge"](curator, project, named).edit
    new = categories.create_category(user=curator, project=project, name="lorry", coco_id=3)
    document = DocumentCategory.objects.filter(category=named["car"]).first().document
    DocumentCategory.objects.create(document=document, category=new, position=9)
    before = everything(project)
    with pytest.raises(Conflict, match="lorry"):
        bulk.start_undo(user=curator, edit=edit)
    assert everything(project) == before


def test_a_large_relabelling_that_would_spoil_a_document_changes_nothing(
    project, images, named, curator, large, run_task
):
    before = everything(project)
    edit = relabelling.relabel(user=curator, project=project, q="category:car", category=named["cat"]).edit
    task = run_task(edit.task, bulk.run)
    assert (task.status, everything(project)) == (Task.Status.FAILED, before)
    assert "one id for two names" in task.message


def test_only_managers_undo_the_deletion_of_a_category(project, images, named, manager, curator):
    edit = EDITS["delete, annotations kept"](manager, project, named).edit
    with pytest.raises(Forbidden):
        bulk.start_undo(user=curator, edit=edit)


def test_the_trail_names_the_edit_and_what_undid_it(project, images, named, manager):
    edit = EDITS["merge"](manager, project, named).edit
    line = AuditLog.objects.get(action="category.merged")
    assert (line.detail["bulk_edit"], line.detail["number"]) == (edit.pk, 2)
    assert [each["name"] for each in line.detail["change"]["categories"]] == ["person", "truck"]
    undone = bulk.start_undo(user=manager, edit=edit)
    assert AuditLog.objects.get(action="category.restored").detail["bulk_edit"] == undone.pk


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_all_that_hangs_on_images_and_annotations_is_known_to_the_undo():
    """A table that goes with an image must be kept for the undo too; links without a constraint find it again."""

    def hanging(model):
        return {each.related_model.__name__ for each in model._meta.related_objects if each.field.db_constraint}

    assert hanging(ImageAsset) == {"Annotation"}
    assert hanging(Annotation) == set()
    assert hanging(Category) == {"DocumentCategory"}


def test_the_undo_of_a_deletion_brings_back_predictions_and_times(project, images, manager):
    long_ago = timezone.now() - timedelta(days=400)
    ImageAsset.objects.update(updated_at=long_ago)
    Annotation.objects.filter(coco_id=12).update(coco_id=2**52, is_machine=True, score="0.50", updated_at=long_ago)
    before = everything(project)
    edit = bulk.start(user=manager, project=project, selection=Selection(), change=Change(delete=True))
    assert not ImageAsset.objects.exists()
    bulk.start_undo(user=manager, edit=edit)
    assert everything(project) == before
    assert set(ImageAsset.objects.values_list("updated_at", flat=True)) == {long_ago}
    assert Annotation.objects.get(coco_id=2**52).updated_at == long_ago


def kept():
    return [model.objects.count() for model in (PreviousImage, PreviousAnnotation, PreviousLabel)]


def test_what_is_kept_is_forgotten_in_time(project, images, named, manager, settings):
    tagged = bulk.start(
        user=manager, project=project, selection=Selection(), change=Change.from_dict({"add_tags": ["x"]})
    )
    relabelled = EDITS["relabel"](manager, project, named).edit
    deleted = bulk.start(
        user=manager, project=project, selection=Selection("file:a.jpg"), change=Change.from_dict({"delete": True})
    )
    full = kept()
    assert min(full) > 0
    settings.UNDO_DAYS = 30
    BulkEdit.objects.exclude(pk=deleted.pk).update(finished_at=timezone.now() - timedelta(days=29))
    assert (forget_old_undos(), kept()) == (0, full)
    BulkEdit.objects.exclude(pk=deleted.pk).update(finished_at=timezone.now() - timedelta(days=31))
    assert forget_old_undos() == 2
    assert kept() == [1, full[1], 0]
    assert forget_old_undos() == 0
    for edit in (tagged, relabelled):
        edit.refresh_from_db()
        assert batches.numbers(edit)["changed"] > 0  # the history stays
        with pytest.raises(Conflict, match="30 days"):
            bulk.start_undo(user=manager, edit=edit)
    bulk.start_undo(user=manager, edit=deleted)


def test_nothing_is_forgotten_where_it_is_kept_for_ever_or_an_undo_is_at_work(
    project, images, named, manager, settings, monkeypatch
):
    edit = EDITS["relabel"](manager, project, named).edit
    BulkEdit.objects.update(finished_at=timezone.now() - timedelta(days=31))
    settings.UNDO_DAYS = 0
    assert forget_old_undos() == 0
    settings.UNDO_DAYS = 30
    monkeypatch.setattr(bulk, "AT_ONCE_ANNOTATIONS", 0)
    bulk.start_undo(user=manager, edit=edit)
    assert (forget_old_undos(), undo.forget_old(0)) == (0, 0)
    assert kept()[2] > 0


def test_nothing_is_forgotten_of_an_edit_that_ended_and_was_begun_again(project, images, named, manager, large):
    edit = EDITS["relabel"](manager, project, named).edit
    BulkEdit.objects.update(finished_at=timezone.now() - timedelta(days=31))
    assert edit.task.status == Task.Status.QUEUED
    assert undo.forget_old(30) == 0
    Task.objects.filter(pk=edit.task.pk).update(status=Task.Status.FAILED)
    assert undo.forget_old(30) == 1


def test_the_undo_of_a_relabelling_names_objects_whose_old_category_is_gone(project, images, named, manager):
    edit = EDITS["relabel"](manager, project, named).edit
    lost = Annotation.objects.get(coco_id=13)
    relabelling.delete_category(user=manager, category=named["truck"])
    with pytest.raises(Conflict) as caught:
        bulk.start_undo(user=manager, edit=edit)
    assert caught.value.detail == {"changed": 1, "annotations": [lost.pk]}
    undone = bulk.start_undo(user=manager, edit=edit, skip_changed=True)
    assert batches.numbers(undone) == {"done": 2, "changed": 1, "skipped": 1}


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_undo_of_a_merge_is_refused_where_its_category_has_been_made_anew(
    project, images, named, curator, size, request
):
    edit = EDITS["merge"](curator, project, named).edit
    categories.create_category(user=curator, project=project, name="truck", coco_id=3)
    before = everything(project)
    if size == "large":
        request.getfixturevalue("large")
    for skip_changed in (False, True):
        with pytest.raises(Conflict, match="'truck' with id 3 again"):
            bulk.start_undo(user=curator, edit=edit, skip_changed=skip_changed)
    assert everything(project) == before
    assert not BulkEdit.objects.filter(undoes=edit).exists()
