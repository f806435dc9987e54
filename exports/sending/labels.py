"""Which label in CVAT stands for which category: named once, then known by id, whatever people call it since."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exports.cvat import labelling
from exports.cvat.converting import Target
from exports.cvat.labelling import SKELETON_SUFFIX
from exports.cvat.naming import MAX_NAME, label_names
from exports.cvat.records import Json, Label
from exports.cvat.shapes import COCO_ID
from exports.snapshots import FrozenCategory

Known = Mapping[str, Mapping[str, Any]]  # CvatProject.labels


@dataclass(frozen=True, slots=True)
class Wanted:
    """The labels to be had for a category: names and definitions as they are sent."""

    category: FrozenCategory
    label: Json
    skeleton: Json | None
    attributes: Mapping[str, str]  # our name -> CVAT's


def wanted_labels(categories: Iterable[FrozenCategory], known: Known, live: Sequence[Label]) -> list[Wanted]:
    """What the project must have. A category keeps its label; a new one takes a label of its name, or a new one."""
    by_id = {label.id: label for label in live}
    own = {int(entry[kind]) for entry in known.values() for kind in ("label", "skeleton") if entry.get(kind)}
    taken = {label.name for label in live if label.id in own}
    found: list[Wanted] = []
    for category in categories:
        entry = known.get(str(category.key), {})
        label = by_id.get(entry.get("label") or 0)
        name = label.name if label else _free(category.name, category.coco_id, taken)
        taken.add(name)
        attributes = _attribute_names(category, entry)
        skeleton = None
        if category.keypoints:
            drawn = by_id.get(entry.get("skeleton") or 0)
            kept = drawn is not None and len(drawn.sublabels) == len(category.keypoints)
            skeleton_name = drawn.name if drawn and kept else _free(_skeleton_name(name), category.coco_id, taken)
            taken.add(skeleton_name)
            skeleton = labelling.skeleton(
                skeleton_name, category.keypoints, category.skeleton, color=category.color or None
            )
        found.append(Wanted(category, _label(name, category, attributes), skeleton, attributes))
    return found


def definitions(wanted: Iterable[Wanted]) -> list[Json]:
    """The labels as they are sent."""
    return [item for one in wanted for item in (one.label, one.skeleton) if item is not None]


def connect(wanted: Iterable[Wanted], live: Sequence[Label]) -> dict[str, dict[str, Any]]:
    """The labels by category, for CvatProject.labels, once they are all there."""
    by_name = {label.name: label for label in live}
    found: dict[str, dict[str, Any]] = {}
    for one in wanted:
        skeleton = by_name[str(one.skeleton["name"])] if one.skeleton is not None else None
        label = by_name[str(one.label["name"])]
        found[str(one.category.key)] = {
            "label": label.id,
            "skeleton": skeleton.id if skeleton else None,
            "keypoints": list(one.category.keypoints),
            "attributes": {
                ours: {"name": theirs, "input_type": attribute.input_type}
                for ours, theirs in one.attributes.items()
                if (attribute := label.attribute(theirs)) is not None
            },
        }
    return found


def targets(labels: Known, live: Sequence[Label]) -> dict[int, Target]:
    """The labels to draw with, by the categories' primary keys; labels that are gone are left out."""
    by_id = {label.id: label for label in live}
    return {
        int(key): Target(by_id[entry["label"]], by_id.get(entry.get("skeleton") or 0))
        for key, entry in labels.items()
        if entry["label"] in by_id
    }


def specs_of(live: Iterable[Label]) -> dict[int, int]:
    """For each label's id the id of its attribute `coco_id`."""
    return {label.id: found.id for label in live if (found := label.attribute(COCO_ID)) is not None}


def _label(name: str, category: FrozenCategory, names: Mapping[str, str]) -> Json:
    attributes = [
        labelling.attribute(names[ours], given.input_type, given.default, given.values)
        for ours, given in (category.attributes or {}).items()
    ]
    return labelling.label(name, color=category.color or None, attributes=attributes)


def _attribute_names(category: FrozenCategory, entry: Mapping[str, Any]) -> dict[str, str]:
    before = {ours: str(given["name"]) for ours, given in entry.get("attributes", {}).items()}
    names = {ours: before[ours] for ours in category.attributes or {} if ours in before}
    taken = set(before.values())
    for ours, given in (category.attributes or {}).items():
        if ours not in names:
            names[ours] = _numbered(given.name, taken)
            taken.add(names[ours])
    return names


def _skeleton_name(name: str) -> str:
    return name[: MAX_NAME - len(SKELETON_SUFFIX)].rstrip() + SKELETON_SUFFIX


def _free(name: str, coco_id: int, taken: set[str]) -> str:
    """A name that CVAT keeps as it is, and that no other category's label has."""
    clean = label_names([name])[name]
    if clean not in taken:
        return clean
    ending = f" ({coco_id})"  # two categories of one name: two splits may number their classes differently
    return _numbered(f"{clean[: MAX_NAME - len(ending)].rstrip()}{ending}", taken)


def _numbered(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        ending = f"~{number}"
        found = name[: MAX_NAME - len(ending)].rstrip() + ending
        number += 1
    return found
