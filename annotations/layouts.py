"""Recognising how a data set is laid out: which files are COCO files, of which split, and where its pictures are.

Known by their names: COCO's own (`annotations/instances_train2017.json` beside `train2017/`), Roboflow's
(`train/_annotations.coco.json` among its pictures), CVAT's and Datumaro's (`annotations/instances_default.json` beside
`images/`), Label Studio's (`result.json` beside `images/`), or any COCO file beside its pictures.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from annotations.coco.document import opened
from annotations.coco.problems import Action, CocoFileError, Problem, printable

# The parts of a COCO file's name that say what is in it, not which split it is; in the order in which files are merged.
TOPICS = (
    "instances",
    "person_keypoints",
    "keypoints",
    "stuff",
    "labels",
    "_annotations.coco",
    "_annotations",
    "image_info",
    "panoptic",
    "captions",
)
TOPIC = re.compile(rf"^({'|'.join(map(re.escape, TOPICS))})(?:[_-]|$)", re.IGNORECASE)
GENERIC = frozenset(
    ["", "annotations", "annotation", "coco", "result", "results", "labels", "data", "default", "dataset"]
)
SPLIT_FOLDERS = frozenset(["train", "training", "valid", "validation", "val", "test", "testing", "dev"])
YEAR = re.compile(r"(?<=[a-z])(19|20)\d\d$")
MAX_JSON_FILES = 200
LEFT_OUT = ""  # the split that is given for a file which is not to be imported
# What the reader says of JSON files that are no COCO files at all, as many folders have some.
OTHER_THINGS = frozenset(["not_an_object", "no_images"])


@dataclass(frozen=True, slots=True)
class Planned:
    """One COCO file to import: its name below the root, the split it goes to, what its name says is in it."""

    name: str
    split: str
    topic: str = ""


@dataclass
class Plan:
    """What was recognised, before anything is written. `passed_over` are JSON files that are not imported, and why."""

    layout: str
    files: list[Planned] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    # Those among them that were meant to be COCO files and cannot be read: their contents are left out.
    unreadable: set[str] = field(default_factory=set)

    def problems(self) -> list[Problem]:
        """What the report says of files that are not imported."""
        return [
            Problem(
                "file_unreadable" if name in self.unreadable else "file_passed_over",
                Action.QUARANTINED if name in self.unreadable else Action.KEPT,
                name,
                f"Not imported: {why}",
                "Correct the file and import the data set again." if name in self.unreadable else "",
            )
            for name, why in self.passed_over.items()
        ]

    def describe(self) -> list[str]:
        """Lines for people."""
        lines = [f"Layout: {self.layout}"]
        lines += [f"  {planned.name} -> split {planned.split!r}" for planned in self.files]
        lines += [f"  {name}: passed over, {why}" for name, why in self.passed_over.items()]
        return lines


def topic_of(path: PurePosixPath) -> str:
    """What the file's name says is in it (`instances`, `captions` ...), or nothing."""
    found = TOPIC.match(_stem(path))
    return found[1].lower() if found else ""


def split_of(path: PurePosixPath) -> str:
    """The split that a COCO file's name or folder tells: `instances_train2017.json` and `train/x.json` -> `train`."""
    rest = TOPIC.sub("", _stem(path))
    if rest.lower() in GENERIC:
        rest = "default"
        for folder in reversed(path.parts[:-1]):
            if YEAR.sub("", folder.lower()) in SPLIT_FOLDERS:
                rest = folder
                break
    return printable(YEAR.sub("", rest) or rest)[:100]


def _stem(path: PurePosixPath) -> str:
    return path.name.removesuffix(".gz").removesuffix(".json")


def plan(names: Iterable[str], path_of: Callable[[str], Path], *, split: str = "") -> Plan:
    """Find the COCO files among the JSON files of a data set.

    `names` are POSIX paths below its root, `path_of` gives a file to read. A given `split` is used for every file.
    """
    found = Plan(layout="")
    candidates = sorted(names)
    for name in candidates[MAX_JSON_FILES:]:
        found.passed_over[name] = f"there are more than {MAX_JSON_FILES} JSON files"
        found.unreadable.add(name)
    for name in candidates[:MAX_JSON_FILES]:
        try:
            with opened(path_of(name), PurePosixPath(name).name):
                pass
        except CocoFileError as error:
            found.passed_over[name] = error.message
            if error.code not in OTHER_THINGS:
                found.unreadable.add(name)
            continue
        path = PurePosixPath(name)
        found.files.append(Planned(name, split or split_of(path), topic_of(path)))
    found.files.sort(key=lambda planned: (_rank(planned.topic), planned.name))
    found.layout = _layout(found.files)
    return found


def _rank(topic: str) -> int:
    return TOPICS.index(topic) if topic in TOPICS else 0


def _layout(files: list[Planned]) -> str:
    if not files:
        return "no COCO file"
    bases = {PurePosixPath(planned.name).name for planned in files}
    if any("_annotations.coco" in base for base in bases):
        return "Roboflow"
    if bases == {"result.json"}:
        return "Label Studio"
    in_annotations = all("annotations" in PurePosixPath(planned.name).parts[:-1] for planned in files)
    if in_annotations and all(planned.split == "default" for planned in files):
        return "CVAT"
    if in_annotations:
        return "COCO"
    return "COCO file beside its pictures"
