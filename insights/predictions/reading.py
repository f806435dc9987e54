"""Evaluations as they are found: fresh ones, or the last ones, marked; small ones are made at once.

What is kept is fresh while the project is at its revision, as with metrics. Nothing is refreshed that nobody asks for.
"""

from django.conf import settings

from accounts.errors import ServiceError
from annotations import machines
from insights import refreshing, results
from insights.metrics.selection import Selection
from insights.models import PredictionResult
from insights.predictions import keeping
from insights.predictions.keeping import Found
from projects.models import Project

# Looked at while the caller waits: more is left to a worker.
IMAGES_AT_ONCE = 1_000
OBJECTS_AT_ONCE = 5_000

_SIZE = """
    SELECT count(*), COALESCE(sum(annotation_count), 0)
    FROM (SELECT annotation_count FROM i WHERE split_id = ANY(%s) LIMIT %s) AS first
"""


def read(project: Project, source: str, q: str = "", *, wait_ms: int | None = None) -> Found:
    """How well a source predicts what people have annotated on the images that `q` selects.

    Made at once where that is little work and `wait_ms` (settings.METRIC_WAIT_MS) allows; otherwise a worker makes it.
    Raises QueryError for what is no query, NotFound for a source that has predicted nothing.
    """
    if not source or "\0" in source:
        text = "Say whose predictions: ?source=yolo-v9."
        raise ServiceError(text, fields={"source": [text]})
    selection = Selection(project, q)
    revision = Project.objects.values_list("revision", flat=True).get(pk=project.pk)
    row = keeping.kept(project, source, selection.q)
    if row is not None and results.is_fresh(row, revision, selection):
        keeping.note_asked(row)
        return _as_kept(row, source, selection.q, stale=False)
    splits = list(keeping.splits_of(project, source))
    if not splits:
        machines.count(project, source)  # raises, and says which sources there are
    wait = settings.METRIC_WAIT_MS if wait_ms is None else wait_ms
    if wait and _is_little(selection, splits):
        try:
            return keeping.make(project, source, selection.q, milliseconds=wait)
        except results.OutOfTime:
            pass
    keeping.want(project, source, selection.q)
    refreshing.request(project)
    return _as_kept(row, source, selection.q, stale=True)


def _is_little(selection: Selection, splits: list[int]) -> bool:
    [(images, objects)] = selection.rows(_SIZE, [splits, IMAGES_AT_ONCE + 1])
    return bool(images <= IMAGES_AT_ONCE and objects <= OBJECTS_AT_ONCE)


def _as_kept(row: PredictionResult | None, source: str, q: str, *, stale: bool) -> Found:
    if row is None or row.computed_at is None:
        return Found(source, q, None, None, None, False, True, None)
    return Found(source, q, row.revision, row.computed_at, row.seconds, stale, False, row.figures)
