"""A small project as plain Python records: what the oracle counts, and what the database is filled with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from annotations.models import Annotation, Category
from assets.models import ImageAsset, Split
from projects.models import Project

NAMES = ("person", "car", "car", "traffic light", "차", 'say "hi"', "(odd) *?")  # two ids for one name
ABOVE = ("person", "vehicle", "vehicle", "outdoor", "", "", "outdoor")
SPLITS = ("train", "val", "")
VALUES: tuple[Any, ...] = (
    True, False, None, 3, "3", "3.0", 2.5, "2.50", "red", "OR", "a b", "", ["red", 3, 3], {"deep": 1}, [], -4, "1e3",
    "-0", "null", [[1]], 10**50,
)  # fmt: skip
BOXES: tuple[Any, ...] = (
    None, [], [1, 2], ["a", None, 3, 4], [0, 0, 0, 0], [10, 10, 5, 0], [-20, 5, 30, 10.25], [600, 440, 80, 80],
    [1e300, 1, 1, 1], [3, 4, 32, 32], [0.1, 0.2, 0.3, 0.4], {"x": 1}, [5, 5, 64, 16], [5, 5, 16, 64], [1, 1, 1.5, 1],
)  # fmt: skip


@dataclass
class Thing:
    """One annotation."""

    category: int | None = 0
    area: Decimal | None = None
    bbox: Any = None
    source: str = ""
    machine: bool = False
    score: Decimal | None = None
    keypoints: Any = None
    attributes: Any = None
    issues: list[str] | None = None
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Picture:
    """One image; `key` is its primary key once it is stored."""

    split: str = "train"
    width: int | None = 640
    height: int | None = 480
    tags: list[str] = field(default_factory=list)
    status: str = "ready"
    issues: list[str] = field(default_factory=list)
    checksum: str = ""
    format: str = ""
    size: int | None = None
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    updated: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    things: list[Thing] = field(default_factory=list)
    key: int = 0


def at_random(random: Random, number: int = 40) -> list[Picture]:
    """Pictures with whatever may occur, odd values among it."""
    return [_picture(random) for _ in range(number)]


def _picture(random: Random) -> Picture:
    start = datetime(2026, 1, 30, 22, tzinfo=UTC)
    return Picture(
        split=random.choice(SPLITS),
        width=random.choice([None, 0, 1, 127, 128, 640, 641, 1920, 9000]),
        height=random.choice([None, 0, 100, 256, 480, 640, 7680]),
        tags=random.sample(["night", "rain", "OR", "a b", "-x", "*", "width>3"], random.randrange(4)),
        status=random.choice(ImageAsset.Status.values),
        issues=random.sample(["file_broken", "size_differs"], random.randrange(3)),
        checksum=random.choice(["", "aa", "bb", "cc", "dd", "ee"]),
        format=random.choice(["", "JPEG", "png", "PNG"]),
        size=random.choice([None, 0, 4095, 4096, 5000, 2**28, 2**40]),
        created=start + timedelta(hours=random.randrange(72)),
        updated=start + timedelta(hours=random.randrange(72)),
        things=[_thing(random, start) for _ in range(random.choice([0, 0, 1, 1, 2, 5, 9]))],
    )


def _thing(random: Random, start: datetime) -> Thing:
    return Thing(
        category=random.choice([None, *range(len(NAMES) - 1)]),  # the last is never used
        area=random.choice([None, *map(Decimal, ("0", "0.5", "1024", "1023.999999999999999999999", "9216", "1e9"))]),
        bbox=random.choice(BOXES),
        source=random.choice(["", "cvat", "model v2"]),
        machine=random.random() < 0.3,
        score=random.choice([None, *map(Decimal, ("0", "0.05", "0.5", "0.99", "1", "1.5", "-0.1"))]),
        keypoints=random.choice([None, [], [1, 1, 2, 0, 0, 0], [1, 1, 1, 2, 2, 2, 3, 3, None], "odd", [1, 2]]),
        attributes=_attributes(random),
        issues=random.choice([None, [], ["bbox_outside"], ["bbox_outside", "area_differs"]]),
        created=start + timedelta(hours=random.randrange(72)),
    )


def _attributes(random: Random) -> Any:
    if random.random() < 0.4:
        return random.choice([None, [], "text", {}, 3])
    return {key: random.choice(VALUES) for key in random.sample(["color", "a b", "", "x.y"], random.randrange(1, 4))}


def store(project: Project, pictures: list[Picture]) -> None:
    """Fill the project's tables; sets the keys of the pictures."""
    splits = {name: Split.objects.create(project=project, name=name) for name in SPLITS}
    categories = [
        Category.objects.create(
            project=project,
            coco_id=number,
            name=name,
            supercategory=ABOVE[number],
            meta={"keypoints": ["nose", "tail"]} if number == 0 else {},
        )
        for number, name in enumerate(NAMES)
    ]
    images = ImageAsset.objects.bulk_create(
        ImageAsset(
            project=project,
            split=splits[each.split],
            coco_id=number,
            file_name=f"{number}.jpg",
            width=each.width,
            height=each.height,
            tags=each.tags,
            status=each.status,
            issues=each.issues,
            annotation_count=len(each.things),
            checksum=each.checksum,
            format=each.format,
            size_bytes=each.size,
            created_at=each.created,
            updated_at=each.updated,
        )
        for number, each in enumerate(pictures)
    )
    things = []
    for picture, image in zip(pictures, images, strict=True):
        picture.key = image.pk
        for each in picture.things:
            things.append(
                Annotation(
                    project=project,
                    split=image.split,
                    image=image,
                    coco_id=len(things),
                    category=None if each.category is None else categories[each.category],
                    area=each.area,
                    bbox=each.bbox,
                    source=each.source,
                    is_machine=each.machine,
                    score=each.score,
                    keypoints=each.keypoints,
                    attributes=each.attributes,
                    issues=each.issues,
                    created_at=each.created,
                    updated_at=each.created,
                )
            )
    Annotation.objects.bulk_create(things)
    project.touch()
