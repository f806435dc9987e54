"""Reading a whole COCO file as an import does, but into memory."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotations.coco.annotations import AnnotationRecord, read_annotations
from annotations.coco.categories import CategoryRecord, read_categories
from annotations.coco.document import opened
from annotations.coco.images import ImageRecord, ImageTable, read_images
from annotations.coco.problems import Action, Problem

REPAIRED, KEPT, QUARANTINED = Action.REPAIRED, Action.KEPT, Action.QUARANTINED

# In a template, what follows this is put into the file as it stands, be it JSON or not. No real text begins so.
RAW = "\udfffRAW:"


def good() -> dict[str, Any]:
    """A file without flaws: three images, three annotations, two categories."""
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480},
            {"id": 2, "file_name": "b.jpg", "width": 640, "height": 480},
            {"id": 3, "file_name": "c.jpg", "width": 640, "height": 480},
        ],
        "annotations": [annotation(11, 1), annotation(12, 2), annotation(13, 3)],
        "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
    }


def annotation(coco_id: int, image: int, **fields: Any) -> dict[str, Any]:
    """An object without flaws."""
    return {
        "id": coco_id,
        "image_id": image,
        "category_id": 1,
        "bbox": [10, 20, 30, 40],
        "area": 600.5,
        "iscrowd": 0,
        "segmentation": [[10, 20, 40, 20, 40, 60]],
        **fields,
    }


def text_of(document: Any) -> bytes:
    """The file; strings that begin with RAW stand in it without quotes."""
    text = json.dumps(document)
    mark = json.dumps(RAW)[:-1]
    while (start := text.find(mark)) >= 0:
        end = start + 1
        while text[end] != '"' or text[end - 1] == "\\":
            end += 1
        text = text[:start] + json.loads(text[start : end + 1])[len(RAW) :] + text[end + 1 :]
    return text.encode()


@dataclass
class Found:
    """What was read, and what was told."""

    layout: list[str] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    images: list[ImageRecord] = field(default_factory=list)
    annotations: list[AnnotationRecord] = field(default_factory=list)
    categories: list[CategoryRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, Action, str]]:
        """Code, action and path of the problems."""
        return [(problem.code, problem.action, problem.path) for problem in self.problems]

    @property
    def annotation(self) -> AnnotationRecord:
        """The second annotation, which tests spoil."""
        return next(record for record in self.annotations if record.index == 1)


def read(content: Any) -> Found:
    """Read a document, or the bytes of a file."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(content if isinstance(content, bytes) else text_of(content))
        file.flush()
        return read_file(Path(file.name))


def read_file(path: Path) -> Found:
    """Read a file."""
    found = Found()
    report = found.problems.append
    with opened(path) as document:
        found.layout, found.sections = document.layout, document.sections
        found.problems += document.problems
        table = ImageTable()
        found.images = list(read_images(document.images, table, report))
        found.categories = list(read_categories(document.categories, report))
        known = {category.coco_id for category in found.categories}
        found.annotations = list(read_annotations(document.annotations, table, known, report))
    return found


def spoiled(change: Callable[[dict[str, Any]], object]) -> Found:
    """Read the good file after a change."""
    document = good()
    change(document)
    return read(document)


def with_annotation(**fields: Any) -> Found:
    """Read the good file with other fields in its second annotation; None takes one out."""

    def change(document: dict[str, Any]) -> None:
        record = document["annotations"][1]
        record.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del record[name]

    return spoiled(change)


def with_image(**fields: Any) -> Found:
    """The same with its second image."""

    def change(document: dict[str, Any]) -> None:
        record = document["images"][1]
        record.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del record[name]

    return spoiled(change)
