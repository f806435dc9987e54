"""What is in CVAT, as the workplace tells it: exports with their progress, what waits, and the way to a frame."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exports.models import CvatDifference, CvatImage, CvatJob, CvatProject, CvatPull, CvatTask, ExportJob
from projects.models import Role, Task
from tests import factories
from tests.workplace.browsing import browser_of, staff

SERVER = "https://cvat.example"


@pytest.fixture
def send(project, images):
    """`send()` is an export of one task with two jobs, one of which is completed, and two open differences."""

    def make() -> ExportJob:
        task = factories.make_task(project, Task.Kind.EXPORT, status=Task.Status.SUCCEEDED)
        job = ExportJob.objects.create(project=project, task=task, target=ExportJob.Target.CVAT)
        there = CvatProject.objects.filter(project=project).first() or CvatProject.objects.create(
            project=project, server=SERVER, name="there", cvat_id=3
        )
        sent = CvatTask.objects.create(
            project=project, job=job, cvat_project=there, number=1, name="Street 1", cvat_id=4,
            step=CvatTask.Step.SENT, images=4,
        )  # fmt: skip
        for number, state in enumerate(("completed", "in progress")):
            CvatJob.objects.create(
                project=project, task=sent, cvat_id=10 + number, start_frame=2 * number, stop_frame=2 * number + 1,
                state=state,
            )  # fmt: skip
        CvatImage.objects.create(project=project, task=sent, asset=images["a"], place=0, name="a.jpg", frame=2)
        pull = CvatPull.objects.create(project=project, job=job, action=CvatPull.Action.READ)
        for conflict in ("", "It was changed here, too."):
            CvatDifference.objects.create(
                project=project, job=job, pull=pull, cvat_task=sent, kind="changed", key="7", frame=2, conflict=conflict
            )
        return job

    return make


def test_exports_tell_how_far_people_are_and_what_waits(by_curator, work, send):
    job = send()
    page = by_curator.get(work("cvat"))
    (line,) = page.context["lines"]
    assert (line["job"], line["images"], line["sent"], line["tasks"]) == (job, 4, 1, 1)
    assert (line["frames"], line["done"], line["percent"]) == (4, 2, 50)
    assert (line["open"], line["stuck"], line["busy"]) == (2, 1, False)
    assert work(f"exports/{job.pk}/differences") in page.content.decode()


def test_home_tells_of_differences_that_wait(by_curator, work, send):
    send()
    home = by_curator.get("/admin/")
    assert [card.waiting for card in home.context["waiting"]] == [2]
    assert f'href="{work("cvat")}">2 differences wait for a decision.' in home.content.decode()
    CvatDifference.objects.update(decision=CvatDifference.Decision.OURS)
    assert "wait for a decision" not in by_curator.get("/admin/").content.decode()


def test_an_export_tells_what_is_in_cvat_what_was_left_out_and_what_deleting_takes(project, work, send):
    job = send()
    CvatTask.objects.filter(job=job).update(images=455, size=2)
    result = {"images": 2, "annotations": 9, "left_out": {"images": 453, "annotations": 6205, "parts": 0}}
    Task.objects.filter(pk=job.task_id).update(result=result)
    ExportJob.objects.filter(pk=job.pk).update(
        payload_uri="exports/a.zip", filter_snapshot={"cvat": {"name": "Night <b>"}}
    )
    manager = browser_of(staff(project, Role.MANAGER))

    page = manager.get(work(f"exports/{job.pk}")).content.decode()

    assert "Night &lt;b&gt; · CVAT" in page
    assert "<b>453</b>images left out" in page
    assert "<b>6,205</b>annotations left out" in page
    assert '<td class="cc-num">2</td>' in page
    assert "455" not in page
    assert "1 task is deleted in CVAT" in page


def test_a_project_without_exports_says_how_to_begin(by_curator, images, work):
    page = by_curator.get(work("cvat")).content.decode()
    assert "Nothing of this project is in CVAT" in page
    assert "not connected" in page


def test_exports_of_other_projects_and_other_kinds_are_not_there(by_curator, project, work, send):
    ExportJob.objects.create(project=project, task=factories.make_task(project, Task.Kind.EXPORT))
    other = factories.make_project()
    ExportJob.objects.create(project=other, task=factories.make_task(other), target=ExportJob.Target.CVAT)
    assert by_curator.get(work("cvat")).context["lines"] == []


def test_the_page_costs_the_same_however_many_exports(by_curator, work, send):
    send()
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work("cvat"))
    for _ in range(3):
        send()
    with CaptureQueriesContext(connection) as many:
        page = by_curator.get(work("cvat"))
    assert len(page.context["lines"]) == 4
    assert len(many) == len(few) <= 14


def test_viewers_look_and_strangers_do_not(project, work, send):
    send()
    viewer = browser_of(staff(project, Role.VIEWER)).get(work("cvat"))
    assert (viewer.status_code, 'name="pull"' in viewer.content.decode()) == (200, False)
    assert browser_of(staff(factories.make_project(), Role.MANAGER)).get(work("cvat")).status_code == 404


def test_an_image_leads_to_its_frame_in_cvat(by_curator, images, work, send):
    send()
    page = by_curator.get(work(f"images/{images['a'].pk}")).content.decode()
    assert f"{SERVER}/tasks/4/jobs/11?frame=2" in page
    assert SERVER not in by_curator.get(work(f"images/{images['b'].pk}")).content.decode()


def test_what_is_selected_goes_to_the_form_of_exports(project, images, work):
    client = browser_of(staff(project, Role.MANAGER))
    page = client.get(work("exports"), {"q": f"id:{images['a'].pk}", "what": "cvat"})
    assert page.context["number"] == 1
    assert 'value="cvat" checked' in page.content.decode()
    assert "send-cvat" in client.get(work("images")).content.decode()


@pytest.mark.parametrize(("language", "words"), [("en", ("validation", "sent back")), ("ko", ("검증", "반려됨"))])
def test_how_far_people_are_in_cvat_is_told_in_the_pages_language(project, work, send, language, words):
    job = send()
    CvatTask.objects.update(stage="validation", state="rejected")
    manager = browser_of(staff(project, Role.MANAGER))
    page = manager.get(work(f"exports/{job.pk}"), headers={"Accept-Language": language}).content.decode()
    assert [f"<td>{word}</td>" in page for word in words] == [True, True]
