"""COCO exports as people take them away: a zip or a folder with a file per split and kind, and pictures."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from django.core.files.storage import default_storage
from django.db import connection

from annotations.models import Kind
from assets.models import Split
from exports.rendering import Progress, Rendered, Selection, write_document

CHUNK = 1024 * 1024  # bytes
TOPICS = {Kind.OBJECT: "instances", Kind.CAPTION: "captions", Kind.PANOPTIC: "panoptic"}
LONGEST_NAME = 255  # bytes of a file's name on most disks
UNIX = 3  # where a zip says it was made, wherever that was
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same export is the same bytes


class Adder(Protocol):
    """Adds files to a package: call it with a name and write to what it gives."""

    def __call__(self, name: str, *, compress: bool) -> AbstractContextManager[IO[bytes]]:
        """Open a new file of the package for writing."""


def write_package(
    selection: Selection, add: Adder, *, pictures: bool, progress: Progress = lambda phase, done, total: None
) -> Rendered:
    """Write `annotations/{topic}_{split}.json` for each split and kind, and `images/{split}/...` if asked for."""
    total = Rendered()
    splits = _names_of(selection.splits())
    for split, name in splits.items():
        for kind in [kind for kind in selection.kinds() if selection.annotations.get((split, kind))] or [Kind.OBJECT]:
            with add(f"annotations/{TOPICS[kind]}_{name}.json", compress=True) as target:
                rendered = write_document(selection, target, kind=kind, splits=[split], progress=progress)
            total.annotations += rendered.annotations
            total.categories = max(total.categories, rendered.categories)
            total.notes += rendered.notes
        total.images += selection.images_by_split.get(split, 0)
    if pictures:
        _write_pictures(selection, splits, add, total, progress)
    return total


def _names_of(splits: Sequence[int]) -> dict[int, str]:
    """The splits' names as parts of file names: no two alike, also where upper and lower case are one."""
    names: dict[int, str] = {}
    for key, name in Split.objects.filter(pk__in=splits).order_by("pk").values_list("pk", "name"):
        safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip(".") or "default"
        taken = {other.casefold() for other in names.values()}
        names[key] = safe if safe.casefold() not in taken else f"{safe}_{key}"
    return names


def _picture_name(file_name: str | None, split: str, coco_id: int, format_: str) -> str:
    """A safe place below `images/{split}/` that ends as the record's name does."""
    parts = [part for part in (file_name or "").replace("\\", "/").split("/") if part not in ("", ".", "..")]
    parts = [part.replace(":", "_") if number == 0 else part for number, part in enumerate(parts)]
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        parts = []
    return str(PurePosixPath("images", split, *(parts or [f"{coco_id}.{format_}"])))


class _Places:
    """Which names of a package are taken by which picture; a name that is taken cannot be a folder as well."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()

    def is_free(self, name: str, uri: str) -> bool:
        """Whether the picture can have the name, or has it already."""
        folded = PurePosixPath(name.casefold())
        if str(folded) in self.files:
            return self.files[str(folded)] == uri
        above = [str(folder) for folder in folded.parents]
        return str(folded) not in self.folders and not any(folder in self.files for folder in above)

    def take(self, name: str, uri: str) -> bool:
        """Give the name to the picture; False if it has it already."""
        folded = PurePosixPath(name.casefold())
        if str(folded) in self.files:
            return False
        self.files[str(folded)] = uri
        self.folders.update(str(folder) for folder in folded.parents)
        return True


def _write_pictures(
    selection: Selection, splits: dict[int, str], add: Adder, total: Rendered, progress: Progress
) -> None:
    places = _Places()
    missing = renamed = done = 0
    count = sum(selection.images_by_split.values())
    for split, coco_id, file_name, uri, format_ in _pictures():
        name = _picture_name(file_name, splits[split], coco_id, format_)
        if uri and not places.is_free(name, uri):
            renamed += 1
            name = f"images/{splits[split]}/_{coco_id}.{format_}"
        if not uri:
            missing += 1
        elif places.take(name, uri):
            with default_storage.open(uri, "rb") as source, add(name, compress=False) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
        done += 1
        if done % 100 == 0:
            progress("pictures", done, count)
    progress("pictures", done, count)
    if missing:
        total.notes.append(f"{missing:,} image(s) have no stored picture.")
    if renamed:
        total.notes.append(
            f"{renamed:,} picture(s) are named by their id (images/.../_ID), for others have their file names."
        )


def _pictures() -> Iterator[tuple[int, int, str | None, str, str]]:
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT i.id, i.split_id, i.coco_id, i.file_name, i.uri, i.format FROM chosen_image "
                "JOIN assets_imageasset i USING (id) WHERE i.id > %s ORDER BY i.id LIMIT 1000",
                [last],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        for row in rows:
            yield row[1:]
        last = rows[-1][0]


class ZipAdder:
    """A zip. Pictures are stored as they are, for they are compressed already."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive

    @contextmanager
    def __call__(self, name: str, *, compress: bool) -> Iterator[IO[bytes]]:
        """Open a new entry."""
        info = zipfile.ZipInfo(name, EPOCH)
        info.create_system = UNIX
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o644 << 16
        with self.archive.open(info, "w", force_zip64=True) as target:
            yield target


class FolderAdder:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def __call__(self, name: str, *, compress: bool) -> Iterator[IO[bytes]]:
        """Open a new file, making its folders."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            yield target
