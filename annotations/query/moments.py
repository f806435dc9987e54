"""Dates and times as people write them, and the stretch of time each stands for."""

import calendar
import re
from datetime import UTC, datetime, timedelta, tzinfo

from annotations.query.tree import Between, Compare, Differs, Is, Moment, Node, terms

_AGO = re.compile(r"-([0-9]{1,5})([hdwmy])")
_CALENDAR = re.compile(
    r"([1-9][0-9]{3})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?P<time>T[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2}(?P<fraction>\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_MONTHS = {"m": 1, "y": 12}
_EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_LASTS = {"fraction": _INSTANT, "seconds": timedelta(seconds=1), "minutes": timedelta(minutes=1)}
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def read_moment(text: str) -> Moment | None:
    """The moment that a text names, or None if it names none."""
    moment = Moment(re.sub(r"(?<=[0-9]) (?=[0-9])", "T", text, count=1))
    try:
        period(moment, now=datetime(2000, 1, 1, tzinfo=UTC), zone=UTC)
    except ValueError:
        return None
    return moment


def is_ago(moment: Moment) -> bool:
    """Whether it is an instant before now rather than a day, a month or the like."""
    return moment.text.startswith("-")


def counts_from_now(tree: Node) -> bool:
    """Whether a query asks for something else as time goes on."""
    for term in terms(tree):
        match term.test:
            case Is(value=value) | Differs(value=value) | Compare(value=value):
                ends = [value]
            case Between(low=low, high=high):
                ends = [low, high]
            case _:
                continue
        if any(isinstance(end, Moment) and is_ago(end) for end in ends):
            return True
    return False


def period(moment: Moment, *, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """From when (inclusive) until when (exclusive) a moment lasts; an instant such as `-7d` lasts a microsecond.

    What names no offset is in the given time zone. ValueError if there is no such moment.
    """
    text = moment.text
    if ago := _AGO.fullmatch(text):
        instant = _before(now.astimezone(zone), int(ago[1]), ago[2])
        return instant, instant + _INSTANT
    if not (found := _CALENDAR.fullmatch(text)):
        raise ValueError(f"{text!r} is no date")
    year, month, day = (int(part) if part else 1 for part in found.groups()[:3])
    if not found["time"]:
        start = datetime(year, month, day, tzinfo=zone)
        if found[3]:
            return start, _next_day(start)
        return start, _next_month(datetime(year, month if found[2] else 12, 1, tzinfo=zone))
    start = datetime.fromisoformat(text)
    if start.tzinfo is None:
        start = start.replace(tzinfo=zone)
    if start.year == _LATEST.year:
        return start, _LATEST
    named = "fraction" if found["fraction"] else "seconds" if found["seconds"] else "minutes"
    return start, start.astimezone(UTC) + _LASTS[named]


def _before(now: datetime, number: int, unit: str) -> datetime:
    """So many hours, days, weeks, calendar months or calendar years before now."""
    try:
        if unit in _HOURS:
            return max(now.astimezone(UTC) - timedelta(hours=number * _HOURS[unit]), _EARLIEST)
        months = now.year * 12 + now.month - 1 - number * _MONTHS[unit]
        year, month = divmod(months, 12)
        day = min(now.day, calendar.monthrange(year, month + 1)[1])
        return max(now.replace(year=year, month=month + 1, day=day), _EARLIEST)
    except (OverflowError, ValueError):  # before the year 1
        return _EARLIEST


def _next_day(start: datetime) -> datetime:
    # By the calendar, not by 24 hours: a day may have 23 or 25.
    if (start.year, start.month, start.day) == (9999, 12, 31):
        return _LATEST
    tomorrow = start.date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=start.tzinfo)


def _next_month(start: datetime) -> datetime:
    if (start.year, start.month) == (9999, 12):
        return _LATEST
    return datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=start.tzinfo)
