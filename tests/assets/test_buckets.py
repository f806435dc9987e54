"""Links to files in a bucket: who follows them gets the file as what it is, and never as a page."""

import io
import urllib.request
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from assets import storage
from assets.buckets import BucketStorage
from cocohub import headers

KEY = "images/1/ab/abcd.jpeg"


@pytest.fixture(scope="module")
def server():
    """The port of a stand-in for S3 with one bucket."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    port = running.get_host_and_port()[1]
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys).create_bucket(Bucket="pictures")
    yield port
    running.stop()


@pytest.fixture
def bucket(server, settings):
    """Makes it our storage, with other options where they are given."""

    def use(**options):
        known = {
            "bucket_name": "pictures", "access_key": "a", "secret_key": "b", "region_name": "us-east-1",
            "endpoint_url": f"http://127.0.0.1:{server}", "addressing_style": "path", "signature_version": "s3v4",
        }  # fmt: skip
        backend = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": {**known, **options}}
        settings.STORAGES = {**settings.STORAGES, "default": backend}

    return use


@pytest.mark.parametrize(
    ("key", "content_type", "disposition"),
    [
        (KEY, "image/jpeg", "inline"),
        ("thumbnails/1/ab/abcd.webp", "image/webp", "inline"),
        ("exports/1/x.json", "application/json", 'attachment; filename="x.json"'),
        ("exports/1/x.zip", "application/zip", 'attachment; filename="x.zip"'),
        ("uploads/1/2/page.html", "application/octet-stream", 'attachment; filename="page.html"'),
        ("uploads/1/2/picture.svg", "application/octet-stream", 'attachment; filename="picture.svg"'),
    ],
)
def test_a_link_serves_the_file_as_its_key_says(bucket, key, content_type, disposition):
    bucket()
    storage.put(key, io.BytesIO(b"<script>alert(1)</script>"))
    with urllib.request.urlopen(storage.link(key)) as answer:  # noqa: S310 - our own stand-in
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Content-Disposition"] == disposition
        assert answer.read() == b"<script>alert(1)</script>"


def test_a_link_is_the_same_for_a_while_and_lasts(bucket, monkeypatch):
    signed = []
    monkeypatch.setattr(BucketStorage, "_sign", lambda store, name, part: signed.append(name) or f"{name} {part}")
    bucket(querystring_expire=800)
    for at, key, times in ((0, KEY, 1), (99, KEY, 1), (99, "other", 2), (101, KEY, 3), (99, KEY, 3)):
        monkeypatch.setattr("time.time", lambda at=at: 1_000_000_000.0 + at)
        assert storage.link(key).startswith(key)
        assert len(signed) == times
    monkeypatch.undo()
    bucket(querystring_expire=800)
    assert parse_qs(urlsplit(storage.link(KEY)).query)["X-Amz-Expires"] == ["800"]


def test_links_lead_to_where_browsers_reach_the_bucket(bucket, settings, server):
    bucket(public_endpoint_url="https://media.example.org")
    storage.put(KEY, io.BytesIO(b"here"))  # by the address that we know it by
    link = urlsplit(storage.link(KEY))
    assert (link.scheme, link.netloc, link.path) == ("https", "media.example.org", f"/pictures/{KEY}")
    settings.S3_BUCKET, settings.S3_ENDPOINT = "pictures", f"http://127.0.0.1:{server}"
    settings.S3_PUBLIC_ENDPOINT = "https://media.example.org"
    assert headers.picture_origins() == ["https://media.example.org"]
