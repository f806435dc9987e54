"""Annotations that were drawn in CVAT."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from exports.cvat import converting
from exports.cvat.converting import Unconvertible
from exports.cvat.records import Frame
from exports.cvat.shapes import IS_CROWD, Shape
from exports.pulling import drawing
from exports.pulling.comparing import ABSENT, OCCLUDED, Differ, category_of, changes_of, decoded, refuse_flaw
from exports.pulling.matching import Match, Newcomer
from exports.pulling.states import Difference, Kind, Vocabulary

TRACK_ID = "track_id"  # CVAT's own COCO export says it as an attribute of this name


def added(new: Newcomer, vocabulary: Vocabulary, frame: Frame, known: Collection[str]) -> Difference:
    """The annotation that shapes drawn in CVAT are; with a problem if COCO or the project has no words for it."""
    shapes = [piece.shape for piece in new.pieces]
    first = shapes[0]
    key = new.pieces[0].uid
    note = f"A copy of annotation {new.copied}." if new.copied in known else ""
    try:
        fields = _new_fields(shapes, new, vocabulary, frame)
    except (Unconvertible, Differ) as error:
        return Difference(Kind.ADDED, first.frame, key, pieces=new.pieces, problem=str(error), note=note)
    return Difference(Kind.ADDED, first.frame, key, after=fields, pieces=new.pieces, note=note)


def compare_refused(found: Match, vocabulary: Vocabulary, frame: Frame) -> Difference | None:
    """What was drawn in CVAT and was not wanted here: new again once somebody has changed it."""
    if not found.pieces:
        return None
    try:
        if not changes_of(found, vocabulary, frame):
            return None
    except (Unconvertible, Differ):
        if all(sent.shape == now.shape for sent, now in found.pairs) and not found.extra and not found.lost:
            return None
    return replace(added(Newcomer(found.pieces), vocabulary, frame, ()), key=found.sent.key, sent=found.sent)


def _new_fields(shapes: Sequence[Shape], new: Newcomer, vocabulary: Vocabulary, frame: Frame) -> dict[str, Any]:
    outlines = [piece for piece in new.pieces if piece.shape.type != "skeleton"]
    speaker = outlines[0].shape if outlines else shapes[0]
    fields: dict[str, Any] = {"category": category_of(speaker.label_id, vocabulary)}
    skeleton = next((shape for shape in shapes if shape.type == "skeleton"), None)
    if outlines:
        fields |= drawing.geometry({}, [], outlines, [], frame)
    if skeleton is not None:
        fields |= drawing.keypoints({}, None, skeleton, vocabulary.labels.get(skeleton.label_id))
        if not outlines:
            box = converting.from_shapes([skeleton], vocabulary.labels, frame).bbox
            if box is None:
                raise Unconvertible("None of its points is labelled.")
            fields |= {"bbox": list(box), "area": converting.area_of(None, box)}
    crowd = next((value for shape in shapes if (value := vocabulary.own(shape, IS_CROWD))), "false")
    fields["iscrowd"] = int(crowd == "true")
    for name, value in vocabulary.values(speaker).items():
        refuse_flaw(speaker, name, value, vocabulary)
    attributes = {
        name: decoded(value, ABSENT, vocabulary.meaning(speaker, name))
        for name, value in vocabulary.values(speaker).items()
        if value
    }
    attributes = {name: value for name, value in attributes.items() if value is not ABSENT}
    if speaker.occluded:
        attributes[OCCLUDED] = True
    kind, _, rest = new.pieces[0].uid.partition(" ")
    if kind == "track":
        attributes[TRACK_ID] = int(rest.partition(" ")[0])
    if attributes:
        fields["attributes"] = attributes
    return fields
