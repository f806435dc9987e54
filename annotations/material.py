"""What an import is made of: its COCO files as files on this machine, where its pictures are, and what was recognised.

It comes as one COCO file, as a zip, as a folder, or as everything below a prefix of storage.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import orjson
from django.conf import settings
from django.core.files.storage import default_storage

from accounts.errors import ServiceError
from annotations import layouts
from annotations.coco.document import opened
from annotations.coco.images import ImageTable, read_images
from annotations.coco.problems import NoCocoFile, Problem
from annotations.drafts import told_if_full
from annotations.matching import match
from annotations.one_file import FileToImport
from annotations.report import Report
from annotations.sources import Archive, Beside, Folder, PictureSource, Stored, looks_like_picture
from assets import storage

ZIP_MAGIC = b"PK"
JSON_ENDINGS = (".json", ".json.gz")
MAX_BASE = 200  # bytes of a file name that every disk takes
MAX_LISTED = 2_000_000  # objects below a prefix

Check = Callable[[], None]


class TooMuch(Exception):
    """There is more JSON below a prefix than was to be looked at."""


@dataclass
class Material:
    """COCO files, pictures, and how both were recognised."""

    files: list[FileToImport]
    plan: layouts.Plan
    pictures: PictureSource | None

    @property
    def problems(self) -> list[Problem]:
        """Files of the data set that are not imported, for the report."""
        return self.plan.problems()


# --- Names of what lies in storage ------------------------------------------------------------------------------------


def incoming_key(name: str, field: str) -> str:
    """The storage key of something put into the bucket by who runs this: it must lie below IMPORT_PREFIX.

    Other keys hold other projects' files. A prefix ends with "/". Raises ServiceError, naming the input field.
    """
    prefix = settings.IMPORT_PREFIX
    parts = name.removesuffix("/").split("/")
    odd = "\\" in name or not name.isprintable() or len(name) > 1000 or any(part in ("", ".", "..") for part in parts)
    if prefix == "/" or odd or not name.startswith(prefix):
        where = f"below {prefix!r}" if prefix != "/" else "nowhere: IMPORT_PREFIX is not set"
        text = f"{name[:100]!r} cannot be imported; what lies in storage can be named {where}."
        raise ServiceError(text, fields={field: [text]})
    there = bool(listing(name, 1)) if name.endswith("/") else default_storage.exists(name)
    if not there:
        text = f"There is nothing called {name!r} in storage."
        raise ServiceError(text, fields={field: [text]})
    return name


def listing(prefix: str, limit: int = MAX_LISTED) -> dict[str, str]:
    """{name below the prefix: key} of what lies there, `limit` of them at most; dot files are passed over."""
    found: dict[str, str] = {}
    waiting = [prefix]
    while waiting and len(found) < limit:
        folder = waiting.pop()
        try:
            folders, files = default_storage.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        waiting += [f"{folder}{name}/" for name in sorted(folders, reverse=True) if name and not name.startswith(".")]
        for name in sorted(files):
            if name and not name.startswith("."):
                found[f"{folder}{name}".removeprefix(prefix)] = f"{folder}{name}"
    return found


# --- Where it comes from ----------------------------------------------------------------------------------------------


def is_zip(file: IO[bytes]) -> bool:
    """Whether the file begins like a zip, or is called one and so should be; it is rewound."""
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    return magic == ZIP_MAGIC or str(getattr(file, "name", "")).lower().endswith(".zip")


@contextmanager
def stored_pictures(key: str) -> Iterator[PictureSource | None]:
    """The pictures behind a storage key: a zip, a list of single files, or all below a prefix."""
    if not key:
        yield None
    elif key.endswith("/"):
        yield Stored({name: place for name, place in listing(key).items() if looks_like_picture(name)})
    elif key.endswith("/images.json"):
        with default_storage.open(key) as listed:
            yield Stored(orjson.loads(listed.read()))
    else:
        with storage.local_copy(key) as path:
            yield Archive(path, "the pictures' zip")


@contextmanager
def stored(
    key: str, name: str, images_key: str, *, split: str, splits: Mapping[str, str], check: Check = lambda: None
) -> Iterator[Material]:
    """What lies in storage under these keys. `name` is what the COCO file or zip was called."""
    with stored_pictures(images_key) as pictures:
        if key.endswith("/"):
            with below(key, pictures, split, splits, check) as material:
                yield material
            return
        with storage.local_copy(key) as path, on_disk(path, name, pictures, split, splits, check) as material:
            yield material


@contextmanager
def on_disk(
    path: Path,
    name: str,
    pictures: PictureSource | None,
    split: str,
    splits: Mapping[str, str],
    check: Check = lambda: None,
) -> Iterator[Material]:
    """A COCO file or a zip with COCO files and pictures, on this machine."""
    with path.open("rb") as file:
        packed = is_zip(file)
    if not packed:
        called = PurePosixPath(name or "data.json")
        planned = layouts.Planned(str(called), split or layouts.split_of(called), layouts.topic_of(called))
        plan = _overridden(layouts.Plan("COCO file", [planned]), splits)
        yield Material(files_of(plan, lambda _: path), plan, pictures)
        return
    with ExitStack() as stack:
        archive = Archive(path, name)
        stack.callback(archive.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR)))
        paths: dict[str, Path] = {}
        for number, inner in enumerate(json_names(archive)):
            base = PurePosixPath(inner).name  # errors name the file as it was called
            paths[inner] = folder / str(number) / (base if len(base.encode()) <= MAX_BASE else f"{number}.json")
            paths[inner].parent.mkdir()
            with archive.open(inner) as source:
                _copy(source, paths[inner], check)
        plan = _overridden(layouts.plan(paths, paths.__getitem__, split=split), splits)
        yield Material(files_of(plan, paths.__getitem__, archive.names), plan, pictures or archive)


@contextmanager
def below(
    prefix: str,
    pictures: PictureSource | None,
    split: str,
    splits: Mapping[str, str],
    check: Check,
    limit: int | None = None,
) -> Iterator[Material]:
    """COCO files and pictures below a prefix of storage. Raises TooMuch for more than `limit` bytes of JSON."""
    found = listing(prefix)
    names = [name for name in found if name.lower().endswith(JSON_ENDINGS)]
    if limit is not None and sum(default_storage.size(found[name]) for name in names) > limit:
        raise TooMuch
    with ExitStack() as stack:
        paths: dict[str, Path] = {}
        for name in names:
            check()
            paths[name] = stack.enter_context(storage.local_copy(found[name]))
        plan = _overridden(layouts.plan(paths, paths.__getitem__, split=split), splits)
        beside = Stored({name: key for name, key in found.items() if looks_like_picture(name)})
        files = files_of(plan, paths.__getitem__, lambda: sorted(found))
        yield Material(files, plan, pictures or (beside if beside.keys else None))


def in_folder(root: Path, split: str, splits: Mapping[str, str]) -> Material:
    """The COCO files and pictures of a data set folder on this machine."""
    names = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*"))
        if path.name.endswith(JSON_ENDINGS) and path.is_file() and not path.name.startswith(".")
    ]
    plan = _overridden(layouts.plan(names, lambda name: root / name, split=split), splits)
    pictures = Folder(root)
    return Material(files_of(plan, lambda name: root / name, pictures.names), plan, pictures)


def json_names(archive: Archive) -> list[str]:
    """The zip's JSON files."""
    return [name for ending in JSON_ENDINGS for name in archive.files(ending)]


def _copy(source: IO[bytes], path: Path, check: Check) -> None:
    with told_if_full(), path.open("wb") as target:
        while chunk := source.read(storage.CHUNK):
            check()
            target.write(chunk)


def _overridden(plan: layouts.Plan, splits: Mapping[str, str]) -> layouts.Plan:
    """The plan with the splits that were given for single files, and without those whose split is to be none.

    Raises ServiceError for a file that is not in it.
    """
    names = {file.name for file in plan.files}
    for name in splits:
        if name not in names:
            known = ", ".join(map(repr, sorted(names)[:10])) or "none"
            text = f"A split is given for {name[:200]!r}, which is no COCO file of this data set. Its files: {known}."
            raise ServiceError(text, fields={"splits": [text]})
    plan.passed_over |= {name: "it is to be left out." for name, split in splits.items() if split == layouts.LEFT_OUT}
    overridden = [replace(file, split=splits.get(file.name, file.split)) for file in plan.files]
    plan.files = [file for file in overridden if file.split != layouts.LEFT_OUT]
    return plan


def files_of(
    plan: layouts.Plan, path_of: Callable[[str], Path], others: Callable[[], list[str]] = list
) -> list[FileToImport]:
    """The plan's files. Raises NoCocoFile, telling what is there instead, if there is nothing to import."""
    if not plan.files:
        listed = "; ".join(f"{name}: {why}" for name, why in list(plan.passed_over.items())[:5])
        listed = listed or f"no JSON file; found: {', '.join(others()[:5]) or 'nothing of use'}"
        wanted = "Expected a .json file such as annotations/instances_train.json."
        raise NoCocoFile(f"There is no COCO file to import ({listed}). {wanted}")
    several = len(plan.files) > 1
    return [
        FileToImport(path_of(file.name), file.split, file.name if several else "", PurePosixPath(file.name).name)
        for file in plan.files
    ]


# --- Looking before anything is written -------------------------------------------------------------------------------


def survey(material: Material) -> dict[str, Any]:
    """What an import of this would do: layout, files with their splits and numbers, and which pictures are theirs."""
    files: list[dict[str, Any]] = []
    used: set[str] = set()
    source = material.pictures
    for planned, file in zip(material.plan.files, material.files, strict=True):
        quiet = Report()
        with opened(file.path, file.name) as document:
            names = [record.file_name for record in read_images(document.images, ImageTable(), quiet)]
            told: dict[str, Any] = {
                "file": planned.name,
                "split": planned.split,
                "topic": planned.topic,
                "images": len(names),
                "annotations": len(document.annotations),
                "categories": len(document.categories),
            }
        quiet.close()
        if source is not None:
            wanted = [name for name in names if name is not None]
            matches = match(wanted, source.names_for(wanted), prefer=file.split)
            used.update(matches.found.values())
            unsure = len(matches.ambiguous) + len(matches.contested)
            matched = sum(1 for name in wanted if name in matches.found)
            told["pictures"] = {"matched": matched, "ambiguous": unsure, "missing": len(names) - matched - unsure}
        files.append(told)
    return {
        "layout": material.plan.layout,
        "files": files,
        "passed_over": [{"file": name, "why": why} for name, why in material.plan.passed_over.items()],
        "pictures": None if source is None else _pictures(source, used),
    }


def _pictures(source: PictureSource, used: set[str]) -> dict[str, int]:
    names = source.names()
    left = 0 if isinstance(source, Beside) else sum(1 for name in names if name not in used)
    return {"found": len(names), "used": len(used), "unreferenced": left}
