"""Sources of predictions in a project: what there is of them, and taking one away."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Max, Min, QuerySet

from accounts.errors import NotFound, ServiceError
from annotations.importing import LOCK_IMPORT
from annotations.merging import RECOUNT
from annotations.models import Annotation
from annotations.one_file import Progress
from assets.models import Split
from projects.models import Project

BATCH = 20_000  # annotations deleted between two signs of progress


@dataclass(frozen=True)
class Removed:
    """What a removal deleted."""

    source: str
    split: str  # empty: in every one
    annotations_removed: int
    revision: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sources(project: Project) -> Sequence[dict[str, Any]]:
    """What machines have said in this project: by source and split, with numbers and the range of scores."""
    found = Annotation.objects.filter(project=project, is_machine=True).values("source", "split_id")
    names = dict(Split.objects.filter(project=project).values_list("pk", "name"))
    counted = found.annotate(
        annotations=Count("pk"), images=Count("image", distinct=True), lowest=Min("score"), highest=Max("score")
    ).order_by("source", "split_id")
    return [
        {
            "source": row["source"],
            "split": names.get(row["split_id"], ""),
            "annotations": row["annotations"],
            "images": row["images"],
            "lowest_score": row["lowest"],
            "highest_score": row["highest"],
        }
        for row in counted
    ]


def count(project: Project, source: str, split: str = "") -> int:
    """How much this source has predicted, in one split or in all. Raises NotFound if there is nothing."""
    found = _rows_of(project, source, split).count()
    if not found:
        known = ", ".join(sorted({row["source"] for row in sources(project)})) or "none"
        raise NotFound(f"There are no predictions of {source[:100]!r} here. The sources are: {known}.")
    return found


@transaction.atomic
def remove(
    project: Project,
    source: str,
    split: str = "",
    *,
    progress: Progress = lambda phase, done, total: None,
    before_commit: Callable[[Removed], None] = lambda removed: None,
) -> Removed:
    """Delete what this source has predicted, in one split or in all, or nothing. Raises NotFound if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_IMPORT, project.pk])
        total, done = count(project, source, split), 0
        found = _rows_of(project, source, split)
        splits = list(found.values_list("split_id", flat=True).distinct())
        while gone := Annotation.objects.filter(pk__in=found.values("pk")[:BATCH])._raw_delete(found.db):
            done += gone
            progress("deleting", done, total)
        progress("finishing", 0, None)
        cursor.execute(RECOUNT, {"project": project.pk, "splits": splits})
    removed = Removed(source, split, done, project.touch())
    before_commit(removed)
    return removed


def _rows_of(project: Project, source: str, split: str) -> QuerySet[Annotation]:
    found = Annotation.objects.filter(project=project, is_machine=True, source=source)
    return found.filter(split=split_named(project, split)) if split else found


def split_named(project: Project, name: str) -> Split:
    splits = list(Split.objects.filter(project=project).order_by("pk"))
    chosen = [split for split in splits if split.name == name] if name else splits
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(repr(split.name) for split in splits) or "none yet: import its COCO file first"
    text = f"Say which split the predictions belong to{f'; there is no {name!r}' if name else ''}. There are {known}."
    raise ServiceError(text, fields={"split": [text]})
