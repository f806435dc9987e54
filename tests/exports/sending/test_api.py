"""Exports to CVAT over the API: asked for, followed, stopped, taken back; the connection that they go by."""

import pytest

from accounts import sealing
from exports import connecting
from exports.models import CvatConnection, ExportJob
from exports.sending import deleting
from projects import jobs
from projects.models import AuditLog, Task
from tests.exports.sending import scenes

pytestmark = pytest.mark.django_db(transaction=True)


def address(project, *parts) -> str:
    return "/".join([f"/api/v1/projects/{project.pk}/exports/cvat", *map(str, parts)])


def connection(project, *parts) -> str:
    return "/".join([f"/api/v1/projects/{project.pk}/cvat-connection", *parts])


# --- Exports ----------------------------------------------------------------------------------------------------------


def test_a_manager_sends_and_everybody_follows_the_links(scene, cvat, as_manager, as_viewer, as_nobody, work):
    answer = as_manager.post(address(scene), {"q": "split:train", "images_per_task": 3, "images_per_job": 2})
    assert answer.status_code == 202, answer.json()
    job = work(ExportJob.objects.get(pk=answer.json()["id"]))
    assert job.task.status == "succeeded", job.task.message

    told = as_viewer.get(answer["Location"]).json()
    assert told["status"] == "succeeded"
    assert told["cvat_project"] == f"{cvat.url}/projects/1"
    assert told["steps"] == {"sent": 2}
    first, second = told["cvat_tasks"]
    assert first["link"] == f"{cvat.url}/tasks/{first['cvat_id']}"
    assert [(own["start_frame"], own["stop_frame"], own["stage"]) for own in first["jobs"]] == [
        (0, 1, "annotation"),
        (2, 2, "annotation"),
    ]
    assert second["images"] == 2
    assert second["sent"] == 2
    assert as_viewer.get(address(scene)).json()["results"][0]["steps"] == {"sent": 2}
    images = as_viewer.get(address(scene, job.pk, "images")).json()["results"]
    assert len(images) == 5
    last = images[2]
    assert last["link"] == f"{first['link']}/jobs/{first['jobs'][last['frame'] // 2]['cvat_id']}?frame={last['frame']}"
    assert as_viewer.get(f"/api/v1/projects/{scene.pk}/exports/{job.pk}/download").status_code == 200
    snapshot = as_nobody.get(told["link"])
    assert snapshot.status_code == 200
    assert snapshot["Content-Type"] == "application/zip"


def test_a_dry_run_makes_nothing_and_tells_what_would_be(scene, cvat, as_manager):
    answer = as_manager.post(address(scene), {"dry_run": True, "images_per_task": 4})
    assert answer.status_code == 200
    plan = answer.json()
    assert [(task["split"], task["images"], task["annotations"]) for task in plan["tasks"]] == [
        ("train", 4, 6),
        ("train", 1, 2),
        ("val", 1, 1),
    ]
    assert plan["dry_run"] is True
    assert plan["images"] == 6
    labels = {label["name"]: label for label in plan["labels"]}
    assert labels["person"]["keypoints"] == ["nose", "eye", "tail"]
    assert labels["car"]["attributes"] == {"color": "select", "lane": "text", "parked": "checkbox"}
    assert not ExportJob.objects.exists()
    assert not Task.objects.filter(kind=Task.Kind.EXPORT).exists()
    assert cvat.state.calls == []


def test_without_a_cvat_nothing_is_queued(scene, settings, as_manager):
    settings.CVAT_API_URL = ""
    answer = as_manager.post(address(scene), {})
    assert answer.status_code == 400
    assert "No CVAT is connected" in answer.json()["message"]
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"q": "widht>3"}, "q"),
        ({"images_per_task": 0}, "images_per_task"),
        ({"images_per_task": "many"}, "images_per_task"),
        ({"name": "x" * 200}, "name"),
        ({"sources": ["yolo"]}, "sources"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(scene, cvat, as_manager, wrong, field):
    answer = as_manager.post(address(scene), wrong)
    assert answer.status_code == 400
    assert field in answer.json()["fieldErrors"]


def test_a_query_that_chooses_nothing_fails_and_says_so(scene, cvat, as_manager, work):
    answer = as_manager.post(address(scene), {"q": "tag:nowhere"})
    job = work(ExportJob.objects.get(pk=answer.json()["id"]))
    assert job.task.status == "failed"
    assert "chooses no images" in job.task.message
    assert cvat.state.projects == {}


def test_curators_may_not_send(scene, cvat, as_curator, as_stranger):
    assert as_curator.post(address(scene), {}).status_code == 403
    assert as_stranger.post(address(scene), {}).status_code == 404


def test_cancelled_while_it_waits_then_taken_up_again(scene, cvat, as_manager, work):
    job = ExportJob.objects.get(pk=as_manager.post(address(scene), {}).json()["id"])
    assert as_manager.post(address(scene, job.pk, "cancel")).json()["status"] == "cancelled"
    assert work(job).task.status == "cancelled"
    assert as_manager.post(address(scene, job.pk, "cancel")).status_code == 409
    assert as_manager.post(address(scene, job.pk, "retry")).status_code == 202
    assert work(job).task.status == "succeeded"


def test_deleted_in_cvat_and_sent_again_as_it_was(scene, cvat, as_manager, work):
    job = work(ExportJob.objects.get(pk=as_manager.post(address(scene), {"q": "split:train"}).json()["id"]))
    assert as_manager.post(address(scene, job.pk, "retry")).status_code == 409
    answer = as_manager.post(address(scene, job.pk, "delete-in-cvat"))
    assert answer.status_code == 202
    assert answer.json()["deletion"]["kind"] == "cvat_delete"
    assert as_manager.post(address(scene, job.pk, "retry")).status_code == 409

    jobs.run(answer.json()["deletion"]["id"], deleting.run)
    told = as_manager.get(address(scene, job.pk)).json()
    assert told["steps"] == {"deleted": 1}
    assert told["cvat_tasks"][0]["link"] is None
    assert cvat.state.tasks == {}
    assert as_manager.post(address(scene, job.pk, "delete-in-cvat")).status_code == 409

    scenes_before = told["filter_snapshot"]["revision"]
    scene.annotations.all().delete()
    assert as_manager.post(address(scene, job.pk, "retry")).status_code == 202
    again = work(job)
    assert again.task.status == "succeeded", again.task.message
    assert again.filter_snapshot["revision"] == scenes_before
    assert again.task.result["annotations"] == len(scenes.SENT_OF_TRAIN)
    actions = set(AuditLog.objects.filter(project=scene).values_list("action", flat=True))
    assert {"export.started", "export.finished", "export.deletion_started", "export.deleted_in_cvat"} <= actions


# --- The connection ---------------------------------------------------------------------------------------------------


def test_a_token_is_written_checked_sealed_and_never_read(project, cvat, as_manager):
    saved = as_manager.put(connection(project), {"token": cvat.token, "organization": ""})
    assert saved.status_code == 200, saved.json()
    told = as_manager.get(connection(project)).json()
    assert told == saved.json()
    assert told["own"] is True
    assert told["username"] == "admin"
    assert "token" not in told
    assert cvat.token not in str(told)
    row = CvatConnection.objects.get(project=project)
    assert cvat.token not in row.token_sealed
    assert sealing.unseal(row.token_sealed) == cvat.token
    line = AuditLog.objects.get(project=project, action="cvat.connected")
    assert cvat.token not in str(line.detail)
    assert as_manager.post(connection(project, "check")).json()["ok"] is True
    assert as_manager.delete(connection(project)).status_code == 204
    assert as_manager.get(connection(project)).json()["own"] is False
    assert as_manager.delete(connection(project)).status_code == 404


def test_a_token_that_cvat_does_not_accept_is_not_saved(project, cvat, as_manager):
    answer = as_manager.put(connection(project), {"token": "wrong"})
    assert answer.status_code == 400
    assert "does not accept the token" in answer.json()["fieldErrors"]["token"][0]
    assert "wrong" not in answer.content.decode()
    assert not CvatConnection.objects.exists()


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://evil.example/api", "file:///etc/passwd"])
def test_hosts_that_the_installation_does_not_name_are_never_asked(project, cvat, as_manager, url):
    answer = as_manager.put(connection(project), {"url": url, "token": "x"})
    assert answer.status_code == 400
    assert "url" in answer.json()["fieldErrors"]
    assert not CvatConnection.objects.exists()


def test_a_stored_token_does_not_go_to_another_address(project, cvat, as_manager, settings):
    assert as_manager.put(connection(project), {"token": cvat.token}).status_code == 200
    settings.CVAT_ALLOWED_HOSTS = ["other.example"]
    answer = as_manager.put(connection(project), {"url": "https://other.example"})
    assert answer.status_code == 400
    assert "Give the token of this address" in answer.json()["message"]


def test_an_organization_that_cvat_does_not_have_is_told(project, cvat, as_manager):
    answer = as_manager.put(connection(project), {"token": cvat.token, "organization": "nowhere"})
    assert answer.status_code == 400
    assert "organization" in answer.json()["message"]


def test_keys_are_changed_by_putting_the_new_one_in_front(project, cvat, as_manager, settings):
    settings.CREDENTIALS_KEYS = ["first key"]
    as_manager.put(connection(project), {"token": cvat.token})
    settings.CREDENTIALS_KEYS = ["second key", "first key"]
    assert connecting.account_of(project).token == cvat.token
    assert sealing.reseal_all() == 1
    settings.CREDENTIALS_KEYS = ["second key"]
    assert connecting.account_of(project).token == cvat.token
    settings.CREDENTIALS_KEYS = ["third key"]
    answer = as_manager.post(connection(project, "check"))
    assert answer.json()["ok"] is False
    assert "CREDENTIALS_KEYS" in answer.json()["message"]
