"""The frozen annotations of one task as CVAT's shapes: checked, with what cannot go said by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from exports.cvat.converting import Target, Unconvertible, to_shapes
from exports.cvat.guards import Flaw, clipped, flaws_of, value_flaw
from exports.cvat.records import Frame, Label
from exports.cvat.shapes import Shape, Values
from exports.snapshots import FrozenAnnotation, FrozenCategory

OCCLUDED = "occluded"  # the shape's own flag in CVAT


@dataclass
class Drawing:
    """The shapes of a task by the annotations' keys, what is left out, and values that stay here."""

    shapes: dict[str, list[Shape]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # key -> reason
    parts: dict[str, list[str]] = field(default_factory=dict)  # key -> parts of its outline that stay here, and why
    kept_here: dict[str, str] = field(default_factory=dict)  # attribute of a category -> why its values do not go

    @property
    def all_shapes(self) -> list[Shape]:
        """Every shape, those of one annotation together."""
        return [shape for own in self.shapes.values() for shape in own]


@dataclass(frozen=True)
class Paper:
    """What is drawn on: frames by image (primary key), labels by category (primary key)."""

    frames: Sequence[Frame]
    numbers: Mapping[int, int]  # image -> frame number
    problems: Mapping[int, str]  # image -> why it is not there
    targets: Mapping[int, Target]
    categories: Mapping[int, FrozenCategory]
    names: Mapping[int, Mapping[str, str]]  # category -> {attribute: its name in CVAT}


def draw(annotations: Iterable[FrozenAnnotation], paper: Paper) -> Drawing:
    """Turn every annotation into shapes, or say why not."""
    drawing = Drawing()
    labels = {label.id: label for label in _labels(paper)}
    for group, annotation in enumerate(annotations, 1):
        try:
            drawing.shapes[annotation.key] = _shapes(annotation, group, paper, labels, drawing)
        except _LeftOut as reason:
            drawing.left_out[annotation.key] = str(reason)
    return drawing


class _LeftOut(Exception):
    """The annotation cannot go."""


def _shapes(
    annotation: FrozenAnnotation, group: int, paper: Paper, labels: Mapping[int, Label], drawing: Drawing
) -> list[Shape]:
    number = paper.numbers.get(annotation.image)
    if number is None:
        raise _LeftOut(f"its image is left out: {paper.problems.get(annotation.image, 'it is not in the task')}")
    if annotation.category is None:
        raise _LeftOut("it has no category")
    target = paper.targets.get(annotation.category)
    if target is None:
        raise _LeftOut("the label of its category is not in CVAT any more")
    frame = paper.frames[number]
    record = _without_empty_keypoints(annotation.fields())
    try:
        shapes = to_shapes(
            record,
            target,
            number,
            frame,
            coco_id=annotation.key,
            group=group,
            values=_values(record, annotation.category, target.label, paper, drawing),
        )
    except Unconvertible as error:
        raise _LeftOut(str(error)) from None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise _LeftOut(f"its shape cannot be read ({type(error).__name__})") from None
    if not shapes:
        raise _LeftOut("it has no outline, no box and no keypoints")
    occluded = _attributes(record).get(OCCLUDED) is True
    found = [clipped(replace(shape, occluded=occluded) if occluded else shape, frame) for shape in shapes]
    flaws = [flaws_of(shape, labels, paper.frames) for shape in found]
    if not any(flaws):
        return found
    good = [shape for shape, wrong in zip(found, flaws, strict=True) if not wrong]
    if not _can_do_without(found, flaws) or not any(shape.type == "polygon" for shape in good):
        raise _LeftOut("; ".join([str(flaw) for wrong in flaws for flaw in wrong][:3]))
    # Polygons come first, in the order of the record's parts. Those that were never sent are still there afterwards.
    drawing.parts[annotation.key] = [
        f"segmentation[{at}]: {wrong[0].message}" for at, wrong in enumerate(flaws) if wrong
    ]
    return good if len(good) > 1 else [replace(good[0], group=0)]


def _can_do_without(shapes: Sequence[Shape], flaws: Sequence[Sequence[Flaw]]) -> bool:
    """Whether only how polygons are drawn is wrong: too few points, or no area."""
    return all(
        shape.type == "polygon" and all(flaw.field == "points" for flaw in wrong)
        for shape, wrong in zip(shapes, flaws, strict=True)
        if wrong
    )


def _without_empty_keypoints(record: dict[str, Any]) -> dict[str, Any]:
    """A record none of whose keypoints is labelled has no skeleton to draw; its outline goes alone."""
    keypoints = record.get("keypoints")
    if isinstance(keypoints, list) and not any(keypoints[2::3]):
        return {name: value for name, value in record.items() if name != "keypoints"}
    return record


def _attributes(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get("attributes")
    return found if isinstance(found, Mapping) else {}


def _values(record: Mapping[str, Any], category: int, label: Label, paper: Paper, drawing: Drawing) -> Values:
    found: list[tuple[int, str]] = []
    given = _attributes(record)
    for ours, theirs in paper.names.get(category, {}).items():
        attribute = label.attribute(theirs)
        if ours not in given or attribute is None:
            continue
        text = as_text(given[ours])
        wrong = value_flaw(text, attribute) if text is not None else "lists, objects and null have no place there"
        if text is None or wrong:
            drawing.kept_here.setdefault(f"{paper.categories[category].name}.{ours}", wrong or "")
            continue
        found.append((attribute.id, text))
    return tuple(found)


def as_text(value: Any) -> str | None:
    """A simple value as CVAT keeps it; None for what is no text, number or boolean."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return orjson.dumps(value).decode() if abs(value) < 2**53 else str(value)
    return None


def _labels(paper: Paper) -> Iterable[Label]:
    for target in paper.targets.values():
        yield target.label
        if target.skeleton is not None:
            yield target.skeleton
