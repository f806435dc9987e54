"""An image as CVAT will show it: decoded to the end, measured after turning by EXIF, or kept from being turned."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
TURNED = (2, 3, 4, *TRANSPOSED)  # all that change anything
ORIENTATION = 0x0112
UPRIGHT = 1
SHORT = 3  # TIFF's type of the tag's value
ENTRY = 12  # bytes of an entry of a TIFF directory
PNG = b"\x89PNG\r\n\x1a\n"
EXIF = b"Exif\0\0"


class BadImage(ValueError):
    """The image cannot be decoded whole. CVAT takes truncated ones without a word, and is spoilt by others."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Width and height in pixels as stored and as CVAT shows them, and whether it turns or mirrors the image."""

    stored: tuple[int, int]
    shown: tuple[int, int]
    turns: bool


def look(file: BinaryIO) -> Looks:
    """What a picture is, decoded to its end. Raises BadImage."""
    try:
        with Image.open(file) as image:
            width, height = image.size
            # A JPEG's data is read to its end all the same; its pixels are not needed.
            scaled = image.draft("L", (1, 1))
            image.load()
            if scaled is None:  # some formats find out only now
                width, height = image.size
            orientation = image.getexif().get(ORIENTATION)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"The image cannot be decoded: {error}") from None
    shown = (height, width) if orientation in TRANSPOSED else (width, height)
    return Looks((width, height), shown, orientation in TURNED)


def frame_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels of the frame that the image becomes. Raises BadImage."""
    return look(file).shown


def stored_size(content: bytes) -> tuple[tuple[int, int], bool]:
    """Width and height of the stored pixels, and whether CVAT would turn or mirror them. Reads the header only.

    Raises BadImage.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "TIFF":  # Pillow turns these while it loads, ours and CVAT's
                image.load()
            return image.size, image.getexif().get(ORIENTATION) in TURNED
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"The image cannot be decoded: {error}") from None


def unturned(content: bytes) -> bytes:
    """The same picture with an EXIF orientation of 1, so that CVAT shows the stored pixels; nothing else is changed.

    JPEG, PNG and WebP. Raises BadImage where the orientation stands elsewhere and cannot be taken out.
    """
    changed = bytearray(content)
    for start, end in _exif(content):
        _set_upright(changed, start, end)
    if content.startswith(PNG):
        _sum_png(changed)
    _, turns = stored_size(bytes(changed))
    if turns:
        raise BadImage("CVAT would turn it, and its orientation cannot be taken out")
    return bytes(changed)


def _exif(content: bytes) -> list[tuple[int, int]]:
    """Where the TIFF structures of the EXIF data begin and end."""
    if content.startswith(b"\xff\xd8"):
        return [(start + len(EXIF), end) for start, end in _segments(content) if content.startswith(EXIF, start)]
    if content.startswith(PNG):
        return [(start, end) for name, start, end in _chunks(content) if name == b"eXIf"]
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        parts = [(start, end) for name, start, end in _parts(content) if name == b"EXIF"]
        return [(start + len(EXIF) if content.startswith(EXIF, start) else start, end) for start, end in parts]
    return []


def _segments(content: bytes) -> list[tuple[int, int]]:
    """The APP1 segments of a JPEG, without marker and length."""
    found, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, size = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill
            at += 1
            continue
        if marker == 0xDA or size < 2:  # the picture itself
            break
        if marker == 0xE1:
            found.append((at + 4, at + 2 + size))
        at += 2 + size
    return found


def _chunks(content: bytes) -> list[tuple[bytes, int, int]]:
    """Name and place of each chunk of a PNG."""
    found, at = [], len(PNG)
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], at + 8, at + 8 + size))
        at += 12 + size
    return found


def _parts(content: bytes) -> list[tuple[bytes, int, int]]:
    """Name and place of each chunk of a WebP."""
    found, at = [], 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        found.append((content[at : at + 4], at + 8, at + 8 + size))
        at += 8 + size + size % 2
    return found


def _set_upright(content: bytearray, start: int, end: int) -> None:
    """Set the orientation in the first directory of a TIFF structure to 1."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(content[start : start + 2]))
    if order is None or end > len(content) or end - start < 10:
        return
    (offset,) = struct.unpack_from(f"{order}I", content, start + 4)
    at = start + offset
    if at + 2 > end:
        return
    (count,) = struct.unpack_from(f"{order}H", content, at)
    for entry in range(at + 2, min(at + 2 + count * ENTRY, end - ENTRY + 1), ENTRY):
        tag, kind = struct.unpack_from(f"{order}HH", content, entry)
        if tag == ORIENTATION and kind == SHORT:
            struct.pack_into(f"{order}H", content, entry + 8, UPRIGHT)


def _sum_png(content: bytearray) -> None:
    for name, start, end in _chunks(bytes(content)):
        if name == b"eXIf":
            struct.pack_into(">I", content, end, zlib.crc32(content[start - 4 : end]))
