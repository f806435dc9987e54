"""Projects, tasks, uploads and waiting: made once, taken up again, ended in time."""

import io

import pytest

from exports.cvat import labelling, projecting, uploading, waiting
from exports.cvat.account import Account, Timeouts
from exports.cvat.checking import check
from exports.cvat.client import Client
from exports.cvat.errors import CvatError, NotFound, Refused, Unwell
from exports.cvat.transport import Retries
from exports.cvat.uploading import Upload
from tests.exports.cvat.conftest import zip_of

LABELS = [labelling.label("car"), labelling.label("dog")]
LINK = "https://cocohub.example/exports/7"


# --- Projects and tasks -----------------------------------------------------------------------------------------------


def test_project_is_made_once(double, client):
    first = projecting.ensure_project(client, "p", LABELS)
    again = projecting.ensure_project(client, "p", LABELS)
    assert first.id == again.id
    assert [label.name for label in client.labels(first.id)] == ["car", "dog"]


def test_project_is_found_by_id_after_it_was_renamed(double, client):
    first = projecting.ensure_project(client, "p", LABELS)
    double.state.projects[first.id]["name"] = "renamed by somebody"
    assert projecting.ensure_project(client, "p", LABELS, known_id=first.id).id == first.id
    assert projecting.ensure_project(client, "p", LABELS, known_id=999).id != first.id


@pytest.mark.parametrize("kind", ["cut", "drop", "status_after", "hang"])
def test_project_and_task_are_made_once_when_the_answer_is_lost(double, connect, kind):
    client = connect(timeouts=Timeouts(1, 0.3, 5))
    double.fault(kind, method="POST", path="/projects$", status=504, seconds=1)
    project = projecting.ensure_project(client, "p", LABELS)
    double.fault(kind, method="POST", path="/tasks$", status=504, seconds=1)
    projecting.ensure_task(client, "t", project.id, LINK)
    projecting.ensure_task(client, "t", project.id, LINK)
    assert (len(double.state.projects), len(double.state.tasks)) == (1, 1)


def test_missing_labels_and_attributes_are_added_when_the_answer_is_lost(double, client):
    project = projecting.ensure_project(client, "p", [labelling.label("car")])
    wanted = [labelling.label("car", attributes=[labelling.attribute("kind", "text")]), *LABELS[1:]]
    double.fault("status_after", method="PATCH", status=502)
    labels = projecting.ensure_labels(client, project.id, wanted)
    assert [label.name for label in labels] == ["car", "dog"]
    assert [attribute.name for attribute in labels[0].attributes] == ["coco_id", "is_crowd", "kind"]


def test_task_never_overlaps(double, client, board):
    assert double.state.tasks[board.task.id].record["overlap"] == 0


def test_tasks_are_found_over_many_pages(double, client, board, monkeypatch):
    monkeypatch.setattr("exports.cvat.client.PAGE", 2)
    for number in range(5):
        client.create_task(f"t{number}", board.project.id, LINK)
    assert [task.name for task in client.tasks_linked(LINK)] == ["t0", "t1", "t2", "t3", "t4"]


# --- Uploads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(client):
    project = projecting.ensure_project(client, "p", LABELS)
    return projecting.ensure_task(client, "t", project.id, LINK)


FILE = zip_of([f"{number}.jpg" for number in range(5)])
SIZE = len(FILE.getvalue())


def sent(double, task) -> bytes:
    return double.state.tasks[task.id].files[uploading.UPLOAD_NAME]


def test_upload_arrives_in_chunks(double, client, task):
    told: list[Upload] = []
    uploading.upload(client, task.id, FILE, SIZE, chunk=1000, progress=told.append)
    assert sent(double, task) == FILE.getvalue()
    assert [upload.offset for upload in told] == [*range(0, SIZE, 1000), SIZE]
    assert len({upload.id for upload in told}) == 1


@pytest.mark.parametrize("kind", ["cut_upload", "cut", "drop", "status", "status_after", "hang"])
def test_upload_goes_on_after_a_chunk_went_wrong(double, connect, task, kind):
    client = connect(timeouts=Timeouts(1, 0.3, 5))
    double.fault(kind, method="PATCH", path="/data/", skip=1, times=2, status=502, seconds=0.6)
    uploading.upload(client, task.id, FILE, SIZE, chunk=1000)
    assert sent(double, task) == FILE.getvalue()


@pytest.mark.parametrize("kind", ["cut", "status_after"])
def test_upload_is_complete_when_the_answer_to_the_last_chunk_is_lost(double, client, task, kind):
    double.fault(kind, method="PATCH", path="/data/", status=502)
    uploading.upload(client, task.id, FILE, SIZE)
    assert sent(double, task) == FILE.getvalue()
    assert double.calls("POST", "/data/")[-1][2] == 409


def test_upload_is_resumed_by_another_process(double, client, task):
    seen: list[Upload] = []

    def die(upload: Upload) -> None:
        seen.append(upload)
        if upload.offset >= 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        uploading.upload(client, task.id, FILE, SIZE, chunk=1000, progress=die)
    before = len(double.calls("PATCH", "/data/"))
    uploading.upload(client, task.id, FILE, SIZE, chunk=1000, upload_id=seen[-1].id)
    assert sent(double, task) == FILE.getvalue()
    assert len(double.calls("PATCH", "/data/")) - before == -(-SIZE // 1000) - 2


def test_upload_that_cvat_forgot_begins_again(double, client, task):
    uploading.upload(client, task.id, FILE, SIZE, upload_id="1_00000000-0000-4000-8000-000000000000")
    assert sent(double, task) == FILE.getvalue()


def test_upload_is_given_up_when_nothing_moves(double, client, task):
    double.fault("drop", method="PATCH", path="/data/", times=1000)
    with pytest.raises(Unwell):
        uploading.upload(client, task.id, FILE, SIZE)


def test_upload_again_after_it_is_complete_sends_nothing(double, client, task):
    uploading.upload(client, task.id, FILE, SIZE)
    before = len(double.calls("PATCH"))
    uploading.upload(client, task.id, FILE, SIZE)
    assert len(double.calls("PATCH")) == before


def test_file_that_is_shorter_than_said_is_no_endless_loop(double, client, task):
    with pytest.raises(ValueError, match="ends after"):
        uploading.upload(client, task.id, io.BytesIO(b"short"), 100)


@pytest.mark.parametrize("fault", [None, "cut", "drop", "status_after"])
def test_finish_is_safe_to_repeat(double, client, task, fault):
    uploading.upload(client, task.id, FILE, SIZE)
    if fault:
        double.fault(fault, method="POST", header="Upload-Finish", status=504)
    rq_id = uploading.finish(client, task.id)
    if rq_id:
        assert waiting.wait_for_task(client, task.id, rq_id, limit=10).size == 5
    assert uploading.finish(client, task.id) is None
    assert client.task(task.id).size == 5


def test_finish_while_the_same_waits_gives_its_id(double, client, task):
    double.state.options.creation_seconds = 3600
    uploading.upload(client, task.id, FILE, SIZE)
    assert uploading.finish(client, task.id) == uploading.finish(client, task.id)


# --- Waiting ----------------------------------------------------------------------------------------------------------


def finished(double, client, task, file=FILE) -> str:
    uploading.upload(client, task.id, file, len(file.getvalue()))
    return uploading.finish(client, task.id)


def test_pauses_grow_while_waiting(double, client, task, pauses):
    double.state.options.polls_until_done = 6
    waiting.wait_for_task(client, task.id, finished(double, client, task), limit=1000)
    assert pauses == sorted(pauses)
    assert len(set(pauses)) > 3


def test_waiting_ends(double, client, task):
    double.state.options.creation_seconds = 1e6
    rq_id = finished(double, client, task)
    clock = iter(range(0, 100000, 50))
    with pytest.raises(waiting.TookTooLong):
        waiting.wait_for_task(client, task.id, rq_id, limit=300, clock=lambda: next(clock))


def test_request_that_expired_long_ago_is_success_if_the_task_has_frames(double, client, task):
    rq_id = finished(double, client, task)
    double.state.advance(501)
    assert waiting.wait_for_task(client, task.id, rq_id, limit=10).size == 5


def test_request_that_was_cancelled_is_gone(double, client, task):
    double.state.options.creation_seconds = 3600
    rq_id = finished(double, client, task)
    double.state.works.clear()
    with pytest.raises(waiting.RequestGone):
        waiting.wait_for_task(client, task.id, rq_id, limit=10)


def test_failed_request_is_read_again_for_its_last_line(double, client, task):
    double.state.options.races = True
    bad = io.BytesIO(b"this is no zip")
    with pytest.raises(waiting.CreationFailed) as caught:
        waiting.wait_for_task(client, task.id, finished(double, client, task, bad), limit=10)
    assert caught.value.words == "zipfile.BadZipFile: File is not a zip file"


def test_finished_request_without_its_dates_is_finished(double, client, task):
    double.state.options.races = True
    assert waiting.wait_for_task(client, task.id, finished(double, client, task), limit=10).size == 5


def test_task_that_failed_on_an_image_stays_spoilt_and_a_new_one_works(double, client, task):
    double.state.options.fail_creations = 1
    with pytest.raises(waiting.CreationFailed):
        waiting.wait_for_task(client, task.id, finished(double, client, task), limit=10)
    with pytest.raises(waiting.CreationFailed):
        waiting.wait_for_task(client, task.id, finished(double, client, task), limit=10)
    client.delete_task(task.id)
    fresh = projecting.ensure_task(client, "t", task.project_id, LINK)
    assert waiting.wait_for_task(client, fresh.id, finished(double, client, fresh), limit=10).size == 5


def test_task_deleted_meanwhile_is_not_found(double, client, task):
    rq_id = finished(double, client, task)
    client.delete_task(task.id)
    with pytest.raises(NotFound):
        waiting.wait_for_task(client, task.id, rq_id, limit=10)


# --- Jobs and remarks -------------------------------------------------------------------------------------------------


def test_changed_jobs_are_found_by_the_servers_own_date(double, client, board):
    jobs = client.jobs(board.task.id)
    mark = max(job.updated_date for job in jobs)
    assert client.jobs_changed(mark, task_id=board.task.id) == []
    client.save(board.task.id, "create", [board.box("1", frame=3)])
    assert [job.id for job in client.jobs_changed(mark, project_id=board.project.id)] == [jobs[1].id]
    assert len(client.jobs_changed("", task_id=board.task.id)) == 2
    client.save(board.task.id, "update", [])
    assert len(client.jobs_changed(mark, task_id=board.task.id)) == 1


def test_remarks_are_read_with_their_texts(double, client, board):
    job = client.jobs(board.task.id)[0]
    body = {"job": job.id, "frame": 1, "position": [1, 2, 3, 4], "message": "a bus"}
    client.transport.call("POST", "/issues", body=body, doing="remark")
    assert [(issue.frame, issue.position) for issue in client.issues(board.task.id)] == [(1, (1, 2, 3, 4))]
    assert [comment.message for comment in client.comments(job.id)] == ["a bus"]


def test_links_are_for_people(client):
    web = client.transport.account.web_url
    assert client.links.job(7, 8, frame=12, shape_id=3) == f"{web}/tasks/7/jobs/8?frame=12&type=shape&serverID=3"
    assert client.links.project(5) == f"{web}/projects/5"


# --- The check --------------------------------------------------------------------------------------------------------


def test_check_names_version_and_user(client):
    found = check(client)
    assert (found.ok, found.username, found.warnings) == (True, "admin", ())
    assert "2.54.1" in found.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": "wrong"}, "does not accept the token"),
        ({"scheme": "Token"}, "Bearer (a personal access token)"),
        ({"organization": "nowhere"}, "slug"),
    ],
)
def test_check_says_what_is_wrong_with_the_account(connect, options, words):
    found = check(connect(**options))
    assert not found.ok
    assert words in found.message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "body", "body": "<html><title>Login</title></html>"}, "expected JSON"),
        ({"kind": "body", "body": '{"hello": 1}'}, "not as CVAT does"),
        ({"kind": "status", "status": 404, "body": "<!doctype html><title>nginx</title>"}, "is the URL"),
        ({"kind": "status", "status": 301}, "redirects"),
        ({"kind": "status", "status": 503}, "in trouble"),
        ({"kind": "drop"}, "cut"),
    ],
)
def test_check_says_what_is_wrong_with_the_server(double, client, fault, words):
    double.fault(**fault, times=100)
    found = check(client)
    assert not found.ok
    assert words in found.message


def test_check_sees_a_read_only_token_and_an_old_server(double, client):
    double.state.options.version = "2.30.0"
    assert "older" in check(client).warnings[0]
    double.state.options.read_only_token = True
    assert "read-only" in check(client).message


def test_check_names_an_unknown_host(connect, double):
    account = Account("http://cvat.invalid", "t", allowed_hosts=frozenset({"cvat.invalid"}))
    with Client.open(account, retries=Retries(attempts=1)) as client:
        assert "DNS" in check(client).message


def test_old_answers_with_less_in_them_are_read(double, client):
    double.fault("body", body='{"results": [{"id": 3, "unknown": {}}], "count": 1}')
    (job,) = client.jobs(1)
    assert (job.id, job.state, job.assignee) == (3, "", None)


def test_refusals_of_validation_have_their_path(client, board):
    with pytest.raises(Refused, match=r"shapes\[0\].points: invalid length for shape type 'rectangle'"):
        client.save(board.task.id, "create", [board.box("1", points=(1, 2, 3))])
    with pytest.raises(CvatError):
        client.request("nonsense")
