"""Predictions against people's annotations: by hand, and as pycocotools judges the exported files."""

import contextlib
import io
import json
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from django.db import transaction
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from accounts.errors import NotFound, ServiceError
from annotations import predictions as results_files
from annotations.importing import FileToImport, import_files
from annotations.models import Annotation
from annotations.query import QueryError, filter_images
from annotations.report import Report
from assets.models import ImageAsset
from exports.rendering import Selection as Exported
from exports.rendering import write_document
from insights import refreshing, results
from insights.metrics import Selection
from insights.models import PredictionResult
from insights.predictions import evaluation, reading, records, scoring, shapes
from projects.models import Task

SIDE = 400  # pixels
NOSES = ["nose", *(f"point {number}" for number in range(2, 18))]
CATEGORIES = [
    {"id": 1, "name": "cat"},
    {"id": 2, "name": "dog"},
    {"id": 3, "name": "person", "keypoints": NOSES, "skeleton": []},
    {"id": 4, "name": "never found"},
]


@pytest.fixture
def load(project, tmp_path):
    """`load(images, truths, {source: detections})` fills a split."""

    def load(images, truths, found, split="val", sizes=None):
        listed = [
            {"id": n, "file_name": f"{n}.jpg", **(sizes or {}).get(n, {"width": SIDE, "height": SIDE})} for n in images
        ]
        numbered = [{"id": n, "iscrowd": 0, **truth} for n, truth in enumerate(truths, 1)]
        path = tmp_path / "content.json"
        path.write_text(json.dumps({"images": listed, "annotations": numbered, "categories": CATEGORIES}))
        import_files(project=project, files=[FileToImport(path, split)], report=Report())
        for source, detections in found.items():
            path.write_text(json.dumps(detections))
            results_files.import_predictions(project=project, path=path, source=source, split=split, report=Report())
        return project

    return load


def judged(project, source="yolo", q=""):
    with transaction.atomic():
        return evaluation.evaluate(Selection(project, q), source)


def truth(image, category, bbox, **more):
    return {"image_id": image, "category_id": category, "bbox": bbox, "area": bbox[2] * bbox[3], **more}


def found(image, category, score, bbox=None, **more):
    return {"image_id": image, "category_id": category, "score": score, **({"bbox": bbox} if bbox else {}), **more}


def key(project, number):
    return ImageAsset.objects.get(project=project, coco_id=number).pk


# --- Figures made by hand --------------------------------------------------------------------------------------------


def test_half_of_the_objects_found_gives_half_of_the_recall_levels(load):
    truths = [truth(1, 1, [0, 0, 50, 50]), truth(1, 1, [200, 200, 50, 50])]
    figures = judged(load([1], truths, {"yolo": [found(1, 1, 0.9, [0, 0, 50, 50])]}))
    [boxes] = figures["kinds"]
    # Precision is 1 at the recall levels 0.00, 0.01 ... 0.50: 51 of 101.
    assert (boxes["ap"], boxes["ap50"], boxes["ap_medium"]) == pytest.approx((51 / 101, 51 / 101, 51 / 101))
    assert (boxes["ap_small"], boxes["ap_large"]) == (None, None)
    assert (boxes["ar"], boxes["ar_1"], boxes["ar_large"]) == (0.5, 0.5, None)
    assert [each["category"] for each in boxes["classes"]] == ["cat"]
    assert figures["mistakes"] | {"classes": []} == {
        "kind": "bbox",
        "iou": 0.5,
        "score": 0.9,
        "true_positives": 1,
        "false_positives": 0,
        "false_negatives": 1,
        "precision": 1.0,
        "recall": 0.5,
        "most_false_positives": {"q": None, "images": []},
        "most_false_negatives": {
            "q": f"id:{key_of()}",
            "images": [{"id": key_of(), "file": "1.jpg", "count": 1, "q": f"id:{key_of()}"}],
        },
        "classes": [],
    }


def key_of():
    return ImageAsset.objects.get().pk


def test_a_wrong_detection_in_front_halves_precision(load):
    truths = [truth(1, 1, [0, 0, 50, 50])]
    detections = [found(1, 1, 0.9, [300, 300, 50, 50]), found(1, 1, 0.8, [0, 0, 50, 50])]
    [boxes] = judged(load([1], truths, {"yolo": detections}))["kinds"]
    assert boxes["ap"] == pytest.approx(0.5)
    assert (boxes["ar_1"], boxes["ar_10"]) == (0.0, 1.0)


def test_an_overlap_of_two_thirds_is_a_hit_up_to_an_iou_of_065(load):
    # 100 wide against 50 more to the right: 150 x 100 in all, 100 x 100 of them shared.
    truths = [truth(1, 1, [0, 0, 150, 100])]
    [boxes] = judged(load([1], truths, {"yolo": [found(1, 1, 0.9, [0, 0, 100, 100])]}))["kinds"]
    assert {each["iou"]: each["ap"] for each in boxes["by_iou"]} == pytest.approx(
        {iou: 1.0 if iou <= 0.65 else 0.0 for iou in scoring.IOUS}
    )
    assert (boxes["ap"], boxes["ap50"], boxes["ap75"]) == pytest.approx((0.4, 1, 0))
    assert boxes["ap_large"] == pytest.approx(0.4)


def test_classes_count_alike_and_a_class_without_objects_is_left_out_of_the_mean(load):
    truths = [truth(1, 1, [0, 0, 50, 50])] * 3 + [truth(1, 4, [200, 200, 50, 50])]
    truths = [
        dict(each, bbox=[60 * n, 0, 50, 50]) if each["category_id"] == 1 else each for n, each in enumerate(truths)
    ]
    detections = [found(1, 1, 0.9, [60 * n, 0, 50, 50]) for n in range(3)] + [found(1, 2, 0.9, [0, 0, 9, 9])]
    [boxes] = judged(load([1], truths, {"yolo": detections}))["kinds"]
    assert {each["category"]: each["ap"] for each in boxes["classes"]} == {
        "cat": pytest.approx(1.0), "dog": None, "never found": 0.0,
    }  # fmt: skip
    assert boxes["ap"] == pytest.approx(0.5)


def test_mistakes_are_counted_from_the_score_that_serves_best(load):
    truths = [truth(n, 1, [0, 0, 50, 50]) for n in (1, 2, 3)] + [truth(3, 1, [100, 0, 50, 50])]
    detections = [
        found(1, 1, 0.9, [0, 0, 50, 50]),
        found(2, 1, 0.8, [0, 0, 50, 50]),
        found(2, 1, 0.7, [200, 200, 50, 50]),  # wrong, but the next two are worth it
        found(3, 1, 0.6, [0, 0, 50, 50]),
        found(3, 1, 0.6, [100, 0, 50, 50]),
        *(found(1, 1, 0.1, [200, 100 + n, 50, 50]) for n in range(5)),
    ]
    project = load([1, 2, 3, 4], truths, {"yolo": detections})
    mistakes = judged(project)["mistakes"]
    assert mistakes["score"] == 0.6
    assert (mistakes["true_positives"], mistakes["false_positives"], mistakes["false_negatives"]) == (4, 1, 0)
    assert (mistakes["precision"], mistakes["recall"]) == (0.8, 1.0)
    assert mistakes["most_false_positives"]["q"] == f"id:{key(project, 2)}"


def test_the_queries_select_the_worst_images_in_full(load):
    truths = [truth(n, 1, [0, 0, 50, 50]) for n in (1, 2, 3, 3)]
    truths[3]["bbox"] = [100, 100, 50, 50]
    detections = [found(4, 1, 0.9, [0, 0, 5, 5]), found(1, 1, 0.9, [0, 0, 50, 50]), found(5, 2, 0.9, [0, 0, 5, 5])]
    project = load([1, 2, 3, 4, 5], truths, {"yolo": detections})
    mistakes = judged(project)["mistakes"]

    def chosen(q):
        rows = filter_images(ImageAsset.objects.all(), project, q)
        return sorted(rows.values_list("coco_id", flat=True))

    assert [(each["file"], each["count"]) for each in mistakes["most_false_negatives"]["images"]] == [
        ("3.jpg", 2), ("2.jpg", 1),
    ]  # fmt: skip
    assert chosen(mistakes["most_false_negatives"]["q"]) == [2, 3]
    assert chosen(mistakes["most_false_positives"]["q"]) == [4, 5]
    of_class = {each["category"]: each for each in mistakes["classes"]}
    assert chosen(of_class["cat"]["q_false_positives"]) == [4]
    assert chosen(of_class["dog"]["q_false_positives"]) == [5]
    assert of_class["dog"]["q_false_negatives"] is None


def test_crowds_are_neither_missed_nor_hit(load):
    truths = [truth(1, 1, [0, 0, 300, 300], iscrowd=1), truth(1, 1, [350, 350, 40, 40])]
    detections = [found(1, 1, 0.9, [350, 350, 40, 40]), found(1, 1, 0.8, [10, 10, 30, 30])]
    figures = judged(load([1], truths, {"yolo": detections}))
    mistakes = figures["mistakes"]
    assert figures["kinds"][0]["ap"] == pytest.approx(1.0)
    assert (mistakes["true_positives"], mistakes["false_positives"], mistakes["false_negatives"]) == (1, 0, 0)


def test_only_splits_that_the_source_has_seen_are_judged(load):
    load([1], [truth(1, 1, [0, 0, 50, 50])], {}, split="train")
    project = load([1], [truth(1, 1, [0, 0, 50, 50])], {"yolo": [found(1, 1, 0.9, [0, 0, 50, 50])]}, split="val")
    figures = judged(project)
    assert (figures["splits"], figures["images"], figures["kinds"][0]["ap"]) == (["val"], 1, pytest.approx(1.0))
    assert judged(project, q="split:train")["kinds"] == []


def test_a_query_narrows_the_images(load):
    truths = [truth(1, 1, [0, 0, 50, 50]), truth(2, 1, [0, 0, 50, 50])]
    project = load([1, 2], truths, {"yolo": [found(1, 1, 0.9, [0, 0, 50, 50])]})
    assert judged(project)["kinds"][0]["ar"] == 0.5
    assert judged(project, q="file:1.jpg")["kinds"][0]["ar"] == 1.0


def test_what_cannot_be_judged_is_told_and_harms_nothing(load):
    truths = [truth(1, 1, [0, 0, 50, 50])] * 2
    project = load([1], truths, {"yolo": [found(1, 1, 0.9, [0, 0, 50, 50]), found(1, 1, 0.5, [1, 1, 2, 2])]})
    Annotation.objects.filter(project=project, is_machine=False).order_by("pk").first().delete()
    Annotation.objects.filter(project=project, is_machine=False).update(segmentation=[[1, 2, 3]])
    Annotation.objects.filter(project=project, is_machine=True).update(
        segmentation={"size": [SIDE, SIDE], "counts": "o" * 50}
    )
    Annotation.objects.filter(project=project, is_machine=True, score="0.5").update(bbox=["x", None, 1e300, 3])
    figures = judged(project)
    assert [kind["kind"] for kind in figures["kinds"]] == ["bbox", "segm"]
    assert figures["kinds"][0]["ap"] == pytest.approx(1.0)
    assert figures["kinds"][1]["ap"] is None
    assert [(each["kind"], each["truths"], each["detections"]) for each in figures["left_out"]] == [
        ("bbox", 0, 1),
        ("segm", 1, 2),
    ]


@pytest.mark.parametrize(
    "value",
    [None, 3, "x", [], [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, "x"]], [[1e9] * 6], {"size": [4, 4]},
     {"size": [4, 4], "counts": [1]},
     {"size": [4, 4], "counts": [-1, 17]}, {"size": [4, 4], "counts": [True, 15]}, {"size": [4, 4], "counts": "~"},
     {"size": [4, 4], "counts": "4o"}, {"size": [9, 9], "counts": [81]}],
)  # fmt: skip
def test_no_broken_mask_comes_near_the_evaluation(value):
    assert shapes.rle(value, 4, 4) is None


def test_masks_of_every_spelling_are_one_mask():
    spelled = [
        [[1, 1, 3, 1, 3, 3, 1, 3]],
        {"size": [4, 4], "counts": [5, 2, 2, 2, 5]},
    ]
    for value in spelled:
        drawn = shapes.rle(value, 4, 4)
        assert (shapes.area_of(drawn), shapes.box_of(drawn)) == (4.0, [1.0, 1.0, 2.0, 2.0])


# --- pycocotools on the exported files -------------------------------------------------------------------------------


def at_random(random, images):
    """Truths and detections with boxes, masks and keypoints, crowds and ties of scores among them."""
    truths, detections = [], []
    for image in images:
        for _ in range(random.randrange(7)):
            category = random.randrange(1, 4)
            side = random.choice([12, 25, 60, 150])
            x, y = (random.uniform(0, SIDE - side) for _ in range(2))
            bbox = [round(x, 2), round(y, 2), float(side), side * random.choice([0.5, 1.0])]
            crowd = random.random() < 0.1
            made = truth(image, category, bbox, segmentation=runs(bbox) if crowd else polygon(bbox), iscrowd=int(crowd))
            made["area"] = round(made["area"] * 0.9, 2)
            if category == 3:
                points = keypoints(random, bbox)
                made |= {"keypoints": points, "num_keypoints": sum(1 for seen in points[2::3] if seen)}
            truths.append(made)
            for _ in range(random.randrange(4)):
                near = [each + random.gauss(0, random.choice([0.5, 4, 15])) for each in bbox[:2]]
                moved = [
                    *(min(max(round(each, 2), 0), SIDE - 1) for each in near),
                    bbox[2] * random.uniform(0.8, 1),
                    bbox[3],
                ]
                moved[2] = round(min(moved[2], SIDE - moved[0]), 2)
                moved[3] = round(min(moved[3], SIDE - moved[1]), 2)
                extra = {"segmentation": runs(moved)}
                if category == 3:
                    extra["keypoints"] = keypoints(random, moved, all_seen=True)
                label = category if random.random() < 0.9 else 1
                detections.append(found(image, label, round(random.random(), 1), moved, **extra))
    return truths, detections


def polygon(bbox):
    x, y, w, h = bbox
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def runs(bbox):
    pixels = np.zeros((SIDE, SIDE), dtype=int)
    x, y, w, h = (round(each) for each in bbox)
    pixels[y : y + max(h, 1), x : x + max(w, 1)] = 1
    flat = pixels.flatten(order="F")
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    lengths = [right - left for left, right in pairwise(edges)]
    return {"size": [SIDE, SIDE], "counts": lengths if flat[0] == 0 else [0, *lengths]}


def keypoints(random, bbox, *, all_seen=False):
    x, y, w, h = bbox
    points = []
    for _ in NOSES:
        seen = 2 if all_seen else random.choice([0, 1, 2])
        points += [round(x + random.random() * w, 1), round(y + random.random() * h, 1), seen] if seen else [0, 0, 0]
    return points


def exported(project, *sources):
    target = io.BytesIO()
    with transaction.atomic():
        write_document(Exported(project, ImageAsset.objects.filter(project=project), sources), target)
    return json.loads(target.getvalue())


def by_pycocotools(project, source, kind):
    """(precision, recall) over all classes, and the evaluation."""
    people = exported(project)
    everything = exported(project, source)
    detections = [each for each in everything["annotations"] if each["id"] >= results_files.FIRST_ID]
    wanted = {"bbox": ("bbox",), "segm": ("segmentation",), "keypoints": ("keypoints",)}[kind]
    kept = [
        {name: each[name] for name in ("image_id", "category_id", "score", *wanted)}
        for each in detections
        if all(name in each for name in wanted)
    ]
    if kind == "segm":  # of results, pycocotools takes compressed runs only
        for each in kept:
            each["segmentation"] = mask.frPyObjects(each["segmentation"], SIDE, SIDE)
    if kind == "keypoints":  # pycocotools takes one class of them
        people["annotations"] = [each for each in people["annotations"] if "keypoints" in each]
        people["categories"] = [each for each in people["categories"] if each["name"] == "person"]
    with contextlib.redirect_stdout(io.StringIO()):
        truths = COCO()
        truths.dataset = people
        truths.createIndex()
        judge = COCOeval(truths, truths.loadRes(kept), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


STATS = {
    "bbox": ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10",
             "ar", "ar_small", "ar_medium", "ar_large"),
    "keypoints": ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", None, None, "ar_medium", "ar_large"),
}  # fmt: skip
STATS["segm"] = STATS["bbox"]


def unset(value):
    return None if value is None or value == -1 or np.isnan(value) else pytest.approx(float(value), abs=1e-12)


def check_against_pycocotools(project, source):
    figures = judged(project, source)
    assert [each["kind"] for each in figures["kinds"]] == ["bbox", "segm", "keypoints"]
    assert figures["left_out"] == []
    for ours in figures["kinds"]:
        theirs = by_pycocotools(project, source, ours["kind"])
        for name, value in zip(STATS[ours["kind"]], theirs.stats, strict=True):
            if name is not None:
                assert ours[name] == unset(value), (ours["kind"], name)
        for place, each in enumerate(ours["by_iou"]):
            precision = theirs.eval["precision"][place, :, :, 0, -1]
            assert each["ap"] == unset(precision[precision > -1].mean())
        of_class = {each["category"]: each for each in ours["classes"]}
        for place, category in enumerate(theirs.params.catIds):
            name = theirs.cocoGt.cats[category]["name"]
            precision = theirs.eval["precision"][:, :, place, 0, -1]
            expected = precision[precision > -1].mean() if (precision > -1).any() else None
            assert of_class.get(name, {}).get("ap") == unset(expected), (ours["kind"], name)
    check_mistakes(figures["mistakes"], by_pycocotools(project, source, "bbox"))


def check_mistakes(mistakes, judge):
    """Hits at an overlap of 0.5, by the matches that pycocotools keeps."""
    hits = wrong = missed = 0
    for each in judge.evalImgs:
        if each is None or each["aRng"] != judge.params.areaRng[0]:
            continue
        scores = np.array(each["dtScores"]) >= mistakes["score"]
        counted = scores & ~each["dtIgnore"][0].astype(bool)
        matched = each["dtMatches"][0] > 0
        hits += int((counted & matched).sum())
        wrong += int((counted & ~matched).sum())
        late = {int(number) for number, on_time in zip(each["dtIds"], scores, strict=True) if not on_time}
        for by, ignored in zip(each["gtMatches"][0], each["gtIgnore"], strict=True):
            missed += not ignored and (by == 0 or int(by) in late)
    assert (mistakes["true_positives"], mistakes["false_positives"], mistakes["false_negatives"]) == (
        hits,
        wrong,
        missed,
    )
    assert sum(each["false_positives"] for each in mistakes["classes"]) == wrong
    assert sum(each["false_negatives"] for each in mistakes["classes"]) == missed


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_pycocotools_on_the_exported_files(seed, load):
    random = Random(seed)
    images = range(1, 25)
    truths, detections = at_random(random, images)
    check_against_pycocotools(load(images, truths, {"yolo": detections, "other": detections[::2]}), "yolo")


def test_a_class_in_many_parts_is_judged_as_in_one(load, monkeypatch):
    monkeypatch.setattr(records, "PART", 7)
    images = range(1, 25)
    truths, detections = at_random(Random(5), images)
    check_against_pycocotools(load(images, truths, {"yolo": detections}), "yolo")


# --- Keeping, staleness, the worker ----------------------------------------------------------------------------------


@pytest.fixture
def small(load):
    return load([1], [truth(1, 1, [0, 0, 50, 50])], {"yolo": [found(1, 1, 0.9, [0, 0, 50, 50])]})


def test_an_evaluation_is_kept_until_the_project_changes(small, django_assert_max_num_queries):
    first = reading.read(small, "yolo")
    assert (first.stale, first.pending, first.figures["kinds"][0]["ap"]) == (False, False, pytest.approx(1.0))
    with django_assert_max_num_queries(2):
        again = reading.read(small, "yolo")
    assert (again.revision, again.computed_at, again.figures) == (first.revision, first.computed_at, first.figures)
    Annotation.objects.filter(project=small, is_machine=True).update(bbox=[200, 200, 50, 50])
    small.touch()
    late = reading.read(small, "yolo", wait_ms=0)
    assert (late.stale, late.pending, late.figures) == (True, False, first.figures)
    assert reading.read(small, "yolo").figures["kinds"][0]["ap"] == 0.0


def test_what_is_large_is_left_to_a_worker(small, monkeypatch, run_task):
    monkeypatch.setattr(reading, "OBJECTS_AT_ONCE", 1)
    found = reading.read(small, "yolo", "split:val")
    assert (found.stale, found.pending, found.figures) == (False, True, None)
    [task] = Task.objects.filter(project=small, kind=Task.Kind.INSIGHTS)
    for _ in range(2):  # a task may be delivered twice
        assert run_task(task, refreshing.refresh).status == Task.Status.SUCCEEDED
    found = reading.read(small, "yolo", "split:val")
    assert (found.stale, found.pending, found.figures["splits"]) == (False, False, ["val"])
    assert not PredictionResult.objects.filter(wanted_at__isnull=False).exists()


def test_what_was_asked_for_while_a_task_ran_gets_another_one(small, run_task):
    task = Task.objects.create(project=small, kind=Task.Kind.INSIGHTS, status=Task.Status.SUCCEEDED)
    reading.read(small, "yolo", wait_ms=0)
    Task.objects.filter(kind=Task.Kind.INSIGHTS).exclude(pk=task.pk).delete()
    refreshing.ended(task)
    assert Task.objects.filter(project=small, kind=Task.Kind.INSIGHTS, status=Task.Status.QUEUED).count() == 1


def test_a_source_that_went_away_while_it_waited_is_no_failure(small, run_task):
    reading.read(small, "yolo", wait_ms=0)
    Annotation.objects.filter(is_machine=True).delete()
    small.touch()
    [task] = Task.objects.filter(project=small, kind=Task.Kind.INSIGHTS)
    assert run_task(task, refreshing.refresh).status == Task.Status.SUCCEEDED
    with pytest.raises(NotFound):
        reading.read(small, "yolo", "file:1")


def test_evaluations_that_nobody_reads_are_forgotten(small):
    reading.read(small, "yolo")
    assert results.forget_unread() == 0
    PredictionResult.objects.update(asked_at="2020-01-01T00:00Z")
    reading.read(small, "yolo")
    assert results.forget_unread() == 0
    PredictionResult.objects.update(asked_at="2020-01-01T00:00Z")
    assert results.forget_unread() == 1


def test_what_is_no_source_or_no_query_is_refused(small):
    with pytest.raises(ServiceError) as refused:
        reading.read(small, "")
    assert "source" in refused.value.fields
    with pytest.raises(NotFound, match="yolo"):
        reading.read(small, "nobody")
    with pytest.raises(QueryError):
        reading.read(small, "yolo", "tag:(")


# --- Over HTTP -------------------------------------------------------------------------------------------------------


def test_viewers_read_evaluations_and_strangers_do_not(small, as_viewer, as_stranger):
    address = f"/api/v1/projects/{small.pk}/insights/predictions"
    answer = as_viewer.get(address, {"source": "yolo", "q": "split:val"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["source"], found["q"], found["stale"], found["pending"]) == ("yolo", "split:val", False, False)
    assert found["figures"]["kinds"][0]["ap"] == pytest.approx(1.0)
    assert as_stranger.get(address, {"source": "yolo"}).status_code == 404


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [({}, 400, "source"), ({"source": "yolo", "q": "tag:("}, 400, "q"), ({"source": "nobody"}, 404, None)],
)
def test_what_is_wrong_is_answered_in_the_one_shape(params, status, field, small, as_viewer):
    answer = as_viewer.get(f"/api/v1/projects/{small.pk}/insights/predictions", params)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert field is None or field in answer.json()["fieldErrors"]
