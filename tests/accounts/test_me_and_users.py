"""Oneself, and users for global admins."""

import pytest

from accounts.models import User
from projects.models import AuditLog, Role
from tests import factories

ME, USERS = "/api/v1/auth/me", "/api/v1/users"


def test_me_tells_who_one_is_and_ones_roles(curator, as_curator, project, django_assert_num_queries):
    hidden = factories.make_project(deleting=True)
    factories.join(hidden, curator, Role.MANAGER)
    with django_assert_num_queries(2):
        body = as_curator.get(ME).json()
    assert body["email"] == curator.email
    assert body["is_admin"] is False
    assert body["roles"] == [{"project": project.pk, "name": project.name, "role": "curator"}]


def test_only_the_name_can_be_changed(curator, as_curator):
    injected = {"name": "New", "email": "x@example.com", "is_staff": True, "is_superuser": True, "is_admin": True}
    answer = as_curator.patch(ME, {**injected, "is_active": False, "id": 1, "password": "x", "token_version": 9})
    assert answer.status_code == 200
    before = curator.email, curator.pk, curator.password
    curator.refresh_from_db()
    assert curator.name == "New"
    assert (curator.email, curator.pk, curator.password) == before
    assert (curator.is_staff, curator.is_superuser) == (False, False)
    assert curator.is_active


def test_a_name_too_long_is_refused(as_curator):
    assert set(as_curator.patch(ME, {"name": "x" * 151}).json()["fieldErrors"]) == {"name"}


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("post", ""), ("get", "/1"), ("post", "/1/deactivate")])
def test_users_are_for_global_admins(as_owner, as_nobody, method, path):
    assert getattr(as_nobody, method)(USERS + path).status_code == 401
    assert getattr(as_owner, method)(USERS + path).status_code == 403


def test_an_admin_makes_a_user_who_can_log_in(as_admin, as_nobody):
    new = {"email": "New@Example.com", "password": factories.PASSWORD, "is_staff": True, "is_superuser": True}
    answer = as_admin.post(USERS, new)
    assert answer.status_code == 201
    made = User.objects.get(pk=answer.json()["id"])
    assert (made.is_staff, made.is_superuser) == (True, False)
    login = {"email": "new@example.com", "password": factories.PASSWORD}
    assert as_nobody.post("/api/v1/auth/login", login).status_code == 200
    assert AuditLog.objects.get(action="user.created").detail["target"] == "New@example.com"


def test_an_email_is_taken_in_any_case(as_admin, owner):
    answer = as_admin.post(USERS, {"email": "OWNER@example.com", "password": factories.PASSWORD})
    assert answer.status_code == 409
    assert set(answer.json()["fieldErrors"]) == {"email"}


def test_a_weak_first_password_is_refused(as_admin):
    answer = as_admin.post(USERS, {"email": "new@example.com", "password": "123"})
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == {"password"}


def test_deactivation_ends_a_users_tokens_and_activation_lets_them_log_in_again(as_admin, as_owner, owner):
    answer = as_admin.post(f"{USERS}/{owner.pk}/deactivate")
    assert answer.json()["is_active"] is False
    assert as_owner.get(ME).status_code == 401
    assert as_admin.post(f"{USERS}/{owner.pk}/activate").json()["is_active"] is True


def test_an_admin_cannot_lock_herself_out(as_admin, admin):
    assert as_admin.post(f"{USERS}/{admin.pk}/deactivate").status_code == 409


def test_a_user_there_is_not_gets_404(as_admin):
    assert as_admin.post(f"{USERS}/999999/deactivate").status_code == 404
    assert as_admin.get(f"{USERS}/99999999999999999999").status_code == 404


def test_the_list_of_users_costs_two_queries(as_admin, django_assert_num_queries):
    for _ in range(5):
        factories.make_user()
    with django_assert_num_queries(2):
        assert len(as_admin.get(USERS).json()["results"]) == 6
