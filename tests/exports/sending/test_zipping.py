"""Pictures in the zip: the pixels that the records mean, whatever EXIF says, and the same bytes every time."""

import hashlib
import io
import zipfile

import pytest
from PIL import Image, ImageOps

from assets import storage
from exports.cvat.picturing import ORIENTATION, BadImage, frame_size, stored_size, unturned
from exports.sending import zipping
from exports.snapshots import FrozenImage

SIZE = (40, 24)


def drawn(orientation: int, format_: str = "JPEG") -> bytes:
    """A picture whose four corners differ, with an EXIF orientation."""
    image = Image.new("RGB", SIZE, (0, 0, 0))
    for at, colour in (((0, 0), (255, 0, 0)), ((20, 0), (0, 255, 0)), ((0, 12), (0, 0, 255))):
        image.paste(colour, (*at, at[0] + 20, at[1] + 12))
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    exif[0x010E] = "a description"
    content = io.BytesIO()
    image.save(content, format_, exif=exif, **({"quality": 95} if format_ == "JPEG" else {}))
    return content.getvalue()


def shown(content: bytes) -> Image.Image:
    """What CVAT shows."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")


def frozen(content: bytes, width: int | None, height: int | None, number: int = 1) -> FrozenImage:
    """A stored picture with the size that its record says."""
    checksum = hashlib.sha256(content).hexdigest()
    uri = storage.put(storage.image_key(1, checksum, "jpeg"), io.BytesIO(content))
    name = f"{number}.jpg"
    return FrozenImage(number, 1, number, "", name, name, uri, checksum, len(content), width, height)


def built(*images: FrozenImage, **options) -> tuple[zipping.Packed, list[bytes]]:
    """The zip and what is in it."""
    target = io.BytesIO()
    done = zipping.build(target, images, **options)
    with zipfile.ZipFile(target) as archive:
        return done, [archive.read(name) for name in archive.namelist()]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_is_kept_from_being_turned_and_nothing_else_of_it_changes(format_, orientation):
    content = drawn(orientation, format_)
    assert stored_size(content) == (SIZE, True)

    changed = unturned(content)

    assert frame_size(io.BytesIO(changed)) == SIZE
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(changed)) as after:
        assert after.tobytes() == before.tobytes()
        assert after.getexif()[0x010E] == "a description"
    assert len(changed) == len(content)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_records_of_stored_pixels_get_them_shown(orientation):
    content = drawn(orientation)
    done, (sent,) = built(frozen(content, *SIZE))
    assert done.sizes == {0: SIZE}
    stored = Image.open(io.BytesIO(content)).convert("RGB")
    assert shown(sent).tobytes() == stored.tobytes()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_records_of_turned_pixels_get_those(orientation):
    content = drawn(orientation)
    done, (sent,) = built(frozen(content, SIZE[1], SIZE[0]))
    assert done.sizes == {0: (SIZE[1], SIZE[0])}
    assert sent == content


def test_a_record_without_a_size_means_stored_pixels():
    done, (sent,) = built(frozen(drawn(6), None, None))
    assert done.sizes == {0: SIZE}
    assert shown(sent).size == SIZE


def test_an_orientation_that_cannot_be_taken_out_is_said():
    # In XMP only, which Pillow reads as well.
    image = Image.new("RGB", SIZE)
    content = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    image.save(content, "JPEG", xmp=xmp)
    assert stored_size(content.getvalue())[1]
    with pytest.raises(BadImage, match="cannot be taken out"):
        unturned(content.getvalue())
    done, sent = built(frozen(content.getvalue(), *SIZE))
    assert sent == []
    assert "cannot be taken out" in done.problems[0]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, over just these
@pytest.mark.parametrize("cut", range(2, 200, 7))
def test_broken_exif_is_no_crash(cut):
    content = drawn(6)
    broken = bytearray(content)
    broken[cut : cut + 7] = b"\xff" * 7
    try:
        changed = unturned(bytes(broken))
    except BadImage:
        return
    assert stored_size(changed)[1] is False


def test_the_same_images_are_the_same_bytes_also_without_decoding_again():
    images = [frozen(drawn(number), *SIZE, number=number) for number in (1, 6, 3)]
    first, _ = built(*images)
    again, _ = built(*images, known={place: SIZE for place in range(3)})
    assert again.sha256 == first.sha256
    assert again.size_bytes == first.size_bytes
    fewer, _ = built(*images, known={0: SIZE, 2: SIZE})
    assert fewer.sha256 != first.sha256


def test_pictures_can_stay_in_the_bucket_unless_one_would_be_turned_or_is_shared():
    upright, turned = frozen(drawn(1), *SIZE), frozen(drawn(6), *SIZE, number=2)
    meant_so = frozen(drawn(6), SIZE[1], SIZE[0], number=3)
    broken = frozen(b"junk", *SIZE, number=4)

    packed = zipping.in_bucket([upright, broken, meant_so])

    assert packed.names == {0: upright.uri, 2: meant_so.uri}
    assert packed.sizes == {0: SIZE, 2: (SIZE[1], SIZE[0])}
    assert set(packed.problems) == {1}
    assert zipping.in_bucket([upright, turned]) is None
    assert zipping.in_bucket([upright, upright]) is None
