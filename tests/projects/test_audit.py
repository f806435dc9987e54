"""The trail of writes."""

import uuid

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.context import entering
from projects import audit
from projects.models import AuditLog
from tests import factories


def test_a_line_says_who_what_where_and_by_which_door(owner, project):
    with entering("command", request="r-1"):
        line = audit.record(owner, project, "member.added", member="x@example.com")
    line.refresh_from_db()
    assert (line.user, line.actor, line.project, line.project_name) == (owner, owner.email, project, project.name)
    assert (line.action, line.detail) == ("member.added", {"member": "x@example.com"})
    assert (line.door, line.request_id) == ("command", "r-1")


def test_detail_takes_ids_and_times(owner, project):
    number = uuid.uuid4()
    line = audit.record(owner, project, "import.started", job=number, at=timezone.now())
    line.refresh_from_db()
    assert line.detail["job"] == str(number)


def test_the_line_goes_with_its_change(owner, project):
    def change():
        with transaction.atomic():
            audit.record(owner, project, "project.updated")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert not AuditLog.objects.exists()


def test_lines_outlive_their_user_and_project(project, curator):
    line = audit.record(curator, project, "project.updated")
    curator.delete()
    project.delete()
    line.refresh_from_db()
    assert (line.user, line.project) == (None, None)
    assert (line.actor, line.project_name) == ("curator@example.com", "Street scenes")


def test_an_actor_who_is_no_user_is_kept_as_typed_within_bounds(db):
    line = audit.record(None, None, "auth.login_failed", actor="x\0" + "y" * 400)
    assert line.actor == "x" + "y" * 253


def test_lines_of_no_project_are_for_global_admins(owner, admin, project):
    factories.make_line(None, "auth.login")
    factories.make_line(project)
    assert AuditLog.objects.visible_to(owner).count() == 1
    assert AuditLog.objects.visible_to(admin).count() == 2
