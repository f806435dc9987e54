"""What all tests share: people, clients with real tokens, storage of their own, tasks run here or by a real worker."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
import redis
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection
from django.utils import translation
from rest_framework.test import APIClient

from accounts import throttling, tokens
from accounts.models import User
from cocohub import embedded
from projects import claims, jobs
from projects.models import Project, Role, Task
from tests import factories

ROOT = Path(__file__).resolve().parent.parent
QUEUES = "imports,thumbnails,insights,exports,sweeps"


@pytest.fixture(autouse=True)
def surroundings(settings, tmp_path):
    """Every test has a cache and a storage of its own, and hashes passwords quickly."""
    translation.deactivate()  # the test client leaves a thread in the language of its last request
    settings.CACHES = {
        name: {**cache, "KEY_PREFIX": uuid.uuid4().hex, **({"LOCATION": uuid.uuid4().hex} if name == "memory" else {})}
        for name, cache in settings.CACHES.items()
    }
    storage = settings.STORAGES["default"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**storage, "OPTIONS": {**storage.get("OPTIONS", {}), "location": str(tmp_path / "storage")}},
    }
    throttling.forget()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


# --- People -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(db) -> User:
    """Owns `project`."""
    return factories.make_user("owner@example.com", name="Olga Owner")


@pytest.fixture
def manager(project) -> User:
    """Manages `project`."""
    return factories.join(project, factories.make_user("manager@example.com"), Role.MANAGER).user


@pytest.fixture
def curator(project) -> User:
    """Edits `project`."""
    return factories.join(project, factories.make_user("curator@example.com"), Role.CURATOR).user


@pytest.fixture
def viewer(project) -> User:
    """Reads `project`."""
    return factories.join(project, factories.make_user("viewer@example.com"), Role.VIEWER).user


@pytest.fixture
def stranger(db) -> User:
    """Has a project, but is no member of `project`."""
    user = factories.make_user("stranger@example.com")
    factories.make_project(user, name="Elsewhere")
    return user


@pytest.fixture
def admin(db) -> User:
    """A global admin who is a member of nothing."""
    return factories.make_admin("admin@example.com")


@pytest.fixture
def project(owner) -> Project:
    """The project that everybody but `stranger` and `admin` is a member of."""
    return factories.make_project(owner, name="Street scenes")


# --- Clients ----------------------------------------------------------------------------------------------------------


def client_of(user: User | None) -> APIClient:
    """An API client with a real access token of the user; without one for None."""
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(user).access}")
    return client


@pytest.fixture
def api() -> Callable[[User | None], APIClient]:
    """`api(user)` is a client with the user's token."""
    return client_of


@pytest.fixture
def as_owner(owner) -> APIClient:
    """A client of the owner."""
    return client_of(owner)


@pytest.fixture
def as_manager(manager) -> APIClient:
    """A client of the manager."""
    return client_of(manager)


@pytest.fixture
def as_curator(curator) -> APIClient:
    """A client of the curator."""
    return client_of(curator)


@pytest.fixture
def as_viewer(viewer) -> APIClient:
    """A client of the viewer."""
    return client_of(viewer)


@pytest.fixture
def as_stranger(stranger) -> APIClient:
    """A client of the stranger."""
    return client_of(stranger)


@pytest.fixture
def as_admin(admin) -> APIClient:
    """A client of the global admin."""
    return client_of(admin)


@pytest.fixture
def as_nobody() -> APIClient:
    """A client without a token."""
    return client_of(None)


# --- Tasks ------------------------------------------------------------------------------------------------------------


class WithinTransaction:
    """A claim's ledger for tests that roll back: nobody outside of their transaction can see their task."""

    beats = False

    def write(self, sql, parameters):
        """Run one statement through Django's own connection."""
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()

    def close(self):
        """Nothing to let go of."""


@pytest.fixture
def claims_here(monkeypatch) -> None:
    """Claims write inside the test's transaction, without a heartbeat; not for tests with `transaction=True`."""
    monkeypatch.setattr(claims, "OwnConnection", WithinTransaction)


@pytest.fixture
def run_task(db, claims_here) -> Callable[[Task, jobs.Work], Task]:
    """`run_task(task, work)` does what a worker would, here and now, and returns the task as it is then."""

    def run(task: Task, work: jobs.Work) -> Task:
        jobs.run(task.pk, work)
        task.refresh_from_db()
        return task

    return run


class CeleryWorker:
    """A real `celery -A cocohub worker` with one child, on the test database and a broker of its own."""

    def __init__(self, home: Path, redis_url: str) -> None:
        self.home = home
        self.redis_url = redis_url
        self.process: subprocess.Popen[bytes] | None = None
        self.empty_broker()
        self.app = Celery("tests", set_as_current=False)
        self.app.config_from_object("django.conf:settings", namespace="CELERY")
        self.app.conf.broker_url = embedded.celery_broker_url(redis_url)

    def empty_broker(self) -> None:
        """What a restarted Redis without persistence is like."""
        with closing(redis.Redis.from_url(self.redis_url)) as broker:
            broker.flushdb()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.output = (self.home / "worker.log").open("ab")
        command = [sys.executable, "-m", "celery", "-A", "cocohub", "worker", "-c", "1", "-Q", QUEUES, "-l", "INFO"]
        environment = {
            **os.environ,
            "COCOHUB_HOME": str(self.home),
            "DATABASE_URL": _database_url(),
            "REDIS_URL": self.redis_url,
        }
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self.output, stderr=self.output, start_new_session=True
        )
        wait_until(lambda: b" ready." in self.log[-4000:], 60, lambda: self.log.decode())

    @property
    def log(self) -> bytes:
        """What it has printed."""
        return (self.home / "worker.log").read_bytes()

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the worker and its child as a power cut would."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, sig)
        self.process.wait(30)
        self.process = None
        self.output.close()
        (self.home / "worker.log").rename(self.home / f"worker-{uuid.uuid4().hex[:6]}.log")


@pytest.fixture(scope="session")
def _worker(django_db_setup, tmp_path_factory) -> Iterator[CeleryWorker]:
    worker = CeleryWorker(tmp_path_factory.mktemp("worker"), redis_of_our_own(15))
    yield worker
    worker.kill(signal.SIGTERM)


@pytest.fixture
def celery_worker(_worker, transactional_db, monkeypatch, settings) -> Iterator[CeleryWorker]:
    """A running worker that tasks published in this test reach, and whose storage is the test's.

    Started at first use and kept for the session; a test may kill and start it. The test commits, so that the worker
    sees its rows (`transactional_db`).
    """
    if _worker.process is None or _worker.process.poll() is not None:
        _worker.kill()
        _worker.start()
    monkeypatch.setattr(jobs, "current_app", _worker.app)
    storage = settings.STORAGES["default"]
    options = {**storage["OPTIONS"], "location": str(_worker.home / "storage")}
    settings.STORAGES = {**settings.STORAGES, "default": {**storage, "OPTIONS": options}}
    yield _worker
    if _worker.process is not None and _worker.process.poll() is None:
        wait_until(nobody_else_is_at_it, 20, lambda: "The worker goes on with something.")


def nobody_else_is_at_it() -> bool:
    """Whether no other session does anything: a task may have ended for us while its worker does what follows.

    Emptying the tables at the end of a test needs all of them to itself, and the two could wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle') "
            "AND NOT EXISTS (SELECT FROM projects_task WHERE finished_at IS NOT NULL AND lease_until IS NOT NULL)"
        )
        return bool(cursor.fetchone()[0])


def wait_until(condition: Callable[[], object], seconds: float = 30, tell: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition holds; fail with what `tell` says if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Nothing came within {seconds} seconds. {tell()}")
        time.sleep(0.05)


def _database_url() -> str:
    database = connection.settings_dict
    user, password = (quote(database[name], safe="") for name in ("USER", "PASSWORD"))
    place = database["HOST"] + (f":{database['PORT']}" if database["PORT"] else "")
    options = urlencode({key: value for key, value in database["OPTIONS"].items() if isinstance(value, str)})
    return f"postgresql://{user}:{password}@{place}/{quote(database['NAME'])}?{options}"


def redis_of_our_own(number: int) -> str:
    """The address of a database of Redis, which has 16: xdist's processes each have another one for the same number.

    15 is the worker's of the session, 13 that of containers, 11 that of tracing; each stands for two processes.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return _redis_database(django_settings.REDIS_URL, number - process)


def _redis_database(url: str, number: int) -> str:
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlsplit(url)._replace(path=f"/{number}").geturl()
