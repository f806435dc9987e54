"""What reviewers write about frames in CVAT comes with every pull, and never costs one."""

import json
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.urls import reverse

from exports.cvat.records import Comment, Issue
from exports.cvat.webhooks import parse_event, sign
from exports.models import CvatImage, CvatJob, CvatPull, CvatRemark, CvatTask
from exports.pulling import services, watching
from projects.models import Role, Task
from tests import factories
from tests.exports.pulling.conftest import open_differences, pull, records
from tests.workplace.browsing import browser_of, staff

PLACE = [20.5, 30.5, 40.0, 45.0]


@pytest.fixture
def remark(client):
    """`remark(job, frame, "words")` writes one in CVAT, as a reviewer does; gives its number."""

    def write(job: CvatJob | int, frame: int, message: str, **more) -> int:
        number = job if isinstance(job, int) else job.cvat_id
        body = {"job": number, "frame": frame, "position": PLACE, "message": message, **more}
        return client.transport.call("POST", "/issues", body=body, doing="remark").json()["id"]

    return write


@pytest.fixture
def change(client):
    """`change("PATCH", "/issues/1", {...})`: what else a reviewer does."""
    return lambda method, path, body=None: client.transport.call(method, path, body=body, doing="remark")


def job_of(sent, task: int = 1) -> CvatJob:
    return CvatJob.objects.filter(task__job=sent, task__number=task).order_by("cvat_id").first()


def kept(sent) -> list[CvatRemark]:
    return list(CvatRemark.objects.filter(job=sent).order_by("cvat_id"))


# --- Read -------------------------------------------------------------------------------------------------------------


def test_remarks_come_with_their_answers_and_lead_to_the_image(sent, owner, remark, change, cvat):
    job = job_of(sent)
    first = remark(job, 1, "this is a bus, not a truck")
    second = remark(job, 0, "nice", resolved=True)
    change("POST", "/comments", {"issue": first, "message": "yes\n<b>indeed</b>"})
    result = pull(owner, sent).result
    assert (result["remarks"], result["remarks_open"], result["notes"]) == (2, 1, [])
    one, other = kept(sent)
    assert [(row.cvat_id, row.frame, row.resolved) for row in (one, other)] == [(first, 1, False), (second, 0, True)]
    assert [text["message"] for text in one.texts] == ["this is a bus, not a truck", "yes\n<b>indeed</b>"]
    assert (one.position, one.author, one.texts[0]["author"]) == (PLACE, "admin", "admin")
    assert one.image_id == CvatImage.objects.get(task=job.task, frame=1).asset_id
    assert one.link == f"{cvat.url}/tasks/{job.task.cvat_id}/jobs/{job.cvat_id}?frame=1"


def test_they_follow_cvat_also_where_nothing_was_saved(sent, owner, remark, change):
    job = job_of(sent)
    first, second = remark(job, 1, "a bus"), remark(job, 2, "a truck")
    pull(owner, sent)
    keys = {row.cvat_id: row.pk for row in kept(sent)}
    change("PATCH", f"/issues/{first}", {"resolved": True})
    change("DELETE", f"/issues/{second}")
    third = remark(job, 2, "a tram")
    result = pull(owner, sent, everything=False).result
    assert (result["tasks"], result["tasks_without_news"]) == (0, sent.cvat_tasks.count())
    assert [(row.cvat_id, row.resolved) for row in kept(sent)] == [(first, True), (third, False)]
    assert kept(sent)[0].pk == keys[first]


def test_untouched_annotations_are_not_changed_by_them(scene, sent, owner, remark):
    before = records(scene)
    remark(job_of(sent), 1, "a bus")
    pull(owner, sent)
    assert open_differences(sent) == []
    assert records(scene) == before


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/issues", "/comments"])
@pytest.mark.parametrize("status", [500, 502, 403, 404, 429])
def test_a_failure_over_remarks_loses_no_correction(sent, owner, desk, remark, cvat, path, status):
    remark(job_of(sent), 1, "read before")
    pull(owner, sent)
    remark(job_of(sent), 2, "not read")
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    cvat.fault("status", method="GET", path=path, status=status, times=1_000)
    result = pull(owner, sent).result
    assert [one.key for one in open_differences(sent)] == ["12"]
    (note, *_) = result["notes"]
    assert "its remarks were not read, those read before are kept." in note
    assert [row.texts[0]["message"] for row in kept(sent)] == ["read before"]


def test_a_cvat_in_trouble_is_not_asked_again_for_every_task(sent, owner, cvat):
    cvat.fault("status", method="GET", path="/issues", status=503, times=1_000)
    result = pull(owner, sent).result
    assert sent.cvat_tasks.count() == 2
    assert len([note for note in result["notes"] if "remarks" in note]) == 1


def test_remarks_on_frames_without_an_image_are_told_and_kept(sent, owner, remark):
    job = job_of(sent)
    CvatImage.objects.filter(task=job.task, frame=2).update(frame=None)
    for frame in (2, 99, -1, 2**40):
        remark(job, frame, "where?")
    result = pull(owner, sent).result
    (note,) = result["notes"]
    assert "no image of this export" in note
    assert "(frame 99)" in note
    assert [(row.frame, row.image_id) for row in kept(sent)] == [(2, None), (99, None), (None, None), (None, None)]
    assert kept(sent)[2].link.endswith(f"/jobs/{job.cvat_id}")


def test_remarks_of_other_jobs_are_told_and_left(sent, owner, remark, cvat):
    """CVAT ignores a filter that it does not know, and answers with all there is."""
    strange = remark(job_of(sent, 2), 0, "of the second task")
    own = remark(job_of(sent, 1), 0, "of the first")
    cvat.state.issues[strange]["_task"] = CvatTask.objects.get(job=sent, number=1).cvat_id
    result = pull(owner, sent).result
    assert [row.cvat_id for row in kept(sent)] == [own]
    assert result["notes"] == ["Task 1: 1 remarks of jobs that are not in it were passed over."]


def test_one_project_never_sees_anothers(sent, owner, remark, api, stranger):
    remark(job_of(sent), 0, "ours")
    pull(owner, sent)
    address = f"/api/v1/projects/{sent.project_id}/exports/cvat/{sent.pk}/remarks"
    assert api(stranger).get(address).status_code == 404
    other = factories.make_project()
    assert api(other.owner).get(f"/api/v1/projects/{other.pk}/exports/cvat/{sent.pk}/remarks").status_code == 404


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ([1, 2.5], (1.0, 2.5)),
        (None, ()),
        ("1,2", ()),
        ([1, "2"], ()),
        ([1, float("nan")], ()),
        ([1, None], ()),
        ({"x": 1}, ()),
    ],
    ids=["point", "none", "text", "text inside", "nan", "null inside", "object"],
)
def test_a_position_that_cannot_be_drawn_is_none(position, expected):
    assert Issue.read({"id": 1, "job": 2, "frame": 3, "position": position}).position == expected


def test_what_is_missing_is_empty():
    issue, comment = Issue.read({"id": 5}), Comment.read({"id": 6})
    assert (issue.job_id, issue.owner, issue.created_date, issue.resolved) == (0, None, "", False)
    assert (comment.issue_id, comment.message, comment.owner) == (0, "", None)


def test_texts_of_any_length_and_with_nul_are_kept(sent, owner, remark):
    remark(job_of(sent), 0, "a\0b" + "x" * 20_000)
    remark(job_of(sent), 1, "")
    pull(owner, sent)
    long, empty = kept(sent)
    assert long.texts[0]["message"] == "ab" + "x" * 9_998 + " ..."
    assert str(empty) == ""


# --- Doors ------------------------------------------------------------------------------------------------------------


def test_api_lists_and_narrows_them(sent, owner, remark, as_viewer, cvat):
    job = job_of(sent)
    first = remark(job, 1, "a bus")
    remark(job_of(sent, 2), 0, "done", resolved=True)
    pull(owner, sent)
    base = f"/api/v1/projects/{sent.project_id}/exports/cvat/{sent.pk}"
    listed = as_viewer.get(f"{base}/remarks", {"resolved": "false"}).data["results"]
    (one,) = listed
    image = CvatImage.objects.get(task=job.task, frame=1).asset_id
    assert {name: one[name] for name in ("cvat_id", "cvat_task", "frame", "image", "resolved", "position")} == {
        "cvat_id": first, "cvat_task": 1, "frame": 1, "image": image, "resolved": False, "position": PLACE,
    }  # fmt: skip
    assert one["texts"][0]["message"] == "a bus"
    assert one["link"] == f"{cvat.url}/tasks/{job.task.cvat_id}/jobs/{job.cvat_id}?frame=1"
    assert as_viewer.get(f"{base}/remarks/{one['id']}").data == one
    for narrow, number in (({}, 2), ({"task": 2}, 1), ({"image": image}, 1), ({"frame": 7}, 0), ({"author": "x"}, 0)):
        assert len(as_viewer.get(f"{base}/remarks", narrow).data["results"]) == number
    assert as_viewer.get(base).data["remarks"] == {"open": 1, "resolved": 1}
    assert [task["open_remarks"] for task in as_viewer.get(f"{base}/progress").data] == [1, 0]


def test_command_tells_them(sent, remark, capsys):
    remark(job_of(sent), 1, "a bus")
    remark(job_of(sent), 1, "done", resolved=True)
    call_command("pull_cvat", "--export", str(sent.pk))
    told = capsys.readouterr().out
    assert "remarks in CVAT: 2, open: 1" in told
    assert "(task 1, frame 1): a bus" in told
    assert ": done" not in told
    call_command("pull_cvat", "--export", str(sent.pk), "--json")
    waiting = json.loads(capsys.readouterr().out)["remarks_waiting"]
    assert [(one["task"], one["frame"], one["text"]) for one in waiting] == [(1, 1, "a bus")]


def test_review_page_and_image_page_show_them(scene, sent, owner, remark, change, cvat):
    job = job_of(sent)
    first = remark(job, 1, "a <b>bus</b>")
    change("POST", "/comments", {"issue": first, "message": "and red"})
    remark(job, 1, "all is well", resolved=True)
    remark(job, 99, "where?")
    pull(owner, sent)
    browser = browser_of(staff(scene, Role.VIEWER))
    page = reverse("workplace:differences", args=[scene.pk, sent.pk])
    assert "open remarks 2" in browser.get(page).content.decode()
    link = f"{cvat.url}/tasks/{job.task.cvat_id}/jobs/{job.cvat_id}?frame=1"
    text = browser.get(page, {"remarks": "open"}).content.decode()
    assert text.count('id="remark-') == 2
    assert "a &lt;b&gt;bus&lt;/b&gt;" in text
    assert "and red" in text
    assert 'd="M20.5 30.5H40V45H20.5z"' in text
    assert link in text
    assert "The frame has no image of this export" in text
    resolved = browser.get(page, {"remarks": "resolved"}).content.decode()
    assert ("all is well" in resolved, "and red" in resolved) == (True, False)
    assert 'id="remark-' not in browser.get(page, {"remarks": "nonsense"}).content.decode()

    image = CvatImage.objects.get(task=job.task, frame=1).asset_id
    shown = browser.get(reverse("workplace:image", args=[scene.pk, image])).content.decode()
    assert shown.index("a &lt;b&gt;bus&lt;/b&gt;") < shown.index("all is well")
    assert link in shown
    other = CvatImage.objects.get(task=job.task, frame=0).asset_id
    assert "Remarks in CVAT" not in browser.get(reverse("workplace:image", args=[scene.pk, other])).content.decode()
    assert "remarks=open" in browser.get(reverse("workplace:cvat", args=[scene.pk])).content.decode()


def test_pages_are_turned_and_in_korean(scene, sent, owner, remark, monkeypatch):
    from cocohub.workplace import differences

    monkeypatch.setattr(differences, "PAGE", 2)
    for at, words in enumerate(("a bus", "a tram", "a taxi")):
        remark(job_of(sent), at, words)
    pull(owner, sent)
    browser = browser_of(staff(scene, Role.VIEWER))
    page = reverse("workplace:differences", args=[scene.pk, sent.pk])
    first = browser.get(page, {"remarks": "open"}).content.decode()
    assert ("a tram" in first, "a taxi" in first) == (True, False)
    after = kept(sent)[1].pk
    assert f"?remarks=open&amp;after={after}" in first
    korean = browser.get(page, {"remarks": "open", "after": after}, headers={"Accept-Language": "ko"}).content.decode()
    assert ("a bus" in korean, "a taxi" in korean, "열린 리뷰 의견" in korean) == (False, True, True)


def test_admin_lists_them(scene, sent, owner, remark):
    remark(job_of(sent), 1, "a bus")
    pull(owner, sent)
    browser = browser_of(staff(scene, Role.VIEWER))
    assert "a bus" in browser.get(reverse("admin:exports_cvatremark_changelist")).content.decode()
    strange = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert "a bus" not in strange.get(reverse("admin:exports_cvatremark_changelist")).content.decode()


# --- Noticed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create:issue", "update:issue", "delete:issue", "create:comment"])
def test_webhook_of_a_remark_reads_its_task(sent, owner, remark, client, settings, kind):
    settings.PUBLIC_URL = "https://hub.example"
    number = remark(job_of(sent, 2), 0, "a bus")
    pull(owner, sent)
    (row,) = watching.start_listening(user=owner, project=sent.project)
    (hook,) = client.webhooks(row.cvat_id)
    assert kind in hook.events
    name = kind.partition(":")[2]
    resource = {"id": 77, "issue": number} if name == "comment" else {"id": number, "job": job_of(sent, 2).cvat_id}
    body = json.dumps({"event": kind, name: resource, "webhook_id": hook.id}).encode()
    assert parse_event(body).issue_id == number
    secret = watching.sealing.unseal(row.webhook_secret_sealed)
    assert watching.hear(row.pk, body, sign(secret, body)) is True
    (reading,) = CvatPull.objects.filter(task__status=Task.Status.QUEUED)
    assert (reading.job, reading.trigger) == (sent, "webhook")


def test_webhook_of_a_remark_that_nobody_knows_reads_nothing(sent, owner, settings):
    settings.PUBLIC_URL = "https://hub.example"
    (row,) = watching.start_listening(user=owner, project=sent.project)
    secret = watching.sealing.unseal(row.webhook_secret_sealed)
    for content in ({"comment": {"id": 1, "issue": 999}}, {"issue": {"id": 1, "job": 999}}, {"issue": {}}, {}):
        name = next(iter(content), "comment")
        body = json.dumps({"event": f"create:{name}", **content}).encode()
        assert watching.hear(row.pk, body, sign(secret, body)) is False


def test_remarks_go_with_their_export(sent, owner, remark):
    remark(job_of(sent), 1, "a bus")
    pull(owner, sent)
    services.CvatTask.objects.filter(job=sent).delete()
    assert CvatRemark.objects.count() == 0
