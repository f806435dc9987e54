"""A seeded installation: who and what is there, that it may be done again, and where it refuses."""

import json

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from annotations import query
from annotations.models import Annotation, BulkEdit
from assets.models import ImageAsset
from cocohub import integrity, seeding
from cocohub.management.commands import demo
from exports.models import ExportJob
from insights import refreshing
from insights.models import InsightView, MetricResult
from projects.models import AuditLog, Project, Role, Task
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small(monkeypatch, settings, tmp_path):
    """Fewer pictures, so that it takes seconds."""
    monkeypatch.setattr(
        seeding, "SEEDS", {seeding.FRESH: (11, 10), seeding.CURATED: (23, 24), seeding.JUDGED: (37, 12)}
    )
    settings.HOME = tmp_path


def seeded(capsys, *words):
    """What the command says."""
    call_command("seed", *words, "--json")
    return json.loads(capsys.readouterr().out)


def selected(project, q):
    """How many images a query selects."""
    return query.filter_images(ImageAsset.objects.filter(project=project), project, q).count()


def test_a_believable_installation_and_the_same_again(capsys):
    told = seeded(capsys)
    fresh, curated, judged = (Project.objects.get(name=name) for name in seeding.SEEDS)

    roles = {one["role"]: one for one in told["logins"]}
    assert set(roles) == {"global admin", "owner", "manager", "curator", "viewer", "member of nothing"}
    for one in told["logins"]:
        assert User.objects.get(email=one["email"]).check_password(one["password"])
    assert {member.role for member in curated.memberships.all()} == set(Role)
    assert not User.objects.get(email="sam@seed.cocohub.example").memberships.exists()

    job = Task.objects.filter(project=fresh, kind=Task.Kind.IMPORT).get()
    assert job.result["quarantined"] >= 2
    assert job.log
    assert fresh.assets.filter(status="broken").count() == 1
    assert fresh.assets.filter(status="missing").count() == 1
    assert not fresh.assets.exclude(tags=[]).exists()

    assert selected(curated, "status:approved") > 0
    assert selected(curated, "status:in_review") > 0
    assert selected(curated, "tag:night") == 0  # the mistake that was undone
    assert BulkEdit.objects.filter(project=curated).count() == 8
    assert InsightView.objects.filter(project=curated).count() == 3
    assert ExportJob.objects.get(project=curated).payload_uri

    machines = Annotation.objects.filter(project=judged, is_machine=True)
    assert set(machines.values_list("source", flat=True)) == {"detector-a", "detector-b"}
    assert not judged.assets.exclude(uri="").filter(thumbnail_uri="").exists()
    assert MetricResult.objects.filter(project=judged, revision=judged.revision).exists()
    assert AuditLog.objects.filter(project=curated, door="command").count() > 10
    assert list(integrity.look()) == []

    lines, revisions = AuditLog.objects.count(), list(Project.objects.values_list("revision", flat=True))
    again = seeded(capsys)
    assert [one["password"] for one in again["logins"]] == [None] * 6
    assert [one["made"] for one in again["projects"]] == [False] * 3
    assert AuditLog.objects.count() == lines
    assert list(Project.objects.values_list("revision", flat=True)) == revisions


def test_what_was_cut_off_is_gone_on_with(capsys, monkeypatch):
    whole = seeding._judged
    monkeypatch.setattr(seeding, "_judged", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call_command("seed")
    assert Project.objects.get(name=seeding.JUDGED).description == ""
    monkeypatch.setattr(seeding, "_judged", whole)
    assert [one["made"] for one in seeded(capsys)["projects"]] == [False, False, True]
    assert Annotation.objects.filter(project__name=seeding.JUDGED, is_machine=True).exists()


def test_beside_others_only_where_that_is_said(capsys, monkeypatch):
    factories.make_project(factories.make_user(demo.EMAIL), name=demo.PROJECT)
    assert seeding.foreign() == []
    factories.make_project(name="Somebody's work")
    with pytest.raises(CommandError, match=r"has not made: Somebody's work\. .*--beside-others"):
        call_command("seed")
    assert not User.objects.filter(email=seeding.ADMIN).exists()
    monkeypatch.setattr(seeding, "_project", lambda *given: {})
    assert len(seeded(capsys, "--beside-others")["logins"]) == 6


def test_in_production_nobody_has_a_password_from_the_documentation(capsys, monkeypatch, settings):
    settings.PRODUCTION = True
    monkeypatch.setattr(seeding, "_project", lambda *given: {})
    given = {one["password"] for one in seeded(capsys)["logins"]}
    assert seeding.PASSWORD not in given
    assert len(given) == 1
    assert len(given.pop()) >= 16


# --- compute_insights -------------------------------------------------------------------------------------------------


@pytest.fixture
def two():
    """Two projects with something to count."""
    made = [factories.make_project(name=name) for name in ("One", "Two")]
    for project in made:
        project.touch()
    return made


def computed(capsys, *words):
    """What the command says."""
    call_command("compute_insights", *words, "--json")
    return json.loads(capsys.readouterr().out)["projects"]


def test_figures_are_computed_once_and_kept(two, capsys):
    (first,) = computed(capsys, "--project", "One")
    assert first["state"] == "succeeded"
    assert first["metrics"] == len(refreshing.METRICS)
    (again,) = computed(capsys, "--project", "One")
    assert (again["metrics"], again["message"]) == (0, "all metrics were fresh")
    assert [one["metrics"] for one in computed(capsys, "--all")] == [0, len(refreshing.METRICS)]


def test_figures_of_a_query(two, capsys):
    (told,) = computed(capsys, "--project", "Two", "--q", "annotations>3")
    assert told["metrics"] == 2 * len(refreshing.METRICS)
    assert MetricResult.objects.filter(project=two[1], query="annotations>3", computed_at__isnull=False).exists()
    with pytest.raises(CommandError, match="there is no field"):
        call_command("compute_insights", "--project", "Two", "--q", "nothing_like_it:3")
    with pytest.raises(CommandError, match="--q is for one project"):
        call_command("compute_insights", "--all", "--q", "annotations>3")


def test_a_worker_at_work_is_left_alone_and_one_that_waits_is_not_waited_for(two, capsys):
    task = factories.make_task(two[0], Task.Kind.INSIGHTS, status=Task.Status.RUNNING, lease_until="2999-01-01T00:00Z")
    assert computed(capsys, "--project", "One")[0]["state"] == "left to a worker"
    Task.objects.filter(pk=task.pk).update(status=Task.Status.QUEUED, lease_until=None)
    assert computed(capsys, "--project", "One")[0]["state"] == "succeeded"
    task.refresh_from_db()
    assert task.status == Task.Status.SUCCEEDED


def test_what_fails_is_told_and_fails_the_command(two, monkeypatch):
    monkeypatch.setattr(refreshing.results, "count", lambda *given: 1 / 0)
    with pytest.raises(CommandError, match="One: Something went wrong on our side"):
        call_command("compute_insights", "--project", "One")
