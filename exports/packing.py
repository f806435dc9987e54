"""COCO exports as people take them away: a zip or a folder with a file per split and kind, and pictures."""

import zipfile
from collections.abc import Iterator
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
    names = dict(Split.objects.filter(pk__in=selection.splits()).values_list("pk", "name"))
    for split in selection.splits():
        for kind in [kind for kind in selection.kinds() if selection.annotations.get((split, kind))] or [Kind.OBJECT]:
            with add(f"annotations/{TOPICS[kind]}_{_safe(names[split])}.json", compress=True) as target:
                rendered = write_document(selection, target, kind=kind, splits=[split], progress=progress)
            total.annotations += rendered.annotations
            total.categories = max(total.categories, rendered.categories)
            total.notes += rendered.notes
        total.images += selection.images_by_split[split]
    if pictures:
        _write_pictures(selection, names, add, total, progress)
    return total


def _safe(name: str) -> str:
    """A split's name as part of a file name."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip(".") or "default"


def _picture_name(file_name: str | None, split: str, coco_id: int, format_: str) -> str:
    """A safe place below `images/{split}/` that ends as the record's name does."""
    parts = [part for part in (file_name or "").replace("\\", "/").split("/") if part not in ("", ".", "..")]
    parts = [part.replace(":", "_") if number == 0 else part for number, part in enumerate(parts)]
    return str(PurePosixPath("images", _safe(split), *(parts or [f"{coco_id}.{format_}"])))


def _write_pictures(
    selection: Selection, names: dict[int, str], add: Adder, total: Rendered, progress: Progress
) -> None:
    taken: set[str] = set()
    missing = done = 0
    count = sum(selection.images_by_split.values())
    for split, coco_id, file_name, uri, format_ in _pictures():
        name = _picture_name(file_name, names[split], coco_id, format_)
        if not uri:
            missing += 1
        elif name not in taken:
            taken.add(name)
            with default_storage.open(uri, "rb") as source, add(name, compress=False) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
        done += 1
        if done % 100 == 0:
            progress("pictures", done, count)
    progress("pictures", done, count)
    if missing:
        total.notes.append(f"{missing:,} image(s) have no stored picture.")


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
