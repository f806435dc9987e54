"""What workers do for projects."""

from celery import shared_task

from projects import deletion, jobs


@shared_task
def sweep() -> int:
    """Ring again for tasks nobody answered for, and end the hopeless ones."""
    return jobs.sweep()


@shared_task
def delete_project(task_id: str) -> None:
    """Delete a project's rows."""
    jobs.run(task_id, deletion.delete_project)
