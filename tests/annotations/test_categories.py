"""Categories renamed, described, merged and deleted; and what an export says afterwards."""

import copy

import pytest

from accounts.errors import Conflict, Forbidden, NotFound, ServiceError
from annotations import categories, relabelling
from annotations.models import Annotation, Category, DocumentCategory
from assets.models import ImageAsset
from projects.models import AuditLog
from tests.annotations.scenes import TRAIN, VAL, exported, exported_text, load, state


@pytest.fixture
def named(project, images):
    """Categories by name."""
    return {category.name: category for category in Category.objects.filter(project=project)}


@pytest.fixture
def expected():
    """What an export of train must be, to be changed by the test."""
    return copy.deepcopy(TRAIN)


def merge(user, project, sources, into, **options):
    return relabelling.merge_categories(user=user, project=project, sources=sources, into=into, **options)


def assert_sound(document):
    """No dangling category ids, no id twice, no name twice."""
    ids = [record["id"] for record in document["categories"]]
    names = [record["name"] for record in document["categories"]]
    assert len(set(ids)) == len(ids)
    assert len(set(names)) == len(names)
    assert {record["category_id"] for record in document["annotations"] if "category_id" in record} <= set(ids)


# --- Roles and refusals -----------------------------------------------------------------------------------------------


def test_roles(project, named, viewer, curator, stranger):
    for user, error in ((viewer, Forbidden), (stranger, NotFound)):
        with pytest.raises(error):
            categories.update_category(user=user, category=named["car"], name="auto")
        with pytest.raises(error):
            merge(user, project, [named["car"]], named["truck"], dry_run=True)
    with pytest.raises(Forbidden):
        relabelling.delete_category(user=curator, category=named["car"], dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"name": "x" * 501},
        {"name": "a\0b"},
        {"color": "red"},
        {"meta": {"id": 3}},
        {"meta": {"a": "\0"}},
    ],
)
def test_what_cannot_be_stored_is_refused(named, curator, change):
    with pytest.raises(ServiceError) as caught:
        categories.update_category(user=curator, category=named["car"], **change)
    assert list(caught.value.fields) == list(change)


# --- Describing -------------------------------------------------------------------------------------------------------


def test_a_new_name_is_exported(project, named, curator, expected):
    categories.update_category(user=curator, category=named["car"], name="자동차")
    expected["categories"][1]["name"] = "자동차"
    assert exported(project, "train") == expected


def test_supercategory_and_other_fields_are_exported(project, named, curator, expected):
    categories.update_category(
        user=curator, category=named["truck"], supercategory="heavy", meta={"note": None, "isthing": 1}
    )
    expected["categories"][2] = {"id": 3, "name": "truck", "supercategory": "heavy", "isthing": 1}
    assert exported(project, "train") == expected
    categories.update_category(user=curator, category=named["truck"], supercategory="")
    assert exported(project, "train")["categories"][2] == {"id": 3, "name": "truck", "isthing": 1}


def test_numbers_of_other_fields_keep_their_digits(project, named, curator):
    assert "1.50" in exported_text(project, "train")
    categories.update_category(user=curator, category=named["truck"], meta={"more": {"a": 1}}, supercategory="x")
    assert "1.50" in exported_text(project, "train")


def test_the_colour_is_ours_and_not_exported(project, named, curator, expected):
    assert categories.update_category(user=curator, category=named["car"], color="#1F77B4").color == "#1f77b4"
    assert exported(project, "train") == expected


def test_a_name_that_the_document_has_is_refused_and_one_of_another_split_is_not(project, named, curator):
    with pytest.raises(Conflict):
        categories.update_category(user=curator, category=named["car"], name="truck")
    categories.update_category(user=curator, category=named["car"], name="bus")
    for split in ("train", "val"):
        assert_sound(exported(project, split))


def test_the_audit_line_tells_before_and_after(project, named, curator):
    categories.update_category(user=curator, category=named["car"], name="auto")
    line = AuditLog.objects.get(action="category.updated")
    assert (line.detail["before"], line.detail["changes"]) == ({"name": "car"}, {"name": "auto"})


def test_a_new_category_gets_the_next_id(project, named, curator):
    made = categories.create_category(user=curator, project=project, name="tram", meta={"x": 1, "y": None})
    assert (made.coco_id, made.meta) == (8, {"x": 1})
    with pytest.raises(Conflict):
        categories.create_category(user=curator, project=project, name="tram", coco_id=8)


# --- Merging ----------------------------------------------------------------------------------------------------------


def test_a_merge_tells_first_and_changes_nothing(project, named, curator, expected):
    before = state(project)
    effect = merge(curator, project, [named["truck"], named["person"]], named["car"], dry_run=True)
    assert (effect.annotations, effect.documents, effect.clashes, effect.done) == (2, 1, [], False)
    assert [each["annotations"] for each in effect.categories] == [1, 1]
    assert state(project) == before
    assert exported(project, "train") == expected


def test_a_merge_within_a_document_is_exported(project, named, curator, expected):
    merge(curator, project, [named["truck"]], named["car"])
    del expected["categories"][2]
    expected["annotations"][2]["category_id"] = 2
    assert exported(project, "train") == expected
    assert not Category.objects.filter(name="truck").exists()
    assert Annotation.objects.get(coco_id=13).version == 2


def test_a_merge_into_a_category_of_another_split_takes_the_place_in_the_list(project, named, curator, expected):
    merge(curator, project, [named["car"], named["person"]], named["bus"])
    found = exported(project, "train")
    assert [record["name"] for record in found["categories"]] == ["bus", "truck"]
    assert [record["category_id"] for record in found["annotations"]] == [7, 7, 3]
    assert_sound(found)
    assert exported(project, "val") == VAL


def test_a_merge_that_gives_one_id_two_names_is_refused(project, named, curator):
    before = state(project)
    with pytest.raises(Conflict) as caught:  # train has a truck with the id of val's cat
        merge(curator, project, [named["car"]], named["cat"])
    assert [clash["name"] for clash in caught.value.detail["clashes"]] == ["truck"]
    assert merge(curator, project, [named["car"]], named["cat"], dry_run=True).clashes
    assert state(project) == before
    merge(curator, project, [named["car"], named["truck"]], named["cat"])  # the truck goes too
    assert_sound(exported(project, "train"))
    assert DocumentCategory.objects.filter(category=named["cat"]).count() == 2


def test_a_merge_that_gives_one_name_two_ids_is_refused(project, named, curator, tmp_path):
    load(project, "third", {**VAL, "categories": [{"id": 7, "name": "tram"}, {"id": 9, "name": "car"}]}, tmp_path)
    tram, car = (Category.objects.get(name=name, coco_id=coco_id) for name, coco_id in (("tram", 7), ("car", 9)))
    with pytest.raises(Conflict):
        merge(curator, project, [tram], named["car"])
    merge(curator, project, [tram, car], named["car"])
    assert_sound(exported(project, "third"))


def test_a_merge_counts_uses_that_no_document_lists(project, named, curator, images):
    Annotation.objects.filter(coco_id=21).update(category=named["person"])  # val does not list it
    with pytest.raises(Conflict):
        merge(curator, project, [named["person"]], Category.objects.create(project=project, coco_id=3, name="new"))


def test_a_merge_needs_two_sides(project, named, curator):
    for sources in ([], [named["car"]]):
        with pytest.raises(ServiceError):
            merge(curator, project, sources, named["car"])


# --- Deleting ---------------------------------------------------------------------------------------------------------


def test_a_category_with_annotations_is_not_deleted_unasked(project, named, manager, expected):
    with pytest.raises(Conflict) as caught:
        relabelling.delete_category(user=manager, category=named["car"])
    assert caught.value.detail["annotations"] == 1
    effect = relabelling.delete_category(user=manager, category=named["car"], dry_run=True)
    assert (effect.annotations, effect.images) == (1, 1)
    with pytest.raises(ServiceError):
        relabelling.delete_category(user=manager, category=named["car"], annotations="burn")
    assert exported(project, "train") == expected


def test_annotations_go_with_their_category(project, named, manager, expected, images):
    relabelling.delete_category(user=manager, category=named["car"], annotations="delete")
    del expected["categories"][1], expected["annotations"][1]
    assert exported(project, "train") == expected
    counts = ImageAsset.objects.filter(project=project).order_by("coco_id").values_list("annotation_count", flat=True)
    assert list(counts) == [1, 1, 0, 1]


def test_annotations_stay_without_a_category(project, named, manager, expected):
    relabelling.delete_category(user=manager, category=named["car"], annotations="keep")
    del expected["categories"][1], expected["annotations"][1]["category_id"]
    assert exported(project, "train") == expected
