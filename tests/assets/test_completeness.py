"""Files that are cut off, told by their own structure; whole ones, whatever stands behind their end, are not."""

import io
import struct
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from assets.completeness import BLOCK, cut_off
from assets.pictures import PictureError, look_at
from tests.assets.drawings import FORMATS, encoded, file_of, quarters

NOISE = Image.effect_noise((320, 240), 90).convert("RGB")
WHOLE = {
    **{name: encoded(NOISE, format_) for format_, name in FORMATS.items()},
    "jpeg, progressive": encoded(NOISE, "JPEG", progressive=True),
    "jpeg, with a preview": encoded(NOISE, "JPEG", exif=b"Exif\0\0" + file_of("JPEG", 64, 48)),
    "jpeg, with a long profile": encoded(NOISE, "JPEG", icc_profile=bytes(200_000)),
    "png, palette": encoded(NOISE.convert("P"), "PNG"),
    "gif, frames": encoded(NOISE.convert("P"), "GIF", save_all=True, append_images=[quarters(320, 240, "P")]),
    "webp, frames": encoded(NOISE, "WEBP", save_all=True, append_images=[quarters(320, 240)]),
    "tiff, strips": encoded(NOISE, "TIFF", compression="tiff_lzw"),
    "bmp, palette": encoded(NOISE.convert("P"), "BMP"),
}


def told(data: bytes, name: str) -> str:
    """What is told of a file of this kind."""
    return cut_off(io.BytesIO(data), name.partition(",")[0])


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_whole(name):
    assert told(WHOLE[name], name) == ""


@pytest.mark.parametrize("behind", [b"\0", b"<html>", b"x" * (3 * BLOCK)], ids=["zero", "html", "film"])
@pytest.mark.parametrize("name", WHOLE)
def test_whatever_stands_behind_the_end_is_no_flaw(name, behind):
    if name in ("heic", "avif") and behind != b"\0":
        behind = struct.pack(">I4s", 8 + len(behind), b"free") + behind  # only boxes can follow boxes
    assert told(WHOLE[name] + behind, name) == ""


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_cut_off_is_told(name, part):
    if name == "gif, frames":
        part /= 2  # the first picture is the one that is shown
    data = WHOLE[name][: int(len(WHOLE[name]) * part)]
    try:
        look_at(data)
    except PictureError:
        return  # told by its header
    assert "cut off" in told(data, name)


def test_a_preview_has_an_end_of_its_own():
    data = WHOLE["jpeg, with a preview"]
    start = data.index(b"\xff\xd9") + 2
    assert "cut off" in told(data[: start + 3_000], "jpeg")
    assert "cut off" in told(data[: start + 3_000] + bytes(50_000), "jpeg")


def test_what_readers_do_without_is_no_flaw():
    assert told(WHOLE["png"][:-12], "png") == ""  # all pixels are there


def test_the_file_is_left_where_it_was():
    file = io.BytesIO(WHOLE["jpeg"])
    file.seek(7)
    cut_off(file, "jpeg")
    assert file.tell() == 7


@pytest.mark.parametrize("name", FORMATS.values())
@given(data=st.data())
@example(data=None)
def test_any_bytes_are_gone_through(name, data):
    whole = WHOLE[name]
    if data is None:
        return
    at, value = data.draw(st.integers(0, min(len(whole), 600) - 1)), data.draw(st.integers(0, 255))
    assert isinstance(told(whole[:at] + bytes([value]) + whole[at + 1 :], name), str)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("jpeg", b"\xff\xd8" + b"\xff" * 4_000_000),
        ("png", b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"teXt" + bytes(4)) * 300_000),
        ("gif", b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01x" * 2_000_000),
        ("heic", (struct.pack(">I4s", 8, b"free")) * 500_000),
    ],
    ids=["jpeg", "png", "gif", "heic"],
)
def test_a_file_made_of_countless_parts_takes_no_time(name, data):
    started = time.process_time()
    assert told(data, name) == ""
    assert time.process_time() - started < 2
