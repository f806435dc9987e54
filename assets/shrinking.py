"""One picture file in, one small WebP out. This runs in decoder processes, so it knows nothing of Django.

**Which way up.** COCO's coordinates are those of the pixels as readers give them, before any EXIF turn. A thumbnail
has the same pixels in the same order, only fewer: `x / width` of an annotation is `x / width` on the thumbnail, and a
viewer that wants a turned picture upright turns thumbnail and overlay together, by `Picture.orientation`. TIFF and HEIC
come upright from their readers, so there the orientation is always 1.

**What it shows.** The first frame or page; transparent parts on light grey; colours in sRGB; high bit depths stretched
to what is in them. No metadata of the picture gets into the thumbnail.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import IO

import pillow_heif
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from assets.completeness import cut_off

# Only the picture itself is wanted, and one thread each: there is a decoder process for every core.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

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
OPENERS = [name for name in FORMATS if name != "MPO"]  # Pillow opens MPO as JPEG and knows no opener of that name
UPRIGHT_FORMATS = {"TIFF", "HEIF"}  # Pillow has turned these already
TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height

MAX_SIDE = 320  # pixels, of the longer side
QUALITY = 80
EFFORT = 2  # libwebp's method: 4 takes twice the time for 4 % fewer bytes, 0 half the time for 12 % more
BACKGROUND = (242, 242, 242)  # behind transparent parts: light and dark drawings both show on it
MAX_PROFILE = 4 * 1024 * 1024  # bytes; a larger ICC profile is ignored
DEEP_MODES = ("I", "F")  # Pillow's modes of more than 8 bits, besides I;16 and its variants


class PictureError(Exception):
    """The bytes are no picture that we take; the message says what they are or what is wrong with them."""


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

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def open_picture(content: IO[bytes], max_pixels: int) -> tuple[Image.Image, Picture]:
    """Read the header and decode nothing. Raises PictureError for all but a picture of an allowed format and size."""
    content.seek(0)
    head = content.read(64)
    content.seek(0)
    if not head:
        raise PictureError("the file is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs are refused below, by our own cap
            image = Image.open(content, formats=OPENERS)
    except UnidentifiedImageError:
        raise PictureError(_unidentified(head)) from None
    except Image.DecompressionBombError:
        raise PictureError(f"more than {max_pixels:,} pixels") from None
    except Exception as error:  # noqa: BLE001 - parsers of foreign bytes raise whatever they trip over
        raise PictureError(f"the header cannot be read ({error})") from None
    width, height = image.size
    if width * height > max_pixels:
        raise PictureError(f"{width} x {height} is more than {max_pixels:,} pixels")
    return image, Picture(FORMATS[image.format or ""], width, height, _orientation(image))


def _orientation(image: Image.Image) -> int:
    if image.format in UPRIGHT_FORMATS:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not `image.getexif()`: PNG's own decodes the whole picture in search of an EXIF block behind the pixels.
            value = int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - as above; a picture with a broken EXIF block is still a picture
        return 1
    return value if 1 <= value <= 8 else 1


def shrink(content: IO[bytes], max_pixels: int, before_decoding: Callable[[Picture], None]) -> tuple[Picture, bytes]:
    """Decode the whole picture and give what it is and its thumbnail as WebP, at most MAX_SIDE pixels wide and high.

    `before_decoding` is called between header and pixels. Raises PictureError for a picture that cannot be decoded to
    its end, and MemoryError.
    """
    image, picture = open_picture(content, max_pixels)
    before_decoding(picture)
    if picture.format == "jpeg" and (told := cut_off(content, "jpeg")):
        raise PictureError(told)  # to libjpeg, what is not there is grey
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return picture, _encode(_reduce(image))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise PictureError(f"the pixels cannot be decoded ({error})") from None


def fitted(width: int, height: int) -> tuple[int, int]:
    """The thumbnail's width and height: no larger than the picture's, each at least one pixel."""
    scale = min(1.0, MAX_SIDE / max(width, height, 1))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _reduce(image: Image.Image) -> Image.Image:
    """The picture at the thumbnail's size, in mode RGB."""
    size = fitted(*image.size)
    if image.format in ("JPEG", "MPO"):
        # Decodes to 1/2, 1/4 or 1/8 at once, but no smaller than `size`. All of the file is still read and checked.
        image.draft("RGB", size)
    image.load()
    profile = image.info.get("icc_profile")
    image = _resizable(image)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if image.mode in DEEP_MODES:
        image = _stretched(image)
    elif image.mode in ("LA", "RGBA"):
        opaque = Image.new("RGB", size, BACKGROUND)
        opaque.paste(image.convert("RGB"), mask=image.getchannel("A"))
        image = opaque
    if profile and len(profile) <= MAX_PROFILE:
        image = _in_srgb(image, profile)
    return image.convert("RGB")


def _resizable(image: Image.Image) -> Image.Image:
    """The same picture in a mode whose values may be mixed: palette numbers may not."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.mode in ("P", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = "transparency" in image.info or image.mode != "P"
        return image.convert("RGBA" if clear else "RGB")
    return image.convert("L") if image.mode == "1" else image


def _stretched(image: Image.Image) -> Image.Image:
    """Values of any range as 8 bits: black at 0 or at the least below it, white at the greatest.

    Many 16-bit pictures use 10 or 12 of their bits: cut to the upper 8 they would be black.
    """
    low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    low = min(low, 0.0)
    scale = 255 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours as sRGB, if the ICC profile is one for pictures of this kind; the picture as it is otherwise."""
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    try:
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, ValueError):
        return image


@lru_cache(maxsize=16)  # a camera puts the same profile into all of its pictures
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        given = ImageCms.getOpenProfile(io.BytesIO(profile))
        if mode == "RGB" and "srgb" in (ImageCms.getProfileDescription(given) or "").lower():
            return None
        return ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _encode(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", quality=QUALITY, method=EFFORT)
    return target.getvalue()


def _unidentified(head: bytes) -> str:
    brand = head[8:12].decode("ascii", "replace")
    if head[4:8] == b"ftyp" and brand in ("avif", "avis", "heic", "heix", "hevc", "mif1", "msf1"):
        return f"a picture of the {brand} family that is truncated, damaged or of an unknown kind"
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return f"a {name} picture whose header is truncated or damaged"
    return f"no picture of an allowed format ({_guess(head)})"


_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}


def _guess(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
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
