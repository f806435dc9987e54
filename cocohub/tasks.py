"""What beat has done for the whole installation."""

from celery import shared_task

from cocohub import storekeeping


@shared_task(name="cocohub.tasks.delete_orphans")
def delete_orphans() -> int:
    """Delete files that no row refers to, once they are old."""
    return storekeeping.delete_orphans()[0]
