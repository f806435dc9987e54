"""Imports and exports in the workplace: started, followed, read."""

import tempfile

import orjson
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotations.coco.problems import Action, Problem
from annotations.models import ImportJob
from annotations.report import Report
from assets import storage
from cocohub.workplace import report_pages
from exports.models import CvatProject, CvatTask, ExportJob
from projects.models import Role, Task
from tests import factories
from tests.annotations import scenes
from tests.workplace.browsing import browser_of, staff

EVIL = "<img src=x onerror=alert(1)>"


def coco_file(name="instances_val.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, orjson.dumps(scenes.VAL), "application/json")


def test_an_import_is_started_and_followed(by_curator, project, work):
    answer = by_curator.post(
        work("imports"), {"file": coco_file(), "split": "val"}, headers={"Accept": "application/json"}
    )
    job = ImportJob.objects.get()
    assert (answer.status_code, answer.json()["next"]) == (202, work(f"imports/{job.pk}"))
    assert f'data-task="{job.task_id}"' in by_curator.get(work(f"imports/{job.pk}")).content.decode()


def test_viewers_import_nothing(project, work):
    browser_of(staff(project, Role.VIEWER)).post(work("imports"), {"file": coco_file()})
    assert not ImportJob.objects.exists()


def test_an_import_without_a_file_is_refused(by_curator, work):
    assert by_curator.post(work("imports"), {}, headers={"Accept": "application/json"}).status_code == 400


@pytest.fixture
def finished(project):
    """An import whose report has three problems of two codes."""
    report = Report()
    for number, (code, action) in enumerate(
        [("odd", Action.KEPT), ("bad", Action.QUARANTINED), ("bad", Action.QUARANTINED)]
    ):
        report(Problem(code, action, f"$.images[{number}]", EVIL, "Mend it.", '{"id": 1}'))
    task = factories.make_task(project, status=Task.Status.SUCCEEDED, result={"images": 3, "repaired": 0})
    key = storage.log_key(task.pk)
    with tempfile.TemporaryFile() as target:
        report.write(target, {"task": str(task.pk)})
        target.seek(0)
        storage.put(key, target)
    report.close()
    Task.objects.filter(pk=task.pk).update(log=key)
    return ImportJob.objects.create(project=project, task=task, file_name=EVIL)


def test_the_report_is_read_and_filtered(by_curator, work, finished):
    page = by_curator.get(work(f"imports/{finished.pk}"))
    assert len(page.context["report"]["shown"]) == 3
    assert "<img src=x" not in page.content.decode()
    bad = by_curator.get(work(f"imports/{finished.pk}"), {"action": "quarantined", "code": "bad"}).context["report"]
    assert [problem["path"] for problem in bad["shown"]] == ["$.images[1]", "$.images[2]"]
    whole = by_curator.get(work(f"imports/{finished.pk}/report"))
    assert len(orjson.loads(b"".join(whole.streaming_content))["problems"]) == 3


def test_a_long_report_has_pages(by_curator, work, finished, monkeypatch):
    monkeypatch.setattr(report_pages, "PROBLEMS", 2)
    key = storage.log_key(finished.task_id)
    first, second = report_pages.read_page(key), report_pages.read_page(key, page="2")
    assert [[row["path"] for row in page["shown"]] for page in (first, second)] == [
        ["$.images[0]", "$.images[1]"],
        ["$.images[2]"],
    ]
    told = [(page["first"], page["last"], page["before"], page["after"]) for page in (first, second)]
    assert told == [(1, 2, None, 2), (3, 3, 1, None)]
    bad = report_pages.read_page(key, "quarantined")
    assert ([row["path"] for row in bad["shown"]], bad["fitting"], bad["after"]) == (
        ["$.images[1]", "$.images[2]"],
        2,
        None,
    )
    for page in ("0", "-1", "9" * 30, "²", "x"):
        assert report_pages.read_page(key, page=page)["shown"]
    assert report_pages.read_page("logs/none.json") is None
    text = by_curator.get(work(f"imports/{finished.pk}"), {"page": "2"}).content.decode()
    assert "3 to 3 of 3" in text
    assert 'rel="prev"' in text
    assert 'rel="next"' not in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"what": "images"}, "Choose pictures"),
        ({"what": "predictions"}, "COCO results"),
        ({"what": "predictions", "file": SimpleUploadedFile("r.json", b"[]")}, "what made the predictions"),
        ({"what": "removal"}, "Say whether"),
    ],
)
def test_what_is_imported_says_what_must_be_sent(by_curator, work, given, told):
    answer = by_curator.post(work("imports"), given, headers={"Accept": "application/json"})
    assert (answer.status_code, told in answer.json()["message"]) == (400, True)
    assert not ImportJob.objects.exists()


@pytest.mark.parametrize(("query", "number"), [("", 3), ("&action=quarantined", 2), ("&code=odd", 1)])
def test_the_report_is_had_as_csv(by_curator, work, finished, query, number):
    answer = by_curator.get(work(f"imports/{finished.pk}/report") + f"?format=csv{query}")
    assert answer["Content-Type"].startswith("text/csv")
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert (lines[0], len(lines)) == ("code,action,path,message,fix,raw", 1 + number)
    if query:
        chosen = by_curator.get(work(f"imports/{finished.pk}/report") + f"?{query[1:]}")
        assert len(orjson.loads(b"".join(chosen.streaming_content))["problems"]) == number


def test_managers_start_exports_of_a_query(project, images, work):
    client = browser_of(staff(project, Role.MANAGER))
    assert client.get(work("exports"), {"q": "category:car"}).context["number"] == 1
    client.post(work("exports"), {"q": "category:car", "what": "zip"})
    job = ExportJob.objects.get()
    assert (job.filter_snapshot["canonical"], job.filter_snapshot["package"]) == ("category:car", True)
    assert client.get(work(f"exports/{job.pk}/file")).status_code == 404


# --- To CVAT ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cvat(settings):
    """The address of a CVAT; nobody answers there."""
    settings.CVAT_API_URL, settings.CVAT_API_TOKEN = "http://127.0.0.1:9", "secret"


@pytest.fixture
def sent(project, images):
    """An export with one task in CVAT and one that is not there yet."""
    there = CvatProject.objects.create(project=project, server="https://cvat.example", name="There", cvat_id=3)
    task = factories.make_task(project, Task.Kind.EXPORT, status=Task.Status.SUCCEEDED, result={"images": 2})
    job = ExportJob.objects.create(project=project, task=task, target="cvat", cvat_project=there, payload_uri="x")
    for number, (cvat_id, step) in enumerate(((7, "sent"), (None, "planned")), 1):
        CvatTask.objects.create(
            project=project, job=job, cvat_project=there, number=number, name=EVIL, cvat_id=cvat_id, step=step
        )
    return job


def test_managers_send_to_cvat(project, images, work, cvat):
    client = browser_of(staff(project, Role.MANAGER))
    answer = client.post(work("exports"), {"q": "category:car", "what": "cvat", "images_per_task": "20"})
    job = ExportJob.objects.get()
    assert answer["Location"] == work(f"exports/{job.pk}")
    assert job.target == "cvat"
    assert job.filter_snapshot["cvat"]["images_per_task"] == 20
    assert "Nothing is in CVAT yet" in client.get(work(f"exports/{job.pk}")).content.decode()


@pytest.mark.parametrize("number", ["many", "0", "9" * 30, "-1"])
def test_a_number_of_images_that_cannot_be_is_told(project, images, work, cvat, number):
    client = browser_of(staff(project, Role.MANAGER))
    client.post(work("exports"), {"what": "cvat", "images_per_task": number})
    assert not ExportJob.objects.exists()
    page = client.get(work("exports")).content.decode()
    assert "no number" in page or "images_per_task" in page


def test_without_a_cvat_it_is_told(project, images, work):
    client = browser_of(staff(project, Role.MANAGER))
    client.post(work("exports"), {"what": "cvat"})
    assert "No CVAT is connected" in client.get(work("exports")).content.decode()


def test_the_page_shows_tasks_with_their_links_and_runs_nothing_of_theirs(project, sent, work):
    page = browser_of(staff(project, Role.VIEWER)).get(work(f"exports/{sent.pk}")).content.decode()
    assert 'href="https://cvat.example/tasks/7"' in page
    assert 'href="https://cvat.example/projects/3"' in page
    assert EVIL not in page
    assert "cvat/delete" not in page


def test_managers_take_back_what_was_sent_and_curators_do_not(project, sent, work):
    curator, manager = (browser_of(staff(project, role)) for role in (Role.CURATOR, Role.MANAGER))
    curator.post(work(f"exports/{sent.pk}/cvat/delete"))
    sent.refresh_from_db()
    assert sent.deletion is None
    manager.post(work(f"exports/{sent.pk}/cvat/retry"))  # refused: it has succeeded and is there
    manager.post(work(f"exports/{sent.pk}/cvat/delete"))
    sent.refresh_from_db()
    assert sent.deletion.kind == Task.Kind.CVAT_DELETE
    assert "being deleted" in manager.get(work(f"exports/{sent.pk}")).content.decode()
    assert manager.get(work(f"exports/{sent.pk}/cvat/delete")).status_code == 405
    assert manager.post(work(f"exports/{sent.pk}/cvat/burn")).status_code == 404
