"""Names that CVAT keeps as they are: labels, attributes and files in the zip. What has to change is kept in a map."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

MAX_NAME = 64  # characters of a label, a sublabel or an attribute
MAX_PART = 200  # bytes of one folder or file name; file systems end at 255
MAX_PATH = 900  # bytes
# CVAT's own COCO export uses these words itself.
RESERVED = frozenset({"score", "occluded", "rotation", "track_id", "keyframe"})
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
PASSED_OVER = "__MACOSX"  # a folder whose images CVAT does not take
CONTEXT = "related_images"  # a folder whose images it takes for context, not for frames


def label_names(names: Iterable[str]) -> dict[str, str]:
    """CVAT's name for each of ours: trimmed, at most 64 characters, unique. Keep the map, and find labels by their id.

    Names that need no change get theirs first, so that nobody else's cut name takes it.
    """
    wanted = list(dict.fromkeys(names))
    given: dict[str, str] = {}
    taken: set[str] = set()
    fine = [name for name in wanted if _trimmed(name) == name]
    for name in [*fine, *(name for name in wanted if name not in set(fine))]:
        given[name] = _unique(_trimmed(name), taken)
        taken.add(given[name])
    return {name: given[name] for name in wanted}


def attribute_names(names: Iterable[str]) -> dict[str, str]:
    """The same for attributes; words that CVAT's exports use themselves get a line behind them."""
    wanted = list(dict.fromkeys(names))
    safe = {name: f"{_trimmed(name)}_" if _trimmed(name).lower() in RESERVED else name for name in wanted}
    given = label_names(safe.values())
    return {name: given[safe[name]] for name in wanted}


def zip_names(files: Mapping[str, str]) -> dict[str, str]:
    """A path in the zip for each image, by a key of the caller's (its id): clean, unique, taken by CVAT as a frame.

    `files` has the file name of each. Folders stay; what CVAT refuses (`..`, backslashes, a slash in front), passes
    over (other endings, `__MACOSX`) or takes for context is rewritten. The same input gives the same result.
    """
    given: dict[str, str] = {}
    taken: set[str] = set()
    folders: set[str] = set()
    clean = {key: _path(name) for key, name in files.items()}
    fine = [key for key, name in files.items() if clean[key] == name]
    for key in [*fine, *(key for key in files if clean[key] != files[key])]:
        path = clean[key]
        number = 2
        # A file cannot have the name of a folder: the zip would unpack into a mess.
        while path in taken or path in folders or any(parent in taken for parent in _parents(path)):
            path = _numbered(clean[key], number, any(parent in taken for parent in _parents(clean[key])))
            number += 1
        taken.add(path)
        folders.update(_parents(path))
        given[key] = path
    return {key: given[key] for key in files}


def _trimmed(name: str) -> str:
    clean = re.sub(r"[\x00-\x1f\x7f]+", " ", name).strip() or "unnamed"
    return clean if len(clean) <= MAX_NAME else clean[:MAX_NAME].rstrip()


def _unique(name: str, taken: set[str]) -> str:
    number = 2
    found = name
    while found in taken:
        ending = f"~{number}"
        found = name[: MAX_NAME - len(ending)].rstrip() + ending
        number += 1
    return found


def _path(name: str) -> str:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    parts = [_part(part) for part in parts]
    parts = [f"{part}_" if part in (PASSED_OVER, CONTEXT) else part for part in parts[:-1]] + parts[-1:]
    path = "/".join(parts) or "image"
    if PurePosixPath(path).suffix.lower() not in IMAGES:
        path += ".jpg"  # CVAT looks at the bytes; the ending only makes it look at all
    if len(path.encode()) > MAX_PATH:
        path = f"{hashlib.sha256(path.encode()).hexdigest()[:32]}{PurePosixPath(path).suffix}"
    return path


def _part(part: str) -> str:
    clean = re.sub(r"[\x00-\x1f\x7f:*?\"<>|]", "_", part.encode("utf-8", "replace").decode()).strip()
    if len(clean.encode()) > MAX_PART:
        suffix = PurePosixPath(clean).suffix[:10]
        mark = hashlib.sha256(clean.encode()).hexdigest()[:12]
        clean = clean.encode()[: MAX_PART - 24].decode("utf-8", "ignore") + f"~{mark}{suffix}"
    return clean or "_"


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _numbered(path: str, number: int, folder: bool) -> str:
    if folder:
        first, _, rest = path.partition("/")
        return f"{first}~{number}/{rest}"
    place = PurePosixPath(path)
    return str(place.with_name(f"{place.stem}~{number}{place.suffix}"))
