"""Deleting a project: everything it has goes, and nothing of its neighbours."""

import pytest
from django.apps import apps
from django.core.files.storage import default_storage
from django.db import connection

from annotations.models import Annotation, Category, CocoDocument, DocumentCategory, ImportJob
from assets.models import ImageAsset, Split
from exports.models import ExportJob
from insights.models import InsightView
from projects import deletion, reports, services
from projects.models import AuditLog, Membership, Project, Task
from tests import factories


def fill(project: Project, images: int = 3) -> None:
    """Give the project some of everything."""
    split = Split.objects.create(project=project, name="train")
    category = Category.objects.create(project=project, coco_id=1, name="car")
    document = CocoDocument.objects.create(project=project, split=split)
    DocumentCategory.objects.create(document=document, category=category, position=0)
    for number in range(images):
        image = ImageAsset.objects.create(project=project, split=split, coco_id=number)
        Annotation.objects.create(project=project, split=split, image=image, category=category, coco_id=number)
    ImportJob.objects.create(project=project, task=factories.make_task(project, status="succeeded"))
    ExportJob.objects.create(project=project, task=factories.make_task(project, Task.Kind.EXPORT, status="failed"))
    InsightView.objects.create(project=project, name="all")
    factories.make_line(project)


def rows_by_model() -> dict[str, int]:
    """How many rows each model whose rows belong to projects has."""
    return {step.model._meta.label: step.model._base_manager.count() for step in deletion.plan()}


def test_the_plan_has_every_model_that_leads_to_a_project_children_first():
    models = [step.model for step in deletion.plan()]
    for model in apps.get_models():
        for key in deletion._foreign_keys(model):
            if key.related_model is Project or key.related_model in models:
                assert model in (*models, Project), f"{model} would keep a project from being deleted"
                if key.related_model in models and model in models and key.related_model is not model:
                    assert models.index(model) < models.index(key.related_model)


def test_the_project_goes_with_everything_and_its_neighbour_keeps_all(project, owner, run_task, monkeypatch):
    monkeypatch.setattr(deletion, "BATCH", 2)
    neighbour = factories.make_project(owner)
    fill(neighbour)
    before = rows_by_model()
    fill(project)
    task = services.delete_project(user=owner, project=project)
    run_task(task, deletion.delete_project)

    assert (task.status, task.project) == ("succeeded", None)
    assert task.result["deleted"]["assets.imageasset"] == 3
    assert not Project.objects.filter(pk=project.pk).exists()
    after = rows_by_model()
    lines = AuditLog.objects.filter(project=None, project_name=project.name)
    assert [line.action for line in lines] == ["project.deleted"]
    kept = {"projects.AuditLog", "projects.Task", "projects.Membership"}
    assert {name: n for name, n in after.items() if name not in kept} == {
        name: n for name, n in before.items() if name not in kept
    }
    assert list(Membership.objects.values_list("project", flat=True)) == [neighbour.pk]
    assert set(Task.objects.values_list("project", flat=True)) == {None, neighbour.pk}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_it_can_be_stopped_anywhere_and_run_again(project, owner, run_task, monkeypatch):
    monkeypatch.setattr(deletion, "BATCH", 1)
    fill(project, images=2)
    task = services.delete_project(user=owner, project=project)
    calls = 0

    def breaking_after(steps):
        def work(claim):
            def progress(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls > steps:
                    raise ConnectionResetError

            monkeypatch.setattr(claim, "progress", progress)
            return deletion.delete_project(claim)

        return work

    for steps in (3, 8):
        calls = 0
        run_task(task, breaking_after(steps))
        assert task.status == "queued"
        Task.objects.filter(pk=task.pk).update(lease_until=None)
    run_task(task, deletion.delete_project)
    assert task.status == "succeeded"
    assert not Project.objects.filter(pk=project.pk).exists()


def test_it_waits_until_the_projects_running_tasks_have_stopped(project, owner, run_task, monkeypatch):
    running = factories.make_task(project, status="running")
    task = services.delete_project(user=owner, project=project)
    naps = []

    def nap(seconds):
        naps.append(Project.objects.filter(pk=project.pk).exists())
        if len(naps) == 2:
            Task.objects.filter(pk=running.pk).update(status="cancelled")

    monkeypatch.setattr(deletion.time, "sleep", nap)
    run_task(task, deletion.delete_project)
    assert naps == [True, True]
    assert task.status == "succeeded"


def test_what_is_stored_elsewhere_is_cleaned_up_after_the_rows(project, owner, run_task, monkeypatch):
    cleaned = []
    monkeypatch.setattr(deletion, "_cleanups", [])
    deletion.register_cleanup(lambda pk: cleaned.append((pk, ImageAsset.objects.filter(project=pk).exists())))
    fill(project)
    pk = project.pk
    run_task(services.delete_project(user=owner, project=project), deletion.delete_project)
    assert cleaned == [(pk, False)]


def test_reports_go_with_their_project_and_others_stay(project, owner, run_task):
    mine = factories.make_task(project, status="failed")
    other = factories.make_task(factories.make_project(owner), status="failed")
    for task in (mine, other):
        task.log = reports.store(task, "It says what was in the file.")
        task.save(update_fields=["log"])

    run_task(services.delete_project(user=owner, project=project), deletion.delete_project)

    assert not default_storage.exists(mine.log)
    assert default_storage.exists(other.log)


@pytest.mark.parametrize("images", [1, 40])
def test_the_number_of_statements_does_not_grow_with_the_rows(
    project, owner, run_task, django_assert_max_num_queries, images
):
    fill(project, images=images)
    task = services.delete_project(user=owner, project=project)
    with django_assert_max_num_queries(30 + 3 * len(deletion.plan())):
        run_task(task, deletion.delete_project)
