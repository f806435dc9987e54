"""Issues and comments: what reviewers leave on frames."""

from tests.cvat_double import hooks, lists
from tests.cvat_double.answers import Answer, as_json
from tests.cvat_double.calls import Call, route


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
    shown = {key: value for key, value in state.issues[issue_id].items() if not key.startswith("_")}
    project_id = job.record["project_id"]
    hooks.emit(state, "create:issue", project_id, {"issue": shown})
    comment = {key: value for key, value in state.comments[comment_id].items() if not key.startswith("_")}
    hooks.emit(state, "create:comment", project_id, {"comment": comment})
    return as_json(shown, 201)


@route("GET", "/issues")
def list_issues(call: Call) -> Answer:
    """Remarks."""
    return lists.answer("issues", call.state.issues.values(), call.query, call.url)


@route("GET", "/comments")
def list_comments(call: Call) -> Answer:
    """Their texts."""
    return lists.answer("comments", call.state.comments.values(), call.query, call.url)
