"""A CVAT to send to, a project to send, and a worker that does it here and now."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from exports import connecting
from exports.cvat.client import Client
from exports.models import ExportJob
from exports.sending import deleting, pipeline, services
from exports.sending.options import Options
from exports.services import Wanted
from projects import jobs
from tests.cvat_double import Double
from tests.exports.sending import scenes


@pytest.fixture
def cvat(settings) -> Iterator[Double]:
    """The installation's CVAT."""
    with Double() as running:
        settings.CVAT_API_URL = running.url
        settings.CVAT_API_TOKEN = running.token
        settings.CVAT_ALLOWED_HOSTS = []
        settings.CVAT_ORGANIZATION = ""
        settings.CVAT_TOKEN_SCHEME = "Bearer"
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Nobody waits: pauses are as short as can be."""
    for module in (pipeline, deleting):
        monkeypatch.setattr(module, "pause_of", lambda claim: lambda seconds: claim.check())


@pytest.fixture
def scene(project, tmp_path):
    """The project with both splits and their pictures."""
    scenes.load(project, "train", scenes.TRAIN, tmp_path)
    scenes.load(project, "val", scenes.VAL, tmp_path)
    project.refresh_from_db()
    return project


@pytest.fixture
def start(owner) -> Callable[..., ExportJob]:
    """`start(project, q, images_per_task=2)` queues an export."""

    def start(project, q: str = "", *, split: str = "", sources=(), **options: Any) -> ExportJob:
        wanted = Wanted(q=q, split=split, sources=list(sources))
        return services.start(user=owner, project=project, wanted=wanted, options=Options(**options))

    return start


@pytest.fixture
def work(transactional_db) -> Callable[[ExportJob], ExportJob]:
    """`work(job)` is one turn of a worker."""

    def work(job: ExportJob) -> ExportJob:
        job.refresh_from_db()
        jobs.run(job.task_id, pipeline.run)
        job = ExportJob.objects.select_related("task", "cvat_project").get(pk=job.pk)
        return job

    return work


@pytest.fixture
def client(cvat, project) -> Iterator[Client]:
    """A client of the CVAT, as the project has it."""
    with connecting.client_of(project) as client:
        yield client
