"""Every model in the admin: seen by whom it concerns, by nobody else, and never changed past the services."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations.models import Annotation, Category, CocoDocument, DocumentCategory, ImportJob
from assets.models import ImageAsset, Split
from exports.models import (
    CvatConnection,
    CvatDifference,
    CvatImage,
    CvatJob,
    CvatProject,
    CvatPull,
    CvatTask,
    ExportJob,
)
from insights.models import InsightView
from projects.models import AuditLog, Project, Role, Task
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff

OURS = ("accounts", "projects", "assets", "annotations", "insights", "exports", "webhooks")
# Inner parts of other rows, which have no meaning by themselves; ended sessions, which are nobody's business; and what
# the workplace has a page for.
WITHOUT_A_PAGE = {
    "accounts.personaltoken", "accounts.idempotentcall", "accounts.revokedsession", "accounts.secondfactor",
    "annotations.bulkeditbatch", "annotations.previousimage",
    "annotations.previousannotation", "annotations.previouslabel", "annotations.resumableupload",
    "insights.metricresult", "insights.predictionresult", "exports.cvatknown",
    "webhooks.webhook", "webhooks.delivery",
}  # fmt: skip
READ_ONLY = [
    Split, Annotation, CocoDocument, DocumentCategory, ImportJob, ExportJob, InsightView, Task, AuditLog, CvatProject,
    CvatTask, CvatJob, CvatImage, CvatPull, CvatDifference,
]  # fmt: skip
OF_PROJECTS = [ImageAsset, Category, CvatConnection, *READ_ONLY]


def address(model, page="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def images(project, tmp_path):
    """Images of `project`, and a row of everything else."""
    found = scenes.load_scenes(project, tmp_path)
    for kind, model in ((Task.Kind.IMPORT, ImportJob), (Task.Kind.EXPORT, ExportJob)):
        model.objects.create(project=project, task=factories.make_task(project, kind))
    InsightView.objects.create(project=project, name="Cars", query={"q": "category:car"})
    factories.make_line(project, project_name=project.name)
    make_sent(project, found["a"])
    return found


def make_sent(project, image):
    """What an export to CVAT leaves."""
    CvatConnection.objects.create(project=project, url="https://cvat.example", token_sealed="x")
    there = CvatProject.objects.create(project=project, server="https://cvat.example", name="there", cvat_id=3)
    job = ExportJob.objects.get(project=project)
    task = CvatTask.objects.create(project=project, job=job, cvat_project=there, number=1, name="one", cvat_id=4)
    CvatJob.objects.create(project=project, task=task, cvat_id=5, start_frame=0, stop_frame=9)
    CvatImage.objects.create(project=project, task=task, asset=image, place=0, name="a.jpg", frame=2)
    pull = CvatPull.objects.create(project=project, job=job)
    CvatDifference.objects.create(
        project=project, job=job, pull=pull, cvat_task=task, kind="changed", key="12", frame=2, image_id=image.pk
    )


@pytest.fixture
def by_admin(admin):
    return browser_of(admin)


def test_every_model_has_a_page():
    registered = {model._meta.label_lower for model in admin.site._registry}
    models = {model._meta.label_lower for app in OURS for model in apps.get_app_config(app).get_models()}
    assert models - registered <= WITHOUT_A_PAGE


@pytest.mark.parametrize("model", [model for model in admin.site._registry], ids=lambda model: model._meta.label_lower)
def test_a_global_admin_can_open_and_search_every_list(by_admin, images, model):
    assert by_admin.get(address(model)).status_code == 200
    if admin.site._registry[model].search_fields:
        for text in ("x", "12", "\u00fc'%", "9" * 40):
            assert by_admin.get(address(model), {"q": text}).status_code == 200


@pytest.mark.parametrize("model", OF_PROJECTS, ids=lambda model: model._meta.label_lower)
def test_members_see_their_rows_and_strangers_do_not(images, project, model):
    row = model.objects.first()
    manager, stranger = staff(project, Role.MANAGER), staff(factories.make_project(), Role.MANAGER)
    assert row in browser_of(manager).get(address(model)).context["cl"].queryset
    assert browser_of(manager).get(address(model, "change", row.pk)).status_code == 200
    outside = browser_of(stranger)
    assert not outside.get(address(model)).context["cl"].queryset.exists()
    for page in ("change", "history", "delete"):
        assert outside.get(address(model, page, row.pk)).status_code in (302, 403, 404)


@pytest.mark.parametrize("model", OF_PROJECTS, ids=lambda model: model._meta.label_lower)
def test_staff_without_any_project_see_nothing(images, model):
    assert browser_of(staff(None, None)).get(address(model)).status_code == 403


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model._meta.label_lower)
def test_what_no_service_changes_is_read_only_even_for_global_admins(by_admin, images, model):
    row = model.objects.first()
    assert by_admin.get(address(model, "add")).status_code == 403
    assert by_admin.post(address(model, "change", row.pk), {"name": "x"}).status_code == 403
    assert by_admin.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    by_admin.post(address(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (ImageAsset, "project__owner__password__startswith"),
        (ImageAsset, "metadata__secret__contains"),
        (ImageAsset, "checksum__startswith"),
        (Annotation, "image__project__owner__email"),
        (ImportJob, "created_by__password__startswith"),
        (ExportJob, "task__created_by__password__startswith"),
        (InsightView, "saved_by__password"),
    ],
)
def test_lists_are_filtered_by_what_they_offer_only(by_admin, images, model, lookup):
    assert by_admin.get(address(model), {lookup: "a"}).status_code in (302, 400)


def test_filters_name_no_foreign_projects(images, project):
    stranger = staff(factories.make_project(name="Mine"), Role.CURATOR)
    page = browser_of(stranger).get(address(ImageAsset)).content.decode()
    assert project.name not in page
    assert not browser_of(stranger).get(address(ImageAsset), {"project": project.pk}).context["cl"].queryset.exists()


def test_views_kept_to_oneself_stay_so(by_admin, project, curator):
    InsightView.objects.create(project=project, name="Secret", saved_by=curator, shared=False)
    assert not by_admin.get(address(InsightView)).context["cl"].queryset.exists()


def test_lists_of_images_count_no_more_than_they_page_through(by_admin, images):
    for model in (ImageAsset, Annotation):
        with CaptureQueriesContext(connection) as queries:
            by_admin.get(address(model))
        counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"]]
        assert counts
        assert all("LIMIT 10000" in sql for sql in counts)


@pytest.mark.parametrize(("model", "most"), [(ImageAsset, 10), (Annotation, 10), (Category, 10), (ImportJob, 10)])
def test_a_list_costs_the_same_however_long(project, images, django_assert_max_num_queries, model, most):
    for _ in range(4):
        ImportJob.objects.create(project=project, task=factories.make_task(project))
    client = browser_of(staff(project, Role.CURATOR))
    with django_assert_max_num_queries(most):
        assert client.get(address(model)).status_code == 200


def test_no_page_runs_a_script_that_stands_in_it(by_admin, images, project):
    Project.objects.filter(pk=project.pk).update(name="<script>alert(1)</script>")
    ImageAsset.objects.filter(pk=images["a"].pk).update(file_name="<img src=x onerror=alert(1)>", tags=["<b>bold</b>"])
    Category.objects.filter(name="car").update(name="javascript:alert(1)", color="#ff0000")
    for model in OF_PROJECTS:
        page = by_admin.get(address(model)).content.decode()
        for bad in ("<script>alert", "<img src=x", "<b>bold", 'href="javascript:', " onerror=", "onclick="):
            assert bad not in page.replace("&lt;img src=x onerror=", "")
