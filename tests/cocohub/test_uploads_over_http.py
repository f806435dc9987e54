"""Uploads in parts over real HTTP: uvicorn, our handler, long parts in pieces."""

import http.client
import socket
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import uvicorn
from django.db import connections

from accounts import tokens
from annotations.models import ImportJob, ResumableUpload
from cocohub import bodies
from tests.conftest import wait_until

TYPE = "application/offset+octet-stream"


@pytest.fixture
def server(transactional_db, settings, tmp_path, monkeypatch):
    """The port of a server of ours."""
    monkeypatch.setattr(bodies, "PIECE", 64 * 1024)
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)  # the server's threads leave none open
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        config = uvicorn.Config(bodies.in_pieces(bodies.Handler()), lifespan="off", log_level="error")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        while not running.started:
            time.sleep(0.02)
        yield listener.getsockname()[1]
        running.should_exit = True
        thread.join(10)


@pytest.fixture
def call(server, curator):
    """`call(method, path, body, **headers)`: the status, and the headers of the answer."""
    token = tokens.issue(curator).access

    def work(method, path, body=b"", **headers):
        with closing(http.client.HTTPConnection("127.0.0.1", server, timeout=30)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            own = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0", "Content-Type": TYPE}
            connection.request(method, path, body, {**own, **named})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers

    return work


@pytest.fixture
def upload(call, project):
    """The path of an upload of 300,000 bytes."""
    status, headers = call("POST", f"/api/v1/projects/{project.pk}/uploads", Upload_Length="300000")
    assert status == 201
    return urlsplit(headers["Location"]).path


def test_a_long_part_lands_whole(call, upload):
    assert call("PATCH", upload, bytes(300_000), Upload_Offset="0")[0] == 204
    assert ResumableUpload.objects.get().is_whole


@pytest.mark.parametrize("size", [300_001, 2_000_000])
def test_a_part_longer_than_announced_keeps_nothing(call, upload, size, tmp_path):
    status, _ = call("PATCH", upload, bytes(size), Upload_Offset="0")
    assert status == 413
    assert call("HEAD", upload)[1]["Upload-Offset"] == "0"
    assert not list(tmp_path.iterdir())
    assert call("PATCH", upload, bytes(300_000), Upload_Offset="0")[0] == 204


def test_a_long_part_at_a_wrong_place_is_refused(call, upload):
    assert call("PATCH", upload, bytes(200_000), Upload_Offset="1")[0] == 409
    assert call("PATCH", upload, bytes(200_000), Upload_Offset="0", Tus_Resumable="0.1")[0] == 412
    assert call("HEAD", upload)[1]["Upload-Offset"] == "0"


def test_a_client_that_goes_leaves_no_job(server, curator, project, tmp_path):
    """A form that breaks off in its middle is thrown away, and the server goes on."""
    head = (
        f"POST /api/v1/projects/{project.pk}/coco HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {tokens.issue(curator).access}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", server)) as connection:
        connection.sendall(head.encode() + b"{" * 4_000_000)
    with closing(http.client.HTTPConnection("127.0.0.1", server, timeout=30)) as connection:
        connection.request("GET", "/health/live")
        assert connection.getresponse().status in (200, 404)
    assert not ImportJob.objects.exists()
    wait_until(lambda: not list(tmp_path.iterdir()))
