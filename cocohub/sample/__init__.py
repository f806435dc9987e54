"""The demo's data set: drawn scenes with exact COCO annotations, made from a seed.

`draw_sample` is the whole interface. The pictures are flat illustrations painted with Pillow; every outline in the
annotations is traced from what was painted, so polygons, areas and visibility agree with the pixels.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cocohub.sample import backdrops, document, indoors, outdoors, street
from cocohub.sample.document import Picture, Record
from cocohub.sample.plan import Shot, plan
from cocohub.sample.stage import Stage

__all__ = ["SampleSummary", "draw_sample"]

SPLITS = ("train", "val")
LARGE = 800 * 600
"""Pixels; larger pictures are supersampled by 2 instead of 3."""
EXIF_ORIENTATION = 0x0112

_SCENES = {
    "street": street.street,
    "park": outdoors.park,
    "harbour": outdoors.harbour,
    "field": outdoors.field,
    "living room": indoors.living_room,
}
_SAVING: dict[str, dict[str, Any]] = {
    # Flat colours show chroma subsampling as fringes, so JPEG keeps full colour resolution.
    ".jpg": {"format": "JPEG", "quality": 88, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "quality": 88},
}


@dataclass(frozen=True)
class SampleSummary:
    """What was written where; `categories` counts those defined, used or not."""

    images: int
    annotations: int
    categories: int
    seconds: float
    folder: Path


def draw_sample(out: Path, *, images: int = 72, seed: int = 7) -> SampleSummary:
    """Write a COCO data set into `out`, the same for the same seed.

    Layout: `train/` and `val/` with the pictures; `annotations/instances_{split}.json` and
    `annotations/person_keypoints_{split}.json`. Files of the same names are overwritten, others stay. With fewer than
    about 40 images not every special case (crowds, turned pictures, WebP) finds room.
    """
    started = time.perf_counter()
    numbers = Random(f"numbers {seed}")  # noqa: S311 - ids must repeat, not resist guessing
    image_id, annotation_id = 139, 3100
    records: dict[str, tuple[list[Record], list[Record]]] = {split: ([], []) for split in SPLITS}
    for folder in (*SPLITS, "annotations"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for shot in plan(images, seed):
        rng = Random(f"picture {seed} {shot.number}")  # noqa: S311 - as above
        picture = _draw(shot, rng)
        entry = document.image_record(shot, picture, image_id, rng)
        _save(picture, shot, out / shot.split / str(entry["file_name"]))
        image_entries, annotation_entries = records[shot.split]
        image_entries.append(entry)
        for thing in picture.things:
            annotation_id += numbers.randint(1, 40)
            record = document.annotation_record(thing, picture, image_id, annotation_id, rng)
            if record is not None:
                annotation_entries.append(record)
        image_id += numbers.randint(3, 95)
    for split, (image_entries, annotation_entries) in records.items():
        _write(
            out / "annotations" / f"instances_{split}.json", document.instances_file(image_entries, annotation_entries)
        )
        _write(
            out / "annotations" / f"person_keypoints_{split}.json",
            document.keypoints_file(image_entries, annotation_entries),
        )
    return SampleSummary(
        images=images,
        annotations=sum(len(entries) for _, entries in records.values()),
        categories=len(document.CATEGORIES),
        seconds=time.perf_counter() - started,
        folder=out,
    )


def _draw(shot: Shot, rng: Random) -> Picture:
    scale = 2 if shot.width * shot.height > LARGE else 3
    stage = Stage(shot.width, shot.height, shot.mood, rng, scale)
    _SCENES[shot.scene](stage, crowded=shot.crowded, empty=shot.empty)
    if shot.scene != "living room":
        backdrops.falling(stage.canvas, rng)
    return Picture.of(stage, shot)


def _save(picture: Picture, shot: Shot, path: Path) -> None:
    options = dict(_SAVING[shot.suffix])
    if shot.orientation != 1:
        exif = picture.pixels.getexif()
        exif[EXIF_ORIENTATION] = shot.orientation
        options["exif"] = exif
    picture.pixels.save(path, **options)


def _write(path: Path, content: Record) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
