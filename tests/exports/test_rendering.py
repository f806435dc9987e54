"""COCO documents written from the rows: several splits in one, parts of a project, odd names, hand-made fields."""

import io
import json

import pytest
from django.db import connection
from django.utils import translation
from hypothesis import HealthCheck, given, settings

from accounts.errors import Conflict, ServiceError
from annotations.models import Annotation, Category, CocoDocument, Kind
from assets.models import ImageAsset
from exports.rendering import Rendered, Selection, choose_kind, frozen, write_document
from tests.annotations.coco.reading import RAW, annotation, good, text_of
from tests.annotations.documents import (
    documents,
    export_document,
    export_text,
    import_document,
    rolled_back,
    typed,
)
from tests.factories import make_project


def other() -> dict:
    """A second split: the same classes, other ids."""
    document = good()
    for record in document["images"]:
        record["id"] += 100
    for record in document["annotations"]:
        record["id"] += 100
        record["image_id"] += 100
    return document


# --- Several splits in one document ---------------------------------------------------------------------------------


def test_splits_come_one_after_the_other(project):
    import_document(project, good(), other(), splits=["val", "train"])

    merged, rendered = export_text(project)

    document = json.loads(merged)
    assert [record["id"] for record in document["images"]] == [1, 2, 3, 101, 102, 103]
    assert [record["id"] for record in document["annotations"]] == [11, 12, 13, 111, 112, 113]
    assert document["categories"] == good()["categories"]
    assert document["info"] == good()["info"]
    assert rendered == Rendered(images=6, annotations=6, categories=2, notes=[])


@pytest.mark.parametrize(
    ("section", "told"), [("images", "The image id 1 is used"), ("annotations", "The annotation id 11 is used")]
)
def test_splits_that_share_ids_cannot_stand_in_one_document(project, section, told):
    second = other()
    second[section][0]["id"] -= 100
    if section == "images":
        second["annotations"][0]["image_id"] = 1
    import_document(project, good(), second, splits=["train", "val"])

    with pytest.raises(Conflict, match=told):
        export_document(project)

    assert export_document(project, splits=["val"]) == second


def test_ids_of_several_kinds_do_not_clash(project):
    captions = {**other(), "annotations": [{"id": 11, "image_id": 101, "caption": "a cat"}]}
    import_document(project, good(), captions, splits=["train", "val"])

    assert len(export_document(project)["annotations"]) == 3
    assert len(export_document(project, kind=Kind.CAPTION)["images"]) == 6


def test_one_category_id_for_two_names_cannot_stand_in_one_document(project):
    second = other()
    second["categories"][0]["name"] = "lion"
    import_document(project, good(), second, splits=["train", "val"])

    with pytest.raises(Conflict, match="category id 1 is 'cat' in one split and 'lion' in another"):
        export_document(project)


def test_categories_have_the_fields_of_all_splits(project):
    second = other()
    second["categories"] = [
        {"id": 1, "name": "cat", "keypoints": ["nose"], "weight": RAW + "1.50"},
        {"id": 3, "name": "cow"},
    ]
    second["annotations"] = [annotation(111, 101)]
    import_document(project, good(), second, splits=["train", "val"])

    text, rendered = export_text(project)

    assert json.loads(text)["categories"] == [
        {"id": 1, "name": "cat", "supercategory": "animal", "keypoints": ["nose"], "weight": 1.5},
        {"id": 2, "name": "dog"},
        {"id": 3, "name": "cow"},
    ]
    assert b"1.50" in text
    assert rendered.notes == []


def test_fields_of_a_category_that_differ_are_told(project):
    second = other()
    second["categories"][0]["supercategory"] = "pet"
    import_document(project, good(), second, splits=["train", "val"])

    text, rendered = export_text(project)

    assert json.loads(text)["categories"] == good()["categories"]
    assert rendered.notes == ["The splits differ in fields of the categories 'cat': the first one's count."]


def test_lists_of_several_splits_are_joined_and_their_numbers_kept(project):
    long = RAW + '{"n":123456789012345678901234567890,"id":1.50}'
    first = {**good(), "licenses": [{"id": 1}, long]}
    second = {**other(), "licenses": [RAW + '{"id":1.50, "n" : 123456789012345678901234567890}', {"id": 2}, {"id": 1}]}
    import_document(project, first, second, splits=["train", "val"])

    text, rendered = export_text(project)

    assert json.loads(text)["licenses"] == [{"id": 1}, {"n": 123456789012345678901234567890, "id": 1.5}, {"id": 2}]
    assert text.count(b"123456789012345678901234567890") == 1
    assert rendered.notes == []


def test_sections_that_differ_are_told_and_the_first_counts(project):
    import_document(project, good(), {**other(), "info": {"year": 2018}, "more": [1]}, splits=["train", "val"])

    text, rendered = export_text(project)

    assert json.loads(text)["info"] == {"year": 2017}
    assert json.loads(text)["more"] == [1]
    assert rendered.notes == ["The splits differ in 'info': the first one's was taken."]


# --- Parts of a project ---------------------------------------------------------------------------------------------


def test_chosen_images_come_with_their_annotations_and_all_categories(project):
    import_document(project, good())

    document = export_document(project, file_name="b.jpg")

    assert [record["id"] for record in document["images"]] == [2]
    assert [record["id"] for record in document["annotations"]] == [12]
    assert document["categories"] == good()["categories"]


def test_nothing_chosen_is_an_empty_document(project):
    import_document(project, good())

    document = export_document(project, file_name="nothing")

    assert document["images"] == []
    assert document.get("annotations", []) == []


def test_split_without_images_does_not_join_those_that_have_some(project):
    import_document(project, good())
    import_document(project, {"images": [], "categories": [{"id": 9, "name": "none"}]}, split="empty")

    assert export_document(project) == good()


def test_category_that_only_an_edit_gave_an_annotation_is_listed(project):
    import_document(project, good())
    added = Category.objects.create(
        project=project, coco_id=7, name='a "new"\n한글', supercategory="animal", meta={"skeleton": [[1, 2]], "id": 5}
    )
    Annotation.objects.filter(project=project, coco_id=12).update(category=added)

    document = export_document(project)

    assert document["annotations"][1]["category_id"] == 7
    assert document["categories"] == [
        *good()["categories"],
        {"id": 7, "name": 'a "new"\n한글', "supercategory": "animal", "skeleton": [[1, 2]]},
    ]


def test_project_that_was_never_imported_into_has_a_document(project):
    assert export_document(project) == {"images": [], "annotations": [], "categories": []}


def test_kind_that_a_split_does_not_have_is_surrounded_like_the_others(project):
    import_document(project, {**good(), "licenses": [{"id": 1}]})

    document = export_document(project, kind=Kind.CAPTION)

    assert document["annotations"] == []
    assert document["licenses"] == [{"id": 1}]


# --- Fields ---------------------------------------------------------------------------------------------------------


def test_hand_made_fields_never_stand_twice_in_a_record(project):
    import_document(project, good())
    ImageAsset.objects.filter(project=project, coco_id=1).update(
        metadata={"id": 9, "width": 9, "file_name": "z", "a": 1}
    )
    ImageAsset.objects.filter(project=project, coco_id=2).update(metadata={"id": 9}, width=None)
    Annotation.objects.filter(project=project, coco_id=11).update(extra={"id": 9, "bbox": [], "category_id": 9, "a": 1})
    Annotation.objects.filter(project=project, coco_id=12).update(extra={"image_id": 9})

    text = export_text(project)[0]

    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    document = json.loads(text, object_pairs_hook=once)
    assert document["images"][0] == {**good()["images"][0], "a": 1}
    assert document["images"][1] == {"id": 2, "file_name": "b.jpg", "height": 480}
    assert document["annotations"][0] == {**good()["annotations"][0], "a": 1}
    assert document["annotations"][1] == good()["annotations"][1]


@pytest.mark.parametrize(
    "text", ["\\", "\\\\", "\\n", "\n\t\r\b\f\v", '"', "\x1f\x7f", "\u2028", "\\N", "\\.", "é🙂", "a\\"]
)
def test_any_text_is_written_as_it_was(project, text):
    document = good()
    document["images"][0] |= {"id": "id" + text, "file_name": text, "x": text, text: [text]}
    document["annotations"][0] |= {"id": text + "id", "image_id": "id" + text, "attributes": {text: text}, "x": text}
    document["categories"][0] |= {"name": text, "x": text}
    document["info"] = {text: text}
    document[text] = text

    import_document(project, document)

    assert typed(export_document(project)) == typed(document)


def test_document_is_one_record_a_line(project):
    import_document(project, good())

    lines = export_text(project)[0].splitlines()

    assert sum(line.startswith(b'{"id":') for line in lines) == 8
    assert lines[0] == b"{"
    assert lines[-1] == b"}"


@given(made=documents())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@rolled_back()
def test_export_imports_into_the_same_again(owner, made):
    kind, document = made
    first, second = make_project(owner), make_project(owner)
    import_document(first, text_of(document))
    text = export_text(first, kind=kind)[0]

    _, report = import_document(second, text)

    assert report.quarantined == 0
    assert export_text(second, kind=kind)[0] == text


# --- How it is written ----------------------------------------------------------------------------------------------


def test_large_sections_are_written_in_pieces(project):
    document = good()
    document["annotations"] = [annotation(key, 1, note="x" * 1_000) for key in range(600)]
    import_document(project, document)
    pieces = []

    class Target(io.BytesIO):
        def write(self, data):
            pieces.append(len(data))
            return super().write(data)

    target = Target()
    write_document(Selection(project, ImageAsset.objects.filter(project=project)), target)

    assert json.loads(target.getvalue()) == document
    assert 100_000 < max(pieces) < 400_000


def test_progress_tells_of_each_section(project):
    import_document(project, good())
    told = []

    write_document(
        Selection(project, ImageAsset.objects.filter(project=project)),
        io.BytesIO(),
        progress=lambda phase, done, total: told.append((phase, done, total)),
    )

    assert told == [("images", 3, 3), ("annotations", 3, 3)]


@pytest.mark.django_db(transaction=True)
def test_export_sees_one_state_of_the_database(project):
    import_document(project, good())
    target = io.BytesIO()

    with frozen():
        selection = Selection(project, ImageAsset.objects.filter(project=project))
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("repeatable read",)
        write_document(selection, target)

    assert json.loads(target.getvalue()) == good()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('chosen_image')")
        assert cursor.fetchone() == (None,)


# --- Kinds ----------------------------------------------------------------------------------------------------------


def test_kind_that_is_there_is_chosen_and_the_others_are_told(project):
    captions = {**good(), "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    import_document(project, good(), captions)
    selection = Selection(project, ImageAsset.objects.filter(project=project))

    kind, notes = choose_kind(selection, "")

    assert (kind, len(notes)) == (Kind.OBJECT, 1)
    assert notes == ["captions are left out: a COCO file holds one kind. Export them by themselves, or as a zip."]
    assert choose_kind(selection, "captions") == (Kind.CAPTION, [])
    with pytest.raises(ServiceError, match="'boxes' is no kind"):
        choose_kind(selection, "boxes")


def test_kinds_are_named_alike_in_every_language(project):
    captions = {**good(), "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    import_document(project, good(), captions)
    with translation.override("ko"):
        _, notes = choose_kind(Selection(project, ImageAsset.objects.filter(project=project)), "")
        assert notes[0].startswith("captions are left out")


def test_document_rows_of_a_project_are_its_own(project, owner):
    import_document(project, good())
    import_document(make_project(owner), {**good(), "info": 1})

    assert CocoDocument.objects.filter(project=project).count() == 1
    assert export_document(project)["info"] == {"year": 2017}
