"""Imports while something else happens in their project: another import, its deletion, the clearing up of storage."""

import json
import threading
from datetime import timedelta
from io import BytesIO

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection, connections, transaction
from django.utils import timezone

from annotations import services as imports
from annotations.importing import LOCK_IMPORT
from annotations.models import ImportJob
from assets import shelves, storage
from assets.models import ImageAsset
from cocohub import storekeeping
from projects import deletion, jobs, services
from projects.models import Project, Task
from tests.annotations.coco.reading import good
from tests.assets.drawings import file_of
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(days=2)


@pytest.fixture(autouse=True)
def quiet(monkeypatch) -> None:
    """Nobody rings for workers."""
    monkeypatch.setattr(jobs.current_app, "send_task", lambda *args, **options: None, raising=False)


def received(name: str, content: bytes) -> TemporaryUploadedFile:
    """As a request has it."""
    file = TemporaryUploadedFile(name, "", len(content), None)
    file.write(content)
    file.flush()
    file.seek(0)
    return file


def sent() -> imports.Upload:
    pictures = [received(f"{name}.jpg", file_of("JPEG", 640, 480 - at)) for at, name in enumerate("abc")]
    return imports.Upload(received("train.json", json.dumps(good()).encode()), pictures)


def elsewhere(work) -> threading.Thread:
    """Do it in a thread with a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_the_same_upload_twice_is_one_import(project, owner):
    first = imports.start_import(user=owner, project=project, upload=sent())
    again = imports.start_import(user=owner, project=project, upload=sent())
    assert first == again
    assert Task.objects.filter(kind=Task.Kind.IMPORT).count() == 1


def test_a_second_import_waits_for_the_first(project, owner):
    job = imports.start_import(user=owner, project=project, upload=sent())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])  # as the first holds it
        second = elsewhere(lambda: jobs.run(job.task_id, imports.run_import))
        wait_until(lambda: Task.objects.get(pk=job.task_id).status == Task.Status.RUNNING, 20)
        second.join(0.7)
        assert second.is_alive()
        assert not ImageAsset.objects.exists()
    second.join(30)
    assert Task.objects.get(pk=job.task_id).status == Task.Status.SUCCEEDED
    assert ImageAsset.objects.count() == len(good()["images"])


def test_a_project_deleted_in_the_middle_of_an_import_leaves_nothing(project, owner):
    job = imports.start_import(user=owner, project=project, upload=sent())
    asked: list[Task] = []

    def work(claim: jobs.Claim):
        tell = claim.progress

        def progress(phase: str, done: int, total: int | None = None, message: str = "") -> None:
            if phase not in ("fetching", "reading") and not asked:
                thread = elsewhere(lambda: asked.append(services.delete_project(user=owner, project=project)))
                thread.join(10)
            tell(phase, done, total, message)

        claim.progress = progress  # type: ignore[method-assign]
        return imports.run_import(claim)

    jobs.run(job.task_id, work)
    assert Task.objects.get(pk=job.task_id).status == Task.Status.CANCELLED
    assert not ImageAsset.objects.exists()
    jobs.run(asked[0].pk, deletion.delete_project)
    assert Task.objects.get(pk=asked[0].pk).status == Task.Status.SUCCEEDED
    assert not Project.objects.filter(pk=project.pk).exists()
    assert not ImportJob.objects.exists()
    assert [stored.key for stored in shelves.below("") if f"/{project.pk}/" in stored.key] == []


def test_clearing_up_while_an_import_runs_takes_nothing_that_it_refers_to(project, owner):
    """Its pictures lie there already, from an import that failed long ago: orphans, until this one commits."""
    job = imports.start_import(user=owner, project=project, upload=sent())
    left = []
    for at in range(3):
        content = BytesIO(file_of("JPEG", 640, 480 - at))
        left.append(storage.put(storage.image_key(project.pk, storage.digest(content)[0], "JPEG"), content))
    cleared: list[str] = []

    def work(claim: jobs.Claim):
        tell = claim.progress

        def progress(phase: str, done: int, total: int | None = None, message: str = "") -> None:
            if phase not in cleared:
                cleared.append(phase)
                elsewhere(lambda: storekeeping.delete_orphans(now=timezone.now() + LATER)).join(20)
            tell(phase, done, total, message)

        claim.progress = progress  # type: ignore[method-assign]
        return imports.run_import(claim)

    jobs.run(job.task_id, work)
    assert Task.objects.get(pk=job.task_id).status == Task.Status.SUCCEEDED
    assert len(cleared) > 2
    storekeeping.delete_orphans(now=timezone.now() + LATER)
    assert set(ImageAsset.objects.values_list("uri", flat=True)) == set(left)
    assert list(storekeeping.flaws(checksums=True)) == []
