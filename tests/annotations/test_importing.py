"""Importing COCO files on PostgreSQL: what goes in comes out, again changes nothing, and all of it lands or none."""

import json
from contextlib import suppress

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.errors import ServiceError
from annotations import documents as surroundings
from annotations import importing, merging, quality, rows, statistics
from annotations.coco import values
from annotations.coco.problems import CocoFileError
from annotations.importing import Outcome
from annotations.models import Annotation, Category, CocoDocument, Kind
from annotations.report import Report
from annotations.sources import Folder
from assets.models import ImageAsset, Split
from tests.annotations.coco.reading import RAW, annotation, good, text_of
from tests.annotations.coco.test_fuzz import TEXT, TOKENS, VALID, anything, names
from tests.annotations.documents import (
    codes,
    contents_of,
    documents,
    export_document,
    export_text,
    import_document,
    rolled_back,
    rows_of,
    silently_changed,
    typed,
)
from tests.assets.drawings import file_of
from tests.factories import make_project

many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


# --- What goes in comes out -----------------------------------------------------------------------------------------


@given(made=documents())
@settings(many, max_examples=80)
@rolled_back()
def test_valid_document_comes_out_as_it_went_in(owner, made):
    kind, document = made
    project = make_project(owner)
    text = text_of(document)

    outcome, report = import_document(project, text)

    assert report.quarantined == 0, report.table()
    assert outcome.total.images == len(document["images"])
    assert typed(export_document(project, kind=kind)) == typed(json.loads(text))


@pytest.mark.parametrize(
    "token",
    ["1", "1.0", "1.50", "-0.0", "0.1", "1e-7", "1E5", "1.5e1", "123456789012345678.125", "9007199254740993", "1e308"],
)
def test_numbers_keep_their_value_and_their_type_in_every_field(project, token):
    document = good()
    raw = RAW + token
    document["images"][0] |= {"gain": raw, "deep": {"e": [raw, "1e5"]}}
    document["annotations"][0] |= {"area": raw, "score": raw, "attributes": {"a": raw}, "whatever": raw}
    document["annotations"][1] |= {"bbox": [1, 2, raw, 3], "keypoints": [raw, 2, 2]}
    document["categories"][0] |= {"weight": raw}
    document["info"] = {"version": raw}
    if float(token) < 1e6:  # no coordinate is that far out
        document["annotations"][0]["segmentation"] = [[0, 0, 1, raw, 2, 3]]
        document["annotations"][0]["area"] = 1
    text = text_of(document)

    import_document(project, text)

    assert typed(export_document(project)) == typed(json.loads(text))


def test_numbers_that_a_double_cannot_hold_keep_their_digits(project):
    document = {**good(), "info": RAW + "123456789012345678901234567890.123456789"}
    document["annotations"][0]["attributes"] = {"a": RAW + "123456789012345678901234567890.123456789"}

    import_document(project, document)

    assert export_text(project)[0].count(b"123456789012345678901234567890.123456789") == 2


def test_absent_is_not_null(project):
    document = good()
    for name in ("area", "iscrowd", "segmentation", "category_id", "attributes", "score", "whatever", "keypoints"):
        document["annotations"][0][name] = None
    document["annotations"][1] = {"id": 12, "image_id": 2}
    document["images"][0] |= {"file_name": None, "width": None, "license": None}
    document["images"][1] = {"id": 2}

    import_document(project, document)

    assert typed(export_document(project)) == typed(document)


def test_order_of_records_is_kept_whatever_their_ids(project):
    document = good()
    document["images"] = [{**document["images"][0], "id": key} for key in (5, -3, 2**63 - 1, 0, 7, 6)]
    document["annotations"] = [annotation(key, 7) for key in (9, 8, 2**63 - 1, -(2**63), 0)]
    document["categories"] = [{"id": key, "name": "x"} for key in (3, 1, 0, 2)]

    import_document(project, document)

    assert typed(export_document(project)) == typed(document)


def test_captions_and_objects_of_one_file_come_out_one_by_one(project):
    document = good()
    captions = [{"id": 12, "image_id": 1, "caption": "a cat"}, {"id": 13, "image_id": 1, "caption": "a cat"}]
    document["annotations"] = [document["annotations"][0], *captions, *document["annotations"][1:]]

    outcome, _ = import_document(project, document)

    assert outcome.total.families == ["object", "caption"]
    assert export_document(project, kind=Kind.OBJECT)["annotations"] == good()["annotations"]
    assert export_document(project, kind=Kind.CAPTION)["annotations"] == captions
    assert export_document(project, kind=Kind.CAPTION)["info"] == document["info"]


def test_file_without_images_keeps_what_it_has(project):
    document = {"categories": good()["categories"], "images": [], "licenses": [], "annotations": []}

    outcome, _ = import_document(project, document)

    assert (outcome.total.images, outcome.total.categories, outcome.total.changed) == (0, 2, True)
    assert export_document(project) == document


def test_annotation_counts_are_right_at_once(project):
    document = good()
    document["annotations"] += [annotation(14, 1), annotation(15, 1), {"id": 1, "image_id": 1, "caption": "a cat"}]
    document["annotations"] += [annotation(99, 99)]

    import_document(project, document)

    counts = ImageAsset.objects.filter(project=project).order_by("position").values_list("annotation_count", flat=True)
    assert list(counts) == [4, 1, 1]


def test_issues_are_stored_to_be_filtered(project):
    document = good()
    document["annotations"][0] |= {"bbox": [-5, 0, 10, 10], "area": 5_000}

    import_document(project, document)

    issues = ["bbox_mismatch", "bbox_outside", "area_exceeds_bbox"]
    assert Annotation.objects.get(project=project, coco_id=11).issues == issues
    assert Annotation.objects.get(project=project, coco_id=12).issues is None


def test_unusable_records_are_left_out_and_counted(project):
    document = good()
    document["annotations"][1]["image_id"] = 99
    document["images"][2]["file_name"] = RAW + r'"\u0000"'

    outcome, report = import_document(project, document)

    assert codes(report) | {"no_pictures_given": 1} == {
        "dangling_image_id": 2, "nul_character": 1, "no_pictures_given": 1,
    }  # fmt: skip
    assert outcome.total.quarantined == 3
    assert [record["id"] for record in export_document(project)["annotations"]] == [11]


# --- PostgreSQL takes whatever the reader lets through --------------------------------------------------------------


@given(section=st.sampled_from(["images", "annotations", "categories"]), name=names, value=anything)
@settings(many, max_examples=70)
@rolled_back()
def test_postgresql_takes_whatever_is_read_and_nothing_changes_silently(owner, section, name, value):
    document = json.loads(json.dumps(VALID))
    document[section][1][name] = value
    project = make_project(owner)

    outcome, report = import_document(project, json.dumps(document).encode())

    exported = [export_document(project, kind=kind) for kind in Kind]
    assert len(exported[0]["images"]) == outcome.total.images
    assert sum(len(written["annotations"]) for written in exported) == outcome.total.annotations
    assert silently_changed(document, report, exported) == []


@given(
    at=st.integers(0, len(TEXT) - 1), length=st.integers(0, 40), token=st.sampled_from(TOKENS) | st.binary(max_size=6)
)
@settings(many, max_examples=100)
@rolled_back()
def test_any_change_of_a_valid_file_lands_with_a_report_or_leaves_nothing(owner, at, length, token):
    project, report = make_project(owner), Report()
    landed = Outcome()
    with suppress(ServiceError), transaction.atomic():
        landed, _ = import_document(project, TEXT[:at] + token + TEXT[at + length :], report=report)

    assert ImageAsset.objects.filter(project=project).count() == landed.total.images
    assert Annotation.objects.filter(project=project).count() == landed.total.annotations
    assert len(list(report.problems())) == sum(report.by_action.values())


@pytest.mark.parametrize(
    "fields",
    [
        {"file_name": "한" * 833},
        {"file_name": "".join(chr(0xAC00 + number * 7) for number in range(833))},  # does not compress
        {"file_name": "x" * 1_000},
        {"whatever": "y" * 100_000},
        {"whatever": [0] * 100_000},
        {"x" * 10_000: 1},
        {"deep": RAW + "[" * 60 + "]" * 60},
    ],
)
def test_large_values_fit_the_indexes(project, fields):
    document = good()
    document["images"][1] |= fields
    text = text_of(document)

    import_document(project, text)

    assert export_document(project) == json.loads(text)


def test_long_category_names_fit_the_indexes(project):
    name = "".join(chr(0x1F300 + number) for number in range(500))
    document = good()
    document["categories"][1] |= {"name": name, "supercategory": name * 2}

    import_document(project, document)

    assert export_document(project) == document
    assert Category.objects.get(project=project, coco_id=2).supercategory == name


# --- All of it or nothing -------------------------------------------------------------------------------------------


def failing(*arguments, **options):
    """Fails."""
    raise RuntimeError("in the middle")


@pytest.mark.parametrize(
    ("module", "name"), [(surroundings, "merge_documents"), (surroundings, "merge_categories"), (rows, "image_row")]
)
@pytest.mark.parametrize("before", [False, True])
def test_failure_in_the_middle_leaves_everything_as_it_was(project, monkeypatch, module, name, before):
    if before:
        import_document(project, good())
    stored = rows_of(project)
    document = good()
    document["images"][0]["file_name"] = "new.jpg"
    document["categories"].append({"id": 3, "name": "cow"})
    document["annotations"].append(annotation(14, 1, category_id=3))
    monkeypatch.setattr(module, name, failing)

    with pytest.raises(RuntimeError, match="in the middle"):
        import_document(project, document)

    assert rows_of(project) == stored
    project.refresh_from_db()
    assert project.revision == (1 if before else 0)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_value_that_postgresql_refuses_fails_the_file_and_leaves_everything(project, monkeypatch, before, section):
    if before:
        import_document(project, good())
    stored = rows_of(project)
    monkeypatch.setattr(values, "check", lambda raw: None)
    document = good()
    document[section][1]["whatever"] = RAW + r'"\u0000"'

    with pytest.raises(CocoFileError) as caught:
        import_document(project, document)

    assert caught.value.code == "refused_by_database"
    assert "\\u0000" in caught.value.message
    assert rows_of(project) == stored


def test_value_beyond_the_limits_of_postgresql_fails_the_file(project, monkeypatch):
    monkeypatch.setattr("annotations.coco.images.MAX_NAME", 10**6)
    monkeypatch.setattr("annotations.coco.images.MAX_NAME_BYTES", 10**6)
    document = good()
    document["images"][1]["file_name"] = "".join(chr(0xAC00 + number * 7) for number in range(1_500))

    with pytest.raises(CocoFileError) as caught:
        import_document(project, document)

    assert caught.value.code == "refused_by_database"
    assert not ImageAsset.objects.filter(project=project).exists()


@pytest.mark.django_db(transaction=True)
def test_lost_connection_is_no_fault_of_the_file(project, monkeypatch):
    image_row = rows.image_row

    def losing(*arguments):
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        return image_row(*arguments)

    monkeypatch.setattr(rows, "image_row", losing)

    with pytest.raises(OperationalError):
        import_document(project, good())

    connection.close()
    assert contents_of(project)["annotations_annotation"] == []


def test_file_that_is_refused_late_leaves_nothing(project):
    document = good()
    document["annotations"][2]["attributes"] = RAW + "[" * 100 + "]" * 100

    with pytest.raises(CocoFileError) as caught:
        import_document(project, document)

    assert caught.value.code == "too_deep"
    assert not any(contents_of(project).values())


@pytest.mark.parametrize("before", [False, True])
def test_strict_import_refuses_a_file_with_an_unusable_record(project, before):
    if before:
        import_document(project, good())
    stored = rows_of(project)
    document = good()
    document["annotations"][2]["image_id"] = 99
    document["images"][0]["height"] = 7

    with pytest.raises(CocoFileError) as caught:
        import_document(project, document, strict=True)

    assert (caught.value.code, caught.value.path) == ("strict", "$.annotations[2].image_id")
    assert rows_of(project) == stored


def test_strict_import_tells_of_the_record_that_is_left_out(project):
    document = good()
    document["annotations"][0]["segmentation"] = [[1, 2]]
    document["images"][0]["width"] = "wide"  # kept

    with pytest.raises(CocoFileError) as caught:
        import_document(project, document, strict=True)

    assert caught.value.path == "$.annotations[0].segmentation[0]"


def test_strict_import_takes_what_is_repaired_or_kept(project):
    document = good()
    document["annotations"][0] |= {"iscrowd": True, "area": -5}

    outcome, _ = import_document(project, document, strict=True)

    assert outcome.total.annotations == 3


def test_several_files_land_together_or_not_at_all(project):
    with pytest.raises(CocoFileError):
        import_document(project, good(), {**good(), "annotations": [{"imageId": 1}]}, splits=["train", "val"])

    assert not any(contents_of(project).values())


# --- Several files --------------------------------------------------------------------------------------------------


def test_several_files_are_summed_up(project):
    captions = {**good(), "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}

    outcome, report = import_document(project, good(), captions, good(), splits=["train", "train", "val"])

    total = outcome.total
    assert (total.images, total.annotations, total.categories, total.split) == (6, 7, 2, "train, val")
    assert (total.images_added, total.annotations_added, total.families) == (6, 7, ["object", "caption"])
    assert [part.annotations for part in outcome.files] == [3, 1, 3]
    assert [row["examples"][0]["path"] for row in report.table()] == ["0.json: $.images"]


def test_splits_may_use_the_same_ids(project):
    val = good()
    val["images"][0]["file_name"] = "other.jpg"
    val["categories"][0]["name"] = "something else"

    import_document(project, good(), val, splits=["train", "val"])

    assert export_document(project, splits=["train"]) == good()
    assert export_document(project, splits=["val"]) == val


def test_category_is_listed_by_each_split_as_it_has_it(project):
    train, val = good(), good()
    train["categories"][0] |= {"keypoints": ["nose"], "skeleton": [[1, 1]]}
    val["categories"] = [{"id": 2, "name": "dog", "supercategory": "pet"}, {"id": 1, "name": "cat"}]

    import_document(project, train, split="train")
    import_document(project, val, split="val")

    assert export_document(project, splits=["train"]) == train
    assert export_document(project, splits=["val"]) == val
    assert Category.objects.filter(project=project).count() == 2


# --- Around the records ---------------------------------------------------------------------------------------------


def test_import_raises_the_revision_once_and_only_if_it_changed_something(project):
    outcome, _ = import_document(project, good())
    assert (outcome.total.revision, outcome.total.changed) == (1, True)

    outcome, _ = import_document(project, good())
    assert (outcome.total.revision, outcome.total.changed) == (1, False)


def test_progress_tells_of_each_phase(project, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text_of(good()))
    phases = []

    importing.import_files(
        project=project,
        files=[importing.FileToImport(path, "train")],
        report=Report(),
        progress=lambda phase, done, total: phases.append((phase, done, total)),
    )

    assert phases[0] == ("reading", 0, None)
    assert ("annotations", 3, 3) in phases
    assert phases[-1] == ("finishing", 0, None)


def test_what_is_done_before_the_commit_fails_with_it(project, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text_of(good()))

    with pytest.raises(RuntimeError):
        importing.import_files(
            project=project, files=[importing.FileToImport(path, "train")], report=Report(), before_commit=failing
        )

    assert not Split.objects.filter(project=project).exists()
    assert not CocoDocument.objects.filter(project=project).exists()


@pytest.mark.parametrize(("many", "renewed"), [(2, True), (1_000, False)])
def test_the_planner_knows_of_many_new_rows_at_once(project, monkeypatch, many, renewed):
    """Without statistics a query of a large new project may take minutes."""
    monkeypatch.setattr(statistics, "MANY", many)
    with CaptureQueriesContext(connection) as done:
        import_document(project, good())

    said = [query["sql"] for query in done if query["sql"].startswith("ANALYZE")]
    tables = ["assets_imageasset", "annotations_annotation"]
    assert said == ([f"ANALYZE (SKIP_LOCKED) {table}" for table in tables] if renewed else [])


def test_category_ids_that_are_texts_are_kept_as_texts(project):
    document = good()
    for category, key in zip(document["categories"], ("person", "dog-2"), strict=True):
        category["id"] = key
    for record in document["annotations"]:
        record["category_id"] = "person"

    outcome, report = import_document(project, document)

    assert (outcome.total.annotations, report.quarantined) == (3, 0)
    assert Category.objects.get(project=project, name="dog").coco_key == "dog-2"
    assert typed(export_document(project)) == typed(document)
    again, _ = import_document(project, document)
    assert again.total.changed is False


@pytest.mark.parametrize("stated", [{"width": 1000, "height": 800}, {}, {"width": 100, "height": 80}])
def test_boxes_are_judged_by_the_pixels_that_are_there(project, tmp_path, stated):
    (tmp_path / "a.png").write_bytes(file_of("PNG", 100, 80))
    box = annotation(1, 1, bbox=[500, 500, 50, 50], segmentation=[], area=2500)
    document = {
        "images": [{"id": 1, "file_name": "a.png", **stated}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "x"}],
    }

    import_document(project, document, pictures=Folder(tmp_path))

    assert Annotation.objects.get(project=project).issues == ["bbox_outside"]


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_the_keys_to_be_checked(project, monkeypatch):
    """The project's row is locked for the end of the transaction only, and until then the import can be cancelled."""
    seen = []

    def look(phase, done, total):
        if phase in ("checking", "finishing"):
            with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
                try:
                    other.execute("SELECT 1 FROM projects_project WHERE id = %s FOR UPDATE NOWAIT", [project.pk])
                    seen.append((phase, done, "free"))
                except psycopg.errors.LockNotAvailable:
                    seen.append((phase, done, "locked"))

    import_document(project, good(), progress=look)

    assert ("checking", 0, "free") in seen
    assert seen[-1][0] == "finishing"


@pytest.mark.parametrize(
    ("section", "fields", "code"),
    [
        ("images", {"width": RAW + "NaN"}, "not_a_number"),
        ("images", {"width": RAW + "NaN", "height": RAW + "1e999"}, "not_a_number"),
        ("annotations", {"area": RAW + "NaN"}, "not_a_number"),
        ("annotations", {"iscrowd": None, "area": None, "bbox": [RAW + "Infinity", 0, 1, 1], "segmentation": None},
         "not_a_number"),
    ],
)  # fmt: skip
def test_a_record_that_is_left_out_is_told_of_once(project, section, fields, code):
    document = good()
    record = document[section][-1]
    record.update({name: value for name, value in fields.items() if value is not None})
    for name, value in fields.items():
        if value is None:
            record.pop(name, None)
    number = len(document[section]) - 1

    _, report = import_document(project, document)

    about = [line for line in map(json.loads, report.problems()) if line["path"].startswith(f"$.{section}[{number}]")]
    assert [(line["code"], line["action"]) for line in about] == [(code, "quarantined")]


@pytest.mark.parametrize(("many", "expected"), [(3, 2), (4, 1), (6, 1), (7, 0)])
def test_files_that_are_small_by_themselves_are_many_together(project, tmp_path, monkeypatch, many, expected):
    monkeypatch.setattr(statistics, "MANY", many)
    path = tmp_path / "a.json"
    path.write_bytes(text_of(good()))  # three images
    files = [importing.FileToImport(path, split) for split in ("train", "val")]
    with CaptureQueriesContext(connection) as done:
        importing.import_files(project=project, files=files, report=Report())

    said = [query["sql"] for query in done if query["sql"] == "ANALYZE (SKIP_LOCKED) assets_imageasset"]
    assert len(said) == expected


@pytest.mark.parametrize(("name", "keys"), [("flags", {"split": 1, "most": True}), ("recount", {"splits": [1]})])
def test_images_are_gone_through_once_whatever_the_planner_takes_the_table_for(db, name, keys):
    """Joined with itself, a table that was empty when it was looked at last was read anew for each of its rows."""
    statement = {"flags": quality._FLAG_IMAGES, "recount": merging.RECOUNT}[name]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", {"project": 1, **keys})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("on assets_imageasset a") == 2  # the update, and one scan
    assert "Nested Loop" not in plan
