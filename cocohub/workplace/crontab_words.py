"""When a crontab runs, in the language of the page: cron-descriptor's Korean leaves days and months in English."""

from django.utils.dates import WEEKDAYS
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule


def in_words(crontab: CrontabSchedule) -> str:
    """Its time and time zone; what is rarely asked for in cron-descriptor's English, or as cron writes it."""
    told = _told(crontab)
    if told is None:
        return crontab.human_readable if (get_language() or "en").startswith("en") else str(crontab)
    return f"{told} ({crontab.timezone})"


def _told(crontab: CrontabSchedule) -> str | None:
    """The times that schedules mostly have: every so many minutes, each hour, each day, on some days of the week."""
    minute, hour, week = crontab.minute, crontab.hour, crontab.day_of_week
    if crontab.day_of_month != "*" or crontab.month_of_year != "*":
        return None
    if (hour, week) == ("*", "*"):
        if minute == "*":
            return _("every minute")
        if minute.startswith("*/") and _is_number(minute[2:]):
            return _("every %(number)s minutes") % {"number": int(minute[2:])}
        return _("every hour, at minute %(minute)s") % {"minute": int(minute)} if _is_number(minute) else None
    if not (_is_number(minute) and _is_number(hour)):
        return None
    time = f"{int(hour):02}:{int(minute):02}"
    if week == "*":
        return _("every day at %(time)s") % {"time": time}
    days = week.split(",")
    if not all(day in "01234567" and len(day) == 1 for day in days):
        return None
    # Cron's week begins on Sunday, Django's on Monday.
    names = ", ".join(str(WEEKDAYS[(int(day) - 1) % 7]) for day in days)
    return _("%(days)s at %(time)s") % {"days": names, "time": time}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
