"""The Python client against a live server with a worker; and docs/walkthrough.md, block by block."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import requests
from cocohub_client import ApiError, CocoHub, StillRunning, TaskFailed, Unreachable
from django.db import connections

from accounts import personal
from accounts.models import IdempotentCall
from annotations.models import ResumableUpload
from assets.models import ImageAsset
from cocohub.sample import draw_sample
from projects.models import Project, Task
from tests import factories
from tests.conftest import ROOT

WALK = ROOT / "docs" / "walkthrough.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a COCO file and a zip of its pictures."""
    place = tmp_path_factory.mktemp("walk")
    draw_sample(place / "sample", images=48)
    (place / "instances_val.json").write_bytes((place / "sample/annotations/instances_val.json").read_bytes())
    with zipfile.ZipFile(place / "val.zip", "w") as packed:
        for picture in sorted((place / "sample/val").iterdir()):
            packed.write(picture, picture.name)
    return place


@pytest.fixture
def token(celery_worker, monkeypatch) -> str:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    user = factories.make_user("ann@example.com")
    return personal.create(user=user, name="walk", scopes=["write"], days=1)[1]


@pytest.fixture
def hub(live_server, token):
    with CocoHub(live_server.url, token, pause=lambda seconds: None) as found:
        yield found


@pytest.fixture
def project(hub):
    return hub.create_project("By the client")


def test_the_walk_through_runs_block_by_block(live_server, token, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    text = WALK.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 7
    known: dict = {}
    for block in blocks:
        code = block.replace("http://127.0.0.1:8000", live_server.url).replace("cocohub_pat_...", token)
        exec(compile(code, str(WALK), "exec"), known)  # noqa: S102 - our own page

    assert "did you mean category?" in capsys.readouterr().out
    exported = json.loads((folder / "review.json").read_text())
    chosen = {image["id"] for image in exported["images"]}
    whole = json.loads((folder / "instances_val.json").read_text())
    person = next(each["id"] for each in whole["categories"] if each["name"] == "person")
    assert chosen == {each["image_id"] for each in whole["annotations"] if each["category_id"] == person}
    assert exported["annotations"] == [each for each in whole["annotations"] if each["image_id"] in chosen]
    assert known["task"]["result"]["images"] == len(whole["images"])
    assert ImageAsset.objects.filter(tags__contains=["review"]).count() == len(chosen)


def test_an_upload_goes_on_where_it_broke_off(hub, project, folder, monkeypatch):
    monkeypatch.setattr("cocohub_client.PART", 1_000)
    plain, cut = requests.Session.request, []

    def breaking(session, method, address, **options):
        if method == "PATCH" and len(cut) < 2:
            cut.append(address)
            raise requests.ConnectionError("cut")
        return plain(session, method, address, **options)

    monkeypatch.setattr(requests.Session, "request", breaking)
    file = folder / "small.bin"
    file.write_bytes(bytes(range(256)) * 10)

    key = project.upload(file)

    upload = ResumableUpload.objects.get(pk=key)
    assert (len(cut), upload.file_name, upload.length) == (2, "small.bin", 2_560)
    assert int(hub.call("HEAD", f"{project.path}/uploads/{key}", headers={"Tus-Resumable": "1.0.0"}).headers[
        "Upload-Offset"
    ]) == 2_560  # fmt: skip


def test_a_post_whose_answer_was_lost_is_done_once(hub, monkeypatch):
    plain, lost = requests.Session.request, []

    def losing(session, method, address, **options):
        answer = plain(session, method, address, **options)
        if method == "POST" and not lost:
            lost.append(answer)
            raise requests.ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(requests.Session, "request", losing)

    made = hub.create_project("Once")

    assert lost[0].json()["id"] == made.id
    assert Project.objects.filter(name="Once").count() == 1


def test_refusals_have_a_type(hub, project, folder):
    with pytest.raises(ApiError) as caught:
        project.count("widht>3")
    assert (caught.value.status, list(caught.value.fields)) == (400, ["q"])
    assert caught.value.request_id
    with pytest.raises(ApiError, match=r"^404"):
        hub.project(987_654)
    with pytest.raises(LookupError, match="0 projects"):
        hub.project("Nowhere")
    with pytest.raises(ApiError, match=r"^401"):
        CocoHub(hub.url, "cocohub_pat_wrong").get("auth/me")
    with pytest.raises(ApiError, match=r"^400: Some fields are not valid: name\. name: This field may not be blank\.$"):
        hub.create_project("")


@pytest.mark.parametrize("ending", ["/", "/api/v1", "/api/v1/"])
def test_the_address_may_be_that_of_the_api_and_in_capitals(live_server, token, ending):
    address = live_server.url.replace("http://", "HTTP://").replace("localhost", "LocalHost") + ending
    assert CocoHub(address, token).get("auth/me")["email"] == "ann@example.com"
    assert CocoHub(address, token).url == live_server.url


@pytest.mark.parametrize("address", ["cocohub.example.org", "localhost:8000", "ftp://cocohub.example.org", ""])
def test_what_is_no_address_of_a_server_is_refused_at_once(address):
    with pytest.raises(ValueError, match="begins with https://"):
        CocoHub(address, "x")


def test_a_download_goes_on_where_it_broke_off(hub, project, folder, monkeypatch):
    project.import_coco(folder / "instances_val.json")
    whole = project.export_coco(folder / "whole.json").read_bytes()
    monkeypatch.setattr("cocohub_client.CHUNK", 1_000)
    plain, asked = requests.Response.iter_content, []

    def breaking(answer, size):
        if not answer.request.path_url.endswith("/download"):
            yield from plain(answer, size)
            return
        asked.append((answer.status_code, answer.request.headers.get("Range")))
        for at, chunk in enumerate(plain(answer, size)):
            if at == 3 and len(asked) == 1:
                raise requests.exceptions.ChunkedEncodingError("cut")
            if at == 2 and len(asked) == 2:
                return  # a proxy that ends the answer as if it were whole
            yield chunk

    monkeypatch.setattr(requests.Response, "iter_content", breaking)

    assert project.export_coco(folder / "broken.json").read_bytes() == whole
    assert asked == [(200, None), (206, "bytes=3000-"), (206, "bytes=5000-")]
    assert [path.name for path in folder.glob(".broken*")] == []


def test_long_work_is_not_waited_for_for_ever(hub, project, monkeypatch):
    task = factories.make_task(Project.objects.get(pk=project.id), status="queued")
    hub.patience = 0.0
    with pytest.raises(StillRunning, match=r"^import is still queued\.$") as caught:
        hub.wait(str(task.pk))
    assert caught.value.task["id"] == str(task.pk)


def test_a_post_that_is_still_being_answered_is_asked_for_again(hub, monkeypatch):
    plain, answers = requests.Session.request, []

    def lost(session, method, address, **options):
        if method == "POST" and not answers:
            answers.append(plain(session, method, address, **options).status_code)
            IdempotentCall.objects.update(status=None)  # as while the first is at work
            raise requests.ConnectionError("the answer was lost")
        answer = plain(session, method, address, **options)
        answers.append(answer.status_code)
        IdempotentCall.objects.update(status=201)
        return answer

    monkeypatch.setattr(requests.Session, "request", lost)
    assert hub.create_project("Twice").name == "Twice"
    assert answers == [201, 409, 201]


def test_an_import_that_fails_says_why(project, folder):
    broken = folder / "broken.json"
    broken.write_text('{"images": [}')
    with pytest.raises((TaskFailed, ApiError), match="not valid JSON"):
        project.import_coco(broken)
    assert not Task.objects.filter(status="succeeded").exists()


def test_a_server_that_is_not_there_is_told_plainly():
    with pytest.raises(Unreachable, match="does not answer"):
        CocoHub("http://127.0.0.1:9", "x", pause=lambda seconds: None).get("auth/me")


@pytest.mark.parametrize("address", ["https://elsewhere.example/api/v1/projects", "//elsewhere.example/x"])
def test_the_token_goes_nowhere_else(address):
    hub = CocoHub("http://127.0.0.1:9", "x", pause=lambda seconds: None)
    with pytest.raises((ValueError, Unreachable)) as caught:
        hub.get(address)
    assert "elsewhere" not in str(caught.value) or isinstance(caught.value, ValueError)


def test_busy_answers_are_asked_again_and_given_up(monkeypatch):
    asked, waited = [], []

    def busy(session, method, address, **options):
        asked.append(method)
        answer = requests.Response()
        answer.status_code, answer._content = 503, b'{"message": "busy"}'
        answer.headers["Retry-After"] = "7"
        return answer

    monkeypatch.setattr(requests.Session, "request", busy)
    with pytest.raises(ApiError, match="503: busy"):
        CocoHub("http://127.0.0.1:9", "x", pause=waited.append).get("auth/me")
    assert (len(asked), len(waited), min(waited)) == (5, 4, 7)
