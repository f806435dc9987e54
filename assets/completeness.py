"""Whether a picture file has come whole, told by its own structure: nothing is decoded.

An upload or a download that broke off leaves a good header over a body that is cut. Each format says somewhere how far
it reaches, so a few small reads tell. Only what is certain is told; a file that is whole and damaged inside is found
when it is decoded (assets.thumbnails).
"""

import io
import struct
import warnings
from collections.abc import Callable
from typing import IO

from PIL import TiffImagePlugin

BLOCK = 8 * 1024  # bytes read at once
STEPS = 100_000  # parts of a file that are gone through; a file made of more is left to its decoder
IEND = b"\0\0\0\0IEND\xaeB`\x82"
END_OF_JPEG, START_OF_SCAN = b"\xff\xd9", 0xDA
GIF_IMAGE, GIF_EXTENSION = 0x2C, 0x21


class _NothingCertain(Exception):
    """The decoder will say what is wrong with it, if anything is."""


def cut_off(content: IO[bytes], format_: str) -> str:
    """Why the file cannot be whole, in words; nothing if it may be. `format_` is one of `assets.shrinking.FORMATS`.

    The file is left where it was.
    """
    look = _LOOKS.get(format_)
    if look is None:
        return ""
    place = content.tell()
    size = content.seek(0, io.SEEK_END)
    try:
        return look(content, size)
    except (struct.error, IndexError):  # it ends within a head
        return f"the file is cut off after {size:,} bytes"
    except _NothingCertain:
        return ""
    finally:
        content.seek(place)


def _jpeg(content: IO[bytes], size: int) -> str:
    """An end marker (EOI) must come after the first scan (SOS).

    An upload that broke off may have left a file of full length with zeros at its end, and to libjpeg zeros are grey
    pixels. The preview in the EXIF block has an end marker of its own, so the scan must be found first. Phones and
    cameras put whole films behind the end marker, so it need not be near the end.
    """
    place = _first_scan(content)
    for start in (max(place, size - BLOCK), place):
        content.seek(start)
        last = b""
        while block := content.read(BLOCK):
            if END_OF_JPEG in last + block:
                return ""
            last = block[-1:]
    return "the file is cut off: no end marker comes after the pixels"


def _first_scan(content: IO[bytes]) -> int:
    """Where the first scan of a JPEG file begins."""
    at, base, block = 2, 0, b""
    for _ in range(STEPS):
        if at + 4 > base + len(block):
            content.seek(at)
            base, block = at, content.read(BLOCK)
        found = block.find(b"\xff", at - base)
        if found < 0 or len(block) < 4:
            break
        at = base + found
        if found + 4 > len(block):
            continue
        marker = block[found + 1]
        if marker == START_OF_SCAN:
            return at
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 1
        else:
            at += 2 + int.from_bytes(block[found + 2 : found + 4], "big")
    raise _NothingCertain


def _png(content: IO[bytes], size: int) -> str:
    content.seek(max(0, size - BLOCK))
    if IEND in content.read():
        return ""
    at = 8
    for _ in range(STEPS):
        if at + 8 > size:
            break
        content.seek(at)
        length, kind = struct.unpack(">I4s", content.read(8))
        at += 12 + length
        if kind == b"IDAT" and at > size:
            return _told(at, size)
    raise _NothingCertain  # readers do without the chunks behind the pixels


def _gif(content: IO[bytes], size: int) -> str:
    """The first picture counts: no other is ever shown."""
    content.seek(0)
    head = content.read(13)
    at = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    for _ in range(STEPS):
        content.seek(at)
        kind = content.read(10)
        if kind[0] == GIF_IMAGE:  # its place, size and colours, then a byte for the decoder
            _gif_blocks(content, at + 11 + (3 << (kind[9] & 7) + 1 if kind[9] & 0x80 else 0))
            return ""
        if kind[0] != GIF_EXTENSION:
            break
        at = _gif_blocks(content, at + 2)
    raise _NothingCertain


def _gif_blocks(content: IO[bytes], at: int) -> int:
    """Where blocks that begin here end; raises IndexError if the file ends before."""
    for _ in range(STEPS):
        content.seek(at)
        length = content.read(1)[0]
        at += 1 + length
        if not length:
            return at
    raise _NothingCertain


def _webp(content: IO[bytes], size: int) -> str:
    content.seek(4)
    (length,) = struct.unpack("<I", content.read(4))
    # Some writers leave out the byte that makes the length even.
    return "" if 8 + length <= size + 1 else _told(8 + length, size)


def _bmp(content: IO[bytes], size: int) -> str:
    content.seek(0)
    start, header, width, height, _, bits, packed = struct.unpack("<10xIIiiHHI", content.read(34))
    if header < 40 or packed not in (0, 3):  # other kinds, and packed pixels: their length is not known before
        return ""
    end = start + (width * bits + 31) // 32 * 4 * abs(height)
    return "" if end <= size else _told(end, size)


def _tiff(content: IO[bytes], size: int) -> str:
    content.seek(0)
    end = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = TiffImagePlugin.TiffImageFile(content).tag_v2
        for offsets, lengths in ((273, 279), (324, 325)):  # of strips, of tiles
            pairs = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
            end = max([end, *(place + length for place, length in pairs)])
    except Exception:  # noqa: BLE001 - parsers of foreign bytes raise whatever they trip over
        raise _NothingCertain from None
    return "" if end <= size else _told(end, size)


def _boxes(content: IO[bytes], size: int) -> str:
    """HEIC and AVIF are boxes one after another: length (0: to the end; 1: a longer number follows), kind, content."""
    at = 0
    for _ in range(STEPS):
        if at + 8 > size:
            return "" if at <= size else _told(at, size)
        content.seek(at)
        head = content.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            (length,) = struct.unpack(">8xQ", head)
        if length < 8:
            break
        at += length
    raise _NothingCertain


def _told(wanted: int, size: int) -> str:
    return f"the file is cut off: {size:,} of {wanted:,} bytes are here"


_LOOKS: dict[str, Callable[[IO[bytes], int], str]] = {
    "jpeg": _jpeg,
    "png": _png,
    "gif": _gif,
    "webp": _webp,
    "bmp": _bmp,
    "tiff": _tiff,
    "heic": _boxes,
    "avif": _boxes,
}
