"""CVAT in the admin: credentials written and never shown, exports steered by who may."""

import pytest
from django.urls import reverse

from accounts import sealing
from exports import connecting
from exports.models import CvatConnection, ExportJob
from projects.models import AuditLog, Role, Task
from tests import factories
from tests.workplace.browsing import browser_of, staff

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/exports/cvatconnection/"
EXPORTS = "/admin/exports/exportjob/"


@pytest.fixture
def by_manager(project):
    return browser_of(staff(project, Role.MANAGER))


def form(project, **given) -> dict:
    return {"project": project.pk, "url": "", "token": "", "scheme": "Bearer", "organization": "", **given}


def test_credentials_are_checked_sealed_and_never_shown(project, cvat, by_manager):
    assert by_manager.post(f"{LIST}add/", form(project, token=cvat.token)).status_code == 302
    row = CvatConnection.objects.get()
    assert sealing.unseal(row.token_sealed) == cvat.token
    assert row.username == "admin"
    page = by_manager.get(reverse("admin:exports_cvatconnection_change", args=[row.pk])).content.decode()
    assert cvat.token not in page
    assert row.token_sealed not in page
    assert AuditLog.objects.filter(project=project, action="cvat.connected", door="admin").exists()


def test_an_empty_token_keeps_the_stored_one(project, cvat, by_manager, owner):
    row = connecting.save_connection(user=owner, project=project, token=cvat.token)
    by_manager.post(reverse("admin:exports_cvatconnection_change", args=[row.pk]), form(project))
    row.refresh_from_db()
    assert sealing.unseal(row.token_sealed) == cvat.token
    assert row.saved_by != owner


def test_what_cvat_does_not_accept_is_told_and_not_saved(project, cvat, by_manager):
    answer = by_manager.post(f"{LIST}add/", form(project, token="wrong"), follow=True)
    assert "does not accept the token" in answer.content.decode()
    assert not CvatConnection.objects.exists()


def test_credentials_can_be_asked_about_and_forgotten(project, cvat, by_manager, owner):
    row = connecting.save_connection(user=owner, project=project, token=cvat.token)
    answer = by_manager.post(LIST, {"action": "ask_cvat", "_selected_action": [row.pk]}, follow=True)
    assert "CVAT 2.54.1, as admin." in answer.content.decode()
    by_manager.post(reverse("admin:exports_cvatconnection_delete", args=[row.pk]), {"post": "yes"})
    assert not CvatConnection.objects.exists()
    assert AuditLog.objects.filter(project=project, action="cvat.disconnected").exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CURATOR, None])
def test_who_is_no_manager_sees_and_changes_no_credentials(project, cvat, owner, role):
    row = connecting.save_connection(user=owner, project=project, token=cvat.token)
    user = staff(project, role) if role else staff(factories.make_project(), Role.MANAGER)
    browser = browser_of(user)
    change = reverse("admin:exports_cvatconnection_change", args=[row.pk])
    assert browser.get(change).status_code in (302, 403, 404)
    browser.post(change, form(project, token="stolen"))
    browser.post(f"{LIST}add/", form(project, token=cvat.token))
    browser.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert sealing.unseal(CvatConnection.objects.get().token_sealed) == cvat.token


def test_exports_are_cancelled_and_taken_up_again_by_managers_only(scene, cvat, start):
    job = start(scene)
    curator, manager = (browser_of(staff(scene, role)) for role in (Role.CURATOR, Role.MANAGER))

    def act(browser, action):
        browser.post(EXPORTS, {"action": action, "_selected_action": [job.pk]})
        return ExportJob.objects.get(pk=job.pk).task.status

    assert act(curator, "cancel") == Task.Status.QUEUED
    assert act(manager, "cancel") == Task.Status.CANCELLED
    assert act(manager, "retry") == Task.Status.QUEUED
