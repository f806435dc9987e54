"""Webhooks: signatures over raw bytes, events with tolerance; recorded deliveries and the double's own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from exports.cvat.errors import Refused
from exports.cvat.webhooks import EVENTS, SIGNATURE_HEADER, parse_event, sign, verify_signature
from tests.exports.cvat import replay

SECRET = "cocohub-recorded-secret"
DELIVERIES = [step for step in replay.steps("12") if "direction" in step]


@pytest.mark.parametrize("step", DELIVERIES, ids=lambda step: step["step"])
def test_recorded_signatures_are_right(step):
    raw, header = step["request"]["body_text"].encode(), step["request"]["headers"][SIGNATURE_HEADER]
    assert verify_signature(SECRET, raw, header)
    assert not verify_signature(SECRET, raw + b" ", header)
    assert not verify_signature(SECRET + "x", raw, header)


@pytest.mark.parametrize("step", DELIVERIES, ids=lambda step: step["step"])
def test_recorded_events_are_read(step):
    raw = step["request"]["body_text"]
    event = parse_event(raw.encode())
    assert event.name == json.loads(raw)["event"]
    assert (event.webhook_id, event.sender) == (8, "admin")
    if event.name in ("create:task", "update:task"):
        assert (event.project_id, event.task_id) == (128, 256)


@pytest.mark.parametrize(
    ("secret", "header"),
    [("", None), ("", sign("", b"x")), ("s", None), ("s", ""), ("s", "sha256="), ("s", "sha1=ab"), ("s", "é")],
)
def test_unsigned_is_never_trusted(secret, header):
    assert not verify_signature(secret, b"x", header)


@pytest.mark.parametrize("raw", [b"", b"no", b"[]", b"{}", b'{"event": 1}', b"\xff", b"[" * 100_000])
def test_delivery_that_is_none_is_said_so(raw):
    with pytest.raises(ValueError, match="delivery"):
        parse_event(raw)


def test_newer_versions_say_changes():
    raw = b'{"event": "update:job", "job": {"id": 3, "task_id": 2, "project_id": 1}, "changes": {"state": "new"}}'
    event = parse_event(raw)
    assert (event.project_id, event.task_id, event.job_id, dict(event.before)) == (1, 2, 3, {"state": "new"})


@pytest.fixture
def listener():
    received: list[tuple[bytes, str | None]] = []
    arrived = threading.Semaphore(0)

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, self.headers.get(SIGNATURE_HEADER)))
            self.send_response(200)
            self.end_headers()
            arrived.release()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    server.received, server.arrived = received, arrived
    yield server
    server.shutdown()
    server.server_close()


def test_double_tells_of_saved_annotations(client, board, listener):
    url = f"http://127.0.0.1:{listener.server_address[1]}/hook"
    hook = client.create_webhook(board.project.id, url, "s3cret", EVENTS)
    assert client.webhooks(board.project.id) == [hook]
    client.save(board.task.id, "create", [board.box("1")])
    assert listener.arrived.acquire(timeout=5)
    assert listener.arrived.acquire(timeout=5)
    events = [parse_event(body) for body, _ in listener.received]
    assert all(verify_signature("s3cret", body, header) for body, header in listener.received)
    assert {"update:job", "update:task"} & {event.name for event in events}
    assert {event.webhook_id for event in events} == {hook.id}
    client.delete_webhook(hook.id)
    client.delete_webhook(hook.id)
    assert client.webhooks(board.project.id) == []


def test_webhook_that_cvat_refuses_says_why(client, board):
    with pytest.raises(Refused, match="secret: Ensure"):
        client.create_webhook(board.project.id, "http://h.example/", "x" * 65, EVENTS)
