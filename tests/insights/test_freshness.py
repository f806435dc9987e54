"""After every kind of write, what is read is right or says that it is not."""

import io
import json
import tempfile
from pathlib import Path

import pytest
from django.db import transaction

from accounts.errors import NotFound
from annotations import bulk, categories, editing, machines, relabelling
from annotations import predictions as results_files
from annotations.adding import add_pictures
from annotations.changes import Change
from annotations.changes import Selection as Chosen
from annotations.importing import FileToImport, import_files
from annotations.models import Annotation, BulkEdit, Category
from annotations.report import Report
from annotations.restoring import Made, restore
from annotations.revising import Revision, What, revise
from annotations.sources import Folder
from assets import storage
from assets.models import ImageAsset
from assets.services import Edit, update_asset, update_assets
from assets.thumbnails import make_thumbnails
from insights.metrics import METRICS, Selection, measure
from insights.predictions import reading as evaluations
from insights.predictions.evaluation import evaluate
from tests.assets.drawings import encoded, quarters
from tests.insights.freshness import check_that_nothing_is_wrong, read_all

MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_mini" / "annotations"
PICTURE = encoded(quarters(640, 480))


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
    read_all(project)
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
        read_all(project)
        bulk.start_undo(user=owner, edit=BulkEdit.objects.filter(project=project).latest("pk"))

    return run


def predict(project, tmp_path):
    path = tmp_path / "found.json"
    found = [{"image_id": n, "category_id": n, "bbox": [1, 1, 9, 9], "score": 0.5} for n in (1, 2)]
    path.write_text(json.dumps(found))
    results_files.import_predictions(project=project, path=path, source="yolo", split="train", report=Report())


def pictures_come_later(project, owner):
    with tempfile.TemporaryDirectory() as folder:
        for name, size in (("1.jpg", (640, 480)), ("2.jpg", (320, 240))):
            (Path(folder) / name).write_bytes(PICTURE if size == (640, 480) else encoded(quarters(*size)))
        (Path(folder) / "3.jpg").write_bytes(PICTURE[:-200])  # cut off
        added = add_pictures(project=project, pictures=Folder(Path(folder)), report=Report())
    assert (added.images_with_picture, added.sizes_changed, added.images_broken) == (3, 1, 1)


def a_picture_turns_out_broken(project, owner):
    checksum = "ab" * 32
    key = storage.image_key(project.pk, checksum, "JPEG")
    storage.put(key, io.BytesIO(PICTURE[:40]))
    image = ImageAsset.objects.filter(project=project).order_by("pk")[:1]
    ImageAsset.objects.filter(pk__in=image).update(uri=key, checksum=checksum, format="JPEG", status="ready")
    project.touch()
    read_all(project)
    assert make_thumbnails(project, lambda *how_far: None)["broken"] == 1


def from_elsewhere(project, owner):
    """What CVAT's corrections are applied by."""
    first, second = Annotation.objects.filter(project=project).order_by("pk")[:2]
    revisions = [
        Revision(What.CHANGE, annotation=first.pk, version=first.version, fields={"bbox": [3, 3, 200, 200]}),
        Revision(What.DELETE, annotation=second.pk, version=second.version),
        Revision(What.MAKE, image=first.image_id, fields={"bbox": [1, 1, 9, 9], "category": first.category_id}),
    ]
    with transaction.atomic():
        done = revise(user=owner, project=project, revisions=revisions, source="cvat")
    assert [one.changed for one in done] == [True, True, True]
    return [
        Made(one.annotation, one.version or 0, one.previous, deleted=revision.what == What.DELETE)
        for one, revision in zip(done, revisions, strict=True)
    ]


def put_back(project, owner):
    made = from_elsewhere(project, owner)
    read_all(project)
    with transaction.atomic():
        assert len(restore(user=owner, project=project, made=made)) == 3


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
    "pictures that come later": pictures_come_later,
    "a picture that turns out broken": a_picture_turns_out_broken,
    "corrections from elsewhere": from_elsewhere,
    "their undo": put_back,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_after_a_write_figures_are_fresh_or_say_that_they_are_stale(write, filled, owner):
    read_all(filled)
    write(filled, owner)
    check_that_nothing_is_wrong(filled)


@pytest.mark.parametrize("data", [document(dogs=5), document(width=800)], ids=["more", "changed"])
def test_after_an_import_figures_are_fresh_or_say_that_they_are_stale(data, filled, put_in):
    read_all(filled)
    put_in(data)
    check_that_nothing_is_wrong(filled)


def test_after_predictions_come_or_go_figures_are_fresh_or_say_that_they_are_stale(filled, tmp_path):
    read_all(filled)
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
    read_all(filled)
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
        "part_queries": {name: f"category:person split:{name}" for name in ("train", "val")},
    }
    assert [each["count"] for each in found["object_sizes"]["bars"]] == [301 + 284, 283 + 163, 155 + 177]
    nose = next(each for each in found["keypoints"]["bars"] if each["label"] == "person: nose")
    assert nose["parts"] == {"not labelled": 115 + 77, "hidden": 4 + 4, "visible": 53 + 37}
    assert found["annotations_per_image"]["total"] == 159
    assert found["statuses"]["bars"][0] == {"label": "missing", "count": 159, "q": "status:missing"}
