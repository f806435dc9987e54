"""The trail of writes: every change by API, admin, command or task leaves a line."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from accounts import context
from accounts.models import User
from projects.models import AuditLog, Project

MAX_EMAIL = 254
MAX_NAME = 200


def record(user: User | None, project: Project | None, action: str, *, actor: str = "", **detail: Any) -> AuditLog:
    """Leave a line such as `member.added`; call it inside the transaction of the change, so that both land or neither.

    Which door the change came through, under which request and with which personal token (which goes into the detail as
    `token`) is known from `accounts.context`. `detail` may hold what JSON knows, ids and times. `actor` names who acted
    where there is no user.
    """
    if token := context.token.get():
        detail = {**detail, "token": token}
    return AuditLog.objects.create(
        user=user,
        actor=_storable(user.email if user else actor)[:MAX_EMAIL],
        project=project,
        project_name=project.name[:MAX_NAME] if project else "",
        action=action,
        detail=json.loads(DjangoJSONEncoder().encode(detail)),
        door=context.door.get(),
        request_id=context.request_id.get()[:64],
    )


def record_account_event(user: User | None, action: str, *, actor: str = "", **detail: Any) -> AuditLog:
    """Leave a line that belongs to no project; the accounts tell their events through this."""
    return record(user, None, action, actor=actor, **detail)


def _storable(text: str) -> str:
    return text.replace("\0", "")
