"""Prepared queries give what the querysets give, by the same SQL."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.prepared import Prepared
from projects import policies
from projects.models import Membership, Project, Role
from tests import factories


def test_rows_are_those_of_the_queryset(project, owner, curator, stranger):
    def members(project, role):
        return Membership.objects.filter(project=project, role__gte=role).select_related("user").order_by("pk")

    prepared = Prepared(members, int, int)
    for least in (Role.VIEWER, Role.CURATOR, Role.OWNER):
        with CaptureQueriesContext(connection) as asked:
            expected = list(members(project.pk, least))
            found = list(prepared.rows(project.pk, least))
        assert found == expected != []
        assert [each.user.email for each in found] == [each.user.email for each in expected]
        assert [vars(each.user).keys() for each in found] == [vars(each.user).keys() for each in expected]
        assert asked[0]["sql"] == asked[1]["sql"]
        assert len(asked) == 2
    assert prepared.first(project.pk, 99) is None


def test_annotations_of_rows_are_kept(project, owner):
    found = policies.find_project(owner, project.pk)
    assert (found.my_role, found.owner, found) == (Role.OWNER, owner, project)


def test_a_value_that_the_sql_does_not_have_is_a_mistake(db):
    with pytest.raises(ValueError, match="does not reach"):
        Prepared(lambda pk: User.objects.all(), int).first(1)
    with pytest.raises(ValueError, match="does not reach"):
        Prepared(lambda sid: User.objects.filter(email=str(sid)), uuid.UUID).first(uuid.uuid4())


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_through_its_own_connection():
    projects = [factories.make_project() for _ in range(8)]
    prepared = Prepared(lambda pk: Project.objects.filter(pk=pk).select_related("owner"), int)

    def ask(project):
        try:
            return [prepared.first(project.pk).owner_id for _ in range(20)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, projects)) == [[project.owner_id] * 20 for project in projects]
