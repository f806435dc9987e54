"""The Celery application: workers and beat start from here (`celery -A cocohub worker`)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")

app = Celery("cocohub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
