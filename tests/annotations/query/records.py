"""A small data set as plain Python records: what the oracle judges, and what the database is filled with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.models import User
from annotations.models import Annotation, Category
from assets.models import ImageAsset, Split
from projects.models import Project

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
SPLITS = ("train", "val", "")
# COCO id -> (name, supercategory); two ids share a name, as happens when splits number differently.
CATEGORIES = {
    1: ("person", "person"),
    3: ("car", "vehicle"),
    33: ("car", "vehicle"),
    8: ("truck", "vehicle"),
    10: ("traffic light", "outdoor"),
    18: ("dog", "animal"),
    90: ("차", ""),
}
# The names of keypoints by COCO id; the others have none.
POINTS: dict[int, Any] = {1: ["nose", "left_wrist", "left wrist", "3"], 3: ["nose"], 8: "no list", 18: ["tail", "nose"]}


@dataclass(frozen=True)
class Thing:
    """One annotation."""

    number: int
    category: int | None = 1
    area: str | None = None
    bbox: list[Any] | None = None
    iscrowd: int | None = None
    source: str = ""
    machine: bool = False
    score: str | None = None
    keypoints: int | None = None
    points: Any = None  # as COCO has them: [x, y, v] * n
    attributes: Any = None
    issues: list[str] | None = None
    extra: dict[str, Any] | None = None
    created: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    updated: datetime = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Picture:
    """One image; `letter` is how the tables of expectations call it."""

    letter: str
    coco_id: int
    file: str | None
    split: str = "train"
    width: int | None = 640
    height: int | None = 480
    tags: list[str] = field(default_factory=list)
    status: str = "ready"
    metadata: dict[str, Any] = field(default_factory=dict)
    issues: list[str] = field(default_factory=list)
    size: int | None = None
    format: str = ""
    checksum: str = ""
    created: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    updated: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    things: tuple[Thing, ...] = ()


def on(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)


PICTURES = (
    Picture(
        "a",
        139,
        "000000000139.jpg",
        tags=["car", "night"],
        metadata={"license": 3, "color": "red", "date_captured": "2013-11-21 01:34:01", "labels": [1, "2", "x"]},
        size=2 * 1024 * 1024 + 1,
        format="JPEG",
        checksum="aa11",
        created=on(2026, 3, 31, 10),
        updated=on(2026, 3, 31, 11, 30),
        things=(
            Thing(
                1, 3, area="1200.5", bbox=[10, 20.5, 30, 40], attributes={"color": "red"}, created=on(2026, 3, 31, 10)
            ),
            Thing(
                2,
                1,
                area="900",
                iscrowd=0,
                keypoints=17,
                bbox=[0, 0, 8, 8],
                source="cvat",
                points=[1, 1, 2, 5, 5, 1, 0, 0, 0],
            ),
        ),
    ),
    Picture(
        "b",
        285,
        "000000000285.jpg",
        width=480,
        height=640,
        tags=["car"],
        status="in_review",
        metadata={"license": "3", "color": "blue", "iso": 100, "date_captured": "2013-11-14 17:02:52"},
        size=1024,
        format="JPEG",
        checksum="bb22",
        created=on(2026, 3, 24, 12),
        updated=on(2026, 3, 25),
        things=(
            Thing(3, 33, area="500", bbox=[-5, -1, 30, 40], created=on(2026, 1, 31, 23, 59), updated=on(2026, 3, 25)),
            Thing(
                4,
                3,
                area="2000",
                iscrowd=1,
                bbox=[1, 1, 3, 4],
                source="model v2",
                machine=True,
                score="0.5",
                points=[1, 1, 1, 2, 2, 2],
            ),
        ),
    ),
    Picture(
        "c",
        1,
        "IMG_0001.PNG",
        split="val",
        width=1920,
        height=1080,
        status="approved",
        metadata={"color": ["red", "green"], "iso": 400, "nested": {"deep": {"x": True}}},
        format="PNG",
        checksum="cc33",
        created=on(2026, 1, 31, 23, 59, 59),
        things=(
            Thing(5, 1, area="1500", keypoints=0, bbox=[0, 0, 5, 0]),
            Thing(
                6,
                1,
                area="1001",
                keypoints=5,
                attributes={"occluded": True, "n": 3},
                points=[0, 0, None, 1, 1, 7, 3, 3, -1, 4, 4, 2],
            ),
            Thing(7, 1, area="50", score="0.95", machine=True, source="model v1"),
        ),
    ),
    Picture(
        "d",
        2,
        "img_0002.png",
        split="val",
        width=1000,
        height=1000,
        tags=["night"],
        status="rejected",
        metadata={"iso": 800.5, "flag": False, "gone": None, "nested": {"deep": 1}},
        size=3,
        format="PNG",
        checksum="dd44",
        created=on(2026, 1, 1),
        things=(
            Thing(8, 18, area="0", points=[1, 1, 2, 3]),
            Thing(9, 8, points="odd", area="1000", attributes=None, bbox=[5, 5, 500, 1]),
        ),
    ),
    Picture(
        "e",
        3,
        "서울_야경.jpg",
        split="val",
        width=None,
        height=None,
        tags=["한국", "rain"],
        status="missing",
        metadata={"도시": "서울", "iso": "800", "list": [[5], {"x": 1}]},
        created=on(2025, 12, 31, 23, 59),
    ),
    Picture(
        "f",
        4,
        "100%_done\\x.png",
        split="",
        width=2_147_483_647,
        height=2_147_483_647,
        tags=["a*b", "it's", "100%", "a_b", 'say "hi"', "-x", "back\\slash"],
        status="broken",
        metadata={"a.b": {"c d": 5}, 'k"q': "v", "path": "../x", "big": 12345678901234567890, "s": "50%", "": {"": 7}},
        issues=["bad_size", "no_picture"],
        size=2**40,
        checksum="ff66",
        things=(
            Thing(10, None, extra={"caption": "A dog on the street"}, points=[1, 1, 1]),
            Thing(11, 90, area="12345678901234567890.5"),
        ),
    ),
    Picture(
        "g",
        5,
        None,
        split="",
        width=100,
        height=0,
        tags=["axb", "carpet"],
        metadata={"color": "Red", "0": "zero", "labels": ["red"], "iso": {"value": 5}},
        issues=["bad_size"],
        things=(
            Thing(
                12,
                10,
                area="-4",
                bbox=[1, 2, -3, 4],
                issues=["negative_box"],
                attributes={"occluded": True, "color": "red"},
                machine=True,
                score="0.5",
                source="cvat",
                iscrowd=0,
            ),
            Thing(13, 3, bbox=["1", None], issues=[]),
            Thing(14, 90, area="3", extra={"caption": 7, "other": 1}),
        ),
    ),
    Picture(
        "h",
        9_223_372_036_854_775_807,
        "a (1).jpg",
        width=641,
        height=480,
        metadata={"license": 3.0, "flag": True, "gone": "null"},
        size=2 * 1024 * 1024,
        format="JPEG",
        checksum="aa11",
        created=on(2026, 2, 28, 12),
    ),
)
STRANGER = Picture("z", 139, "000000000139.jpg", tags=["car"], checksum="bb22", things=(Thing(1, 3, area="5000"),))


def make_project(name: str = "Streets") -> Project:
    owner, _ = User.objects.get_or_create(email="alice@example.org")
    return Project.objects.create(name=name, owner=owner)


def _meta(number: int) -> dict[str, Any]:
    return {"keypoints": POINTS[number]} if number in POINTS else {}


def store(project: Project, pictures: tuple[Picture, ...]) -> dict[int, str]:
    """Fill the project; the letter of each stored image by its key."""
    splits = {name: Split.objects.create(project=project, name=name) for name in SPLITS}
    categories = {
        number: Category.objects.create(
            project=project, coco_id=number, name=name, supercategory=above, meta=_meta(number)
        )
        for number, (name, above) in CATEGORIES.items()
    }
    letters = {}
    for picture in pictures:
        image = ImageAsset.objects.create(
            project=project,
            split=splits[picture.split],
            coco_id=picture.coco_id,
            file_name=picture.file,
            width=picture.width,
            height=picture.height,
            tags=picture.tags,
            status=picture.status,
            metadata=picture.metadata,
            issues=picture.issues,
            size_bytes=picture.size,
            format=picture.format,
            checksum=picture.checksum,
            created_at=picture.created,
            updated_at=picture.updated,
            annotation_count=len(picture.things),
        )
        letters[image.pk] = picture.letter
        Annotation.objects.bulk_create(
            Annotation(
                project=project,
                split=image.split,
                image=image,
                category=categories[thing.category] if thing.category else None,
                coco_id=thing.number,
                area=thing.area and Decimal(thing.area),
                bbox=thing.bbox,
                iscrowd=thing.iscrowd,
                source=thing.source,
                is_machine=thing.machine,
                score=thing.score and Decimal(thing.score),
                num_keypoints=thing.keypoints,
                keypoints=thing.points,
                attributes=thing.attributes,
                issues=thing.issues,
                extra=thing.extra,
                created_at=thing.created,
                updated_at=thing.updated,
            )
            for thing in picture.things
        )
    return letters
