"""`export_cvat` and `check_cvat`: the same services from a shell."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from accounts import sealing
from exports import connecting
from exports.models import CvatConnection, ExportJob
from projects.models import AuditLog, Task
from tests.exports.sending import scenes

pytestmark = pytest.mark.django_db(transaction=True)


def told(command: str, **options) -> dict:
    out = io.StringIO()
    call_command(command, json=True, stdout=out, **options)
    return json.loads(out.getvalue())


def shown(command: str, **options) -> str:
    out = io.StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue()


def test_export_cvat_waits_and_tells_what_was_made(scene, cvat):
    result = told("export_cvat", project=scene.name, q="split:train", images_per_task=3, wait=True)

    job = ExportJob.objects.get(pk=result["export"])
    assert result["status"] == "succeeded"
    assert (result["images"], result["annotations"]) == (5, len(scenes.SENT_OF_TRAIN))
    assert [task["number"] for task in result["tasks"]] == [1, 2]
    assert result["tasks"][0]["link"].startswith(f"{cvat.url}/tasks/")
    assert job.created_by == scene.owner
    assert AuditLog.objects.get(project=scene, action="export.started").door == "command"


def test_export_cvat_without_waiting_leaves_it_to_a_worker(scene, cvat):
    assert "Follow task" in shown("export_cvat", project=scene.name)
    assert ExportJob.objects.get().task.status == Task.Status.QUEUED
    assert cvat.state.projects == {}


def test_export_cvat_shows_the_plan(scene, cvat):
    text = shown("export_cvat", project=scene.name, dry_run=True, images_per_task=4)
    assert "6 images in 3 tasks" in text
    assert "train: 4 images, 6" in text
    assert not ExportJob.objects.exists()


def test_export_cvat_goes_on_with_one_that_failed(scene, cvat):
    cvat.state.options.fail_creations = 2
    with pytest.raises(CommandError, match=r"could not make task 1.*--resume"):
        call_command("export_cvat", project=scene.name, q="split:train", wait=True)
    job = ExportJob.objects.get()
    assert told("export_cvat", project=scene.name, resume=job.pk, wait=True)["export"] == job.pk
    with pytest.raises(CommandError, match="no export 999"):
        call_command("export_cvat", project=scene.name, resume=999)


def test_wrong_words_are_one_line(scene, cvat):
    with pytest.raises(CommandError, match=r"no field .widht."):
        call_command("export_cvat", project=scene.name, q="widht>3")
    with pytest.raises(CommandError, match="images_per_task is 0"):
        call_command("export_cvat", project=scene.name, images_per_task=0)


def test_check_cvat_says_who_is_there_and_as_whom(project, cvat):
    assert shown("check_cvat").strip() == "CVAT 2.54.1, as admin."
    assert told("check_cvat", project=project.name)["username"] == "admin"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"CVAT_API_TOKEN": "wrong"}, "does not accept the token"),
        ({"CVAT_API_TOKEN": ""}, "No CVAT is connected"),
        ({"CVAT_API_TOKEN": "two words"}, "has blanks"),
        ({"CVAT_TOKEN_SCHEME": "Token"}, "It is sent as Token"),
        ({"CVAT_ORGANIZATION": "nowhere"}, "organization"),
        ({"CVAT_API_URL": "ftp://cvat.example"}, "expected http"),
        ({"CVAT_API_URL": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_check_cvat_says_plainly_what_is_wrong(db, cvat, settings, change, words, monkeypatch):
    monkeypatch.setattr(connecting, "_no_longer_than", lambda limit: lambda seconds: None)
    for name, value in change.items():
        setattr(settings, name, value)
    with pytest.raises(CommandError) as refusal:
        call_command("check_cvat")
    assert words in str(refusal.value)
    assert cvat.token not in str(refusal.value)


def test_check_cvat_warns_of_old_servers_and_refuses_read_only_tokens(db, cvat):
    cvat.state.options.version = "2.40.0"
    assert "older than 2.48" in shown("check_cvat")
    next(iter(cvat.state.tokens.values()))["read_only"] = True
    with pytest.raises(CommandError, match="read-only"):
        call_command("check_cvat")


def test_secrets_are_sealed_anew(project, cvat, settings, owner):
    settings.CREDENTIALS_KEYS = ["old"]
    connecting.save_connection(user=owner, project=project, token=cvat.token)
    settings.CREDENTIALS_KEYS = ["new", "old"]
    assert told("check_cvat", reseal=True) == {"resealed": 1}
    settings.CREDENTIALS_KEYS = ["new"]
    assert sealing.unseal(CvatConnection.objects.get().token_sealed) == cvat.token
