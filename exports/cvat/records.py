"""What CVAT tells about projects, labels, tasks, jobs and requests: read with tolerance, over its versions.

Unknown fields are passed over, missing ones have a default, a group is 0 whether it comes as 0 or null.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Json = Mapping[str, Any]


def text(value: Any) -> str:
    """The text, "" for what is missing or null."""
    return "" if value is None else str(value)


def number(value: Any) -> int:
    """The whole number, 0 for what is missing, null or none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def maybe(value: Any) -> int | None:
    """The whole number, None for what is missing or null."""
    return None if value is None else number(value)


def items(value: Any) -> list[Json]:
    """The objects of a list, none for what is missing or null."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class About:
    """The server: its name and version (`2.54.1`)."""

    name: str
    version: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """From the answer of `/server/about`."""
        return cls(text(data.get("name")), text(data.get("version")))

    @property
    def numbers(self) -> tuple[int, int]:
        """Major and minor version; zeros if it does not say."""
        found = [number(part) for part in self.version.split(".")[:2]]
        return (found[0], found[1]) if len(found) == 2 else (0, 0)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody in CVAT."""

    id: int
    username: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a user, an owner or an assignee."""
        return cls(number(data.get("id")), text(data.get("username")))

    @classmethod
    def maybe(cls, data: Any) -> Self | None:
        """The same, None for nobody."""
        return cls.read(data) if isinstance(data, Mapping) else None


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a label asks about an object. `id` is the `spec_id` of its values; numbers have values [min, max, step]."""

    id: int
    name: str
    input_type: str
    mutable: bool
    default_value: str
    values: tuple[str, ...]

    @classmethod
    def read(cls, data: Json) -> Self:
        """From an attribute of a label."""
        values = data.get("values")
        return cls(
            number(data.get("id")),
            text(data.get("name")),
            text(data.get("input_type")) or "text",
            bool(data.get("mutable")),
            text(data.get("default_value")),
            tuple(text(value) for value in values) if isinstance(values, list) else (),
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A class of objects, with its attributes and, if it is a skeleton, its points as `sublabels`."""

    id: int
    name: str
    type: str
    color: str
    attributes: tuple[Attribute, ...] = ()
    sublabels: tuple["Label", ...] = ()
    svg: str = ""

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a label of `/labels`."""
        return cls(
            number(data.get("id")),
            text(data.get("name")),
            text(data.get("type")) or "any",
            text(data.get("color")),
            tuple(Attribute.read(item) for item in items(data.get("attributes"))),
            tuple(Label.read(item) for item in items(data.get("sublabels"))),
            text(data.get("svg")),
        )

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, if it has one."""
        return next((found for found in self.attributes if found.name == name), None)


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its tasks share its labels."""

    id: int
    name: str
    status: str
    organization_id: int | None
    updated_date: str
    bug_tracker: str = ""

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a project."""
        organization = data.get("organization_id", data.get("organization"))
        return cls(
            number(data.get("id")),
            text(data.get("name")),
            text(data.get("status")),
            maybe(organization),
            text(data.get("updated_date")),
            text(data.get("bug_tracker")),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `size` counts its frames: 0 before it has data, and after a try that failed."""

    id: int
    name: str
    project_id: int | None
    size: int
    status: str
    bug_tracker: str
    jobs: int
    updated_date: str
    subset: str = ""

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a task."""
        jobs = data.get("jobs")
        return cls(
            number(data.get("id")),
            text(data.get("name")),
            maybe(data.get("project_id")),
            number(data.get("size")),
            text(data.get("status")),
            text(data.get("bug_tracker")),
            number(jobs.get("count")) if isinstance(jobs, Mapping) else 0,
            text(data.get("updated_date")),
            text(data.get("subset")),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """Frames that one person works on. `updated_date` is CVAT's own text, to the microsecond: use it as a mark."""

    id: int
    task_id: int
    project_id: int | None
    stage: str
    state: str
    type: str
    start_frame: int
    stop_frame: int
    updated_date: str
    assignee: User | None

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a job."""
        return cls(
            number(data.get("id")),
            number(data.get("task_id")),
            maybe(data.get("project_id")),
            text(data.get("stage")),
            text(data.get("state")),
            text(data.get("type")),
            number(data.get("start_frame")),
            number(data.get("stop_frame")),
            text(data.get("updated_date")),
            User.maybe(data.get("assignee")),
        )

    @property
    def is_done(self) -> bool:
        """Whether it is accepted and completed, which is what completes a task."""
        return self.stage == "acceptance" and self.state == "completed"


@dataclass(frozen=True, slots=True)
class Frame:
    """An image as CVAT shows it: name as in the zip, width and height in pixels after turning by EXIF (0: not told)."""

    name: str
    width: int
    height: int

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a frame of data/meta."""
        return cls(text(data.get("name")), number(data.get("width")), number(data.get("height")))


@dataclass(frozen=True, slots=True)
class DataMeta:
    """A task's images. The place in `frames` is the frame number of shapes."""

    size: int
    frames: tuple[Frame, ...]
    deleted_frames: frozenset[int]

    @classmethod
    def read(cls, data: Json) -> Self:
        """From data/meta."""
        deleted = data.get("deleted_frames")
        return cls(
            number(data.get("size")),
            tuple(Frame.read(item) for item in items(data.get("frames"))),
            frozenset(number(item) for item in deleted) if isinstance(deleted, list) else frozenset(),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Work in CVAT's background: queued, started, finished or failed."""

    id: str
    status: str
    message: str
    task_id: int | None
    finished_date: str
    result_url: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a request."""
        operation = data.get("operation")
        return cls(
            text(data.get("id")),
            text(data.get("status")),
            text(data.get("message")),
            maybe(operation.get("task_id")) if isinstance(operation, Mapping) else None,
            text(data.get("finished_date")),
            text(data.get("result_url")),
        )


@dataclass(frozen=True, slots=True)
class Issue:
    """A remark that somebody left on a frame; its texts are Comments. `position` is x, y, x, y... in pixels."""

    id: int
    job_id: int
    frame: int
    position: tuple[float, ...]
    resolved: bool
    owner: User | None = None
    assignee: User | None = None
    created_date: str = ""
    updated_date: str = ""

    @classmethod
    def read(cls, data: Json) -> Self:
        """From an issue."""
        return cls(
            number(data.get("id")),
            number(data.get("job")),
            number(data.get("frame")),
            _finite(data.get("position")),
            bool(data.get("resolved")),
            User.maybe(data.get("owner")),
            User.maybe(data.get("assignee")),
            text(data.get("created_date")),
            text(data.get("updated_date")),
        )


def _finite(value: Any) -> tuple[float, ...]:
    """The numbers of a list; none if one of them is no number that could be drawn."""
    found = value if isinstance(value, list) else []
    usable = all(isinstance(one, int | float) and math.isfinite(one) for one in found)
    return tuple(map(float, found)) if usable else ()


@dataclass(frozen=True, slots=True)
class Comment:
    """One text of an issue."""

    id: int
    issue_id: int
    message: str
    owner: User | None
    created_date: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a comment."""
        return cls(
            number(data.get("id")),
            number(data.get("issue")),
            text(data.get("message")),
            User.maybe(data.get("owner")),
            text(data.get("created_date")),
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where CVAT tells of changes. Its secret never comes back."""

    id: int
    target_url: str
    project_id: int | None
    is_active: bool
    events: tuple[str, ...]

    @classmethod
    def read(cls, data: Json) -> Self:
        """From a webhook."""
        events = data.get("events")
        return cls(
            number(data.get("id")),
            text(data.get("target_url")),
            maybe(data.get("project_id")),
            bool(data.get("is_active")),
            tuple(text(event) for event in events) if isinstance(events, list) else (),
        )
