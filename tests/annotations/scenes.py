"""A small project that was imported from COCO files, as most projects are: two splits that number a category apart."""

import io
import json
from pathlib import Path
from typing import Any

from annotations.importing import FileToImport, import_files
from annotations.report import Report
from assets.models import ImageAsset
from exports import services as exports
from exports.rendering import write_document
from projects.models import Project

TRAIN: dict[str, Any] = {
    "info": {"year": 2026},
    "licenses": [{"id": 1, "name": "CC"}],
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80, "license": 1, "color": "red", "iso": 100.50},
        {"id": 2, "file_name": "b.jpg", "width": 200, "height": 80, "license": 1, "color": "blue"},
        {"id": 3, "file_name": "c.jpg", "width": 300, "height": 80, "license": 1, "nested": {"deep": {"x": 1.10}}},
    ],
    "annotations": [
        {"id": 11, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30.5, 40], "area": 1220.0, "iscrowd": 0,
         "segmentation": [[1, 2, 31.5, 2, 31.5, 42, 1, 42]], "attributes": None, "odd": "kept"},
        {"id": 12, "image_id": 1, "category_id": 2, "bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0,
         "attributes": {"occluded": True}},
        {"id": 13, "image_id": 2, "category_id": 3, "bbox": [0, 0, 20, 20], "area": 400.50, "iscrowd": 0,
         "keypoints": [1, 1, 2, 3, 3, 0], "num_keypoints": 1},
    ],
    "categories": [
        {"id": 1, "name": "person", "supercategory": "human", "keypoints": ["nose", "eye"]},
        {"id": 2, "name": "car", "supercategory": "vehicle"},
        {"id": 3, "name": "truck", "supercategory": "vehicle", "note": 1.50},
    ],
}  # fmt: skip
VAL: dict[str, Any] = {
    "info": {"year": 2027},
    "images": [{"id": 101, "file_name": "v.jpg", "width": 50, "height": 50}],
    "annotations": [{"id": 21, "image_id": 101, "category_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}],
    "categories": [{"id": 7, "name": "bus"}, {"id": 3, "name": "cat"}],
}


def load(project: Project, split: str, document: dict[str, Any], folder: Path) -> None:
    """Import a COCO document into a split."""
    path = folder / f"{split}.json"
    path.write_text(
        json.dumps(document)
        .replace('"iso": 100.5', '"iso": 100.50')
        .replace("400.5", "400.50")
        .replace('"note": 1.5', '"note": 1.50')
    )
    import_files(project=project, files=[FileToImport(path, split)], report=Report())


def load_scenes(project: Project, folder: Path) -> dict[str, ImageAsset]:
    """Import both splits; the images by the first letter of their file names."""
    load(project, "train", TRAIN, folder)
    load(project, "val", VAL, folder)
    return {str(image.file_name)[0]: image for image in ImageAsset.objects.filter(project=project)}


def exported_text(project: Project, split: str) -> str:
    """The split's objects as the text of a COCO document, as this transaction sees them."""
    target = io.BytesIO()
    write_document(exports.select(project, exports.Wanted(split=split)), target)
    return target.getvalue().decode()


def exported(project: Project, split: str) -> dict[str, Any]:
    """The split's objects as a COCO document."""
    found: dict[str, Any] = json.loads(exported_text(project, split))
    return found


def state(project: Project) -> list[Any]:
    """Everything that the project's images and annotations say, but for versions and times."""
    kept = []
    for image in ImageAsset.objects.filter(project=project).order_by("pk"):
        fields = {key: value for key, value in vars(image).items() if key not in HIDDEN}
        objects = [
            {key: value for key, value in vars(one).items() if key not in HIDDEN}
            for one in image.annotations.order_by("pk")
        ]
        kept.append((fields, objects))
    return kept


HIDDEN = {"_state", "version", "updated_at"}
