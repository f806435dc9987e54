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
    list_display = ("show_name", *PeriodicTaskAdmin.list_display[1:])
    list_display_links = ("show_name",)

    @admin.display(description=_("Name"), ordering="name")
    def show_name(self, task: models.PeriodicTask) -> str:
        """The name in the page's language, where it is one of CocoHub's own tasks."""
        return gettext(task.name) if task.name in settings.CELERY_BEAT_SCHEDULE else task.name


@admin.register(models.IntervalSchedule, models.SolarSchedule)
class ThemedScheduleAdmin(ModelAdmin):
    """Every so often; by the sun."""


@admin.register(models.CrontabSchedule)
class ThemedCrontabAdmin(CrontabScheduleAdmin, ModelAdmin):
    """At certain times."""


@admin.register(models.ClockedSchedule)
class ThemedClockedAdmin(ClockedScheduleAdmin, ModelAdmin):
    """Once."""
