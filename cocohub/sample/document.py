"""COCO records of the drawn pictures: images, annotations, categories and the two kinds of file."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image

from cocohub.sample import geometry
from cocohub.sample.canvas import Point
from cocohub.sample.cast import LAMP_KIND
from cocohub.sample.people import KEYPOINTS, Keypoint
from cocohub.sample.plan import Shot
from cocohub.sample.stage import Stage, Thing

Record = dict[str, object]

SMALLEST_THING = 24.0
"""Pixels of a thing that can still be seen; less is not annotated."""
SMALLEST_PART = 8.0
LEAST_PART = 0.01
"""Of the largest part; slivers beside railings and masts are nobody's annotation."""
LEAST_SHARE = 0.08
"""Of a thing's own size that must be visible."""
OCCLUDED_BELOW = 0.97
HOLLOW_FROM = 0.05
"""Share of holes from which a polygon would be wrong and the mask is stored instead."""
SMALLEST_SKELETON = 30.0
"""Length in pixels of a person's box from which keypoints are labelled."""

SKELETON = [
    [16, 14],
    [14, 12],
    [17, 15],
    [15, 13],
    [12, 13],
    [6, 12],
    [7, 13],
    [6, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [9, 11],
    [2, 3],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [5, 7],
]

# Ids and names of COCO with its gaps; the last one is the project's own. Nothing in the pictures is a toaster.
CATEGORIES = (
    (1, "person", "person", "사람"),
    (2, "bicycle", "vehicle", "자전거"),
    (3, "car", "vehicle", "자동차"),
    (6, "bus", "vehicle", "버스"),
    (8, "truck", "vehicle", "트럭"),
    (9, "boat", "vehicle", "배"),
    (10, "traffic light", "outdoor", "신호등"),
    (15, "bench", "outdoor", "벤치"),
    (16, "bird", "animal", "새"),
    (17, "cat", "animal", "고양이"),
    (18, "dog", "animal", "개"),
    (20, "sheep", "animal", "양"),
    (27, "backpack", "accessory", "배낭"),
    (28, "umbrella", "accessory", "우산"),
    (37, "sports ball", "sports", "공"),
    (38, "kite", "sports", "연"),
    (62, "chair", "furniture", "의자"),
    (63, "couch", "furniture", "소파"),
    (64, "potted plant", "furniture", "화분"),
    (72, "tv", "electronic", "텔레비전"),
    (80, "toaster", "appliance", "토스터"),
    (84, "book", "indoor", "책"),
    (85, "clock", "indoor", "시계"),
    (101, LAMP_KIND, "outdoor", "가로등"),
)
CATEGORY_IDS = {name: number for number, name, _, _ in CATEGORIES}

INFO: Record = {
    "description": "CocoHub sample: drawn scenes of a small town, 그림으로 그린 작은 도시",
    "url": "https://cocohub.example.org/sample",
    "version": "1.0",
    "year": 2025,
    "contributor": "CocoHub 데모 팀",
    "date_created": "2025/03/14",
}
LICENSES: list[Record] = [
    {"id": 1, "name": "CC0 1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"},
    {"id": 4, "name": "Attribution License", "url": "https://creativecommons.org/licenses/by/4.0/"},
    {"id": 5, "name": "Attribution-ShareAlike License", "url": "https://creativecommons.org/licenses/by-sa/4.0/"},
]

PLACES = {
    "street": ("서울 종로", "부산 남포동", "Lisboa, Rua Augusta", "Gent, Korenmarkt", "전주 한옥마을"),
    "park": ("서울숲", "올림픽공원", "Amsterdam, Vondelpark", "대구 두류공원"),
    "harbour": ("속초항", "부산 영도", "Bergen, Bryggen", "여수 밤바다"),
    "living room": ("연희동 집", "Malmö, Möllevången", "제주 게스트하우스"),
    "field": ("대관령 양떼목장", "제주 성산", "Appenzell", "평창 하늘목장"),
}
PHOTOGRAPHERS = ("김서연", "이도윤", "박하준", "Maria Olsen", "João Pires")
ANNOTATORS = ("kim", "lee", "olsen", "pires")
_MONTHS = {"spring": (4, 5), "summer": (6, 8), "autumn": (10, 11), "winter": (1, 2)}
_HOURS = {"morning": (7, 9), "day": (10, 15), "dusk": (17, 19), "night": (21, 23)}


@dataclass(frozen=True)
class Mask:
    """Supersampled "L" mask cropped to where a thing is on top (255); place and size are in marks."""

    crop: Image.Image
    left: int
    top: int
    visible: int


@dataclass
class Picture:
    """The stored pixels of a stage: turned if the shot asks for it, with marks and keypoints turned alike."""

    pixels: Image.Image
    marks: Image.Image
    scale: int
    width: int
    height: int
    things: list[Thing]

    @classmethod
    def of(cls, stage: Stage, shot: Shot) -> Picture:
        pixels, marks, scale = stage.canvas.finished(), stage.canvas.marks, stage.canvas.scale
        width, height = stage.width, stage.height
        if shot.orientation == 6:  # stored a quarter anticlockwise, so that a quarter clockwise is upright
            turn = Image.Transpose.ROTATE_90
        elif shot.orientation == 8:
            turn = Image.Transpose.ROTATE_270
        else:
            return cls(pixels, marks, scale, width, height, stage.things)
        for thing in stage.things:
            thing.box = (0, 0, *marks.size[::-1])
            thing.keypoints = [_turned(point, shot.orientation, width, height) for point in thing.keypoints]
        return cls(pixels.transpose(turn), marks.transpose(turn), scale, height, width, stage.things)

    def mask(self, thing: Thing) -> Mask:
        table = [255 if value == thing.number else 0 for value in range(256)]
        rough = self.marks.crop(thing.box).point(table)
        box = rough.getbbox() or (0, 0, 1, 1)
        crop = rough.crop(box)
        return Mask(crop, thing.box[0] + box[0], thing.box[1] + box[1], crop.histogram()[255])


def _turned(point: Keypoint, orientation: int, width: int, height: int) -> Keypoint:
    x, y = (point.y, width - point.x) if orientation == 6 else (height - point.y, point.x)
    return Keypoint(x, y, point.hidden, point.known)


def image_record(shot: Shot, picture: Picture, number: int, rng: Random) -> Record:
    """The entry of `images`; `number` is the image's id."""
    name = f"{number:012d}{shot.suffix}"
    month, hour = rng.randint(*_MONTHS[shot.mood.season]), rng.randint(*_HOURS[shot.mood.time_of_day])
    day, minute, second = rng.randint(1, 28), rng.randint(0, 59), rng.randint(0, 59)
    return {
        "license": rng.choice(LICENSES)["id"],
        "file_name": name,
        "coco_url": f"https://images.example.org/{shot.split}/{name}",
        "height": picture.height,
        "width": picture.width,
        "date_captured": f"2024-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}",
        "flickr_url": f"https://photos.example.org/{rng.randint(10**9, 10**10)}_{rng.getrandbits(40):010x}_z.jpg",
        "id": number,
        "weather": shot.mood.weather,
        "time_of_day": shot.mood.time_of_day,
        "scene": shot.scene,
        "camera": f"cam-{rng.randint(1, 6):02d}",
        "location": rng.choice(PLACES[shot.scene]),
        "photographer": rng.choice(PHOTOGRAPHERS),
    }


def annotation_record(thing: Thing, picture: Picture, image: int, number: int, rng: Random) -> Record | None:
    """The entry of `annotations`, persons with keypoints; None if too little of the thing can be seen."""
    pixel = picture.scale**2
    mask = picture.mask(thing) if thing.whole >= SMALLEST_THING * pixel else None
    if mask is None or mask.visible < max(SMALLEST_THING * pixel, LEAST_SHARE * thing.whole):
        return None
    shape = _mask_shape(mask, picture, packed=False) if thing.crowd else _shape(mask, picture)
    if shape is None:
        return None
    category = CATEGORY_IDS[thing.category]
    record: Record = {
        **shape,
        "iscrowd": int(thing.crowd),
        "image_id": image,
        "category_id": category,
        # COCO numbers crowds apart: 9, the category in three digits, the image in eight.
        "id": int(f"9{category:03d}{image:08d}") if thing.crowd else number,
        "attributes": {"occluded": mask.visible < OCCLUDED_BELOW * thing.whole, **thing.attributes},
    }
    if thing.category == "person":
        record |= _keypoints(thing, picture, shape["bbox"])
    if rng.random() < 0.3:
        record["annotator"] = rng.choice(ANNOTATORS)
        if rng.random() < 0.4:
            record["review"] = {"round": rng.randint(1, 3), "accepted": rng.random() < 0.85}
    return record


def _shape(mask: Mask, picture: Picture) -> Record | None:
    """Segmentation, area and bbox of a visible mask: polygons, or run lengths where polygons cannot tell the holes."""
    scale = picture.scale
    parts = geometry.trace(mask.crop, smallest=4 * scale)
    if not parts:
        return None
    smallest = max(SMALLEST_PART * scale**2, LEAST_PART * geometry.area(parts[0]))
    outlines = [part for part in parts if geometry.area(part) >= smallest] or parts[:1]
    covered = sum(geometry.area(outline) for outline in outlines)
    if covered * (1 - HOLLOW_FROM) > mask.visible:
        return _mask_shape(mask, picture, packed=True)
    polygons: list[list[Point]] = []
    for outline in outlines:
        points = geometry.fitted(
            [((mask.left + x) / scale, (mask.top + y) / scale) for x, y in outline], geometry.TOLERANCE
        )
        polygons.append([(round(x, 2), round(y, 2)) for x, y in points])
    return {
        "segmentation": [[value for point in polygon for value in point] for polygon in polygons],
        "area": round(sum(geometry.area(polygon) for polygon in polygons), 4),
        "bbox": geometry.box([point for polygon in polygons for point in polygon], picture.width, picture.height),
    }


def _mask_shape(mask: Mask, picture: Picture, *, packed: bool) -> Record:
    """The mask at the picture's own size as COCO run lengths; a pixel belongs if at least half of it does."""
    full = Image.new("L", picture.marks.size)
    full.paste(mask.crop, (mask.left, mask.top))
    small = full.reduce(picture.scale).point([255 if value > 127 else 0 for value in range(256)])
    runs = geometry.run_lengths(small)
    left, top, right, bottom = small.getbbox() or (0, 0, 0, 0)
    return {
        "segmentation": {
            "size": [picture.height, picture.width],
            "counts": geometry.compressed(runs) if packed else runs,
        },
        "area": sum(runs[1::2]),
        "bbox": [left, top, right - left, bottom - top],
    }


def _keypoints(thing: Thing, picture: Picture, bbox: object) -> Record:
    """51 numbers: x, y and 0 (not labelled), 1 (labelled but hidden) or 2 (visible) for each keypoint."""
    values: list[int] = []
    long = max(bbox[2:]) if isinstance(bbox, list) else 0
    for point in thing.keypoints if long >= SMALLEST_SKELETON else ():
        inside = 0 <= point.x < picture.width and 0 <= point.y < picture.height
        if not (point.known and inside):
            values += [0, 0, 0]
            continue
        at = int(point.x * picture.scale), int(point.y * picture.scale)
        seen = picture.marks.getpixel(at) == thing.number and not point.hidden
        values += [int(point.x), int(point.y), 2 if seen else 1]
    values = values or [0] * 3 * len(KEYPOINTS)
    return {"keypoints": values, "num_keypoints": sum(flag > 0 for flag in values[2::3])}


def category_records() -> list[Record]:
    return [
        {"supercategory": parent, "id": number, "name": name, "name_ko": korean}
        for number, name, parent, korean in CATEGORIES
    ]


def instances_file(images: list[Record], annotations: list[Record]) -> Record:
    """The object detection file: everything but keypoints."""
    plain = [{k: v for k, v in record.items() if k not in ("keypoints", "num_keypoints")} for record in annotations]
    return _file(images, plain, category_records())


def keypoints_file(images: list[Record], annotations: list[Record]) -> Record:
    """The person keypoints file: the same images and the same persons under the same ids."""
    person = {**category_records()[0], "keypoints": list(KEYPOINTS), "skeleton": SKELETON}
    return _file(images, [record for record in annotations if "keypoints" in record], [person])


def _file(images: list[Record], annotations: list[Record], categories: list[Record]) -> Record:
    return {"info": INFO, "licenses": LICENSES, "images": images, "annotations": annotations, "categories": categories}
