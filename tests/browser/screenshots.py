"""Pictures of the main pages for README and docs, from the drawn data set: `make screenshots` runs this."""

import io
import json
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from annotations import services as imports
from annotations.models import Annotation
from assets import thumbnails
from assets.models import ImageAsset
from cocohub.sample import draw_sample
from exports.models import CvatDifference, CvatJob, CvatProject, CvatPull, CvatTask, ExportJob
from insights import refreshing
from insights.models import InsightView
from projects import jobs
from projects.models import Project, Task
from tests import factories

FOLDER = Path(django_settings.BASE_DIR, "docs", "images")
FLAWED = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "car"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [600, 10, 90, 50], "area": 4500, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
    ],
}


@pytest.fixture
def user(transactional_db, monkeypatch):
    """Who looks at the pages."""
    monkeypatch.setattr(refreshing, "request", lambda project: None)
    monkeypatch.setattr(jobs, "ring", lambda task: True)
    return factories.make_user("olga@example.com", is_staff=True, name="Olga Owner")


@pytest.fixture
def street(user, tmp_path, settings) -> Project:
    """A project in use: tags, reviews, a saved view, something in CVAT."""
    settings.METRIC_WAIT_MS = 60_000
    settings.CVAT_API_URL, settings.CVAT_API_TOKEN = "https://cvat.example.org", "not-a-real-token"
    factories.make_project(user, name="Harbour, winter")
    draw_sample(tmp_path / "street")
    project = factories.make_project(user, name="Street scenes")
    call_command("import_coco", str(tmp_path / "street"), project=project.name, owner=user.email, stdout=io.StringIO())
    thumbnails.make_thumbnails(project, lambda *_: None)
    for place, asset in enumerate(ImageAsset.objects.filter(project=project).order_by("pk")):
        tags = [name for name, every in (("night", 5), ("rain", 7), ("checked", 2)) if place % every == 0]
        status = {0: "approved", 1: "in_review", 8: "rejected"}.get(place % 11, asset.status)
        ImageAsset.objects.filter(pk=asset.pk).update(tags=tags, status=status)
    InsightView.objects.create(
        project=project, name="Large cars", query={"q": "has(category:car area>5000)"}, saved_by=user,
        visualization={"metric": "classes"},
    )  # fmt: skip
    in_cvat(project)
    Task.objects.filter(project=project).update(status=Task.Status.SUCCEEDED)
    Project.objects.get(pk=project.pk).touch()
    return project


def in_cvat(project: Project) -> ExportJob:
    """An export of which some boxes were moved in CVAT."""
    task = factories.make_task(project, Task.Kind.EXPORT, status=Task.Status.SUCCEEDED)
    snapshot = {"q": "category:car", "canonical": "category:car", "cvat": {}}
    job = ExportJob.objects.create(
        project=project, task=task, target=ExportJob.Target.CVAT, filter_snapshot=snapshot, created_by=project.owner
    )
    there = CvatProject.objects.create(project=project, server="https://cvat.example.org", name="Streets", cvat_id=3)
    sent = CvatTask.objects.create(
        project=project, job=job, cvat_project=there, number=1, name="Street scenes 1", cvat_id=4, images=17,
        step=CvatTask.Step.SENT, stage="annotation", state="in progress",
    )  # fmt: skip
    for number, state in enumerate(("completed", "in progress")):
        CvatJob.objects.create(
            project=project, task=sent, cvat_id=10 + number, start_frame=9 * number, stop_frame=9 * number + 8,
            state=state, assignee="mina",
        )  # fmt: skip
    pull = CvatPull.objects.create(project=project, job=job, action=CvatPull.Action.READ)
    cars = Annotation.objects.filter(project=project, category__name="car").select_related("category").order_by("pk")
    for row in cars[:6]:
        x, y, wide, high = row.bbox
        before = {"bbox": row.bbox, "segmentation": row.segmentation, "category_id": row.category_id}
        after = {"bbox": [x - wide * 0.06, y - high * 0.08, wide * 1.15, high * 1.12], "segmentation": []}
        CvatDifference.objects.create(
            project=project, job=job, pull=pull, cvat_task=sent, kind="changed", key=str(row.coco_id), frame=1,
            image_id=row.image_id, annotation_id=row.pk, before=before, after=after, aspects=["geometry"],
            cvat_user="mina",
        )  # fmt: skip
    return job


def test_pictures_are_taken(open_as, user, street):
    FOLDER.mkdir(parents=True, exist_ok=True)
    base = f"/admin/work/{street.pk}"
    image = ImageAsset.objects.filter(project=street, annotations__category__name="bus").order_by("pk").first()
    job = ExportJob.objects.to_cvat().get()
    content = json.dumps(FLAWED).encode()

    def shoot(name: str, address: str, act=lambda page: None, ready: str = "#main", **options) -> None:
        page = open_as(user, address, viewport={"width": 1280, "height": 800}, **options)
        page.wait_for_selector(ready)
        page.wait_for_load_state("networkidle")
        act(page)
        page.wait_for_timeout(400)
        page.screenshot(path=FOLDER / f"{name}.png")
        page.close()

    def import_flaws(page) -> None:
        file = {"name": "instances_val.json", "mimeType": "application/json", "buffer": content}
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="Start import").click()
        page.wait_for_selector("[data-task]")
        jobs.run(Task.objects.filter(project=flawed).latest("created_at").pk, imports.run_import)
        page.wait_for_selector(".cc-problem")

    def look_first(page) -> None:
        page.locator("#file").set_input_files({"name": "set.json", "mimeType": "application/json", "buffer": content})
        page.get_by_role("button", name="Look first").click()
        page.wait_for_selector("#found td")

    shoot("home", "/admin/")
    flawed = factories.make_project(user, name="Flawed")
    shoot("images", f"{base}/images?boxes=1", ready=".cc-tile-boxes")
    shoot("images-dark", f"{base}/images?q=category:bus&size=l", color_scheme="dark", ready=".cc-facet")
    shoot("image", f"{base}/images/{image.pk}", ready="#stage[data-drawn]")
    shoot("insights", f"{base}/insights", ready="#classes")
    shoot("insights-ko-dark", f"{base}/insights", ready="#classes", color_scheme="dark", locale="ko-KR")
    shoot("compare", f"{base}/insights?a=split:train&b=split:val", ready="[data-metric=classes]")
    shoot("categories", f"{base}/categories")
    shoot("import", f"/admin/work/{flawed.pk}/imports", look_first)
    shoot("report", f"/admin/work/{flawed.pk}/imports", import_flaws)
    shoot("cvat", f"{base}/cvat")
    shoot("differences", f"{base}/exports/{job.pk}/differences", ready=".cc-diff")
    assert {path.stem for path in FOLDER.glob("*.png")} >= {"home", "images", "insights", "cvat"}
