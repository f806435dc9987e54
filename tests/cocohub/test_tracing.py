"""Traces: nothing of them without a collector; with one, a request and the task it started in one trace."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from accounts import personal
from projects.models import Task
from tests.conftest import ROOT, CeleryWorker, _database_url, redis_of_our_own, wait_until


class Collector:
    """Takes spans as an OTLP collector does, over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, object]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    raise AssertionError("not asked for")
                assert self.path == "/v1/traces"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {one.key: one.value.string_value for one in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        collector.spans.extend((names["service.name"], span) for span in scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, service: str) -> list:
        return [span for name, span in list(self.spans) if name == service]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def traced(collector, transactional_db, tmp_path, monkeypatch) -> Iterator[str]:
    """A web process and a worker that trace, on the test's database; the address of the web process."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    worker = CeleryWorker(tmp_path, redis_of_our_own(11))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ, "COCOHUB_HOME": str(tmp_path), "DATABASE_URL": _database_url(), "REDIS_URL": worker.redis_url,
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "cocohub.asgi:application", "--port", str(port), "--lifespan", "off"]
    with (tmp_path / "web.log").open("wb") as log:
        web = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        worker.start()
        wait_until(lambda: _answers(f"{address}/api/v1/health/live"), 60, (tmp_path / "web.log").read_text)
        yield address
    finally:
        web.terminate()
        web.wait(20)
        worker.kill()


def _answers(url: str) -> bool:
    with suppress(OSError, urllib.error.URLError):
        return urllib.request.urlopen(url, timeout=5).status == 200  # noqa: S310
    return False


def _attributes(span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_a_request_its_statements_and_its_task_are_one_trace(traced, collector, owner, project):
    _row, secret = personal.create(user=owner, name="tracing", scopes=["write"])
    asked = urllib.request.Request(  # noqa: S310
        f"{traced}/api/v1/projects/{project.pk}/exports/coco?_=hidden-word",
        data=json.dumps({"q": ""}).encode(),
        headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        assert answer.status == 202
    wait_until(lambda: Task.objects.filter(status=Task.Status.SUCCEEDED, kind="export").exists(), 60)

    def run_in_worker():
        return [span for span in collector.of("cocohub-worker") if span.name == "run/exports.tasks.run_export"]

    wait_until(run_in_worker, 30, lambda: str({(name, span.name) for name, span in collector.spans}))
    wait_until(lambda: [span for span in collector.of("cocohub-web") if span.kind == 2], 30)
    (run,) = run_in_worker()
    (request,) = [span for span in collector.of("cocohub-web") if span.kind == 2]  # of a server
    assert request.name.startswith("POST ")
    assert run.trace_id == request.trace_id
    in_trace = [span for _name, span in collector.spans if span.trace_id == request.trace_id]
    assert any("INSERT" in span.name for span in in_trace), [span.name for span in in_trace]
    everything = "".join(str(span) for _name, span in collector.spans)
    for hidden in (secret, "hidden-word", owner.email):
        assert hidden not in everything


@pytest.mark.parametrize("disabled", ["", "true"])
def test_without_a_collector_nothing_of_tracing_is_imported(tmp_path, disabled):
    script = (
        "import cocohub.asgi, sys; from cocohub import tracing; assert not tracing.start('web');"
        " print([name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.instr',"
        " 'opentelemetry.exporter'))])"
    )
    named = {"OTEL_SDK_DISABLED": disabled, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} if disabled else {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**environment, "COCOHUB_EMBEDDED": "0", "COCOHUB_HOME": str(tmp_path), **named},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
