"""Looking at picture files without trusting them: which format, which size, which way up.

Only the header is read here. Formats are an allow-list, and the pixel count is capped before anything is decoded.
"""

import io
import warnings
from dataclasses import dataclass
from typing import IO

import pillow_heif
from django.conf import settings
from PIL import ExifTags, Image, UnidentifiedImageError

pillow_heif.register_heif_opener()

# Pillow's names of the formats that are taken -> our names, which are also the keys' endings.
FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "HEIF": "heic",
    "AVIF": "avif",
    "GIF": "gif",
    "TIFF": "tiff",
    "BMP": "bmp",
}
CONTENT_TYPES = {name: f"image/{name}" for name in FORMATS.values()}
TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height


class PictureError(Exception):
    """The bytes are no picture that we take; the message says what they are."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture's header says: format, stored width and height in pixels, EXIF orientation 1..8."""

    format: str
    width: int
    height: int
    orientation: int = 1

    @property
    def turned(self) -> bool:
        """Whether the picture is shown with width and height swapped."""
        return self.orientation in TURNED


def look(content: IO[bytes]) -> Picture:
    """Read the header. Raises PictureError for anything but a picture of an allowed format and size."""
    content.seek(0)
    head = content.read(64)
    content.seek(0)
    if not head:
        raise PictureError("the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs are refused below, by our own cap
            image = Image.open(content, formats=list(FORMATS))
            width, height = image.size
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1) or 1)
            format_ = FORMATS[image.format or ""]
    except UnidentifiedImageError:
        raise PictureError(f"no picture of an allowed format ({_guess(head)})") from None
    except Image.DecompressionBombError:
        raise PictureError(f"more than {settings.MAX_IMAGE_PIXELS:,} pixels") from None
    except (OSError, ValueError, SyntaxError, KeyError, EOFError, TypeError, IndexError, OverflowError) as error:
        raise PictureError(f"the header cannot be read ({error})") from None
    finally:
        content.seek(0)
    if width * height > settings.MAX_IMAGE_PIXELS:
        raise PictureError(f"{width} x {height} is more than {settings.MAX_IMAGE_PIXELS:,} pixels")
    return Picture(format_, width, height, orientation if 1 <= orientation <= 8 else 1)


def look_at(data: bytes) -> Picture:
    """The same for bytes in memory."""
    return look(io.BytesIO(data))


def _guess(head: bytes) -> str:
    start = head.lstrip().lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "it looks like SVG or XML"
    if start.startswith((b"<!doctype", b"<html")):
        return "it looks like HTML"
    if head.startswith((b"%!ps", b"%!PS")):
        return "it looks like PostScript"
    if head.startswith(b"8BPS"):
        return "it looks like Photoshop"
    if head.isascii():
        return "it looks like text"
    return "its first bytes are unknown"
