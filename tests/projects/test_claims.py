"""Claims with a connection of their own: what others see while the work's transaction is open, and what breaks."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from projects import jobs
from projects.models import Project, Task
from tests import factories
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def task():
    return factories.make_task()


class Bystander(threading.Thread):
    """Looks, or acts, through a connection of its own."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.saw = None

    def run(self):
        try:
            self.saw = self.act()
        finally:
            connection.close()


def elsewhere(act):
    """What `act` returns when another process does it."""
    bystander = Bystander(act)
    bystander.start()
    bystander.join()
    return bystander.saw


def connections_of_the_test_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]


def test_progress_is_seen_while_the_works_transaction_is_open_and_its_rows_are_not(task):
    seen = []

    def work(claim):
        with transaction.atomic():
            Project.objects.filter(pk=claim.project.pk).update(description="half done")
            claim.progress("rows", 7, 10)
            seen.append(elsewhere(lambda: Task.objects.values_list("phase", "done").get(pk=task.pk)))
            seen.append(elsewhere(lambda: Project.objects.get(pk=task.project_id).description))
        return {}

    jobs.run(task.pk, work)
    assert seen == [("rows", 7), ""]


def test_a_cancellation_from_elsewhere_rolls_the_works_transaction_back(task):
    def work(claim):
        with transaction.atomic():
            Project.objects.filter(pk=claim.project.pk).update(description="half done")
            elsewhere(lambda: jobs.cancel(user=task.project.owner, task=task))
            claim.progress("next", 1)
        return {}

    jobs.run(task.pk, work)
    task.refresh_from_db()
    assert task.status == "cancelled"
    assert Project.objects.get(pk=task.project_id).description == ""


def test_the_heartbeat_keeps_the_lease_through_one_long_statement(task):
    lease = timedelta(seconds=0.8)
    taken = []

    def work(claim):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1.5)")
        taken.append(elsewhere(lambda: jobs.claim(task.pk)))
        return {}

    jobs.run(task.pk, work, lease=lease)
    task.refresh_from_db()
    assert taken == [None]
    assert (task.status, task.attempt) == ("succeeded", 1)


def test_without_a_heartbeat_the_task_is_taken_over_and_the_late_worker_changes_nothing(task):
    late = jobs.claim(task.pk, timedelta(seconds=0.2))
    time.sleep(0.3)
    jobs.run(task.pk, lambda claim: {"by": "the second"})
    with pytest.raises(jobs.LeaseLost):
        late.succeed({"by": "the first"})
    task.refresh_from_db()
    assert task.result == {"by": "the second"}


def test_a_takeover_waits_for_a_confirmed_transaction(task):
    claim = jobs.claim(task.pk, timedelta(seconds=0.1))
    with transaction.atomic():
        claim.confirm()
        time.sleep(0.2)
        thief = Bystander(lambda: jobs.claim(task.pk))
        thief.start()
        time.sleep(0.3)
        assert thief.is_alive()
    thief.join()
    assert thief.saw is not None
    with pytest.raises(jobs.LeaseLost), transaction.atomic():
        claim.confirm()


def test_success_within_a_transaction_that_rolls_back_did_not_happen(task):
    def work(claim):
        with transaction.atomic():
            claim.succeed_with_transaction({"rows": 1})
            raise TimeoutError
        return {}

    jobs.run(task.pk, work)
    task.refresh_from_db()
    assert (task.status, task.result) == ("queued", {})


def test_a_database_that_drops_every_connection_in_mid_work_costs_one_attempt(task):
    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def work(claim):
        claim.progress("one", 1)
        with transaction.atomic():
            Project.objects.filter(pk=claim.project.pk).update(description="half done")
            elsewhere(cut)
            Project.objects.filter(pk=claim.project.pk).update(description="more")
        return {}

    jobs.run(task.pk, work)
    task.refresh_from_db()
    assert (task.status, task.attempt) == ("queued", 1)
    assert task.lease_until > timezone.now()
    assert Project.objects.get(pk=task.project_id).description == ""


def test_progress_goes_on_over_a_connection_that_broke(task):
    def work(claim):
        claim.progress("one", 1)
        claim._ledger._connection.close()
        claim._ledger._connection.connection = None
        claim.progress("two", 2)
        return {}

    jobs.run(task.pk, work)
    task.refresh_from_db()
    assert (task.status, task.phase) == ("succeeded", "two")


def test_nothing_is_left_open_after_a_task(task):
    before = connections_of_the_test_database()
    jobs.run(task.pk, lambda claim: claim.progress("x", 1) or {})
    wait_until(lambda: connections_of_the_test_database() == before, 5)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat")]


def test_many_workers_that_ring_at_once_do_the_work_once(task):
    runs = []
    start = threading.Barrier(5)

    def work(claim):
        runs.append(claim.task.attempt)
        time.sleep(0.1)
        return {}

    def worker():
        start.wait()
        jobs.run(task.pk, work)

    workers = [Bystander(worker) for _ in range(5)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    assert runs == [1]
