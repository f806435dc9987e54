"""Where pictures come from: a folder or a zip. Names are POSIX paths inside it; nothing is read outside of it."""

import os
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import default_storage

from accounts.errors import ServiceError, TooLarge
from annotations.coco.problems import Action, Problem

PICTURE_ENDINGS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".heic",
        ".heif",
        ".avif",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".svg",
        ".psd",
        ".eps",
        ".fits",
        ".ico",
        ".jp2",
    ]
)
MAX_RATIO = 1_000  # how far an entry may unpack; deflate's own limit is about 1,032
# What zipfile raises for an entry that is not what it says.
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, UnicodeDecodeError)
UTF8_NAME = 0x800  # flag of a zip entry
ENTRY_SIGNATURE = b"PK\x01\x02"  # begins each entry of a zip's table of contents
ENTRY_BYTES = 512  # that an entry takes there, its name included, on average at most
SMALL_TABLE = 128 * 1024  # bytes: whatever the names, and more than the end of a zip with the longest comment
SMALL_ENTRY = 10 * 1024 * 1024  # bytes: entries below it may have any ratio


class Unreadable(ServiceError):
    """One file of a source cannot be read."""


class PictureSource(ABC):
    """A set of files that may hold pictures."""

    notes: list[Problem]  # what was passed over

    @abstractmethod
    def names(self) -> list[str]:
        """All files that look like pictures, as POSIX paths."""

    def names_for(self, wanted: Iterable[str]) -> list[str]:
        """Files among which the pictures of these record names may be.

        All that look like pictures, where looking at all is cheap, and those of just these names that do not.
        """
        return self.names() + [name for name in wanted if not looks_like_picture(name) and self.has(name)]

    def has(self, name: str) -> bool:
        """Whether there is a file of just this name."""
        return False

    @abstractmethod
    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read one of them. Raises Unreadable, also while it is read."""


def looks_like_picture(name: str) -> bool:
    """Whether the name has a picture's ending."""
    return PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS


class Folder(PictureSource):
    """Pictures in a folder on this machine. Links that lead out of it are passed over."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.notes = []
        self._found: list[str] | None = None

    def names(self) -> list[str]:
        """Every file below the folder with a picture's ending, sorted."""
        if self._found is not None:
            return self._found
        found = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                if not name.startswith(".") and looks_like_picture(name):
                    found.append(Path(folder, name).relative_to(self.root).as_posix())
        self._found = sorted(found)
        return self._found

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read a file below the folder. Raises Unreadable if it is a link that leads elsewhere."""
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root):
            raise Unreadable("it leads out of the folder")
        try:
            file = path.open("rb")
        except (PermissionError, IsADirectoryError, FileNotFoundError, NotADirectoryError) as error:
            raise Unreadable(f"it cannot be opened: {error.strerror}") from None
        with file:
            yield file

    def has(self, name: str) -> bool:
        """Whether there is a file of just this name below the folder."""
        path = PurePosixPath(name)
        return not path.is_absolute() and ".." not in path.parts and os.path.isfile(self.root / name)


class Beside(Folder):
    """Pictures that lie near a COCO file: looked for by the names of its records, the folder is not searched."""

    def __init__(self, root: Path, split: str) -> None:
        super().__init__(root)
        self._folders = ["", "images", split, f"images/{split}", *_year_folders(root, split)]
        self._seen: set[str] = set()

    def names(self) -> list[str]:
        """What was found so far: what else lies in the folder is none of ours."""
        return sorted(self._seen)

    def names_for(self, wanted: Iterable[str]) -> list[str]:
        """Those of the wanted names that are there, in the root or one of its picture folders."""
        found = []
        for name in wanted:
            clean = PurePosixPath(name.replace("\\", "/"))
            if clean.is_absolute() or ".." in clean.parts or not clean.name:
                continue
            for folder in self._folders:
                relative = PurePosixPath(folder) / clean
                if os.path.isfile(self.root / relative):  # unlike Path.is_file, it takes too long a name for no file
                    found.append(str(relative))
                    break
        self._seen.update(found)
        return found


def _year_folders(root: Path, split: str) -> list[str]:
    """Folders such as `train2017` that hold a split's pictures."""
    pattern = re.compile(rf"{re.escape(split)}\d{{4}}")
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and pattern.fullmatch(entry.name))


class Stored(PictureSource):
    """Pictures that were uploaded one by one: their names, and the keys under which they wait in storage."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys
        self.notes = []

    def names(self) -> list[str]:
        """The names that the client gave, sorted."""
        return sorted(self.keys)

    def has(self, name: str) -> bool:
        """Whether one was given by just this name."""
        return name in self.keys

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read one of them."""
        with default_storage.open(self.keys[name], "rb") as file:
            yield file


class _TableOfContents:
    """A zip's file while its table of contents is read: all of it at once, and only if it has no more than the most
    entries.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int = -1) -> bytes:
        """Read like the file. Raises TooLarge before more is held than a table of so many entries can need."""
        most = settings.MAX_ARCHIVE_ENTRIES
        if size > most * ENTRY_BYTES + SMALL_TABLE:
            raise TooLarge(f"The archive's table of contents has {size:,} bytes: {most:,} entries are the most.")
        data = self._file.read(size)
        if (found := data.count(ENTRY_SIGNATURE)) > most:
            raise TooLarge(f"The archive has {found:,} entries; {most:,} is the most.")
        return data


class _Zip(zipfile.ZipFile):
    """A zip whose entries are counted before Python makes an object of each: some 600 bytes for 46 of the file."""

    def _RealGetContents(self) -> None:
        file: Any = self.fp
        self.fp = _TableOfContents(file)  # type: ignore[assignment]
        try:
            super()._RealGetContents()  # type: ignore[misc]
        finally:
            self.fp = file


class Archive(PictureSource):
    """Pictures in a zip. Entries are checked before any is unpacked: caps, methods, names, overlaps."""

    def __init__(self, file: IO[bytes] | Path, label: str = "the archive") -> None:
        self.notes = []
        self.label = label
        try:
            self.zip = _Zip(file)
            self._infos = self._checked(self.zip.infolist())
        except (zipfile.BadZipFile, EOFError, ValueError, OSError, NotImplementedError) as error:
            raise ServiceError(f"{label} is no usable zip ({error}). Make it again and send it whole.") from None

    def _checked(self, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(infos) > settings.MAX_ARCHIVE_ENTRIES:
            raise TooLarge(f"{self.label} has {len(infos):,} entries; {settings.MAX_ARCHIVE_ENTRIES:,} is the most.")
        total, end, found = 0, 0, {}
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise ServiceError(f"{self.label} has overlapping entries (at {info.filename[:100]!r}). Make it again.")
            end = info.header_offset + 30 + info.compress_size
            total += info.file_size
            if info.flag_bits & 0x1:
                raise ServiceError(f"{self.label} is encrypted; send it without a password.")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ServiceError(
                    f"{self.label} is packed by method {info.compress_type} ({info.filename[:100]!r}); "
                    "only 'stored' and 'deflate' are read."
                )
            if info.file_size > SMALL_ENTRY and info.file_size > MAX_RATIO * max(info.compress_size, 1):
                raise TooLarge(f"{info.filename[:100]!r} in {self.label} unpacks {MAX_RATIO} times or more: refused.")
            if total > settings.MAX_ARCHIVE_BYTES:
                raise TooLarge(f"{self.label} unpacks to more than {settings.MAX_ARCHIVE_BYTES:,} bytes.")
            name = self._name(info)
            if name is None:
                continue
            if name in found:
                self._note("duplicate_entry", name, "The archive has this name twice: the last was taken.")
            found[name] = info
        return found

    def _note(self, code: str, name: str, message: str, action: Action = Action.QUARANTINED) -> None:
        self.notes.append(Problem(code, action, name[:200], message))

    def _name(self, info: zipfile.ZipInfo) -> str | None:
        name = _decoded(info).replace("\\", "/")
        path = PurePosixPath(name)
        if name.endswith("/") or not path.name:  # a folder, or nothing: ZipInfo.is_dir fails for an empty name
            return None
        if "__MACOSX" in path.parts or path.name.startswith("."):
            self._note("ignored_entry", name, "A hidden file or one of macOS's own: passed over.", Action.KEPT)
        elif path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
            self._note("unsafe_entry", name, "The entry's name leads out of the archive: passed over.", Action.KEPT)
        elif (info.external_attr >> 16) & 0o170000 == 0o120000:
            self._note("link_entry", name, "The entry is a symbolic link: passed over.", Action.KEPT)
        elif path.suffix.lower() == ".zip":
            self._note("nested_archive", name, "An archive in the archive: passed over.", Action.KEPT)
        else:
            return str(path)
        return None

    def size(self, name: str) -> int:
        """How many bytes an entry says that it has."""
        return self._infos[name].file_size

    def files(self, ending: str) -> list[str]:
        """Names of all entries with this ending, sorted."""
        return sorted(name for name in self._infos if name.lower().endswith(ending))

    def names(self) -> list[str]:
        """Names of all entries that look like pictures, sorted."""
        return sorted(filter(looks_like_picture, self._infos))

    def has(self, name: str) -> bool:
        """Whether there is an entry of just this name."""
        return name in self._infos

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read an entry. Raises Unreadable, also while it is read, where its size, method or checksum was a lie."""
        try:
            with self.zip.open(self._infos[name]) as entry:
                yield entry
        except DAMAGED as error:
            raise Unreadable(f"{name[:200]!r} in {self.label} is damaged ({error})") from None

    def close(self) -> None:
        """Let go of the file."""
        self.zip.close()


def _decoded(info: zipfile.ZipInfo) -> str:
    """The entry's name. Where it is not marked as UTF-8 it may be so all the same (macOS), or Korean (Windows)."""
    if info.flag_bits & UTF8_NAME or info.filename.isascii():
        return info.filename
    for encoding in ("utf-8", "euc_kr"):
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode(encoding)
    return info.filename
