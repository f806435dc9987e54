"""The fields a query may name: all there are, with what they take. Nothing else of the models can be reached.

`docs/query.md` describes each of them, which a test holds it to; completion in an editor can be made from them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from annotations.query.errors import QueryError, did_you_mean
from annotations.query.keypoints import VISIBILITIES


class Scope(Enum):
    """What carries a field."""

    IMAGE = "image"
    OBJECT = "object"


class Kind(Enum):
    """What a field holds, and so how it is asked for."""

    NUMBER = "number"
    BYTES = "bytes"  # a number that may have a unit
    DATE = "date"
    BOOLEAN = "boolean"
    CHOICE = "choice"  # one of `Field.choices`
    NAME = "name"  # compared as a whole
    TEXT = "text"  # searched for parts
    NAMES = "names"  # a list of names
    JSON = "json"  # anything, found by a path


EQUALITY = (":", "=", "!=")
ORDER = (">", ">=", "<", "<=")
ORDERED_KINDS = frozenset({Kind.NUMBER, Kind.BYTES, Kind.DATE, Kind.JSON})


@dataclass(frozen=True, slots=True)
class Field:
    """One name of the language: what carries it, what it holds, and an example that parses."""

    name: str
    scope: Scope
    kind: Kind
    help: str
    example: str
    choices: tuple[str, ...] = ()
    lower: bool = False  # values are kept in lower case, so what is typed is lowered before it is compared
    part: str = ""  # what stands behind a dot and says which part of the field is meant: `path` or `name`

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that may follow the name."""
        return EQUALITY + ORDER if self.kind in ORDERED_KINDS else EQUALITY

    @property
    def shown_name(self) -> str:
        """The name as help and errors show it, with a place-holder for the path that it needs."""
        return f"{self.name}.<{self.part}>" if self.part else self.name


_IMAGE_FIELDS = (
    Field("id", Scope.IMAGE, Kind.NUMBER, "number of the image in CocoHub", "id:1024"),
    Field("coco_id", Scope.IMAGE, Kind.NUMBER, "id of the image in its COCO file", "coco_id:(139 OR 285)"),
    Field("file", Scope.IMAGE, Kind.TEXT, "file name; what a bare word searches", "file:*.jpg"),
    Field("split", Scope.IMAGE, Kind.NAME, "split the image belongs to", "split:train"),
    Field("width", Scope.IMAGE, Kind.NUMBER, "width in pixels", "width:640..1280"),
    Field("height", Scope.IMAGE, Kind.NUMBER, "height in pixels", "height>=480"),
    Field("megapixels", Scope.IMAGE, Kind.NUMBER, "width × height in millions of pixels", "megapixels>0.3"),
    Field("aspect", Scope.IMAGE, Kind.NUMBER, "width divided by height", "aspect<1"),
    Field("size", Scope.IMAGE, Kind.BYTES, "size of the stored picture in bytes", "size>2mb"),
    Field("format", Scope.IMAGE, Kind.NAME, "format of the stored picture, in any case", "format:png"),
    Field(
        "checksum",
        Scope.IMAGE,
        Kind.NAME,
        "SHA-256 of the stored picture, in hex",
        "checksum:9f86d0*",
        lower=True,
    ),
    Field("tag", Scope.IMAGE, Kind.NAMES, "tags", "tag:(night OR rain)"),
    Field(
        "status",
        Scope.IMAGE,
        Kind.CHOICE,
        "where the image stands",
        "status:in_review",
        choices=("missing", "broken", "ready", "in_review", "approved", "rejected"),
    ),
    Field(
        "metadata",
        Scope.IMAGE,
        Kind.JSON,
        "any other field of the image's COCO record",
        "metadata.license:3",
        part="path",
    ),
    Field("created", Scope.IMAGE, Kind.DATE, "when the image was added", "created>-7d"),
    Field("updated", Scope.IMAGE, Kind.DATE, "when the image was last changed", "updated:2026-01-01..2026-01-31"),
    Field("annotations", Scope.IMAGE, Kind.NUMBER, "number of annotations", "annotations:0"),
    Field("issue", Scope.IMAGE, Kind.NAMES, "what is wrong with the image or an annotation of it", "issue:*"),
    Field("duplicate", Scope.IMAGE, Kind.BOOLEAN, "another image has the same picture", "duplicate:true"),
)

_OBJECT_FIELDS = (
    Field("category", Scope.OBJECT, Kind.NAME, "name of the category", "category:person"),
    Field("supercategory", Scope.OBJECT, Kind.NAME, "supercategory of the category", "supercategory:vehicle"),
    Field("area", Scope.OBJECT, Kind.NUMBER, "area in square pixels", "area>1000"),
    Field("bbox.x", Scope.OBJECT, Kind.NUMBER, "left edge of the box in pixels", "bbox.x<0"),
    Field("bbox.y", Scope.OBJECT, Kind.NUMBER, "top edge of the box in pixels", "bbox.y<0"),
    Field("bbox.w", Scope.OBJECT, Kind.NUMBER, "width of the box in pixels", "bbox.w:..8"),
    Field("bbox.h", Scope.OBJECT, Kind.NUMBER, "height of the box in pixels", "bbox.h>=32"),
    Field("bbox.cx", Scope.OBJECT, Kind.NUMBER, "centre of the box: 0 is the left edge, 1 the right", "bbox.cx<0.1"),
    Field("bbox.cy", Scope.OBJECT, Kind.NUMBER, "centre of the box: 0 is the top, 1 the bottom", "bbox.cy:0.4..0.6"),
    Field("bbox.area", Scope.OBJECT, Kind.NUMBER, "width × height of the box in square pixels", "bbox.area<1024"),
    Field("bbox.aspect", Scope.OBJECT, Kind.NUMBER, "width of the box divided by its height", "bbox.aspect>=4"),
    Field("iscrowd", Scope.OBJECT, Kind.BOOLEAN, "a crowd; false where the record does not say", "iscrowd:true"),
    Field("source", Scope.OBJECT, Kind.NAME, "who or what made it", "source:cvat"),
    Field("machine", Scope.OBJECT, Kind.BOOLEAN, "made by a machine", "machine:true"),
    Field("score", Scope.OBJECT, Kind.NUMBER, "confidence of whatever made it", "score<0.5"),
    Field("keypoints", Scope.OBJECT, Kind.NUMBER, "number of labelled keypoints", "keypoints>=10"),
    Field(
        "keypoint",
        Scope.OBJECT,
        Kind.CHOICE,
        "whether a keypoint, by its name, is visible",
        "keypoint.left_wrist:visible",
        choices=VISIBILITIES,
        part="name",
    ),
    Field("attributes", Scope.OBJECT, Kind.JSON, "attributes of the object", "attributes.occluded:true", part="path"),
    Field("annotation", Scope.OBJECT, Kind.NUMBER, "id of the annotation in its COCO file", "annotation:1768"),
    Field("annotation.issue", Scope.OBJECT, Kind.NAMES, "what is wrong with the annotation", "annotation.issue:*"),
    Field("annotation.created", Scope.OBJECT, Kind.DATE, "when the annotation was added", "annotation.created:2026-01"),
    Field(
        "annotation.updated", Scope.OBJECT, Kind.DATE, "when the annotation was last changed", "annotation.updated>-7d"
    ),
    Field("caption", Scope.OBJECT, Kind.TEXT, "text of a caption", 'caption:"a dog"'),
)

FIELDS: dict[str, Field] = {field.name: field for field in _IMAGE_FIELDS + _OBJECT_FIELDS}
FILE = FIELDS["file"]
# Not a field that can be named: what stands before the comparison of count(...).
COUNT = Field("count", Scope.IMAGE, Kind.NUMBER, "number of objects that meet a condition", "count(category:car)>=3")


LIKE_A_NAME = re.compile(r"[^\W\d]")


def find(segments: Sequence[str], *, column: int) -> tuple[Field, tuple[str, ...]]:
    """The field of a dotted name and the path that follows it; QueryError if there is none."""
    first, *path = segments
    field = FIELDS.get(first)
    if field is not None and field.part:
        if not path:
            raise QueryError(
                f"'{first}' has no value of its own",
                column=column,
                word=first,
                hint=f"name a key, as in {field.example}",
            )
        if field.part == "name" and len(path) > 1:
            raise QueryError(
                f"'{first}' takes one name",
                column=column,
                word=".".join(segments),
                hint=f'quote a name with a dot in it, as in {first}."{".".join(path)}"',
            )
        return field, tuple(path)
    name = ".".join(segments)
    if name in FIELDS:
        return FIELDS[name], ()
    known = [field.shown_name for field in FIELDS.values()]
    hint = did_you_mean(name, FIELDS) or f"the fields are {', '.join(known)}"
    if not LIKE_A_NAME.match(name):
        hint = "to search for the text, put it in quotes"
    raise QueryError(f"there is no field '{name}'", column=column, word=name, hint=hint, known=known)
