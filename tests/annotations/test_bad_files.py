"""Files that cannot be imported, sent as clients send them: the job fails, says where, and nothing else has changed."""

import json
import socket

import pytest
from django.core.files.storage import default_storage

from annotations.models import ImportJob
from assets.models import ImageAsset
from projects.models import Project
from tests.annotations.coco.reading import RAW, good, text_of
from tests.annotations.documents import import_document, rows_of
from tests.annotations.test_ways_in import file

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = text_of(good())
CAMEL = json.dumps({"images": [{"id": 1, "fileName": "a.jpg"}], "annotations": [], "categories": []}).encode()
DEEP = text_of({**good(), "notes": RAW + "[" * 100 + "]" * 100})


@pytest.fixture
def address(project):
    return f"/api/v1/projects/{project.pk}/coco"


@pytest.fixture
def send(address, as_curator, transactional_db):
    """`send(content, **fields)`: the import of these bytes, done as a worker does it."""
    from annotations.tasks import run_import

    def work(content, **fields):
        answer = as_curator.post(address, {"file": file(content, "train.json"), **fields}, format="multipart")
        assert answer.status_code == 202, answer.content
        job = ImportJob.objects.select_related("task").get(pk=answer.json()["id"])
        run_import(str(job.task_id))
        job.task.refresh_from_db()
        return job

    return work


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (b" \n", {"code": "bad_json", "offset": 2}, "not valid JSON"),
        (WHOLE[:-40], {"code": "bad_json", "offset": len(WHOLE) - 40}, "not valid JSON"),
        (WHOLE + b"}", {"code": "bad_json", "offset": len(WHOLE)}, "not valid JSON"),
        (json.dumps(good()).encode("utf-16"), {"code": "bad_encoding", "offset": 0}, "UTF-8"),
        (WHOLE.replace(b"a.jpg", b"\xe9.jpg"), {"code": "bad_encoding", "offset": WHOLE.index(b"a.jpg")}, "UTF-8"),
        (DEEP, {"code": "too_deep", "path": "$.notes"}, "64"),
        (b"[]", {"code": "not_an_object", "path": "$"}, "an array"),
        (b'{"shapes": []}', {"code": "no_images", "path": "$"}, "'shapes'"),
        (CAMEL, {"code": "wrong_keys", "path": "$.images"}, "'fileName'"),
    ],
    ids=["blank", "truncated", "trailing", "utf-16", "latin-1", "deep", "list", "other", "camel case"],
)
def test_the_job_fails_and_says_where_and_all_else_is_as_before(
    send, as_curator, project, address, content, where, words
):
    import_document(project, good())
    before = rows_of(project)

    job = send(content)

    assert job.task.status == "failed"
    assert words in job.task.message
    report = json.loads(as_curator.get(f"{address}/{job.pk}/report").getvalue())
    assert (report["status"], report["message"]) == ("failed", job.task.message)
    assert report["error"].items() >= where.items()
    assert rows_of(project) == before
    assert Project.objects.get(pk=project.pk).status == "ready"
    with default_storage.open(job.upload_uri) as kept:
        assert kept.read() == content


def test_a_file_of_no_bytes_is_refused_at_once(as_curator, address):
    answer = as_curator.post(address, {"file": file(b"", "train.json")}, format="multipart")
    assert (answer.status_code, answer.json()["fieldErrors"]) == (400, {"file": ["The submitted file is empty."]})
    assert not ImportJob.objects.exists()


@pytest.mark.parametrize("strict", [False, True], ids=["usual", "strict"])
def test_strict_turns_what_is_left_out_into_a_failure(send, project, strict):
    document = good()
    document["annotations"][1]["image_id"] = 99

    job = send(text_of(document), strict=strict)

    assert job.task.status == ("failed" if strict else "succeeded")
    assert ImageAsset.objects.filter(project=project).count() == (0 if strict else 3)
    if strict:
        assert "$.annotations[1].image_id" in job.task.message


def test_no_address_in_a_record_is_fetched(send, project, monkeypatch):
    def refuse(self, place):
        if "example" in str(place):
            raise AssertionError(f"{place} was called")
        return connect(self, place)

    connect, looked_up = socket.socket.connect, []
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: looked_up.append(args) or [])
    document = good()
    for record in document["images"]:
        record |= {"coco_url": "http://example.com/a.jpg", "file_name": "http://example.com/a.jpg"}

    job = send(text_of(document))

    assert job.task.status == "succeeded"
    assert [each for each in looked_up if "example" in str(each)] == []
    assert set(ImageAsset.objects.filter(project=project).values_list("status", flat=True)) == {"missing"}
