"""Webhooks: kept, signed, delivered once."""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from tests.cvat_double import lists
from tests.cvat_double.answers import REQUIRED, Answer, as_json, broken, empty, missing, refuse, too_long
from tests.cvat_double.calls import Call, route
from tests.cvat_double.state import Record, State

RESOURCES = ("comment", "issue", "job", "task")
PROJECT_EVENTS = sorted(
    [
        *(f"{verb}:{name}" for verb in ("create", "update", "delete") for name in RESOURCES),
        "update:project",
        "delete:project",
    ]
)
ORGANIZATION_EVENTS = sorted(
    [
        *PROJECT_EVENTS,
        "create:project",
        "update:organization",
        "create:invitation",
        "delete:invitation",
        "update:membership",
        "delete:membership",
    ]
)
TIMEOUT = 10.0
POOL = urllib3.PoolManager()


def emit(state: State, event: str, project_id: int | None, body: Record, before: Record | None = None) -> None:
    """Tell the webhooks of a project, in the background; order is not guaranteed there either."""
    for hook in list(state.webhooks.values()):
        if hook["is_active"] and hook["project_id"] == project_id and event in hook["events"]:
            content = {"event": event, **body, "sender": state.person(1), "webhook_id": hook["id"]}
            if before is not None:
                content["before_update"] = before
            threading.Thread(target=deliver, args=(state, hook["id"], event, content), daemon=True).start()


def deliver(state: State, hook_id: int, event: str, content: Record, *, again: bool = False) -> Record:
    """Send once and note how it went; 502 for unreachable, 504 for too slow."""
    hook = state.webhooks.get(hook_id)
    if hook is None:
        return {}
    raw = json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "CVAT-double"}
    if hook["_secret"]:
        headers["X-Signature-256"] = "sha256=" + hmac.new(hook["_secret"].encode(), raw, hashlib.sha256).hexdigest()
    try:
        answer = POOL.request("POST", hook["target_url"], body=raw, headers=headers, timeout=TIMEOUT, retries=False)
        status, said = answer.status, answer.data[:1000].decode("utf-8", "replace")
    except urllib3.exceptions.TimeoutError:
        status, said = 504, ""
    except urllib3.exceptions.HTTPError:
        status, said = 502, ""
    with state.lock:
        date = state.date()
        delivery = {
            "id": state.next_id("delivery"),
            "webhook_id": hook_id,
            "event": event,
            "status_code": status,
            "redelivery": again,
            "created_date": date,
            "updated_date": state.date(),
            "changed_fields": ",".join(content.get("before_update", {})),
            "request": content,
            "response": said,
        }
        state.deliveries[hook_id].append(delivery)
        hook["last_status"], hook["last_delivery_date"] = status, date
    return delivery


@contextmanager
def unlocked(state: State) -> Iterator[None]:
    """Let others in while the listener is waited for: it may call back."""
    state.lock.release()
    try:
        yield
    finally:
        state.lock.acquire()


def _shown(hook: Record) -> Record:
    return {key: value for key, value in hook.items() if not key.startswith("_")}


def _errors(data: Record, *, partial: bool) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    if not partial:
        wrong |= {field: [REQUIRED] for field in ("target_url", "type", "events") if field not in data}
    url = data.get("target_url")
    if url is not None:
        words = [too_long(8192)] if len(url) > 8192 else []
        if len(url) > 2000 or not re.match(r"https?://[^\s/]+", url):
            words.append("Enter a valid URL.")
        if words:
            wrong["target_url"] = words
    if data.get("type", "project") not in ("project", "organization"):
        wrong["type"] = [f'"{data["type"]}" is not a valid choice.']
    if data.get("content_type", "application/json") != "application/json":
        wrong["content_type"] = [f'"{data["content_type"]}" is not a valid choice.']
    if len(data.get("secret") or "") > 64:
        wrong["secret"] = [too_long(64)]
    unknown = [event for event in data.get("events", []) if event not in ORGANIZATION_EVENTS]
    if unknown:
        wrong["events"] = [f'"{event}" is not a valid choice.' for event in unknown]
    return wrong


@route("GET", "/webhooks/events")
def events(call: Call) -> Answer:
    """What a webhook may be told."""
    kind = call.query.get("type")
    offered = {"project": PROJECT_EVENTS, "organization": ORGANIZATION_EVENTS}.get(kind or "", ORGANIZATION_EVENTS)
    return as_json({"webhook_type": kind or "all", "events": offered})


@route("POST", "/webhooks")
def create_webhook(call: Call) -> Answer:
    """A webhook; the secret does not come back."""
    state, data = call.state, call.json()
    wrong = _errors(data, partial=False)
    if wrong:
        raise refuse(wrong)
    allowed = PROJECT_EVENTS if data["type"] == "project" else ORGANIZATION_EVENTS
    if not data["events"] or set(data["events"]) - set(allowed):
        raise refuse({"non_field_errors": [f"Invalid events list for {data['type']} webhook"]})
    if data["type"] == "organization" or data.get("project_id") is None:
        raise broken()
    if data["project_id"] not in state.projects:
        raise refuse(["Project matching query does not exist."])
    date = state.date()
    hook_id = state.next_id("webhook")
    state.webhooks[hook_id] = {
        "id": hook_id,
        "url": f"{state.base}/api/webhooks/{hook_id}",
        "target_url": data["target_url"],
        "description": data.get("description", ""),
        "type": data["type"],
        "content_type": "application/json",
        "is_active": data.get("is_active", True),
        "enable_ssl": data.get("enable_ssl", True),
        "created_date": date,
        "updated_date": state.date(),
        "owner": state.person(call.user_id),
        "project_id": data["project_id"],
        "organization": None,
        "events": sorted(set(data["events"])),
        "_secret": data.get("secret", ""),
    }
    return as_json(_shown(state.webhooks[hook_id]), 201, Location=state.webhooks[hook_id]["url"])


def _hook(state: State, hook_id: int) -> Record:
    if hook_id not in state.webhooks:
        raise missing("Webhook")
    return state.webhooks[hook_id]


@route("GET", "/webhooks")
def webhooks(call: Call) -> Answer:
    """All webhooks."""
    return lists.answer("webhooks", call.state.webhooks.values(), call.query, call.url)


@route("GET", r"/webhooks/(\d+)")
def webhook(call: Call, hook_id: int) -> Answer:
    """One webhook."""
    return as_json(_shown(_hook(call.state, hook_id)))


@route("PATCH", r"/webhooks/(\d+)")
def change_webhook(call: Call, hook_id: int) -> Answer:
    """All but the type, which is ignored."""
    hook, data = _hook(call.state, hook_id), call.json()
    wrong = _errors(data, partial=True)
    if wrong:
        raise refuse(wrong)
    for name in ("target_url", "description", "is_active", "enable_ssl"):
        hook[name] = data.get(name, hook[name])
    if "events" in data:
        hook["events"] = sorted(set(data["events"]))
    hook["_secret"] = data.get("secret", hook["_secret"])
    call.state.touch(hook)
    return as_json(_shown(hook))


@route("DELETE", r"/webhooks/(\d+)")
def delete_webhook(call: Call, hook_id: int) -> Answer:
    """Gone."""
    _hook(call.state, hook_id)
    del call.state.webhooks[hook_id]
    return empty()


@route("POST", r"/webhooks/(\d+)/ping")
def ping(call: Call, hook_id: int) -> Answer:
    """A delivery at once, also of one that is off."""
    hook = _hook(call.state, hook_id)
    content = {"event": "ping", "webhook": _shown(hook), "sender": call.state.person(call.user_id)}
    with unlocked(call.state):
        delivery = deliver(call.state, hook_id, "ping", content)
    return as_json(delivery)


@route("GET", r"/webhooks/(\d+)/deliveries")
def list_deliveries(call: Call, hook_id: int) -> Answer:
    """Newest first; nothing filters them."""
    _hook(call.state, hook_id)
    return lists.answer("deliveries", call.state.deliveries[hook_id], call.query, call.url)


@route("GET", r"/webhooks/(\d+)/deliveries/(\d+)")
def read_delivery(call: Call, hook_id: int, delivery_id: int) -> Answer:
    """One delivery."""
    for delivery in call.state.deliveries[hook_id]:
        if delivery["id"] == delivery_id:
            return as_json(delivery)
    raise missing("WebhookDelivery")


@route("POST", r"/webhooks/(\d+)/deliveries/(\d+)/redelivery")
def redeliver(call: Call, hook_id: int, delivery_id: int) -> Answer:
    """The same once more."""
    for delivery in list(call.state.deliveries[hook_id]):
        if delivery["id"] == delivery_id:
            with unlocked(call.state):
                deliver(call.state, hook_id, delivery["event"], delivery["request"], again=True)
            return as_json({})
    raise missing("WebhookDelivery")
