"""What happens to bodies before Django: long parts of uploads in pieces, endless ones cut off, full disks told."""

import json

import pytest
from django.core.exceptions import RequestAborted

from cocohub import bodies
from tests import asynchronous

PATH = "/api/v1/projects/1/uploads/" + "0" * 8 + "-0000-0000-0000-" + "0" * 12


def scope(length, path=PATH, method="PATCH", **headers):
    named = {"content-length": str(length), "upload-offset": "100", **headers}
    listed = [(key.replace("_", "-").encode(), value.encode()) for key, value in named.items()]
    return {"type": "http", "method": method, "path": path, "headers": listed}


class Kept:
    """An application that keeps what it is sent, as the uploads do."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.calls, self.left = [], []

    async def __call__(self, scope, receive, send):
        message = await receive()
        headers = dict(scope["headers"])
        self.calls.append((int(headers[b"upload-offset"]), int(headers[b"content-length"]), len(message["body"])))
        self.left.append(scope.get(bodies.LEFT_OF_PART))
        status = self.statuses.pop(0) if self.statuses else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def run(application, scope_, messages):
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asynchronous.run(application(scope_, receive, send))
    return sent


def parts(*sizes, whole=True):
    messages = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in sizes]
    messages[-1]["more_body"] = not whole
    return messages


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(bodies, "PIECE", 10)


def test_a_long_part_is_handed_over_in_pieces_each_at_its_offset():
    kept = Kept()
    sent = run(bodies.in_pieces(kept), scope(25), parts(4, 4, 4, 13))
    assert kept.calls == [(100, 0, 0), (100, 12, 12), (112, 13, 13)]
    assert kept.left == [25, 25, 13]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_what_came_before_the_client_went_is_kept():
    kept = Kept()
    assert run(bodies.in_pieces(kept), scope(1000), parts(12, 5, whole=False)) == []
    assert kept.calls == [(100, 0, 0), (100, 12, 12), (112, 5, 5)]


def test_the_first_refusal_is_the_answer():
    kept = Kept(204, 409)
    sent = run(bodies.in_pieces(kept), scope(30), parts(15, 15))
    assert len(kept.calls) == 2
    assert sent[0]["status"] == 409


@pytest.mark.parametrize("more", [{}, {"upload_checksum": "sha256 x"}], ids=["plain", "checksum"])
def test_a_part_that_is_not_wanted_is_refused_before_it_is_read(more):
    waiting = parts(15, 15)
    sent = run(bodies.in_pieces(refusing := Kept(413)), scope(30, **more), waiting)
    assert (refusing.calls, refusing.left, sent[0]["status"]) == ([(100, 0, 0)], [30], 413)
    assert len(waiting) == 2


def test_a_part_with_a_checksum_goes_through_whole_once_it_is_wanted():
    kept = Kept()
    run(bodies.in_pieces(kept), scope(30, upload_checksum="sha256 x"), parts(30))
    assert kept.calls == [(100, 0, 0), (100, 30, 30)]


@pytest.mark.parametrize(
    "request_",
    [scope(9), scope(30, method="POST"), scope(30, path="/api/v1/projects")],
)
def test_all_else_goes_through_whole(request_):
    kept = Kept()
    run(bodies.in_pieces(kept), request_, parts(30))
    assert [size for _, _, size in kept.calls] == [30]


def test_a_body_too_large_is_refused_before_it_is_read(settings):
    settings.MAX_UPLOAD_BYTES = 10
    sent = run(bodies.Handler(), scope(bodies.FORM_OVERHEAD + 11, method="POST"), [])
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"])["message"]


def test_a_body_without_a_length_is_cut_off(settings):
    settings.MAX_UPLOAD_BYTES = 10
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10

    async def receive():
        return {"type": "http.request", "body": b"x" * 1024 * 1024, "more_body": True}

    with pytest.raises(bodies._Refused):
        asynchronous.run(bodies.Handler().read_body(receive))


def test_a_client_that_goes_leaves_nothing(settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1
    messages = [{"type": "http.request", "body": b"xyz", "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    with pytest.raises(RequestAborted):
        asynchronous.run(bodies.Handler().read_body(receive))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told(settings, monkeypatch):
    class Full:
        def write(self, chunk):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(bodies.tempfile, "SpooledTemporaryFile", lambda **options: Full())
    sent = run(bodies.Handler(), {**scope(5, method="POST"), "path": "/api/v1/auth/login"}, parts(5))
    assert sent[0]["status"] == 507
