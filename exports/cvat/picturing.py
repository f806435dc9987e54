"""An image as CVAT will show it: decoded to the end, and measured after turning by EXIF."""

from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112


class BadImage(ValueError):
    """The image cannot be decoded whole. CVAT takes truncated ones without a word, and is spoilt by others."""


def frame_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels of the frame that the image becomes. Raises BadImage."""
    try:
        with Image.open(file) as image:
            image.load()
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TRANSPOSED
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(f"The image cannot be decoded: {error}") from None
    return (height, width) if turned else (width, height)
