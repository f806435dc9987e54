"""The whole way: request, row, broker, a real Celery worker, row."""

import os
import signal
from datetime import timedelta

import psutil
from django.utils import timezone

from projects import jobs, services
from projects.models import Project, Task
from tests import factories
from tests.conftest import client_of, wait_until


def status_of(task: Task) -> str:
    return Task.objects.values_list("status", flat=True).get(pk=task.pk)


def long_after(task: Task) -> None:
    """As if a few minutes had gone by since the worker's last sign of life."""
    past = timezone.now() - timedelta(minutes=5)
    Task.objects.filter(pk=task.pk).update(lease_until=past, published_at=past)


def test_a_project_deleted_over_the_api_is_gone_soon(celery_worker):
    project = factories.make_project()
    client = client_of(project.owner)
    answer = client.delete(f"/api/v1/projects/{project.pk}")
    assert answer.status_code == 202
    follow = answer["Location"]
    wait_until(lambda: client.get(follow).json()["status"] == "succeeded", 30, celery_worker.log.decode)
    assert not Project.objects.filter(pk=project.pk).exists()
    assert client.get(follow).json()["project"] is None


def test_a_worker_killed_in_mid_work_is_followed_by_another_that_finishes(celery_worker):
    project = factories.make_project()
    # Keeps the deletion waiting, so that there is something to kill.
    blocker = factories.make_task(project, status=Task.Status.RUNNING)
    task = services.delete_project(user=project.owner, project=project)
    wait_until(lambda: status_of(task) == "running", 30, celery_worker.log.decode)
    celery_worker.kill()
    assert status_of(task) == "running"

    Task.objects.filter(pk=blocker.pk).update(status=Task.Status.CANCELLED)
    long_after(task)
    celery_worker.start()
    assert jobs.sweep() == 1
    wait_until(lambda: status_of(task) == "succeeded", 30, celery_worker.log.decode)
    assert Task.objects.get(pk=task.pk).attempt == 2


def test_a_child_killed_in_mid_work_costs_the_worker_nothing(celery_worker):
    project = factories.make_project()
    blocker = factories.make_task(project, status=Task.Status.RUNNING)
    task = services.delete_project(user=project.owner, project=project)
    wait_until(lambda: status_of(task) == "running", 30, celery_worker.log.decode)
    for child in psutil.Process(celery_worker.process.pid).children():
        os.kill(child.pid, signal.SIGKILL)
    Task.objects.filter(pk=blocker.pk).update(status=Task.Status.CANCELLED)
    long_after(task)
    jobs.sweep()
    wait_until(lambda: status_of(task) == "succeeded", 30, celery_worker.log.decode)


def test_a_broker_restarted_empty_is_filled_again_from_the_rows(celery_worker):
    project = factories.make_project()
    celery_worker.kill()
    task = services.delete_project(user=project.owner, project=project)
    celery_worker.empty_broker()
    long_after(task)
    celery_worker.start()
    assert jobs.sweep() == 1
    wait_until(lambda: status_of(task) == "succeeded", 30, celery_worker.log.decode)
