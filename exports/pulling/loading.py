"""The sides of a comparison, from the snapshot, the database and CVAT."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from annotations.models import Annotation, Category
from exports.cvat.records import Label
from exports.models.cvat import CvatTask
from exports.pulling.models import CvatDifference, CvatKnown
from exports.pulling.states import Meaning, Ours, Piece, Sent, SentTag, Vocabulary
from exports.snapshots import FrozenAnnotation, FrozenCategory, Snapshot
from projects.models import Project

CHUNK = 2_000  # rows asked for at once
IDS = ("id", "image_id", "category_id")
COLUMNS = ("bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints", "attributes", "score")


def base_of(task: CvatTask, snapshot: Snapshot) -> tuple[list[Sent], list[SentTag]]:
    """What CVAT has of the task to our knowledge: as it was sent, or as it was when a difference was dealt with."""
    rows = list(CvatKnown.objects.filter(cvat_task=task, cvat_id=task.cvat_id))
    known = {row.key: row for row in rows if row.subject == CvatDifference.Subject.ANNOTATION}
    shapes = {one.key: one.shapes for one in snapshot.sent(task) if not one.left_out}
    sent = [
        _sent(one, shapes[one.key]) for one in snapshot.annotations(task) if one.key in shapes and one.key not in known
    ]
    sent += [
        Sent(
            row.key, row.frame, tuple(Piece.read(piece) for piece in row.pieces), row.fields, row.version,
            row.annotation_id,
        )
        for row in known.values()
    ]  # fmt: skip
    tags = [
        SentTag(row.key, row.frame, str(row.fields.get("tag", "")))
        for row in rows
        if row.subject == CvatDifference.Subject.TAG and row.pieces
    ]
    return sent, tags


def _sent(frozen: FrozenAnnotation, shapes: Sequence[Any]) -> Sent:
    fields = frozen.fields()
    record = {name: value for name, value in fields.items() if name not in IDS}
    record["category"] = frozen.category
    pieces = tuple(Piece.of(shape) for shape in shapes)
    return Sent(frozen.key, shapes[0].frame, pieces, record, frozen.version, frozen.annotation)


def ours_of(project: Project, sent: Iterable[Sent]) -> dict[str, Ours]:
    """The annotations as they are here, by key; those that are gone are not in it.

    One that has the version that was sent is as it was sent, and is not read again.
    """
    found: dict[str, Ours] = {}
    for part in _chunks([one for one in sent if one.annotation is not None]):
        by_key = {one.annotation: one for one in part}
        rows = Annotation.objects.filter(project=project, pk__in=list(by_key))
        versions = dict(rows.values_list("pk", "version"))
        moved = [key for key, version in versions.items() if version != by_key[key].version]
        fields = fields_of(project, moved)
        for key, version in versions.items():
            one = by_key[key]
            found[one.key] = Ours(version, fields.get(key, one.fields))
    return found


def versions_of(project: Project, keys: Iterable[int]) -> dict[int, int]:
    """The versions of those of the annotations that are here, by primary key."""
    found: dict[int, int] = {}
    for part in _chunks(list(keys)):
        found.update(Annotation.objects.filter(project=project, pk__in=part).values_list("pk", "version"))
    return found


def fields_of(project: Project, keys: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The COCO records of annotations as they are here, with `category`, by primary key."""
    found: dict[int, dict[str, Any]] = {}
    for part in _chunks(list(keys)):
        rows = Annotation.objects.filter(project=project, pk__in=part)
        for key, category, extra, *values in rows.values_list("pk", "category_id", "extra", *COLUMNS):
            record = {name: value for name, value in zip(COLUMNS, values, strict=True) if value is not None}
            for name in ("area", "score"):
                if name in record:
                    record[name] = float(record[name])
            found[key] = {**(extra or {}), **record, "category": category}
    return found


def vocabulary_of(
    project: Project,
    labels: Sequence[Label],
    known: Mapping[str, Mapping[str, Any]],
    frozen: Mapping[int, FrozenCategory],
) -> Vocabulary:
    """What the labels mean here: by their ids as they were made (`CvatProject.labels`), else by their names.

    A category that was deleted or merged here since is found by the name that its label has.
    """
    names = dict(Category.objects.filter(project=project).values_list("pk", "name"))
    by_name: dict[str, list[int]] = {}
    for key, name in names.items():
        by_name.setdefault(name.strip(), []).append(key)
    made: dict[int, int] = {}
    for text, entry in known.items():
        for kind in ("label", "skeleton"):
            if entry.get(kind) is not None and int(text) in names:
                made[int(entry[kind])] = int(text)
    for label in labels:
        same = by_name.get(label.name, [])
        if label.id not in made and len(same) == 1:
            made[label.id] = same[0]
    attributes: dict[int, dict[str, Meaning]] = {}
    for text, entry in known.items():
        attributes[int(text)] = {
            given["name"]: Meaning(name, absent=given.get("absent"), kinds=tuple(given.get("kinds", ())))
            for name, given in (entry.get("attributes") or {}).items()
        }
    for key, category in frozen.items():
        for name, given in (category.attributes or {}).items():
            attributes.setdefault(key, {})[_name_in_cvat(known, key, name, given.name)] = Meaning(
                name, given.kinds, given.absent
            )
    return Vocabulary(
        {label.id: label for label in labels}, made, attributes, {label: names[key] for label, key in made.items()}
    )


def _name_in_cvat(known: Mapping[str, Mapping[str, Any]], category: int, name: str, frozen: str) -> str:
    """The name that the label's attribute really got: an older export may have made it."""
    entry = (known.get(str(category)) or {}).get("attributes") or {}
    return str((entry.get(name) or {}).get("name", frozen))


def greatest_ids(task: CvatTask, snapshot: Snapshot) -> dict[int, int]:
    """By image: the greatest COCO id that the snapshot has of its annotations, whether or not it is here now."""
    found: dict[int, int] = {}
    for one in snapshot.annotations(task):
        number = one.key.partition("@")[0]
        if number.isdecimal():
            found[one.image] = max(found.get(one.image, 0), int(number))
    return found


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
