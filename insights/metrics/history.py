"""When things were added and changed, by day in the server's time zone, as queries count days too."""

import re
from collections.abc import Sequence
from datetime import date

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from annotations.query.tree import Is, Moment, Term
from insights.metrics import passes
from insights.metrics.definition import Family, Metric, Rows
from insights.metrics.figures import Figures, Line, Point, Series, Unit
from insights.metrics.selection import Selection

DAYS = 730  # the latest ones on which something happened
_ZONE = re.compile(r"[A-Za-z0-9_+/-]+")


def _day(column: str) -> str:
    zone = settings.TIME_ZONE
    if not _ZONE.fullmatch(zone):
        raise ImproperlyConfigured(f"TIME_ZONE is {zone!r}, which is no name of a time zone.")
    return f"({column} AT TIME ZONE '{zone}')::date"


def _by_day(selection: Selection, source: str) -> list[Rows]:
    """How many were created, and how many updated, on each day.

    They are counted by the quarter of an hour first, in which it is one day in all zones: to ask for the day of every
    single one in a zone takes several times as long.
    """
    quarters = {name: f"date_bin('15 minutes', {name}, 'epoch')" for name in ("created_at", "updated_at")}
    keys = [(_day(name),) for name in quarters]
    return passes.count_by_keys(selection, keys, passes.counted_first(quarters, source), "sum(number)::bigint")


def _images(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    created, updated = _by_day(selection, "(SELECT created_at, updated_at FROM i) AS of_images")
    return {"image_activity": _series(selection, "images", created, updated)}


def _annotations(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    rows = f"(SELECT a.created_at, a.updated_at FROM {selection.annotations}) AS of_annotations"  # noqa: S608 - our own words
    created, updated = _by_day(selection, rows)
    return {"label_activity": _series(selection, "annotations", created, updated)}


def _series(selection: Selection, unit: Unit, created: Rows, updated: Rows) -> Series:
    return {
        "kind": "series",
        "unit": unit,
        "total": sum(number for _, number in created),
        "lines": [_line(selection, unit, "created", created), _line(selection, unit, "updated", updated)],
    }


def _line(selection: Selection, unit: Unit, field: str, rows: Rows) -> Line:
    return {"name": field, "points": [_point(selection, unit, field, *row) for row in sorted(rows)[-DAYS:]]}


def _point(selection: Selection, unit: Unit, field: str, day: date, number: int) -> Point:
    on_the_day = Is(Moment(day.isoformat()))
    if unit == "images":
        q = selection.narrowed(Term(field, on_the_day))
    else:
        q = selection.with_object(Term(f"annotation.{field}", on_the_day))
    return {"day": day.isoformat(), "count": number, "q": q}


METRICS = (
    Metric(
        "image_activity", "Images by day", "How many images were added on each day, and last changed on each day.",
        "series", "images", Family("image_activity", _images), params={"days": DAYS},
    ),
    Metric(
        "label_activity", "Annotations by day",
        "How many annotations were added on each day, and last changed on each day.",
        "series", "annotations", Family("label_activity", _annotations), params={"days": DAYS},
    ),
)  # fmt: skip
