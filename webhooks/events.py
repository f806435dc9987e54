"""What is told of an event, and to whom."""

import json
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from projects.models import Project, Task
from webhooks import sending
from webhooks.models import TEST, Delivery, Event, Webhook

MOST_RESULT = 8_192  # characters of a task's result that go along; what is larger is read at the task's address
MOST_MESSAGE = 1_000  # characters


def note(task: Task) -> None:
    """Write down a delivery for each webhook that wants to know how this task ended, and have them sent.

    May be called again for the same end of a task: nothing is told twice.
    """
    event = f"{task.kind}.{task.status}"
    if task.project_id is None or event not in Event.values:
        return
    wanted = list(Webhook.objects.filter(project=task.project_id, active=True, events__contains=[event]))
    if not wanted:
        return
    body = _body(event, task.project, _of_task(task))  # type: ignore[arg-type]
    made = [
        Delivery(
            project_id=task.project_id, webhook=each, event=event, task_id=task.pk, fence=task.fence, body=body
        )
        for each in wanted
    ]  # fmt: skip
    with transaction.atomic():
        Delivery.objects.bulk_create(made, ignore_conflicts=True)
        mine = Delivery.objects.filter(task_id=task.pk, fence=task.fence, status=Delivery.Status.WAITING)
        keys = list(mine.values_list("pk", flat=True))
        transaction.on_commit(lambda: sending.ring(keys))


def test_of(webhook: Webhook) -> Delivery:
    """A message that tells of nothing, to see whether it arrives."""
    body = _body(TEST, webhook.project, {"webhook": {"id": webhook.pk, "events": webhook.events}})
    delivery = Delivery.objects.create(project=webhook.project, webhook=webhook, event=TEST, body=body)
    transaction.on_commit(lambda: sending.ring([delivery.pk]))
    return delivery


def _body(event: str, project: Project, data: dict[str, Any]) -> str:
    told = {
        "type": event,
        "timestamp": timezone.now(),
        "data": {"project": {"id": project.pk, "name": project.name}, **data},
    }
    return json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False)


def _of_task(task: Task) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": str(task.pk),
        "kind": task.kind,
        "status": task.status,
        "message": task.message[:MOST_MESSAGE],
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "url": f"{settings.PUBLIC_URL}{reverse('task-detail', args=[task.pk])}",
    }
    if task.result and len(json.dumps(task.result, cls=DjangoJSONEncoder)) <= MOST_RESULT:
        told["result"] = task.result
    return {"task": told}
