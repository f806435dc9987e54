"""Real picture files for tests: four coloured quarters, so that turned, mirrored and miscoloured ones are seen."""

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 40), (40, 50, 220), (230, 220, 40)
QUARTERS = (RED, GREEN, BLUE, YELLOW)  # left and right above, left and right below
FORMATS = {
    "JPEG": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "HEIF": "heic",
    "AVIF": "avif",
    "GIF": "gif",
    "TIFF": "tiff",
    "BMP": "bmp",
}


def quarters(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    """A picture of four coloured quarters."""
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(QUARTERS):
        left, top = number % 2 * width // 2, number // 2 * height // 2
        image.paste(colour, (left, top, left + width - width // 2, top + height - height // 2))
    return image if mode == "RGB" else image.convert(mode)


def encoded(image: Image.Image, format_: str = "JPEG", **options: Any) -> bytes:
    """The picture as a file."""
    target = io.BytesIO()
    image.save(target, format_, **options)
    return target.getvalue()


def file_of(format_: str, width: int = 640, height: int = 480) -> bytes:
    """A picture file of this format."""
    return encoded(quarters(width, height), format_)


def with_exif(orientation: int) -> Image.Exif:
    """An EXIF block that turns the picture and tells where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Spy Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif


def huge_png(side: int) -> bytes:
    """A whole, valid PNG of side x side black pixels in one bit each: 20,000 x 20,000 are about 50 KB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows, packer = b"\0" * (1 + (side + 7) // 8), zlib.compressobj(9)
    pixels = b"".join(packer.compress(rows) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters."""
    image = image.convert("RGB")
    width, height = image.size
    return [
        image.getpixel((width * x // 4, height * y // 4))  # type: ignore[misc]
        for y in (1, 3)
        for x in (1, 3)
    ]


def are_alike(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], tolerance: int = 24) -> bool:
    """Whether the colours are the same but for what lossy compression does."""
    return all(
        abs(a - b) <= tolerance
        for one, other in zip(found, wanted, strict=True)
        for a, b in zip(one, other, strict=True)
    )
