"""Rows of COCO records as PostgreSQL's COPY text: JSON goes through as the bytes that stood in the file."""

from collections.abc import Iterable, Iterator
from typing import Any

from psycopg.copy import QueuedLibpqWriter

from annotations.coco.annotations import AnnotationRecord
from annotations.coco.images import ImageRecord
from annotations.coco.values import spelled_out

NULL = rb"\N"
# An object as most are, formatted in one go: that takes a third of the time.
PLAIN = rb"%d	\N	%d	%d	%b	%b	%d	%b	\N	\N	\N	\N	\N	\N"
BATCH = 256 * 1024  # bytes sent at once

IMAGE_COLUMNS = (
    "coco_id, coco_key, position, file_name, width, height, metadata, status, issues, annotation_count, "
    "uri, checksum, format, size_bytes"
)
ANNOTATION_COLUMNS = (
    "coco_id, coco_key, kind, position, bbox, area, iscrowd, segmentation, keypoints, num_keypoints, attributes, "
    "score, extra, issues"
)


def text(value: str | None) -> bytes:
    """A text column's value, escaped."""
    if value is None:
        return NULL
    raw = value.encode()
    if b"\\" in raw or b"\n" in raw or b"\t" in raw or b"\r" in raw:
        raw = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\t", b"\\t").replace(b"\r", b"\\r")
    return raw


def json(raw: bytes) -> bytes:
    """JSON text, escaped: line ends and tabs are white space there, for strings cannot hold them."""
    if b"e" in raw or b"E" in raw:
        raw = spelled_out(raw)
    if b"\\" in raw:
        raw = raw.replace(b"\\", b"\\\\")
    if b"\n" in raw or b"\t" in raw or b"\r" in raw:
        raw = raw.replace(b"\n", b" ").replace(b"\t", b" ").replace(b"\r", b" ")
    return raw


def number(raw: bytes) -> bytes:
    """A number's text."""
    return spelled_out(raw) if b"e" in raw or b"E" in raw else raw


def names(values: Iterable[str]) -> bytes:
    """An array of our own code words, which need no quoting."""
    return b"{" + ",".join(values).encode() + b"}"


def integer(value: int | None) -> bytes:
    """An integer column's value."""
    return NULL if value is None else b"%d" % value


def annotation_row(record: AnnotationRecord) -> bytes:
    """The values of ANNOTATION_COLUMNS."""
    box, area, crowd, outline = record.bbox, record.area, record.iscrowd, record.segmentation
    if box is not None and area is not None and crowd is not None and outline is not None and not record.issues and (
        record.coco_key is record.keypoints is record.num_keypoints is record.attributes is record.score is record.extra
        is None
    ):  # fmt: skip
        return PLAIN % (record.coco_id, record.family, record.index, json(box), number(area), crowd, json(outline))
    return b"\t".join(
        (
            b"%d" % record.coco_id,
            NULL if record.coco_key is None else text(record.coco_key),
            b"%d" % record.family,
            b"%d" % record.index,
            NULL if record.bbox is None else json(record.bbox),
            NULL if record.area is None else number(record.area),
            NULL if record.iscrowd is None else b"%d" % record.iscrowd,
            NULL if record.segmentation is None else json(record.segmentation),
            NULL if record.keypoints is None else json(record.keypoints),
            NULL if record.num_keypoints is None else b"%d" % record.num_keypoints,
            NULL if record.attributes is None else json(record.attributes),
            NULL if record.score is None else number(record.score),
            NULL if record.extra is None else json(record.extra),
            names(record.issues) if record.issues else NULL,
        )
    )


def image_row(record: ImageRecord, count: int, picture: Any, status: str, issues: Iterable[str]) -> bytes:
    """The values of IMAGE_COLUMNS; `picture` is a StoredPicture or None."""
    return b"\t".join(
        (
            b"%d" % record.coco_id,
            text(record.coco_key),
            b"%d" % record.index,
            text(record.file_name),
            integer(record.width),
            integer(record.height),
            json(record.metadata),
            status.encode(),
            names(issues),
            b"%d" % count,
            picture.key.encode() if picture else b"",
            picture.checksum.encode() if picture else b"",
            picture.format.encode() if picture else b"",
            integer(picture.size_bytes if picture else None),
        )
    )


def batches(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Rows joined into pieces of about BATCH bytes, each row ended."""
    piece: list[bytes] = []
    size = 0
    for row in rows:
        piece.append(row)
        size += len(row)
        if size >= BATCH:
            yield b"\n".join(piece) + b"\n"
            piece, size = [], 0
    if piece:
        yield b"\n".join(piece) + b"\n"


class _ShortQueue(QueuedLibpqWriter):
    """psycopg's writer with a thread of its own, holding 16 pieces at most: rows are made while others are sent."""

    def __init__(self, cursor: Any) -> None:
        super().__init__(cursor)
        self._queue = type(self._queue)(maxsize=16)


def copy_in(cursor: Any, target: str, lines: Iterable[bytes]) -> None:
    """COPY rows into `target`, a table with its columns; `cursor` is Django's. Raises Django's database errors."""
    driver = cursor.cursor
    with cursor.db.wrap_database_errors, driver.copy(f"COPY {target} FROM STDIN", writer=_ShortQueue(driver)) as copy:
        for piece in batches(lines):
            copy.write(piece)
