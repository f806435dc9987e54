"""One annotation, three ways: what was sent, what CVAT has, what is here now."""

import math
from collections.abc import Mapping
from typing import Any

from exports.cvat import converting
from exports.cvat.converting import Unconvertible
from exports.cvat.records import Frame, Label
from exports.cvat.shapes import COCO_ID, IS_CROWD, Shape
from exports.pulling import drawing
from exports.pulling.matching import Match
from exports.pulling.states import FIELDS, Aspect, Difference, Fields, Kind, Meaning, Ours, Piece, Vocabulary

OCCLUDED = "occluded"  # CVAT's own COCO export says the flag as an attribute of this name
ABSENT: Any = object()  # no value, which is not the value null


class Differ(Exception):
    """Shapes of one annotation say different things of it; somebody has to look at it in CVAT."""


def compare(found: Match, ours: Ours | None, vocabulary: Vocabulary, frame: Frame) -> Difference | None:
    """What CVAT has changed of an annotation that was sent; None if nothing that we would not have already."""
    sent = found.sent
    if not found.pieces:
        return _deleted(found, ours, vocabulary) if sent.pieces else None
    if not found.extra and not found.lost and all(before.shape == now.shape for before, now in found.pairs):
        return None  # most of them, to the letter
    try:
        changes = changes_of(found, vocabulary, frame)
    except (Unconvertible, Differ) as error:
        return Difference(
            Kind.CHANGED, sent.frame, sent.key, pieces=found.pieces, sent=sent, before=sent.fields, problem=str(error)
        )
    if not changes:
        return None
    if ours is None:
        return _changed(found, changes, whole=True, conflict="It was deleted here meanwhile.")
    moved = _moved(sent.fields, ours.fields) if ours.version != sent.version else {}
    left = {
        aspect: fields for aspect, fields in changes.items() if not (aspect in moved and _agrees(fields, ours.fields))
    }
    if not left:
        return None
    contested = [aspect for aspect in left if aspect in moved and _contested(aspect, left[aspect], sent.fields, ours)]
    if Aspect.ATTRIBUTES in left:
        left[Aspect.ATTRIBUTES] = _merged_attributes(left[Aspect.ATTRIBUTES], ours.fields)
    words = ", ".join(contested)
    return _changed(found, left, conflict=f"Changed here meanwhile, too: {words}." if contested else "")


def _changed(
    found: Match, changes: Mapping[Aspect, dict[str, Any]], *, conflict: str, whole: bool = False
) -> Difference:
    after: dict[str, Any] = dict(found.sent.fields) if whole else {}
    for aspect, fields in changes.items():
        if aspect is Aspect.ATTRIBUTES and whole:
            fields = _merged_attributes(fields, found.sent.fields)
        after.update(fields)
    return Difference(
        Kind.CHANGED, found.sent.frame, found.sent.key, aspects=tuple(sorted(changes, key=list(Aspect).index)),
        before=found.sent.fields, after=after, pieces=found.pieces, sent=found.sent, conflict=conflict,
    )  # fmt: skip


def _deleted(found: Match, ours: Ours | None, vocabulary: Vocabulary) -> Difference | None:
    if ours is None:
        return None
    moved = _moved(found.sent.fields, ours.fields) if ours.version != found.sent.version else {}
    words = ", ".join(moved)
    return Difference(
        Kind.DELETED, found.sent.frame, found.sent.key, before=found.sent.fields, sent=found.sent,
        conflict=f"Changed here meanwhile: {words}." if moved else _label_is_gone(found, vocabulary),
    )  # fmt: skip


def _label_is_gone(found: Match, vocabulary: Vocabulary) -> str:
    """Who deletes a label deletes everything that has it, and may not have meant that."""
    gone = not any(piece.shape.label_id in vocabulary.labels for piece in found.sent.pieces)
    return "Its label was deleted in CVAT, and everything that had it." if gone else ""


# --- What CVAT has changed --------------------------------------------------------------------------------------------


def changes_of(found: Match, vocabulary: Vocabulary, frame: Frame) -> dict[Aspect, dict[str, Any]]:
    """Fields that CVAT says otherwise than we did, by aspect; attributes as a patch. Raises Unconvertible, Differ."""
    before = found.sent.fields
    changes: dict[Aspect, dict[str, Any]] = {}
    if fields := _outline(found, before, frame):
        changes[Aspect.GEOMETRY] = fields
    if fields := _skeleton(found, before, vocabulary):
        changes[Aspect.KEYPOINTS] = fields
    category = _label(found, vocabulary)
    if category is not None and category != before.get("category"):
        changes[Aspect.LABEL] = {"category": category}
    crowd = _crowd(found, vocabulary)
    if crowd is not None and bool(before.get("iscrowd")) != (crowd == "true"):
        changes[Aspect.CROWD] = {"iscrowd": int(crowd == "true")}
    if patch := _attributes(found, before, vocabulary):
        changes[Aspect.ATTRIBUTES] = {"attributes": patch}
    return changes


def _outline(found: Match, before: Fields, frame: Frame) -> dict[str, Any]:
    pairs = [pair for pair in found.pairs if not _is_skeleton(pair[1])]
    extra = [piece for piece in found.extra if not _is_skeleton(piece)]
    lost = [piece for piece in found.lost if not _is_skeleton(piece)]
    if not extra and not lost and all(drawing.same_drawing(sent.shape, now.shape) for sent, now in pairs):
        return {}
    if not pairs and not extra:  # a skeleton is left: its points say where it is
        skeleton = next(piece.shape for piece in found.pieces)
        around = converting.from_shapes([skeleton], {skeleton.label_id: _label_of(skeleton)}, frame).bbox
        fields: dict[str, Any] = {"segmentation": []} if before.get("segmentation") else {}
        if around is not None:
            fields |= {"bbox": list(around)} | ({"area": converting.area_of(None, around)} if "area" in before else {})
        return fields
    return drawing.geometry(before, pairs, extra, lost, frame)


def _label_of(skeleton: Shape) -> Label:
    """A label that lists the skeleton's own points; only where they are is asked of it."""
    points = tuple(Label(element.label_id, "", "points", "") for element in skeleton.elements)
    return Label(skeleton.label_id, "", "skeleton", "", sublabels=points)


def _skeleton(found: Match, before: Fields, vocabulary: Vocabulary) -> dict[str, Any]:
    pair = next((pair for pair in found.pairs if _is_skeleton(pair[1])), None)
    if pair is not None:
        sent, now = pair[0].shape, pair[1].shape
        if sent.label_id == now.label_id and drawing.same_drawing(sent, now):
            return {}
        return drawing.keypoints(before, sent, now, vocabulary.labels.get(now.label_id))
    extra = next((piece.shape for piece in found.extra if _is_skeleton(piece)), None)
    if extra is not None:
        return drawing.keypoints(before, None, extra, vocabulary.labels.get(extra.label_id))
    return drawing.no_keypoints(before) if any(_is_skeleton(piece) for piece in found.lost) else {}


def _label(found: Match, vocabulary: Vocabulary) -> int | None:
    """The category, if a shape has another label than it had. Raises Differ for two."""
    changed = {
        now.shape.label_id: not _is_skeleton(now)
        for sent, now in found.pairs
        if sent.shape.label_id != now.shape.label_id
    }
    categories = {category_of(label_id, vocabulary) for label_id in changed}
    if len(categories) > 1:
        names = ", ".join(sorted(repr(vocabulary.label_name(label_id)) for label_id in changed))
        raise Differ(f"Its shapes have several labels now: {names}. Give them one in CVAT.")
    return next(iter(categories), None)


def category_of(label_id: int, vocabulary: Vocabulary) -> int:
    """The category of a label. Raises Differ if there is none here."""
    category = vocabulary.categories.get(label_id)
    if category is None:
        name = vocabulary.label_name(label_id)
        raise Differ(f"There is no category {name!r} here. Make one of this name, and pull again.")
    return category


def _crowd(found: Match, vocabulary: Vocabulary) -> str | None:
    """What a shape says now, if it said something else when it was sent; None if all say what they said."""
    for sent, now in found.pairs:
        before, after = vocabulary.own(sent.shape, IS_CROWD), vocabulary.own(now.shape, IS_CROWD)
        if None in (before, after) or before == after or _is_stripped(sent.shape, now.shape, vocabulary):
            continue
        if after not in ("true", "false"):
            raise Differ(f"{IS_CROWD} is {after!r}, which is neither 'true' nor 'false'. Correct it in CVAT.")
        return after
    return None


def _is_stripped(sent: Shape, now: Shape, vocabulary: Vocabulary) -> bool:
    """Whether somebody saved the shape without its attributes: CVAT shows defaults then, which nobody has chosen."""
    label = vocabulary.labels.get(now.label_id)
    if label is None or not vocabulary.own(sent, COCO_ID) or vocabulary.own(now, COCO_ID):
        return False
    defaults = {one.id: one.default_value for one in label.attributes}
    return all(defaults.get(spec_id, value) == value for spec_id, value in now.attributes)


def _attributes(found: Match, before: Fields, vocabulary: Vocabulary) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    old = before.get("attributes")
    old = old if isinstance(old, Mapping) else {}
    for sent, now in found.pairs:
        if not _is_skeleton(now) and sent.shape.occluded != now.shape.occluded:
            patch.setdefault(OCCLUDED, now.shape.occluded)
        if _is_stripped(sent.shape, now.shape, vocabulary):
            continue
        then = vocabulary.values(sent.shape)
        # Another label may have more attributes and fewer, and those that it has too begin at their defaults.
        relabelled = sent.shape.label_id != now.shape.label_id
        defaults = vocabulary.defaults(now.shape) if relabelled else {}
        for name, value in vocabulary.values(now.shape).items():
            if name in then and then[name] != value and defaults.get(name) != value:
                refuse_flaw(now.shape, name, value, vocabulary)
                patch.setdefault(name, decoded(value, old.get(name, ABSENT), vocabulary.meaning(now.shape, name)))
    return {name: value for name, value in patch.items() if old.get(name, ABSENT) != value}


def refuse_flaw(shape: Shape, name: str, value: str, vocabulary: Vocabulary) -> None:
    """Raise Differ for a value that the label does not offer: CVAT stores "True" for a checkbox, and worse."""
    flaw = vocabulary.flaw(shape, name, value)
    if flaw:
        raise Differ(f"The attribute {name!r} cannot be used: {flaw}. Correct it in CVAT.")


def decoded(value: str, before: Any, meaning: Meaning) -> Any:
    """An attribute's text as JSON: of the type that it was before, else of the type that others of its name have.

    ABSENT is what stands for no value at all. Raises Differ for a text where all others are numbers, or booleans.
    """
    if value == meaning.absent:
        return ABSENT
    kinds = meaning.kinds if before is ABSENT else (_type_of(before),)
    if kinds == ("boolean",) and value in ("true", "false"):
        return value == "true"
    if kinds == ("number",):
        for kind in (int, float):
            try:
                found = kind(value)
            except ValueError:
                continue
            if math.isfinite(found):
                return found
    if kinds in (("boolean",), ("number",)) and "string" not in meaning.kinds:
        raise Differ(f"The attribute {meaning.name!r} is a {kinds[0]} and cannot be {value!r}. Correct it in CVAT.")
    return value


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def _is_skeleton(piece: Piece) -> bool:
    return piece.shape.type == "skeleton"


# --- What has changed here --------------------------------------------------------------------------------------------


def _moved(sent: Fields, ours: Fields) -> dict[Aspect, None]:
    """The aspects that are different here from what was sent."""
    return {
        aspect: None
        for aspect, names in FIELDS.items()
        if any(not _equal(sent.get(name), ours.get(name)) for name in names)
    }


def _agrees(fields: Fields, ours: Fields) -> bool:
    """Whether what CVAT says is what we say by now; of attributes each that it says."""
    for name, value in fields.items():
        own = ours.get(name)
        if name == "attributes":
            own = own if isinstance(own, Mapping) else {}
            if any(not _equal(own.get(key, ABSENT), inner) for key, inner in value.items()):
                return False
        elif name not in ("area", "num_keypoints") and not _equal(own, value):
            return False
    return True


def _contested(aspect: Aspect, fields: Fields, sent: Fields, ours: Ours) -> bool:
    """Whether we have changed the same thing; attributes are told apart by their names."""
    if aspect is not Aspect.ATTRIBUTES:
        return True
    then, own = sent.get("attributes"), ours.fields.get("attributes")
    then, own = (value if isinstance(value, Mapping) else {} for value in (then, own))
    return any(
        not _equal(then.get(name, ABSENT), own.get(name, ABSENT)) and not _equal(own.get(name, ABSENT), value)
        for name, value in fields["attributes"].items()
    )


def _merged_attributes(fields: Fields, ours: Fields) -> dict[str, Any]:
    own = ours.get("attributes")
    merged = {**(own if isinstance(own, Mapping) else {}), **fields["attributes"]}
    return {"attributes": {name: value for name, value in merged.items() if value is not ABSENT}}


def _equal(one: Any, other: Any) -> bool:
    """JSON values, with numbers that were not moved by anybody: 0.1 + 0.2 is 0.3."""
    if one is ABSENT or other is ABSENT:
        return one is other
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return bool(one == other) and type(one) is type(other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= drawing.STILL
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)
