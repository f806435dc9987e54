"""The drawn data set, held against pycocotools and against its own pixels."""

import json
import math
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from pycocotools import mask as masks
from pycocotools.coco import COCO

from cocohub.sample import SampleSummary, draw_sample, geometry
from cocohub.sample.palette import MOODS, PAINTS
from cocohub.sample.people import KEYPOINTS

SPLITS = ("train", "val")
ORIENTATION = 0x0112

Record = dict[str, Any]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return draw_sample(tmp_path_factory.mktemp("sample"))


def load(sample: SampleSummary, kind: str, split: str) -> Record:
    return json.loads((sample.folder / "annotations" / f"{kind}_{split}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def files(sample: SampleSummary) -> dict[str, Record]:
    return {split: load(sample, "instances", split) for split in SPLITS}


@pytest.fixture(scope="module")
def annotations(files: dict[str, Record]) -> list[tuple[Record, Record]]:
    """Every annotation with its image."""
    pairs = []
    for content in files.values():
        images = {image["id"]: image for image in content["images"]}
        pairs += [(record, images[record["image_id"]]) for record in content["annotations"]]
    return pairs


# pycocotools calls an API of NumPy that NumPy 2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def pixels_of(record: Record, image: Record, margin: int = 0) -> np.ndarray:
    """The mask as pycocotools sees it, height x width of 0 and 1; polygons may have a margin below and to the right."""
    shape, size = record["segmentation"], (image["height"] + margin, image["width"] + margin)
    if isinstance(shape, list):
        return masks.decode(masks.merge(masks.frPyObjects(shape, *size)))
    packed = shape if isinstance(shape["counts"], str) else masks.frPyObjects(shape, *size)
    return masks.decode(packed)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        draw_sample(tmp_path / name, images=5, seed=seed)
    first = contents(tmp_path / "a")
    assert len(first) == 5 + 4
    assert first == contents(tmp_path / "b")
    assert first["annotations/instances_train.json"] != contents(tmp_path / "c")["annotations/instances_train.json"]


def test_summary_counts_what_was_written(sample, files):
    assert sample.images == sum(len(content["images"]) for content in files.values()) == 72
    assert sample.annotations == sum(len(content["annotations"]) for content in files.values())
    assert {len(content["categories"]) for content in files.values()} == {sample.categories}
    assert len(files["val"]["images"]) == 18


def test_ids_are_unique_across_both_splits(files):
    for part in ("images", "annotations"):
        ids = [record["id"] for content in files.values() for record in content[part]]
        assert len(ids) == len(set(ids))


def test_every_picture_has_the_size_its_record_says(sample, files):
    for split, content in files.items():
        assert {path.name for path in (sample.folder / split).iterdir()} == {i["file_name"] for i in content["images"]}
        for image in content["images"]:
            with Image.open(sample.folder / split / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"])


def test_boxes_lie_inside_the_picture_and_around_the_shape(annotations):
    for record, image in annotations:
        x, y, width, height = record["bbox"]
        assert x >= 0
        assert y >= 0
        assert width > 0
        assert height > 0
        assert x + width <= image["width"]
        assert y + height <= image["height"]
        assert [round(value, 2) for value in record["bbox"]] == record["bbox"]
        if isinstance(record["segmentation"], list):
            flat = [value for polygon in record["segmentation"] for value in polygon]
            edges = min(flat[::2]), min(flat[1::2]), max(flat[::2]), max(flat[1::2])
            assert (x, y, x + width, y + height) == pytest.approx(edges, abs=0.011)


def test_polygons_have_12_to_60_points_with_two_decimals(annotations):
    for record, _ in annotations:
        for polygon in record["segmentation"] if isinstance(record["segmentation"], list) else ():
            assert 12 <= len(polygon) // 2 <= 60
            assert polygon == [round(value, 2) for value in polygon]


def test_area_of_polygons_is_their_own_and_agrees_with_pycocotools(annotations):
    biases = []
    for record, image in annotations:
        if isinstance(record["segmentation"], dict):
            continue
        rings = [list(zip(flat[::2], flat[1::2], strict=True)) for flat in record["segmentation"]]
        assert record["area"] == pytest.approx(sum(geometry.area(ring) for ring in rings), abs=0.01)
        edge = sum(math.dist(a, b) for ring in rings for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
        # pycocotools loses the last column of shapes that touch the right border, hence the margin.
        bias = (int(pixels_of(record, image, margin=4).sum()) - record["area"]) / edge
        # A straight edge between two pixel columns is rounded to one of them: at most half a pixel of its length.
        assert abs(bias) < 0.35
        biases.append(bias)
    assert abs(sum(biases) / len(biases)) < 0.01


def test_run_lengths_cover_the_picture_and_give_area_and_box(annotations):
    found = 0
    for record, image in annotations:
        shape = record["segmentation"]
        if isinstance(shape, list):
            continue
        found += 1
        assert shape["size"] == [image["height"], image["width"]]
        if isinstance(shape["counts"], list):
            assert sum(shape["counts"]) == image["height"] * image["width"]
        mask = pixels_of(record, image)
        packed = masks.encode(np.asfortranarray(mask))
        assert record["area"] == mask.sum() == masks.area(packed)
        assert record["bbox"] == masks.toBbox(packed).tolist()
    assert found


def test_pycocotools_loads_all_four_files(sample):
    for kind in ("instances", "person_keypoints"):
        for split in SPLITS:
            coco = COCO(str(sample.folder / "annotations" / f"{kind}_{split}.json"))
            for record in coco.loadAnns(coco.getAnnIds()):
                assert coco.annToMask(record).any()


def test_promised_variety_is_there(files, annotations):
    records = [record for record, _ in annotations]
    shapes = [record["segmentation"] for record in records]
    assert sum(isinstance(shape, list) and len(shape) > 1 for shape in shapes) >= 20
    assert sum(isinstance(shape, dict) and isinstance(shape["counts"], str) for shape in shapes) >= 3
    crowds = [record for record in records if record["iscrowd"]]
    assert len(crowds) == 4
    assert all(isinstance(record["segmentation"]["counts"], list) for record in crowds)
    used = {record["category_id"] for record in records}
    assert {c["name"] for c in files["train"]["categories"] if c["id"] not in used} == {"toaster"}
    filled = Counter(image["id"] for _, image in annotations)
    empty = {split: [i["id"] for i in c["images"] if i["id"] not in filled] for split, c in files.items()}
    assert {split: len(ids) for split, ids in empty.items()} == {"train": 1, "val": 1}
    assert 5 <= len(records) / 72 <= 12
    assert {record["attributes"]["occluded"] for record in records} == {True, False}
    assert any("annotator" in record for record in records)
    assert any("review" in record for record in records)


def test_pictures_vary_in_size_format_and_weather(sample, files):
    images = [(split, image) for split, content in files.items() for image in content["images"]]
    suffixes = Counter(Path(image["file_name"]).suffix for _, image in images)
    assert suffixes[".png"] >= 3
    assert suffixes[".webp"] == 1
    assert suffixes.most_common(1)[0][0] == ".jpg"
    sizes = {(image["width"], image["height"]) for _, image in images}
    assert {(640, 480), (800, 600), (1024, 768), (1280, 960), (480, 640)} <= sizes
    assert {image["weather"] for _, image in images} >= {"sunny", "rain", "snow", "fog"}
    assert {image["time_of_day"] for _, image in images} == {"morning", "day", "dusk", "night"}
    for split, image in images:
        with Image.open(sample.folder / split / image["file_name"]) as picture:
            expected = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[Path(image["file_name"]).suffix]
            assert picture.format == expected


def test_licenses_exist_and_korean_is_written_as_itself(sample, files):
    for split, content in files.items():
        known = {license_["id"] for license_ in content["licenses"]}
        assert {image["license"] for image in content["images"]} <= known
        text = (sample.folder / "annotations" / f"instances_{split}.json").read_text(encoding="utf-8")
        assert "서울숲" in text
        assert "가로등" in {category["name"] for category in content["categories"]}


def test_keypoint_files_hold_the_same_persons(sample, files):
    for split, instances in files.items():
        keypoints = load(sample, "person_keypoints", split)
        for part in ("info", "licenses", "images"):
            assert keypoints[part] == instances[part]
        (person,) = keypoints["categories"]
        assert person["keypoints"] == list(KEYPOINTS)
        assert len(person["keypoints"]) == 17
        assert {joint for bone in person["skeleton"] for joint in bone} <= set(range(1, 18))
        plain = [{k: v for k, v in r.items() if "keypoints" not in k} for r in keypoints["annotations"]]
        assert plain == [record for record in instances["annotations"] if record["category_id"] == person["id"]]


def test_keypoints_are_inside_and_counted_and_visible_ones_lie_on_the_person(sample, files):
    flags: Counter[int] = Counter()
    beside = 0
    for split, instances in files.items():
        images = {image["id"]: image for image in instances["images"]}
        for record in load(sample, "person_keypoints", split)["annotations"]:
            image = images[record["image_id"]]
            mask = np.pad(pixels_of(record, image), 2)
            points = [record["keypoints"][i : i + 3] for i in range(0, 51, 3)]
            assert len(points) == 17
            assert record["num_keypoints"] == sum(v > 0 for _, _, v in points)
            assert not (record["iscrowd"] and record["num_keypoints"])
            for x, y, v in points:
                flags[v] += 1
                assert v or (x, y) == (0, 0)
                assert 0 <= x < image["width"]
                assert 0 <= y < image["height"]
                beside += v == 2 and not mask[y : y + 5, x : x + 5].any()
    # A hand may show beside a lamp post in a part too small for a polygon.
    assert beside <= flags[2] / 500
    assert min(flags[0], flags[1], flags[2]) > 50


def turned(sample: SampleSummary, files: dict[str, Record]) -> list[tuple[int, str, Record]]:
    found = []
    for split, content in files.items():
        for image in content["images"]:
            with Image.open(sample.folder / split / image["file_name"]) as picture:
                if orientation := picture.getexif().get(ORIENTATION):
                    found.append((orientation, split, image))
    return found


def test_turned_pictures_are_annotated_as_stored(sample, files):
    shots = turned(sample, files)
    assert sorted(orientation for orientation, _, _ in shots) == [6, 8]
    for orientation, split, image in shots:
        with Image.open(sample.folder / split / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (480, 640)
            assert ImageOps.exif_transpose(picture).size == (640, 480)
            pixels = picture.convert("RGB")
        persons = [r for r in load(sample, "person_keypoints", split)["annotations"] if r["image_id"] == image["id"]]
        labelled = [dict(zip(KEYPOINTS, split_points(record), strict=True)) for record in persons]
        shirts = 0
        for record, points in zip(persons, labelled, strict=True):
            corners = [points[name] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
            if not all(v for _, _, v in corners):
                continue
            (ax, _, _), (bx, _, _), (cx, _, _), (dx, _, _) = corners
            # Whoever stands upright lies on a side in the file, head to the left (6) or to the right (8).
            assert (ax + bx < cx + dx) == (orientation == 6)
            at = sum(x for x, _, _ in corners) // 4, sum(y for _, y, _ in corners) // 4
            shirts += shirt_matches(pixels.getpixel(at), record["attributes"]["color"], image)
        assert shirts >= 1


def split_points(record: Record) -> list[list[int]]:
    return [record["keypoints"][i : i + 3] for i in range(0, 51, 3)]


def shirt_matches(pixel: tuple[int, ...], name: str, image: Record) -> bool:
    """Whether a pixel has the named colour in one of the moods the image may have."""
    moods = [m for m in MOODS.values() if (m.weather, m.time_of_day) == (image["weather"], image["time_of_day"])]
    return min(math.dist(pixel, mood.tint(PAINTS[name])) for mood in moods) < 40


def test_compressed_run_lengths_equal_those_of_pycocotools():
    rng = Random(5)
    for wide, high in ((1, 1), (7, 5), (64, 48), (300, 200)):
        mask = Image.new("L", (wide, high))
        brush = ImageDraw.Draw(mask)
        for _ in range(4):
            x, y = rng.randrange(wide), rng.randrange(high)
            brush.ellipse([x - wide // 4, y - high // 4, x + wide // 4, y + high // 4], fill=rng.choice((0, 255)))
        expected = masks.encode(np.asfortranarray((np.asarray(mask) > 0).astype(np.uint8)))
        runs = geometry.run_lengths(mask)
        assert sum(runs) == wide * high
        assert geometry.compressed(runs) == expected["counts"].decode()


def test_trace_finds_every_part_and_ignores_holes():
    mask = Image.new("L", (60, 40))
    brush = ImageDraw.Draw(mask)
    brush.rectangle([2, 3, 31, 32], fill=255)
    brush.rectangle([10, 10, 19, 19], fill=0)
    brush.rectangle([40, 0, 59, 9], fill=255)
    outlines = geometry.trace(mask)
    # Edge middles cut a corner of an eighth of a pixel off each of the four corners.
    assert [geometry.area(outline) for outline in outlines] == [30 * 30 - 0.5, 20 * 10 - 0.5]
    assert {max(x for x, _ in outline) for outline in outlines} == {32, 60}
