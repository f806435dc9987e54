"""What Prometheus reads: who may, what is counted in which process, and what is said when a part is away."""

import os
import time
from datetime import timedelta

import pytest
import redis
from django.conf import settings as django_settings
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts import metering
from annotations import services
from annotations.one_file import FileToImport
from exports.cvat.account import Account, Timeouts, host_of
from exports.cvat.client import Client
from exports.cvat.errors import CvatError
from exports.cvat.transport import Retries
from insights import reading
from projects import jobs
from projects.models import Task
from tests import factories
from tests.annotations import scenes
from tests.conftest import wait_until
from tests.cvat_double import Double

INSTALLATION, PROCESS = "/metrics/installation", "/metrics"
TOKEN = "a long enough token"


@pytest.fixture(autouse=True)
def meters(monkeypatch):
    """Counts of this test alone."""
    metering.flush()
    url = django_settings.REDIS_URL
    key = f"cocohub:meters:{os.getpid()}:{time.monotonic_ns()}"
    monkeypatch.setattr(metering, "KEY", key)
    yield key
    metering.flush()
    with redis.Redis.from_url(url) as client:
        client.delete(key)


@pytest.fixture
def scrape(client, db):
    """`scrape()` is all samples as `{"name{label=value,...}": number}`."""

    def scrape() -> dict[str, float]:
        answer = client.get(INSTALLATION)
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        found = {}
        for family in text_string_to_metric_families(answer.content.decode()):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    return scrape


# --- Who may read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [INSTALLATION, PROCESS])
@pytest.mark.parametrize(
    ("networks", "token", "remote", "header", "status"),
    [
        ([], "", "127.0.0.1", "", 404),
        (["127.0.0.0/8"], "", "127.0.0.1", "", 200),
        (["127.0.0.0/8"], "", "10.0.0.1", "", 404),
        (["unix"], "", "", "", 200),
        (["127.0.0.0/8"], "", "", "", 404),
        ([], TOKEN, "10.0.0.1", f"Bearer {TOKEN}", 200),
        ([], TOKEN, "10.0.0.1", f"Bearer {TOKEN}x", 404),
        ([], TOKEN, "10.0.0.1", "", 404),
        ([], "", "10.0.0.1", "Bearer ", 404),
    ],
    ids=str,
)
def test_metrics_are_for_who_is_named(client, db, settings, address, networks, token, remote, header, status):
    settings.METRICS_NETWORKS, settings.METRICS_TOKEN = networks, token
    headers = {"Authorization": header} if header else {}
    assert client.get(address, REMOTE_ADDR=remote, headers=headers).status_code == status


def test_what_a_client_says_of_its_address_is_not_believed(client, db, settings):
    settings.METRICS_NETWORKS, settings.TRUSTED_PROXIES = ["127.0.0.1"], []
    answer = client.get(PROCESS, REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == 404


def test_prometheus_and_probes_ask_by_address_and_without_tls(client, db, settings):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["cocohub.example.org"], True
    for address in (INSTALLATION, PROCESS, "/api/v1/health/live", "/api/v1/health/ready"):
        assert client.get(address, headers={"Host": "api:8000"}).status_code == 200
    assert client.get("/api/v1/health", headers={"Host": "api:8000"}, secure=True).status_code == 400
    assert client.get("/api/v1/health", headers={"Host": "cocohub.example.org"}).status_code == 301


def test_the_process_tells_of_its_requests(client, db):
    client.get("/api/v1/health/live")
    text = client.get(PROCESS).content.decode()
    assert "django_http_requests_total_by_view_transport_method_total" in text
    assert 'view="health-live"' in text
    assert client.post(PROCESS).status_code == 405


# --- What is counted --------------------------------------------------------------------------------------------------


def test_jobs_by_kind_and_outcome(project, run_task, scrape):
    def works(claim):
        return {}

    def refuses(claim):
        raise jobs.Cancelled

    def waits(claim):
        raise jobs.TryLater("not now")

    for work in (works, works, refuses, waits):
        run_task(factories.make_task(project, Task.Kind.EXPORT), work)
    found = scrape()
    assert found["cocohub_jobs_total{kind=export,outcome=succeeded}"] == 2
    assert found["cocohub_jobs_total{kind=export,outcome=cancelled}"] == 1
    assert found["cocohub_jobs_postponed_total{kind=export}"] == 1
    assert found["cocohub_job_seconds_count{kind=export}"] == 3
    assert found["cocohub_job_seconds_bucket{kind=export,le=+Inf}"] == 3
    assert found["cocohub_job_seconds_bucket{kind=export,le=7200.0}"] == 3
    assert 0 <= found["cocohub_job_seconds_sum{kind=export}"] < 30


def test_buckets_add_up_to_the_count(scrape):
    for seconds in (0.02, 0.02, 3.0, 99_999.0):
        metering.observe("cocohub_job_seconds", seconds, kind="import")
    found = scrape()
    bounds = [found[f"cocohub_job_seconds_bucket{{kind=import,le={bound}}}"] for bound in metering.SECONDS]
    assert bounds == [0, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]
    assert found["cocohub_job_seconds_bucket{kind=import,le=+Inf}"] == 4
    assert found["cocohub_job_seconds_sum{kind=import}"] == pytest.approx(100_002.04)


def test_the_queue_and_its_age(project, scrape):
    now = timezone.now()
    factories.make_task(project, Task.Kind.EXPORT, created_at=now - timedelta(seconds=90))
    factories.make_task(project, Task.Kind.EXPORT, created_at=now)
    factories.make_task(project, Task.Kind.IMPORT, status=Task.Status.RUNNING)
    found = scrape()
    assert found["cocohub_jobs_waiting{kind=export}"] == 2
    assert found["cocohub_jobs_waiting{kind=import}"] == 0
    assert found["cocohub_jobs_running{kind=import}"] == 1
    assert 90 <= found["cocohub_queue_oldest_seconds{kind=export}"] < 120
    assert found["cocohub_queue_oldest_seconds{kind=import}"] == 0
    assert found["cocohub_queue_messages{queue=imports}"] >= 0


def test_imported_rows_figures_and_what_was_remembered(project, tmp_path, scrape):
    scenes.load_scenes(project, tmp_path)
    project.refresh_from_db()
    for _ in range(2):
        reading.read(project, list(reading.METRICS)[:1])
    found = scrape()
    assert found["cocohub_cache_reads_total{cache=insights,outcome=miss}"] == 1
    assert found["cocohub_cache_reads_total{cache=insights,outcome=hit}"] == 1
    assert sum(number for name, number in found.items() if name.startswith("cocohub_metric_seconds_count")) == 1


def test_an_import_counts_its_rows(transactional_db, project, owner, tmp_path, scrape):
    path = tmp_path / "instances_train.json"
    path.write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}], "categories": [{"id": 1, "name": "c"}],'
        ' "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0}]}'
    )
    task = services.import_here(
        user=owner, project=project, files=[FileToImport(path, "train")], pictures=None,
        file_name=path.name, progress=lambda *_: None,
    )  # fmt: skip
    assert task.status == "succeeded"
    found = scrape()
    assert found["cocohub_rows_imported_total{what=images}"] == 1
    assert found["cocohub_rows_imported_total{what=annotations}"] == 1


def test_calls_to_cvat_their_retries_and_their_outcome(scrape):
    with Double() as double:
        account = Account(
            double.url, token=double.token, allowed_hosts=frozenset([host_of(double.url)]), timeouts=Timeouts(2, 2, 10)
        )
        with Client.open(account, retries=Retries(attempts=3), pause=lambda seconds: None) as client:
            client.about()
    with Client.open(account, retries=Retries(attempts=3), pause=lambda seconds: None) as client:
        with pytest.raises(CvatError):
            client.about()
    found = scrape()
    assert found["cocohub_cvat_calls_total{method=GET,outcome=200}"] == 1
    assert found["cocohub_cvat_calls_total{method=GET,outcome=no answer}"] == 3
    assert found["cocohub_cvat_retries_total{method=GET}"] == 2
    assert found["cocohub_cvat_call_seconds_count{method=GET}"] == 4


# --- Processes and failures -------------------------------------------------------------------------------------------


def test_what_a_worker_counts_is_read_here(celery_worker, project, monkeypatch, scrape):
    """Workers write to the database of Redis that is their broker here: it is read from there."""
    monkeypatch.setattr(metering, "KEY", "cocohub:meters")
    monkeypatch.setattr(metering, "_redis", lambda url: redis.Redis.from_url(celery_worker.redis_url))
    name = "cocohub_jobs_total{kind=insights,outcome=succeeded}"
    before = scrape().get(name, 0)
    task = factories.make_task(project, Task.Kind.INSIGHTS)
    jobs.publish(task)
    wait_until(lambda: Task.objects.get(pk=task.pk).is_finished, 60)
    wait_until(lambda: scrape().get(name, 0) == before + 1, 20)


def test_a_child_process_counts_its_own_only(meters):
    metering.count("cocohub_jobs", kind="import", outcome="failed")
    child = os.fork()
    if not child:
        try:
            metering.count("cocohub_jobs", kind="import", outcome="failed")
            metering.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    metering.flush()
    assert metering.read() == {("cocohub_jobs", ("import", "failed"), ""): 2}


def test_counts_are_written_within_a_second_or_so():
    metering.count("cocohub_jobs", kind="import", outcome="failed")
    wait_until(lambda: metering.read() != {}, 10)


def test_labels_that_there_are_not_are_a_bug():
    with pytest.raises(ValueError, match="has the labels"):
        metering.count("cocohub_jobs", kind="import")


def test_without_redis_work_goes_on_and_the_rest_is_told(project, settings, scrape):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    metering.count("cocohub_jobs", kind="import", outcome="failed")
    metering.flush()
    found = scrape()
    assert found["cocohub_answers{part=counts}"] == found["cocohub_answers{part=broker}"] == 0
    assert found["cocohub_answers{part=database}"] == 1
    assert "cocohub_jobs_waiting{kind=import}" in found
