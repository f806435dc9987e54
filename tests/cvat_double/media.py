"""What becomes of an uploaded zip: frames, context images, or a failure in CVAT's words."""

import io
import json
import random
import re
import zipfile
from pathlib import PurePosixPath
from typing import Any

from PIL import Image

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
TRANSPOSED = (5, 6, 7, 8)
ORDERS = ("lexicographical", "natural", "predefined", "random")
MANIFEST_MISSING = (
    "FileNotFoundError: Can't find upload manifest file 'manifest.jsonl' in the uploaded files. When the 'predefined' "
    "sorting method is used, this file is required in the input files.\n"
)


class CreationError(Exception):
    """The message of a failed request."""

    def __init__(self, message: str, *, spoils: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.spoils = spoils


def frames_of(files: dict[str, bytes], announced: list[str], sorting: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Frames and their bytes, in CVAT's order."""
    manifests = [name for name in files if name.endswith(".jsonl")]
    names = [name for name in dict.fromkeys(announced) if not name.endswith(".jsonl")]
    zips = [name for name in names if name.endswith(".zip")]
    loose = [name for name in names if not name.endswith(".zip")]
    if not names:
        raise CreationError("ValueError: No media data found\n")
    if len(zips) > 1 or (zips and loose):
        raise CreationError(
            "ValueError: Only one video, archive, pdf, zip or many image, directory can be used simultaneously,"
            f"             but {len(loose)} image(s), 0 video(s), 0 archive(s), 0 directory(s), 0 pdf(s), "
            f"{len(zips)} zip(s) found.\n"
        )
    for name in names:
        if name not in files:
            raise CreationError(f"FileNotFoundError: [Errno 2] No such file or directory: '/upload/{name}'\n")
    images = [(name, files[name]) for name in loose] if loose else _unzipped(files[zips[0]])
    if sorting == "predefined" and not loose:
        if not manifests:
            raise CreationError(MANIFEST_MISSING)
        return _measured(_by_manifest(images, files[manifests[0]]))
    return _measured(_ordered(images, sorting))


def _unzipped(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            last = {info.filename: archive.read(info) for info in infos if not info.is_dir()}
            names = [info.filename for info in infos if not info.is_dir()]
    except (zipfile.BadZipFile, EOFError):
        raise CreationError("zipfile.BadZipFile: File is not a zip file\n") from None
    found = []
    for name in names:
        if PurePosixPath(name).suffix.lower() not in ENDINGS or "__MACOSX/" in name:
            continue
        if name.startswith("/") or "\\" in name or {".", ".."} & set(name.split("/")):
            raise CreationError(
                "rest_framework.exceptions.ValidationError: "
                "[ErrorDetail(string='Incorrect file mapping to manifest content', code='invalid')]\n"
            )
        found.append((name, last[name]))  # unpacked twice, the last one stays
    if not found:
        raise CreationError("ValueError: No image found\n")
    return found


def _ordered(images: list[tuple[str, bytes]], sorting: str) -> list[tuple[str, bytes]]:
    if sorting == "natural":
        return sorted(images, key=lambda image: _natural(image[0]))
    if sorting == "random":
        return random.Random(42).sample(images, len(images))
    return images if sorting == "predefined" else sorted(images, key=lambda image: image[0])


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(1, int(part), "") if part.isdigit() else (2, 0, part) for part in parts if part]


def _by_manifest(images: list[tuple[str, bytes]], manifest: bytes) -> list[tuple[str, bytes]]:
    by_name = dict(images)
    lines = [json.loads(line) for line in manifest.splitlines() if line.strip()]
    names = [f"{line['name']}{line.get('extension', '')}" for line in lines if "name" in line]
    return [(name, by_name[name]) for name in names if name in by_name]


def _measured(images: list[tuple[str, bytes]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    frames: list[dict[str, Any]] = []
    kept: list[bytes] = []
    context = [name for name, _ in images if _context_owner(name)]
    for name, data in images:
        if name in context:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:  # opened, not decoded: a truncated image passes
                width, height = image.size
                if image.getexif().get(0x0112) in TRANSPOSED:
                    width, height = height, width
        except (OSError, SyntaxError, ValueError):
            if not frames:
                raise CreationError(
                    "PIL.UnidentifiedImageError: cannot identify image file <_io.BytesIO object at 0x7f0000000000>\n"
                ) from None
            raise CreationError(
                f"utils.dataset_manifest.errors.InvalidImageError: failed to parse image file '{name}'\n", spoils=True
            ) from None
        related = sum(1 for other in context if _context_owner(other) == name)
        frames.append(
            {
                "width": width,
                "height": height,
                "name": name,
                "related_files": related,
                "has_related_context": bool(related),
            }
        )
        kept.append(data)
    return frames, kept


def _context_owner(name: str) -> str:
    """The image that a file below `related_images/<name_ext>/` belongs to; "" if it is none."""
    parts = name.split("/")
    if "related_images" not in parts[:-2]:
        return ""
    at = parts.index("related_images")
    stem, _, ending = parts[at + 1].rpartition("_")
    return "/".join([*parts[:at], f"{stem}.{ending}"])
