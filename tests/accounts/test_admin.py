"""Users in the admin: for global admins only."""

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts import tokens
from accounts.models import User
from projects.models import AuditLog
from tests import factories

LIST = "/admin/accounts/user/"


def browser_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def change(user) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


@pytest.fixture
def staff(db):
    """Staff to whom somebody gave every Django permission there is."""
    user = factories.make_user("staff@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


@pytest.fixture
def by_admin(admin):
    return browser_of(admin)


def form_of(user, **changes) -> dict:
    flags = {name: "on" for name in ("is_active", "is_staff", "is_superuser") if getattr(user, name)}
    given = {"email": user.email, "name": user.name, **flags, **changes}
    return {name: value for name, value in given.items() if value is not None}


def test_staff_cannot_grant_themselves_anything(staff, admin):
    client = browser_of(staff)
    assert client.get(LIST).status_code == 403
    assert client.post(change(staff), form_of(staff, is_superuser="on")).status_code == 403
    assert client.post(f"/admin/accounts/user/{admin.pk}/password/", {"password1": "x"}).status_code == 403
    assert client.post("/admin/accounts/user/add/", {"email": "x@example.com"}).status_code == 403
    staff.refresh_from_db()
    assert not staff.is_superuser


def test_tokens_and_groups_have_no_page():
    assert OutstandingToken not in django_admin.site._registry
    assert Group not in django_admin.site._registry


def test_admins_see_and_search_users(by_admin, owner, curator):
    page = by_admin.get(LIST, {"q": "olga"}).content.decode()
    assert owner.email in page
    assert curator.email not in page


def test_an_admin_makes_a_user(by_admin, as_nobody):
    new = {"email": "new@example.com", "name": "New", "is_staff": "on", "usable_password": "true"}
    passwords = {"password1": factories.PASSWORD, "password2": factories.PASSWORD}
    answer = by_admin.post("/admin/accounts/user/add/", {**new, **passwords})
    assert answer.status_code == 302
    made = User.objects.get(email="new@example.com")
    assert (made.name, made.is_staff, made.is_superuser) == ("New", True, False)
    assert made.check_password(factories.PASSWORD)
    assert AuditLog.objects.get(action="user.created").door == "admin"


@pytest.mark.parametrize("passwords", [("123", "123"), (factories.PASSWORD, "other"), ("", "")])
def test_a_password_that_will_not_do_is_said_in_the_form(by_admin, passwords):
    new = {"email": "new@example.com", "name": "", "usable_password": "true"}
    form = {**new, "password1": passwords[0], "password2": passwords[1]}
    assert by_admin.post("/admin/accounts/user/add/", form).status_code == 200
    assert not User.objects.filter(email="new@example.com").exists()


def test_an_email_taken_in_another_case_is_said_in_the_form(by_admin, owner):
    new = {"email": "OWNER@example.com", "name": "", "usable_password": "true"}
    form = {**new, "password1": factories.PASSWORD, "password2": factories.PASSWORD}
    answer = by_admin.post("/admin/accounts/user/add/", form)
    assert answer.status_code == 200
    assert "taken" in answer.content.decode()


def test_changes_are_made_by_the_service_and_audited(by_admin, owner):
    assert by_admin.post(change(owner), form_of(owner, name="Olive", is_staff="on")).status_code == 302
    owner.refresh_from_db()
    assert (owner.name, owner.is_staff) == ("Olive", True)
    changes = AuditLog.objects.get(action="user.updated").detail["changes"]
    assert changes == {"name": ["Olga Owner", "Olive"], "is_staff": [False, True]}


def test_locking_a_user_out_ends_their_sessions(by_admin, as_owner, owner):
    by_admin.post(change(owner), form_of(owner, is_active=None))
    owner.refresh_from_db()
    assert (owner.is_active, owner.token_version) == (False, 2)
    assert as_owner.get("/api/v1/auth/me").status_code == 401


def test_a_new_password_given_by_an_admin_ends_the_users_sessions(by_admin, owner):
    pair = tokens.issue(owner)
    form = {"usable_password": "true", "password1": "another long phrase", "password2": "another long phrase"}
    answer = by_admin.post(f"/admin/accounts/user/{owner.pk}/password/", {**form, "set-password": "1"})
    assert answer.status_code == 302
    owner.refresh_from_db()
    assert owner.check_password("another long phrase")
    assert tokens.read_refresh(pair.refresh)["ver"] < owner.token_version
    assert AuditLog.objects.filter(action="user.password_set").count() == 1


def test_an_admin_who_changes_her_own_password_stays_logged_in(by_admin, admin):
    form = {"usable_password": "true", "password1": "another long phrase", "password2": "another long phrase"}
    by_admin.post(f"/admin/accounts/user/{admin.pk}/password/", {**form, "set-password": "1"})
    assert by_admin.get("/admin/").status_code == 200


def test_an_admin_keeps_her_own_rights(by_admin, admin):
    for lost in ("is_superuser", "is_staff", "is_active"):
        by_admin.post(change(admin), form_of(admin, **{lost: None}))
        admin.refresh_from_db()
        assert getattr(admin, lost)
    by_admin.post(f"/admin/accounts/user/{admin.pk}/delete/", {"post": "yes"})
    assert User.objects.filter(pk=admin.pk).exists()


def test_a_user_who_owns_projects_cannot_be_deleted_and_others_can(by_admin, project, owner, curator):
    for user in (owner, curator):
        by_admin.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"})
    assert User.objects.filter(pk=owner.pk).exists()
    assert not User.objects.filter(pk=curator.pk).exists()


def test_logging_in_and_out_of_the_admin_is_in_the_trail(db):
    factories.make_user("staff@example.com", password=factories.PASSWORD, is_staff=True)
    client = Client()
    client.post("/admin/login/?next=/admin/", {"username": "staff@example.com", "password": factories.PASSWORD})
    assert client.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    assert list(AuditLog.objects.order_by("id").values_list("action", "door")) == [
        ("auth.login", "admin"),
        ("auth.logout", "admin"),
    ]
