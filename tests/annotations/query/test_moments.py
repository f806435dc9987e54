"""The stretch of time that a date stands for."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from annotations.query.moments import period, read_moment
from annotations.query.tree import Moment

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def of(text, zone=UTC, now=NOW):
    start, end = period(Moment(text), now=now, zone=zone)
    return start.astimezone(UTC).isoformat()[:19], end.astimezone(UTC).isoformat()[:19]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("2026-02", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
        ("2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("2026-12-31", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("2026-01-31T23:59", "2026-01-31T23:59:00", "2026-02-01T00:00:00"),
        ("2026-01-31T23:59:59", "2026-01-31T23:59:59", "2026-02-01T00:00:00"),
        ("2026-01-31T10:00Z", "2026-01-31T10:00:00", "2026-01-31T10:01:00"),
        ("2026-01-31T10:00+09:00", "2026-01-31T01:00:00", "2026-01-31T01:01:00"),
        ("2026-01-31T10:00:00.25", "2026-01-31T10:00:00", "2026-01-31T10:00:00"),
        ("-1h", "2026-03-31T11:00:00", "2026-03-31T11:00:00"),
        ("-7d", "2026-03-24T12:00:00", "2026-03-24T12:00:00"),
        ("-2w", "2026-03-17T12:00:00", "2026-03-17T12:00:00"),
        ("-1m", "2026-02-28T12:00:00", "2026-02-28T12:00:00"),
        ("-3m", "2025-12-31T12:00:00", "2025-12-31T12:00:00"),
        ("-2y", "2024-03-31T12:00:00", "2024-03-31T12:00:00"),
        ("-0d", "2026-03-31T12:00:00", "2026-03-31T12:00:00"),
        ("-99999y", "1000-01-01T00:00:00", "1000-01-01T00:00:00"),
        ("-99999w", "1000-01-01T00:00:00", "1000-01-01T00:00:00"),
        ("-99999m", "1000-01-01T00:00:00", "1000-01-01T00:00:00"),
        ("9999", "9999-01-01T00:00:00", "9999-12-31T23:59:59"),
        ("9999-12-31", "9999-12-31T00:00:00", "9999-12-31T23:59:59"),
        ("9999-12-31T23:59", "9999-12-31T23:59:00", "9999-12-31T23:59:59"),
        ("1000-01-01", "1000-01-01T00:00:00", "1000-01-02T00:00:00"),
    ],
)
def test_moment_lasts(text, start, end):
    assert of(text) == (start, end)


def test_an_instant_lasts_a_microsecond():
    start, end = period(Moment("-7d"), now=NOW, zone=UTC)
    assert (end - start).microseconds == 1


def test_days_are_those_of_the_time_zone():
    assert of("2026-01-01", SEOUL) == ("2025-12-31T15:00:00", "2026-01-01T15:00:00")
    assert of("2026-01-01T10:00", SEOUL) == ("2026-01-01T01:00:00", "2026-01-01T01:01:00")


def test_the_day_on_which_clocks_change_has_23_or_25_hours():
    assert of("2026-03-29", BERLIN) == ("2026-03-28T23:00:00", "2026-03-29T22:00:00")
    assert of("2026-10-25", BERLIN) == ("2026-10-24T22:00:00", "2026-10-25T23:00:00")


def test_hours_ago_are_hours_also_when_clocks_change():
    assert of("-2h", BERLIN, datetime(2026, 3, 29, 2, 0, tzinfo=UTC))[0] == "2026-03-29T00:00:00"


@pytest.mark.parametrize("text", ["", "2026-1-1", "20260101", "2026-01-01T", "-", "7d", "2026-01-01Z", "02026", "٢٠٢٦"])
def test_what_is_no_moment(text):
    assert read_moment(text) is None
