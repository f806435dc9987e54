"""Who may do what."""

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts.errors import Forbidden, NotFound
from projects import policies
from projects.models import Project, Role
from tests import factories


def test_a_stranger_cannot_tell_a_project_from_none(project, stranger):
    with pytest.raises(NotFound) as theirs:
        policies.find_project(stranger, project.pk)
    pk = project.pk
    project.delete()
    with pytest.raises(NotFound) as missing:
        policies.find_project(stranger, pk)
    assert theirs.value.message == missing.value.message


@pytest.mark.parametrize("needed", [Role.CURATOR, Role.MANAGER, Role.OWNER])
def test_too_small_a_role_is_told_what_it_is_and_what_it_takes(project, viewer, needed):
    with pytest.raises(Forbidden, match=f"You are a viewer of this project; this needs an? {needed.slug}"):
        policies.require(viewer, needed, project)


def test_a_greater_role_may_do_what_a_smaller_one_may(project, owner):
    for role in Role:
        policies.require(owner, role, project)


def test_a_global_admin_is_owner_everywhere_without_a_membership(project, admin):
    assert policies.role_in(admin, project) == Role.OWNER
    assert policies.find_project(admin, project.pk, Role.OWNER).my_role == Role.OWNER


def test_nobody_and_users_locked_out_have_no_role(project, curator, admin):
    curator.is_active = admin.is_active = False
    for user in (AnonymousUser(), curator, admin):
        assert policies.role_in(user, project) is None
        with pytest.raises(NotFound):
            policies.find_project(user, project.pk)


def test_a_project_that_is_being_deleted_is_gone_for_everybody(project, owner, admin):
    project.deleting = True
    project.save()
    for user in (owner, admin):
        with pytest.raises(NotFound):
            policies.find_project(user, project.pk)
        with pytest.raises(NotFound):
            policies.require(user, Role.VIEWER, project)


def test_finding_costs_one_query_with_owner_and_role(project, curator, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = policies.find_project(curator, project.pk, Role.CURATOR)
        assert found.owner.email == "owner@example.com"
    assert found.my_role == Role.CURATOR


def test_lists_hold_the_projects_of_the_role(project, curator, stranger, admin):
    assert list(Project.objects.visible_to(curator)) == [project]
    assert list(Project.objects.for_user(curator, role=Role.MANAGER)) == []
    assert project not in Project.objects.visible_to(stranger)
    assert Project.objects.visible_to(admin).count() == 2


def test_a_number_no_database_holds_is_no_project(curator):
    with pytest.raises(NotFound):
        policies.find_project(curator, 10**30)


def test_roles_have_names_and_editor_is_one_of_them():
    assert Role.named(" Editor ") is Role.CURATOR
    assert Role.named("OWNER") is Role.OWNER
    with pytest.raises(ValueError, match="viewer, curator, manager, owner"):
        Role.named("boss")


def test_membership_of_one_project_gives_nothing_next_door(project, curator):
    other = factories.make_project()
    assert policies.role_in(curator, other) is None
