"""One task in CVAT, from its row to its last shape: made, filled with images, mapped, drawn on, counted back."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.errors import ServiceError
from exports.cvat import annotating, projecting, uploading, waiting
from exports.cvat.client import Client
from exports.cvat.errors import NotFound
from exports.cvat.guards import frame_numbers, frames_differ
from exports.cvat.records import Frame, Label
from exports.cvat.shapes import Shape
from exports.models import CvatImage, CvatProject, CvatTask, ExportJob
from exports.sending import labels, zipping
from exports.sending.ahead import Pens, Zips
from exports.sending.drawing import Drawing, Paper
from exports.sending.mirroring import mirror
from exports.sending.options import Options
from exports.snapshots import FrozenCategory, SentAnnotation, Snapshot
from projects import jobs

Step = CvatTask.Step
TRIES = 2  # a task that CVAT could not make is spoilt; it is made anew once
MAX_SUBSET = 64
SHOWN = 5  # of many, in a message


@dataclass(frozen=True)
class Bench:
    """What all tasks of one export are made with."""

    client: Client
    job: ExportJob
    project: CvatProject
    snapshot: Snapshot
    categories: dict[int, FrozenCategory]
    live: list[Label]
    claim: jobs.Claim
    zips: Zips
    pens: Pens
    subsets: dict[int, str]  # the split's name of each task, by number; "" for several


class Spoilt(Exception):
    """The task in CVAT cannot become what it should; a new one may."""


class TaskSender:
    """Takes one task from wherever it is to its end."""

    def __init__(self, bench: Bench, task: CvatTask) -> None:
        self.bench = bench
        self.client = bench.client
        self.task = task

    def draw_ahead(self) -> None:
        """Begin to draw the task's shapes, if they are what comes next."""
        if self.task.step == Step.FRAMED:
            self.bench.pens.prepare(self.task, self.bench.snapshot, self._paper())

    def run(self, *, until: Step | None = None) -> None:
        """Do step after step, to the end or until this step is saved.

        Raises ServiceError for what trying again does not cure, and CvatError.
        """
        steps: dict[str, Callable[[], None]] = {
            Step.DELETED: self._begin_again,
            Step.PLANNED: self._create,
            Step.CREATED: self._upload,
            Step.UPLOADED: self._start_making,
            Step.MAKING: self._map_frames,
            Step.FRAMED: self._annotate,
        }
        while self.task.step in steps and self.task.step != until:
            try:
                steps[self.task.step]()
            except (Spoilt, waiting.CreationFailed, waiting.RequestGone, NotFound) as error:
                self._start_over(error)

    # --- The steps --------------------------------------------------------------------------------------------------

    def _begin_again(self) -> None:
        self._forget_upload(step=Step.PLANNED, cvat_id=None, gone_at=None, tries=0, status="", stage="", state="")

    def _create(self) -> None:
        self._progress("task", 0)
        if self.task.cvat_id is not None:  # spoilt, and not yet taken away
            self.client.delete_task(self.task.cvat_id)
            self._save(cvat_id=None)
        made = projecting.ensure_task(
            self.client,
            self.task.name,
            int(self.bench.project.cvat_id or 0),
            self.task.back_link,
            segment_size=self.options.images_per_job,
            subset=self.bench.subsets[self.task.number].strip()[:MAX_SUBSET],
        )
        self._save(cvat_id=made.id, cvat_project=self.bench.project, step=Step.CREATED)

    def _upload(self) -> None:
        if self.options.from_bucket and not self.task.zip_sha256 and self._leave_in_bucket():
            return
        file, zipped = self._zip()
        with file:
            if not zipped.names:
                self._be_empty()
                return
            uploading.upload(
                self.client,
                self.cvat_id,
                cast(BinaryIO, file),
                zipped.size_bytes,
                upload_id=self.task.upload_id or None,
                progress=lambda upload: self._uploaded(upload, zipped.size_bytes),
            )
        self._save(step=Step.UPLOADED)

    def _start_making(self) -> None:
        self._progress("frames", 0)
        rq_id = self._finish()
        self._save(rq_id=rq_id or "", step=Step.MAKING)

    def _map_frames(self) -> None:
        self._progress("frames", 0)
        size = self._wait()
        meta = self.client.data_meta(self.cvat_id)
        rows = self._usable_images()
        expected = {image.name: (image.width, image.height) for image in rows}
        wrong = frames_differ(meta.frames, expected)
        if size != len(expected) or meta.size != size:
            wrong.insert(0, f"the task has {size} frames, {len(expected)} images were sent")
        if wrong:
            self._forget_upload(step=Step.PLANNED)  # what is there now is taken away first
            self.client.delete_task(self.cvat_id)
            self._save(cvat_id=None)
            shown = "; ".join(wrong[:SHOWN])
            raise ServiceError(
                f"CVAT made other frames of task {self.task.number} than the images that were sent: {shown}. The task "
                "was taken away again.",
                detail={"task": self.task.number, "frames": wrong},
            )
        numbers = frame_numbers(meta.frames)
        with transaction.atomic():
            _save_frames(self.task, [(image.pk, numbers[image.name]) for image in rows])
            self._save(step=Step.FRAMED, size=size)

    def _annotate(self) -> None:
        drawing = self.bench.pens.take(self.task, self.bench.snapshot, self._paper())
        shapes = drawing.all_shapes
        self._progress("annotations", 0, len(shapes))
        found = annotating.create(
            self.client,
            self.cvat_id,
            shapes,
            labels.specs_of(self.bench.live),
            progress=lambda done: self._progress("annotations", done, len(shapes)),
        )
        self._compare(drawing, found)
        self.bench.snapshot.write_sent(
            self.task,
            [
                *(
                    SentAnnotation(key, tuple(found.shapes[key]), parts=tuple(drawing.parts.get(key, ())))
                    for key in drawing.shapes
                ),
                *(SentAnnotation(key, left_out=reason) for key, reason in drawing.left_out.items()),
            ],
        )
        theirs = self.client.jobs(self.cvat_id)
        status = self.client.task(self.cvat_id).status
        with transaction.atomic():
            mirror(self.task, theirs, status)
            self._save(
                step=Step.SENT,
                sent=len(drawing.shapes),
                shapes=len(shapes),
                parts_left_out=sum(map(len, drawing.parts.values())),
                message=_notes(drawing, len(found.foreign)),
                status=self.task.status,
                stage=self.task.stage,
                state=self.task.state,
                updated_date=self.task.updated_date,
                checked_at=timezone.now(),
            )

    # --- How --------------------------------------------------------------------------------------------------------

    @property
    def cvat_id(self) -> int:
        """The task's number in CVAT."""
        if self.task.cvat_id is None:
            raise Spoilt("it has not been made")
        return self.task.cvat_id

    @property
    def options(self) -> Options:
        """How the export is cut."""
        return Options.from_snapshot(self.bench.job.filter_snapshot)

    def _finish(self) -> str | None:
        if not self.task.from_bucket:
            return uploading.finish(self.client, self.cvat_id)
        keys = [image.name for image in self._usable_images()]
        return uploading.finish_from_storage(self.client, self.cvat_id, settings.CVAT_CLOUD_STORAGE, keys)

    def _be_empty(self) -> None:
        self.client.delete_task(self.cvat_id)
        self._save(step=Step.EMPTY, cvat_id=None, message="No image of this task could be used.")

    def _leave_in_bucket(self) -> bool:
        """Have CVAT read the pictures itself; False where they need a zip after all."""
        count = self.task.images
        packed = zipping.in_bucket(
            self.bench.snapshot.images(self.task), lambda done: self._progress("images", done, count)
        )
        if packed is None:
            return False
        if not packed.names:
            self._be_empty()
            return True
        with transaction.atomic():
            _save_packed(list(self.task.sent_images.order_by("place")), packed)
            self._save(from_bucket=True, step=Step.UPLOADED)
        return True

    def _zip(self) -> tuple[IO[bytes], zipping.Packed]:
        """The zip, the same bytes as an earlier turn's; what cannot be in it is said on the images' rows."""
        file, zipped, known = self.bench.zips.take(
            self.task, lambda done: self._progress("images", done, self.task.images)
        )
        try:
            self._keep(zipped, anew=known is None)
        except BaseException:
            file.close()
            raise
        return file, zipped

    def _keep(self, zipped: zipping.Packed, *, anew: bool) -> None:
        if anew:
            with transaction.atomic():
                _save_packed(list(self.task.sent_images.order_by("place")), zipped)
                self._save(zip_sha256=zipped.sha256, zip_bytes=zipped.size_bytes, upload_id="")
        elif zipped.sha256 != self.task.zip_sha256:
            self._save(zip_sha256="")
            raise Spoilt("pictures have changed since a part of them was sent")

    def _uploaded(self, upload: uploading.Upload, size: int) -> None:
        if upload.id != self.task.upload_id:
            self._save(upload_id=upload.id)
        self._progress("upload", upload.offset, size)

    def _wait(self) -> int:
        """The number of frames, once CVAT has made them."""
        limit = float(settings.CVAT_CREATION_SECONDS)
        if not self.task.rq_id:
            return self.client.task(self.cvat_id).size
        try:
            return waiting.wait_for_task(self.client, self.cvat_id, self.task.rq_id, limit=limit).size
        except waiting.RequestGone:  # cancelled, or lost with the server's memory: the images are still there
            rq_id = self._finish()
            self._save(rq_id=rq_id or "")
            if rq_id is None:
                return self.client.task(self.cvat_id).size
            return waiting.wait_for_task(self.client, self.cvat_id, rq_id, limit=limit).size

    def _usable_images(self) -> list[CvatImage]:
        return list(self.task.sent_images.filter(problem="").order_by("place"))

    def _paper(self) -> Paper:
        """What the shapes are drawn on: the frames as they were found to be, and the labels."""
        known = self.bench.project.labels
        rows = list(self.task.sent_images.values_list("asset_id", "frame", "problem", "name", "width", "height"))
        framed = sorted((frame, name, width, height) for _, frame, _, name, width, height in rows if frame is not None)
        return Paper(
            frames=[Frame(name, width, height) for _, name, width, height in framed],
            numbers={asset: frame for asset, frame, *_ in rows if frame is not None},
            problems={asset: problem for asset, _, problem, *_ in rows if problem},
            targets=labels.targets(known, self.bench.live),
            categories=self.bench.categories,
            names={
                int(key): {ours: given["name"] for ours, given in entry["attributes"].items()}
                for key, entry in known.items()
            },
        )

    def _compare(self, drawing: Drawing, found: annotating.ReadBack) -> None:
        """Stop unless CVAT has every shape as it was sent: a number that moved would come back as a correction."""
        missing = set(found.missing)
        wrong = [f"{key} is missing" for key in found.missing]
        for key, own in drawing.shapes.items():
            if key not in missing and not _same(own, found.shapes[key]):
                wrong.append(f"{key} differs")
        if wrong:
            raise ServiceError(
                f"CVAT has {len(wrong):,} annotations of task {self.task.number} otherwise than they were sent "
                f"({'; '.join(wrong[:SHOWN])}). Delete the export in CVAT and try again.",
                detail={"task": self.task.number, "annotations": wrong[:1_000]},
            )

    def _start_over(self, error: Exception) -> None:
        words = getattr(error, "words", "") or str(error)
        if self.task.tries + 1 >= TRIES:
            self._forget_upload(step=Step.PLANNED, message=words)
            raise ServiceError(
                f"CVAT could not make task {self.task.number}: {words}. Tried {TRIES} times.",
                detail={"task": self.task.number, "cvatWords": words},
            ) from error
        self._forget_upload(step=Step.PLANNED, tries=self.task.tries + 1, message=words)

    def _forget_upload(self, **changes: Any) -> None:
        nothing = {"upload_id": "", "rq_id": "", "zip_sha256": "", "zip_bytes": 0, "from_bucket": False}
        self._save(**nothing, size=0, sent=0, shapes=0, parts_left_out=0, **changes)

    def _progress(self, phase: str, done: int, total: int | None = None) -> None:
        self.bench.claim.progress(phase, done, total, f"Task {self.task.number} of {len(self.bench.subsets)}")

    def _save(self, **changes: Any) -> None:
        """Save a step, if this worker still has the export."""
        with transaction.atomic():
            self.bench.claim.confirm()
            CvatTask.objects.filter(pk=self.task.pk).update(**changes)
        for name, value in changes.items():
            setattr(self.task, name, value)


def _save_frames(task: CvatTask, frames: list[tuple[int, int]]) -> None:
    task.sent_images.update(frame=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE exports_cvatimage i SET frame = given.frame "
            "FROM unnest(%s::bigint[], %s::integer[]) AS given(id, frame) WHERE i.id = given.id",
            [[pk for pk, _ in frames], [frame for _, frame in frames]],
        )


def _save_packed(rows: list[CvatImage], packed: zipping.Packed) -> None:
    sizes = [packed.sizes.get(row.place, (0, 0)) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE exports_cvatimage i SET name = given.name, problem = given.problem, width = given.width, "
            "height = given.height FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::integer[], %s::integer[]) "
            "AS given(id, name, problem, width, height) WHERE i.id = given.id",
            [
                [row.pk for row in rows],
                [packed.names.get(row.place, row.name) for row in rows],
                [packed.problems.get(row.place, "") for row in rows],
                [width for width, _ in sizes],
                [height for _, height in sizes],
            ],
        )


def _same(sent: Sequence[Shape], stored: Sequence[Shape]) -> bool:
    if len(sent) == len(stored) == 1:  # most of them
        return _look(sent[0]) == _look(stored[0])
    return Counter(map(_look, sent)) == Counter(map(_look, stored))


def _look(shape: Shape) -> tuple[object, ...]:
    return (shape.form, frozenset(shape.attributes), tuple(sorted(_element(one) for one in shape.elements)))


def _element(shape: Shape) -> tuple[int, tuple[tuple[int, str], ...]]:
    return shape.label_id, tuple(sorted(shape.attributes))


def _notes(drawing: Drawing, foreign: int) -> str:
    notes = [f"Values of {name} stay here: {why}." for name, why in drawing.kept_here.items()]
    if drawing.parts:
        notes.append(f"Parts of {len(drawing.parts):,} outlines have no area and stay here; the others of them went.")
    if foreign:
        notes.append(f"{foreign:,} shapes that were not sent are in the task already.")
    return " ".join(notes)
