"""What the storage promises: whole files, links that run out, nothing left of deleted projects."""

import io

import boto3
import pytest
import requests
from django.core import signing
from django.core.files.storage import default_storage
from django.test import Client
from moto import mock_aws

from assets import storage


def test_a_failed_write_leaves_nothing(monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        storage.put("images/1/ab/x.jpeg", Broken(b"abc"))
    assert not default_storage.exists("images/1/ab/x.jpeg")
    assert default_storage.listdir("images/1/ab")[1] == []


def test_what_is_put_can_be_read_and_put_again():
    storage.put("logs/a.json", io.BytesIO(b"one"))
    storage.put("logs/a.json", io.BytesIO(b"two"))
    assert storage.read("logs/a.json").read() == b"two"
    assert storage.read("logs/none.json") is None
    assert storage.read("") is None


def test_nothing_is_left_of_a_deleted_project_and_others_keep_theirs():
    for project in (1, 2):
        storage.put(storage.image_key(project, "ab" * 32, "JPEG"), io.BytesIO(b"x"))
        storage.put(storage.thumbnail_key(project, "ab" * 32), io.BytesIO(b"x"))
        storage.put(storage.upload_key(project, "11", "data"), io.BytesIO(b"x"))
    storage.forget_project(1)
    storage.forget_project(1)
    assert not default_storage.exists(storage.image_key(1, "ab" * 32, "JPEG"))
    assert not default_storage.exists(storage.thumbnail_key(1, "ab" * 32))
    assert not default_storage.exists(storage.upload_key(1, "11", "data"))
    assert default_storage.exists(storage.image_key(2, "ab" * 32, "JPEG"))
    assert default_storage.exists(storage.upload_key(2, "11", "data"))


def test_a_link_shows_one_picture_with_our_type_and_no_scripts():
    key = storage.image_key(1, "cd" * 32, "PNG")
    storage.put(key, io.BytesIO(b"<html><script>alert(1)</script>"))
    answer = Client().get(storage.link(key))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]


@pytest.mark.parametrize("key", ["logs/x.json", "exports/1/x.zip"])
def test_what_is_no_picture_is_downloaded(key):
    storage.put(key, io.BytesIO(b"{}"))
    assert Client().get(storage.link(key))["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("key", "type_", "disposition"),
    [
        ("images/1/ab/x.png", "image/png", "inline"),
        ("thumbnails/1/ab/x.webp", "image/webp", "inline"),
        ("logs/x.json", "application/json", 'attachment; filename="x.json"'),
        ("exports/1/x.zip", "application/zip", 'attachment; filename="x.zip"'),
        ("uploads/1/x/data", "application/octet-stream", 'attachment; filename="data"'),
    ],
)
def test_a_bucket_answers_with_our_type_whatever_the_object_says(settings, key, type_, disposition):
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key=key, Body=b"<html>", ContentType="text/html")
        options = {"bucket_name": "bucket", "access_key": "a", "secret_key": "b", "region_name": "us-east-1"}
        default = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "default": default}

        answer = requests.get(storage.link(key), timeout=5)

    assert answer.headers["Content-Type"] == type_
    assert answer.headers["Content-Disposition"] == disposition
    assert answer.headers["Cache-Control"].startswith("private")


def test_a_forged_or_old_link_shows_nothing(settings):
    storage.put("logs/x.json", io.BytesIO(b"{}"))
    good = storage.link("logs/x.json")
    assert Client().get(good[:-2] + "aa").status_code == 404
    other = signing.TimestampSigner(salt="another").sign_object("logs/x.json")
    assert Client().get(f"/media/{other}").status_code == 404
    settings.MEDIA_LINK_SECONDS = -1
    assert Client().get(good).status_code == 404
