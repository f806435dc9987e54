"""The workplace: who may open what, the home page, and what pages may load."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotations.models import ImportJob
from assets.models import ImageAsset
from cocohub import headers
from exports.models import ExportJob
from projects.models import Project, Role, Task
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff


def pages(project, images, jobs) -> list[str]:
    image = images["a"].pk
    names = (
        "images", "images/more", "images/facets", "images/complete", f"images/{image}", f"images/{image}/objects",
        "imports", f"imports/{jobs[0].pk}", "exports", f"exports/{jobs[1].pk}",
    )  # fmt: skip
    return [f"/admin/work/{project.pk}/{name}" for name in names]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CURATOR, Role.MANAGER])
def test_members_who_are_staff_open_every_page(project, images, jobs, role):
    client = browser_of(staff(project, role))
    assert {page: client.get(page).status_code for page in pages(project, images, jobs)} == dict.fromkeys(
        pages(project, images, jobs), 200
    )


def test_strangers_are_told_there_is_no_such_page(project, images, jobs):
    client = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert {client.get(page).status_code for page in pages(project, images, jobs)} == {404}


def test_who_may_not_use_the_admin_is_sent_to_its_login(project, images, jobs, curator):
    for client in (browser_of(None), browser_of(curator)):
        for page in pages(project, images, jobs):
            answer = client.get(page)
            assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (None, 404)])
def test_a_forged_post_changes_nothing(project, images, work, role, status):
    client = browser_of(staff(project, role) if role else staff(factories.make_project(), Role.MANAGER))
    image = images["a"]
    forged = {
        "images/bulk": {"ids": image.pk, "add_tags": "x", "apply": "1"},
        f"images/{image.pk}/edit": {"add_tags": "x"},
        "images/bulk/1/undo": {},
    }
    assert {client.post(work(page), form).status_code for page, form in forged.items()} == {status}
    image.refresh_from_db()
    assert image.tags == []


def test_curators_delete_no_images_and_start_no_exports(by_curator, images, work):
    form = {"ids": images["a"].pk, "delete": "1", "apply": "1"}
    assert by_curator.post(work("images/bulk"), form).status_code == 403
    by_curator.post(work("exports"), {"what": "json"})
    assert ImageAsset.objects.count() == 4
    assert not ExportJob.objects.exists()


def test_a_post_without_a_csrf_token_is_refused(project, images, work):
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff(project, Role.CURATOR))
    assert client.post(work("images/bulk"), {"all": "1", "add_tags": "x", "apply": "1"}).status_code == 403


def test_an_image_of_another_project_is_not_found(project, images, by_curator, tmp_path, work):
    other = scenes.load_scenes(factories.make_project(), tmp_path)["a"]
    for page in (f"images/{other.pk}", f"images/{other.pk}/objects"):
        assert by_curator.get(work(page)).status_code == 404
    by_curator.post(work(f"images/{other.pk}/edit"), {"add_tags": "x"})
    answer = by_curator.post(work("images/bulk"), {"ids": other.pk, "add_tags": "x", "apply": "1"})
    other.refresh_from_db()
    assert (answer.status_code, other.tags) == (400, [])


def test_home_shows_ones_projects_and_nobody_elses(project, images):
    page = browser_of(staff(project, Role.VIEWER)).get("/admin/").content.decode()
    outside = browser_of(staff(factories.make_project(name="Mine"), Role.MANAGER)).get("/admin/").content.decode()
    assert project.name in page
    assert project.name not in outside


def test_home_of_an_empty_installation_says_how_to_begin(db):
    page = browser_of(staff(None, None)).get("/admin/").content.decode()
    assert "Welcome to CocoHub" in page


def test_behind_ones_name_are_tokens_second_factor_and_password(by_curator):
    page = by_curator.get("/admin/").content.decode()
    for address in ("/admin/work/tokens", "/admin/work/second-factor", "/admin/password_change/"):
        assert f'href="{address}"' in page
        assert by_curator.get(address).status_code == 200


def test_a_project_is_made_on_the_home_page(db):
    client = browser_of(staff(None, None))
    answer = client.post("/admin/work/projects", {"name": "Boats"})
    assert answer["Location"] == f"/admin/work/{Project.objects.get(name='Boats').pk}/imports"
    assert client.post("/admin/work/projects", {"name": " "})["Location"] == "/admin/"


def test_home_tells_of_failures_until_the_same_was_done_since(project, by_curator):
    failed = factories.make_task(project, status=Task.Status.FAILED, message="The file ends too early.")
    ImportJob.objects.create(project=project, task=failed)
    assert "The file ends too early." in by_curator.get("/admin/").content.decode()
    factories.make_task(project, status=Task.Status.SUCCEEDED, created_at=timezone.now() + timedelta(seconds=1))
    assert "The file ends too early." not in by_curator.get("/admin/").content.decode()


def test_home_costs_the_same_for_many_projects(db, django_assert_max_num_queries):
    user = staff(None, None)
    for _ in range(12):
        factories.join(factories.make_project(), user, Role.CURATOR)
    client = browser_of(user)
    with django_assert_max_num_queries(13):
        assert client.get("/admin/").content.decode().count("cc-card-title") == 12


def test_bars_tell_of_ones_own_tasks_only(project, by_curator):
    mine, other = factories.make_task(project, done=1, total=4), factories.make_task()
    found = by_curator.get("/admin/work/tasks", {"id": [str(mine.pk), str(other.pk), "no-uuid"]}).json()["tasks"]
    assert [(task["id"], task["percent"], task["finished"]) for task in found] == [(str(mine.pk), 25, False)]


def test_a_task_is_cancelled_by_curators_of_its_project(project, by_curator):
    mine, other = factories.make_task(project), factories.make_task()
    for task in (mine, other):
        by_curator.post(f"/admin/work/tasks/{task.pk}/cancel", {})
        task.refresh_from_db()
    assert (mine.status, other.status) == ("cancelled", "queued")


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example/admin/", "/admin/\\evil", "javascript:alert(1)"]
)
def test_the_way_back_stays_in_the_admin(project, by_curator, to):
    task = factories.make_task(project)
    assert by_curator.post(f"/admin/work/tasks/{task.pk}/cancel", {"back": to})["Location"] == "/admin/"


def test_every_page_of_the_admin_has_the_policy(by_curator, project, images, jobs):
    for page in ("/admin/", "/admin/login/", "/admin/assets/imageasset/", *pages(project, images, jobs)):
        policy = by_curator.get(page)["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval';" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_no_page_has_scripts_or_handlers_in_it(by_curator, project, images, jobs):
    for page in ("/admin/", "/admin/assets/imageasset/", *pages(project, images, jobs)):
        text = by_curator.get(page).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)
        assert not re.search(r"<[^>]+\son(click|load|error|change|submit|focus)\s*=", text)


def test_pictures_may_come_from_where_links_lead(settings):
    settings.S3_BUCKET = "b"
    settings.S3_ENDPOINT = "http://minio:9000/"
    assert "img-src 'self' data: blob: http://minio:9000;" in headers.admin_policy()
