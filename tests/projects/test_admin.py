"""The admin of projects: curators see their own, may do what their role allows, and every change is a service's."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from projects import admin_base
from projects.models import AuditLog, Membership, Project, Role, Task
from tests import factories


def browser_of(user) -> Client:
    """A logged-in browser of a user who may use the admin."""
    type(user).objects.filter(pk=user.pk).update(is_staff=True)
    user.refresh_from_db()
    client = Client()
    client.force_login(user)
    return client


def address(model, what="changelist", *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def messages_of(answer) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.fixture
def by_owner(owner):
    return browser_of(owner)


@pytest.fixture
def by_curator(curator):
    return browser_of(curator)


@pytest.fixture
def by_manager(manager):
    return browser_of(manager)


@pytest.fixture
def by_stranger(stranger):
    return browser_of(stranger)


@pytest.fixture
def by_admin(admin):
    return browser_of(admin)


# --- Who sees what ----------------------------------------------------------------------------------------------------


def test_users_who_are_no_staff_are_sent_to_the_login(curator, project):
    client = Client()
    client.force_login(curator)
    answer = client.get(address(Project))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_staff_without_a_project_see_a_page_and_may_begin(db):
    client = browser_of(factories.make_user())
    assert "Projects" in client.get("/admin/").content.decode()
    assert client.get(address(Project)).status_code == 200
    assert client.get(address(Project, "add")).status_code == 200
    assert client.get(address(Task)).status_code == 403


def test_curators_see_their_own_projects_only(by_curator, by_stranger, by_admin, project):
    assert project.name in by_curator.get(address(Project)).content.decode()
    assert "Elsewhere" not in by_curator.get(address(Project)).content.decode()
    assert project.name not in by_stranger.get(address(Project)).content.decode()
    everything = by_admin.get(address(Project)).content.decode()
    assert project.name in everything
    assert "Elsewhere" in everything


@pytest.mark.parametrize("what", ["change", "delete", "history"])
def test_a_strangers_address_leads_nowhere(by_stranger, project, what):
    assert by_stranger.get(address(Project, what, project.pk)).status_code in (302, 403, 404)


def test_the_list_costs_the_same_for_many_projects(by_owner, owner, project, django_assert_max_num_queries):
    for _ in range(8):
        factories.join(factories.make_project(owner), role=Role.VIEWER)
    with django_assert_max_num_queries(8):
        by_owner.get(address(Project))


def test_projects_can_be_searched(by_owner, owner, project):
    factories.make_project(owner, name="Boats")
    found = by_owner.get(address(Project), {"q": "boat"}).context["cl"].result_list
    assert [row.name for row in found] == ["Boats"]


@pytest.mark.parametrize(
    "lookup", ["owner__password__startswith", "owner__email", "memberships__user__password__contains"]
)
def test_lookups_into_other_tables_are_refused(by_owner, project, lookup):
    answer = by_owner.get(address(Project), {lookup: "x"})
    assert answer.status_code in (302, 400)
    assert project.name not in answer.content.decode()


def test_the_filter_by_project_names_only_ones_own(by_curator, project, stranger):
    page = by_curator.get(address(Membership)).content.decode()
    assert project.name in page
    assert "Elsewhere" not in page


def test_a_list_can_be_narrowed_to_a_project(by_curator, curator, task_of):
    next_door = factories.make_project()
    factories.join(next_door, curator)
    other = factories.make_task(next_door)
    page = by_curator.get(address(Task), {"project": next_door.pk})
    assert page.status_code == 200
    assert [task.pk for task in page.context["cl"].result_list] == [other.pk]


@pytest.mark.parametrize("value", ["junk", "-1", "9" * 40, "1 OR 1=1"])
def test_a_nonsensical_project_in_the_filter_shows_nothing(by_curator, task_of, value):
    answer = by_curator.get(address(Task), {"project": value})
    assert answer.status_code in (200, 302)
    if answer.status_code == 200:
        assert str(task_of.pk) not in answer.content.decode()


@pytest.fixture
def task_of(project):
    return factories.make_task(project)


# --- Projects ---------------------------------------------------------------------------------------------------------


def test_curators_read_but_do_not_change(by_curator, project):
    page = by_curator.get(address(Project, "change", project.pk))
    assert page.status_code == 200
    answer = by_curator.post(address(Project, "change", project.pk), {"name": "Mine now"})
    assert answer.status_code == 403
    project.refresh_from_db()
    assert project.name == "Street scenes"


def test_managers_change_by_the_service(by_manager, project, stranger):
    form = {"name": "Roads", "description": "d", "source": "", "owner": stranger.pk, "status": "failed", "revision": 99}
    answer = by_manager.post(address(Project, "change", project.pk), form)
    assert answer.status_code == 302
    project.refresh_from_db()
    assert (project.name, project.description) == ("Roads", "d")
    assert (project.owner.email, project.status, project.revision) == ("owner@example.com", "ready", 0)
    assert AuditLog.objects.get(action="project.updated").door == "admin"


def test_a_new_project_belongs_to_who_makes_it(by_curator, curator):
    answer = by_curator.post(address(Project, "add"), {"name": "Second", "description": "", "source": ""})
    assert answer.status_code == 302
    made = Project.objects.get(name="Second")
    assert made.owner == curator
    assert Membership.objects.get(project=made).role == Role.OWNER


def test_what_the_service_refuses_is_said_on_the_page(by_owner, project):
    form = {"name": project.name.upper(), "description": "", "source": ""}
    answer = by_owner.post(address(Project, "add"), form, follow=True)
    assert answer.status_code == 200
    assert "already has a project of this name" in messages_of(answer)
    assert Project.objects.count() == 1


def test_only_the_owner_deletes_and_a_worker_does_it(by_manager, by_owner, project, django_assert_max_num_queries):
    target = address(Project, "delete", project.pk)
    assert by_manager.post(target, {"post": "yes"}).status_code == 403
    with django_assert_max_num_queries(8):
        assert "with everything in it" in by_owner.get(target).content.decode()
    assert by_owner.post(target, {"post": "yes"}).status_code == 302
    project.refresh_from_db()
    assert project.deleting
    assert Task.objects.get().kind == Task.Kind.DELETE_PROJECT


def test_a_forged_deletion_by_action_is_refused(by_manager, project):
    form = {"action": "delete_selected", "_selected_action": [project.pk], "post": "yes"}
    by_manager.post(address(Project), form)
    project.refresh_from_db()
    assert not project.deleting


def test_an_action_on_somebody_elses_project_finds_nothing(by_stranger, project):
    form = {"action": "delete_selected", "_selected_action": [project.pk], "post": "yes"}
    by_stranger.post(address(Project), form)
    project.refresh_from_db()
    assert not project.deleting


def test_html_in_names_is_escaped(by_owner, owner):
    factories.make_project(owner, name="<script>alert(1)</script>")
    assert "<script>alert(1)" not in by_owner.get(address(Project)).content.decode()


# --- Members ----------------------------------------------------------------------------------------------------------


def test_managers_add_by_email_and_see_no_list_of_users(by_manager, project):
    factories.make_user("new@example.com")
    page = by_manager.get(address(Membership, "add")).content.decode()
    assert "new@example.com" not in page
    assert "Elsewhere" not in page
    form = {"project": project.pk, "email": "new@example.com", "role": Role.CURATOR.value}
    assert by_manager.post(address(Membership, "add"), form).status_code == 302
    assert Membership.objects.get(user__email="new@example.com").role == Role.CURATOR


@pytest.mark.parametrize("role", [Role.OWNER.value, 99])
def test_a_role_one_may_not_grant_is_no_choice(by_manager, project, role):
    factories.make_user("new@example.com")
    form = {"project": project.pk, "email": "new@example.com", "role": role}
    answer = by_manager.post(address(Membership, "add"), form)
    assert answer.status_code == 200
    assert not Membership.objects.filter(user__email="new@example.com").exists()


def test_nobody_is_added_to_a_project_one_does_not_manage(by_curator, by_manager, project, stranger):
    factories.make_user("new@example.com")
    assert by_curator.get(address(Membership, "add")).status_code == 403
    elsewhere = Project.objects.get(owner=stranger)
    form = {"project": elsewhere.pk, "email": "new@example.com", "role": Role.VIEWER.value}
    assert by_manager.post(address(Membership, "add"), form).status_code == 200
    assert not Membership.objects.filter(user__email="new@example.com").exists()


def test_a_role_is_changed_in_place_and_nothing_else_is(by_manager, viewer, stranger, project):
    membership = Membership.objects.get(user=viewer)
    elsewhere = Project.objects.get(owner=stranger)
    form = {"role": Role.CURATOR.value, "project": elsewhere.pk, "user": stranger.pk}
    by_manager.post(address(Membership, "change", membership.pk), form)
    membership.refresh_from_db()
    assert (membership.role, membership.user, membership.project) == (Role.CURATOR, viewer, project)


def test_the_owner_stays_whatever_is_ticked(by_manager, owner, viewer, project):
    ticked = list(Membership.objects.filter(user__in=[owner, viewer]).values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": ticked, "post": "yes"}
    answer = by_manager.post(address(Membership), form, follow=True)
    assert "transfer the ownership" in messages_of(answer)
    assert Membership.objects.filter(project=project, user=owner).exists()


def test_managing_one_project_gives_nothing_in_the_next(by_manager, manager, viewer):
    next_door = factories.make_project()
    factories.join(next_door, manager, Role.VIEWER)
    theirs = factories.join(next_door)
    form = {"action": "delete_selected", "_selected_action": [theirs.pk], "post": "yes"}
    by_manager.post(address(Membership), form)
    by_manager.post(address(Membership, "delete", theirs.pk), {"post": "yes"})
    assert Membership.objects.filter(pk=theirs.pk).exists()


def test_a_viewer_leaves_by_deleting_the_own_membership_and_no_other(viewer, project, curator):
    mine, other = (Membership.objects.get(project=project, user=user) for user in (viewer, curator))
    browser = browser_of(viewer)
    assert browser.post(address(Membership, "delete", other.pk), {"post": "yes"}).status_code == 403
    assert browser.post(address(Membership, "delete", mine.pk), {"post": "yes"}).status_code == 302
    assert list(Membership.objects.filter(pk__in=(mine.pk, other.pk))) == [other]


# --- Tasks and the trail ----------------------------------------------------------------------------------------------


def test_tasks_are_looked_at_and_steered_not_edited(by_curator, task_of):
    assert by_curator.get(address(Task)).status_code == 200
    assert by_curator.get(address(Task, "change", task_of.pk)).status_code == 200
    assert by_curator.post(address(Task, "change", task_of.pk), {"status": "succeeded"}).status_code == 403
    assert by_curator.get(address(Task, "add")).status_code == 403
    by_curator.post(address(Task), {"action": "cancel", "_selected_action": [task_of.pk]})
    task_of.refresh_from_db()
    assert task_of.status == "cancelled"


def test_a_viewer_steers_nothing(viewer, task_of):
    answer = browser_of(viewer).post(address(Task), {"action": "cancel", "_selected_action": [task_of.pk]}, follow=True)
    assert "needs a curator" in messages_of(answer)
    task_of.refresh_from_db()
    assert task_of.status == "queued"


def test_the_trail_is_for_managers_and_nobody_changes_it(by_curator, by_manager, by_admin, project):
    line = factories.make_line(project, "member.added")
    assert by_curator.get(address(AuditLog)).status_code == 403
    assert by_manager.get(address(AuditLog, "change", line.pk)).status_code == 200
    for client in (by_manager, by_admin):
        assert client.post(address(AuditLog, "change", line.pk), {"action": "x"}).status_code == 403
        assert client.post(address(AuditLog, "delete", line.pk), {"post": "yes"}).status_code == 403
        assert client.get(address(AuditLog, "add")).status_code == 403
    line.refresh_from_db()
    assert line.action == "member.added"


def test_lines_where_one_is_no_manager_are_not_shown(by_manager, manager):
    next_door = factories.make_project()
    factories.join(next_door, manager, Role.CURATOR)
    factories.make_line(next_door, "secret.deed")
    assert "secret.deed" not in by_manager.get(address(AuditLog)).content.decode()


# --- The rules behind all pages ---------------------------------------------------------------------------------------


def test_every_page_of_our_models_goes_by_role(db):
    ours = {"projects", "assets", "annotations", "insights", "exports", "webhooks"}
    odd = [
        model.__name__
        for model, page in admin.site._registry.items()
        if model._meta.app_label in ours and not isinstance(page, admin_base.ProjectScopedAdmin)
    ]
    assert not odd


def test_roles_are_read_once_per_page(by_curator, project, django_assert_max_num_queries):
    for _ in range(5):
        factories.make_task(project)
    with django_assert_max_num_queries(9):
        by_curator.get(address(Task))
