import io
import random
from contextlib import suppress

import pytest
from PIL import Image, ImageFile, PngImagePlugin

from assets import pictures
from assets.pictures import PictureError
from tests.assets.drawings import FORMATS, encoded, file_of, huge_png, quarters, with_exif


@pytest.mark.parametrize("format_", FORMATS)
def test_every_allowed_format_is_known_with_its_size(format_):
    picture = pictures.look_at(file_of(format_, 90, 70))
    assert (picture.format, picture.width, picture.height, picture.orientation) == (FORMATS[format_], 90, 70, 1)


def test_mpo_of_a_stereo_camera_is_a_jpeg():
    data = encoded(quarters(90, 70), "MPO", save_all=True, append_images=[quarters(90, 70)])
    assert pictures.look_at(data).format == "jpeg"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', "XML"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "HTML"),
        (b"  <html><body>not found</body></html>", "HTML"),
        (b"404 Not Found", "text"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\1\0\0\0\1\0\x08\0\3", "Photoshop"),
        (b"SIMPLE  =                    T / FITS", "text"),
        (b"\x00\x01\x02\xff\xfe", "unknown"),
    ],
)
def test_what_is_no_picture_is_refused_and_named(data, words):
    with pytest.raises(PictureError, match=words):
        pictures.look_at(data)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_header_alone_is_refused_and_the_format_named(format_):
    name = {"HEIF": "heic", "WEBP": "", "AVIF": "avif"}.get(format_, format_)
    with pytest.raises(PictureError, match=f"{name}|header cannot be read"):
        pictures.look_at(file_of(format_)[:24])


@pytest.mark.parametrize("side", [12_000, 20_000])
def test_a_bomb_is_refused_before_a_pixel_is_decoded(side, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", _never)
    data = huge_png(side)
    assert len(data) < 100_000
    with pytest.raises(PictureError, match="120,000,000 pixels"):
        pictures.look_at(data)


def test_the_cap_is_the_installations(settings):
    settings.MAX_IMAGE_PIXELS = 90 * 70 - 1
    with pytest.raises(PictureError, match="90 x 70 is more than 6,299 pixels"):
        pictures.look_at(file_of("PNG", 90, 70))


@pytest.mark.parametrize("format_", FORMATS)
def test_looking_decodes_nothing(format_, monkeypatch):
    data = file_of(format_)
    monkeypatch.setattr(ImageFile.ImageFile, "load", _never)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", _never, raising=False)
    assert pictures.look_at(data).width == 640


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_size_is_that_of_the_stored_pixels_and_the_turn_is_told(format_, orientation):
    picture = pictures.look_at(encoded(quarters(90, 70), format_, exif=with_exif(orientation)))
    assert (picture.width, picture.height) == (90, 70)
    assert (picture.orientation, picture.turned) == (orientation, orientation in (6, 8))


def test_tiff_is_read_upright_so_no_turn_is_left_to_tell():
    data = encoded(quarters(90, 70), "TIFF", tiffinfo={0x0112: 6})
    picture = pictures.look_at(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert (picture.width, picture.height) == image.size == (70, 90)
    assert picture.orientation == 1


def test_heic_is_read_upright_so_no_turn_is_left_to_tell():
    picture = pictures.look_at(encoded(quarters(90, 70), "HEIF", exif=with_exif(6)))
    assert picture.orientation == 1


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_broken_exif_block_does_not_break_the_picture(exif):
    assert pictures.look_at(encoded(quarters(90, 70), "JPEG", exif=exif)).orientation == 1


def test_the_file_is_rewound():
    content = io.BytesIO(file_of("PNG"))
    pictures.look(content)
    assert content.tell() == 0


@pytest.mark.parametrize("format_", FORMATS)
def test_damaged_headers_are_refused_in_no_other_way(format_):
    """Whatever the parsers of foreign bytes trip over comes out as a PictureError."""
    data = file_of(format_, 32, 24)
    rng = random.Random(format_)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(min(len(damaged), 160))] = rng.randrange(256)
        with suppress(PictureError):
            pictures.look_at(bytes(damaged[: rng.randint(8, len(damaged))]))


class Decoded(BaseException):
    """No handler of errors of parsers may hide it."""


def _never(*args, **kwargs):
    raise Decoded
