"""The way back by API and command: pull, look, decide, take over, undo; who may, and what is refused."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from annotations import editing
from annotations.models import Annotation
from exports.models import CvatDifference, CvatKnown, CvatPull
from exports.pulling import applying, services
from projects import jobs
from projects.models import Task
from tests.exports.pulling.conftest import open_differences, pull, records


def row(number: int) -> Annotation:
    return Annotation.objects.get(coco_id=number, split__name="train")


@pytest.fixture
def edited(sent, desk):
    """A box moved, a box deleted, a box drawn."""
    desk.change("12", lambda shape: replace(shape, points=(5, 5, 16, 15)))
    desk.delete("16")
    task, (box,) = desk.of("18")
    desk.draw(task, replace(box, id=None, points=(30, 30, 40, 45)))
    return sent


def base(job) -> str:
    return f"/api/v1/projects/{job.project_id}/exports/cvat/{job.pk}"


def work(answer) -> dict:
    """Do what was queued."""
    assert answer.status_code == 202, answer.data
    jobs.run(answer.data["task"]["id"], services.run)
    return answer.data


def test_pull_look_decide_and_undo(scene, edited, as_curator, curator):
    before = records(scene)
    answer = as_curator.post(f"{base(edited)}/pulls", {})
    work(answer)
    told = as_curator.get(answer.headers["Location"]).data
    assert (told["state"], told["result"]["changed"], told["created_by"]) == ("succeeded", 1, curator.pk)

    listed = as_curator.get(f"{base(edited)}/differences", {"decision": "open"}).data["results"]
    assert [one["kind"] for one in listed] == ["changed", "deleted", "added"]
    changed, deleted, added = listed
    assert changed["before"]["bbox"] == [5, 5, 10, 10]
    assert changed["now"]["bbox"] == [5, 5, 10, 10]
    assert changed["after"] == {"bbox": [5, 5, 11, 10], "area": 110}
    assert changed["image"] == row(12).image_id
    assert "/tasks/" in changed["link"]
    assert added["now"] is None
    assert added["annotation"] is None
    one = as_curator.get(f"{base(edited)}/differences/{changed['id']}").data
    assert one == changed

    answer = as_curator.post(
        f"{base(edited)}/differences/decide", {"decision": "theirs", "differences": [changed["id"]]}
    )
    assert answer.status_code == 200, answer.data
    assert answer.data[0]["decision"] == "theirs"
    assert answer.data[0]["decided_by"] == curator.pk
    assert records(scene)[12]["bbox"] == [5, 5, 11, 10]
    refused = {"decision": "ours", "differences": [deleted["id"]]}
    assert as_curator.post(f"{base(edited)}/differences/decide", refused).data[0]["decision"] == "ours"
    assert 16 in records(scene)

    applied = as_curator.post(f"{base(edited)}/differences/apply", {"policy": "accept"})
    work(applied)
    assert records(scene)[19]["bbox"] == [30, 30, 10, 15]
    for number in (applied.data["id"], answer.data[0]["applied_by"]):
        work(as_curator.post(f"{base(edited)}/pulls/{number}/undo", {}))
    assert records(scene) == before
    kinds = [one["action"] for one in as_curator.get(f"{base(edited)}/pulls").data["results"]]
    assert kinds == ["undo", "undo", "apply", "apply", "apply", "read"]


@pytest.mark.parametrize(
    ("narrow", "kinds"),
    [
        ({"kind": "deleted"}, ["deleted"]),
        ({"aspect": "geometry"}, ["changed"]),
        ({"aspect": "label"}, []),
        ({"conflict": "true"}, []),
        ({"problem": "false"}, ["changed", "deleted", "added"]),
        ({"decision": "ours"}, []),
        ({"task": 1}, ["changed"]),
        ({"subject": "tag"}, []),
        ({"frame": 999}, []),
        ({"user": "nobody"}, []),
    ],
)
def test_differences_are_narrowed(edited, owner, as_viewer, narrow, kinds):
    pull(owner, edited)
    answer = as_viewer.get(f"{base(edited)}/differences", narrow)
    assert answer.status_code == 200, answer.data
    assert [one["kind"] for one in answer.data["results"]] == kinds


def test_differences_are_paged(edited, owner, as_viewer, django_assert_max_num_queries):
    pull(owner, edited)
    with django_assert_max_num_queries(12):
        first = as_viewer.get(f"{base(edited)}/differences", {"page_size": 2}).data
    assert len(first["results"]) == 2
    second = as_viewer.get(first["next"]).data
    assert [one["kind"] for one in second["results"]] == ["added"]


def test_viewer_sees_and_does_nothing(edited, owner, as_viewer, as_stranger):
    pull(owner, edited)
    assert as_viewer.get(f"{base(edited)}/differences").status_code == 200
    chosen = {"decision": "theirs", "differences": [open_differences(edited)[0].pk]}
    for client, status in ((as_viewer, 403), (as_stranger, 404)):
        for path, body in (("pulls", {}), ("differences/decide", chosen), ("differences/apply", {"policy": "theirs"})):
            assert client.post(f"{base(edited)}/{path}", body).status_code == status
    assert as_stranger.get(f"{base(edited)}/differences").status_code == 404


def test_difference_of_another_export_is_not_found(edited, owner, as_owner, stranger, api):
    pull(owner, edited)
    number = open_differences(edited)[0].pk
    other = f"/api/v1/projects/{edited.project_id}/exports/cvat/{edited.pk + 1}/differences/{number}"
    assert as_owner.get(other).status_code == 404
    answer = as_owner.post(f"{base(edited)}/differences/decide", {"decision": "ours", "differences": [number + 999]})
    assert answer.status_code == 404


def test_decided_twice_is_a_conflict_and_changes_nothing(scene, edited, owner, as_owner):
    pull(owner, edited)
    first, second, _ = (one.pk for one in open_differences(edited))
    assert (
        as_owner.post(f"{base(edited)}/differences/decide", {"decision": "ours", "differences": [first]}).status_code
        == 200
    )
    answer = as_owner.post(f"{base(edited)}/differences/decide", {"decision": "theirs", "differences": [first, second]})
    assert answer.status_code == 409
    assert "decided already" in answer.data["message"]
    assert CvatDifference.objects.get(pk=second).decision == "open"
    assert 16 in records(scene)


def test_impossible_is_told_why(sent, owner, desk, as_owner):
    desk.change("12", lambda shape: replace(shape, type="ellipse"))
    pull(owner, sent)
    (difference,) = open_differences(sent)
    answer = as_owner.post(f"{base(sent)}/differences/decide", {"decision": "theirs", "differences": [difference.pk]})
    assert answer.status_code == 409
    assert "ellipse" in answer.data["message"]


def test_one_piece_of_work_at_a_time(edited, owner, as_owner):
    pull(owner, edited)
    queued = as_owner.post(f"{base(edited)}/differences/apply", {"policy": "accept"})
    assert queued.status_code == 202
    assert as_owner.post(f"{base(edited)}/pulls", {}).status_code == 409
    assert as_owner.post(f"{base(edited)}/differences/apply", {"policy": "ours"}).status_code == 409
    work(queued)
    again = as_owner.post(f"{base(edited)}/pulls", {})
    same = as_owner.post(f"{base(edited)}/pulls", {})
    assert again.data["id"] == same.data["id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pulls", {"policy": "sometimes"}),
        ("differences/apply", {}),
        ("differences/apply", {"policy": "review"}),
        ("differences/apply", {"policy": "ours", "differences": []}),
        ("differences/decide", {"decision": "open", "differences": [1]}),
        ("differences/decide", {"decision": "ours", "differences": []}),
        ("differences/decide", {"decision": "ours", "differences": ["x"]}),
    ],
)
def test_bad_requests_are_refused(sent, as_owner, path, body):
    answer = as_owner.post(f"{base(sent)}/{path}", body)
    assert answer.status_code == 400
    assert answer.data["fieldErrors"]


def test_progress_tells_how_far_people_are(sent, owner, client, as_viewer):
    before = as_viewer.get(f"{base(sent)}/progress").data
    assert [(one["task"], one["frames"], one["percent"]) for one in before] == [(1, 3, 0), (2, 2, 0)]
    task = sent.cvat_tasks.get(number=2)
    job = task.jobs.get()
    client.transport.call("PATCH", f"/jobs/{job.cvat_id}", body={"state": "completed"}, doing="finish")
    pull(owner, sent)
    after = as_viewer.get(f"{base(sent)}/progress").data
    assert [(one["percent"], one["jobs_completed"], one["state"]) for one in after] == [
        (0, 0, "new"), (100, 1, "completed")
    ]  # fmt: skip


def test_export_that_is_not_in_cvat_cannot_be_pulled(scene, owner, cvat, as_owner):
    from exports.sending import services as sending
    from exports.sending.options import Options
    from exports.services import Wanted

    job = sending.start(user=owner, project=scene, wanted=Wanted(), options=Options())
    answer = as_owner.post(f"{base(job)}/pulls", {})
    assert answer.status_code == 409
    assert "not finished" in answer.data["message"]


# --- The command ------------------------------------------------------------------------------------------------------


def command(**options) -> dict:
    out = StringIO()
    call_command("pull_cvat", json=True, stdout=out, **options)
    return json.loads(out.getvalue())


def test_command_pulls_applies_and_undoes(scene, edited, owner):
    before = records(scene)
    told = command(export=edited.pk)
    assert (told["added"], told["changed"], told["deleted"], len(told["waiting"])) == (1, 1, 1, 3)
    told = command(export=edited.pk, apply="accept")
    assert (told["taken_over"], told["left"], told["waiting"]) == (3, 0, [])
    assert sorted(records(scene)) == [11, 12, 13, 14, 15, 17, 18, 19]
    assert CvatPull.objects.get(pk=told["pull"]).created_by == owner
    assert command(export=edited.pk, undo=told["pull"])["undone"] == 3
    assert records(scene) == before


def test_command_speaks_to_people(edited):
    out = StringIO()
    call_command("pull_cvat", export=edited.pk, stdout=out)
    assert "added: 1, changed: 1, deleted: 1" in out.getvalue()
    assert "changed 12 (task 1" in out.getvalue()


def test_command_of_no_export(db):
    with pytest.raises(CommandError, match="There is no export 99 to CVAT"):
        call_command("pull_cvat", export=99)


def test_cvat_s_refusal_is_told_in_its_words(edited, owner, cvat, settings):
    settings.CVAT_API_TOKEN = "wrong"
    with pytest.raises(CommandError, match="does not accept the token"):
        call_command("pull_cvat", export=edited.pk)
    assert Task.objects.filter(kind=Task.Kind.CVAT_PULL).get().status == Task.Status.FAILED


def test_conflict_is_told_by_the_command(edited, owner):
    editing.update_annotation(user=owner, annotation=row(12), bbox=[1, 1, 2, 2])
    told = command(export=edited.pk, apply="accept")
    assert (told["taken_over"], told["left"]) == (2, 1)
    assert told["waiting"][0]["conflict"] == "Changed here meanwhile, too: geometry."


def test_everything_goes_with_its_project(scene, edited, owner):
    from projects import deletion
    from projects import services as project_services

    pull(owner, edited, policy="accept")
    task = project_services.delete_project(user=owner, project=scene)
    jobs.run(task.pk, deletion.delete_project)
    task.refresh_from_db()
    assert task.status == Task.Status.SUCCEEDED, task.message
    assert not CvatDifference.objects.exists()
    assert not CvatPull.objects.exists()
    assert not CvatKnown.objects.exists()


def test_decision_on_what_a_reading_has_just_replaced_is_a_conflict(scene, edited, owner, as_owner, monkeypatch):
    pull(owner, edited)
    number = open_differences(edited)[0].pk
    real = applying.apply_batch

    def late(*args) -> None:
        CvatDifference.objects.filter(pk=number).delete()
        real(*args)

    monkeypatch.setattr(applying, "apply_batch", late)
    answer = as_owner.post(f"{base(edited)}/differences/decide", {"decision": "theirs", "differences": [number]})
    assert answer.status_code == 409
    assert "read once more" in answer.data["message"]
    assert CvatPull.objects.filter(action="apply").count() == 0
