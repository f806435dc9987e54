"""Exports: asked for by a manager, done by a worker, kept in storage until they are forgotten."""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.db import transaction

from accounts.errors import NotFound, ServiceError
from accounts.models import User
from annotations import query
from annotations.models import KINDS, Annotation
from assets import storage
from assets.models import ImageAsset, Split
from exports.models import ExportJob
from exports.packing import ZipAdder, write_package
from exports.rendering import Progress, Rendered, Selection, choose_kind, frozen, write_document
from projects import audit, jobs, policies
from projects.models import Project, Role, Task


@dataclass(frozen=True)
class Wanted:
    """What an export is to hold: a query, a split (all if empty), a kind of annotations (the first if empty)."""

    q: str = ""
    split: str = ""
    kind: str = ""
    package: bool = False  # a zip with a file for each split and kind, rather than one JSON file
    pictures: bool = False
    sources: Sequence[str] = ()  # of predictions that are wanted beside what people have drawn; "*" is all of them

    @classmethod
    def from_snapshot(cls, snapshot: dict[str, Any]) -> "Wanted":
        """What a job's frozen filter says."""
        return cls(**{name: snapshot[name] for name in cls.__dataclass_fields__ if name in snapshot})


def select(project: Project, wanted: Wanted) -> Selection:
    """The images that are wanted; call it inside `frozen`. Raises NotFound for a split that the project has not."""
    images = ImageAsset.objects.filter(project=project)
    if wanted.split:
        images = images.filter(split=find_split(project, wanted.split))
    check_sources(project, wanted.sources)
    return Selection(project, query.filter_images(images, project, wanted.q), wanted.sources)


def check_sources(project: Project, names: Sequence[str]) -> None:
    """Raise ServiceError for a source that has predicted nothing in this project."""
    made = Annotation.objects.filter(project=project, is_machine=True)
    for name in names:
        if name != "*" and not made.filter(source=name).exists():
            text = f"There are no predictions of {name[:100]!r} in this project."
            raise ServiceError(text, fields={"sources": [text]})


def find_split(project: Project, name: str) -> Split:
    """The project's split of this name. Raises NotFound, naming those there are."""
    try:
        return Split.objects.get(project=project, name=name)
    except Split.DoesNotExist:
        known = ", ".join(project.splits.values_list("name", flat=True)) or "none yet"
        raise NotFound(f"There is no split {name!r} in this project. Its splits are: {known}.") from None


def start_export(*, user: User, project: Project, wanted: Wanted) -> ExportJob:
    """Queue a COCO export of what the query chooses now; the filter is frozen with the project's revision."""
    policies.require(user, Role.MANAGER, project)
    canonical = query.canonical(wanted.q)
    if wanted.split:
        find_split(project, wanted.split)
    check_sources(project, wanted.sources)
    if wanted.kind and not wanted.package:
        choose_kind_name(wanted.kind)
    with transaction.atomic():
        task = jobs.create_task(project, Task.Kind.EXPORT, user)
        job = ExportJob.objects.create(
            project=project,
            task=task,
            target=ExportJob.Target.COCO,
            created_by=user,
            filter_snapshot={
                **{name: getattr(wanted, name) for name in Wanted.__dataclass_fields__},
                "package": wanted.package or wanted.pictures,
                "canonical": canonical,
                "revision": project.revision,
            },
        )
        audit.record(user, project, "export.started", export=job.pk, q=canonical, split=wanted.split)
        jobs.publish(task)
    return job


def choose_kind_name(kind: str) -> None:
    """Raise ServiceError for a word that is no kind of annotations."""
    if kind not in KINDS:
        raise ServiceError(
            f"{kind!r} is no kind of annotations.",
            fields={"kind": [f"Expected objects, captions or panoptic, found {kind!r}."]},
        )


def run_export(claim: jobs.Claim) -> dict[str, Any]:
    """Write a queued export into storage; give what was written.

    Under a name of this turn's own: a worker that stood still until another had taken over would else put its file, of
    an older state, in the place of the one whose numbers are told. What it leaves is deleted as nobody's.
    """
    job = ExportJob.objects.select_related("project").get(task=claim.task)
    wanted = Wanted.from_snapshot(job.filter_snapshot)
    ending = "zip" if wanted.package else "json"
    key = f"exports/{job.project_id}/{claim.id}/{claim.turn}.{ending}"
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as draft:
        rendered = write_to(draft, job.project, wanted, claim.progress)
        draft.flush()
        size = draft.tell()
        draft.seek(0)
        storage.put(key, draft)
    result = {
        "images": rendered.images,
        "annotations": rendered.annotations,
        "categories": rendered.categories,
        "notes": rendered.notes,
        "size_bytes": size,
    }
    with transaction.atomic():
        ExportJob.objects.filter(pk=job.pk).update(payload_uri=key)
        audit.record(job.created_by, job.project, "export.finished", export=job.pk, images=rendered.images)
        claim.succeed_with_transaction(result)
    return result


def write_to(target: IO[bytes], project: Project, wanted: Wanted, progress: Progress) -> Rendered:
    """Write what is wanted to a file: a zip or a JSON document."""

    def work(selection: Selection) -> Rendered:
        if not wanted.package:
            kind, notes = choose_kind(selection, wanted.kind)
            rendered = write_document(selection, target, kind=kind, progress=progress)
            rendered.notes += notes
            return rendered
        with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
            return write_package(selection, ZipAdder(archive), pictures=wanted.pictures, progress=progress)

    return with_selection(project, wanted, work)


def with_selection(project: Project, wanted: Wanted, work: Callable[[Selection], Rendered]) -> Rendered:
    """Do something with the wanted images in one frozen state of the database."""
    with frozen():
        return work(select(project, wanted))
