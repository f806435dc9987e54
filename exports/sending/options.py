"""How an export to CVAT is to be cut into tasks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from accounts.errors import ServiceError

MAX_IMAGES = 20_000  # in a task
MAX_MEGABYTES = 20_000  # CVAT takes files up to 25 GiB
MAX_NAME = 150


@dataclass(frozen=True, slots=True)
class Options:
    """Cutting: so many images and megabytes in a task, so many images in one of its jobs (0: all in one).

    `per_split` makes tasks of one split each. `name` is how the tasks' names begin; the project's name if empty. With
    `from_bucket` CVAT reads the pictures from our bucket, where it can show them as they are meant.
    """

    images_per_task: int = 500
    megabytes_per_task: int = 2_000
    images_per_job: int = 0
    per_split: bool = True
    name: str = ""
    from_bucket: bool = False

    def __post_init__(self) -> None:
        limits = {
            "images_per_task": (1, MAX_IMAGES),
            "megabytes_per_task": (1, MAX_MEGABYTES),
            "images_per_job": (0, MAX_IMAGES),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                text = f"Expected {least} to {most:,}, found {value}."
                raise ServiceError(f"{name} is {value}; expected {least} to {most:,}.", fields={name: [text]})
        if len(self.name) > MAX_NAME:
            text = f"It has {len(self.name)} characters; {MAX_NAME} are allowed."
            raise ServiceError(f"The name is too long. {text}", fields={"name": [text]})

    @classmethod
    def from_snapshot(cls, snapshot: Mapping[str, Any]) -> Self:
        """What a job's frozen filter says."""
        given = snapshot.get("cvat", {})
        return cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
