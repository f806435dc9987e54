"""The way out: what was chosen is in CVAT, each shape once, and the rows know where."""

import json
import zipfile

import pytest
from django.urls import reverse

from annotations.models import Annotation, Category
from assets import storage
from assets.models import ImageAsset
from exports.cvat.shapes import Shape
from exports.models import CvatProject, CvatTask, ExportJob
from exports.snapshots import Snapshot
from projects.models import AuditLog, Task
from projects.reports import open_report
from tests.exports.sending import scenes
from tests.exports.sending.looking import frames_and_pictures, frames_as_recorded, keys_in, shapes_of, tasks_of

pytestmark = pytest.mark.django_db(transaction=True)


def report_of(job: ExportJob) -> dict:
    with open_report(job.task) as file:
        return json.load(file)["detail"]


# --- What arrives -----------------------------------------------------------------------------------------------------


def test_everything_chosen_is_there(scene, cvat, client, start, work):
    job = work(start(scene, images_per_task=2))

    assert job.status == "succeeded", job.task.message
    tasks = tasks_of(job)
    assert [task.images for task in tasks] == [2, 2, 1, 1]
    assert {task.step for task in tasks} == {CvatTask.Step.SENT}
    counted = [keys_in(client, task) for task in tasks]
    assert set().union(*counted[:3]) == scenes.SENT_OF_TRAIN
    assert counted[0] == {"11": 2, "12": 1, "13": 2, "14": 1}
    assert counted[3] == {"11": 1}
    assert len(cvat.state.projects) == 1
    assert job.task.result["annotations"] == 8
    assert [task["link"] for task in job.task.result["tasks"]] == [task.link for task in tasks]
    line = AuditLog.objects.get(project=scene, action="export.finished")
    assert line.detail["annotations"] == 8


def test_cvat_links_back_to_the_pages_here(scene, cvat, start, work, settings):
    settings.PUBLIC_URL = "https://cocohub.example"
    job = work(start(scene, images_per_task=3))

    page = settings.PUBLIC_URL + reverse("workplace:export", args=[scene.pk, job.pk])
    links = [task.record["bug_tracker"] for task in cvat.state.tasks.values()]
    assert len(set(links)) == len(links) == 3
    assert all(link.startswith(f"{page}?cvat=") for link in links)
    (project,) = cvat.state.projects.values()
    assert project["bug_tracker"] == settings.PUBLIC_URL + reverse("workplace:images", args=[scene.pk])


def test_every_picture_is_on_the_frame_that_its_row_names(scene, cvat, start, work):
    """CVAT orders by code point of the whole path, we by the file: only data/meta tells."""
    job = work(start(scene, q="split:train"))
    (task,) = tasks_of(job)

    assert frames_and_pictures(cvat, task) == frames_as_recorded(task)
    assert list(task.sent_images.order_by("frame").values_list("name", flat=True)) == [
        "10.jpg", "9.jpg", "Zoë 세.jpg", "a/one.jpg", "b/one.jpg",
    ]  # fmt: skip


def test_shapes_are_on_the_frames_of_their_images(scene, cvat, client, start, work):
    job = work(start(scene, q="split:train"))
    (task,) = tasks_of(job)
    frame_of = dict(task.sent_images.values_list("asset_id", "frame"))

    for item in Snapshot.of(job).annotations(task):
        for shape in shapes_of(client, task, item.key):
            assert shape.frame == frame_of[item.image]


def test_each_kind_of_shape_arrives_as_what_it_is(scene, cvat, client, start, work):
    job = work(start(scene, q="split:train"))
    (task,) = tasks_of(job)
    labels = {label.id: label for label in client.labels(task.cvat_project.cvat_id)}

    def values(shape: Shape) -> dict[str, str]:
        names = {attribute.id: attribute.name for attribute in labels[shape.label_id].attributes}
        return {names[spec]: value for spec, value in shape.attributes}

    first, second = shapes_of(client, task, "11")
    assert (first.type, second.type) == ("polygon", "polygon")
    assert first.points == (1, 2, 11.5, 2, 11.5, 22, 1, 22)
    assert second.points == (20, 20, 30, 20, 25.125, 30)
    assert first.group == second.group > 0
    assert values(first) == {"coco_id": "11", "is_crowd": "false", "color": "red", "lane": "1", "parked": "true"}
    (box,) = shapes_of(client, task, "12")
    assert (box.type, box.points, box.occluded, box.group) == ("rectangle", (5, 5, 15, 15), True, 0)
    polygon, skeleton = sorted(shapes_of(client, task, "13"), key=lambda shape: shape.type)
    assert labels[polygon.label_id].name == "person"
    assert labels[skeleton.label_id].name == "person_keypoints"
    assert [(one.points, one.occluded, one.outside) for one in skeleton.elements] == [
        ((5, 6), False, False),
        ((7, 8), True, False),
        ((0, 0), False, True),
    ]
    (mask,) = shapes_of(client, task, "14")
    assert mask.type == "mask"
    assert values(mask)["is_crowd"] == "true"
    assert sum(mask.points[1:-4:2]) == 30
    (without_points,) = shapes_of(client, task, "15")
    assert without_points.type == "rectangle"
    (clipped,) = shapes_of(client, task, "16")
    assert clipped.points == (60, 40, 64, 48)


def test_what_cannot_go_is_left_out_and_said(scene, cvat, start, work):
    job = work(start(scene, q="split:train"))

    assert job.status == "succeeded"
    assert job.task.result["left_out"] == {"images": 0, "annotations": 1, "parts": 0}
    (left,) = report_of(job)["annotations"]
    assert (left["task"], left["coco_id"]) == (1, "17")
    assert "no area" in left["reason"]
    (task,) = tasks_of(job)
    assert {item.key for item in Snapshot.of(job).sent(task) if item.left_out} == {"17"}


def test_tasks_of_several_splits_tell_their_ids_apart(scene, cvat, client, start, work):
    job = work(start(scene, per_split=False))
    (task,) = tasks_of(job)
    train, val = scene.splits.order_by("pk")

    counted = keys_in(client, task)
    assert counted[f"11@{train.pk}"] == 2
    assert counted[f"11@{val.pk}"] == 1
    names = set(task.sent_images.values_list("name", flat=True))
    assert {"train/b/one.jpg", "val/b/one.jpg"} <= names
    assert frames_and_pictures(cvat, task) == frames_as_recorded(task)


def test_tasks_are_cut_by_size_too(scene, cvat, start, work):
    ImageAsset.objects.filter(project=scene).update(size_bytes=600_000)
    job = work(start(scene, megabytes_per_task=2))
    assert [task.images for task in tasks_of(job)] == [3, 2, 1]


def test_predictions_go_only_if_their_source_is_named(scene, cvat, client, start, work):
    found = Annotation.objects.get(project=scene, split__name="train", coco_id=18)
    Annotation.objects.filter(pk=found.pk).update(is_machine=True, source="yolo")

    without = work(start(scene, q="split:train"))
    having = work(start(scene, q="split:train", sources=["yolo"]))

    assert "18" not in keys_in(client, tasks_of(without)[0])
    assert keys_in(client, tasks_of(having)[0])["18"] == 1


# --- The snapshot -----------------------------------------------------------------------------------------------------


def test_the_snapshot_has_records_to_the_letter_and_their_versions(scene, cvat, start, work):
    job = work(start(scene, q="split:train"))
    (task,) = tasks_of(job)
    snapshot = Snapshot.of(job)

    found = {item.key: item for item in snapshot.annotations(task)}
    assert found["11"].fields() == scenes.TRAIN["annotations"][0]
    assert b'"area":105.25' in bytes(found["11"].record)
    row = Annotation.objects.get(pk=found["11"].annotation)
    assert (row.coco_id, row.version, row.category_id) == (11, found["11"].version, found["11"].category)
    images = list(snapshot.images(task))
    assert [image.coco_id for image in images] == [1, 2, 3, 4, 5]
    assert all(image.checksum and image.uri for image in images)
    assert snapshot.about()["revision"] == job.filter_snapshot["revision"] == scene.revision
    with storage.read(job.payload_uri) as file, zipfile.ZipFile(file) as archive:
        document = json.loads(archive.read("annotations/instances_train.json"))
    assert document == scenes.TRAIN


def test_once_frozen_an_export_does_not_follow_the_project(scene, cvat, client, start, work):
    cvat.fault("status", path="/projects", status=502, times=20)
    job = work(start(scene, q="split:train"))
    assert job.status == "queued"
    assert "trouble" in job.task.message
    Annotation.objects.filter(project=scene, coco_id=12).delete()
    Annotation.objects.filter(project=scene, coco_id=18).update(bbox=[1, 1, 2, 2])
    ImageAsset.objects.filter(project=scene, coco_id=5).update(file_name="other.jpg")
    Category.objects.filter(project=scene, name="bus").update(name="coach")
    cvat.state.fault_rules.clear()
    Task.objects.filter(pk=job.task_id).update(lease_until=None)

    job = work(job)

    assert job.status == "succeeded", job.task.message
    (task,) = tasks_of(job)
    assert set(keys_in(client, task)) == scenes.SENT_OF_TRAIN
    (box,) = shapes_of(client, task, "18")
    assert box.points == (3, 3, 9, 8)
    assert "9.jpg" in set(task.sent_images.values_list("name", flat=True))
    assert "bus" in {label.name for label in client.labels(task.cvat_project.cvat_id)}


# --- Labels and the project -------------------------------------------------------------------------------------------


def test_the_next_export_uses_the_same_project_and_labels_whatever_they_are_called_now(
    scene, cvat, client, start, work
):
    first = work(start(scene, q="split:train"))
    label = next(label for label in client.labels(first.cvat_project.cvat_id) if label.name == "car")
    client.add_labels(first.cvat_project.cvat_id, [{"id": label.id, "name": "automobile"}])
    Category.objects.create(project=scene, coco_id=9, name="car")

    second = work(start(scene, q="split:train"))

    assert second.status == "succeeded", second.task.message
    assert second.cvat_project == first.cvat_project
    assert len(cvat.state.projects) == 1
    names = [label.name for label in client.labels(second.cvat_project.cvat_id)]
    assert sorted(names) == ["automobile", "bus", "car", "person", "person_keypoints", "tram"]
    shape = shapes_of(client, tasks_of(second)[0], "11")[0]
    assert shape.label_id == label.id


def test_a_project_deleted_in_cvat_is_made_anew(scene, cvat, client, start, work):
    first = work(start(scene, q="split:train"))
    client.delete_project(first.cvat_project.cvat_id)

    second = work(start(scene, q="split:train"))

    assert second.status == "succeeded", second.task.message
    assert list(cvat.state.projects) == [second.cvat_project.cvat_id]
    assert CvatProject.objects.count() == 1


def test_two_categories_of_one_name_and_long_names_get_labels_of_their_own(scene, cvat, client, start, work):
    Category.objects.create(project=scene, coco_id=77, name="car")
    Category.objects.create(project=scene, coco_id=78, name=" car ")
    for number in (79, 80):
        Category.objects.create(project=scene, coco_id=number, name="x" * 70 + str(number))

    job = work(start(scene, q="split:train"))

    assert job.status == "succeeded", job.task.message
    names = [label.name for label in client.labels(job.cvat_project.cvat_id)]
    assert len(names) == len(set(names)) == 9
    assert {"car", "car (77)", "car (78)"} <= set(names)
    assert len({entry["label"] for entry in job.cvat_project.labels.values()}) == 8


def test_values_that_the_label_does_not_offer_stay_here_and_that_is_said(scene, cvat, client, start, work):
    work(start(scene, q="split:train"))
    Annotation.objects.filter(project=scene, coco_id=12).update(attributes={"color": "green", "lane": 2})

    job = work(start(scene, q="split:train"))

    assert job.status == "succeeded", job.task.message
    assert any("bus.color" in note and "'green' is not offered" in note for note in job.task.result["notes"])
    label = next(label for label in client.labels(job.cvat_project.cvat_id) if label.name == "bus")
    (box,) = shapes_of(client, tasks_of(job)[0], "12")
    assert box.value(label.attribute("color").id) == "-"


def test_somebody_elses_project_of_the_name_is_left_alone(scene, cvat, client, start, work):
    theirs = client.create_project(scene.name, [])
    job = work(start(scene, q="split:train"))
    assert job.cvat_project.cvat_id != theirs.id
    assert client.labels(theirs.id) == []


def test_everything_is_made_in_the_organization(scene, cvat, client, start, work, settings):
    body = {"slug": "lab", "name": "Lab"}
    made = client.transport.call("POST", "/organizations", body=body, doing="make an organization").json()
    settings.CVAT_ORGANIZATION = "lab"

    job = work(start(scene, q="split:train"))

    assert job.status == "succeeded", job.task.message
    (project,), (task,) = cvat.state.projects.values(), cvat.state.tasks.values()
    assert project["organization"] == task.record["organization"] == made["id"]
    assert job.cvat_project.organization == "lab"


def test_an_organization_that_is_not_there_is_told_and_nothing_is_made(scene, cvat, start, work, settings):
    settings.CVAT_ORGANIZATION = "nowhere"
    job = work(start(scene, q="split:train"))
    assert job.status == "failed"
    assert "nowhere organization does not exist" in job.task.message
    assert cvat.state.projects == {}
