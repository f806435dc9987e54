"""The compose file is whole, and what its containers run works without containers: the same commands, bare."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.db import connection
from moto.server import ThreadedMotoServer

from tests.cocohub.test_backup import address
from tests.conftest import redis_of_our_own, wait_until

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SECRETS = yaml.safe_load((ROOT / "docker-compose.secrets.yml").read_text())
OURS = ("migrate", "api", "worker", "worker-thumbnails", "worker-insights", "beat")
DATABASE = "test_cocohub_containers"


def part(target: str) -> str:
    """The Dockerfile's lines of a target."""
    return re.search(rf"FROM base AS {target}\n(.*?)(?=\nFROM |\Z)", DOCKERFILE, re.DOTALL)[1]


def command(target: str) -> list[str]:
    """What a container of the target runs."""
    return json.loads(re.search(r"^CMD (\[.*\])$", part(target), re.MULTILINE)[1])


def health(target: str) -> list[str]:
    """What its health check runs."""
    words = re.search(r"^HEALTHCHECK (?:.*\\\n +)?.*?CMD (.*)$", part(target), re.MULTILINE)[1]
    return ["sh", "-c", words]


def variables(target: str) -> dict[str, str]:
    """What the Dockerfile sets for it."""
    return dict(word.split("=", 1) for line in re.findall(r"^ENV (.*)$", part(target), re.MULTILINE)
                for word in shlex.split(line))  # fmt: skip


# --- On paper ---------------------------------------------------------------------------------------------------------


def test_docker_compose_takes_the_files(tmp_path):
    tool = shutil.which("docker-compose")
    if tool is None:
        pytest.skip("docker-compose is not installed")
    for name in ("docker-compose.yml", "docker-compose.secrets.yml"):
        shutil.copy(ROOT / name, tmp_path)
    given = (
        ROOT / ".env.example"
    ).read_text() + "\nPOSTGRES_PASSWORD=a\nMINIO_ROOT_PASSWORD=b\n"  # the last one counts
    (tmp_path / ".env").write_text(given)
    for files in ([], ["-f", "docker-compose.yml", "-f", "docker-compose.secrets.yml"]):
        done = subprocess.run([tool, *files, "config"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert set(OURS) <= set(yaml.safe_load(done.stdout)["services"])


def test_each_service_is_a_target_of_the_dockerfile_and_waits_for_the_migrations():
    for name in OURS:
        service = COMPOSE["services"][name]
        assert f"FROM base AS {service['build']['target']}\n" in DOCKERFILE
        waits = service["depends_on"]
        assert waits["db"]["condition"] == waits["redis"]["condition"] == "service_healthy"
        if name != "migrate":
            assert waits["migrate"]["condition"] == "service_completed_successfully"
            assert service["restart"] == "unless-stopped"
            assert "mem_limit" in service


def test_workers_serve_every_queue_between_them():
    served = [COMPOSE["services"][name]["environment"]["QUEUES"] for name in OURS if name.startswith("worker")]
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert set(",".join(served).split(",")) == routed - {"sweeps"}
    assert "$QUEUES,sweeps" in command("worker")[2]


def test_every_image_is_pinned_and_runs_as_nobody_special():
    images = [service["image"] for service in COMPOSE["services"].values() if "image" in service]
    images += re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) > 4
    assert all(re.search(r":[\w.-]*\d", image) for image in images), images
    assert re.search(r"^USER cocohub$", DOCKERFILE, re.MULTILINE)


def test_secrets_are_files_for_every_service_of_ours():
    for name in OURS:
        service = SECRETS["services"][name]
        for variable, value in service["environment"].items():
            if variable.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert {secret for service in SECRETS["services"].values() for secret in service["secrets"]} == set(
        SECRETS["secrets"]
    )


# --- Run bare ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def surrounded(django_db_setup, django_db_blocker, tmp_path_factory):
    """The environment of a container: a new database, a Redis, a bucket; dropped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    bucket.start()
    subprocess.run(
        [sys.executable, "-c", f"import boto3; boto3.client('s3', endpoint_url='http://127.0.0.1:{port}', "
         "region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b').create_bucket(Bucket='cocohub')"],
        check=True,
    )  # fmt: skip
    number = 13 - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with django_db_blocker.unblock():
        database = f"{DATABASE}_{number}"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")
            cursor.execute(f"CREATE DATABASE {database}")
        home = tmp_path_factory.mktemp("container")
        yield {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "HOSTNAME": "container",
            "COCOHUB_ENV": "production", "COCOHUB_EMBEDDED": "0", "COCOHUB_HOME": str(home),
            "SECRET_KEY": "s" * 40, "JWT_SECRET": "j" * 40, "ALLOWED_HOSTS": "cocohub.example.org",
            "DATABASE_URL": address(database), "REDIS_URL": redis_of_our_own(13),
            "S3_ENDPOINT": f"http://127.0.0.1:{port}", "S3_BUCKET": "cocohub", "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "b", "BEHIND_HTTPS_PROXY": "1", "PUBLIC_URL": "https://cocohub.example.org",
        }  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {database} WITH (FORCE)")
    bucket.stop()


@pytest.fixture(scope="module")
def migrated(surrounded):
    """The same after the container `migrate` has run."""
    words = COMPOSE["services"]["migrate"]["command"]
    done = subprocess.run(words, cwd=ROOT, env=surrounded, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return surrounded


@contextmanager
def running(words, environment):
    """The process while it runs; asked to stop as Docker does, it must end within the time that compose gives it."""
    log = Path(environment["HOME"]) / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield lambda: f"exit code {process.poll()}: {log.read_text()[-2000:]}"
        assert process.poll() is None, log.read_text()[-2000:]
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def succeeds(words, environment):
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode == 0


def test_api_container(migrated):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = [re.sub(r"^0[.0]+$", "127.0.0.1", word).replace("8000", port) for word in command("api")]
    check = [word.replace("8000", port) for word in health("api")]
    with running(words, migrated) as tell:
        wait_until(lambda: succeeds(check, migrated), 60, tell)
        plain = urllib.request.Request(f"http://127.0.0.1:{port}/admin/", headers={"Host": "cocohub.example.org"})
        with pytest.raises(urllib.error.HTTPError) as moved:  # without the proxy's word that it came by HTTPS
            urllib.request.build_opener(Stay).open(plain)
        assert (moved.value.code, moved.value.headers["Location"][:8]) == (301, "https://")


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *args):
        return None


def test_worker_container(migrated):
    service = COMPOSE["services"]["worker-thumbnails"]["environment"]
    environment = {**migrated, **variables("worker"), "QUEUES": service["QUEUES"], "CONCURRENCY": "1"}
    words = [
        word.replace("celery -A cocohub worker", "celery -A cocohub worker -n celery@container")
        for word in command("worker")
    ]
    with running(words, environment) as tell:
        wait_until(lambda: succeeds(health("worker"), environment), 60, tell)


def test_beat_container(migrated):
    assert not succeeds(health("beat"), migrated)
    with running(command("beat"), migrated) as tell:
        wait_until(lambda: succeeds(health("beat"), migrated), 60, tell)


def test_containers_refuse_to_start_unsafely(migrated):
    for name, value, told in (
        ("SECRET_KEY", "short", "SECRET_KEY has 5 characters"),
        ("ALLOWED_HOSTS", "*", "production needs the names it is served by"),
        ("DEBUG", "1", "production must run with DEBUG=0"),
    ):
        done = subprocess.run(
            command("beat"), cwd=ROOT, env={**migrated, name: value}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode != 0
        assert told in done.stderr
