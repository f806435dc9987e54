"""The Celery application: workers and beat start from here (`celery -A cocohub worker`)."""

import os
from typing import Any

from celery import Celery
from celery.signals import after_task_publish, beat_init, worker_process_init
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")

app = Celery("cocohub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)  # what a message brings along of its request


@beat_init.connect(weak=False)
def _tell_that_beat_lives(**kwargs: Any) -> None:
    """In beat's process, and nowhere else."""
    from cocohub.health import beating  # settings must be read first

    after_task_publish.connect(beating.note, weak=False)


@worker_process_init.connect(weak=False)
def _trace(**kwargs: Any) -> None:
    """In each child: the thread that sends traces does not survive a fork."""
    from cocohub import tracing  # settings must be read first

    tracing.start("worker")
