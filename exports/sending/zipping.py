"""The images of one task as a zip that CVAT can make frames of: each decoded to its end, the same bytes each time."""

import hashlib
import io
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

from assets import storage
from exports.cvat.picturing import BadImage, frame_size, look, stored_size, unturned
from exports.packing import EPOCH, UNIX
from exports.snapshots import FrozenImage

THREADS = 2  # pictures that are in memory at once, and one more


@dataclass
class Packed:
    """What CVAT is to get: name and size in pixels of each frame, and why images are left out, by their places."""

    names: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    sha256: str = ""  # of the zip
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Looked:
    content: bytes  # as it is to be shown
    size: tuple[int, int]
    as_stored: bool


_Seen = _Looked | BadImage
_Known = dict[int, tuple[int, int]] | None


def build(
    target: IO[bytes],
    images: Iterable[FrozenImage],
    *,
    known: _Known = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Packed:
    """Write the zip, and read it again to the end.

    Each picture must have the checksum that was frozen, decode whole, and have the size that its record says; otherwise
    it is left out with the reason. `known` are the sizes of those that an earlier turn has decoded, by their places:
    only these are taken then, without decoding them again.
    """
    done = Packed()
    wanted = ((place, image) for place, image in enumerate(images) if known is None or place in known)
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for place, image, looked in _looked_at(wanted, known):
            progress(place)
            if isinstance(looked, BadImage):
                done.problems[place] = str(looked)
                continue
            archive.writestr(_entry(image.name), looked.content)
            done.names[place], done.sizes[place] = image.name, looked.size
    _verify(target, done)
    return done


def in_bucket(images: Iterable[FrozenImage], progress: Callable[[int], None] = lambda done: None) -> Packed | None:
    """The same pictures for CVAT to read from our bucket, by their storage keys.

    None where one would not be shown as it is meant (turned by EXIF), or two images share one: then they need a zip.
    """
    done = Packed()
    keys: set[str] = set()
    for place, image, looked in _looked_at(iter(enumerate(images)), None):
        progress(place)
        if isinstance(looked, BadImage):
            done.problems[place] = str(looked)
            continue
        if not looked.as_stored or image.uri in keys:
            return None
        keys.add(image.uri)
        done.names[place], done.sizes[place] = image.uri, looked.size
    return done


def _looked_at(images: Iterator[tuple[int, FrozenImage]], known: _Known) -> Iterator[tuple[int, FrozenImage, _Seen]]:
    """The images in their order, read and decoded a few ahead; decoders leave Python to others meanwhile."""

    def looked(place: int, image: FrozenImage) -> _Seen:
        try:
            stored = _content(image)
            if known is not None:
                content, size = as_recorded(stored, image), known[place]
            else:
                content, size = _decoded(stored, image)
            return _Looked(content, size, as_stored=content is stored)
        except BadImage as error:
            return error

    ahead: deque[tuple[int, FrozenImage, Future[_Seen]]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="pictures") as pool:
        try:
            for place, image in images:
                ahead.append((place, image, pool.submit(looked, place, image)))
                if len(ahead) > THREADS:
                    first, its, result = ahead.popleft()
                    yield first, its, result.result()
            while ahead:
                first, its, result = ahead.popleft()
                yield first, its, result.result()
        finally:
            for _, _, result in ahead:
                result.cancel()


def as_recorded(content: bytes, image: FrozenImage) -> bytes:
    """The picture as its record means it: COCO counts stored pixels, CVAT shows them turned by EXIF.

    So the orientation is taken out, unless the record's width and height are those after turning.
    """
    (width, height), turns = stored_size(content)
    if not turns:
        return content
    shown = frame_size(io.BytesIO(content))
    if shown != (width, height) and shown == (image.width, image.height):
        return content
    return unturned(content)


def _content(image: FrozenImage) -> bytes:
    if image.problem:
        raise BadImage(image.problem)
    stored = storage.read(image.uri)
    if stored is None:
        raise BadImage("its picture has been deleted since")
    with stored:
        content: bytes = stored.read()
    if image.checksum and hashlib.sha256(content).hexdigest() != image.checksum:
        raise BadImage("its picture is not the one that was there when the export was made")
    return content


def _decoded(content: bytes, image: FrozenImage) -> tuple[bytes, tuple[int, int]]:
    """The picture as its record means it (`as_recorded`), and its size; decoded to its end."""
    looks = look(io.BytesIO(content))
    size = looks.shown
    if looks.turns and (looks.shown == looks.stored or looks.shown != (image.width, image.height)):
        content, size = unturned(content), looks.stored
    recorded = (image.width or size[0], image.height or size[1])
    if recorded != size:
        raise BadImage(
            f"it is {size[0]} x {size[1]}, its record says {recorded[0]} x {recorded[1]}: annotations would be in the "
            "wrong places"
        )
    return content, size


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system = UNIX
    info.compress_type = zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info


def _verify(target: IO[bytes], done: Packed) -> None:
    target.flush()
    done.size_bytes = target.tell()
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        if archive.testzip() is not None or sorted(names) != sorted(done.names.values()):
            raise OSError("The zip of images cannot be read back as it was written.")
    target.seek(0)
    digest = hashlib.sha256()
    while part := target.read(1024 * 1024):
        digest.update(part)
    done.sha256 = digest.hexdigest()
    target.seek(0)
