"""A small project with pictures: polygons of several parts, a crowd, keypoints, boxes, attributes, two splits."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from annotations.coco.rle import encode_counts
from annotations.importing import FileToImport, import_files
from annotations.report import Report
from annotations.sources import Folder
from projects.models import Project

WIDTH, HEIGHT = 64, 48


def crowd(first: int = 100, length: int = 30) -> dict[str, Any]:
    """A compressed RLE of one run of pixels."""
    counts = [first, length, WIDTH * HEIGHT - first - length]
    return {"size": [HEIGHT, WIDTH], "counts": encode_counts(counts)}


TRAIN: dict[str, Any] = {
    "info": {"year": 2026},
    "images": [
        {"id": 1, "file_name": "b/one.jpg", "width": WIDTH, "height": HEIGHT, "license": 1},
        {"id": 2, "file_name": "a/one.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 3, "file_name": "Zoë 세.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 4, "file_name": "10.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 5, "file_name": "9.jpg", "width": WIDTH, "height": HEIGHT},
    ],
    "annotations": [
        {"id": 11, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10.5, 20], "area": 105.25, "iscrowd": 0,
         "segmentation": [[1, 2, 11.5, 2, 11.5, 22, 1, 22], [20, 20, 30, 20, 25.125, 30]], "odd": "kept",
         "attributes": {"color": "red", "lane": 1, "parked": True, "deep": {"x": 1}}},
        {"id": 12, "image_id": 1, "category_id": 2, "bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0,
         "attributes": {"color": "blue", "lane": 2, "parked": False, "occluded": True}},
        {"id": 13, "image_id": 2, "category_id": 3, "bbox": [2, 3, 20, 20], "area": 400.5, "iscrowd": 0,
         "segmentation": [[2, 3, 22, 3, 22, 23, 2, 23]], "keypoints": [5, 6, 2, 7, 8, 1, 0, 0, 0], "num_keypoints": 2},
        {"id": 14, "image_id": 2, "category_id": 1, "bbox": [2, 4, 1, 30], "area": 30, "iscrowd": 1,
         "segmentation": crowd()},
        {"id": 15, "image_id": 3, "category_id": 3, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0,
         "keypoints": [0, 0, 0, 0, 0, 0, 0, 0, 0], "num_keypoints": 0},
        {"id": 16, "image_id": 4, "category_id": 2, "bbox": [60, 40, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 17, "image_id": 5, "category_id": 2, "bbox": [3, 3, 0, 5], "area": 0, "iscrowd": 0},
        {"id": 18, "image_id": 5, "category_id": 2, "bbox": [3, 3, 6, 5], "area": 30, "iscrowd": 0, "score": 0.5},
    ],
    "categories": [
        {"id": 1, "name": "car", "supercategory": "vehicle"},
        {"id": 2, "name": "bus", "supercategory": "vehicle"},
        {"id": 3, "name": "person", "keypoints": ["nose", "eye", "tail"], "skeleton": [[1, 2], [2, 3]]},
    ],
}  # fmt: skip
VAL: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "b/one.jpg", "width": WIDTH, "height": HEIGHT}],
    "annotations": [{"id": 11, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}],
    "categories": [{"id": 7, "name": "tram"}],
}
SENT_OF_TRAIN = {"11", "12", "13", "14", "15", "16", "18"}  # 17 has no area: CVAT could not show it


def picture(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """A picture of its own."""
    content = io.BytesIO()
    Image.new("RGB", size, (number * 40 % 256, 80, 120)).save(content, "JPEG")
    return content.getvalue()


def load(project: Project, split: str, document: dict[str, Any], folder: Path) -> None:
    """Import a document with a picture for each image that has none in the folder yet."""
    root = folder / f"pictures-{split or 'all'}"
    for record in document["images"]:
        path = root / record["file_name"]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(record["id"] + len(split)))
    text = folder / f"{split or 'all'}.json"
    text.write_text(json.dumps(document))
    import_files(project=project, files=[FileToImport(text, split)], report=Report(), pictures=Folder(root))
