"""Figures are fresh, or say that they are not."""

import threading
from datetime import timedelta
from random import Random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations.query import QueryError
from assets.models import ImageAsset
from assets.services import Edit, update_assets
from insights import reading, refreshing, results
from insights.metrics import METRICS, Selection, measure
from insights.models import MetricResult
from projects.models import Task
from tests import factories
from tests.insights.records import Picture, at_random, store


@pytest.fixture
def filled(project):
    store(project, at_random(Random(1), 12))
    return project


def read(project, name="tags", q="", **options):
    [found] = reading.read(project, [name], q, **options)
    return found


def tag_all(project, owner, tag="new"):
    update_assets(user=owner, project=project, assets=ImageAsset.objects.all(), edit=Edit(add_tags=[tag]))


def tasks_of(project):
    return Task.objects.filter(project=project, kind=Task.Kind.INSIGHTS).order_by("created_at")


def test_figures_are_computed_once_for_a_revision(filled):
    first = read(filled)
    assert (first.stale, first.pending, first.revision) == (False, False, 1)
    assert first.figures == measure(Selection(filled), ["tags"])["tags"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        again = read(filled)
    assert again == first
    assert not any("unnest" in each["sql"] for each in queries)


def test_the_whole_dashboard_is_read_with_few_queries(filled, django_assert_max_num_queries):
    reading.dashboard(filled)
    with django_assert_max_num_queries(3):
        found = reading.dashboard(filled)
    assert [each.metric for each in found] == list(METRICS)
    assert not any(each.stale or each.pending for each in found)


def test_texts_that_ask_the_same_share_their_figures(filled):
    read(filled, q="split:train   tag:night")
    assert read(filled, q="split:train AND tag:night").q == "split:train tag:night"
    assert MetricResult.objects.count() == 1


def test_what_is_no_query_is_refused(filled):
    with pytest.raises(QueryError):
        read(filled, q="tag:")


def test_figures_of_another_state_are_marked_and_computed_by_a_task(filled, owner, run_task):
    before = read(filled)
    tag_all(filled, owner)
    late = read(filled, wait_ms=0)
    assert (late.stale, late.pending, late.revision) == (True, False, before.revision)
    assert late.figures == before.figures
    [task] = tasks_of(filled)
    assert run_task(task, refreshing.refresh).status == Task.Status.SUCCEEDED
    fresh = read(filled, wait_ms=0)
    assert (fresh.stale, fresh.revision) == (False, before.revision + 1)
    assert fresh.figures == measure(Selection(filled), ["tags"])["tags"] != before.figures


def test_what_was_never_computed_is_pending_until_a_task_has_run(filled, run_task):
    q = "split:train"
    assert read(filled, q=q, wait_ms=0).pending
    assert read(filled, "classes", q=q, wait_ms=0).figures is None
    [task] = tasks_of(filled)
    run_task(task, refreshing.refresh)
    assert not read(filled, q=q, wait_ms=0).pending
    assert not read(filled, "classes", q=q, wait_ms=0).pending
    assert all(not each.pending and not each.stale for each in reading.dashboard(filled, wait_ms=0))


def test_a_read_waits_no_longer_than_it_may(filled, monkeypatch):
    real = Selection.rows
    monkeypatch.setattr(Selection, "rows", lambda self, sql: real(self, "SELECT pg_sleep(3)"))
    start = timezone.now()
    found = read(filled, wait_ms=200)
    assert timezone.now() - start < timedelta(seconds=1.5)
    assert found.pending
    assert tasks_of(filled).count() == 1


def test_a_pass_that_took_too_long_before_is_left_to_the_worker(filled, owner, monkeypatch):
    read(filled)
    MetricResult.objects.update(seconds=100)
    tag_all(filled, owner)
    monkeypatch.setattr(results, "count", lambda *args: pytest.fail("must not be begun"))
    assert read(filled).stale


def test_readers_share_one_task(filled):
    for name in ("tags", "classes", "tags"):
        read(filled, name, q="split:val", wait_ms=0)
    assert tasks_of(filled).count() == 1


def test_what_is_asked_for_while_a_task_runs_is_not_lost(filled, claims_here):
    from projects import jobs

    read(filled, wait_ms=0)
    [task] = tasks_of(filled)

    def work(claim):
        result = refreshing.refresh(claim)
        assert read(filled, q="split:val", wait_ms=0).pending  # too late for this turn
        return result

    jobs.run(task.pk, work)
    [after] = tasks_of(filled).exclude(pk=task.pk)
    jobs.run(after.pk, refreshing.refresh)
    assert not read(filled, q="split:val", wait_ms=0).pending
    assert tasks_of(filled).count() == 1, "only the last one is kept, and no other is added"


def test_a_task_that_is_delivered_twice_works_once(filled, run_task):
    read(filled, wait_ms=0)
    [task] = tasks_of(filled)
    assert run_task(task, refreshing.refresh).result["metrics"] == len(METRICS)
    assert run_task(task, refreshing.refresh).attempt == 1


def test_older_figures_do_not_replace_newer_ones(filled, owner):
    old = results.count(filled, "", ["tags"])
    tag_all(filled, owner)
    results.keep(filled, "", results.count(filled, "", ["tags"]))
    results.keep(filled, "", old)
    assert read(filled, wait_ms=0).revision == filled.revision == 2
    assert not read(filled, wait_ms=0).stale


def test_figures_counted_in_another_way_are_not_used(filled):
    read(filled)
    MetricResult.objects.update(version=results.VERSION + 1)
    assert read(filled, wait_ms=0).pending
    assert not read(filled).pending


def test_a_query_that_moves_with_the_clock_is_not_fresh_for_long(filled):
    ImageAsset.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert read(filled, "splits", "created>-2h").figures["total"] == 12
    MetricResult.objects.update(computed_at=timezone.now() - timedelta(minutes=2))
    assert read(filled, "splits", "created>-2h", wait_ms=0).stale
    ImageAsset.objects.update(created_at=timezone.now() - timedelta(hours=3))
    assert read(filled, "splits", "created>-2h").figures["total"] == 0


def test_beat_refreshes_projects_that_are_behind_and_leaves_the_rest_alone(filled, owner, run_task):
    other, empty = factories.make_project(owner), factories.make_project(owner)
    store(other, [Picture()])
    store(factories.make_project(owner, deleting=True), [Picture()])
    reading.dashboard(other)
    assert refreshing.refresh_behind() == 1
    assert refreshing.refresh_behind() == 0, "a task is under way"
    [task] = tasks_of(filled)
    run_task(task, refreshing.refresh)
    assert refreshing.refresh_behind() == 0
    assert not tasks_of(empty)
    assert not tasks_of(other)
    tag_all(filled, owner)
    MetricResult.objects.update(seconds=1)
    assert refreshing.refresh_behind() == 0, "it rests in proportion to what a refresh takes"
    MetricResult.objects.update(seconds=0)
    assert refreshing.refresh_behind() == 1


def test_beat_does_not_repeat_what_failed_just_now(filled):
    factories.make_task(filled, Task.Kind.INSIGHTS, status=Task.Status.FAILED, finished_at=timezone.now())
    assert refreshing.refresh_behind() == 0
    Task.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    assert refreshing.refresh_behind() == 1


def test_figures_nobody_asks_for_are_forgotten(filled):
    read(filled)
    read(filled, q="split:val")
    read(filled, q="split:train")
    MetricResult.objects.exclude(query="split:val").update(asked_at=timezone.now() - timedelta(days=8))
    read(filled, q="split:train")  # asked for again
    assert results.forget_unread() == 0
    MetricResult.objects.filter(query="split:train").update(asked_at=timezone.now() - timedelta(days=8))
    assert results.forget_unread() == 1
    assert set(MetricResult.objects.values_list("query", flat=True)) == {"", "split:val"}


@pytest.mark.django_db(transaction=True)
def test_a_worker_computes_what_a_read_did_not(celery_worker, filled):
    from tests.conftest import wait_until

    assert read(filled, q="split:val", wait_ms=0).pending
    wait_until(lambda: not read(filled, q="split:val", wait_ms=0).pending, tell=lambda: celery_worker.log.decode())


def test_a_large_project_is_refreshed_on_two_connections(transactional_db, filled, run_task, monkeypatch):
    monkeypatch.setattr(refreshing, "LARGE", 0)
    threads = []
    alone = refreshing._on_its_own
    monkeypatch.setattr(
        refreshing, "_on_its_own", lambda *given: (threads.append(threading.current_thread().name), alone(*given))[1]
    )
    read(filled, wait_ms=0)
    task = run_task(tasks_of(filled)[0], refreshing.refresh)
    assert (task.status, task.result["metrics"]) == (Task.Status.SUCCEEDED, len(METRICS))
    assert {name.rpartition("_")[0] for name in threads} == {"insights"}
    assert not any(each.stale or each.pending for each in reading.dashboard(filled, wait_ms=0))


def test_a_pass_that_fails_on_its_own_connection_fails_the_task(transactional_db, filled, run_task, monkeypatch):
    monkeypatch.setattr(refreshing, "LARGE", 0)

    def fail(*given, **options):
        raise results.OutOfTime

    monkeypatch.setattr(results, "count", fail)
    read(filled, wait_ms=0)
    assert run_task(tasks_of(filled)[0], refreshing.refresh).status == Task.Status.FAILED


def test_the_passes_that_took_longest_begin_first_and_those_nobody_knows_before_them(filled):
    results.keep(filled, "", results.count(filled, "", ["tags"]))
    results.keep(filled, "", results.count(filled, "", ["classes", "imbalance"]))
    MetricResult.objects.filter(metric="tags").update(seconds=1)
    MetricResult.objects.filter(metric__in=["classes", "imbalance"]).update(seconds=2)
    passes = [("", ["tags"]), ("", ["classes", "imbalance"]), ("split:train", ["classes"])]
    assert refreshing._longest_first(filled, passes) == passes[::-1]
