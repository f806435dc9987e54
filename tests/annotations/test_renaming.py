"""A file that calls a category by another name than its split does: renamed and told, or refused."""

import pytest

from accounts.errors import Conflict
from annotations.models import Annotation, Category, DocumentCategory
from tests.annotations.documents import codes, export_document, import_document, rows_of


def made(name="cat", numbers=(1, 2), **more):
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 100} for n in numbers],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0, **more}
            for n in numbers
        ],
        "categories": [{"id": 1, "name": name}],
    }


def test_a_category_whose_annotations_are_all_in_the_file_is_renamed(project):
    import_document(project, made("cat"))
    Category.objects.update(color="#ff0000")
    versions = list(Annotation.objects.values_list("pk", "version", "category_id"))

    outcome, report = import_document(project, made("kitty"))

    assert codes(report)["category_renamed"] == 1
    (row,) = [row for row in report.table() if row["code"] == "category_renamed"]
    assert row["examples"][0]["path"] == "$.categories[0].name"
    assert row["examples"][0]["message"] == "The category 1 was 'cat' in this split: it is 'kitty' now."
    assert (outcome.total.changed, outcome.total.annotations_changed) == (True, 0)
    assert list(Category.objects.values_list("name", "color")) == [("kitty", "#ff0000")]
    assert list(Annotation.objects.values_list("pk", "version", "category_id")) == versions
    assert export_document(project) == made("kitty")


def test_a_part_of_the_annotations_under_another_name_is_refused(project):
    import_document(project, made("cat"))
    stored = rows_of(project)

    with pytest.raises(Conflict, match=r"id 1 is 'cat' in split 'train', and 'dog' in the file; 1 annotation"):
        import_document(project, made("dog", [2]))

    assert rows_of(project) == stored
    assert export_document(project) == made("cat")


def test_another_data_set_with_the_same_category_ids_is_refused(project):
    import_document(project, made("cat"))
    stored = rows_of(project)

    with pytest.raises(Conflict, match="import it into a split of its own"):
        import_document(project, made("dog", [7, 8]))

    assert rows_of(project) == stored


def test_another_split_keeps_its_name_for_the_id(project):
    import_document(project, made("cat"), split="train")
    import_document(project, made("cat"), split="val")

    outcome, report = import_document(project, made("kitty"), split="train")

    assert codes(report)["category_renamed"] == 1
    assert outcome.total.annotations_changed == 2
    assert export_document(project, splits=["train"]) == made("kitty")
    assert export_document(project, splits=["val"]) == made("cat")


def test_a_name_that_another_split_has_already_is_taken_over(project):
    import_document(project, made("kitty", [3]), split="val")
    import_document(project, made("cat"), split="train")

    _, report = import_document(project, made("kitty"), split="train")

    assert codes(report)["category_renamed"] == 1
    together = export_document(project)
    assert together["categories"] == [{"id": 1, "name": "kitty"}]


def test_predictions_go_along_with_the_new_name(project):
    import_document(project, made("cat"), split="train")
    import_document(project, made("cat"), split="val")
    human = Annotation.objects.first()
    Annotation.objects.create(
        project=project, split=human.split, image=human.image, category=human.category, coco_id=99, position=99,
        bbox=[1, 1, 2, 2], is_machine=True, source="model",
    )  # fmt: skip

    import_document(project, made("kitty"), split=human.split.name)

    assert Annotation.objects.get(is_machine=True).category.name == "kitty"


def test_a_panoptic_file_may_call_an_id_by_another_name_than_the_instances(project):
    import_document(project, made("wall"))
    panoptic = made("wall-merged")
    panoptic["annotations"] = [
        {"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 3, "category_id": 1, "area": 4}]}
    ]

    _, report = import_document(project, panoptic)

    assert "category_renamed" not in codes(report)
    assert export_document(project) == made("wall")
    assert DocumentCategory.objects.count() == 2


def test_a_file_without_annotations_does_not_rename_those_that_there_are(project):
    import_document(project, made("cat"))
    document = made("dog")
    document["annotations"] = []

    with pytest.raises(Conflict, match=r"2 annotation\(s\)"):
        import_document(project, document)

    assert export_document(project) == made("cat")


def test_names_that_change_places_are_all_renamed(project):
    document = made("cat")
    document["categories"].append({"id": 2, "name": "dog"})
    document["annotations"][1]["category_id"] = 2
    import_document(project, document)
    for record, name in zip(document["categories"], ["dog", "cat"], strict=True):
        record["name"] = name

    _, report = import_document(project, document)

    assert codes(report)["category_renamed"] == 2
    assert export_document(project) == document
