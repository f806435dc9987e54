"""After every kind of write, what is read is right or says that it is not."""

import json
from pathlib import Path

import pytest

from accounts.errors import NotFound
from annotations import bulk, categories, editing, machines, relabelling
from annotations import predictions as results_files
from annotations.changes import Change
from annotations.changes import Selection as Chosen
from annotations.importing import FileToImport, import_files
from annotations.models import Annotation, BulkEdit, Category
from annotations.report import Report
from assets.models import ImageAsset
from assets.services import Edit, update_asset, update_assets
from insights import reading
from insights.metrics import METRICS, Selection, measure
from insights.predictions import reading as evaluations
from insights.predictions.evaluation import evaluate

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_mini" / "annotations"
QUERIES = ("", "split:train", "category:dog")


def document(*, dogs: int = 2, width: int = 640):
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": width, "height": 480} for n in range(1, 4)],
        "categories": [
            {"id": 1, "name": "dog", "supercategory": "animal"},
            {"id": 2, "name": "wolf", "supercategory": "animal"},
        ],
        "annotations": [
            {
                "id": n,
                "image_id": 1 + n % 3,
                "category_id": 1 + n % 2,
                "bbox": [n, n, 40, 40],
                "area": 1600,
                "iscrowd": 0,
            }
            for n in range(1, dogs + 3)
        ],
    }


@pytest.fixture
def put_in(project, tmp_path):
    """`put_in(document)` imports it. Without a task: a claim's progress would wait for the test's own COPY."""

    def run(data, split="train"):
        path = tmp_path / "data.json"
        path.write_text(json.dumps(data))
        import_files(project=project, files=[FileToImport(path, split)], report=Report())

    return run


@pytest.fixture
def filled(put_in, project):
    put_in(document())
    return project


def check_that_nothing_is_wrong(project, *, changed=True):
    """What is called fresh is how things are; and after a moment everything is."""
    for q in QUERIES:
        truth = measure(Selection(project, q), METRICS)
        for each in reading.dashboard(project, q, wait_ms=0):
            assert each.stale or each.figures == truth[each.metric], each.metric
            assert each.stale is changed
        for each in reading.dashboard(project, q, wait_ms=60_000):
            assert not each.stale
            assert each.figures == truth[each.metric], each.metric


def annotation(project):
    return Annotation.objects.filter(project=project).order_by("pk")[0]


def category(project, name):
    return Category.objects.get(project=project, name=name)


def add_tag(project, owner):
    update_assets(user=owner, project=project, assets=ImageAsset.objects.all(), edit=Edit(add_tags=["x"]))


def edit_in_bulk(project, owner):
    return bulk.start(
        user=owner, project=project, selection=Chosen(q="split:train"), change=Change(Edit(add_tags=["x"]))
    )


def undo(project, owner):
    edit = edit_in_bulk(project, owner)
    for q in QUERIES:
        reading.dashboard(project, q, wait_ms=60_000)
    bulk.start_undo(user=owner, edit=edit)


def relabel(project, owner):
    relabelling.relabel(user=owner, project=project, q="category:dog", category=category(project, "wolf"))


def merge(project, owner):
    relabelling.merge_categories(
        user=owner, project=project, sources=[category(project, "wolf")], into=category(project, "dog")
    )


def unlist(project, owner):
    relabelling.delete_category(user=owner, category=category(project, "dog"), annotations="delete")


def undone(write):
    """The write, figures of what it left, and its undo."""

    def run(project, owner):
        write(project, owner)
        for q in QUERIES:
            reading.dashboard(project, q, wait_ms=60_000)
        bulk.start_undo(user=owner, edit=BulkEdit.objects.filter(project=project).latest("pk"))

    return run


def predict(project, tmp_path):
    path = tmp_path / "found.json"
    found = [{"image_id": n, "category_id": n, "bbox": [1, 1, 9, 9], "score": 0.5} for n in (1, 2)]
    path.write_text(json.dumps(found))
    results_files.import_predictions(project=project, path=path, source="yolo", split="train", report=Report())


WRITES = {
    "one image": lambda project, owner: update_asset(
        user=owner, asset=ImageAsset.objects.filter(project=project)[0], edit=Edit(status="approved")
    ),
    "many images": add_tag,
    "a bulk edit": edit_in_bulk,
    "its undo": undo,
    "going to a split": lambda project, owner: bulk.start(
        user=owner, project=project, selection=Chosen(q="file:1.jpg"), change=Change(split="val")
    ),
    "deleting images": lambda project, owner: bulk.start(
        user=owner, project=project, selection=Chosen(q="file:1.jpg"), change=Change(delete=True)
    ),
    "a new annotation": lambda project, owner: editing.create_annotation(
        user=owner,
        project=project,
        image=annotation(project).image_id,
        category=category(project, "dog").pk,
        bbox=[1, 1, 5, 5],
    ),
    "another category": lambda project, owner: editing.update_annotation(
        user=owner, annotation=annotation(project), bbox=[1, 1, 2, 2]
    ),
    "an annotation less": lambda project, owner: editing.delete_annotation(user=owner, annotation=annotation(project)),
    "relabelling": relabel,
    "the undo of it": undone(relabel),
    "merged categories": merge,
    "the undo of a merge": undone(merge),
    "a renamed category": lambda project, owner: categories.update_category(
        user=owner, category=category(project, "dog"), name="hound"
    ),
    "a new category": lambda project, owner: categories.create_category(user=owner, project=project, name="cat"),
    "a deleted category": unlist,
    "the undo of a deletion": undone(unlist),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_a_write_figures_are_fresh_or_say_that_they_are_stale(write, filled, owner):
    for q in QUERIES:
        reading.dashboard(filled, q, wait_ms=60_000)
    write(filled, owner)
    check_that_nothing_is_wrong(filled)


@pytest.mark.parametrize("data", [document(dogs=5), document(width=800)], ids=["more", "changed"])
def test_after_an_import_figures_are_fresh_or_say_that_they_are_stale(data, filled, put_in):
    for q in QUERIES:
        reading.dashboard(filled, q, wait_ms=60_000)
    put_in(data)
    check_that_nothing_is_wrong(filled)


def test_after_predictions_come_or_go_figures_are_fresh_or_say_that_they_are_stale(filled, tmp_path):
    for q in QUERIES:
        reading.dashboard(filled, q, wait_ms=60_000)
    predict(filled, tmp_path)
    evaluated = evaluations.read(filled, "yolo")
    assert not evaluated.stale
    check_that_nothing_is_wrong(filled)
    machines.remove(filled, "yolo")
    check_that_nothing_is_wrong(filled)
    with pytest.raises(NotFound):
        evaluations.read(filled, "yolo", wait_ms=0)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_a_write_an_evaluation_is_fresh_or_says_that_it_is_stale(write, filled, owner, tmp_path):
    predict(filled, tmp_path)
    evaluations.read(filled, "yolo")
    write(filled, owner)
    late = evaluations.read(filled, "yolo", wait_ms=0)
    assert late.stale
    fresh = evaluations.read(filled, "yolo", wait_ms=60_000)
    assert not fresh.stale
    assert fresh.figures == json.loads(json.dumps(evaluate(Selection(filled), "yolo")))


def test_an_import_that_changes_nothing_leaves_figures_fresh(filled, put_in):
    for q in QUERIES:
        reading.dashboard(filled, q, wait_ms=60_000)
    put_in(document())
    check_that_nothing_is_wrong(filled, changed=False)


# --- Figures of a real data set, counted from its files by hand -----------------------------------------------------


@pytest.fixture
def mini(project):
    if not MINI.exists():
        pytest.skip("the shared data is not here")
    kinds = ("instances", "person_keypoints")
    files = [FileToImport(MINI / f"{kind}_{s}2017.json", s, f"{kind} {s}") for kind in kinds for s in ("train", "val")]
    import_files(project=project, files=files, report=Report())
    return project


def test_coco_mini(mini):
    found = measure(Selection(mini), METRICS)
    classes = {each["label"]: each for each in found["classes"]["bars"]}
    assert found["classes"]["total"] == 739 + 624
    assert len(classes) == 80
    assert {each["label"]: each["count"] for each in found["splits"]["bars"]} == {"train": 80, "val": 79}
    assert classes["person"] == {
        "label": "person",
        "count": 172 + 118,
        "q": "category:person",
        "images": 36 + 39,
        "parts": {"train": 172, "val": 118},
    }
    assert [each["count"] for each in found["object_sizes"]["bars"]] == [301 + 284, 283 + 163, 155 + 177]
    nose = next(each for each in found["keypoints"]["bars"] if each["label"] == "person: nose")
    assert nose["parts"] == {"not labelled": 115 + 77, "hidden": 4 + 4, "visible": 53 + 37}
    assert found["annotations_per_image"]["total"] == 159
    assert found["statuses"]["bars"][0] == {"label": "missing", "count": 159, "q": "status:missing"}
