"""A file on top of what is stored: only what differs changes, what it is silent on stays, strangers are refused."""

import json
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.errors import Conflict
from annotations.models import Annotation, Category, Kind
from assets.models import ImageAsset
from tests.annotations.coco.reading import RAW, annotation, good, text_of
from tests.annotations.documents import (
    anything,
    codes,
    contents_of,
    documents,
    export_document,
    import_document,
    names,
    rolled_back,
    rows_of,
    typed,
)
from tests.factories import make_project

many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def versions(project) -> dict[str, dict[int, int]]:
    """The versions of the project's rows by their COCO ids."""
    return {
        "images": dict(ImageAsset.objects.filter(project=project).values_list("coco_id", "version")),
        "annotations": dict(Annotation.objects.filter(project=project).values_list("coco_id", "version")),
    }


# --- The same again, and what is edited -----------------------------------------------------------------------------


@given(made=documents())
@settings(many, max_examples=40)
@rolled_back()
def test_importing_twice_touches_no_row(owner, made):
    _, document = made
    project = make_project(owner)
    text = text_of(document)
    import_document(project, text)
    stored = rows_of(project)

    outcome, report = import_document(project, text)

    assert rows_of(project) == stored
    total = outcome.total
    assert (total.changed, total.images_added, total.images_changed, total.images_moved) == (False, 0, 0, 0)
    assert (total.annotations_added, total.annotations_changed, total.annotations_moved) == (0, 0, 0)
    assert total.revision == project.revision
    assert "section_replaced" not in codes(report)


@given(made=documents(), data=st.data())
@settings(many, max_examples=40)
@rolled_back()
def test_edited_document_comes_out_as_it_was_edited(owner, made, data):
    kind, document = made
    project = make_project(owner)
    import_document(project, text_of(document))
    edited = deepcopy(document)
    untouched = {"images": set(), "annotations": set()}
    for section in ("images", "annotations", "categories"):
        for record in edited.get(section, []):
            if data.draw(st.booleans()):
                record[data.draw(names)] = data.draw(anything)
            elif section in untouched:
                untouched[section].add(repr(record["id"]) if "id" in record else None)
        if data.draw(st.booleans()) and section in edited:
            edited[section] = data.draw(st.permutations(edited[section]))
    text = text_of(edited)
    before = _versions_by_key(project)

    import_document(project, text)

    assert typed(export_document(project, kind=kind)) == typed(json.loads(text))
    after = _versions_by_key(project)
    for section, keys in untouched.items():
        assert {key: after[section].get(key) for key in keys} == {key: before[section].get(key) for key in keys}


def _versions_by_key(project) -> dict[str, dict[str, int]]:
    """Versions by the ids as the file has them."""
    found = {}
    for section, model in (("images", ImageAsset), ("annotations", Annotation)):
        rows = model.objects.filter(project=project).values_list("coco_id", "coco_key", "version")
        found[section] = {repr(coco_id if key is None else key): version for coco_id, key, version in rows}
    return found


@given(made=documents(), data=st.data())
@settings(many, max_examples=30)
@rolled_back()
def test_part_of_a_document_and_then_all_of_it_is_all_of_it(owner, made, data):
    kind, document = made
    project = make_project(owner)
    part = deepcopy(document)
    if "annotations" in part:
        part["annotations"] = [record for record in part["annotations"] if data.draw(st.booleans())]
    named = {repr(record["image_id"]) for record in part.get("annotations", [])}
    part["images"] = [record for record in part["images"] if repr(record["id"]) in named or data.draw(st.booleans())]
    import_document(project, text_of(part))
    text = text_of(document)

    import_document(project, text)
    import_document(project, text_of(part))

    assert typed(export_document(project, kind=kind)) == typed(json.loads(text))


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("images", {"file_name": "new.jpg"}),
        ("images", {"width": 641}),
        ("images", {"license": 3}),
        ("annotations", {"area": 600.25}),
        ("annotations", {"area": RAW + "600.50"}),
        ("annotations", {"bbox": [10, 20, 30, 40.0]}),
        ("annotations", {"bbox": [10, 20, 30, 41]}),
        ("annotations", {"iscrowd": 1}),
        ("annotations", {"segmentation": [[10, 20, 40, 20, 40.0, 60]]}),
        ("annotations", {"category_id": 2}),
        ("annotations", {"image_id": 1}),
        ("annotations", {"attributes": {}}),
        ("annotations", {"attributes": None}),
        ("annotations", {"whatever": 1}),
        ("annotations", {"score": 0.5}),
        ("annotations", {"keypoints": [1, 2, 2], "num_keypoints": 1}),
    ],
)
def test_edit_changes_one_row_and_no_other(project, section, fields):
    import_document(project, good())
    edited = good()
    edited[section][1] |= fields
    text = text_of(edited)

    outcome, _ = import_document(project, text)

    assert typed(export_document(project)) == typed(json.loads(text))
    expected = {"images": {1: 1, 2: 1, 3: 1}, "annotations": {11: 1, 12: 1, 13: 1}}
    expected[section][2 if section == "images" else 12] = 2
    assert versions(project) == expected
    assert (outcome.total.images_changed, outcome.total.annotations_changed) == (
        (1, 0) if section == "images" else (0, 1)
    )
    assert outcome.total.revision == 2


@pytest.mark.parametrize("before", [1, 1.0, True, "1", None, [1], {"a": 1}])
@pytest.mark.parametrize("after", [1, 1.0, True, "1", None, [1.0], {"a": 1.0}])
def test_edit_of_a_type_alone_counts_as_an_edit(project, before, after):
    first, second = good(), good()
    for record in (first["images"][0], first["annotations"][0], first["categories"][0]):
        record["x"] = before
    for record in (second["images"][0], second["annotations"][0], second["categories"][0]):
        record["x"] = after
    import_document(project, first)

    outcome, _ = import_document(project, second)

    assert typed(export_document(project)) == typed(second)
    assert outcome.total.changed is (typed(before) != typed(after))


def test_fields_that_the_file_is_silent_on_stay(project):
    first = good()
    first["images"][0]["license"] = 3
    first["annotations"][0] |= {"attributes": {"a": 1}, "whatever": [1], "score": None}
    import_document(project, first)
    second = good()
    second["images"][0] = {"id": 1}
    second["annotations"][0] = {"id": 11, "image_id": 1, "more": 2}

    import_document(project, second)

    exported = export_document(project)
    assert exported["images"][0] == first["images"][0]
    assert exported["annotations"][0] == {**first["annotations"][0], "more": 2}


def test_value_that_a_column_cannot_hold_takes_its_place_and_gives_it_back(project):
    kept = {"area": "large", "iscrowd": None, "category_id": None, "keypoints": None, "score": [1]}
    plain = {"area": 5, "iscrowd": 1, "category_id": 2, "keypoints": [1, 2, 2], "score": 0.5}
    for fields in (kept, plain, kept):
        document = good()
        document["annotations"][0] |= fields
        document["images"][0]["width"] = "wide" if fields is kept else 5
        document["images"][0]["file_name"] = None if fields is kept else "z.jpg"
        import_document(project, document)

        assert typed(export_document(project)) == typed(document)


# --- Order ----------------------------------------------------------------------------------------------------------


def test_records_inserted_in_the_middle_stand_there_and_edit_nothing_else(project):
    import_document(project, good())
    edited = good()
    edited["images"].insert(1, {"id": 9, "file_name": "i.jpg", "width": 5, "height": 5})
    edited["annotations"].insert(0, annotation(9, 2))
    edited["categories"].insert(1, {"id": 9, "name": "cow"})

    outcome, _ = import_document(project, edited)

    assert export_document(project) == edited
    assert set(versions(project)["images"].values()) == set(versions(project)["annotations"].values()) == {1}
    assert (outcome.total.images_moved, outcome.total.annotations_moved) == (2, 3)
    assert (outcome.total.images_changed, outcome.total.annotations_changed) == (0, 0)


def test_records_in_another_order_change_the_project_but_edit_nothing(project):
    import_document(project, good())
    turned = good()
    for section in ("images", "annotations", "categories"):
        turned[section].reverse()

    outcome, _ = import_document(project, turned)

    assert export_document(project) == turned
    assert set(versions(project)["images"].values()) == {1}
    assert outcome.total.revision == 2


def test_records_of_a_partial_file_go_behind_what_is_stored(project):
    import_document(project, good())
    part = {
        "images": [{"id": 8, "file_name": "y.jpg"}, {"id": 7, "file_name": "x.jpg"}],
        "annotations": [annotation(8, 8, category_id=8), annotation(7, 7)],
        "categories": [{"id": 8, "name": "cow"}, {"id": 1, "name": "cat"}],
    }

    outcome, _ = import_document(project, part)

    exported = export_document(project)
    assert [record["id"] for record in exported["images"]] == [1, 2, 3, 8, 7]
    assert [record["id"] for record in exported["annotations"]] == [11, 12, 13, 8, 7]
    assert [record["id"] for record in exported["categories"]] == [1, 2, 8]
    assert (outcome.total.images_absent, outcome.total.annotations_absent) == (3, 3)


def test_annotation_counts_follow_an_annotation_to_another_image(project):
    import_document(project, good())
    edited = good()
    edited["annotations"][1]["image_id"] = 1

    import_document(project, edited)

    counts = ImageAsset.objects.filter(project=project).values_list("coco_id", "annotation_count")
    assert dict(counts) == {1: 2, 2: 0, 3: 1}


# --- Files of one data set ------------------------------------------------------------------------------------------


@pytest.fixture
def keypoints():
    """The person_keypoints file of `good`: some of its annotations with keypoints, a category with their names."""
    document = good()
    document["annotations"] = document["annotations"][1:]
    for record in document["annotations"]:
        record |= {"keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1}
    document["categories"] = [{**document["categories"][0], "keypoints": ["nose", "eye"], "skeleton": [[1, 2]]}]
    return document


def test_keypoints_after_instances_are_added_to_the_same_annotations(project, keypoints):
    import_document(project, good())
    import_document(project, keypoints)

    merged = good()
    merged["annotations"][1:] = keypoints["annotations"]
    merged["categories"][0] = keypoints["categories"][0]
    assert export_document(project) == merged
    assert versions(project)["annotations"] == {11: 1, 12: 2, 13: 2}


def test_instances_again_after_keypoints_change_nothing(project, keypoints):
    import_document(project, good())
    import_document(project, keypoints)
    stored = rows_of(project)

    outcome, _ = import_document(project, good())

    assert rows_of(project) == stored
    assert outcome.total.changed is False


def test_both_files_together_give_the_same_as_one_by_one(project, owner, keypoints):
    import_document(project, good())
    import_document(project, keypoints)
    other = make_project(owner)

    import_document(other, good(), keypoints)

    assert export_document(other) == export_document(project)


def test_last_digits_of_areas_do_not_go_to_and_fro_in_files_imported_together(project, keypoints):
    keypoints["annotations"][0]["area"] = 600.5000000001
    import_document(project, good(), keypoints)
    stored = contents_of(project)

    outcome, _ = import_document(project, good(), keypoints)

    assert contents_of(project) == stored
    assert outcome.total.changed is False


def test_the_same_numbers_written_otherwise_do_not_go_to_and_fro_in_files_imported_together(project, keypoints):
    one = keypoints["annotations"][0]
    one["bbox"] = [float(number) if isinstance(number, int) else number for number in one["bbox"]]
    assert [str(number) for number in one["bbox"]] != [str(number) for number in good()["annotations"][1]["bbox"]]
    import_document(project, good(), keypoints)
    stored = contents_of(project)

    outcome, _ = import_document(project, good(), keypoints)

    assert contents_of(project) == stored
    assert outcome.total.changed is False


def test_a_number_written_otherwise_in_a_file_of_its_own_is_a_change(project):
    import_document(project, good())
    other = good()
    other["annotations"][1]["bbox"] = [float(number) for number in other["annotations"][1]["bbox"]]

    outcome, _ = import_document(project, other)

    assert outcome.total.changed is True
    assert str(export_document(project)) == str(other)


def test_captions_beside_instances_may_share_their_ids(project):
    captions = {**good(), "info": {"about": "captions"}}
    captions["annotations"] = [{"id": 11, "image_id": 3, "caption": "a cat"}, {"id": 12, "image_id": 3, "caption": "b"}]
    del captions["categories"]
    import_document(project, good())
    import_document(project, captions)
    stored = rows_of(project)

    import_document(project, captions)
    import_document(project, good())

    assert rows_of(project) == stored
    assert export_document(project) == good()
    assert export_document(project, kind=Kind.CAPTION) == captions


def test_other_info_replaces_the_stored_one_and_is_told(project):
    import_document(project, good())

    _, report = import_document(project, {**good(), "info": {"year": 2018}})

    assert codes(report)["section_replaced"] == 1
    assert export_document(project)["info"] == {"year": 2018}


def test_sections_that_the_file_does_not_have_stay(project):
    import_document(project, {**good(), "licenses": [{"id": 1}]})
    document = good()
    del document["info"]

    import_document(project, {**document, "notes": None})

    exported = export_document(project)
    assert (exported["info"], exported["licenses"], exported["notes"]) == ({"year": 2017}, [{"id": 1}], None)


# --- Records without ids of their own -------------------------------------------------------------------------------


def without_ids(document):
    """The document, its annotations without ids."""
    for record in document["annotations"]:
        record.pop("id", None)
    return document


def test_records_without_ids_are_not_doubled(project):
    document = without_ids(good())
    document["annotations"].append(dict(document["annotations"][0]))  # a twin
    import_document(project, document)
    stored = rows_of(project)

    outcome, report = import_document(project, document)

    assert rows_of(project) == stored
    assert outcome.total.annotations_added == 0
    assert codes(report)["id_missing"] == 4
    assert len({record["id"] for record in export_document(project)["annotations"]}) == 4


def test_record_without_id_is_not_taken_for_a_twin_with_one(project):
    document = good()
    twin = dict(document["annotations"][0])
    del twin["id"]
    document["annotations"].append(twin)
    import_document(project, document)
    stored = rows_of(project)

    outcome, _ = import_document(project, document)

    assert rows_of(project) == stored
    assert outcome.total.annotations_absent == 0


def test_new_record_without_id_gets_one_above_what_is_stored(project):
    import_document(project, good())
    document = without_ids(good())
    document["annotations"].append(annotation(0, 1, bbox=[1, 1, 1, 1], area=1))
    del document["annotations"][-1]["id"]

    import_document(project, document)

    assert [record["id"] for record in export_document(project)["annotations"]] == [11, 12, 13, 14]


def test_new_ids_are_found_where_stored_ones_are_as_great_as_can_be(project):
    document = good()
    document["annotations"][0]["id"] = 2**63 - 1
    document["annotations"][1]["id"] = "a text"
    import_document(project, document)
    more = without_ids(good())
    more["annotations"] = [{**record, "bbox": [1, 1, 1, 1], "area": 1} for record in more["annotations"]]

    import_document(project, more)

    assert [record["id"] for record in export_document(project)["annotations"]] == [2**63 - 1, "a text", 13, 14, 15, 16]


def test_panoptic_records_are_known_by_their_image(project):
    document = good()
    document["annotations"] = [
        {"image_id": key, "file_name": f"{key}.png", "segments_info": [{"id": key, "area": 5}]} for key in (1, 2, 3)
    ]
    import_document(project, document)
    stored = rows_of(project)
    import_document(project, document)
    assert rows_of(project) == stored
    document["annotations"][1]["segments_info"] = []

    import_document(project, document)

    assert export_document(project, kind=Kind.PANOPTIC) == document


def test_id_of_two_annotations_is_mended_in_the_same_way_each_time(project):
    document = good()
    document["annotations"].append(annotation(12, 3, bbox=[0, 0, 5, 5], area=5))
    import_document(project, document)
    stored = rows_of(project)

    import_document(project, document)

    assert rows_of(project) == stored


# --- Another data set -----------------------------------------------------------------------------------------------


def test_other_pictures_under_the_same_ids_are_refused(project):
    import_document(project, good())
    stored = rows_of(project)
    other = good()
    for record in other["images"]:
        record["file_name"] = f"other-{record['file_name']}"

    with pytest.raises(Conflict, match=r"3 of the 3 image ids .* 'a.jpg' is stored, the file has 'other-a.jpg'"):
        import_document(project, other)

    assert rows_of(project) == stored


def test_annotations_of_other_images_under_the_same_ids_are_refused(project):
    import_document(project, good())
    stored = rows_of(project)
    other = good()
    for record in other["annotations"]:
        record["image_id"] = record["image_id"] % 3 + 1

    with pytest.raises(Conflict, match="3 of the 3 annotation ids"):
        import_document(project, other)

    assert rows_of(project) == stored


def test_some_pictures_may_be_renamed_and_it_is_told(project):
    import_document(project, good())
    document = good()
    document["images"][0]["file_name"] = "renamed.jpg"

    _, report = import_document(project, document)

    assert codes(report)["renamed_image"] == 1
    assert export_document(project) == document


def test_ids_that_both_do_not_have_are_no_conflict(project):
    import_document(project, good())
    other = good()
    for record in other["images"]:
        record["id"] += 100
        record["file_name"] = "z" + record["file_name"]
    for record in other["annotations"]:
        record["id"] += 100
        record["image_id"] += 100

    outcome, _ = import_document(project, other)

    assert (outcome.total.images_added, outcome.total.images_absent) == (3, 3)


def test_projects_do_not_see_each_other(project, owner):
    import_document(project, good())
    stored = rows_of(project)
    other = make_project(owner)
    document = good()
    document["images"][0]["file_name"] = "z.jpg"

    import_document(other, document)

    assert rows_of(project) == stored
    assert Category.objects.filter(project=other).count() == 2
