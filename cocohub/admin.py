"""Periodic tasks in the same theme as everything else; for global admins, who alone have Django's permissions."""

from django.conf import settings
from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat import models
from django_celery_beat.admin import ClockedScheduleAdmin, CrontabScheduleAdmin, PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.admin import TaskSelectWidget as BeatTaskSelect
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from cocohub.workplace import crontab_words


class TaskSelect(UnfoldAdminSelectWidget, BeatTaskSelect):
    """The registered tasks, in Unfold's dress."""


class ThemedTaskForm(PeriodicTaskForm):
    """django-celery-beat's form with Unfold's fields."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


for model in (
    models.PeriodicTask, models.IntervalSchedule, models.CrontabSchedule, models.SolarSchedule, models.ClockedSchedule,
):  # fmt: skip
    admin.site.unregister(model)


@admin.register(models.PeriodicTask)
class ThemedPeriodicTaskAdmin(PeriodicTaskAdmin, ModelAdmin):
    """What beat starts, and when."""

    form = ThemedTaskForm
    # Its own pages have scripts in them, which the admin's policy does not run.
    change_form_template = None
    change_list_template = None
    list_display = ("show_name", "enabled", "show_schedule", "start_time", "last_run_at", "one_off")
    list_select_related = ("interval", "crontab", "solar", "clocked")
    list_display_links = ("show_name",)

    @admin.display(description=_("Name"), ordering="name")
    def show_name(self, task: models.PeriodicTask) -> str:
        """The name in the page's language, where it is one of CocoHub's own tasks."""
        return gettext(task.name) if task.name in settings.CELERY_BEAT_SCHEDULE else task.name

    @admin.display(description=_("When"))
    def show_schedule(self, task: models.PeriodicTask) -> str:
        """When it runs, in words."""
        return crontab_words.in_words(task.crontab) if task.crontab else str(task.scheduler)

    @admin.display(description=_("When"))
    def crontab_translation(self, task: models.PeriodicTask) -> str:
        """The same on its own page, where it goes by a crontab."""
        return crontab_words.in_words(task.crontab) if task.crontab else "-"


@admin.register(models.IntervalSchedule, models.SolarSchedule)
class ThemedScheduleAdmin(ModelAdmin):
    """Every so often; by the sun."""


@admin.register(models.CrontabSchedule)
class ThemedCrontabAdmin(CrontabScheduleAdmin, ModelAdmin):
    """At certain times."""

    list_display = ("__str__", "show_in_words")
    fields = ("show_in_words", *CrontabScheduleAdmin.fields[1:])
    readonly_fields = ("show_in_words",)

    @admin.display(description=_("When"))
    def show_in_words(self, crontab: models.CrontabSchedule) -> str:
        """When that is, in the page's language."""
        return crontab_words.in_words(crontab) if crontab.pk else "-"


@admin.register(models.ClockedSchedule)
class ThemedClockedAdmin(ClockedScheduleAdmin, ModelAdmin):
    """Once."""
