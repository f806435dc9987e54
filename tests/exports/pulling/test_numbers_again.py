"""A CVAT that was set up anew or restored gives the same numbers to other things: they are left alone."""

import pytest

from exports.cvat.errors import NotFound
from exports.models import CvatProject, CvatTask
from exports.sending import deleting
from exports.sending import services as sending
from projects import jobs
from projects.models import Task
from tests.exports.pulling.conftest import exported, open_differences, pull, send

LINK = "https://tickets.example.com/browse/AI-7"


@pytest.fixture
def others(scene, owner, sent) -> list[int]:
    """The tasks of another export, which now have the numbers of this one's."""
    tasks = CvatTask.objects.filter(job=send(owner, scene, split="val", images_per_task=1)).order_by("number")
    numbers = [int(task.cvat_id or 0) for task in tasks]
    for task, number in zip(CvatTask.objects.filter(job=sent).order_by("number"), numbers, strict=False):
        CvatTask.objects.filter(pk=task.pk).update(cvat_id=number)
    return numbers


def put_link(client, cvat_id: int, link: str) -> None:
    client.transport.call("PATCH", f"/tasks/{cvat_id}", body={"bug_tracker": link}, doing="put a link there")


def nothing_was_read(sent, done) -> None:
    told = {name: done.result[name] for name in ("added", "changed", "deleted", "tasks_gone")}
    assert told == {"added": 0, "changed": 0, "deleted": 0, "tasks_gone": 1}
    assert [note for note in done.result["notes"] if "another task there now" in note]
    assert open_differences(sent) == []


def test_a_task_that_has_the_number_now_is_not_read(scene, sent, owner, others):
    before = exported(scene)
    nothing_was_read(sent, pull(owner, sent, everything=True, policy="theirs"))
    assert exported(scene) == before


def test_nor_is_one_whose_link_says_nothing_if_it_has_other_frames(sent, owner, client, others):
    for number in others:
        put_link(client, number, LINK)
    nothing_was_read(sent, pull(owner, sent, everything=True, policy="theirs"))


def test_a_task_into_which_people_put_a_link_of_theirs_is_read(sent, owner, client, desk):
    for task in desk.tasks:
        put_link(client, task.cvat_id, LINK)
    desk.delete("18")
    done = pull(owner, sent)
    assert (done.result["deleted"], done.result["tasks_gone"]) == (1, 0)


def test_deleting_the_export_deletes_its_own_tasks_only(sent, owner, client, desk, others):
    own = [int(task.cvat_id or 0) for task in desk.tasks]
    job = sending.delete_in_cvat(user=owner, job=sent)
    jobs.run(job.deletion_id, deleting.run)
    assert Task.objects.get(pk=job.deletion_id).status == "succeeded"
    assert [client.task(number).id for number in others] == others
    for number in own:
        with pytest.raises(NotFound):
            client.task(number)


def test_a_project_that_has_the_number_now_gets_nothing(scene, sent, owner, client):
    theirs = client.create_project("Somebody's", [{"name": "tumour", "type": "any", "attributes": []}])
    CvatProject.objects.update(cvat_id=theirs.id)
    again = send(owner, scene, split="val")
    assert again.cvat_project is not None
    assert again.cvat_project.cvat_id != theirs.id
    assert [label.name for label in client.labels(theirs.id)] == ["tumour"]


def test_a_project_that_people_renamed_is_the_same(scene, sent, owner, client):
    number = CvatProject.objects.get().cvat_id
    client.transport.call("PATCH", f"/projects/{number}", body={"name": "Streets, spring"}, doing="rename it")
    assert send(owner, scene, split="val").cvat_project.cvat_id == number
