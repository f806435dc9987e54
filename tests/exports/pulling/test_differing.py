"""What was sent, what CVAT has, what is here: every doing of an annotator against an oracle, and nothing else moves."""

import copy
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.cvat import masks
from exports.cvat.shapes import Shape, Tag
from exports.pulling import comparing
from exports.pulling.differing import compare
from exports.pulling.states import Aspect, Kind, Meaning, Ours, Piece, SentTag, Subject, Theirs
from tests.exports.pulling.worlds import (
    BUS,
    FRAMES,
    RECORDS,
    SKELETON,
    STRANGE,
    VOCABULARY,
    World,
    applied,
    outlined,
)


def with_value(shape: Shape, spec: int, value: str) -> Shape:
    return replace(shape, attributes=tuple((s, value if s == spec else v) for s, v in shape.attributes))


def moved(shape: Shape, at: int, x: float, y: float) -> Shape:
    points = list(shape.points)
    points[at : at + 2] = [x, y]
    return replace(shape, points=tuple(points))


def only(found):
    (difference,) = found.differences
    return difference


@pytest.fixture
def world() -> World:
    return World()


# --- Nothing happened -------------------------------------------------------------------------------------------------


def test_no_edit_is_no_difference(world):
    found = world.compare()
    assert found.differences == []
    assert found.unchanged == len(RECORDS)
    assert found.settled == []


def test_other_order_new_ids_and_floats_are_no_difference(world):
    """As after a PUT, or a restored backup: everything is there under other ids and groups, in another order."""
    groups = {shape.group: 900 + number for number, shape in enumerate(world.shapes)}
    shapes = [
        replace(
            shape, id=world.next_id(), group=groups[shape.group] if shape.group else 0, z_order=3, source="manual",
            attributes=tuple(reversed(shape.attributes)), elements=tuple(reversed(shape.elements)),
            points=tuple(float(value) for value in shape.points),
        )
        for shape in reversed(world.shapes)
    ]  # fmt: skip
    world.shapes = shapes
    found = world.compare()
    assert found.differences == []
    assert len(found.settled) == len(RECORDS)  # the next pull knows the new ids
    ids = {piece.shape.id for _, pieces in found.settled for piece in pieces}
    assert ids == {shape.id for shape in shapes}


def test_noise_of_an_editor_is_no_difference(world):
    random.seed(4)
    world.shapes = [
        replace(shape, points=tuple(value + random.uniform(-4e-4, 4e-4) for value in shape.points))
        if shape.type in ("polygon", "rectangle")
        else shape
        for shape in world.shapes
    ]
    assert world.compare().differences == []


def test_mask_with_more_room_around_is_no_difference(world):
    (mask,) = world.of("4")
    roomy = masks.from_rle([0, 30, 30, 30, 3510], 60, 60)[:-4]
    # The same pixels in a box of three columns, 31 rows.
    assert roomy == [0, 60]
    rows = [0]
    for _ in range(30):
        rows += [2, 1]
    points = [*rows[:-1], 1 + 3, 0, 0, 2, 30]
    world.put(mask, replace(mask, points=tuple(float(value) for value in points)))
    assert world.compare().differences == []


def test_clearing_the_coco_id_loses_nothing(world):
    for shape in list(world.shapes):
        world.put(shape, with_value(shape, shape.label_id * 10 + 1, ""))
    assert world.compare().differences == []


def test_coco_id_of_another_does_not_take_its_place(world):
    """Somebody types the id of one annotation into another: both stay what they are."""
    (box,) = world.of("1")
    world.put(box, with_value(box, 11, "6"))
    assert world.compare().differences == []


def test_drawing_again_keeps_the_identity(world):
    """Deleted and drawn anew with the same coco_id: the shape is another, the annotation is the same."""
    (box,) = world.of("1")
    world.put(box, replace(box, id=world.next_id(), points=(10, 10, 30, 30)))
    difference = only(world.compare())
    assert (difference.key, difference.kind) == ("1", Kind.CHANGED)
    assert difference.after == {"bbox": [10, 10, 20, 20], "area": 400}


# --- One thing at a time ----------------------------------------------------------------------------------------------


def test_moved_vertex_changes_only_its_part(world):
    second = world.of("2")[1]
    world.put(second, moved(second, 2, 75.5, 31))
    difference = only(world.compare())
    assert difference.aspects == (Aspect.GEOMETRY,)
    segmentation = difference.after["segmentation"]
    assert json.dumps(segmentation) == "[[40, 10, 50.125, 10, 50, 20], [60, 30, 75.5, 31, 70, 40, 60.5, 40]]"
    assert difference.after["bbox"] == [40, 10, 35.5, 30]
    assert set(difference.after) == {"segmentation", "bbox", "area"}


def test_moved_side_of_a_box_keeps_the_other_numbers(world):
    (box,) = world.of("1")
    world.put(box, replace(box, points=(10.0, 12.0, 30.5, 30.0)))
    difference = only(world.compare())
    assert json.dumps(difference.after) == '{"bbox": [10, 12.0, 20.5, 18.0], "area": 369.0}'


def test_points_that_went_out_on_the_edge_stay_beyond_it(world):
    (polygon,) = world.of("5")
    assert polygon.points == (20, 20, 60, 20, 60, 40)
    world.put(polygon, moved(polygon, 0, 22, 20))
    difference = only(world.compare())
    assert difference.after == {"segmentation": [[22, 20, 65, 20, 65, 40]], "bbox": [22, 20, 43, 20]}
    assert "area" not in difference.after  # the record has none


def test_part_that_is_deleted_goes_and_the_other_stays_to_the_letter(world):
    world.put(world.of("2")[0], None)
    difference = only(world.compare())
    assert json.dumps(difference.after["segmentation"]) == "[[60, 30, 70, 30, 70, 40, 60.5, 40]]"


def test_part_that_was_never_sent_is_still_there():
    records = {"2": {**RECORDS["2"], "segmentation": [[1, 1, 2, 2, 3, 3], *RECORDS["2"]["segmentation"]]}}
    world = World(records)
    line, first, _ = world.shapes
    world.put(line, None)  # has no area: the guards left it out
    world.sent = [replace(one, pieces=one.pieces[1:]) for one in world.sent]
    assert world.compare().differences == []
    world.put(first, moved(first, 0, 41, 10))
    difference = only(world.compare())
    assert difference.after["segmentation"] == [
        [1, 1, 2, 2, 3, 3], [41, 10, 50.125, 10, 50, 20], [60, 30, 70, 30, 70, 40, 60.5, 40]
    ]  # fmt: skip


def test_part_that_is_added_to_the_group_belongs_to_it(world):
    first, _ = world.of("2")
    world.shapes.append(Shape("polygon", 0, 1, (80, 50, 90, 50, 90, 60), group=first.group, id=world.next_id()))
    difference = only(world.compare())
    assert (difference.key, difference.kind) == ("2", Kind.CHANGED)
    assert difference.after["segmentation"][2:] == [[80, 50, 90, 50, 90, 60]]


def test_grouping_two_annotations_changes_neither(world):
    (box,), (polygon, *_) = world.of("1"), world.of("2")
    world.put(box, replace(box, group=polygon.group))
    assert world.compare().differences == []


def test_deleted_keypoint_and_moved_keypoint(world):
    skeleton = world.of("3")[1]
    nose, left, right = skeleton.elements
    elements = (replace(nose, points=(8.0, 45.0)), replace(left, outside=True), right)
    world.put(skeleton, replace(skeleton, elements=elements))
    difference = only(world.compare())
    assert difference.aspects == (Aspect.KEYPOINTS,)
    # The third was not touched: it keeps the 3, 3 that it had beside its 0.
    assert difference.after == {"keypoints": [8.0, 45.0, 2, 0, 0, 0, 3, 3, 0], "num_keypoints": 1}


def test_deleted_skeleton_leaves_the_outline(world):
    world.put(world.of("3")[1], None)
    difference = only(world.compare())
    assert difference.after == {"keypoints": [0] * 9, "num_keypoints": 0}


def test_deleted_outline_leaves_the_skeleton(world):
    world.put(world.of("3")[0], None)
    difference = only(world.compare())
    assert difference.aspects == (Aspect.GEOMETRY,)
    assert difference.after == {"segmentation": [], "bbox": [7, 45, 5.5, 5], "area": 27.5}


def test_turned_box_becomes_a_polygon(world):
    (box,) = world.of("6")
    world.put(box, replace(box, rotation=90.0))
    difference = only(world.compare())
    assert difference.after["segmentation"] == [[4.5, 2.5, 4.5, 5.5, 0.5, 5.5, 0.5, 2.5]]
    assert difference.after["bbox"] == [0.5, 2.5, 4, 3]


def test_crowd_mask_drawn_over_keeps_its_kind_of_runs():
    from annotations.coco import rle

    text = rle.encode_counts([0, 30, 30, 30, 3510])
    world = World({"4": {**RECORDS["4"], "segmentation": {"size": [60, 60], "counts": text}}})
    (mask,) = world.shapes
    assert world.compare().differences == []
    world.put(mask, replace(mask, points=(0.0, 60.0, 0.0, 0.0, 0.0, 59.0)))
    difference = only(world.compare())
    assert difference.after["segmentation"] == {"size": [60, 60], "counts": rle.encode_counts([0, 60, 3540])}
    assert difference.after["bbox"] == [0, 0, 1, 60]
    assert difference.after["area"] == 60


def test_relabelled_takes_every_shape_and_keeps_attributes_of_the_old_label(world):
    (box,) = world.of("1")
    world.put(box, replace(box, label_id=BUS.id, attributes=((21, "1"), (22, "false"), (23, "some"))))
    difference = only(world.compare())
    assert difference.aspects == (Aspect.LABEL,)
    assert difference.after == {"category": 102}
    # An attribute that both labels have begins at its default, and nobody has said that.
    world.put(world.of("1")[0], replace(box, label_id=BUS.id, attributes=((21, "1"), (22, "false"), (23, "-"))))
    assert only(world.compare()).after == {"category": 102}


def test_label_that_nobody_knows_here_is_a_problem(world):
    (box,) = world.of("1")
    world.put(box, replace(box, label_id=STRANGE.id, attributes=()))
    assert "no category 'drawn by somebody'" in only(world.compare()).problem


def test_parts_with_two_labels_are_a_problem(world):
    first, second = world.of("2")
    world.put(first, replace(first, label_id=2))
    world.put(second, replace(second, label_id=3))
    assert "several labels" in only(world.compare()).problem


def test_attributes_come_back_as_what_they_were(world):
    for spec, value in ((13, "much"), (14, "45.5"), (15, "false")):
        (box,) = world.of("1")
        world.put(box, with_value(box, spec, value))
    difference = only(world.compare())
    assert difference.aspects == (Aspect.ATTRIBUTES,)
    assert difference.after == {"attributes": {"kind": "much", "speed": 45.5, "parked": False, "odd": {"a": [1]}}}


@pytest.mark.parametrize(
    ("value", "before", "kinds", "expected"),
    [
        ("true", comparing.ABSENT, ("boolean",), True),
        ("true", "true", ("boolean",), "true"),
        ("7", comparing.ABSENT, ("number",), 7),
        ("7", "6", ("number",), "7"),
        ("7.5", 7, ("string",), 7.5),
        ("many", 7, ("number", "string"), "many"),
        ("1", comparing.ABSENT, ("number", "string"), "1"),
        ("-", "some", ("string",), comparing.ABSENT),
    ],
)
def test_attribute_texts_are_read_as_their_kind(value, before, kinds, expected):
    found = comparing.decoded(value, before, Meaning("x", kinds, "-"))
    assert (found, type(found)) == (expected, type(expected))


def test_attribute_of_another_value_in_the_same_words_is_no_difference():
    """What went out as a number's text comes back as that number."""
    records = {"1": {**RECORDS["1"], "attributes": {"speed": 30.0, "kind": "some"}}}
    assert World(records).compare().differences == []


@pytest.mark.parametrize(
    ("value", "before", "kinds"),
    [("inf", 7, ("number",)), ("many", 7, ()), ("yes", True, ("boolean",)), ("x", comparing.ABSENT, ("number",))],
)
def test_text_in_the_place_of_a_number_is_a_problem(value, before, kinds):
    with pytest.raises(comparing.Differ, match=value):
        comparing.decoded(value, before, Meaning("x", kinds))


def test_value_that_stands_for_none_takes_the_attribute_out(world):
    (box,) = world.of("1")
    world.put(box, with_value(box, 13, "-"))
    assert only(world.compare()).after == {"attributes": {"speed": 30, "parked": True, "odd": {"a": [1]}}}
    here(world, "1", attributes={"speed": 30, "parked": True})
    assert world.compare().differences == []
    world.shapes.append(Shape("rectangle", 1, 1, (1, 1, 9, 9), attributes=((13, "-"), (14, "5")), id=world.next_id()))
    assert only(world.compare()).after["attributes"] == {"speed": 5}


def test_skeleton_with_the_coco_id_of_an_outline_without_one_belongs_to_it(world):
    outline, skeleton = world.of("3")
    world.sent = [replace(one, pieces=one.pieces[:1]) if one.key == "3" else one for one in world.sent]
    world.put(skeleton, replace(skeleton, id=world.next_id(), group=0))
    world.put(outline, replace(outline, group=0))
    difference = only(world.compare())
    assert (difference.key, difference.aspects) == ("3", (Aspect.KEYPOINTS,))


def test_occluded_is_kept_as_an_attribute(world):
    (box,) = world.of("6")
    world.put(box, replace(box, occluded=True))
    assert only(world.compare()).after == {"attributes": {"occluded": True}}


def test_crowd_box_is_ticked(world):
    (box,) = world.of("6")
    world.put(box, with_value(box, 12, "true"))
    difference = only(world.compare())
    assert (difference.aspects, difference.after) == ((Aspect.CROWD,), {"iscrowd": 1})


def test_shape_that_coco_has_no_words_for_is_a_problem(world):
    (box,) = world.of("6")
    world.put(box, replace(box, type="ellipse"))
    assert "ellipse" in only(world.compare()).problem


# --- New and gone -----------------------------------------------------------------------------------------------------


def test_new_shapes_become_annotations(world):
    world.shapes += [
        Shape(
            "rectangle", 1, 1, (1, 1, 11, 21), id=world.next_id(), attributes=((13, "much"), (14, "0"), (15, "true"))
        ),
        Shape("polygon", 0, 3, (1, 1, 9, 1, 9, 9), id=world.next_id(), group=77),
        Shape("polygon", 0, 3, (20, 1, 29, 1, 29, 9), id=world.next_id(), group=77),
    ]
    polygon, box = world.compare().differences
    assert (box.kind, box.frame, box.key) == (Kind.ADDED, 1, f"shape {world.ids - 2}")
    assert box.after == {
        "category": 101, "bbox": [1, 1, 10, 20], "area": 200, "iscrowd": 0,
        "attributes": {"kind": "much", "speed": 0, "parked": True},
    }  # fmt: skip
    assert polygon.after == {
        "category": 103, "segmentation": [[1, 1, 9, 1, 9, 9], [20, 1, 29, 1, 29, 9]],
        "bbox": [1, 1, 28, 8], "area": 68, "iscrowd": 0,
    }  # fmt: skip


def test_group_that_coco_cannot_say_in_one_is_several_annotations(world):
    world.shapes += [Shape("rectangle", 0, 1, (at, 1, at + 5, 6), id=world.next_id(), group=77) for at in (1, 20, 40)]
    assert [one.kind for one in world.compare().differences] == [Kind.ADDED] * 3


def test_new_skeleton_has_the_box_of_its_points(world):
    elements = tuple(Shape("points", 1, one.id, (10.0 * at, 5.0 * at)) for at, one in enumerate(SKELETON.sublabels, 1))
    world.shapes.append(Shape("skeleton", 1, 4, elements=elements, id=world.next_id()))
    difference = only(world.compare())
    assert difference.after == {
        "category": 103, "keypoints": [10, 5, 2, 20, 10, 2, 30, 15, 2], "num_keypoints": 3, "bbox": [10, 5, 20, 10],
        "area": 200, "iscrowd": 0,
    }  # fmt: skip


def test_copy_with_the_same_coco_id_is_new_and_the_original_stays(world):
    (box,) = world.of("1")
    world.shapes.insert(0, replace(box, id=world.next_id(), points=(50, 50, 60, 60)))
    difference = only(world.compare())
    assert difference.kind is Kind.ADDED
    assert difference.note == "A copy of annotation 1."
    assert difference.after["bbox"] == [50, 50, 10, 10]


def test_propagated_to_another_image_is_new_there(world):
    (box,) = world.of("1")
    world.shapes.append(replace(box, id=world.next_id(), frame=1))
    difference = only(world.compare())
    assert (difference.kind, difference.frame) == (Kind.ADDED, 1)


def test_deleted_annotation(world):
    for shape in world.of("2"):
        world.put(shape, None)
    difference = only(world.compare())
    assert (difference.kind, difference.key, difference.pieces, difference.conflict) == (Kind.DELETED, "2", (), "")


def test_nothing_on_a_deleted_frame_counts(world):
    for shape in list(world.shapes):
        if shape.frame == 0:
            world.put(shape, None)
    world.shapes.append(Shape("rectangle", 0, 1, (1, 1, 5, 5), id=world.next_id()))
    found = world.compare(deleted_frames=frozenset([0]), tags=[Tag(0, 1, id=3)])
    assert found.differences == []
    assert found.notes == ["Frames were deleted in CVAT; nothing on them was taken over: 0."]


def test_what_was_not_sent_cannot_be_deleted(world):
    world.sent = [replace(one, pieces=()) if one.key == "2" else one for one in world.sent]
    for shape in world.of("2"):
        world.put(shape, None)
    world.shapes = [shape for shape in world.shapes if (11, "2") not in shape.attributes]
    assert world.compare().differences == []


def test_copy_takes_the_place_of_a_deleted_model(world):
    """As if it had been drawn anew: the annotation lives on under its id."""
    (box,) = world.of("1")
    world.shapes.append(replace(box, id=world.next_id(), points=(50, 50, 60, 60)))
    world.put(box, None)
    difference = only(world.compare())
    assert (difference.kind, difference.key, difference.after["bbox"]) == (Kind.CHANGED, "1", [50, 50, 10, 10])


# --- Tags -------------------------------------------------------------------------------------------------------------


def test_tags_come_and_go():
    sent = [SentTag("tag 1", 0, "car"), SentTag("tag 2", 1, "bus")]
    tags = [Tag(0, 1, id=9), Tag(0, 3, id=4), Tag(0, 3, id=5)]
    found = compare([], Theirs([], FRAMES, tags), {}, VOCABULARY, tags=sent)
    # A tag set again under another id is the same; one twice is one.
    told = [(one.subject, one.kind, one.frame, dict(one.before), dict(one.after)) for one in found.differences]
    assert told == [
        (Subject.TAG, Kind.ADDED, 0, {}, {"tag": "person"}),
        (Subject.TAG, Kind.DELETED, 1, {"tag": "bus"}, {}),
    ]


# --- Both sides -------------------------------------------------------------------------------------------------------


def here(world: World, key: str, **fields) -> None:
    """Somebody changes the annotation here."""
    world.ours[key] = Ours(2, {**world.ours[key].fields, **fields})


def test_change_here_alone_is_no_difference(world):
    here(world, "1", bbox=[1, 2, 3, 4], category=102)
    found = world.compare()
    assert found.differences == []
    assert [one.key for one, _ in found.settled] == ["1"]


def test_same_aspect_changed_on_both_sides_is_a_conflict(world):
    here(world, "1", bbox=[1, 2, 3, 4])
    (box,) = world.of("1")
    world.put(box, replace(box, points=(10, 12, 30.5, 30)))
    assert only(world.compare()).conflict == "Changed here meanwhile, too: geometry."


def test_same_change_on_both_sides_is_none(world):
    here(world, "1", bbox=[10, 12, 20.5, 18], attributes={"kind": "much", "speed": 30, "parked": True})
    (box,) = world.of("1")
    world.put(box, with_value(replace(box, points=(10, 12, 30.5, 30)), 13, "much"))
    found = world.compare()
    assert found.differences == []
    assert [one.key for one, _ in found.settled] == ["1"]


def test_different_aspects_go_together(world):
    here(world, "1", category=103, attributes={"kind": "some", "speed": 99, "parked": True, "new": 1})
    (box,) = world.of("1")
    world.put(box, with_value(replace(box, points=(10, 12, 30.5, 30)), 13, "much"))
    difference = only(world.compare())
    assert difference.conflict == ""
    assert difference.after["attributes"] == {"kind": "much", "speed": 99, "parked": True, "new": 1}
    assert "category" not in difference.after


def test_same_attribute_on_both_sides_is_a_conflict(world):
    here(world, "1", attributes={"kind": "none", "speed": 30, "parked": True})
    (box,) = world.of("1")
    world.put(box, with_value(box, 13, "much"))
    assert only(world.compare()).conflict == "Changed here meanwhile, too: attributes."


def test_changed_there_and_deleted_here_is_a_conflict_that_can_bring_it_back(world):
    del world.ours["2"]
    first, _ = world.of("2")
    world.put(first, moved(first, 0, 41, 10))
    difference = only(world.compare())
    assert difference.conflict == "It was deleted here meanwhile."
    assert difference.after["unknown"] == "kept"
    assert difference.after["category"] == 101
    assert difference.after["segmentation"][0] == [41, 10, 50.125, 10, 50, 20]


def test_deleted_there_and_changed_here_is_a_conflict(world):
    here(world, "1", bbox=[1, 2, 3, 4])
    world.put(world.of("1")[0], None)
    difference = only(world.compare())
    assert (difference.kind, difference.conflict) == (Kind.DELETED, "Changed here meanwhile: geometry.")


def test_deleted_on_both_sides_is_no_difference(world):
    del world.ours["1"]
    world.put(world.of("1")[0], None)
    assert world.compare().differences == []


def test_new_version_with_the_same_content_is_no_conflict(world):
    here(world, "1")
    (box,) = world.of("1")
    world.put(box, replace(box, points=(10, 12, 30.5, 30)))
    assert only(world.compare()).conflict == ""


# --- After a decision -------------------------------------------------------------------------------------------------


def test_what_was_decided_is_not_shown_again(world):
    """The base moves on with what CVAT had: a second pull of the same state has nothing."""
    (box,), (first, _) = world.of("1"), world.of("2")
    world.put(box, replace(box, points=(1, 1, 5, 5)))
    world.put(first, None)
    for shape in world.of("3"):
        world.put(shape, None)
    world.shapes.append(Shape("rectangle", 1, 2, (3, 3, 9, 9), id=world.next_id()))
    found = world.compare()
    assert len(found.differences) == 4
    known = {one.key: one for one in world.sent}
    for one in found.differences:
        base = known.get(one.key)
        fields = {**base.fields, **one.after} if base else one.after
        known[one.key] = replace(base or world.sent[0], key=one.key, frame=one.frame, pieces=one.pieces, fields=fields)
    world.sent = list(known.values())
    # Half was taken over, half refused: neither comes again.
    assert world.compare().differences == []


# --- Everything at once, against the oracle ---------------------------------------------------------------------------

coordinates = st.floats(1, 55).map(lambda value: round(value, 2))
DOINGS = ("vertex", "side", "part", "drop part", "nose", "relabel", "crowd", "value", "delete", "copy", "new", "clear")


class Annotator:
    """Does things in CVAT, and says by rules of his own what the records must be then."""

    def __init__(self, world: World, draw) -> None:
        self.world, self.draw = world, draw
        self.ambiguous = False  # whether only ids can tell what is what

    def do(self, what: str) -> None:
        getattr(self, what.replace(" ", "_"))()

    def pick(self, *keys: str) -> str | None:
        left = [key for key in keys if key in self.world.expected and self.world.of(key)]
        return self.draw(st.sampled_from(left)) if left else None

    def polygons(self, key: str) -> list[Shape]:
        return [shape for shape in self.world.of(key) if shape.type == "polygon"]

    def vertex(self) -> None:
        key = self.pick("2", "3")
        if key is None or not self.polygons(key):
            return
        polygons = self.polygons(key)
        at = self.draw(st.integers(0, len(polygons) - 1))
        x, y = self.draw(coordinates), self.draw(coordinates)
        self.world.put(polygons[at], moved(polygons[at], 2, x, y))
        record = self.world.expected[key]
        if abs(record["segmentation"][at][2] - x) > 0.001 or abs(record["segmentation"][at][3] - y) > 0.001:
            record["segmentation"][at][2:4] = [x, y]
            outlined(record)

    def side(self) -> None:
        key = self.pick("1", "6")
        if key is None:
            return
        (box,) = self.world.of(key)
        x, y, width, height = self.world.expected[key]["bbox"]
        wider = self.draw(st.integers(1, 9))
        self.world.put(box, replace(box, points=(*box.points[:2], box.points[2] + wider, box.points[3])))
        record = self.world.expected[key]
        record["bbox"] = [x, y, round(width + wider, 6), height]
        record["area"] = round(record["bbox"][2] * height, 6)

    def part(self) -> None:
        if "2" not in self.world.expected or not self.polygons("2"):
            return
        group, x = self.polygons("2")[0].group, self.draw(coordinates)
        points = (x, 5.0, x + 5, 5.0, x + 5, 11.0)
        label = self.polygons("2")[0].label_id
        self.world.shapes.append(Shape("polygon", 0, label, points, group=group, id=self.world.next_id()))
        record = self.world.expected["2"]
        record["segmentation"].append(list(points))
        outlined(record)

    def drop_part(self) -> None:
        if "2" not in self.world.expected or len(self.polygons("2")) < 2:
            return
        self.world.put(self.polygons("2")[0], None)
        record = self.world.expected["2"]
        del record["segmentation"][0]
        outlined(record)

    def nose(self) -> None:
        skeleton = next((shape for shape in self.world.of("3") if shape.type == "skeleton"), None)
        if skeleton is None or "3" not in self.world.expected:
            return
        x, y = self.draw(coordinates), self.draw(coordinates)
        nose = replace(skeleton.elements[0], points=(x, y))
        self.world.put(skeleton, replace(skeleton, elements=(nose, *skeleton.elements[1:])))
        if max(abs(x - 7), abs(y - 45)) > 0.001:
            self.world.expected["3"]["keypoints"][:2] = [x, y]
        else:
            self.world.expected["3"]["keypoints"][:2] = [7, 45]

    def relabel(self) -> None:
        key = self.pick("2", "4", "5", "6")
        if key is None:
            return
        label = self.draw(st.sampled_from([1, 2]))
        for shape in self.world.of(key):
            values = tuple((spec % 10 + label * 10, value) for spec, value in shape.attributes if spec % 10 < 3)
            self.world.put(shape, replace(shape, label_id=label, attributes=values))
        if key == "2":
            added = [shape for shape in self.world.shapes if shape.group == 2 and shape not in self.world.of("2")]
            for shape in added:
                self.world.put(shape, replace(shape, label_id=label))
        self.world.expected[key]["category"] = 100 + label

    def crowd(self) -> None:
        key = self.pick("1", "4", "6")
        if key is None:
            return
        (shape,) = self.world.of(key)
        now = self.draw(st.sampled_from([0, 1]))
        self.world.put(shape, with_value(shape, shape.label_id * 10 + 2, "true" if now else "false"))
        self.world.expected[key]["iscrowd"] = now

    def value(self) -> None:
        if self.pick("1") is None:
            return
        (box,) = self.world.of("1")
        speed = self.draw(st.integers(0, 100))
        self.world.put(box, with_value(box, 14, str(speed)))
        self.world.expected["1"]["attributes"]["speed"] = speed

    def delete(self) -> None:
        # A copy whose model is gone takes its place: that is a test of its own.
        key = self.pick("1", "2", "3", "4", "5", *(() if self.ambiguous else ("6",)))
        if key is None:
            return
        for shape in self.world.of(key):
            self.world.put(shape, None)
        group = int(key)
        self.world.shapes = [shape for shape in self.world.shapes if shape.group != group]
        del self.world.expected[key]

    def copy(self) -> None:
        if self.pick("6") is None:
            return
        (box,) = self.world.of("6")
        x = self.draw(coordinates)
        self.world.shapes.append(replace(box, id=self.world.next_id(), points=(x, 40.0, x + 4, 44.0), occluded=False))
        self.ambiguous = True
        crowd = dict(box.attributes).get(box.label_id * 10 + 2)
        self.world.new.append(
            {"category": 100 + box.label_id, "bbox": [x, 40.0, 4, 4], "iscrowd": int(crowd == "true")}
        )

    def new(self) -> None:
        x = self.draw(coordinates)
        points = (x, 1.0, x + 3, 1.0, x + 3, 9.5)
        self.world.shapes.append(Shape("polygon", 1, 2, points, id=self.world.next_id()))
        self.world.new.append({"category": 102, "segmentation": [list(points)], "iscrowd": 0})

    def clear(self) -> None:
        key = self.pick("1", "5", "6")
        if key is None:
            return
        (shape,) = self.world.of(key)
        self.world.put(shape, with_value(shape, shape.label_id * 10 + 1, ""))
        self.ambiguous = True


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(DOINGS), max_size=12), st.randoms(use_true_random=False), st.data())
def test_whatever_an_annotator_does_comes_home_and_nothing_else(doings, chance, data):
    world = World()
    annotator = Annotator(world, data.draw)
    for what in doings:
        annotator.do(what)
    if not annotator.ambiguous and data.draw(st.booleans()):
        world.shapes = [replace(shape, id=world.next_id()) for shape in world.shapes]  # as a PUT does
    chance.shuffle(world.shapes)
    found = world.compare()
    records, new = applied(world, found)
    assert json.dumps(tidy(records), sort_keys=True) == json.dumps(tidy(world.expected), sort_keys=True)
    known = [{name: one[name] for name in want} for one, want in zip(ordered(new), ordered(world.new), strict=True)]
    assert tidy(known) == tidy(ordered(world.new))
    # What nobody touched is not named at all.
    changed = {key for key in world.records if json.dumps(world.records[key]) != json.dumps(world.expected.get(key))}
    told = {one.key for one in found.differences if one.kind is not Kind.ADDED}
    assert told <= changed | {key for key in world.expected if records.get(key) == world.records[key]}
    assert changed <= told | {
        key for key in changed if key in world.expected and tidy(world.expected[key]) == tidy(world.records[key])
    }


def ordered(records: list[dict]) -> list[dict]:
    return sorted(
        records, key=lambda one: (one["category"], json.dumps(tidy(one.get("segmentation") or one.get("bbox"))))
    )


def tidy(value):
    """Numbers as floats with six digits, so that 1 is 1.0."""
    if isinstance(value, dict):
        return {name: tidy(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(inner) for inner in value]
    return round(float(value), 6) if isinstance(value, int | float) and not isinstance(value, bool) else value


@given(st.permutations(range(9)))
def test_order_of_shapes_says_nothing(order):
    world = World()
    world.shapes = [world.shapes[at] for at in order if at < len(world.shapes)]
    assert len(world.shapes) == 8
    assert world.compare().differences == []


def test_pieces_are_kept_as_json_and_read_again(world):
    for one in world.sent:
        for piece in one.pieces:
            again = Piece.read(json.loads(json.dumps(piece.write())))
            assert again.uid == piece.uid
            assert again.shape.form == piece.shape.form
            assert dict(again.shape.attributes) == dict(piece.shape.attributes)


def decided(world: World, *, mine: bool) -> None:
    """One new shape is there, and was taken over or refused."""
    world.shapes.append(Shape("rectangle", 1, 2, (3, 3, 9, 9), id=world.next_id()))
    new = only(world.compare())
    fields = new.after if mine else {}
    world.sent.append(
        replace(world.sent[0], key=new.key, frame=1, pieces=new.pieces, fields=fields, annotation=77 if mine else None)
    )
    if mine:
        world.ours[new.key] = Ours(1, fields)


@pytest.mark.parametrize("mine", [True, False])
def test_what_was_drawn_in_cvat_is_known_again_after_a_put(world, mine):
    decided(world, mine=mine)
    assert world.compare().differences == []
    world.shapes = [replace(shape, id=world.next_id()) for shape in world.shapes]
    assert world.compare().differences == []


def test_refused_shape_that_is_changed_is_new_again(world):
    decided(world, mine=False)
    world.put(world.shapes[-1], replace(world.shapes[-1], points=(3, 3, 9, 12)))
    difference = only(world.compare())
    assert (difference.kind, difference.after["bbox"], difference.conflict) == (Kind.ADDED, [3, 3, 6, 9], "")
    world.shapes.pop()
    assert world.compare().differences == []


def test_shape_that_was_taken_over_is_changed_and_deleted_like_any(world):
    decided(world, mine=True)
    world.put(world.shapes[-1], replace(world.shapes[-1], points=(3, 3, 9, 12)))
    difference = only(world.compare())
    assert (difference.kind, difference.after) == (Kind.CHANGED, {"bbox": [3.0, 3.0, 6.0, 9.0], "area": 54.0})
    world.shapes.pop()
    assert only(world.compare()).kind is Kind.DELETED


# --- Both sides at once, against the oracle ---------------------------------------------------------------------------

TOGETHER = (("segmentation", "bbox", "area"), ("keypoints", "num_keypoints"), ("category",), ("iscrowd",))
HERE = st.sampled_from(("bbox", "category", "iscrowd", "speed", "kind", "delete"))


def change_here(world: World, key: str, what: str, number: int) -> None:
    """Somebody edits the annotation here, too."""
    if key not in world.ours:
        return
    if what == "delete":
        del world.ours[key]
        return
    fields = copy.deepcopy(dict(world.ours[key].fields))
    if what == "bbox":
        fields |= {"bbox": [number, 2, 9, 9], "segmentation": [], "area": 81}
    elif what == "category":
        fields["category"] = 101 + number % 2
    elif what == "iscrowd":
        fields["iscrowd"] = number % 2
    else:
        value = number if what == "speed" else ("much", "none")[number % 2]
        fields["attributes"] = {**fields.get("attributes", {}), what: value}
    world.ours[key] = Ours(2, fields)


def merged(base: dict, ours: dict, theirs: dict) -> dict | None:
    """The oracle's merge, aspect by aspect; None if there is a conflict."""
    result = copy.deepcopy(ours)
    for names in TOGETHER:
        then, mine, other = ({name: one.get(name) for name in names} for one in (base, ours, theirs))
        if tidy(other) == tidy(then) or tidy(other) == tidy(mine):
            continue
        if tidy(mine) != tidy(then):
            return None
        result |= other
    for name in {*(base.get("attributes") or {}), *(theirs.get("attributes") or {})}:
        then, mine, other = ((one.get("attributes") or {}).get(name) for one in (base, ours, theirs))
        if other in (then, mine):
            continue
        if mine != then:
            return None
        result.setdefault("attributes", {})[name] = other
    return {name: value for name, value in result.items() if value is not None}


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([what for what in DOINGS if what not in ("copy", "new")]), max_size=8),
    st.lists(st.tuples(st.sampled_from(list(RECORDS)), HERE, st.integers(0, 5)), max_size=6),
    st.data(),
)
def test_changes_of_both_sides_come_together_and_none_is_overwritten(doings, edits, data):
    world = World()
    annotator = Annotator(world, data.draw)
    for what in doings:
        annotator.do(what)
    for key, what, number in edits:
        change_here(world, key, what, number)
    clear = {one.key: one for one in world.compare().differences if not (one.conflict or one.problem)}
    for key, record in world.records.items():
        base = {name: value for name, value in record.items() if name != "frame"}
        mine = dict(world.ours[key].fields) if key in world.ours else None
        other = world.expected.get(key)
        result = None if mine is None else {**mine, **(clear[key].after if key in clear else {})}
        if key in clear and clear[key].kind is Kind.DELETED:
            result = None
        if mine is None:
            assert key not in clear  # what was deleted here does not come back by itself
        elif other is None:
            assert result == (None if tidy(mine) == tidy(base) else mine)
        else:
            theirs = {name: value for name, value in other.items() if name != "frame"}
            wanted = merged(base, mine, theirs)
            assert tidy(result) == tidy(mine if wanted is None else wanted), key
