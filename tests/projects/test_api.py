"""The API of projects, members, tasks and the audit trail."""

import json
import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from projects.models import AuditLog, Membership, Project, Role, Task
from tests import factories

PROJECTS = "/api/v1/projects"


@pytest.fixture
def address(project) -> str:
    return f"{PROJECTS}/{project.pk}"


# --- Projects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": []}, "name"),
    ],
)
def test_a_project_that_cannot_be_names_the_field(as_owner, body, at_fault):
    answer = as_owner.post(PROJECTS, body)
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == {at_fault}


def test_what_clients_do_not_set_is_ignored(as_owner, owner, stranger):
    injected = {"owner": stranger.pk, "role": "viewer", "status": "failed", "revision": 9, "id": 1, "deleting": True}
    answer = as_owner.post(PROJECTS, {"name": "New", **injected})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {
        *("id", "name", "description", "source", "status", "owner", "role", "revision", "created_at", "updated_at")
    }
    assert body["owner"] == {"id": owner.pk, "email": owner.email, "name": owner.name}
    assert (body["role"], body["status"], body["revision"]) == ("owner", "ready", 0)
    assert body["created_at"].endswith("Z")
    assert not Project.objects.get(pk=body["id"]).deleting


def test_a_name_one_has_already_is_a_conflict(as_owner, project):
    answer = as_owner.post(PROJECTS, {"name": project.name.upper()})
    assert answer.status_code == 409
    assert set(answer.json()["fieldErrors"]) == {"name"}


def test_the_list_holds_ones_own_projects_with_ones_role(as_curator, project, stranger, django_assert_num_queries):
    for _ in range(3):
        factories.make_project()
    with django_assert_num_queries(2):
        body = as_curator.get(PROJECTS).json()
    assert [(item["id"], item["role"]) for item in body["results"]] == [(project.pk, "curator")]


def test_a_global_admin_sees_all(as_admin, project, stranger):
    body = as_admin.get(PROJECTS).json()
    assert len(body["results"]) == 2
    assert {item["role"] for item in body["results"]} == {"owner"}


def test_the_list_can_be_searched_and_narrowed(as_owner, owner, project):
    factories.make_project(owner, name="Boats", description="100% of streets_", status="importing")

    def names(**query):
        return [item["name"] for item in as_owner.get(PROJECTS, query).json()["results"]]

    assert names(search="STREET") == ["Boats", project.name]
    assert names(search="scenes") == [project.name]
    assert names(search="0%") == ["Boats"]
    assert names(search="_x") == []
    assert names(status="importing") == ["Boats"]
    assert names(search="'; DROP TABLE--") == []


@pytest.mark.parametrize("query", [{"status": "nonsense"}, {"search": "a\0b"}, {"search": "x" * 201}])
def test_a_filter_that_cannot_be_names_itself(as_owner, query):
    answer = as_owner.get(PROJECTS, query)
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == set(query)


def test_reading_costs_two_queries(as_viewer, address, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert as_viewer.get(address).json()["role"] == "viewer"


def test_managers_rename_and_curators_do_not(as_manager, as_curator, address):
    assert as_curator.patch(address, {"name": "x"}).status_code == 403
    answer = as_manager.patch(address, {"description": "new", "owner": 1, "role": "owner"})
    assert (answer.status_code, answer.json()["description"], answer.json()["role"]) == (200, "new", "manager")


def test_putting_is_not_a_thing(as_owner, address):
    answer = as_owner.put(address, {"name": "x"})
    assert answer.status_code == 405
    assert "PUT" not in answer["Allow"]


def test_deleting_answers_with_the_task_to_follow(as_owner, as_manager, as_admin, address):
    assert as_manager.delete(address).status_code == 403
    answer = as_owner.delete(address)
    assert answer.status_code == 202
    assert as_owner.get(address).status_code == 404
    assert as_owner.get(answer["Location"]).json()["kind"] == "delete_project"
    assert as_admin.get(answer["Location"]).status_code == 200
    assert as_manager.get(answer["Location"]).status_code == 404


def test_the_owner_hands_the_project_over(as_owner, as_manager, curator, address):
    assert as_manager.post(f"{address}/transfer", {"email": curator.email}).status_code == 403
    body = as_owner.post(f"{address}/transfer", {"email": curator.email}).json()
    assert (body["owner"]["email"], body["role"]) == (curator.email, "manager")


# --- Members ----------------------------------------------------------------------------------------------------------


def test_members_see_the_team_and_managers_change_it(as_viewer, as_manager, address, django_assert_num_queries):
    with django_assert_num_queries(3):
        team = as_viewer.get(f"{address}/members").json()["results"]
    assert [(item["user"]["email"], item["role"]) for item in team] == [
        ("owner@example.com", "owner"),
        ("manager@example.com", "manager"),
        ("viewer@example.com", "viewer"),
    ]
    factories.make_user("new@example.com")
    answer = as_manager.post(f"{address}/members", {"email": "new@example.com", "role": "editor"})
    assert (answer.status_code, answer.json()["role"]) == (201, "curator")
    one = f"{address}/members/{answer.json()['id']}"
    assert as_manager.patch(one, {"role": "viewer", "user": 1}).json()["role"] == "viewer"
    assert as_manager.delete(one).status_code == 204
    assert as_manager.get(one).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "at_fault"),
    [
        ({"email": "x@example.com", "role": "boss"}, 400, "role"),
        ({"email": "x@example.com", "role": None}, 400, "role"),
        ({"email": "x@example.com", "role": 40}, 400, "role"),
        ({"email": "x@example.com", "role": "owner"}, 403, "role"),
        ({"email": "ghost@example.com", "role": "viewer"}, 400, "email"),
        ({"email": "not an email", "role": "viewer"}, 400, "email"),
        ({"email": "curator@example.com", "role": "viewer"}, 409, "email"),
    ],
)
def test_a_member_who_cannot_be_names_the_field(as_manager, curator, address, body, status, at_fault):
    factories.make_user("x@example.com")
    answer = as_manager.post(f"{address}/members", body)
    assert answer.status_code == status
    assert set(answer.json()["fieldErrors"]) == {at_fault}


def test_a_member_of_another_project_is_out_of_reach(as_owner, address):
    elsewhere = factories.join(factories.make_project())
    for method in (as_owner.get, as_owner.delete):
        assert method(f"{address}/members/{elsewhere.pk}").status_code == 404
    assert as_owner.patch(f"{address}/members/{elsewhere.pk}", {"role": "viewer"}).status_code == 404
    assert Membership.objects.filter(pk=elsewhere.pk).exists()


def test_the_owner_stays(as_manager, owner, address):
    one = f"{address}/members/{Membership.objects.get(user=owner).pk}"
    assert as_manager.delete(one).status_code == 409
    assert as_manager.patch(one, {"role": "viewer"}).status_code == 409


def test_a_member_leaves_and_is_out_at_once(as_viewer, viewer, address):
    assert as_viewer.post(f"{address}/members/leave").status_code == 204
    assert as_viewer.get(address).status_code == 404
    assert as_viewer.post(f"{address}/members/leave").status_code == 404
    line = AuditLog.objects.get(action="member.left")
    assert (line.actor, line.detail) == (viewer.email, {"member": viewer.email, "role": "viewer"})


def test_the_owner_leaves_only_after_a_transfer(as_owner, as_manager, manager, owner, address):
    assert as_owner.post(f"{address}/members/leave").status_code == 409
    as_owner.post(f"{address}/transfer", {"email": manager.email})
    assert as_owner.post(f"{address}/members/leave").status_code == 204
    assert not Membership.objects.filter(user=owner).exists()


def test_who_is_no_member_has_nothing_to_leave(as_admin, as_stranger, address):
    for client in (as_admin, as_stranger):
        assert client.post(f"{address}/members/leave").status_code == 404


def test_members_do_not_raise_their_own_role(as_curator, curator, address):
    one = f"{address}/members/{Membership.objects.get(user=curator).pk}"
    assert as_curator.patch(one, {"role": "manager"}).status_code == 403
    assert as_curator.delete(one).status_code == 403  # that is `leave`


def test_a_stale_change_of_a_member_is_refused(as_manager, as_owner, viewer, address):
    one = f"{address}/members/{Membership.objects.get(user=viewer).pk}"
    seen = as_manager.get(one)["ETag"]
    assert as_manager.get(one, HTTP_IF_NONE_MATCH=seen).status_code == 304
    newer = as_owner.patch(one, {"role": "curator"}, HTTP_IF_MATCH=seen)
    assert (newer.status_code, newer["ETag"] == seen) == (200, False)
    for stale in (
        as_manager.patch(one, {"role": "viewer"}, HTTP_IF_MATCH=seen),
        as_manager.delete(one, HTTP_IF_MATCH=seen),
        as_manager.delete(one, HTTP_IF_MATCH="nothing of ours"),
    ):
        assert stale.status_code == 412
    assert Membership.objects.get(user=viewer).role == Role.CURATOR
    assert as_manager.delete(one, HTTP_IF_MATCH=newer["ETag"]).status_code == 204


# --- Tasks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(project, curator):
    return factories.make_task(project, status="running", phase="rows", done=1, total=3, created_by=curator)


def test_a_task_is_read_by_members_only(as_viewer, as_stranger, as_nobody, task, django_assert_num_queries):
    one = f"/api/v1/tasks/{task.pk}"
    assert as_nobody.get(one).status_code == 401
    assert as_stranger.get(one).status_code == 404
    assert as_viewer.get(f"/api/v1/tasks/{uuid.uuid4()}").status_code == 404
    assert as_viewer.get("/api/v1/tasks/junk").status_code == 404
    with django_assert_num_queries(2):
        body = as_viewer.get(one).json()
    assert (body["status"], body["phase"], body["done"], body["total"], body["percent"]) == (
        "running",
        "rows",
        1,
        3,
        33,
    )
    assert body["log"] is None
    assert body["project"] == task.project_id


def test_a_projects_tasks_are_listed_newest_first(as_viewer, address, task, project, django_assert_num_queries):
    newer = factories.make_task(project, Task.Kind.EXPORT)
    factories.make_task()
    with django_assert_num_queries(3):
        body = as_viewer.get(f"{address}/tasks").json()
    assert [item["id"] for item in body["results"]] == [str(newer.pk), str(task.pk)]
    only = as_viewer.get(f"{address}/tasks", {"kind": "import", "status": "running"}).json()["results"]
    assert [item["id"] for item in only] == [str(task.pk)]


def test_curators_cancel_and_retry_and_viewers_do_not(as_curator, as_viewer, as_stranger, task):
    one = f"/api/v1/tasks/{task.pk}"
    for what in ("cancel", "retry"):
        assert as_viewer.post(f"{one}/{what}").status_code == 403
        assert as_stranger.post(f"{one}/{what}").status_code == 404
    assert as_curator.post(f"{one}/retry").status_code == 409
    assert as_curator.post(f"{one}/cancel").json()["cancel_requested"] is True
    Task.objects.filter(pk=task.pk).update(status="failed")
    answer = as_curator.post(f"{one}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


def test_a_failed_tasks_log_is_the_address_of_its_report(as_viewer, as_stranger, as_nobody, task):
    key = default_storage.save(f"logs/{task.pk}.json", ContentFile(json.dumps({"message": "no"}).encode()))
    Task.objects.filter(pk=task.pk).update(status="failed", log=key)
    log = as_viewer.get(f"/api/v1/tasks/{task.pk}").json()["log"]
    assert log == f"http://testserver/api/v1/tasks/{task.pk}/log"
    answer = as_viewer.get(log)
    assert answer["Content-Type"] == "application/json"
    assert json.loads(b"".join(answer.streaming_content)) == {"message": "no"}
    assert as_stranger.get(log).status_code == 404
    assert as_nobody.get(log).status_code == 401


@pytest.mark.parametrize("log", ["", "logs/gone.json"])
def test_a_report_there_is_not_gets_404(as_viewer, task, log):
    Task.objects.filter(pk=task.pk).update(log=log)
    assert as_viewer.get(f"/api/v1/tasks/{task.pk}/log").status_code == 404


# --- The audit trail --------------------------------------------------------------------------------------------------


def test_the_trail_is_for_managers(as_curator, as_manager, address):
    assert as_curator.get(f"{address}/audit").status_code == 403
    assert as_manager.get(f"{address}/audit").status_code == 200


def test_the_trail_holds_the_projects_lines_and_can_be_narrowed(
    as_owner, owner, project, address, django_assert_num_queries
):
    factories.make_line(project, "member.added", user=owner, actor=owner.email)
    factories.make_line(project, "member.removed", created_at=timezone.now() - timedelta(days=9))
    factories.make_line(project, "membership", actor="ghost@example.com")
    factories.make_line(factories.make_project(), "member.added")

    def actions(**query):
        return [line["action"] for line in as_owner.get(f"{address}/audit", query).json()["results"]]

    with django_assert_num_queries(3):
        assert actions() == ["membership", "member.removed", "member.added"]
    assert actions(action="member") == ["member.removed", "member.added"]
    assert actions(action="member.added") == ["member.added"]
    assert actions(user=owner.pk) == ["member.added"]
    assert actions(actor="GHOST@example.com") == ["membership"]
    week = (timezone.now() - timedelta(days=7)).isoformat()
    assert actions(before=week) == ["member.removed"]
    assert actions(after=week) == ["membership", "member.added"]


@pytest.mark.parametrize(
    "query", [{"user": "x"}, {"user": "1e400"}, {"user": 10**30}, {"user": 1.5}, {"after": "soon"}]
)
def test_a_nonsensical_filter_of_the_trail_is_refused(as_owner, address, query):
    answer = as_owner.get(f"{address}/audit", query)
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == set(query)


def test_lines_cannot_be_written_or_changed(as_owner, address, project):
    line = factories.make_line(project)
    assert as_owner.post(f"{address}/audit", {}).status_code == 405
    assert as_owner.delete(f"{address}/audit/{line.pk}").status_code == 404
    assert AuditLog.objects.filter(pk=line.pk).exists()


def test_a_change_over_the_api_leaves_a_line_with_the_request(as_owner, address):
    as_owner.patch(address, {"name": "Other"}, HTTP_X_REQUEST_ID="abc-1")
    line = AuditLog.objects.get(action="project.updated")
    assert (line.door, line.request_id, line.actor) == ("api", "abc-1", "owner@example.com")


def test_role_names_cover_every_role():
    assert {role.slug for role in Role} == {"viewer", "curator", "manager", "owner"}
