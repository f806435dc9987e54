"""Which images go into which task: by number, by bytes, and by split if that is wanted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exports.cvat.naming import zip_names
from exports.sending.options import Options
from exports.snapshots import FrozenImage

MEGABYTE = 1_000_000
# What CVAT takes as frames; it would fail the whole task over any other picture.
TAKEN = frozenset({"jpeg", "png", "bmp", "gif", "tiff", "webp"})


@dataclass(frozen=True, slots=True)
class Row:
    """An image as the database has it, in the order of export."""

    pk: int
    version: int
    coco_id: int
    split_id: int
    split: str
    file_name: str | None
    uri: str
    checksum: str
    format: str
    size_bytes: int
    width: int | None
    height: int | None

    @property
    def problem(self) -> str:
        """Why it cannot go, as far as the row tells; "" if nothing is in the way."""
        if not self.uri:
            return "there is no picture of it"
        if self.format.lower() not in TAKEN:
            return f"CVAT takes no {self.format or 'such'} pictures"
        return ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The images of one task, in their places. `split_id` is None where they are of several splits."""

    number: int
    split_id: int | None
    images: tuple[FrozenImage, ...]

    @property
    def split(self) -> str:
        """The name of the one split; "" for several."""
        return self.images[0].split if self.split_id is not None else ""


def chunks(rows: Iterable[Row], options: Options) -> Iterator[Chunk]:
    """Cut the rows (in order, splits together) into tasks. Images that cannot go take a place and no frame."""
    number = 0
    part: list[Row] = []
    usable = size = 0
    for row in rows:
        weight = 0 if row.problem else row.size_bytes
        full = usable >= options.images_per_task or (
            usable and size + weight > options.megabytes_per_task * MEGABYTE
        )  # fmt: skip
        if part and (full or (options.per_split and row.split_id != part[-1].split_id)):
            number += 1
            yield _chunk(number, part)
            part, usable, size = [], 0, 0
        part.append(row)
        usable += not row.problem
        size += weight
    if part:
        yield _chunk(number + 1, part)


def _chunk(number: int, rows: list[Row]) -> Chunk:
    splits = {row.split_id for row in rows}
    mixed = len(splits) > 1
    names = zip_names({str(row.pk): _file_name(row, mixed) for row in rows if not row.problem})
    images = tuple(
        FrozenImage(
            asset=row.pk,
            version=row.version,
            coco_id=row.coco_id,
            split=row.split,
            file_name=row.file_name,
            name=names.get(str(row.pk), ""),
            uri=row.uri,
            checksum=row.checksum,
            size_bytes=row.size_bytes,
            width=row.width,
            height=row.height,
            problem=row.problem,
        )
        for row in rows
    )
    return Chunk(number, None if mixed else splits.pop(), images)


def _file_name(row: Row, mixed: bool) -> str:
    name = row.file_name or f"{row.coco_id}.{row.format.lower()}"
    # Two splits often have the same names; people should see whose it is.
    return f"{row.split or 'images'}/{name}" if mixed else name
