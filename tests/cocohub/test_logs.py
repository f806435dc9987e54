"""Logs: JSON with whose work it was, from the request into the worker, and no secrets."""

import io
import json
import logging
import logging.config
import os
import subprocess
import sys

import pytest

from accounts import context, personal, tokens
from cocohub import logs
from projects import jobs
from projects.models import Task
from tests import factories
from tests.conftest import ROOT, wait_until


@pytest.fixture
def written():
    """`written()` is the list of JSON lines since the last call."""
    formatter = logging.config.DictConfigurator(logs.configuration("INFO", as_json=True)).configure_formatter(
        logs.configuration("INFO", as_json=True)["formatters"]["line"]
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)

    def lines() -> list[dict]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    root.removeHandler(handler)


def test_a_request_leaves_one_line_with_whose_it_was(as_curator, curator, project, written):
    as_curator.get(f"/api/v1/projects/{project.pk}?_=secret", headers={"X-Request-ID": "abc-1"})
    (line,) = [one for one in written() if one["logger"] == "cocohub.requests"]
    assert line["event"] == f"GET /api/v1/projects/{project.pk} 200"
    assert (line["request_id"], line["user_id"], line["project_id"]) == ("abc-1", curator.pk, project.pk)
    assert (line["method"], line["status"], line["level"], line["door"]) == ("GET", 200, "info", "api")
    assert 0 <= line["ms"] < 60_000
    assert line["timestamp"].endswith("Z")
    assert "secret" not in json.dumps(line)


def test_the_next_request_knows_nothing_of_the_one_before(as_curator, client, project, written):
    as_curator.get(f"/api/v1/projects/{project.pk}")
    client.get("/api/v1/nothing")
    last = written()[-1]
    assert last["event"] == "GET /api/v1/nothing 404"
    assert "user_id" not in last
    assert "project_id" not in last


def test_probes_are_not_worth_a_line(client, db, written):
    client.get("/api/v1/health/live")
    client.get("/metrics")
    assert [one for one in written() if one["logger"] == "cocohub.requests"] == []


def test_work_of_a_task_says_which(project, curator, run_task, written):
    def work(claim):
        logging.getLogger("annotations").warning("a bad record")
        return {}

    task = factories.make_task(project, created_by=curator)
    run_task(task, work)
    (line,) = [one for one in written() if one["event"] == "a bad record"]
    assert (line["task_id"], line["project_id"], line["user_id"]) == (str(task.pk), project.pk, curator.pk)
    assert line["door"] == "task"


def test_the_request_id_reaches_the_worker(celery_worker, project, owner, monkeypatch):
    """A task that fails by a bug logs its traceback in the worker's process, under the id of the request."""
    with context.entering("api", request="from-the-browser-7"):
        context.tell(user_id=owner.pk)
        task = factories.make_task(project, Task.Kind.EXPORT, created_by=owner)  # without its job: the work fails
        jobs.publish(task)
    wait_until(lambda: Task.objects.get(pk=task.pk).is_finished, 60)
    wait_until(lambda: b"failed by a bug" in celery_worker.log, 20, lambda: celery_worker.log.decode()[-3000:])
    (line,) = [one for one in celery_worker.log.decode().splitlines() if "failed by a bug" in one]
    assert "request_id=from-the-browser-7" in line
    assert f"task_id={task.pk}" in line
    assert f"user_id={owner.pk}" in line
    assert f"project_id={project.pk}" in line


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("login with password=hunter2hunter2 failed", "hunter2hunter2"),
        ('{"email": "a@b.c", "password": "correct horse battery"}', "horse"),
        ("{'refresh': 'abc.def.ghi', 'x': 1}", "abc.def.ghi"),
        ("Authorization: Bearer 0a1b2c3d4e5f6a7b8c9d", "0a1b2c3d4e5f6a7b8c9d"),
        ("GET /api/server/about with Token 0123456789abcdef0123456789abcdef01234567", "0123456789abcdef"),
        ("cocohub_pat_0123456789abcdef", "0123456789abcdef"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-nature", "sig-nature"),
        ("postgresql://cocohub:s3cr3t@db:5432/cocohub is away", "s3cr3t"),
        ("/api/v1/tasks/1/events?ticket=eyJ0Ijox:1abc:xyz", "1abc"),
        ("X-Amz-Signature=deadbeef&x=1", "deadbeef"),
        ("CVAT_API_TOKEN=verysecret", "verysecret"),
    ],
    ids=str,
)
def test_secrets_are_blotted_out(written, said, secret):
    logging.getLogger("t").info(said)
    logging.getLogger("t").info("said: %s", said)
    logging.getLogger("t").info("x", extra={"more": {"deep": [said]}})
    try:
        raise ValueError(said)
    except ValueError:
        logging.getLogger("t").exception("failed")
    told = written()
    assert len(told) == 4
    assert "ValueError" in told[3]["exception"]
    assert secret not in json.dumps(told)


def test_values_by_secret_names_are_blotted_out(written):
    logging.getLogger("t").info("x", extra={"password": "abc", "api_token": 5, "user": "ann"})
    (line,) = written()
    assert (line["password"], line["api_token"], line["user"]) == ("***", "***", "ann")


@pytest.mark.parametrize(
    "said",
    [
        "Token authentication was refused by CVAT.",
        "3 images have no picture; see https://example.org/docs?a=1",
        "The access of 5 members is unchanged",
        "PATCH /api/v1/projects/3/annotations/5 200",
    ],
)
def test_ordinary_words_stay(written, said):
    logging.getLogger("t").info(said)
    assert written()[0]["event"] == said


def test_what_people_send_to_log_in_is_in_no_log(as_nobody, owner, curator, written, caplog):
    caplog.set_level("DEBUG")
    owner.set_password(factories.PASSWORD)
    owner.save()
    pair = as_nobody.post("/api/v1/auth/login", {"email": owner.email, "password": factories.PASSWORD}).json()
    as_nobody.post("/api/v1/auth/login", {"email": owner.email, "password": "a wrong one 17"})
    as_nobody.post("/api/v1/auth/refresh", {"refresh": pair["refresh"]})
    _row, secret = personal.create(user=curator, name="ci", scopes=["read"])
    for header in (secret, f"{secret}0", tokens.issue(curator).access):
        as_nobody.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {header}"})
    told = json.dumps(written()) + caplog.text
    for word in (factories.PASSWORD, "a wrong one 17", pair["access"], pair["refresh"], secret):
        assert word not in told


def test_the_installations_own_secrets_are_known(tmp_path):
    """In production, as JSON, with CVAT's key in the message of an error."""
    script = "import logging; logging.getLogger('x').error('CVAT says no to cvat-key-0123, db-pass-99')"
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "cocohub.settings", "COCOHUB_ENV": "production",
        "COCOHUB_EMBEDDED": "0", "SECRET_KEY": "x" * 40, "JWT_SECRET": "y" * 40, "ALLOWED_HOSTS": "a.example",
        "DATABASE_URL": "postgresql://u:db-pass-99@db/c", "REDIS_URL": "redis://redis", "COCOHUB_HOME": str(tmp_path),
        "CVAT_API_URL": "https://cvat.example", "CVAT_API_TOKEN": "cvat-key-0123",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {script}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = json.loads(done.stderr.strip().splitlines()[-1])
    assert line["event"] == "CVAT says no to ***, ***"
    assert (line["logger"], line["level"]) == ("x", "error")


def test_words_for_people_have_the_same_facts():
    event = {"timestamp": "T", "level": "info", "logger": "a.b", "event": "hello", "user_id": 3, "exception": "Trace"}
    assert logs._as_words(None, "info", event) == "T info a.b hello user_id=3\nTrace"
