"""Whether each part is seen to be well, and each part's failure is seen and told plainly."""

import json
import socket
import threading
import time

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from cocohub.health import beating, looking, parts, views
from cocohub.health.looking import Watch
from cocohub.health.parts import Unwell

READY, LIVE, ALL = "/api/v1/health/ready", "/api/v1/health/live", "/api/v1/health"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No answer of an earlier test is given again."""
    monkeypatch.setattr(looking, "KEPT", 0.0)


@pytest.fixture
def silent():
    """The port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_live_asks_nobody(monkeypatch):
    def fail(self):
        raise AssertionError("asked")

    monkeypatch.setattr(Watch, "look", fail)
    answer = Client().get(LIVE)
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_ready_when_all_parts_answer():
    answer = Client().get(READY)
    assert answer.status_code == 200, answer.json()
    assert answer.json() == {"status": "ready", "parts": dict.fromkeys(("database", "redis", "storage"), "ok")}
    assert answer["Cache-Control"] == "no-store"


def test_not_ready_in_our_shape_of_errors_and_without_addresses(monkeypatch):
    monkeypatch.setitem(views.is_ready.parts, "redis", lambda: refuse("at redis://secret@10.0.0.1"))
    answer = Client().get(READY)
    assert answer.status_code == 503
    assert answer.json()["message"] == "Not ready: redis unwell."
    assert answer.json()["detail"]["parts"] == {"database": "ok", "redis": "unwell", "storage": "ok"}
    assert "secret" not in answer.content.decode()


def refuse(message):
    raise Unwell(message)


# --- Each part --------------------------------------------------------------------------------------------------------


def test_database_that_is_not_there_or_silent(settings, silent, monkeypatch):
    params = {"dbname": "x", "user": "x", "host": "127.0.0.1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    for port in (nobody, silent):
        monkeypatch.setattr(parts, "database_params", lambda port=port: {**params, "port": port})
        before = time.monotonic()
        with pytest.raises(Unwell, match="PostgreSQL does not answer"):
            parts.database()
        assert time.monotonic() - before < parts.SECONDS + 3


def test_the_database_is_asked_where_django_asks_it(monkeypatch):
    options = {"target_session_attrs": "read-write", "sslmode": "prefer", "connect_timeout": 99, "pool": False}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {**connection.settings_dict["OPTIONS"], **options})
    found = parts.database_params()
    assert (found["target_session_attrs"], found["sslmode"]) == ("read-write", "prefer")
    assert found["dbname"] == connection.settings_dict["NAME"]
    assert found.keys().isdisjoint({"connect_timeout", "pool", "cursor_factory", "context"})
    assert parts.database()["version"]


def test_migrations_that_are_missing_are_named():
    one = MigrationRecorder.Migration.objects.get(app="exports", name="0001_initial")
    key = one.pk
    one.delete()
    try:
        with pytest.raises(Unwell, match=r"1 migration\(s\) are not applied, exports.0001_initial first.*migrate"):
            parts.database()
    finally:
        MigrationRecorder.Migration(id=key, app=one.app, name=one.name, applied=one.applied).save(force_insert=True)
    assert parts.database()["version"]


def test_redis_that_is_not_there_silent_or_read_only(settings, silent, monkeypatch):
    for address in ("redis://127.0.0.1:1/0", f"redis://127.0.0.1:{silent}/0"):
        settings.REDIS_URL = address
        with pytest.raises(Unwell, match="Redis does not take"):
            parts.broker()


def test_storage_folder_that_cannot_be_written_or_is_full(settings, tmp_path):
    file = tmp_path / "file"
    file.touch()
    local = {"BACKEND": "assets.storage.LocalStorage", "OPTIONS": {"location": str(file / "below")}}
    settings.STORAGES = {**settings.STORAGES, "default": local}
    with pytest.raises(Unwell, match="cannot be written to"):
        parts.storage()
    settings.STORAGES = {**settings.STORAGES, "default": {**local, "OPTIONS": {"location": str(tmp_path)}}}
    assert parts.storage()["free_bytes"] > 0
    settings.MIN_FREE_BYTES = 2**60
    with pytest.raises(Unwell, match="MIN_FREE_BYTES"):
        parts.storage()


def test_bucket_that_is_not_there(settings, silent):
    options = {"bucket_name": "none", "region_name": "us-east-1", "access_key": "x", "secret_key": "y"}
    for endpoint in ("http://127.0.0.1:1", f"http://127.0.0.1:{silent}"):
        backend = {
            "BACKEND": "assets.buckets.BucketStorage",
            "OPTIONS": {**options, "endpoint_url": endpoint, "addressing_style": "path"},
        }
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        before = time.monotonic()
        with pytest.raises(Unwell, match="'none' does not answer"):
            parts.storage()
        assert time.monotonic() - before < 2 * parts.SECONDS + 2


def test_workers_that_are_not_there():
    with pytest.raises(Unwell, match="No worker answers for exports, imports, insights, sweeps, thumbnails"):
        parts.workers()


def test_beat_that_is_silent(settings):
    with pytest.raises(Unwell, match="Beat has sent nothing yet"):
        parts.beat()
    beating.note()
    assert 0 <= parts.beat()["seconds_ago"] < 5
    cache.set(beating.KEY, time.time() - 100)
    with pytest.raises(Unwell, match="Beat has sent nothing for 100 seconds"):
        parts.beat()
    settings.TASK_SWEEP_SECONDS = 60
    assert parts.beat()["seconds_ago"] >= 100


def test_health_as_a_command(capsys):
    call_command("check_health", "database", "redis", "--json")
    assert set(json.loads(capsys.readouterr().out)["parts"]) == {"database", "redis"}
    with pytest.raises(SystemExit) as ended:
        call_command("check_health")  # all of them
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "No worker answers" in told
    assert "database" in told
    with pytest.raises(CommandError, match=r"there is no .everything.. There are: database, redis"):
        call_command("check_health", "everything")


def test_cvat_that_is_not_set_up_or_not_there(settings):
    settings.CVAT_API_URL = ""
    assert parts.cvat() == {"configured": False}
    settings.CVAT_API_URL, settings.CVAT_API_TOKEN = "http://127.0.0.1:1", "t0ken"
    with pytest.raises(Unwell, match=r"127\.0\.0\.1:1"):
        parts.cvat()


def test_queues_tell_who_waits(project):
    from projects.models import Task
    from tests import factories

    assert parts.queues() == {"waiting": {}, "running": {}, "oldest_seconds": 0}
    factories.make_task(project, status="queued")
    factories.make_task(project, Task.Kind.EXPORT, status="running")
    told = parts.queues()
    assert (told["waiting"], told["running"]) == ({"import": 1}, {"export": 1})


def test_queues_without_a_database_are_told_in_a_line(monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused\n\tIs the server running?")

    monkeypatch.setattr(parts.Task.objects, "filter", refuse)
    found = looking._timed(parts.queues)
    assert (found.ok, found.message) == (False, "The jobs cannot be read: connection refused")
    assert caplog.records == []


# --- Looking ----------------------------------------------------------------------------------------------------------


def test_what_hangs_is_told_in_time_and_not_asked_again(monkeypatch):
    monkeypatch.setattr(looking, "PATIENCE", 0.2)
    release, asked = threading.Event(), []

    def hang():
        asked.append(1)
        release.wait(20)
        return {}

    watch = Watch({"hanging": hang, "fine": lambda: {"x": 1}})
    for _ in range(3):
        found = watch.look()
        assert (found["hanging"].ok, found["fine"].ok, found["fine"].facts) == (False, True, {"x": 1})
        assert "No answer within" in found["hanging"].message
    assert len(asked) == 1
    hanging = [thread for thread in threading.enumerate() if thread.name == "health-hanging"]
    assert [thread.daemon for thread in hanging] == [True]  # else the end of the process would wait for it
    release.set()
    while not watch.look()["hanging"].ok:
        time.sleep(0.01)


def test_an_answer_is_given_again_for_a_second(monkeypatch):
    monkeypatch.setattr(looking, "KEPT", 60.0)
    asked = []
    watch = Watch({"one": lambda: asked.append(1) or {}})
    for _ in range(5):
        watch.look()
    assert len(asked) == 1


def test_diagnosis_is_for_admins_and_tells_all(as_admin, as_owner):
    assert as_owner.get(ALL).status_code == 403
    answer = as_admin.get(ALL)
    assert answer.status_code == 200
    told = answer.json()
    assert set(told["parts"]) == {"database", "redis", "storage", "workers", "beat", "queues", "cvat"}
    assert told["parts"]["database"]["ok"] is True
    assert told["parts"]["workers"]["ok"] is False
    assert told["status"] == "unwell"
    assert set(told["versions"]) == {"cocohub", "django", "python"}
