"""What an export to CVAT froze, in storage: written once, read by the export and by every pull after it.

The layout stands in docs/decisions/011-cvat-export.md. Lines are JSON, one for each image or annotation, in files of
one CVAT task each: what has to be in memory never grows with the export.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import orjson
from django.core.files.base import ContentFile

from accounts.errors import ServiceError
from assets import storage
from exports.cvat.shapes import Shape
from exports.models import CvatTask, ExportJob

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FrozenImage:
    """An image as it was: the primary key, the record's fields, the stored picture, and its name in CVAT."""

    asset: int
    version: int
    coco_id: int
    split: str
    file_name: str | None
    name: str  # the path in the zip
    uri: str
    checksum: str
    size_bytes: int
    width: int | None  # pixels, as the record says
    height: int | None
    problem: str = ""  # why it could not go, as far as was known


class FrozenAnnotation(msgspec.Struct, frozen=True):
    """An annotation as it was. `record` is its COCO record to the letter."""

    key: str  # the value of `coco_id` on its shapes, unique within the task
    annotation: int  # primary key
    version: int
    image: int  # primary key
    category: int | None  # primary key
    record: msgspec.Raw

    def fields(self) -> dict[str, Any]:
        """The record, parsed; numbers as Python has them."""
        try:
            return _record(self.record)
        except msgspec.DecodeError:  # a number beyond floats
            parsed: dict[str, Any] = json.loads(bytes(self.record))
            return parsed


@dataclass(frozen=True, slots=True)
class SentAnnotation:
    """What became of an annotation in CVAT: its shapes as CVAT keeps them, with ids; or why it was left out.

    `parts` tells which parts of its outline were not sent with the others, and why.
    """

    key: str
    shapes: tuple[Shape, ...] = ()
    left_out: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FrozenAttribute:
    """How an attribute of annotations travels: the name in CVAT, and what people see there.

    `kinds` are the JSON types that it has here. `absent` is the value that stands for "the record has none".
    """

    name: str
    input_type: str  # text, select, checkbox or number
    default: str = ""
    values: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class FrozenCategory:
    """A category as it was, and the attributes that its annotations have."""

    key: int  # primary key
    coco_id: int
    name: str
    supercategory: str
    color: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    attributes: Mapping[str, FrozenAttribute] | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From `snapshot.json`."""
        attributes = {
            name: FrozenAttribute(
                **{**given, "values": tuple(given["values"]), "kinds": tuple(given["kinds"])},
            )
            for name, given in (data.get("attributes") or {}).items()
        }
        return cls(
            data["key"],
            data["coco_id"],
            data["name"],
            data["supercategory"],
            data["color"],
            tuple(data["keypoints"]),
            tuple((start, end) for start, end in data["skeleton"]),
            attributes,
        )


_record = msgspec.json.Decoder(dict[str, Any]).decode
_annotation = msgspec.json.Decoder(FrozenAnnotation).decode


class Snapshot:
    """The stored snapshot of one export. Reading raises ServiceError if a file of it is gone."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    @classmethod
    def of(cls, job: ExportJob) -> Self:
        """The snapshot of the export; ServiceError if it was never frozen."""
        if not job.snapshot_uri:
            raise ServiceError(f"Export {job.pk} has no snapshot yet.")
        return cls(job.snapshot_uri)

    # --- Reading ----------------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """`snapshot.json`."""
        with self._open("snapshot.json") as file:
            about: dict[str, Any] = orjson.loads(file.read())
        if about.get("format") != FORMAT:
            raise ServiceError(f"The snapshot has the format {about.get('format')!r}; expected {FORMAT}.")
        return about

    def categories(self) -> dict[int, FrozenCategory]:
        """The categories by their primary keys."""
        found = (FrozenCategory.read(item) for item in self.about()["categories"])
        return {category.key: category for category in found}

    def images(self, task: CvatTask) -> Iterator[FrozenImage]:
        """The images of a task, in their places."""
        for line in self._lines(self.images_key(task.number)):
            yield FrozenImage(**orjson.loads(line))

    def annotations(self, task: CvatTask) -> Iterator[FrozenAnnotation]:
        """The annotations of a task, in the order of their files."""
        for line in self._lines(self.annotations_key(task.number)):
            yield _annotation(line)

    def sent(self, task: CvatTask) -> Iterator[SentAnnotation]:
        """What was sent of each annotation; only once the task's step is SENT."""
        for line in self._lines(self.sent_key(task.number)):
            data = orjson.loads(line)
            shapes = tuple(Shape.read(item) for item in data.get("shapes", ()))
            yield SentAnnotation(data["key"], shapes, data.get("left_out", ""), tuple(data.get("parts", ())))

    def _lines(self, name: str) -> Iterator[bytes]:
        with self._open(name) as file:
            for line in file:
                if line.strip():
                    yield line

    def _open(self, name: str) -> Any:
        found = storage.read(f"{self.prefix}/{name}")
        if found is None:
            raise ServiceError(f"{name} of the export's snapshot is not in storage any more.")
        return found

    # --- Writing ----------------------------------------------------------------------------------------------------

    def write_sent(self, task: CvatTask, sent: Iterable[SentAnnotation]) -> None:
        """Store what was sent of a task."""
        content = io.BytesIO()
        for item in sent:
            line: dict[str, Any] = {"key": item.key}
            if item.left_out:
                line["left_out"] = item.left_out
            else:
                line["shapes"] = [shape.write() for shape in item.shapes]
            if item.parts:
                line["parts"] = list(item.parts)
            content.write(orjson.dumps(line) + b"\n")
        content.seek(0)
        storage.put(f"{self.prefix}/{self.sent_key(task.number)}", content)

    def write_about(self, about: Mapping[str, Any]) -> None:
        """Store `snapshot.json`."""
        content = orjson.dumps({"format": FORMAT, **about}, option=orjson.OPT_INDENT_2)
        storage.put(f"{self.prefix}/snapshot.json", ContentFile(content))

    @staticmethod
    def images_key(number: int) -> str:
        """Where the images of a task are, below the prefix."""
        return f"tasks/{number:05}/images.jsonl"

    @staticmethod
    def annotations_key(number: int) -> str:
        """Where the annotations of a task are."""
        return f"tasks/{number:05}/annotations.jsonl"

    @staticmethod
    def sent_key(number: int) -> str:
        """Where is what was sent of a task."""
        return f"tasks/{number:05}/sent.jsonl"


def line_of(image: FrozenImage) -> bytes:
    """An image's line."""
    return orjson.dumps(image) + b"\n"
