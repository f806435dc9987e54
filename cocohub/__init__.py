"""CocoHub: settings, URLs, the Celery application and everything that sees all rooms of the house."""

from cocohub.celery import app as celery_app

__all__ = ["celery_app"]
