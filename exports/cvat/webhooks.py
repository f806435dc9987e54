"""What CVAT's webhooks bring: checked against the secret, and read as a hint that something changed."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exports.cvat.records import maybe, text

SIGNATURE_HEADER = "X-Signature-256"
PREFIX = "sha256="
# A saved annotation arrives as update:job; a task that is completed as update:task.
EVENTS = (
    "update:job", "update:task", "delete:task", "update:project", "delete:project",
    "create:issue", "update:issue", "delete:issue", "create:comment", "update:comment", "delete:comment",
)  # fmt: skip


def sign(secret: str, raw_body: bytes) -> str:
    """The header that CVAT sends with this body: `sha256=` and the HMAC-SHA256 in hexadecimal."""
    return PREFIX + hmac.new(secret.encode(), raw_body, hashlib.sha256).hexdigest()


def verify_signature(secret: str, raw_body: bytes, header: str | None) -> bool:
    """Whether the body, byte for byte as received, was signed with the secret.

    Without a secret nothing is trusted: CVAT sends no header then, and anybody could.
    """
    if not secret or not header:
        return False
    return hmac.compare_digest(sign(secret, raw_body).encode(), header.strip().encode())


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a resource. Order is not guaranteed and fields may be stale: read CVAT for the truth."""

    name: str  # update:job, ping, ...
    webhook_id: int | None
    project_id: int | None
    task_id: int | None
    job_id: int | None
    sender: str
    issue_id: int | None
    before: Mapping[str, Any]  # old values of what changed, if the version of CVAT tells


def parse_event(raw_body: bytes) -> Event:
    """Read a delivery; raises ValueError for what is none."""
    try:
        data = json.loads(raw_body)
    except (ValueError, RecursionError):
        raise ValueError("The delivery is not JSON.") from None
    if not isinstance(data, dict) or not isinstance(data.get("event"), str):
        raise ValueError("The delivery has no event.")
    kind = data["event"].partition(":")[2]
    resource = _mapping(data.get(kind))
    own = maybe(resource.get("id"))
    sender = _mapping(data.get("sender"))
    return Event(
        name=data["event"],
        webhook_id=maybe(data.get("webhook_id")) or maybe(_mapping(data.get("webhook")).get("id")),
        project_id=own if kind == "project" else maybe(resource.get("project_id")),
        task_id=own if kind == "task" else maybe(resource.get("task_id")),
        job_id=own if kind == "job" else maybe(resource.get("job")),
        sender=text(sender.get("username")),
        issue_id=own if kind == "issue" else maybe(resource.get("issue")),
        before=_mapping(data.get("before_update")) or _mapping(data.get("changes")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
