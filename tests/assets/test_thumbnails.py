import hashlib
import io
import json
import os
import threading
import time
from functools import partial
from itertools import count

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from moto import mock_aws
from PIL import Image

from assets import storage, thumbnails
from assets.decoding import Decoders
from assets.models import ImageAsset, Split
from assets.thumbnails import StorageUnwell, make_thumbnails
from projects.models import AuditLog
from tests import factories
from tests.assets.drawings import QUARTERS, are_alike, colours, encoded, file_of, quarters
from tests.assets.faulty_decoder import FAULTY, fault

_number = count(1)


def add(project, data, *, uri=None, checksum=None, **fields):
    """An image of the project with this picture, stored as an import stores it."""
    number = next(_number)
    checksum = checksum or hashlib.sha256(data).hexdigest()
    key = storage.image_key(project.pk, checksum, "jpeg")
    if uri is None and not default_storage.exists(key):
        storage.put(key, io.BytesIO(data))
    split, _ = Split.objects.get_or_create(project=project, name="train")
    given = {"status": "ready", "width": 64, "height": 48, "format": "jpeg", "checksum": checksum, "uri": key, **fields}
    return ImageAsset.objects.create(
        project=project, split=split, coco_id=number, file_name=f"{number}.jpg", size_bytes=len(data), **given
    )


def picture(number=0):
    """A small picture file that differs from those of other numbers."""
    return encoded(quarters(64 + number % 64, 48 + number // 64), "JPEG")


def nothing(phase, done, total):
    """Progress that nobody looks at."""


@pytest.fixture(autouse=True)
def two_decoders(settings):
    settings.THUMBNAIL_DECODERS = 2


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded."""
    seen, shrink = [], Decoders.shrink

    def note(self, path, pixels=0):
        seen.append(path)
        return shrink(self, path, pixels)

    monkeypatch.setattr(Decoders, "shrink", note)
    return seen


# --- What is made -----------------------------------------------------------------------------------------------------


def test_every_image_gets_the_thumbnail_of_its_picture(project):
    images = [add(project, picture(number)) for number in range(12)]
    assert make_thumbnails(project, nothing) == {"made": 12, "reused": 0, "broken": 0, "unreadable": 0}
    for image in images:
        image.refresh_from_db()
        assert image.thumbnail_uri == storage.thumbnail_key(project.pk, image.checksum)
        with default_storage.open(image.thumbnail_uri) as file:
            shown = Image.open(file)
            assert (shown.format, shown.size) == ("WEBP", Image.open(default_storage.open(image.uri)).size)
            assert are_alike(colours(shown), list(QUARTERS))


def test_a_second_run_makes_none_again_and_changes_nothing(project, decoded):
    for number in range(3):
        add(project, picture(number))
    make_thumbnails(project, nothing)
    before = list(ImageAsset.objects.values())
    project.refresh_from_db()
    revision, lines = project.revision, AuditLog.objects.count()
    assert sum(make_thumbnails(project, nothing).values()) == 0
    project.refresh_from_db()
    assert list(ImageAsset.objects.values()) == before
    assert (project.revision, AuditLog.objects.count()) == (revision, lines)
    assert len(decoded) == 3


def test_equal_pictures_share_one_thumbnail(project, decoded):
    images = [add(project, picture()) for _ in range(5)]
    assert make_thumbnails(project, nothing)["made"] == 1
    assert len(decoded) == 1
    assert set(ImageAsset.objects.values_list("thumbnail_uri", flat=True)) == {
        storage.thumbnail_key(project.pk, images[0].checksum)
    }


def test_an_image_that_comes_later_with_a_known_picture_is_not_decoded(project, decoded):
    add(project, picture())
    make_thumbnails(project, nothing)
    add(project, picture())
    assert make_thumbnails(project, nothing) == {"made": 0, "reused": 1, "broken": 0, "unreadable": 0}
    assert len(decoded) == 1
    assert not ImageAsset.objects.filter(thumbnail_uri="").exists()


def test_thumbnails_leave_the_status_and_the_version_of_an_image_alone(project):
    image = add(project, picture(), status="approved", issues=["size_differs"])
    make_thumbnails(project, nothing)
    image.refresh_from_db()
    assert (image.status, image.version, image.issues) == ("approved", 1, ["size_differs"])


def test_only_pictures_of_this_project_that_are_stored_and_whole_are_worked_on(project):
    add(project, picture())
    add(project, picture()[:400])
    other = factories.make_project()
    elsewhere = [add(other, picture()), add(other, picture()[:400])]
    missing = add(project, b"", uri="", checksum="", format="", status="missing")
    broken = add(project, picture(1), status="broken", issues=["file_broken"])
    assert make_thumbnails(project, nothing) == {"made": 1, "reused": 0, "broken": 1, "unreadable": 0}
    for image in (*elsewhere, missing, broken):
        before = (image.thumbnail_uri, image.status, image.version)
        image.refresh_from_db()
        assert (image.thumbnail_uri, image.status, image.version) == before


def test_the_revision_grows_with_what_is_written(project):
    add(project, picture())
    make_thumbnails(project, nothing)
    before = project.revision
    project.refresh_from_db()
    assert project.revision == before > 0


def test_an_audit_line_tells_who_had_them_made(project, owner):
    add(project, picture())
    add(project, picture(1)[:300])
    make_thumbnails(project, nothing, user=owner)
    line = AuditLog.objects.get(action="thumbnails.made")
    assert (line.user, line.project) == (owner, project)
    assert line.detail == {"pictures": {"made": 1, "reused": 0, "broken": 1, "unreadable": 0}}


def test_progress_counts_images_to_the_end(project):
    for number in range(4):
        add(project, picture(number % 3))
    seen = []
    make_thumbnails(project, lambda *told: seen.append(told))
    assert seen[0] == ("thumbnails", 0, 4)
    assert seen[-1] == ("thumbnails", 4, 4)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


# --- Pictures that cannot be decoded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [picture()[:500], b"<html>", file_of("PNG")[:400], file_of("WEBP")[:60]],
    ids=["jpeg", "html", "png", "webp"],
)
def test_a_broken_picture_is_marked_and_told_and_the_others_are_made(data, project):
    good = [add(project, picture(number)) for number in range(5)]
    bad = add(project, data, status="in_review", issues=["size_differs"])
    told = []
    assert make_thumbnails(project, nothing, tell=told.append) == {"made": 5, "reused": 0, "broken": 1, "unreadable": 0}
    bad.refresh_from_db()
    assert (bad.status, bad.issues, bad.version) == ("broken", ["size_differs", "file_broken"], 2)
    assert bad.thumbnail_uri == ""
    assert [(image.image_id, image.file_name) for image in told] == [(bad.pk, bad.file_name)]
    assert told[0].reason
    assert ImageAsset.objects.filter(pk__in=[image.pk for image in good], status="ready").count() == 5


def test_the_issue_is_there_once_however_often_the_picture_is_tried(project):
    bad = add(project, b"", issues=["file_broken", "size_differs"])
    make_thumbnails(project, nothing)
    bad.refresh_from_db()
    assert sorted(bad.issues) == ["file_broken", "size_differs"]


def test_all_images_of_a_broken_picture_are_broken(project, decoded):
    for _ in range(3):
        add(project, b"GIF89a")
    told = []
    assert make_thumbnails(project, nothing, tell=told.append)["broken"] == 1
    assert len(told) == ImageAsset.objects.filter(status="broken", issues=["file_broken"]).count() == 3
    assert len(decoded) == 1


def test_a_crashing_decoder_costs_only_its_picture(project, monkeypatch):
    monkeypatch.setattr(thumbnails, "Decoders", partial(Decoders, command=FAULTY))
    for number in range(8):
        add(project, picture(number))
    bad = [add(project, fault("crash")), add(project, fault("memory")), add(project, fault("exit"))]
    reasons = {}
    counts = make_thumbnails(project, nothing, tell=lambda image: reasons.setdefault(image.image_id, image.reason))
    assert counts == {"made": 8, "reused": 0, "broken": 3, "unreadable": 0}
    assert set(ImageAsset.objects.filter(status="broken")) == set(bad)
    assert "SIGSEGV" in reasons[bad[0].pk]
    assert "memory" in reasons[bad[1].pk]


# --- Storage that does not give what it should ------------------------------------------------------------------------


def test_a_file_that_storage_lost_is_told_and_its_image_stays_as_it_is(project):
    lost, good = add(project, picture()), add(project, picture(1))
    default_storage.delete(lost.uri)
    assert make_thumbnails(project, nothing) == {"made": 1, "reused": 0, "broken": 0, "unreadable": 1}
    lost.refresh_from_db()
    good.refresh_from_db()
    assert (lost.status, lost.thumbnail_uri, lost.issues) == ("ready", "", [])
    assert good.thumbnail_uri


def test_storage_that_gives_nothing_stops_the_work_and_breaks_no_picture(project, monkeypatch):
    monkeypatch.setattr(thumbnails, "MAX_UNREADABLE", 5)
    for number in range(20):
        default_storage.delete(add(project, picture(number)).uri)
    with pytest.raises(StorageUnwell, match="5 stored pictures cannot be read"):
        make_thumbnails(project, nothing)
    assert ImageAsset.objects.filter(status="ready").count() == 20


def test_a_full_disk_stops_the_work(project, monkeypatch):
    add(project, picture())

    def full(key, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "put", full)
    with pytest.raises(OSError, match="No space left"):
        make_thumbnails(project, nothing)
    assert ImageAsset.objects.get().status == "ready"


def test_thumbnails_are_made_from_and_to_a_bucket(project, settings):
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="pictures")
        options = {"bucket_name": "pictures", "access_key": "a", "secret_key": "b", "region_name": "us-east-1"}
        backend = {"BACKEND": "assets.buckets.BucketStorage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        images = [add(project, picture(number)) for number in range(5)]
        add(project, picture()[:400])
        default_storage.delete(add(project, picture(9)).uri)
        assert make_thumbnails(project, nothing) == {"made": 5, "reused": 0, "broken": 1, "unreadable": 1}
        for image in images:
            image.refresh_from_db()
            body = client.get_object(Bucket="pictures", Key=image.thumbnail_uri)["Body"].read()
            assert body[8:12] == b"WEBP"


# --- Stopped and started again ----------------------------------------------------------------------------------------


class Stop(Exception):
    """What progress raises when somebody cancels."""


def test_work_that_is_stopped_goes_on_where_it_stopped(project, decoded, monkeypatch):
    monkeypatch.setattr(thumbnails, "FLUSH_PICTURES", 5)
    for number in range(40):
        add(project, picture(number))

    def stop_after_ten(phase, done, total):
        if done >= 10:
            raise Stop

    with pytest.raises(Stop):
        make_thumbnails(project, stop_after_ten)
    written = ImageAsset.objects.exclude(thumbnail_uri="").count()
    assert 10 <= written < 40
    assert _locks() == 0
    counts = make_thumbnails(project, nothing)
    assert counts["made"] + counts["reused"] == 40 - written
    assert ImageAsset.objects.filter(thumbnail_uri="").count() == 0


def test_no_process_or_thread_or_lock_is_left_behind(project):
    for number in range(10):
        add(project, picture(number))
    pids = []
    make_thumbnails(project, lambda *told: pids.extend(_children()))
    assert _children() == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("thumbnails")]
    assert _locks() == 0


def test_images_that_arrive_meanwhile_are_made_too(project):
    add(project, picture())
    arrived = []

    def import_more(phase, done, total):
        if done and not arrived:
            arrived.append(add(project, picture(1)))

    assert make_thumbnails(project, import_more)["made"] == 2


def test_database_work_does_not_grow_with_every_picture(project):
    def queries(number):
        for _ in range(number):
            add(project, picture(next(_number) + 200), checksum=f"ab{next(_number):062x}")
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert make_thumbnails(project, nothing)["made"] == number
        return len(captured)

    queries(1)
    assert queries(60) <= queries(5) + 2


# --- Several workers --------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(transactional_db):
    """Another worker's database connection, and what it runs in it."""
    other = connection.copy()

    def take(project, shard):
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_lock(%s, hashtext(%s))",
                [thumbnails.LOCK, f"thumbnails {project.pk} {shard}"],
            )
            assert cursor.fetchone() == (True,)

    yield take, other
    other.close()


def test_a_helper_leaves_a_shard_to_who_works_on_it(elsewhere, project):
    take, _ = elsewhere
    theirs, ours = add(project, picture(), checksum="aa" + "1" * 62), add(project, picture(), checksum="bb" + "1" * 62)
    take(project, "aa")
    assert make_thumbnails(project, nothing, until=time.monotonic() + 60)["made"] == 1
    theirs.refresh_from_db()
    ours.refresh_from_db()
    assert (theirs.thumbnail_uri, bool(ours.thumbnail_uri)) == ("", True)


def test_a_helper_begins_nothing_when_its_turn_is_over(project):
    add(project, picture())
    assert make_thumbnails(project, nothing, until=time.monotonic())["made"] == 0


def test_shards_taken_together_are_held_until_their_last_picture_is_written(elsewhere, project, monkeypatch, settings):
    _, other = elsewhere
    settings.THUMBNAIL_DECODERS = 1
    for name, value in (("THREADS_PER_DECODER", 1), ("PAGE", 1), ("FLUSH_PICTURES", 1)):
        monkeypatch.setattr(thumbnails, name, value)
    for number in range(8):
        add(project, picture(number), checksum=f"a{number // 4}{number:062x}")
    tries = []

    def try_to_take_it(phase, done, total):
        if 0 < done < total:
            with other.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_try_advisory_lock(%s, hashtext(%s))", [thumbnails.LOCK, f"thumbnails {project.pk} a1"]
                )
                tries.append(cursor.fetchone()[0])

    assert make_thumbnails(project, try_to_take_it)["made"] == 8
    assert tries
    assert not any(tries)


def test_the_leader_does_what_a_worker_that_died_left(elsewhere, project, monkeypatch):
    take, other = elsewhere
    monkeypatch.setattr(thumbnails, "PAUSE", 0.05)
    add(project, picture(), checksum="aa" + "1" * 62)
    take(project, "aa")
    rounds = []

    def look(phase, done, total):
        rounds.append(done)
        if len(rounds) == 5:
            other.close()  # the connection ends with the worker

    assert make_thumbnails(project, look)["made"] == 1
    assert len(rounds) >= 5


def test_the_leader_counts_what_others_have_done(elsewhere, project, monkeypatch):
    take, _ = elsewhere
    monkeypatch.setattr(thumbnails, "PAUSE", 0.05)
    theirs = [add(project, picture(), checksum=shard + "1" * 62) for shard in ("aa", "bb")]
    add(project, picture(), checksum="cc" + "1" * 62)
    take(project, "aa")
    take(project, "bb")
    seen = []

    def look(phase, done, total):
        seen.append((done, total))
        if len(seen) in (6, 12):
            ImageAsset.objects.filter(pk=theirs.pop().pk).update(thumbnail_uri="theirs")

    assert make_thumbnails(project, look)["made"] == 1
    assert list(dict.fromkeys(seen)) == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_workers_side_by_side_make_each_thumbnail_once(transactional_db, project, decoded, monkeypatch):
    monkeypatch.setattr(thumbnails, "CLAIM_IMAGES", 3)
    for number in range(60):
        add(project, picture(number % 30))
    counts = []

    def work():
        try:
            counts.append(make_thumbnails(project, nothing))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(decoded) == len(set(decoded)) == 30
    assert sum(count["made"] for count in counts) == 30
    assert sum(count["made"] > 0 for count in counts) > 1
    assert not ImageAsset.objects.filter(thumbnail_uri="").exists()


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_makes_them_and_tells_as_json(project, capsys):
    add(project, picture())
    bad = add(project, picture()[:300])
    call_command("make_thumbnails", project=project.name, json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["broken"]) == (1, 1)
    assert told["broken_images"][0]["image"] == bad.pk
    assert AuditLog.objects.get(action="thumbnails.made").door == "command"


def test_the_command_tells_people_what_is_broken(project, capsys):
    add(project, b"<html>")
    call_command("make_thumbnails", project=project.name)
    told = capsys.readouterr().out
    assert "1 pictures broken" in told
    assert "HTML" in told


def _locks():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s", [thumbnails.LOCK])
        return cursor.fetchone()[0]


def _children():
    """Process ids of decoders that we run."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                with open(f"{entry.path}/stat") as stat, open(f"{entry.path}/cmdline") as command:
                    if stat.read().rsplit(")", 1)[1].split()[1] == str(os.getpid()) and "decoding" in command.read():
                        found.append(int(entry.name))
            except OSError:
                continue
    return found
