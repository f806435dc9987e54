"""What machines have found: COCO results files beside the work of people."""

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.errors import Conflict, NotFound, ServiceError
from annotations import machines, predictions, query, services, tasks
from annotations.coco.problems import CocoFileError
from annotations.importing import FileToImport, import_files
from annotations.models import Annotation
from annotations.report import Report
from assets.models import ImageAsset
from exports.rendering import Selection, frozen, write_document
from projects import jobs
from projects.models import AuditLog, Project, Task

HUMAN = {
    "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}, {"id": 2, "file_name": "b.png"}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 0}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
}
FOUND = [
    {"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 0.91},
    {"image_id": 2, "category_id": 4, "segmentation": {"size": [2, 2], "counts": [1, 3]}, "score": 0.40},
    {"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 0.91},
]


@pytest.fixture
def load(project, tmp_path):
    """Imports a document for people, or a list of detections for a source."""

    def load(content, source="", split="train", **options):
        path = tmp_path / "content.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        report = Report()
        if source:
            return predictions.import_predictions(
                project=project, path=path, source=source, split=split, report=report, **options
            )
        return import_files(project=project, files=[FileToImport(path, split)], report=report).total

    return load


@pytest.fixture
def scene(load, project):
    load(HUMAN)
    return project


def rows(project, **filters):
    return list(
        Annotation.objects.filter(project=project, **filters)
        .order_by("coco_id")
        .values_list("pk", "coco_id", "source", "is_machine", "version")
    )


def test_detections_stand_beside_the_work_of_people(scene, load):
    human = rows(scene)
    done = load(FOUND, "yolo-v9")
    assert (done.annotations_added, done.images) == (3, 2)
    assert rows(scene, is_machine=False) == human
    found = Annotation.objects.filter(is_machine=True).order_by("coco_id")
    assert [row.coco_id for row in found] == [predictions.FIRST_ID + number for number in range(3)]
    assert {row.source for row in found} == {"yolo-v9"}
    assert str(found[1].score) == "0.4"
    assert found[1].segmentation == {"size": [2, 2], "counts": [1, 3]}
    assert found[0].iscrowd is None
    assert list(ImageAsset.objects.order_by("coco_id").values_list("annotation_count", flat=True)) == [3, 1]


def test_the_same_file_again_changes_nothing(scene, load):
    load(FOUND, "yolo-v9")
    before, revision = rows(scene), type(scene).objects.get(pk=scene.pk).revision
    again = load(FOUND, "yolo-v9")
    assert (again.annotations_added, again.annotations_removed, again.annotations_unchanged) == (0, 0, 3)
    assert rows(scene) == before
    assert type(scene).objects.get(pk=scene.pk).revision == revision


def test_another_file_of_the_source_replaces_what_it_said(scene, load):
    load(FOUND, "yolo-v9")
    load(FOUND, "other")
    kept = rows(scene, source="other")
    first = rows(scene, source="yolo-v9")[0]
    done = load([FOUND[0], {**FOUND[1], "score": 0.5}], "yolo-v9")
    assert (done.annotations_added, done.annotations_removed, done.annotations_unchanged) == (1, 2, 1)
    now = rows(scene, source="yolo-v9")
    assert now[0] == first
    assert now[1][1] > max(row[1] for row in kept), "ids are not used twice"
    assert rows(scene, source="other") == kept


def test_they_are_filtered_by_source_and_score(scene, load):
    load(FOUND, "yolo-v9")
    images = ImageAsset.objects.filter(project=scene)
    found = query.filter_images(images, scene, "has(source:yolo-v9 machine:true score>0.5)")
    assert [image.coco_id for image in found] == [1]


def test_people_import_their_file_again_as_if_nothing_were_there(scene, load):
    load(FOUND, "yolo-v9")
    before = rows(scene)
    again = load(HUMAN)
    assert (again.changed, again.annotations_absent) == (False, 0)
    more = {**HUMAN, "annotations": [*HUMAN["annotations"], {"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5]}]}
    load(more)
    new = set(rows(scene)) - set(before)
    assert [(row[1], row[3]) for row in new] == [(8, False)], (
        "numbered after the others of people, not matched to a machine's"
    )


def test_what_fits_nothing_is_quarantined_and_the_rest_lands(scene, load, tmp_path):
    odd = [
        *FOUND,
        {"image_id": 99, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 1},
        {"image_id": 1, "category_id": 9},
    ]
    done = load(odd, "yolo-v9")
    assert (done.annotations_added, done.quarantined) == (3, 2)
    with pytest.raises(CocoFileError):
        load(odd, "strict", strict=True)
    assert not rows(scene, source="strict")


@pytest.mark.parametrize("content", [b"[", b'[{"image_id": 1,]', b"", b"[1] x"])
def test_what_is_no_json_is_told_and_changes_nothing(scene, load, content):
    with pytest.raises(CocoFileError):
        load(content, "yolo-v9")
    assert not rows(scene, is_machine=True)


def test_gzip_and_nan_are_read(scene, load):
    text = json.dumps(FOUND)[:-1] + ', {"image_id": 1, "category_id": 3, "bbox": [0, 0, NaN, 1], "score": NaN}]'
    done = load(gzip.compress(text.encode()), "yolo-v9")
    assert (done.annotations_added, done.quarantined) == (3, 1)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_a_source_needs_a_name(scene, load, name):
    with pytest.raises(ServiceError):
        predictions.check_source(name)


def test_the_split_must_be_known_where_there_are_several(scene, load):
    load(HUMAN, split="val")
    with pytest.raises(ServiceError, match="'train', 'val'"):
        load(FOUND, "yolo-v9", split="")
    assert load(FOUND, "yolo-v9", split="val").split == "val"


@pytest.mark.django_db(transaction=True)
def test_exports_leave_predictions_out_unless_asked(scene, load, tmp_path):
    load(FOUND, "yolo-v9")
    load(FOUND, "other")

    def exported(*sources):
        with (tmp_path / "out.json").open("wb") as target, frozen():
            write_document(Selection(scene, ImageAsset.objects.filter(project=scene), sources), target)
        return json.loads((tmp_path / "out.json").read_bytes())

    plain = exported()
    assert plain["annotations"] == HUMAN["annotations"]
    assert plain["images"] == HUMAN["images"]
    assert [row.get("score") for row in exported("yolo-v9")["annotations"]] == [None, 0.91, 0.4, 0.91]
    assert len(exported("*")["annotations"]) == 7


def test_a_source_can_be_removed(scene, load, curator, viewer):
    load(FOUND, "yolo-v9")
    load(FOUND, "other")
    human = rows(scene, is_machine=False)
    assert services.remove_source(user=curator, project=scene, source="yolo-v9").annotations == 3
    assert rows(scene, is_machine=False) == human
    assert len(rows(scene, source="other")) == 3
    assert list(ImageAsset.objects.order_by("coco_id").values_list("annotation_count", flat=True)) == [3, 1]
    assert AuditLog.objects.filter(action="predictions.removed").exists()
    with pytest.raises(NotFound, match="other"):
        services.remove_source(user=curator, project=scene, source="yolo-v9")


def test_a_large_source_is_removed_by_a_task(scene, load, as_curator, curator, monkeypatch, claims_here):
    monkeypatch.setattr(machines, "BATCH", 2)
    monkeypatch.setattr(services, "REMOVED_AT_ONCE", 2)
    load(FOUND, "yolo-v9")
    before = Project.objects.get(pk=scene.pk).revision
    human = rows(scene, is_machine=False)
    removal = services.remove_source(user=curator, project=scene, source="yolo-v9")
    assert (removal.annotations, len(rows(scene, source="yolo-v9"))) == (3, 3)
    with pytest.raises(Conflict, match="under way"):
        services.remove_source(user=curator, project=scene, source="yolo-v9")

    tasks.run_import(str(removal.job.task_id))

    task = Task.objects.get(pk=removal.job.task_id)
    assert (task.status, task.result["annotations_removed"]) == ("succeeded", 3)
    assert task.result["revision"] == Project.objects.get(pk=scene.pk).revision == before + 1
    assert (rows(scene, source="yolo-v9"), rows(scene, is_machine=False)) == ([], human)
    assert AuditLog.objects.get(action="import.finished", detail__what="removal").detail["annotations_removed"] == 3


def test_a_removal_that_is_cancelled_leaves_everything(scene, load, curator, monkeypatch, claims_here):
    monkeypatch.setattr(services, "REMOVED_AT_ONCE", 2)
    load(FOUND, "yolo-v9")
    before = Project.objects.get(pk=scene.pk).revision
    removal = services.remove_source(user=curator, project=scene, source="yolo-v9")

    def cancel(self, phase, done, total=None, message=""):
        if phase == "finishing":
            raise jobs.Cancelled

    monkeypatch.setattr(jobs.Claim, "progress", cancel)
    tasks.run_import(str(removal.job.task_id))

    assert Task.objects.get(pk=removal.job.task_id).status == "cancelled"
    assert len(rows(scene, source="yolo-v9")) == 3
    assert Project.objects.get(pk=scene.pk).revision == before


def test_the_api_says_which_task_removes_a_large_source(scene, load, as_curator, monkeypatch):
    monkeypatch.setattr(services, "REMOVED_AT_ONCE", 2)
    load(FOUND, "yolo-v9")
    answer = as_curator.delete(f"/api/v1/projects/{scene.pk}/sources/yolo-v9")
    assert (answer.status_code, answer.json()["annotations"]) == (202, 3)
    assert as_curator.get(f"/api/v1/tasks/{answer.json()['task']}").json()["status"] == "queued"


def test_the_api_lists_and_removes_sources(scene, load, as_viewer, as_curator):
    load(FOUND, "yolo/v9")
    address = f"/api/v1/projects/{scene.pk}/sources"
    (told,) = as_viewer.get(address).json()["results"]
    assert told == {
        "source": "yolo/v9", "split": "train",
        "annotations": 3, "images": 2, "lowest_score": 0.4, "highest_score": 0.91,
    }  # fmt: skip
    assert as_viewer.delete(f"{address}/yolo/v9").status_code == 403
    assert as_curator.delete(f"{address}/yolo/v9").json()["annotations"] == 3
    assert as_curator.delete(f"{address}/yolo/v9").status_code == 404


def test_the_api_takes_a_results_file(scene, as_curator):
    address = f"/api/v1/projects/{scene.pk}/coco/predictions"
    file = SimpleUploadedFile("results.json", json.dumps(FOUND).encode())
    assert as_curator.post(address, {"file": file}, format="multipart").status_code == 400
    file.seek(0)
    answer = as_curator.post(address, {"file": file, "source": "yolo-v9"}, format="multipart")
    assert answer.status_code == 202, answer.content
    assert (answer.json()["what"], answer.json()["source"]) == ("predictions", "yolo-v9")


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        ({"images": [], "info": {}}, "no_detections", "'images', 'info'; expected a list of detections"),
        ({**HUMAN}, "no_scores", "None of the 1 detections has a score"),
        ([{"image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5]}], "no_scores", "None of the 1 detections"),
    ],
)
def test_the_wrong_kind_of_file_leaves_a_source_as_it_was(scene, load, content, code, told):
    load(FOUND, "yolo-v9")
    before = rows(scene, source="yolo-v9")
    with pytest.raises(CocoFileError, match=told) as caught:
        load(content, "yolo-v9")
    assert caught.value.code == code
    assert rows(scene, source="yolo-v9") == before


def test_odd_scores_are_told_and_missing_areas_are_not(scene, load, tmp_path, project):
    content = [{**FOUND[0], "score": 7}, {"image_id": 1, "category_id": 3, "bbox": [2, 2, 5, 5]}, FOUND[1]]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    report = Report()
    predictions.import_predictions(project=scene, path=path, source="yolo-v9", report=report, split="train")
    assert {line["code"]: line["count"] for line in report.table()} == {"score_odd": 1, "score_missing": 1}
