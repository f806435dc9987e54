"""Each fault is planted, and the doctor names it: this one and no other."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import redis
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from accounts import sealing
from accounts.models import User
from assets.models import ImageAsset, Split
from cocohub import embedded, seeding
from cocohub.doctor import broker, postgresql, shelves
from cocohub.doctor.examining import CHECKS, examine
from cocohub.doctor.findings import Grade
from cocohub.health import beating, parts
from cocohub.management.commands import demo
from exports.models import CvatConnection
from insights.plotting import fonts
from projects import jobs
from projects.models import Project, Task
from tests import factories
from tests.conftest import ROOT, _database_url, wait_until
from webhooks.models import Delivery, Webhook


@dataclass
class Place:
    """Where faults are planted."""

    settings: Any
    monkeypatch: pytest.MonkeyPatch
    redis: Any
    project: Project
    folder: Path


@pytest.fixture(scope="session")
def own_redis(tmp_path_factory):
    """A Redis for this module alone, which may be set up badly."""
    home = tmp_path_factory.mktemp("doctor")
    yield embedded.redis_url(home)
    embedded.stop(home)


@pytest.fixture
def place(db, settings, monkeypatch, own_redis, tmp_path) -> Place:
    """An installation in good health, safe for production, with an admin and a project."""
    settings.REDIS_URL = own_redis
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": own_redis}}
    settings.PRODUCTION, settings.DATABASE_IS_EMBEDDED = True, False
    settings.HOME = tmp_path
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.SECRET_KEY = "one secret that is long enough for anybody"
    settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "SIGNING_KEY": "and another, which is as long as the first"}
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL = ["cocohub.example.org"], "https://cocohub.example.org"
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    monkeypatch.setattr(shelves, "ROOM", 0.0)  # however full the disk of who runs the tests is
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    (settings.STATIC_ROOT / "staticfiles.json").write_text("{}")
    monkeypatch.setattr(fonts, "with_hangul", lambda: "a-font.ttf")
    queues = {"celery@here": list(parts.QUEUES)}
    monkeypatch.setattr(parts, "workers", lambda: {"workers": queues})  # a real one: further down
    beating.note()
    factories.make_admin()
    with closing(redis.Redis.from_url(own_redis)) as client:
        yield Place(settings, monkeypatch, client, factories.make_project(), tmp_path)
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
        client.flushdb()
        # While it writes its first file, Redis does not end when it is asked to.
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])


def named() -> dict[str, str]:
    """What is not well: the grades by the checks' names; what was skipped because of it is not."""
    found = {one.check.name: one.found for one in examine(thorough=True)}
    for one in found.values():
        assert bool(one.todo) == (one.grade in (Grade.WARNING, Grade.ERROR)), one
    return {name: str(one.grade) for name, one in found.items() if one.grade not in (Grade.OK, Grade.SKIPPED)}


# --- The faults -------------------------------------------------------------------------------------------------------

FAULTS: list[tuple[str, str, str, Callable[[Place], Any]]] = []


def fault(check: str, grade: str = "error"):
    """A way to plant what this check is to name."""

    def take(plant: Callable[[Place], Any]) -> Callable[[Place], Any]:
        FAULTS.append((check, grade, plant.__name__, plant))
        return plant

    return take


@fault("environment", "warning")
def no_production(place):
    place.settings.PRODUCTION = False


@fault("debug")
def debug_on(place):
    place.settings.DEBUG = True


@fault("secrets")
def short_secret(place):
    place.settings.SECRET_KEY = "short"


@fault("secrets")
def long_secret_of_one_letter(place):
    place.settings.SECRET_KEY = "x" * 60


@fault("secrets")
def one_secret_for_both(place):
    place.settings.SIMPLE_JWT = {**place.settings.SIMPLE_JWT, "SIGNING_KEY": place.settings.SECRET_KEY}


@fault("secrets")
def secret_that_others_may_read(place):
    path = place.folder / "secret_key"
    path.write_text("a secret")
    path.chmod(0o644)


@fault("hosts")
def any_host(place):
    place.settings.ALLOWED_HOSTS = ["*"]


@fault("hosts")
def public_address_that_is_refused(place):
    place.settings.PUBLIC_URL = "https://other.example.org"


@fault("https")
def cookies_in_the_clear(place):
    place.settings.SESSION_COOKIE_SECURE = False


@fault("https")
def public_address_without_tls(place):
    place.settings.PUBLIC_URL = "http://cocohub.example.org"


@fault("https", "warning")
def nobody_is_led_to_https(place):
    place.settings.SECURE_HSTS_SECONDS = 0


@fault("proxies", "warning")
def proxy_that_is_not_believed(place):
    place.settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@fault("storage_settings")
def server_without_bucket(place):
    place.settings.S3_ENDPOINT = "http://minio:9000"


def in_a_bucket(place):
    place.monkeypatch.setattr(parts, "storage", lambda: {"kind": "s3", "bucket": "cocohub"})
    place.settings.S3_BUCKET = "cocohub"


@fault("storage_settings")
def half_a_key(place):
    in_a_bucket(place)
    default_storage.exists("anything")  # made before it is told what only a bucket takes
    place.settings.STORAGES["default"]["OPTIONS"]["access_key"] = "a key without its secret"


@fault("storage_settings", "warning")
def links_to_a_name_that_only_machines_know(place):
    in_a_bucket(place)
    place.settings.S3_ENDPOINT, place.settings.S3_PUBLIC_ENDPOINT = "http://minio:9000", ""


@fault("storage_settings", "warning")
def pictures_without_tls(place):
    in_a_bucket(place)
    place.settings.S3_PUBLIC_ENDPOINT = "http://media.example.org"


@fault("static_files")
def nothing_collected(place):
    (place.settings.STATIC_ROOT / "staticfiles.json").unlink()


@fault("hangul_font", "warning")
def no_font(place):
    place.monkeypatch.setattr(fonts, "with_hangul", lambda: None)


@fault("database")
def no_postgresql(place):
    given = parts.database_params()
    place.monkeypatch.setattr(parts, "database_params", lambda: {**given, "host": "127.0.0.1", "port": 1})


@fault("database_version")
def old_postgresql(place):
    place.monkeypatch.setattr(postgresql, "OLDEST", 99)


@fault("database_version", "warning")
def unknown_postgresql(place):
    place.monkeypatch.setattr(postgresql, "NEWEST", 14)


@fault("migrations")
def migration_missing(place):
    execute("DELETE FROM django_migrations WHERE app = 'projects' AND name LIKE '0002%'")


@fault("migrations")
def migrated_by_a_newer_version(place):
    execute("INSERT INTO django_migrations (app, name, applied) VALUES ('projects', '9999_later', now())")


@fault("extensions")
def intarray(place):
    execute("CREATE EXTENSION intarray")


@dataclass
class ClosedBy:
    """A session that takes away what it has made."""

    session: Any
    sql: str

    def close(self):
        self.session.execute(self.sql)
        self.session.close()


@fault("indexes")
def half_made_index(place):
    session = psycopg.connect(**parts.database_params(), autocommit=True)
    session.execute("CREATE TABLE doctor_planted AS SELECT 1 AS number FROM generate_series(1, 2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute("CREATE UNIQUE INDEX CONCURRENTLY doctor_planted_number ON doctor_planted (number)")
    return ClosedBy(session, "DROP TABLE doctor_planted")


@fault("connections", "warning")
def connections_in_use(place):
    place.monkeypatch.setattr(postgresql, "FULL", 0.0)


@fault("transactions", "warning")
def transaction_left_open(place):
    place.monkeypatch.setattr(postgresql, "IDLE_SECONDS", 0.2)
    session = psycopg.connect(**parts.database_params())
    session.execute("SELECT 1")
    time.sleep(0.3)
    return session


@fault("dead_rows", "warning")
def dead_rows(place):
    place.monkeypatch.setattr(postgresql, "MANY_DEAD", -1)
    place.monkeypatch.setattr(postgresql, "DEAD_SHARE", -1.0)


def setting_of_the_server(place, name, value):
    asked = postgresql._rows

    def answer(sql, values=()):
        return [(value,)] if f"current_setting('{name}')" in sql or list(values) == [name] else asked(sql, values)

    place.monkeypatch.setattr(postgresql, "_rows", answer)


@fault("dead_rows")
def autovacuum_off(place):
    setting_of_the_server(place, "autovacuum", False)


@fault("durability")
def fsync_off(place):
    setting_of_the_server(place, "fsync", False)


@fault("redis")
def no_redis(place):
    place.settings.REDIS_URL = "redis://127.0.0.1:1/0"


@fault("redis")
def redis_that_takes_no_writes(place):
    place.redis.config_set("maxmemory", 1)


@fault("redis_memory")
def redis_that_throws_away(place):
    place.redis.config_set("maxmemory-policy", "allkeys-lru")


@fault("redis_memory", "warning")
def redis_that_is_nearly_full(place):
    used = place.redis.info("memory")["used_memory"]
    place.redis.setrange("ballast", 46_000_000, "x")  # far more than connections come to
    place.redis.config_set("maxmemory", used + 49_000_000)


@fault("redis_persistence", "warning")
def redis_that_forgets(place):
    place.redis.config_set("appendonly", "no")


@fault("clocks")
def clock_that_is_ahead(place):
    here = SimpleNamespace(time=lambda: time.time() + 60)
    place.monkeypatch.setattr(broker, "time", here)


@fault("storage")
def folder_that_is_a_file(place):
    (place.folder / "file").touch()
    storage = place.settings.STORAGES["default"]
    options = {**storage["OPTIONS"], "location": str(place.folder / "file" / "below")}
    place.settings.STORAGES = {**place.settings.STORAGES, "default": {**storage, "OPTIONS": options}}


@fault("storage")
def storage_that_does_not_delete(place):
    place.monkeypatch.setattr(type(storages["default"]), "delete", lambda self, name: None)


@fault("disk", "warning")
def little_room(place):
    place.monkeypatch.setattr(shelves, "ROOM", 1.01)


@fault("drafts", "warning")
def drafts_left(place):
    path = place.folder / "left.upload"
    with path.open("wb") as draft:
        draft.truncate(place.settings.MIN_FREE_BYTES + 1)  # of a sparse file, so it takes no room
    old = time.time() - 2 * 86_400
    os.utime(path, (old, old))


@fault("files")
def picture_gone(place):
    image(place, uri="images/1/aa/gone.jpg", thumbnail_uri="")
    ImageAsset.objects.update(status=ImageAsset.Status.BROKEN)  # so that no thumbnail is missed


@fault("files", "warning")
def file_of_no_row(place):
    key = f"logs/{uuid.uuid4()}.json"
    default_storage.save(key, ContentFile(b"{}"))
    old = time.time() - 2 * 86_400
    os.utime(default_storage.path(key), (old, old))


@fault("one_storage")
def workers_on_other_machines(place):
    queues = {f"celery@{host}": list(parts.QUEUES) for host in ("one", "two")}
    place.monkeypatch.setattr(parts, "workers", lambda: {"workers": queues})


@fault("beat")
def beat_that_is_silent(place):
    cache.set(beating.KEY, time.time() - 100)


@fault("schedule", "warning")
def sweeper_switched_off(place):
    name = "re-publish waiting and abandoned tasks"
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    PeriodicTask.objects.create(name=name, task="projects.tasks.sweep", interval=every, enabled=False)


@fault("messages", "warning")
def messages_piled_up(place):
    place.redis.lpush("thumbnails", *["message"] * 10_001)


def task(place, status=Task.Status.QUEUED, **fields):
    return factories.make_task(place.project, Task.Kind.EXPORT, status=status, **fields)


def ago(**time_ago):
    return timezone.now() - timedelta(**time_ago)


@fault("waiting_jobs", "warning")
def job_waiting(place):
    task(place, created_at=ago(minutes=20), published_at=ago(seconds=5))


@fault("unsent_jobs")
def job_never_sent(place):
    task(place, created_at=ago(minutes=5))


@fault("abandoned_jobs")
def job_of_a_dead_worker(place):
    task(place, Task.Status.RUNNING, lease_until=ago(minutes=5))


@fault("unfollowed_jobs")
def job_that_nothing_followed(place):
    task(place, Task.Status.SUCCEEDED, lease_until=ago(minutes=5))


def webhook(place, **fields):
    return Webhook.objects.create(
        project=place.project, url="https://hooks.example/", events=["import.succeeded"], secret_sealed="", **fields
    )


@fault("unsent_messages")
def message_that_nobody_sends(place):
    Delivery.objects.create(
        project=place.project, webhook=webhook(place), event="webhook.test", body="{}", due_at=ago(minutes=20)
    )


@fault("webhooks", "warning")
def webhook_that_fails_since_days(place):
    webhook(place, failing_since=ago(days=2))


@fault("webhooks", "warning")
def webhook_that_was_given_up(place):
    webhook(place, active=False, gave_up="Nothing arrived for days.")


@fault("failed_jobs", "warning")
def five_failed(place):
    for _ in range(5):
        task(place, Task.Status.FAILED, finished_at=ago(hours=2))


@fault("failed_jobs", "warning")
def workers_died(place):
    task(place, Task.Status.FAILED, finished_at=ago(hours=2), message=jobs.DIED)


@fault("project_status")
def importing_for_ever(place):
    # The thorough check of all rows says so, too.
    place.monkeypatch.setattr("cocohub.integrity.CHECKS", ())
    Project.objects.filter(pk=place.project.pk).update(status=Project.Status.IMPORTING)


@fault("admins")
def nobody_in_charge(place):
    User.objects.filter(is_superuser=True).update(is_active=False)


@fault("second_factors", "warning")
def admin_with_a_password_alone(place):
    factories.make_user(password=factories.PASSWORD, is_staff=True, is_superuser=True)


@fault("known_passwords")
def demo_login(place):
    factories.make_user(demo.EMAIL, password=demo.PASSWORD)


@fault("known_passwords")
def seed_login(place):
    factories.make_user(seeding.CURATOR, password=seeding.PASSWORD)


@fault("cvat")
def no_cvat(place):
    place.settings.CVAT_API_URL, place.settings.CVAT_API_TOKEN = "http://127.0.0.1:1", "a-token"


@fault("stored_secrets")
def key_that_was_changed(place):
    CvatConnection.objects.create(project=place.project, token_sealed=sealing.seal("a token"))
    place.settings.CREDENTIALS_KEYS = ["another key than before"]


@fault("thumbnails", "warning")
def no_thumbnail(place):
    key = f"images/{place.project.pk}/aa/{'a' * 64}.jpg"
    default_storage.save(key, ContentFile(b"a picture"))
    image(place, uri=key, thumbnail_uri="", status=ImageAsset.Status.READY)


@fault("rows")
def miscounted(place):
    image(place, annotation_count=5)


def image(place, **fields):
    split, _ = Split.objects.get_or_create(project=place.project, name="train")
    return ImageAsset.objects.create(project=place.project, split=split, **{"coco_id": 1, **fields})


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


# --- It names them ----------------------------------------------------------------------------------------------------


def test_in_good_health_nothing_is_named(place):
    assert named() == {}


@pytest.mark.parametrize(("check", "grade", "plant"), [pytest.param(*f[:2], f[3], id=f[2]) for f in FAULTS])
def test_each_fault_is_named_and_no_other(place, check, grade, plant):
    kept = plant(place)
    try:
        assert named() == {check: grade}
    finally:
        if kept is not None:
            kept.close()


def test_every_check_has_a_fault_that_it_names():
    planted_below = {"workers", "right_storage"}
    assert {check.name for check in CHECKS} - {check for check, *_ in FAULTS} == planted_below


def test_what_depends_on_a_part_that_is_away_is_not_looked_at(place):
    no_redis(place)
    grades = {one.check.name: one.found.grade for one in examine()}
    skipped = {name for name, grade in grades.items() if grade is Grade.SKIPPED}
    assert skipped == {check.name for check in CHECKS if "redis" in check.needs}
    assert "clocks" in skipped
    assert "files" not in grades  # thorough ones are done where they are asked for


@pytest.mark.parametrize(("number", "grade"), [(2, Grade.OK), (3, Grade.ERROR)])
def test_a_storage_that_has_none_of_the_newest_pictures_is_another_one(place, number, grade):
    for one in range(number):
        image(place, coco_id=one, uri=f"images/1/aa/{one}.jpg", thumbnail_uri="")
    assert {one.check.name: one.found.grade for one in examine()}["right_storage"] is grade
    default_storage.save("images/1/aa/0.jpg", ContentFile(b"x"))
    assert {one.check.name: one.found.grade for one in examine()}["right_storage"] is Grade.OK


def test_what_nobody_thought_of_is_one_error_among_the_others(place, monkeypatch):
    monkeypatch.setattr(fonts, "with_hangul", lambda: 1 / 0)
    found = {one.check.name: one.found for one in examine()}
    assert found["hangul_font"].grade is Grade.ERROR
    assert "ZeroDivisionError" in found["hangul_font"].told
    assert found["database"].grade is Grade.OK


# --- As a command -----------------------------------------------------------------------------------------------------


def test_command_tells_what_to_do_and_fails(place, capsys):
    migration_missing(place)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--quiet")
    told = capsys.readouterr().out
    assert ended.value.code == 1
    assert "ERROR    migrations" in told
    assert "-> python manage.py migrate" in told
    assert "debug" not in told
    assert "skipped" not in told  # the sum at the end says how many


def test_command_as_json_looks_at_what_is_named_and_at_what_that_needs(place, capsys):
    nobody_in_charge(place)
    call_command("doctor", "debug", "transactions", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "ok"
    assert [one["check"] for one in told["checks"]] == ["debug", "database", "transactions"]
    with pytest.raises(SystemExit):
        call_command("doctor", "admins", "--json")
    (last,) = [one for one in json.loads(capsys.readouterr().out)["checks"] if one["check"] == "admins"]
    assert last["grade"] == "error"
    assert last["todo"] == "python manage.py createsuperuser"


def test_a_real_worker_is_seen_and_missed(celery_worker, tmp_path):
    environment = {
        **os.environ, "COCOHUB_HOME": str(tmp_path), "DATABASE_URL": _database_url(),
        "REDIS_URL": celery_worker.redis_url, "COCOHUB_EMBEDDED": "0",
    }  # fmt: skip

    def grade() -> str:
        words = [sys.executable, "manage.py", "doctor", "workers", "--json"]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
        told = {one["check"]: one["grade"] for one in json.loads(done.stdout)["checks"]}
        assert done.returncode == (told["workers"] == "error")
        return told["workers"]

    wait_until(lambda: grade() == "ok", 30)
    celery_worker.kill()
    assert grade() == "error"
