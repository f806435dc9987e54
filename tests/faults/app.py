"""The Celery application as the harness runs it: small steps with a short rest after each, so that there is something
to hit in a small job. Everything else is as in production."""

import time

from celery import signals

from cocohub.celery import app

__all__ = ["app"]

# Seconds after each word about progress, so that each kind takes a second or two.
RESTS = {"bulk_edit": 0.3, "insights": 0.15, "coco": 0.4, "cvat_pull": 0.12}
REST = 0.03
BULK_BATCH = 700  # images in one transaction of a bulk edit
PULL_BATCH = 12  # differences in one transaction


@signals.worker_process_init.connect
def take_small_steps(**_: object) -> None:
    """In each child, before it takes work."""
    from annotations import batches
    from exports.models import ExportJob
    from exports.pulling import applying
    from projects.claims import Claim

    batches.BATCH = BULK_BATCH
    applying.BATCH = PULL_BATCH
    tell = Claim.progress

    def rested(self: Claim, *args: object, **options: object) -> None:
        tell(self, *args, **options)  # type: ignore[arg-type]
        kind = str(self.task.kind)
        if kind == "export" and not hasattr(self, "target"):
            self.target = ExportJob.objects.values_list("target", flat=True).get(task=self.task)  # type: ignore[attr-defined]
        time.sleep(RESTS.get(getattr(self, "target", kind), REST))

    Claim.progress = rested  # type: ignore[method-assign]
