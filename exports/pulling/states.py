"""The three sides of a comparison, and what comes out of it. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from exports.cvat.guards import value_flaw
from exports.cvat.records import Attribute, Frame, Label
from exports.cvat.shapes import COCO_ID, IS_CROWD, Shape, Tag

Fields = Mapping[str, Any]  # of a COCO record, as JSON values

OWN = frozenset([COCO_ID, IS_CROWD])  # attributes of ours, which no annotation has


class Kind(StrEnum):
    """What happened to it in CVAT."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


class Subject(StrEnum):
    """What it happened to."""

    ANNOTATION = "annotation"
    TAG = "tag"  # a label on a whole frame, which is a tag of the image here


class Aspect(StrEnum):
    """Parts of an annotation that change by themselves: two people may change two of them without a conflict."""

    GEOMETRY = "geometry"
    KEYPOINTS = "keypoints"
    LABEL = "label"
    CROWD = "crowd"
    ATTRIBUTES = "attributes"


# The fields of a record that say an aspect. An area or a count of keypoints follows from others.
FIELDS: Mapping[Aspect, tuple[str, ...]] = {
    Aspect.GEOMETRY: ("segmentation", "bbox"),
    Aspect.KEYPOINTS: ("keypoints",),
    Aspect.LABEL: ("category",),
    Aspect.CROWD: ("iscrowd",),
    Aspect.ATTRIBUTES: ("attributes",),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A shape and how CVAT knows it: `shape 12`, or `track 3 @ 7` for what a track shows on a frame; "" if unknown."""

    uid: str
    shape: Shape

    @classmethod
    def of(cls, shape: Shape) -> Self:
        """A shape of its own."""
        return cls("" if shape.id is None else f"shape {shape.id}", shape)

    def write(self) -> dict[str, Any]:
        """As JSON, to be kept."""
        return {"uid": self.uid, **self.shape.write()}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From what was kept."""
        return cls(str(data.get("uid") or ""), Shape.read(data))


@dataclass(frozen=True, slots=True)
class Sent:
    """An annotation as CVAT last had it with our knowledge: as it went out, or as the last pull left it.

    `pieces` are the parts of the segmentation in their order (or mask, or box), then the skeleton. `fields` is the COCO
    record that we had then, with `category` (a key) instead of `category_id`.
    """

    key: str  # of the attribute coco_id; of what was drawn in CVAT the uid of its first shape
    frame: int
    pieces: tuple[Piece, ...]
    fields: Fields
    version: int
    annotation: int | None = None  # primary key; None if it was never ours, or was refused


@dataclass(frozen=True, slots=True)
class SentTag:
    """A tag that an earlier pull has seen."""

    uid: str
    frame: int
    name: str


@dataclass(frozen=True, slots=True)
class Ours:
    """The annotation as it is here now."""

    version: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an attribute of a label is here: our name, the JSON types of its values (boolean, number, string) as far as
    they are known, and the value that stands for "there is none"."""

    name: str
    kinds: tuple[str, ...] = ()
    absent: str | None = None


@dataclass(frozen=True)
class Vocabulary:
    """What CVAT's labels and attributes mean here."""

    labels: Mapping[int, Label]
    categories: Mapping[int, int]  # label id -> category; skeletons too
    # Category -> CVAT's name of an attribute -> what it is; one that is not here has the same name.
    attributes: Mapping[int, Mapping[str, Meaning]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)  # label id -> the category's name

    def values(self, shape: Shape) -> dict[str, str]:
        """Values of the shape's attributes by our names, without our own attributes; the first if one comes twice."""
        label = self.labels.get(shape.label_id)
        known = {one.id: one for one in label.attributes} if label else {}
        found: dict[str, str] = {}
        for spec_id, value in shape.attributes:
            attribute = known.get(spec_id)
            if attribute is not None and attribute.name not in OWN:
                found.setdefault(self._meaning(shape.label_id, attribute).name, value)
        return found

    def defaults(self, shape: Shape) -> dict[str, str]:
        """What the attributes of the shape's label are where nobody says anything, by our names."""
        label = self.labels.get(shape.label_id)
        found = label.attributes if label else ()
        return {self._meaning(shape.label_id, one).name: one.default_value for one in found}

    def flaw(self, shape: Shape, name: str, value: str) -> str | None:
        """Why the label does not offer this value for the attribute of our name. CVAT itself does not look."""
        label = self.labels.get(shape.label_id)
        for one in label.attributes if label else ():
            if self._meaning(shape.label_id, one).name == name:
                return value_flaw(value, one)
        return None

    def meaning(self, shape: Shape, name: str) -> Meaning:
        """What the attribute of our name is."""
        label = self.labels.get(shape.label_id)
        found = (self._meaning(shape.label_id, one) for one in (label.attributes if label else ()))
        return next((one for one in found if one.name == name), Meaning(name))

    def _meaning(self, label_id: int, attribute: Attribute) -> Meaning:
        given = self.attributes.get(self.categories.get(label_id, -1), {})
        kinds = {"checkbox": ("boolean",), "number": ("number",)}.get(attribute.input_type, ())
        return given.get(attribute.name) or Meaning(attribute.name, kinds)

    def own(self, shape: Shape, name: str) -> str | None:
        """The value of one of our own attributes; None if the label does not have it."""
        label = self.labels.get(shape.label_id)
        attribute = label.attribute(name) if label else None
        return shape.value(attribute.id) if attribute else None

    def label_name(self, label_id: int) -> str:
        """For people: the category's name, or the label's, or its number."""
        label = self.labels.get(label_id)
        return self.names.get(label_id) or (label.name if label else f"label {label_id}")


@dataclass(frozen=True)
class Theirs:
    """A task in CVAT now: what is on its frames, shapes of tracks among them."""

    pieces: Sequence[Piece]
    frames: Sequence[Frame]
    tags: Sequence[Tag] = ()
    deleted_frames: frozenset[int] = frozenset()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is different in CVAT. `after` has the fields to write here; None takes a field out.

    `conflict` says in words what was changed here meanwhile, and `problem` why it cannot be taken over at all. `pieces`
    is what CVAT has now: with it as the next `Sent` the difference is gone.
    """

    kind: Kind
    frame: int
    key: str
    subject: Subject = Subject.ANNOTATION
    aspects: tuple[Aspect, ...] = ()
    before: Fields = field(default_factory=dict)  # as it went out
    after: Fields = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()
    sent: Sent | None = None
    conflict: str = ""
    problem: str = ""
    note: str = ""


@dataclass
class Comparison:
    """Everything that is different, and what is to be told besides."""

    differences: list[Difference] = field(default_factory=list)
    # What CVAT has changed in the same way as we have, or only in ids: the next pull should start from it.
    settled: list[tuple[Sent, tuple[Piece, ...]]] = field(default_factory=list)
    unchanged: int = 0
    notes: list[str] = field(default_factory=list)
