"""Issues and comments: what reviewers leave on frames. Answers, resolving and deleting are from the schema alone."""

from tests.cvat_double import hooks, lists
from tests.cvat_double.answers import Answer, as_json, empty, missing
from tests.cvat_double.calls import Call, route
from tests.cvat_double.state import Record, State


@route("POST", "/issues")
def create_issue(call: Call) -> Answer:
    """A remark with its first text."""
    state, data = call.state, call.json()
    job = state.job(data["job"])
    date = state.date()
    issue_id, comment_id = state.next_id("issue"), state.next_id("comment")
    person = state.person(call.user_id)
    state.comments[comment_id] = {
        "id": comment_id,
        "issue": issue_id,
        "owner": person,
        "message": data.get("message", ""),
        "created_date": date,
        "updated_date": state.date(),
        "_job": data["job"],
    }
    state.issues[issue_id] = {
        "id": issue_id,
        "frame": data["frame"],
        "position": [float(value) for value in data["position"]],
        "job": data["job"],
        "owner": person,
        "assignee": None,
        "created_date": date,
        "updated_date": state.date(),
        "resolved": bool(data.get("resolved", False)),
        "comments": {"count": 1, "url": f"{state.base}/api/comments?issue_id={issue_id}"},
        "_task": job.record["task_id"],
    }
    project_id = job.record["project_id"]
    shown = _shown(state.issues[issue_id])
    hooks.emit(state, "create:issue", project_id, {"issue": shown})
    hooks.emit(state, "create:comment", project_id, {"comment": _shown(state.comments[comment_id])})
    return as_json(shown, 201)


@route("GET", "/issues")
def list_issues(call: Call) -> Answer:
    """Remarks."""
    return lists.answer("issues", call.state.issues.values(), call.query, call.url)


@route("GET", "/comments")
def list_comments(call: Call) -> Answer:
    """Their texts."""
    return lists.answer("comments", call.state.comments.values(), call.query, call.url)


@route("PATCH", r"/issues/(\d+)")
def change_issue(call: Call, issue_id: int) -> Answer:
    """Resolved, or open again; or moved."""
    issue, data = _issue(call.state, issue_id), call.json()
    before = {name: issue[name] for name in ("resolved", "position") if name in data}
    issue.update({name: data[name] for name in before})
    call.state.touch(issue)
    shown = _shown(issue)
    hooks.emit(call.state, "update:issue", _project(call.state, issue), {"issue": shown}, before)
    return as_json(shown)


@route("DELETE", r"/issues/(\d+)")
def delete_issue(call: Call, issue_id: int) -> Answer:
    """Gone with its texts."""
    state = call.state
    issue = _issue(state, issue_id)
    del state.issues[issue_id]
    for comment_id in [key for key, comment in state.comments.items() if comment["issue"] == issue_id]:
        del state.comments[comment_id]
    hooks.emit(state, "delete:issue", _project(state, issue), {"issue": _shown(issue)})
    return empty()


@route("POST", "/comments")
def create_comment(call: Call) -> Answer:
    """An answer to a remark."""
    state, data = call.state, call.json()
    issue = _issue(state, data["issue"])
    date = state.date()
    comment_id = state.next_id("comment")
    state.comments[comment_id] = {
        "id": comment_id,
        "issue": issue["id"],
        "owner": state.person(call.user_id),
        "message": data.get("message", ""),
        "created_date": date,
        "updated_date": state.date(),
        "_job": issue["job"],
    }
    issue["comments"]["count"] += 1
    shown = _shown(state.comments[comment_id])
    hooks.emit(state, "create:comment", _project(state, issue), {"comment": shown})
    return as_json(shown, 201)


def _issue(state: State, issue_id: int) -> Record:
    if issue_id not in state.issues:
        raise missing("Issue")
    return state.issues[issue_id]


def _project(state: State, issue: Record) -> int | None:
    project_id: int | None = state.job(issue["job"]).record["project_id"]
    return project_id


def _shown(record: Record) -> Record:
    return {key: value for key, value in record.items() if not key.startswith("_")}
