"""Background requests: queued, started, finished or failed, and forgotten after a while."""

from datetime import timedelta
from urllib.parse import unquote

from tests.cvat_double import lists
from tests.cvat_double.answers import Answer, Refusal, as_json, refuse, text
from tests.cvat_double.calls import Call, route
from tests.cvat_double.media import CreationError
from tests.cvat_double.state import Record, State, Work, written

UNKNOWN = "There is no request with specified id"
FAILED_LIFE = 365 * 24 * 3600.0
NOT_WAITING = "Only requests that have not yet been started can be cancelled"
TRACEBACK = """Traceback (most recent call last):
  File "/opt/venv/lib/python3/site-packages/rq/worker.py", line 1633, in perform_job
    return_value = job.perform()

"""


def begin(
    state: State, rq_id: str, action: str, operation: Record, run: object, *, seconds: float, life: float
) -> Answer:
    """Queue work under this id: 202, or 409 if the same waits or runs."""
    settle(state)
    known = state.works.get(rq_id)
    if known is not None and (not known.done or known.polls <= state.options.polls_until_done):
        return as_json({"rq_id": rq_id}, 409)  # as far as anybody has seen, it still runs
    now = state.now()
    start = now.timestamp()
    if state.options.serial:
        start = max([start, *(work.ready_at for work in state.works.values() if not work.done)])
    state.works[rq_id] = Work(
        record={
            "status": "queued",
            "message": "",
            "id": rq_id,
            "operation": operation,
            "progress": 0.0,
            "created_date": written(now),
            "started_date": None,
            "finished_date": None,
            "expiry_date": None,
            "owner": {"id": 1, "username": "admin"},
            "result_url": None,
            "result_id": None,
        },
        action=action,
        subresource=operation["type"].partition(":")[2] if action == "export" else "",
        starts_at=start,
        ready_at=start + seconds,
        run=run,
        lifetime=life,
    )
    if not seconds:
        settle(state)
    return as_json({"rq_id": rq_id}, 202)


def settle(state: State) -> None:
    """Do the work that is due; forget what is expired."""
    now = state.now()
    for rq_id, work in list(state.works.items()):
        if not work.done and work.ready_at <= now.timestamp():
            _perform(state, work)
        if work.expires is not None and work.expires <= now:
            del state.works[rq_id]


def _perform(state: State, work: Work) -> None:
    work.done = True
    record = work.record
    record["started_date"] = written(state.now())
    life = work.lifetime
    try:
        work.result = work.run() or b""
        record["_end"] = "finished"
    except CreationError as error:
        record["_end"], record["_words"] = "failed", error.message
        life = FAILED_LIFE if work.action == "create" else life
    end = state.now()
    record["_finished"] = written(end)
    work.expires = end + timedelta(seconds=life)


def shown(state: State, work: Work, *, polled: bool = False) -> Record:
    """The request as it shows now; a poll counts."""
    record = {key: value for key, value in work.record.items() if not key.startswith("_")}
    now = state.now().timestamp()
    if polled and work.done:
        work.polls += 1
    if now < work.starts_at:
        return record
    record["started_date"] = record["started_date"] or written(state.now())
    if not work.done or (polled and work.polls <= state.options.polls_until_done):
        return {**record, "status": "started"}
    end = work.record["_end"]
    expiry = written(work.expires) if work.expires else None
    record |= {"status": end, "finished_date": work.record["_finished"], "expiry_date": expiry}
    if end == "failed":
        record["message"] = work.record["_words"]
        if state.options.races and not work.raced:
            record["message"] = TRACEBACK + record["message"]
    elif work.action == "export":
        record["result_url"] = work.record["_url"]
    if polled and state.options.races and not work.raced:
        work.raced = True
        record |= {"finished_date": None, "expiry_date": None}
    return record


def _find(call: Call, rq_id: str) -> Work:
    settle(call.state)
    work = call.state.works.get(unquote(rq_id))
    if work is None:
        raise Refusal(text(UNKNOWN, 404))
    task_id = work.record["operation"]["task_id"]
    if task_id is not None and task_id not in call.state.tasks:
        raise refuse(["Task matching query does not exist."])
    return work


@route("GET", "/requests")
def list_requests(call: Call) -> Answer:
    """Own requests, newest first."""
    settle(call.state)
    found = []
    for work in reversed(call.state.works.values()):
        found.append({**shown(call.state, work), "_action": work.action, "_subresource": work.subresource})
    return lists.answer("requests", found, call.query, call.url)


@route("GET", r"/requests/([^/]+)")
def read_request(call: Call, rq_id: str) -> Answer:
    """One request."""
    return as_json(shown(call.state, _find(call, str(rq_id)), polled=True))


@route("POST", r"/requests/([^/]+)/cancel")
def cancel_request(call: Call, rq_id: str) -> Answer:
    """While it waits only."""
    work = _find(call, str(rq_id))
    if call.state.now().timestamp() >= work.starts_at:
        return text(NOT_WAITING, 400)
    del call.state.works[work.record["id"]]
    return as_json({"status": 200})
