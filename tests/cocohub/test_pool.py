"""A real web process on few database connections: requests share them, and nothing keeps one longer than it needs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from accounts import tokens
from projects import claims
from projects.models import Task
from tests import factories
from tests.conftest import ROOT, _database_url, wait_until

SIZE = 2
NAME = "cocohub-pool-test"


@dataclass
class Web:
    """A uvicorn with a pool of `SIZE` connections, on the test database."""

    port: int
    token: str = ""

    def open(self, path: str) -> http.client.HTTPConnection:
        """A connection on which a request has been sent."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        client.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        return client

    def get(self, path: str) -> tuple[int, dict]:
        """Status and JSON."""
        with closing(self.open(path)) as client:
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())


def sessions() -> set[int]:
    """Process ids of the web process's sessions in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return {pid for (pid,) in cursor.fetchall()}


@contextmanager
def serving(url: str, tmp_path: Path, settings: Any, **more: str) -> Iterator[Web]:
    """A web process on the database of this URL; its log is `web.log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "COCOHUB_HOME": str(tmp_path),  # storage is below it, as in `surroundings`
        "DATABASE_URL": f"{url}{'' if url.endswith('?') else '&'}application_name={NAME}",
        "REDIS_URL": settings.REDIS_URL,
        "JWT_SECRET": settings.SIMPLE_JWT["SIGNING_KEY"],
        "DATABASE_POOL_SIZE": str(SIZE),
        **more,
    }
    command = [sys.executable, "-m", "uvicorn", "cocohub.asgi:application", "--port", str(port), "--lifespan", "off"]
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, 60, lambda: log.read_text())
        yield Web(port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture
def web(transactional_db, tmp_path, settings) -> Iterator[Web]:
    with serving(_database_url(), tmp_path, settings) as found:
        yield found
    text = (tmp_path / "web.log").read_text()
    assert "Traceback" not in text, text


class Way:
    """A way to the test database by a port of the loopback, which can be shut and opened again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._ends: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._let_in, args=[self._listener], daemon=True).start()

    def shut(self) -> None:
        """Cut all connections and refuse others, as a server that is down."""
        for each in (self._listener, *self._ends):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._ends.clear()

    def _let_in(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], self._database()
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=[source, target], daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _database(self) -> socket.socket:
        given = connection.get_connection_params()
        host, port = given.get("host") or "127.0.0.1", given.get("port") or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{host}/.s.PGSQL.{port}")
        return far


@pytest.fixture
def way() -> Iterator[Way]:
    found = Way()
    yield found
    found.shut()


def test_after_an_outage_of_the_database_it_answers_soon(transactional_db, way, project, viewer, tmp_path, settings):
    had = connection.settings_dict
    who = ":".join(quote(had[name], safe="") for name in ("USER", "PASSWORD") if had[name])
    url = f"postgresql://{who}@127.0.0.1:{way.port}/{had['NAME']}?sslmode=disable"
    with serving(url, tmp_path, settings, DATABASE_POOL_TIMEOUT="1") as web:
        web.token = tokens.issue(viewer).access
        assert web.get("/api/v1/auth/me")[0] == 200
        way.shut()
        end = time.monotonic() + 9  # at intervals that doubled for ever, the next attempt would be 6 seconds later
        while time.monotonic() < end:
            assert web.get("/api/v1/auth/me")[0] == 503
        way.open()
        start = time.monotonic()
        wait_until(lambda: web.get("/api/v1/auth/me")[0] == 200, 30)
        assert time.monotonic() - start < 4.5


@pytest.fixture
def as_member(web, project, viewer) -> Web:
    web.token = tokens.issue(viewer).access
    return web


def test_requests_share_few_sessions(as_member, project):
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(as_member.get, [f"/api/v1/projects/{project.pk}"] * 60))
    assert {status for status, _ in answers} == {200}
    first = sessions()
    assert 1 <= len(first) <= SIZE
    for _ in range(5):
        assert as_member.get(f"/api/v1/projects/{project.pk}/assets?q=tag:x")[0] == 200
    assert sessions() <= first


def test_nothing_that_a_request_sets_stays_for_the_next(as_member, project):
    for path in ("assets?q=tag:x", "assets/facets?q=", "annotations?q=", "insights/metrics"):
        as_member.get(f"/api/v1/projects/{project.pk}/{path}")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE state = 'idle') FROM pg_stat_activity WHERE application_name = %s",
            [NAME],
        )
        everything, idle = cursor.fetchone()
    assert everything == idle >= 1  # no transaction is left open, which would keep its settings


def test_a_session_that_the_server_ended_is_replaced(as_member, project):
    assert as_member.get(f"/api/v1/projects/{project.pk}")[0] == 200
    before = sessions()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [NAME])
    wait_until(lambda: not before & sessions())
    assert as_member.get(f"/api/v1/projects/{project.pk}")[0] == 200


def test_event_streams_keep_no_session(as_member, project):
    tasks = [factories.make_task(project, status=Task.Status.RUNNING) for _ in range(SIZE + 2)]
    with ExitStack() as streams:
        for task in tasks:
            stream = streams.enter_context(closing(as_member.open(f"/api/v1/tasks/{task.pk}/events")))
            answer = stream.getresponse()
            assert answer.status == 200
            answer.readline()
        for _ in range(5):
            assert as_member.get(f"/api/v1/projects/{project.pk}")[0] == 200


def test_downloads_that_nobody_reads_keep_no_session(as_member, project, tmp_path):
    large = b'"' + b"x" * 40_000_000 + b'"'  # more than the sockets hold
    task = factories.make_task(project, status=Task.Status.FAILED)
    Task.objects.filter(pk=task.pk).update(log=default_storage.save(f"logs/{task.pk}.json", ContentFile(large)))
    with ExitStack() as downloads:
        for _ in range(SIZE + 2):
            download = downloads.enter_context(closing(as_member.open(f"/api/v1/tasks/{task.pk}/log")))
            assert download.getresponse().status == 200
        for _ in range(5):
            assert as_member.get(f"/api/v1/projects/{project.pk}")[0] == 200


@pytest.mark.django_db(transaction=True)
def test_a_claim_has_a_connection_outside_of_the_pool(monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", {"max_size": SIZE})
    own = claims.OwnConnection()
    try:
        assert own.write("SELECT current_setting('lock_timeout')", {}) == ("10s",)
        assert own._connection.pool is None
    finally:
        own.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_POOL_SIZE", "1"), ("DATABASE_POOL_SIZE", "-3"), ("DATABASE_POOL_TIMEOUT", "0")],
)
def test_settings_that_make_no_sense_stop_the_start(name, value, tmp_path):
    environment = {**os.environ, "COCOHUB_EMBEDDED": "0", "COCOHUB_HOME": str(tmp_path), name: value}
    found = subprocess.run(
        [sys.executable, "-c", "import cocohub.settings"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert found.returncode != 0
    assert f"ImproperlyConfigured: {name} is {value}" in found.stderr
