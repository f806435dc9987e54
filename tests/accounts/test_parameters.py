"""Parameters that there are not: refused by name, with the nearest one, at every call that the document describes."""

import pytest
from django.urls import get_resolver

from accounts.api.parameters import Described
from tests.projects.test_access_matrix import OPEN, ROUTES, Route, each

READ = [route for route in ROUTES if route.method == "get" and route.is_list and route.name not in OPEN]


def test_every_closed_call_is_described():
    odd = {route.name for route in ROUTES if route.name not in OPEN and not issubclass(view_of(route), Described)}
    assert odd == {"health"}  # load balancers and probes may put behind it what they like


def view_of(route: Route):
    match = get_resolver().resolve(route.address())
    return getattr(match.func, "cls", None) or match.func.view_class


@each([route for route in READ if route.of_project])
def test_a_misspelt_parameter_is_refused_everywhere(route, project, as_owner):
    answer = as_owner.get(f"{route.address(project_pk=project.pk)}?pagesize=5")
    assert answer.status_code == 400
    assert set(answer.json()["fieldErrors"]) == {"pagesize"}
    assert "'pagesize'" in answer.json()["message"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("pagesize=5", "'page_size'"),
        ("Q=x", "'q'"),
        ("querry=x", "There are: count, counted, cursor, fields, page_size, q, sort"),
        ("tag=car", "There are: "),
        ("page_size=2&srot=id", "'sort'"),
        ("=5", "There is no parameter ''"),
        ("%00=5", "There is no parameter"),
    ],
)
def test_the_nearest_one_is_named(project, as_viewer, asked, told):
    answer = as_viewer.get(f"/api/v1/projects/{project.pk}/assets?{asked}")
    assert answer.status_code == 400
    assert told in answer.json()["message"]


def test_several_are_told_at_once(project, as_viewer):
    answer = as_viewer.get(f"/api/v1/projects/{project.pk}/tasks?knd=import&stauts=failed")
    assert set(answer.json()["fieldErrors"]) == {"knd", "stauts"}


def test_what_begins_with_an_underscore_is_the_clients_own(project, as_viewer):
    assert as_viewer.get(f"/api/v1/projects/{project.pk}/assets?_=1712&_trace=a").status_code == 200


def test_a_misspelt_parameter_does_not_make_a_trial_a_deed(project, as_manager):
    made = as_manager.post(f"/api/v1/projects/{project.pk}/categories", {"name": "cat"}).json()
    one = f"/api/v1/projects/{project.pk}/categories/{made['id']}"
    assert as_manager.delete(f"{one}?dryrun=true").status_code == 400
    assert as_manager.get(one).status_code == 200


def test_strangers_are_told_nothing_about_parameters(project, as_stranger):
    assert as_stranger.get(f"/api/v1/projects/{project.pk}/assets?pagesize=5").status_code == 404


def test_links_to_other_pages_are_made_of_known_parameters(as_owner, project):
    for name in "abc":
        as_owner.post(f"/api/v1/projects/{project.pk}/categories", {"name": name})
    page = as_owner.get(f"/api/v1/projects/{project.pk}/categories?page_size=1").json()
    assert as_owner.get(page["next"]).status_code == 200


def test_the_check_asks_no_database(project, as_viewer, django_assert_num_queries):
    with django_assert_num_queries(2):  # the caller, and the project
        as_viewer.get(f"/api/v1/projects/{project.pk}/tasks?pagesize=5")
