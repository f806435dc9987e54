"""A task made from a cloud storage: the double is held to what was recorded, and the client to the double."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from exports.cvat import projecting, uploading, waiting
from exports.cvat.errors import Refused
from tests.cvat_double.state import Bucket
from tests.exports.cvat.replay import differences

RECORDED = {
    line["step"]: line
    for line in map(
        json.loads, Path(__file__).with_name("recorded").joinpath("14_storage.jsonl").read_text().splitlines()
    )
}
ORDERED = "task on the bucket, order as given: "


def picture(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def keys(double) -> list[str]:
    """The files of the recorded task, in its order; they are in the double's bucket."""
    frames = RECORDED[f"{ORDERED}data/meta"]["response"]["json"]["frames"]
    files = {frame["name"]: picture(frame["width"], frame["height"]) for frame in frames}
    double.state.buckets[3] = Bucket("cocohub-bucket", files.get)
    return list(files)


def same(recorded: dict, ours: object) -> list[str]:
    return list(differences(recorded["response"]["json"], ours))


def test_a_cloud_storage_is_read_as_recorded(client, keys):
    answer = client.transport.call("GET", "/cloudstorages/3", doing="read it").json()
    assert same(RECORDED["cloud storage: read (no credentials come back)"], answer) == []
    assert client.bucket_of_storage(3) == "cocohub-bucket"


def test_frames_are_in_the_order_that_was_asked_for(client, keys):
    project = projecting.ensure_project(client, "p", [])
    task = projecting.ensure_task(client, "t", project.id, "https://cocohub.example/exports/1")
    sent = RECORDED[f"{ORDERED}data"]["request"]["json"]
    assert sent == {
        **uploading.FINISH, "sorting_method": "predefined", "cloud_storage_id": 3, "server_files": keys,
    }  # fmt: skip

    rq_id = uploading.finish_from_storage(client, task.id, 3, keys)

    assert waiting.wait_for_task(client, task.id, rq_id, limit=10).size == len(keys)
    answer = client.transport.call("GET", f"/tasks/{task.id}/data/meta", doing="read the frames").json()
    assert same(RECORDED[f"{ORDERED}data/meta"], answer) == []
    assert [frame.name for frame in client.data_meta(task.id).frames] == keys
    assert uploading.finish_from_storage(client, task.id, 3, keys) is None


def test_a_file_that_is_not_there_fails_the_task(client, keys):
    project = projecting.ensure_project(client, "p", [])
    task = projecting.ensure_task(client, "t", project.id, "https://cocohub.example/exports/1")
    rq_id = uploading.finish_from_storage(client, task.id, 3, [*keys, "nowhere.jpg"])
    with pytest.raises(waiting.CreationFailed, match=r"nowhere\.jpg"):
        waiting.wait_for_task(client, task.id, rq_id, limit=10)
    with pytest.raises(Refused):
        uploading.finish_from_storage(client, task.id, 99, keys)
