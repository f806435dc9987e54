"""Whether figures are right or say that they are not."""

from insights import reading
from insights.metrics import METRICS, Selection, measure
from projects.models import Project

QUERIES = ("", "split:train", "category:dog")


def read_all(project: Project) -> None:
    """Have figures of everything kept."""
    for q in QUERIES:
        reading.dashboard(project, q, wait_ms=60_000)


def check_that_nothing_is_wrong(project: Project, *, changed: bool = True) -> None:
    """What is called fresh is how things are; and after a moment everything is."""
    for q in QUERIES:
        truth = measure(Selection(project, q), METRICS)
        for each in reading.dashboard(project, q, wait_ms=0):
            assert each.stale or each.figures == truth[each.metric], each.metric
            assert each.stale is changed
        for each in reading.dashboard(project, q, wait_ms=60_000):
            assert not each.stale
            assert each.figures == truth[each.metric], each.metric
