"""Shapes, tags and tracks as CVAT keeps them, read and written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from exports.cvat.records import Json, items, maybe, number, text

COCO_ID = "coco_id"  # the attribute that ties a shape to its COCO annotation
IS_CROWD = "is_crowd"

Values = tuple[tuple[int, str], ...]  # (spec_id, value) of each attribute


def _values(data: Any) -> Values:
    try:  # as CVAT writes them, which is what nearly all time of reading goes into
        found = [(item["spec_id"], item["value"]) for item in data]
        if all([type(spec) is int and type(value) is str for spec, value in found]):
            return tuple(found)
    except (TypeError, KeyError):
        pass
    return tuple((number(item.get("spec_id")), text(item.get("value"))) for item in items(data))


def _floats(data: Any) -> tuple[float, ...]:
    return tuple(map(float, data)) if type(data) is list else ()


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape on one frame; a skeleton has its points as `elements`, in pixels.

    `points` by type: rectangle x1,y1,x2,y2 (turned clockwise by `rotation` degrees round its middle); polygon, polyline
    and points x,y,x,y...; ellipse 4 numbers; mask runs row by row in its box (first zeros), then left, top, right,
    bottom, all inclusive; skeleton none.
    """

    type: str
    frame: int
    label_id: int
    points: tuple[float, ...] = ()
    attributes: Values = ()
    occluded: bool = False
    outside: bool = False
    z_order: int = 0
    rotation: float = 0.0
    group: int = 0
    source: str = "file"
    elements: tuple["Shape", ...] = ()
    id: int | None = None

    @classmethod
    def read(cls, data: Json, frame: int = 0) -> Self:
        """From a shape, or from an element or tracked shape whose frame may be left out."""
        return cls(
            text(data.get("type")),
            number(data.get("frame", frame)),
            number(data.get("label_id")),
            _floats(data.get("points")),
            _values(data.get("attributes")),
            bool(data.get("occluded")),
            bool(data.get("outside")),
            number(data.get("z_order")),
            float(data.get("rotation") or 0.0),
            number(data.get("group")),
            text(data.get("source")),
            tuple(Shape.read(item, number(data.get("frame"))) for item in items(data.get("elements"))),
            maybe(data.get("id")),
        )

    def write(self) -> dict[str, Any]:
        """As CVAT takes it: numbers of masks whole, the id only if there is one, everything else said."""
        whole = self.type == "mask"
        data: dict[str, Any] = {
            "type": self.type,
            "frame": self.frame,
            "label_id": self.label_id,
            "points": [int(value) if value == int(value) else value for value in self.points] if whole else self.points,
            "occluded": self.occluded,
            "outside": self.outside,
            "z_order": self.z_order,
            "rotation": self.rotation,
            "group": self.group,
            "source": self.source,
            "attributes": [{"spec_id": spec, "value": value} for spec, value in self.attributes],
        }
        if self.type == "skeleton":
            data["elements"] = [element.write() for element in self.elements]
        if self.id is not None:
            data["id"] = self.id
        return data

    def value(self, spec_id: int | None) -> str | None:
        """The value of an attribute, the first if it comes twice; None if it has none."""
        return next((value for spec, value in self.attributes if spec == spec_id), None)

    @property
    def form(self) -> tuple[object, ...]:
        """What it looks like, without ids and attributes: equal forms are the same drawing."""
        inner = tuple(sorted(element.form for element in self.elements)) if self.elements else ()
        kind = (self.type, self.frame, self.label_id, self.occluded, self.outside)
        return (*kind, self.rotation, tuple(map(float, self.points)), inner)


@dataclass(frozen=True, slots=True)
class Tag:
    """A label on a whole frame."""

    frame: int
    label_id: int
    attributes: Values = ()
    source: str = "file"
    group: int = 0
    id: int | None = None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a tag."""
        return cls(
            number(data.get("frame")),
            number(data.get("label_id")),
            _values(data.get("attributes")),
            text(data.get("source")),
            number(data.get("group")),
            maybe(data.get("id")),
        )


@dataclass(frozen=True, slots=True)
class Track:
    """An object over several frames: shapes where it was drawn, between them it is interpolated."""

    frame: int
    label_id: int
    shapes: tuple[Shape, ...] = ()
    attributes: Values = ()
    source: str = "manual"
    group: int = 0
    elements: tuple["Track", ...] = ()
    id: int | None = None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a track, or from an element of a skeleton's track."""
        return cls(
            number(data.get("frame")),
            number(data.get("label_id")),
            tuple(Shape.read(item) for item in items(data.get("shapes"))),
            _values(data.get("attributes")),
            text(data.get("source")),
            number(data.get("group")),
            tuple(Track.read(item) for item in items(data.get("elements"))),
            maybe(data.get("id")),
        )


@dataclass(frozen=True, slots=True)
class Annotations:
    """All of a task or a job. `version` is not read: CVAT always says 0, it checks nothing."""

    shapes: tuple[Shape, ...] = ()
    tags: tuple[Tag, ...] = ()
    tracks: tuple[Track, ...] = field(default=())

    @classmethod
    def read(cls, data: Json) -> Self:
        """From an answer with annotations."""
        return cls(
            tuple(Shape.read(item) for item in items(data.get("shapes"))),
            tuple(Tag.read(item) for item in items(data.get("tags"))),
            tuple(Track.read(item) for item in items(data.get("tracks"))),
        )


def body_of(shapes: Iterable[Shape]) -> dict[str, Any]:
    """The body of a call that creates, updates or deletes these shapes."""
    return {"version": 0, "tags": [], "tracks": [], "shapes": [shape.write() for shape in shapes]}


def coco_id_of(shape: Shape, specs: Mapping[int, int]) -> str:
    """The shape's coco_id, "" without one; `specs` has the spec_id of `coco_id` for each label id."""
    wanted = specs.get(shape.label_id)
    for spec, value in shape.attributes:  # asked several times of every shape
        if spec == wanted:
            return value.strip()
    return ""


def coco_id_in(data: Json, specs: Mapping[int, int]) -> str:
    """The same of a shape as CVAT wrote it."""
    wanted = specs.get(number(data.get("label_id")))
    for item in items(data.get("attributes")):
        if number(item.get("spec_id")) == wanted:
            return text(item.get("value")).strip()
    return ""
