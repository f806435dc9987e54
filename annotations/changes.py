"""Which images a bulk edit is about, and what it does to them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F

from accounts.errors import ServiceError
from annotations import query
from annotations.models import BulkEdit
from annotations.query.conditions import one_of
from assets.models import ImageAsset, ImageAssetQuerySet
from assets.services import Edit
from projects.models import Project, Role

MAX_IDS = 10_000  # images named one by one
SHOWN = 5  # ids in a message
MAX_SPLIT = 100  # characters

Action = BulkEdit.Action


@dataclass(frozen=True)
class Selection:
    """Which images: those of a query, or those with these keys."""

    q: str = ""
    ids: tuple[int, ...] | None = None

    def images(self, project: Project, now: datetime | None = None) -> ImageAssetQuerySet:
        """The project's images that are meant; QueryError if the query is none."""
        rows = ImageAsset.objects.filter(project=project)
        if self.ids is not None:
            return rows.filter(one_of(F("pk"), self.ids))
        return query.filter_images(rows, project, self.q, now=now)

    def check(self) -> None:
        """Raise QueryError, or ServiceError for too many ids."""
        query.parse(self.q)
        if self.ids is not None and len(self.ids) > MAX_IDS:
            text = f"{len(self.ids):,} ids; {MAX_IDS:,} is the most. Select the images by a query."
            raise ServiceError(text, fields={"ids": [text]})

    def refuse_unknown(self, project: Project) -> None:
        """Raise ServiceError for keys that are none of the project's images: none is left out in silence."""
        if not self.ids:
            return
        unknown = sorted(set(self.ids).difference(self.images(project).values_list("pk", flat=True)))
        if unknown:
            shown = ", ".join(map(str, unknown[:SHOWN])) + (", ..." if len(unknown) > SHOWN else "")
            text = (
                f"{len(unknown):,} of {len(self.ids):,} ids are no images of this project: {shown}. Nothing was done."
            )
            raise ServiceError(text, fields={"ids": [text]})

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a query in its canonical form."""
        return {"q": query.canonical(self.q)} if self.ids is None else {"ids": list(self.ids)}


@dataclass(frozen=True)
class Change:
    """What happens to the images: an edit, going to a split, or both; or they are deleted."""

    edit: Edit = field(default_factory=Edit)
    split: str | None = None
    delete: bool = False

    @property
    def action(self) -> BulkEdit.Action:
        """What kind of bulk edit it is."""
        return Action.DELETE if self.delete else Action.EDIT

    @property
    def role(self) -> Role:
        """Who may do it."""
        return role_for(self.action)

    @property
    def columns(self) -> list[str]:
        """The columns that it writes; none for a deletion."""
        edit = self.edit
        written = {
            "tags": edit.tags is not None or bool(edit.add_tags or edit.remove_tags),
            "status": edit.status is not None,
            "metadata": bool(edit.metadata),
            "split_id": self.split is not None,
        }
        return [name for name, is_written in written.items() if is_written]

    def check(self) -> None:
        """Raise ServiceError with the fields at fault."""
        self.edit.check()
        if self.split is not None and (not self.split.isprintable() or len(self.split) > MAX_SPLIT):
            text = f"Expected a name of at most {MAX_SPLIT} characters, none of them a control character."
            raise ServiceError(text, fields={"split": [text]})
        if bool(self.columns) is self.delete:
            raise ServiceError("Say what to change, or delete; not both.")

    def as_dict(self) -> dict[str, Any]:
        """What is changed, for JSON."""
        said = self.edit.as_dict()
        if self.split is not None:
            said["split"] = self.split
        return {"delete": True} if self.delete else said

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> "Change":
        """The change that was said."""
        if said.get("delete"):
            return cls(delete=True)
        return cls(Edit(**{name: value for name, value in said.items() if name != "split"}), said.get("split"))


def role_for(action: str) -> Role:
    """Curators edit, managers delete."""
    return Role.MANAGER if action in (Action.DELETE, Action.UNLIST) else Role.CURATOR
