"""Uploads in parts, as tus clients send them, kept on the local disk or in S3."""

import base64
import hashlib
from contextlib import closing, contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import boto3
import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from moto import mock_aws

from accounts.errors import TooLarge
from annotations import drafts, uploads
from annotations.models import ResumableUpload
from projects import deletion, services

TYPE = "application/offset+octet-stream"
MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture(params=["local", "s3"])
def store(request, settings, tmp_path):
    """Both kinds of storage."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "drafts")
    Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir()
    if request.param == "local":
        yield request.param
        return
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="test")
        options = {"bucket_name": "test", "region_name": "us-east-1", "access_key": "x", "secret_key": "x"}
        backend = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": {**options, "file_overwrite": True}}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        yield request.param


@pytest.fixture
def address(project):
    return f"/api/v1/projects/{project.pk}/uploads"


def begin(client, address, length, name="data.json", **more):
    metadata = f"filename {base64.b64encode(name.encode()).decode()},filetype YQ=="
    answer = client.post(
        address,
        more.pop("data", b""),
        content_type=more.pop("content_type", TYPE),
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": metadata, **more},
    )
    return answer


def send(client, where, offset, data, **more):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), **more}
    return client.patch(where, data, content_type=TYPE, headers=headers)


def ask(client, where):
    return client.head(where, headers=TUS)


def take_back(client, where):
    return client.delete(where, headers=TUS)


@contextmanager
def atomic_on(other):
    """A transaction on another connection, rolled back at the end."""
    other.set_autocommit(False)
    with other.cursor() as cursor:
        yield cursor
    other.rollback()


def content(pk):
    with default_storage.open(ResumableUpload.objects.get(pk=pk).key) as file:
        return file.read()


def test_parts_become_one_file(store, address, as_curator, monkeypatch):
    monkeypatch.setattr(drafts, "PART", 5 * MIB)
    data = bytes(range(256)) * (12 * MIB // 256) + b"the end"
    begun = begin(as_curator, address, len(data))
    assert (begun.status_code, begun["Tus-Resumable"], begun["Upload-Offset"]) == (201, "1.0.0", "0")
    where = begun["Location"]
    at = 0
    for size in (1, 6 * MIB, 100, 5 * MIB, len(data)):
        piece = data[at : at + size]
        answer = send(as_curator, where, at, piece)
        at += len(piece)
        assert (answer.status_code, answer["Upload-Offset"]) == (204, str(at)), answer.content
        head = ask(as_curator, where)
        assert (head["Upload-Offset"], head["Upload-Length"], head["Cache-Control"]) == (
            str(at),
            str(len(data)),
            "no-store",
        )
    shown = as_curator.get(where).json()
    assert shown["is_whole"] is True
    assert shown["file_name"] == "data.json"
    assert content(shown["id"]) == data


def test_the_first_part_may_come_with_the_creation(store, address, as_curator):
    answer = begin(as_curator, address, 5, data=b"12345")
    assert (answer.status_code, answer["Upload-Offset"]) == (201, "5")
    assert content(answer.json()["id"]) == b"12345"


def test_an_upload_of_nothing_is_whole(store, address, as_curator):
    assert content(begin(as_curator, address, 0).json()["id"]) == b""


def test_a_wrong_offset_is_409_and_changes_nothing(store, address, as_curator):
    where = begin(as_curator, address, 10)["Location"]
    send(as_curator, where, 0, b"1234")
    for offset in (0, 3, 5):
        answer = send(as_curator, where, offset, b"567890"[: 10 - offset])
        assert answer.status_code == 409
        assert answer.json()["detail"] == {"offset": 4}
    assert send(as_curator, where, 4, b"567890").status_code == 204
    assert content(ResumableUpload.objects.get().pk) == b"1234567890"


def test_while_another_request_writes_it_is_423_at_once(transactional_db, address, as_curator):
    where = begin(as_curator, address, 10)["Location"]
    other = connection.copy()
    with closing(other), atomic_on(other) as cursor:
        cursor.execute("SELECT 1 FROM annotations_resumableupload FOR UPDATE")
        answer = send(as_curator, where, 0, b"1234")
    assert answer.status_code == 423
    assert "Another request is writing" in answer.json()["message"]
    assert send(as_curator, where, 0, b"1234").status_code == 204


def test_more_than_announced_and_more_than_is_taken_is_413(store, address, as_curator, settings):
    settings.MAX_UPLOAD_BYTES = 100
    assert begin(as_curator, address, 101).status_code == 413
    where = begin(as_curator, address, 3)["Location"]
    assert send(as_curator, where, 0, b"1234").status_code == 413
    assert ask(as_curator, where)["Upload-Offset"] == "0"


def test_a_first_part_longer_than_announced_begins_nothing(store, address, as_curator):
    assert begin(as_curator, address, 3, data=b"1234").status_code == 413
    assert not ResumableUpload.objects.exists()


def test_no_piece_of_a_part_that_is_too_long_is_kept(store, address, as_curator, curator):
    where = begin(as_curator, address, 10)["Location"]
    upload = ResumableUpload.objects.get()
    for size in (0, 4):
        with pytest.raises(TooLarge):
            uploads.append(user=curator, upload=upload, offset=0, body=BytesIO(b"1234"), size=size, announced=11)
    assert ask(as_curator, where)["Upload-Offset"] == "0"
    taken = uploads.append(user=curator, upload=upload, offset=0, body=BytesIO(b"1234"), size=4, announced=10)
    assert taken.offset == 4


def test_to_ask_with_no_bytes_changes_nothing(store, address, as_curator):
    where = begin(as_curator, address, 10)["Location"]
    send(as_curator, where, 0, b"1234")
    before = ResumableUpload.objects.values().get()
    assert send(as_curator, where, 4, b"")["Upload-Offset"] == "4"
    assert send(as_curator, where, 3, b"").status_code == 409
    assert ResumableUpload.objects.values().get() == before


@pytest.mark.parametrize("version", [None, "0.2.2", ""], ids=["none", "old", "empty"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_a_request_that_names_no_known_version_is_412_and_does_nothing(address, as_curator, method, version):
    where = begin(as_curator, address, 5, data=b"12")["Location"]
    headers = {"Upload-Offset": "2", "Upload-Length": "3", **({} if version is None else {"Tus-Resumable": version})}
    answer = as_curator.generic(method, address if method == "POST" else where, b"345", TYPE, headers=headers)
    assert (answer.status_code, answer["Tus-Version"], answer["Tus-Resumable"]) == (412, "1.0.0", "1.0.0")
    assert ResumableUpload.objects.get().offset == 2
    assert as_curator.get(where).json()["offset"] == 2  # GET is no part of tus


def test_a_wrong_checksum_is_460_and_keeps_nothing(store, address, as_curator):
    where = begin(as_curator, address, 3)["Location"]
    good = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    assert send(as_curator, where, 0, b"abd", **{"Upload-Checksum": f"sha256 {good}"}).status_code == 460
    assert send(as_curator, where, 0, b"abc", **{"Upload-Checksum": f"crc99 {good}"}).status_code == 400
    assert send(as_curator, where, 0, b"abc", **{"Upload-Checksum": f"sha256 {good}"}).status_code == 204
    assert content(ResumableUpload.objects.get().pk) == b"abc"


def test_what_was_taken_back_is_gone(store, address, as_curator):
    where = begin(as_curator, address, 9)["Location"]
    send(as_curator, where, 0, b"abc")
    assert take_back(as_curator, where).status_code == 204
    assert ask(as_curator, where).status_code == 404
    assert send(as_curator, where, 3, b"def").status_code == 404


def test_expired_uploads_are_refused_then_forgotten(
    store, address, as_curator, settings, django_capture_on_commit_callbacks
):
    whole = begin(as_curator, address, 1, data=b"1").json()["id"]
    where = begin(as_curator, address, 9)["Location"]
    send(as_curator, where, 0, b"abc")
    key = ResumableUpload.objects.get(pk=whole).key
    assert uploads.forget_expired() == 0
    ResumableUpload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert send(as_curator, where, 3, b"abc").status_code == 410
    assert uploads.forget_expired() == 2
    assert not ResumableUpload.objects.exists()
    assert not default_storage.exists(key)
    assert not list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir())


def test_the_server_says_what_it_can(address, as_curator):
    answer = as_curator.options(address)
    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert {"creation", "termination", "expiration"} <= set(answer["Tus-Extension"].split(","))
    assert int(answer["Tus-Max-Size"]) > 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "abc"}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Upload-Defer-Length": "1"}, 400),
        ({"Upload-Metadata": "filename %%%"}, 400),
    ],
)
def test_what_is_no_tus_is_refused(address, as_curator, headers, status):
    assert begin(as_curator, address, 5, **headers).status_code == status
    assert not ResumableUpload.objects.exists()


def test_a_part_of_another_type_is_415(address, as_curator):
    where = begin(as_curator, address, 5)["Location"]
    answer = as_curator.patch(where, b"12345", content_type="application/json", headers={**TUS, "Upload-Offset": "0"})
    assert answer.status_code == 415


def test_uploads_of_another_project_are_out_of_reach(address, as_curator, as_stranger, stranger):
    where = begin(as_curator, address, 5)["Location"]
    other = stranger.owned_projects.get()
    elsewhere = where.replace(address, f"/api/v1/projects/{other.pk}/uploads")
    for at in (where, elsewhere):
        assert ask(as_stranger, at).status_code == 404
        assert send(as_stranger, at, 0, b"12345").status_code == 404
        assert take_back(as_stranger, at).status_code == 404


def test_a_full_disk_is_507_and_leaves_nothing(address, as_curator, settings, tmp_path, monkeypatch):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    where = begin(as_curator, address, 6)["Location"]
    send(as_curator, where, 0, b"abc")

    def full(body, size):
        yield b"d"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drafts, "_chunks", full)
    answer = send(as_curator, where, 3, b"def")
    assert answer.status_code == 507
    assert "space" in answer.json()["message"]
    monkeypatch.undo()
    assert ask(as_curator, where)["Upload-Offset"] == "3"
    upload = ResumableUpload.objects.get()
    assert (tmp_path / f"{upload.pk}.part").stat().st_size == 3


def test_what_broke_behind_the_offset_does_not_count(curator, project, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    upload = uploads.create(user=curator, project=project, length=6)
    upload = uploads.append(user=curator, upload=upload, offset=0, body=BytesIO(b"abc"), size=3)
    with (tmp_path / f"{upload.pk}.part").open("ab") as draft:
        draft.write(b"a process that was killed before it could say so")
    upload = uploads.append(user=curator, upload=upload, offset=3, body=BytesIO(b"def"), size=3)
    assert content(upload.pk) == b"abcdef"


def test_leftovers_of_broken_requests_expire(db, settings, tmp_path):
    import os

    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    (tmp_path / "old.upload").write_bytes(b"x")
    os.utime(tmp_path / "old.upload", (0, 0))
    (tmp_path / "new.upload").write_bytes(b"x")
    assert uploads.forget_expired() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["new.upload"]


def test_viewers_see_but_do_not_send(address, as_viewer, as_curator):
    begin(as_curator, address, 5)
    assert len(as_viewer.get(address).json()["results"]) == 1
    assert begin(as_viewer, address, 5).status_code == 403


def test_nothing_is_left_in_storage_of_a_deleted_projects_uploads(store, address, as_curator, project, owner, run_task):
    whole = begin(as_curator, address, 5, data=b"12345")
    begin(as_curator, address, 50, data=b"12345")
    key = ResumableUpload.objects.get(pk=as_curator.get(whole["Location"]).json()["id"]).key
    assert default_storage.exists(key)

    run_task(services.delete_project(user=owner, project=project), deletion.delete_project)

    assert not default_storage.exists(key)
    if store == "s3":
        client = default_storage.connection.meta.client
        assert "Uploads" not in client.list_multipart_uploads(Bucket="test")
        assert "Contents" not in client.list_objects_v2(Bucket="test", Prefix="uploads/")
