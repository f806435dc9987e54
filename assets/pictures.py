"""Looking at picture files without trusting them: which format, which size, which way up.

Only the header is read here. Formats are an allow-list, and the pixel count is capped before anything is decoded.
"""

import io
from typing import IO

from django.conf import settings

from assets.shrinking import FORMATS, TURNED, Picture, PictureError, open_picture

__all__ = ["CONTENT_TYPES", "FORMATS", "TURNED", "Picture", "PictureError", "look", "look_at"]

CONTENT_TYPES = {name: f"image/{name}" for name in FORMATS.values()}


def look(content: IO[bytes]) -> Picture:
    """Read the header. Raises PictureError for anything but a picture of an allowed format and size."""
    try:
        return open_picture(content, settings.MAX_IMAGE_PIXELS)[1]
    finally:
        content.seek(0)


def look_at(data: bytes) -> Picture:
    """The same for bytes in memory."""
    return look(io.BytesIO(data))
