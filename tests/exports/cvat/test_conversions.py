"""COCO to CVAT and back: nothing that can be kept is lost."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as reference

from annotations.coco import rle
from exports.cvat import converting, guards, labelling, masks, naming
from exports.cvat.converting import Target, Unconvertible, from_shapes, to_shapes
from exports.cvat.records import Attribute, Frame, Label
from exports.cvat.shapes import Shape

IDS = Attribute(11, "coco_id", "text", False, "", ("",))
CROWD = Attribute(12, "is_crowd", "checkbox", False, "false", ("",))
CAR = Label(1, "car", "any", "", (IDS, CROWD))
POINTS = tuple(Label(30 + number, name, "points", "") for number, name in enumerate(["nose", "left", "right"]))
SKELETON = Label(2, "person_keypoints", "skeleton", "", (Attribute(21, "coco_id", "text", False, "", ("",)),
                 Attribute(22, "is_crowd", "checkbox", False, "false", ("",))), POINTS)  # fmt: skip
TARGET = Target(CAR, SKELETON)
LABELS = {1: CAR, 2: SKELETON}
FRAME = Frame("1.jpg", 100, 80)


def shapes_of(annotation: dict, frame: Frame = FRAME) -> list[Shape]:
    return to_shapes(annotation, TARGET, 0, frame, coco_id="7", group=3)


def flaws(shapes: list[Shape], frame: Frame = FRAME) -> list:
    return [flaw for shape in shapes for flaw in guards.flaws_of(shape, LABELS, [frame])]


# --- Masks ------------------------------------------------------------------------------------------------------------


@st.composite
def bitmaps(draw) -> np.ndarray:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return np.array(bits, dtype=np.uint8).reshape(height, width)


def runs_of(bitmap: np.ndarray) -> list[int]:
    encoded = reference.encode(np.asfortranarray(bitmap))
    return rle.decode_counts(encoded["counts"].decode())


@given(bitmaps())
def test_rle_and_mask_are_the_same_pixels(bitmap):
    height, width = bitmap.shape
    runs = runs_of(bitmap)
    if not bitmap.any():
        with pytest.raises(ValueError, match="no pixels"):
            masks.from_rle(runs, height, width)
        return
    mask = masks.from_rle(runs, height, width)
    left, top, right, bottom = mask[-4:]
    decoded = np.zeros((bottom - top + 1) * (right - left + 1), dtype=np.uint8)
    start = 0
    for index, count in enumerate(mask[:-4]):
        decoded[start : start + count] = index % 2
        start += count
    box = decoded.reshape(bottom - top + 1, right - left + 1)
    assert (box == bitmap[top : bottom + 1, left : right + 1]).all()
    assert box.any(axis=0)[[0, -1]].all()
    assert box.any(axis=1)[[0, -1]].all()
    assert masks.area(mask) == bitmap.sum()
    assert masks.flaw(mask) is None
    assert masks.to_rle(mask, height, width) == runs
    assert masks.to_rle([float(value) for value in mask], height, width) == runs
    assert masks.from_rle(rle.encode_counts(runs), height, width) == mask


@given(bitmaps(), st.integers(0, 3), st.integers(0, 3))
def test_mask_with_room_around_and_over_the_edge_is_read(bitmap, across, down):
    """An annotator's box need not be tight, and a brush goes over the edge."""
    height, width = bitmap.shape
    wide = np.zeros((height + 2 * down, width + 2 * across), dtype=np.uint8)
    wide[down : down + height, across : across + width] = bitmap
    flat = wide.flatten().tolist()
    runs, value, count = [], 0, 0
    for bit in flat:
        if bit != value:
            runs.append(count)
            value, count = bit, 0
        count += 1
    points = [*runs, count, -across, -down, width + across - 1, height + down - 1]
    assert masks.to_rle(points, height, width) == runs_of(bitmap)


def test_large_mask_is_quick():
    height, width = 4000, 6000
    y, x = np.ogrid[:height, :width]
    bitmap = ((x - 3000) ** 2 + (y - 2000) ** 2 < 1900**2).astype(np.uint8)
    runs = runs_of(bitmap)
    begin = time.perf_counter()
    mask = masks.from_rle(runs, height, width)
    assert masks.to_rle(mask, height, width) == runs
    assert time.perf_counter() - begin < 10  # well below a second on a free machine


@pytest.mark.parametrize("counts", [[1, 2], [-1, 10], "bad string \x7f", []])
def test_rle_that_does_not_cover_the_image_is_refused(counts):
    with pytest.raises(ValueError, match="RLE"):
        masks.from_rle(counts, 3, 3)


def test_crowd_becomes_a_mask_and_comes_back():
    runs = [800, 40, 40, 40, 100 * 80 - 920]
    annotation = {"segmentation": {"size": [80, 100], "counts": runs}, "iscrowd": 1, "bbox": [10, 0, 2, 40]}
    (shape,) = shapes_of(annotation)
    assert (shape.type, shape.group, shape.value(11), shape.value(12)) == ("mask", 0, "7", "true")
    assert flaws([shape]) == []
    drawn = from_shapes([shape], LABELS, FRAME)
    assert drawn.segmentation == annotation["segmentation"]
    assert drawn.bbox == (10, 0, 2, 40)
    assert drawn.is_crowd
    assert converting.area_of(drawn.segmentation, drawn.bbox) == 80


def test_rle_of_another_size_is_not_sent():
    with pytest.raises(Unconvertible, match="its image 100 x 80"):
        shapes_of({"segmentation": {"size": [100, 80], "counts": [0, 8000]}})


@given(bitmaps(), st.data())
def test_two_masks_of_one_annotation_become_their_union(bitmap, data):
    height, width = bitmap.shape
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    other = np.array(bits, dtype=np.uint8).reshape(height, width)
    if not bitmap.any() or not other.any():
        return
    frame = Frame("1.jpg", width, height)
    shapes = [Shape("mask", 0, 1, tuple(masks.from_rle(runs_of(one), height, width))) for one in (bitmap, other)]
    drawn = from_shapes(shapes, LABELS, frame)
    assert drawn.segmentation["counts"] == runs_of(bitmap | other)


# --- Boxes and polygons -----------------------------------------------------------------------------------------------

numbers = st.floats(0, 40, allow_nan=False).map(lambda value: round(value, 2))


@given(numbers, numbers, st.floats(0.01, 40).map(lambda v: round(v, 2)), st.floats(0.01, 40).map(lambda v: round(v, 2)))
def test_box_comes_back_as_it_was(x, y, width, height):
    if not width or not height:
        return
    (shape,) = shapes_of({"bbox": [x, y, width, height]})
    assert shape.type == "rectangle"
    drawn = from_shapes([shape], LABELS, FRAME)
    assert drawn.bbox == (x, y, width, height)
    assert drawn.segmentation is None


@given(st.lists(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6), min_size=1, max_size=4))
def test_parts_of_a_polygon_come_back_as_they_were(parts):
    segmentation = [[value for point in part for value in point] for part in parts]
    shapes = shapes_of({"segmentation": segmentation, "bbox": [0, 0, 1, 1]})
    assert [shape.type for shape in shapes] == ["polygon"] * len(parts)
    assert {shape.group for shape in shapes} == {3 if len(parts) > 1 else 0}
    assert {shape.value(11) for shape in shapes} == {"7"}
    assert from_shapes(shapes, LABELS, FRAME).segmentation == segmentation


def test_turned_box_becomes_a_polygon():
    box = Shape("rectangle", 0, 1, (10, 20, 30, 40), rotation=90)
    drawn = from_shapes([box], LABELS, FRAME)
    assert drawn.segmentation == [[30, 20, 30, 40, 10, 40, 10, 20]]
    assert drawn.bbox == (10, 20, 20, 20)
    assert converting.area_of(drawn.segmentation, drawn.bbox) == 400
    tilted = from_shapes([Shape("rectangle", 0, 1, (10, 20, 30, 40), rotation=30)], LABELS, FRAME)
    assert converting.area_of(tilted.segmentation, tilted.bbox) == pytest.approx(400, abs=0.01)


@pytest.mark.parametrize("kind", ["polyline", "points", "ellipse", "cuboid"])
def test_shape_that_coco_has_no_words_for_is_said_so(kind):
    with pytest.raises(Unconvertible, match=kind):
        from_shapes([Shape(kind, 0, 1, (1, 2, 3, 4))], LABELS, FRAME)


def test_mixed_drawings_of_one_annotation_are_said_so():
    with pytest.raises(Unconvertible, match="at once"):
        from_shapes([Shape("rectangle", 0, 1, (1, 2, 3, 4)), Shape("polygon", 0, 1, (1, 2, 3, 4, 5, 9))], LABELS, FRAME)


def test_figure_of_eight_is_sent_and_a_line_is_not():
    eight = shapes_of({"segmentation": [[0, 0, 10, 10, 10, 0, 0, 10]]})
    assert flaws(eight) == []
    assert flaws(shapes_of({"segmentation": [[0, 0, 5, 5, 10, 10]]}))


# --- Keypoints --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(numbers, numbers, st.sampled_from([0, 1, 2])), min_size=3, max_size=3))
def test_keypoints_come_back_as_they_were(triples):
    triples = [(0, 0, 0) if v == 0 else (x, y, v) for x, y, v in triples]
    keypoints = tuple(value for triple in triples for value in triple)
    outline, skeleton = shapes_of({"bbox": [1, 2, 3, 4], "keypoints": list(keypoints)})
    assert (outline.group, skeleton.group, skeleton.label_id) == (3, 3, 2)
    assert flaws([outline, skeleton]) == []
    drawn = from_shapes([skeleton, outline], LABELS, FRAME)
    assert drawn.keypoints == keypoints
    assert drawn.num_keypoints == sum(1 for triple in triples if triple[2])
    assert drawn.bbox == (1, 2, 3, 4)


def test_v_is_outside_occluded_visible():
    _, skeleton = shapes_of({"bbox": [1, 2, 3, 4], "keypoints": [0, 0, 0, 5, 6, 1, 7, 8, 2]})
    flags = [(element.outside, element.occluded) for element in skeleton.elements]
    assert flags == [(True, False), (False, True), (False, False)]
    assert [element.label_id for element in skeleton.elements] == [30, 31, 32]


def test_keypoints_that_do_not_fit_the_skeleton_are_not_sent():
    for keypoints in ([1, 2, 2], [1, 2, 3] * 3):
        with pytest.raises(Unconvertible):
            shapes_of({"bbox": [1, 2, 3, 4], "keypoints": keypoints})


def test_skeleton_alone_has_the_box_of_its_points():
    shape = Shape("skeleton", 0, 2, elements=converting.to_elements([1, 2, 2, 5, 9, 1, 0, 0, 0], SKELETON, 0))
    assert from_shapes([shape], LABELS, FRAME).bbox == (1, 2, 4, 7)


# --- Names ------------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(st.lists(TEXTS, max_size=12))
def test_label_names_are_such_that_cvat_keeps_them(names):
    mapped = naming.label_names(names)
    given_names = list(mapped.values())
    assert set(mapped) == set(names)
    assert len(set(given_names)) == len(given_names)
    assert all(name == name.strip() and 0 < len(name) <= 64 for name in given_names)


@given(st.lists(TEXTS, max_size=10).map(lambda names: {str(number): name for number, name in enumerate(names)}))
def test_paths_in_the_zip_are_such_that_cvat_keeps_them(files):
    mapped = naming.zip_names(files)
    paths = list(mapped.values())
    assert len(set(paths)) == len(paths) == len(files)
    for path in paths:
        parts = path.split("/")
        assert not {"", ".", "..", "__MACOSX"} & set(parts)
        assert "related_images" not in parts[:-1]
        assert "\\" not in path
        assert path.rpartition(".")[2].lower() in {"jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp"}
        assert all(len(part.encode()) <= 255 for part in parts)
        assert not any(path.startswith(f"{other}/") for other in paths)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("train2017/000000000139.jpg", "train2017/000000000139.jpg"),
        ("한글/사진.JPG", "한글/사진.JPG"),
        ("../../etc/passwd", "etc/passwd.jpg"),
        ("/abs/x.png", "abs/x.png"),
        ("a\\b\\c.jpg", "a/b/c.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("__MACOSX/1.jpg", "__MACOSX_/1.jpg"),
        ("x/related_images/1_jpg/2.jpg", "x/related_images_/1_jpg/2.jpg"),
        ("scan.heic", "scan.heic.jpg"),
        ("", "image.jpg"),
    ],
)
def test_file_names_are_cleaned(name, path):
    assert naming.zip_names({"1": name}) == {"1": path}


def test_attribute_names_that_exports_use_are_moved_aside():
    assert naming.attribute_names(["score", "colour", "Track_ID"]) == {
        "score": "score_",
        "colour": "colour",
        "Track_ID": "Track_ID_",
    }


def test_skeletons_can_be_drawn():
    made = labelling.skeleton("person_keypoints", ["nose", "l<eye>", "nose"], [(1, 2), (2, 9)])
    assert [sublabel["name"] for sublabel in made["sublabels"]] == ["nose 1", "l<eye>", "nose 3"]
    assert made["svg"].count('data-type="edge"') == 1
    assert 'data-label-name="l&lt;eye&gt;"' in made["svg"]


@pytest.mark.parametrize(
    ("kind", "default", "values"),
    [
        ("select", "c", ["a", "b"]),
        ("select", "a", ["a\nb", "a"]),
        ("text", "x" * 129, []),
        ("select", "a", ["a", " b"]),
    ],
)
def test_attribute_that_cvat_would_tear_apart_is_not_made(kind, default, values):
    with pytest.raises(ValueError, match="attribute"):
        labelling.attribute("t", kind, default, values)


def test_colour_that_is_none_is_left_out():
    assert labelling.label("a", color="#12ab9F")["color"] == "#12ab9F"
    assert "color" not in labelling.label("a", color="red")
