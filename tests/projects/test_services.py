"""Projects and teams: what is refused, what happens, and the line that it leaves."""

import pytest
from django.db import transaction

from accounts.errors import Conflict, Forbidden, NotFound, ServiceError
from projects import policies, services
from projects.models import AuditLog, Membership, Project, Role, Task
from tests import factories


def actions() -> list[str]:
    return list(AuditLog.objects.order_by("id").values_list("action", flat=True))


# --- Projects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b"])
def test_a_project_needs_a_name_that_can_be_stored(owner, name):
    with pytest.raises(ServiceError) as refusal:
        services.create_project(user=owner, name=name)
    assert set(refusal.value.fields) == {"name"}
    assert not Project.objects.exists()


def test_an_owner_has_one_project_of_a_name_in_any_case(owner, project):
    with pytest.raises(Conflict) as refusal:
        services.create_project(user=owner, name="STREET scenes ")
    assert set(refusal.value.fields) == {"name"}


def test_somebody_else_may_have_one_of_the_same_name(project, stranger):
    assert services.create_project(user=stranger, name=project.name).owner == stranger


def test_a_name_is_free_again_once_its_project_is_being_deleted(owner, project):
    services.delete_project(user=owner, project=project)
    services.create_project(user=owner, name=project.name)


def test_who_makes_a_project_owns_it(owner):
    project = services.create_project(user=owner, name=" New ", description="d", source="s")
    assert (project.name, project.status) == ("New", "ready")
    assert policies.role_in(owner, project) == Role.OWNER
    assert actions() == ["project.created"]


def test_a_locked_user_makes_nothing(owner):
    owner.is_active = False
    with pytest.raises(Forbidden):
        services.create_project(user=owner, name="x")


def test_curators_may_not_rename(project, curator):
    with pytest.raises(Forbidden):
        services.update_project(user=curator, project=project, name="x")


def test_an_update_says_what_was_and_what_is(project, manager):
    services.update_project(user=manager, project=project, name="Roads", description="")
    project.refresh_from_db()
    assert project.name == "Roads"
    assert AuditLog.objects.get().detail == {"changes": {"name": ["Street scenes", "Roads"]}}


def test_an_update_that_changes_nothing_leaves_no_line(project, owner):
    services.update_project(user=owner, project=project, name=project.name)
    assert actions() == []


def test_renaming_to_a_name_one_has_is_a_conflict(project, owner):
    other = factories.make_project(owner)
    with pytest.raises(Conflict):
        services.update_project(user=owner, project=other, name="street SCENES")


def test_only_the_owner_deletes(project, manager):
    with pytest.raises(Forbidden):
        services.delete_project(user=manager, project=project)


def test_deleting_hides_the_project_stops_its_tasks_and_leaves_the_rows_to_a_worker(project, owner):
    waiting = factories.make_task(project)
    running = factories.make_task(project, status=Task.Status.RUNNING)
    task = services.delete_project(user=owner, project=project)
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert (task.kind, task.status) == ("delete_project", "queued")
    assert (waiting.status, running.status, running.cancel_requested) == ("cancelled", "running", True)
    assert Project.objects.filter(pk=project.pk, deleting=True).exists()
    assert not Project.objects.visible_to(owner).exists()
    assert list(Task.objects.visible_to(owner)) == [task]
    assert actions() == ["project.deleted"]


def test_deleting_twice_makes_one_task(project, owner):
    stale = Project.objects.get(pk=project.pk)
    services.delete_project(user=owner, project=project)
    with pytest.raises(NotFound):
        services.delete_project(user=owner, project=stale)
    assert Task.objects.count() == 1


# --- Members ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(db):
    return factories.make_user("new@example.com")


def test_a_curator_adds_nobody(project, curator, newcomer):
    with pytest.raises(Forbidden):
        services.add_member(user=curator, project=project, email=newcomer.email, role=Role.VIEWER)


def test_a_stranger_is_told_there_is_no_project(project, stranger, newcomer):
    with pytest.raises(NotFound):
        services.add_member(user=stranger, project=project, email=newcomer.email, role=Role.VIEWER)


@pytest.mark.parametrize("email", ["ghost@example.com", "locked@example.com", ""])
def test_only_active_users_join(project, owner, email):
    factories.make_user("locked@example.com", is_active=False)
    with pytest.raises(ServiceError) as refusal:
        services.add_member(user=owner, project=project, email=email, role=Role.VIEWER)
    assert set(refusal.value.fields) == {"email"}


@pytest.mark.parametrize("who", ["owner", "manager", "admin"])
def test_nobody_grants_ownership(project, newcomer, who, request):
    with pytest.raises(Forbidden):
        services.add_member(user=request.getfixturevalue(who), project=project, email=newcomer.email, role=Role.OWNER)


def test_a_manager_adds_up_to_a_manager(project, manager, newcomer):
    made = services.add_member(user=manager, project=project, email="NEW@example.com", role=Role.MANAGER)
    assert (made.user, made.role) == (newcomer, Role.MANAGER)
    line = AuditLog.objects.get()
    assert (line.action, line.detail) == ("member.added", {"member": "new@example.com", "role": "manager"})


def test_nobody_joins_twice(project, owner, curator):
    with pytest.raises(Conflict, match="already, as curator"):
        services.add_member(user=owner, project=project, email=curator.email, role=Role.MANAGER)


def test_the_owner_can_neither_be_demoted_nor_removed(project, owner, manager):
    membership = Membership.objects.get(user=owner)
    with pytest.raises(Conflict):
        services.change_role(user=manager, membership=membership, role=Role.VIEWER)
    with pytest.raises(Conflict):
        services.remove_member(user=owner, membership=membership)
    assert policies.role_in(owner, project) == Role.OWNER


def test_nobody_is_promoted_to_owner(project, owner, curator):
    with pytest.raises(Forbidden):
        services.change_role(user=owner, membership=Membership.objects.get(user=curator), role=Role.OWNER)


def test_a_manager_changes_roles_and_removes_members(project, manager, curator):
    membership = Membership.objects.get(user=curator)
    services.change_role(user=manager, membership=membership, role=Role.VIEWER)
    assert policies.role_in(curator, project) == Role.VIEWER
    services.remove_member(user=manager, membership=membership)
    assert policies.role_in(curator, project) is None
    with pytest.raises(NotFound):
        services.remove_member(user=manager, membership=membership)
    assert actions() == ["member.changed", "member.removed"]


def test_only_the_owner_hands_the_project_over(project, manager, newcomer):
    with pytest.raises(Forbidden):
        services.transfer_ownership(user=manager, project=project, email=newcomer.email)


def test_a_transfer_makes_one_owner_of_another(project, owner, curator):
    services.transfer_ownership(user=owner, project=project, email=curator.email)
    project.refresh_from_db()
    assert project.owner == curator
    assert policies.role_in(curator, project) == Role.OWNER
    assert policies.role_in(owner, project) == Role.MANAGER
    assert AuditLog.objects.get().detail == {"owner": [owner.email, curator.email]}


def test_a_transfer_to_who_has_a_project_of_the_name_changes_nothing(project, owner, newcomer):
    factories.make_project(newcomer, name=project.name)
    with pytest.raises(Conflict), transaction.atomic():
        services.transfer_ownership(user=owner, project=project, email=newcomer.email)
    assert policies.role_in(owner, project) == Role.OWNER


def test_a_transfer_to_oneself_is_a_conflict(project, owner):
    with pytest.raises(Conflict):
        services.transfer_ownership(user=owner, project=project, email=owner.email)
