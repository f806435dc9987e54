"""Annotations over HTTP: filtered by objects, made, changed, deleted, relabelled."""

import pytest

from annotations import bulk
from annotations.models import Annotation, BulkEdit, Category
from assets.models import ImageAsset
from projects.models import AuditLog
from tests.annotations.scenes import TRAIN, exported, exported_text


@pytest.fixture
def named(project, images):
    """Categories by name."""
    return {category.name: category for category in Category.objects.filter(project=project)}


def annotation(coco_id):
    return Annotation.objects.get(coco_id=coco_id)


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", [11, 12, 13, 21]),
        ("category:car", [12]),
        ("area>100 split:train", [11, 13]),
        ("attributes.occluded:true", [12]),
        ("has(category:car)", [11, 12]),
        ("width>100", [13]),
    ],
)
def test_annotations_are_listed_by_object_query(q, expected, at, as_viewer, images):
    found = as_viewer.get(at("annotations"), {"q": q}).json()
    assert [row["coco_id"] for row in found["results"]] == expected
    assert (found["count"], found["count_is_exact"]) == (len(expected), True)


def test_the_filters_and_the_query_narrow_together(at, as_viewer, images):
    given = {"q": "area>=100", "image": images["a"].pk, "fields": "coco_id,category_name"}
    assert as_viewer.get(at("annotations"), given).json()["results"] == [
        {"coco_id": 11, "category_name": "person"},
        {"coco_id": 12, "category_name": "car"},
    ]


def test_a_query_with_a_mistake_is_400(at, as_viewer):
    assert as_viewer.get(at("annotations"), {"q": "area>big"}).json()["detail"]["column"] == 6


# --- Roles ------------------------------------------------------------------------------------------------------------


def test_viewers_get_403_and_strangers_404(at, as_viewer, as_stranger, images):
    one = annotation(11)
    for client, status in ((as_viewer, 403), (as_stranger, 404)):
        assert client.post(at("annotations"), {"image": images["a"].pk}).status_code == status
        assert client.patch(at(f"annotations/{one.pk}"), {}).status_code == status
        assert client.delete(at(f"annotations/{one.pk}")).status_code == status
        assert client.post(at("annotations/relabel"), {"q": "", "category": 1}).status_code == status
        assert client.post(at("categories"), {"name": "x"}).status_code == status
        assert client.post(at("categories/merge"), {"categories": [1], "into": 2}).status_code == status
        assert client.patch(at(f"categories/{one.category_id}"), {"name": "x"}).status_code == status
        assert client.delete(at(f"categories/{one.category_id}")).status_code == status


def test_annotations_of_another_project_are_404(as_stranger, stranger, images):
    elsewhere = stranger.owned_projects.get()
    path = f"/api/v1/projects/{elsewhere.pk}/annotations"
    assert as_stranger.patch(f"{path}/{annotation(11).pk}", {"bbox": [1, 1, 1, 1]}).status_code == 404
    assert as_stranger.post(path, {"image": images["a"].pk, "category": 1, "bbox": [1, 1, 1, 1]}).status_code == 404


# --- Making -----------------------------------------------------------------------------------------------------------


def test_a_new_annotation_comes_out_as_it_went_in(at, as_curator, images, named, project):
    body = {
        "image": images["b"].pk, "category": named["car"].pk, "bbox": [1, 2.5, 3, 4], "area": 12.25, "iscrowd": 0,
        "attributes": {"n": 1}, "score": 0.5, "extra": {"mine": [1, {"x": None}]}, "source": "me", "is_machine": False,
    }  # fmt: skip
    answer = as_curator.post(at("annotations"), body)
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    # One above the greatest of all splits, so that they still fit into one file.
    assert (made["coco_id"], made["kind"], made["issues"], made["version"]) == (22, "objects", None, 1)
    assert answer.headers["ETag"].startswith('"1.')
    assert ImageAsset.objects.get(pk=images["b"].pk).annotation_count == 2
    assert exported(project, "train")["annotations"][-1] == {
        "id": 22, "image_id": 2, "category_id": 2, "bbox": [1, 2.5, 3, 4], "area": 12.25, "iscrowd": 0,
        "attributes": {"n": 1}, "score": 0.5, "mine": [1, {"x": None}],
    }  # fmt: skip


def test_what_follows_from_an_outline_need_not_be_given(at, as_curator, images, named):
    new = {"image": images["b"].pk, "category": named["car"].pk}
    square = as_curator.post(at("annotations"), {**new, "segmentation": [[1, 2, 11, 2, 11, 7, 1, 7]]}).json()
    assert (square["bbox"], square["area"]) == ([1, 2, 10, 5], 50)
    box = as_curator.post(at("annotations"), {**new, "bbox": [0, 0, 3, 4]}).json()
    assert (box["area"], box["iscrowd"]) == (12, 0)
    mask = {"counts": [80 * 10 + 5, 3, 80 * 190 - 8], "size": [80, 200]}
    rle = as_curator.post(at("annotations"), {**new, "segmentation": mask, "iscrowd": 1}).json()
    assert (rle["bbox"], rle["area"]) == ([10, 5, 1, 3], 3)
    points = as_curator.post(at("annotations"), {**new, "bbox": [0, 0, 9, 9], "keypoints": [1, 1, 2, 0, 0, 0]}).json()
    assert points["num_keypoints"] == 1


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [1, 2, -3, 4]}, "bbox"),
        ({"bbox": ["1", 2, 3, 4]}, "bbox"),
        ({}, "bbox"),
        ({"bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3]]}, "segmentation"),
        ({"bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3, 4, 1e9, 5]]}, "segmentation"),
        ({"segmentation": {"counts": [1, 2], "size": [80, 200]}}, "segmentation"),
        ({"segmentation": {"counts": "zz~", "size": [80, 200]}}, "segmentation"),
        ({"segmentation": {"counts": [16], "size": [4, 4]}}, "segmentation"),
        ({"bbox": [1, 2, 3, 4], "keypoints": [1, 2]}, "keypoints"),
        ({"bbox": [1, 2, 3, 4], "keypoints": ["x"]}, "keypoints"),
        ({"bbox": [1, 2, 3, 4], "keypoints": [1, 2, 9]}, "keypoints"),
        ({"bbox": [1, 2, 3, 4], "attributes": [1]}, "attributes"),
        ({"bbox": [1e308, 1e308, 1e308, 1e308]}, "bbox"),
        ({"bbox": [1, 2, 3, 4], "area": "big"}, "area"),
        ({"bbox": [1, 2, 3, 4], "area": -1}, "area"),
        ({"bbox": [1, 2, 3, 4], "iscrowd": 2}, "iscrowd"),
        ({"bbox": [1, 2, 3, 4], "attributes": {"a": "\u0000"}}, "attributes"),
        ({"bbox": [1, 2, 3, 4], "extra": {"bbox": 1}}, "extra"),
        ({"bbox": [1, 2, 3, 4], "extra": {"segments_info": []}}, "extra"),
        ({"bbox": [1, 2, 3, 4], "extra": {"a": "\u0000"}}, "extra"),
        ({"bbox": [1, 2, 3, 4], "category": None}, "category"),
        ({"bbox": [1, 2, 3, 4], "category": 10**12}, "category"),
    ],
)
def test_what_a_coco_file_may_not_hold_is_refused(fields, fault, at, as_curator, images, named):
    body = {"image": images["b"].pk, "category": named["car"].pk, **fields}
    answer = as_curator.post(at("annotations"), body)
    assert answer.status_code == 400, answer.json()
    assert fault in answer.json()["fieldErrors"], answer.json()
    assert not any(words in answer.content for words in (b"kept", b"left out")), "nothing was"
    assert Annotation.objects.count() == 4
    if fields and fault != "category":
        assert as_curator.patch(at(f"annotations/{annotation(13).pk}"), fields).status_code == 400


def test_an_id_that_is_taken_is_409(at, as_curator, images, named):
    body = {"image": images["b"].pk, "category": named["car"].pk, "bbox": [1, 2, 3, 4], "coco_id": 11}
    assert as_curator.post(at("annotations"), body).status_code == 409
    assert ImageAsset.objects.get(pk=images["b"].pk).annotation_count == 1
    assert as_curator.post(at("annotations"), {**body, "image": images["v"].pk, "category": named["bus"].pk}).json()[
        "coco_id"
    ] == 11  # another split  # fmt: skip


@pytest.mark.parametrize(("word", "found"), [("true", 0), ("1", 0), ("False", 4), ("", 4)])
def test_the_machine_filter_takes_truth_values(at, as_viewer, images, word, found):
    assert as_viewer.get(at("annotations"), {"is_machine": word}).json()["count"] == found


def test_the_machine_filter_is_not_passed_over_where_it_says_neither(at, as_viewer, images):
    answer = as_viewer.get(at("annotations"), {"is_machine": "maybe"})
    assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, ["is_machine"])


@pytest.mark.parametrize("caption", [None, 5, ["a"]])
def test_a_caption_is_a_text(at, as_curator, images, caption):
    body = {"image": images["a"].pk, "extra": {"caption": "A dog"}}
    one = at(f"annotations/{as_curator.post(at('annotations'), body).json()['id']}")
    for answer in (
        as_curator.post(at("annotations"), {**body, "extra": {"caption": caption}}),
        as_curator.patch(one, {"extra": {"caption": caption}}),
    ):
        assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, ["extra"])
    assert as_curator.get(one).json()["extra"] == {"caption": "A dog"}


def test_a_caption_needs_no_category(at, as_curator, images):
    made = as_curator.post(at("annotations"), {"image": images["a"].pk, "extra": {"caption": "A dog"}}).json()
    assert (made["kind"], made["coco_id"], made["category"]) == ("captions", 1, None)


def test_a_category_whose_id_the_document_has_for_another_is_409(at, as_curator, images, named):
    body = {"image": images["b"].pk, "category": named["cat"].pk, "bbox": [1, 2, 3, 4]}  # 3 is a truck there
    answer = as_curator.post(at("annotations"), body)
    assert answer.status_code == 409
    assert answer.json()["detail"]["clashes"][0]["name"] == "truck"


# --- Changing ---------------------------------------------------------------------------------------------------------


def test_a_change_leaves_everything_else_to_the_letter(at, as_curator, images, project):
    before = exported_text(project, "train")
    one = annotation(13)
    answer = as_curator.patch(at(f"annotations/{one.pk}"), {"score": 0.25})
    assert answer.status_code == 200, answer.json()
    points = '"keypoints":[1, 1, 2, 3, 3, 0]'
    assert points in before
    assert exported_text(project, "train") == before.replace(points, f'{points},"score":0.25')


def test_fields_are_changed_and_taken_out(at, as_curator, images, project, named):
    one = annotation(11)
    change = {"attributes": None, "extra": {"odd": None, "new": 2}, "category": named["car"].pk, "iscrowd": 1}
    assert as_curator.patch(at(f"annotations/{one.pk}"), change).status_code == 200
    expected = {**TRAIN["annotations"][0], "category_id": 2, "iscrowd": 1, "new": 2}
    assert exported(project, "train")["annotations"][0] == {
        name: value for name, value in expected.items() if name not in ("odd", "attributes")
    }


def test_the_area_follows_a_new_outline_unless_given(at, as_curator, images):
    path = at(f"annotations/{annotation(11).pk}")
    changed = as_curator.patch(path, {"segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}).json()
    assert (changed["area"], changed["bbox"]) == (16, [0, 0, 4, 4])
    assert as_curator.patch(path, {"segmentation": [[0, 0, 4, 0, 4, 4]], "area": 9}).json()["area"] == 9
    assert as_curator.patch(path, {"bbox": [0, 0, 5, 5]}).json()["area"] == 9  # it has a segmentation
    box_only = at(f"annotations/{annotation(12).pk}")
    assert as_curator.patch(box_only, {"bbox": [0, 0, 5, 5]}).json()["area"] == 25


def test_issues_follow_a_change(at, as_curator, images):
    path = at(f"annotations/{annotation(12).pk}")
    assert as_curator.patch(path, {"bbox": [90, 70, 50, 50]}).json()["issues"] == ["bbox_outside"]
    assert as_curator.patch(path, {"bbox": [1, 1, 5, 5]}).json()["issues"] is None


def test_a_stale_change_or_deletion_is_412(at, as_curator, images):
    path = at(f"annotations/{annotation(12).pk}")
    tag = as_curator.get(path).headers["ETag"]
    assert as_curator.patch(path, {"score": 1}, headers={"If-Match": tag}).status_code == 200
    assert as_curator.patch(path, {"score": 2}, headers={"If-Match": tag}).status_code == 412
    assert as_curator.patch(path, {"score": 2, "version": 1}).status_code == 412
    # The body names the present state and the header an older one: neither is passed over.
    assert as_curator.patch(path, {"score": 2, "version": 2}, headers={"If-Match": tag}).status_code == 412
    assert as_curator.delete(path, headers={"If-Match": tag}).status_code == 412
    assert as_curator.delete(path, headers={"If-Match": "nonsense"}).status_code == 412


def test_what_changes_nothing_is_not_written(at, as_curator, images, project):
    project.refresh_from_db()
    one = annotation(12)
    assert as_curator.patch(at(f"annotations/{one.pk}"), {"bbox": [5, 5, 10, 10], "iscrowd": 0}).json()["version"] == 1
    revision = project.revision
    project.refresh_from_db()
    assert project.revision == revision


def test_an_object_keeps_a_category(at, as_curator, images):
    answer = as_curator.patch(at(f"annotations/{annotation(12).pk}"), {"category": None})
    assert "category" in answer.json()["fieldErrors"]


# --- Deleting ---------------------------------------------------------------------------------------------------------


def test_a_deleted_annotation_is_gone_counted_and_told(at, as_curator, images, project):
    one = annotation(12)
    assert as_curator.delete(at(f"annotations/{one.pk}")).status_code == 204
    assert ImageAsset.objects.get(pk=images["a"].pk).annotation_count == 1
    assert [row["id"] for row in exported(project, "train")["annotations"]] == [11, 13]
    line = AuditLog.objects.get(action="annotation.deleted")
    assert line.detail["before"]["bbox"] == [5, 5, 10, 10]
    assert as_curator.delete(at(f"annotations/{one.pk}")).status_code == 404


# --- Relabelling ------------------------------------------------------------------------------------------------------


def test_relabelling_tells_first_and_then_does(at, as_curator, images, named, project):
    body = {"q": "split:train area>=100 supercategory:vehicle", "category": named["truck"].pk}
    would = as_curator.post(at("annotations/relabel"), {**body, "dry_run": True}).json()
    assert would == {
        "matched": 2, "changed": 1, "images": 1, "done": False,
        "categories": [{"id": named["car"].pk, "name": "car", "annotations": 1}], "bulk_edit": None,
    }  # fmt: skip
    assert annotation(12).category == named["car"]
    done = as_curator.post(at("annotations/relabel"), body).json()
    assert done == {**would, "done": True, "bulk_edit": BulkEdit.objects.get().pk}
    assert exported(project, "train")["annotations"][1]["category_id"] == 3
    assert annotation(12).version == 2
    line = AuditLog.objects.get(action="annotations.relabelled")
    assert (line.detail["q"], line.detail["number"]) == (body["q"], 1)


def test_relabelling_that_would_spoil_a_document_is_409(at, as_curator, images, named):
    for dry_run in (True, False):
        body = {"q": "category:car", "category": named["cat"].pk, "dry_run": dry_run}
        assert as_curator.post(at("annotations/relabel"), body).status_code == 409
    assert annotation(12).category == named["car"]


def test_relabelling_many_is_a_task(at, as_curator, images, named, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE_ANNOTATIONS", 1)
    answer = as_curator.post(at("annotations/relabel"), {"q": "split:train", "category": named["car"].pk})
    edit = BulkEdit.objects.get()
    assert (answer.status_code, answer.json()["action"], answer.json()["state"]) == (202, "relabel", "queued")
    assert answer.headers["Location"].endswith(at(f"bulk-edits/{edit.pk}"))
    assert annotation(11).category == named["person"]


def test_merging_and_deleting_categories_of_many_are_tasks(at, as_manager, images, named, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE_ANNOTATIONS", 0)
    body = {"categories": [named["truck"].pk], "into": named["car"].pk}
    assert as_manager.post(at("categories/merge"), {**body, "dry_run": True}).status_code == 200
    assert as_manager.post(at("categories/merge"), body).json()["action"] == "merge"
    answer = as_manager.delete(at(f"categories/{named['person'].pk}?annotations=delete"))
    assert (answer.status_code, answer.json()["action"]) == (202, "unlist")
    assert Category.objects.filter(pk__in=[named["truck"].pk, named["person"].pk]).count() == 2
    assert BulkEdit.objects.filter(task__status="queued").count() == 2


# --- Conditional requests of single records ---------------------------------------------------------------------------


def read(client, address):
    """The answer and its ETag; and that asking again for what one has gives 304."""
    answer = client.get(address)
    tag = answer.headers["ETag"]
    again = client.get(address, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert client.get(address, headers={"If-None-Match": '"1.0"'}).status_code == 200
    return answer.json(), tag


@pytest.mark.parametrize("path", ["assets", "annotations", "categories", ""])
def test_records_are_read_again_only_where_they_changed_and_stale_edits_are_412(
    path, at, as_manager, images, named, project
):
    key = {"assets": images["a"].pk, "annotations": annotation(12).pk, "categories": named["car"].pk, "": ""}[path]
    address = at(f"{path}/{key}").rstrip("/")
    change = {
        "assets": {"tags": ["x"]},
        "annotations": {"score": 0.5},
        "categories": {"color": "#112233"},
        "": {"source": "me"},
    }
    _, tag = read(as_manager, address)
    changed = as_manager.patch(address, change[path], headers={"If-Match": tag})
    assert changed.status_code == 200, changed.json()
    assert changed.headers["ETag"] not in (tag, None)
    assert read(as_manager, address)[1] == changed.headers["ETag"]
    for stale in (tag, '"x"', "nonsense"):
        assert as_manager.patch(address, change[path], headers={"If-Match": stale}).status_code == 412
    assert as_manager.patch(address, change[path], headers={"If-Match": "*"}).status_code == 200


def test_a_new_name_of_the_category_is_another_answer_but_no_stale_edit(at, as_curator, images, named):
    address = at(f"annotations/{annotation(12).pk}")
    _, tag = read(as_curator, address)
    as_curator.patch(at(f"categories/{named['car'].pk}"), {"name": "auto"})
    answer = as_curator.get(address, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["category_name"]) == (200, "auto")
    assert as_curator.patch(address, {"score": 0.5}, headers={"If-Match": tag}).status_code == 200


def test_writes_to_its_data_make_no_edit_of_a_project_stale(at, as_manager, images, project):
    address = at("").rstrip("/")
    _, tag = read(as_manager, address)
    project.touch()
    assert as_manager.get(address, headers={"If-None-Match": tag}).status_code == 200
    assert as_manager.patch(address, {"description": "new"}, headers={"If-Match": tag}).status_code == 200


def test_a_stale_category_is_not_deleted(at, as_manager, images, named):
    address = at(f"categories/{named['bus'].pk}")
    _, tag = read(as_manager, address)
    as_manager.patch(address, {"color": "#112233"})
    assert as_manager.delete(address + "?annotations=keep", headers={"If-Match": tag}).status_code == 412
    _, tag = read(as_manager, address)
    assert as_manager.delete(address + "?annotations=keep", headers={"If-Match": tag}).status_code == 200


def test_a_new_annotation_is_not_numbered_after_predictions(at, as_curator, images, named, project):
    one = annotation(13)
    for coco_id in (2**52 + 5, 2**62):
        Annotation.objects.create(
            project=project, split_id=one.split_id, image_id=one.image_id, category_id=one.category_id,
            coco_id=coco_id, is_machine=True,
        )  # fmt: skip
    body = {"image": images["b"].pk, "category": named["car"].pk, "bbox": [1, 1, 2, 2]}
    assert as_curator.post(at("annotations"), body).json()["coco_id"] == 22
