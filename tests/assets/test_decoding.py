import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageCms

from assets import decoding
from assets.decoding import Decoders, DecodersClosed, DecodersUnwell
from assets.shrinking import BACKGROUND, PictureError, fitted
from tests.assets.drawings import (
    FORMATS,
    QUARTERS,
    are_alike,
    colours,
    encoded,
    file_of,
    huge_png,
    quarters,
    with_exif,
)
from tests.assets.faulty_decoder import FAULTY, fault

MAX_PIXELS = 120_000_000


@pytest.fixture(scope="module")
def decoders():
    with Decoders(max_pixels=MAX_PIXELS, count=1) as pool:
        yield pool


@pytest.fixture
def faulty():
    with Decoders(max_pixels=MAX_PIXELS, count=1, seconds=20, command=FAULTY) as pool:
        yield pool


@pytest.fixture
def at(tmp_path):
    """`at(data)` is the path of a file with these bytes."""
    paths = (tmp_path / f"picture{number}" for number in range(10_000))

    def write(data):
        path = next(paths)
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def thumbnail(decoders, at):
    """`thumbnail(data)` is the thumbnail of the picture, opened."""

    def make(data):
        image = Image.open(io.BytesIO(decoders.shrink(at(data)).data))
        assert image.format == "WEBP"
        image.load()
        return image

    return make


# --- What a thumbnail shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_becomes_a_small_webp_of_the_same_colours(format_, decoders, at):
    made = decoders.shrink(at(file_of(format_)))
    image = Image.open(io.BytesIO(made.data))
    assert (image.format, image.size) == ("WEBP", (320, 240))
    assert (made.picture.format, made.picture.width, made.picture.height) == (FORMATS[format_], 640, 480)
    assert are_alike(colours(image), list(QUARTERS))


@pytest.mark.parametrize(
    ("size", "small"),
    [((641, 480), (320, 240)), ((500, 375), (320, 240)), ((3000, 2000), (320, 213)), ((480, 640), (240, 320)),
     ((100, 50), (100, 50)), ((1, 1), (1, 1)), ((20_000, 2), (320, 1)), ((3, 9_000), (1, 320)),
     ((320, 320), (320, 320))],
)  # fmt: skip
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_the_longer_side_is_at_most_320_pixels(size, small, format_, thumbnail):
    assert thumbnail(file_of(format_, *size)).size == small == fitted(*size)


@pytest.mark.parametrize(
    ("mode", "format_"),
    [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("RGBA", "WEBP"),
     ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("1", "PNG"), ("LA", "PNG"), ("PA", "TIFF"), ("L", "HEIF"), ("RGBA", "AVIF"),
     ("F", "TIFF"), ("I", "TIFF")],
)  # fmt: skip
def test_every_pixel_mode_becomes_a_thumbnail(mode, format_, thumbnail):
    picture = quarters(mode="P").convert("PA") if mode == "PA" else quarters(mode=mode)
    image = thumbnail(encoded(picture, format_))
    wanted = list(QUARTERS) if mode in ("P", "PA") else colours(picture.convert("RGB"))  # P is a pattern of dots
    if mode in ("F", "I"):  # stretched, so that yellow is white
        brightest = max(max(colour) for colour in wanted)
        wanted = [tuple(value * 255 // brightest for value in colour) for colour in wanted]
    assert image.mode == "RGB"
    if mode != "1":  # dots of black and white become greys
        assert are_alike(colours(image), wanted, tolerance=40 if mode == "CMYK" else 24)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [1023, 4095, 65_535])
def test_16_bit_pictures_are_stretched_to_what_is_in_them(format_, top, thumbnail):
    deep = Image.new("I", (64, 48), 0)
    deep.paste(top // 2, (0, 0, 32, 48))
    deep.paste(top, (32, 24, 64, 48))
    image = thumbnail(encoded(deep.convert("I;16"), format_))
    assert are_alike(colours(image), [(127,) * 3, (0,) * 3, (127,) * 3, (255,) * 3])


def test_a_float_picture_with_negative_values_and_a_flat_one_work(thumbnail):
    picture = Image.new("F", (64, 48), -1.0)
    picture.paste(1.0, (32, 0, 64, 48))
    assert are_alike(colours(thumbnail(encoded(picture, "TIFF"))), [(0,) * 3, (255,) * 3] * 2)
    assert are_alike(colours(thumbnail(encoded(Image.new("F", (64, 48), 0.0), "TIFF"))), [(0,) * 3] * 4)


def test_transparent_parts_lie_on_light_grey(thumbnail):
    clear = quarters(mode="RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 320, 240))
    palette = Image.new("P", (64, 48), 0)
    palette.putpalette([0, 0, 0, 220, 30, 30])
    palette.paste(1, (32, 0, 64, 48))
    keyed = Image.new("RGB", (64, 48), (1, 2, 3))
    for data in (
        encoded(clear, "PNG"),
        encoded(clear, "WEBP"),
        encoded(palette, "PNG", transparency=0),
        encoded(palette, "GIF", transparency=0),
        encoded(palette, "PNG", transparency=bytes([0, 255])),
        encoded(keyed, "PNG", transparency=(1, 2, 3)),
        encoded(keyed.convert("L"), "PNG", transparency=keyed.convert("L").getpixel((0, 0))),
    ):
        assert are_alike(colours(thumbnail(data))[:1], [BACKGROUND])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_coordinates_of_the_stored_pixels_fit_the_thumbnail(orientation, format_, decoders, at):
    """COCO's x / width must mean the same place on the thumbnail, whichever way EXIF turns the picture."""
    made = decoders.shrink(at(encoded(quarters(), format_, exif=with_exif(orientation))))
    image = Image.open(io.BytesIO(made.data))
    assert image.size == (320, 240)
    assert are_alike(colours(image), list(QUARTERS))
    assert made.picture.orientation == orientation


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_nothing_but_pixels_gets_into_a_thumbnail(format_, decoders, at):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = with_exif(6)
    options = {"exif": exif, "icc_profile": profile}
    if format_ not in ("TIFF", "AVIF", "HEIF"):
        options["xmp"] = b"<x:xmpmeta>home address</x:xmpmeta>"
    data = encoded(quarters(), format_, **options)
    assert b"Spy Camera" in data
    made = decoders.shrink(at(data)).data
    for secret in (b"EXIF", b"Exif", b"ICCP", b"XMP ", b"Spy Camera", b"home address"):
        assert secret not in made
    assert made[12:16] == b"VP8 "


def test_colours_are_turned_into_srgb(thumbnail):
    """With a profile whose red is sRGB's green, a red picture is a green one."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        profile = profile.replace(one, b"????").replace(other, one).replace(b"????", other)
    odd = profile.replace("sRGB".encode("utf-16-be"), "eRGB".encode("utf-16-be"))
    image = Image.new("RGB", (64, 48), (255, 0, 0))
    assert are_alike(colours(thumbnail(encoded(image, "PNG", icc_profile=odd)))[:1], [(0, 255, 0)])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_or_unfitting_colour_profile_is_ignored(mode, thumbnail):
    fits_rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    for profile in (b"rubbish", fits_rgb[:200], fits_rgb):
        assert thumbnail(encoded(quarters(mode=mode), "JPEG", icc_profile=profile)).size == (320, 240)


def test_an_animation_of_3000_frames_shows_its_first(thumbnail):
    frames = [Image.new("P", (16, 12), number % 2) for number in range(3_000)]
    frames[0] = quarters(16, 12).quantize(8)
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], optimize=False)
    assert are_alike(colours(thumbnail(data)), list(QUARTERS), tolerance=60)


@pytest.mark.parametrize("format_", ["TIFF", "WEBP", "PNG", "AVIF", "HEIF"])
def test_of_several_pages_or_frames_the_first_is_shown(format_, thumbnail):
    other = Image.new("RGB", (640, 480))
    data = encoded(quarters(), format_, save_all=True, append_images=[other, other])
    assert are_alike(colours(thumbnail(data)), list(QUARTERS))


# --- Broken pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("part", [0, 0.02, 0.3, 0.5, 0.9, 0.97])
def test_a_truncated_picture_is_broken(format_, part, decoders, at):
    noisy = Image.effect_noise((640, 480), 90).convert("RGB")
    data = encoded(noisy, format_)
    with pytest.raises(PictureError):
        decoders.shrink(at(data[: int(len(data) * part)]))


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 95, "subsampling": 0}, {"restart_marker_rows": 4}]
)
@pytest.mark.parametrize("size", [(640, 480), (5000, 3000), (200, 100)])
def test_a_jpeg_that_is_decoded_in_small_is_still_read_to_its_end(options, size, decoders, at):
    data = encoded(Image.effect_noise(size, 90).convert("RGB"), "JPEG", **options)
    assert decoders.shrink(at(data))
    for cut in (1_000, len(data) // 20):
        with pytest.raises(PictureError, match="cut off"):
            decoders.shrink(at(data[:-cut]))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": "preview"}])
def test_a_jpeg_whose_end_is_zeros_is_broken(options, decoders, at):
    """What a download that broke off leaves of a file that was given its full length before."""
    if options:
        preview = b"Exif\0\0" + file_of("JPEG", 64, 48)  # has an end marker of its own
        options = {**options, **({"exif": preview} if "exif" in options else {})}
    data = encoded(Image.effect_noise((640, 480), 90).convert("RGB"), "JPEG", **options)
    assert decoders.shrink(at(data + b"\0" * 5_000))  # after the end, anything may follow
    half = len(data) // 2
    with pytest.raises(PictureError, match="cut off"):
        decoders.shrink(at(data[:half] + b"\0" * (len(data) - half)))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_a_tiff_with_damaged_strips_is_broken(compression, decoders, at):
    options = {"compression": compression} if compression else {}
    data = encoded(Image.effect_noise((640, 480), 90).convert("RGB"), "TIFF", **options)
    half = len(data) // 2
    damaged = data[:half] if compression is None else data[:half] + b"\0" * 5_000 + data[half + 5_000 :]
    with pytest.raises(PictureError):
        decoders.shrink(at(damaged))


def test_a_bomb_is_refused_before_it_is_decoded(decoders, at):
    for side in (12_000, 20_000):
        before = time.perf_counter()
        with pytest.raises(PictureError, match="120,000,000 pixels"):
            decoders.shrink(at(huge_png(side)))
        assert time.perf_counter() - before < 5


def test_the_largest_allowed_picture_is_decoded(decoders, at):
    made = decoders.shrink(at(huge_png(10_900)), pixels=10_900**2)
    assert Image.open(io.BytesIO(made.data)).size == (320, 320)


def test_a_file_that_is_gone_is_not_a_broken_picture(decoders, tmp_path):
    with pytest.raises(FileNotFoundError):
        decoders.shrink(tmp_path / "gone.jpg")
    with pytest.raises(OSError, match=r"irectory|Permission"):
        decoders.shrink(tmp_path)


# --- Decoders that crash, hang and hoard ------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "reason"), [("crash", "SIGSEGV"), ("exit", "exit code 7"), ("long", "too long")])
def test_a_crash_costs_only_its_picture(kind, reason, at):
    files = [file_of("JPEG", 64 + number, 48) for number in range(20)]
    files[3] = files[11] = fault(kind)
    with Decoders(max_pixels=MAX_PIXELS, count=2, command=FAULTY) as pool, ThreadPoolExecutor(6) as threads:
        ends = [threads.submit(pool.shrink, at(data)) for data in files]
        errors = {number: end.exception() for number, end in enumerate(ends)}
    assert {number for number, error in errors.items() if error} == {3, 11}
    for number in (3, 11):
        assert isinstance(errors[number], PictureError)
        assert reason in str(errors[number])


def test_a_decoder_that_is_killed_by_somebody_else_costs_nothing(faulty, at):
    """The out-of-memory killer, an operator: the picture is tried again in a new process."""
    faulty.shrink(at(file_of("JPEG")))
    (pid,) = faulty.pids
    os.kill(pid, signal.SIGKILL)
    assert faulty.shrink(at(file_of("PNG"))).picture.format == "png"
    assert faulty.pids != [pid]


def test_a_picture_that_hangs_is_given_up_and_the_next_one_is_made(at):
    with Decoders(max_pixels=MAX_PIXELS, count=1, seconds=1.5, command=FAULTY) as pool:
        pool.shrink(at(file_of("JPEG")))
        for kind in ("hang", "sleep"):
            (pid,) = pool.pids
            before = time.perf_counter()
            with pytest.raises(PictureError, match=r"longer than 1\.5 seconds"):
                pool.shrink(at(fault(kind)))
            assert time.perf_counter() - before < 20
            assert not _runs(pid)
            assert pool.shrink(at(file_of("JPEG")))


def test_a_picture_that_hoards_memory_is_broken_and_its_decoder_lives(faulty, at):
    faulty.shrink(at(file_of("JPEG")))
    pids = faulty.pids
    with pytest.raises(PictureError, match="more memory"):
        faulty.shrink(at(fault("memory")))
    assert faulty.shrink(at(file_of("JPEG")))
    assert faulty.pids == pids


def test_memory_is_capped_by_the_size_of_the_picture(at, monkeypatch):
    """A decoder may take what pictures of this size need and no more: 10,000 x 10,000 need 100 MB here."""
    data = encoded(Image.new("L", (10_000, 10_000)), "PNG", compress_level=1)
    asked = {"path": str(at(data)), "max_pixels": MAX_PIXELS, "seconds": 60}
    program = "import sys, json; from assets import decoding; decoding.MEMORY = 0; decoding.MEMORY_PER_PIXEL = {}; {}"
    work = f"print(decoding._work(json.loads({json.dumps(json.dumps(asked))}), decoding.shrink)[0])"
    for per_pixel, wanted in ((0.5, "more memory"), (24, "picture")):
        code = program.format(per_pixel, work).replace("0.5", "1 // 2")
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=decoding.ROOT
        )
        assert wanted in told.stdout, told.stderr


def test_what_a_library_prints_is_not_taken_for_an_answer(faulty, at):
    with pytest.raises(PictureError, match="printed"):
        faulty.shrink(at(fault("print")))
    assert faulty.shrink(at(file_of("JPEG"))).picture.width == 640


def test_a_decoder_sees_no_secrets_and_writes_no_files(faulty, at, monkeypatch):
    monkeypatch.setenv("S3_SECRET_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@db/cocohub")
    with pytest.raises(PictureError) as told:
        faulty.shrink(at(fault("see")))
    assert set(json.loads(str(told.value))) <= {*decoding.ENVIRONMENT, "MALLOC_ARENA_MAX", "LC_CTYPE"}
    written = decoding.ROOT / "written-by-a-decoder"
    try:
        with pytest.raises(PictureError):
            faulty.shrink(at(fault("write")))
        assert not written.exists() or not written.read_bytes()
    finally:
        written.unlink(missing_ok=True)


def test_a_decoder_that_does_not_start_is_no_pictures_fault(at):
    with Decoders(max_pixels=MAX_PIXELS, count=1, command=(sys.executable, "-c", "raise SystemExit(3)")) as pool:
        with pytest.raises(DecodersUnwell, match="exit code 3"):
            pool.shrink(at(file_of("JPEG")))


def test_a_decoder_is_replaced_before_it_has_leaked_much(at, monkeypatch):
    monkeypatch.setattr(decoding, "PICTURES_PER_DECODER", 2)
    seen = []
    with Decoders(max_pixels=MAX_PIXELS, count=1) as pool:
        for _ in range(5):
            pool.shrink(at(file_of("JPEG", 8, 8)))
            seen += pool.pids
    assert len(set(seen)) == 3
    assert not any(map(_runs, seen))


def test_closing_ends_pictures_in_work_and_those_that_wait(at):
    pool = Decoders(max_pixels=MAX_PIXELS, count=1, command=FAULTY)
    errors = []

    def shrink():
        try:
            pool.shrink(at(fault("sleep")))
        except DecodersClosed as error:
            errors.append(error)

    threads = [threading.Thread(target=shrink) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not pool.pids:
        time.sleep(0.01)
    time.sleep(0.3)
    (pid,) = pool.pids
    pool.close()
    for thread in threads:
        thread.join(5)
    assert len(errors) == 3
    assert not _runs(pid)


# --- The process itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def process():
    started = subprocess.Popen(FAULTY, cwd=decoding.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told, _ = decoding.ANSWER.unpack(started.stdout.read(decoding.ANSWER.size))
    assert json.loads(started.stdout.read(told)) == {"ready": True}
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def _send(process, path, seconds):
    request = json.dumps({"path": str(path), "max_pixels": MAX_PIXELS, "seconds": seconds}).encode()
    process.stdin.write(decoding.REQUEST.pack(len(request)) + request)
    process.stdin.flush()


def test_a_decoder_ends_with_its_parent(process):
    process.stdin.close()
    assert process.wait(5) == 0


def test_a_decoder_that_hangs_ends_also_without_its_parent(process, at):
    _send(process, at(fault("hang")), 0.2)
    assert process.wait(15) == -signal.SIGXCPU


def test_ctrl_c_is_left_to_the_parent(process, at):
    os.kill(process.pid, signal.SIGINT)
    _send(process, at(file_of("JPEG")), 20)
    assert decoding.ANSWER.unpack(process.stdout.read(decoding.ANSWER.size))[1] > 100


def test_a_decoder_loads_neither_django_nor_celery():
    code = (
        "import assets.decoding, sys; print([name for name in ('django', 'celery', 'psycopg') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=decoding.ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("limit", "most"), [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("odd", 64)]
)
def test_decoders_are_as_many_as_cores_that_the_container_may_use(limit, most, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "CGROUP_CPU", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    (tmp_path / "cpu.max").write_text(limit)
    assert decoding.available_cores() == most


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
