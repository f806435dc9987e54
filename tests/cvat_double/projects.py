"""Projects and their labels."""

import html
import re
from typing import Any

from tests.cvat_double import hooks, lists
from tests.cvat_double.answers import NOT_NULL, REQUIRED, Answer, as_json, broken, detail, missing, refuse, too_long
from tests.cvat_double.calls import Call, in_context, route
from tests.cvat_double.state import Record, State

LABEL_TYPES = (
    "bbox", "cuboid", "cuboid_2d", "ellipse", "mask", "points", "polygon", "polyline", "rectangle", "skeleton", "tag",
    "any", "unknown",
)  # fmt: skip
INPUTS = ("checkbox", "radio", "number", "text", "select")
UNIQUE = ["All label names must be unique"]


def check_name(data: dict[str, Any], *, partial: bool = False) -> dict[str, list[str]]:
    """What is wrong with name and bug_tracker, as of projects and tasks."""
    wrong: dict[str, list[str]] = {}
    if "name" not in data:
        if not partial:
            wrong["name"] = [REQUIRED]
    elif "\0" in str(data["name"]):
        wrong["name"] = ["Null characters are not allowed."]
    elif not str(data["name"]).strip():
        wrong["name"] = ["This field may not be blank."]
    elif len(data["name"]) > 256:
        wrong["name"] = [too_long(256)]
    if len(data.get("bug_tracker") or "") > 2000:
        wrong["bug_tracker"] = [too_long(2000)]
    return wrong


def check_assignee(state: State, data: dict[str, Any], field: str = "assignee_id") -> None:
    """An unknown assignee is a 500."""
    if data.get(field) is not None and data[field] not in state.users:
        raise broken()


# --- Labels ---


def check_labels(labels: Any, *, known: bool = False) -> None:
    """The validation of labels, before any rule."""
    if not isinstance(labels, list):
        kind = type(labels).__name__
        raise refuse({"labels": {"non_field_errors": [f'Expected a list of items but got type "{kind}".']}})
    wrong = [_label_errors(label, known) for label in labels]
    if any(wrong):
        raise refuse({"labels": wrong})


def _label_errors(label: dict[str, Any], known: bool) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    name = label.get("name")
    if name is None:
        if not (known and "id" in label):
            wrong["name"] = [REQUIRED]
    elif not name.strip():
        wrong["name"] = ["This field may not be blank."]
    elif len(name) > 64:
        wrong["name"] = [too_long(64)]
    if label.get("type", "any") not in LABEL_TYPES:
        wrong["type"] = [f'"{label["type"]}" is not a valid choice.']
    attributes = [_attribute_errors(attribute) for attribute in label.get("attributes", [])]
    if any(attributes):
        wrong["attributes"] = attributes
    return wrong


def _attribute_errors(attribute: dict[str, Any]) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    if len(attribute.get("name", "")) > 64:
        wrong["name"] = [too_long(64)]
    for field in ("mutable", "input_type"):
        if field not in attribute:
            wrong[field] = [REQUIRED]
    if "input_type" in attribute and attribute["input_type"] not in INPUTS:
        wrong["input_type"] = [f'"{attribute["input_type"]}" is not a valid choice.']
    if len(attribute.get("default_value") or "") > 128:
        wrong["default_value"] = [too_long(128)]
    values = attribute.get("values", ...)
    if values is ...:
        wrong["values"] = [REQUIRED]
    elif values is None:
        wrong["values"] = [NOT_NULL]
    elif not isinstance(values, list):
        wrong["values"] = [f'Expected a list of items but got type "{type(values).__name__}".']
    else:
        long = {str(index): [too_long(200)] for index, value in enumerate(values) if len(value) > 200}
        if long:
            wrong["values"] = long
    return wrong


def add_labels(state: State, labels: list[dict[str, Any]], owner: dict[str, int]) -> list[Record]:
    """Store new labels; `owner` is {"_project": id} or {"_task": id}. All or nothing."""
    taken = {record["name"] for record in labels_of(state, owner)}
    for label in labels:
        check_colors_and_attributes(label)
        name = label["name"].strip()
        inner = [sublabel["name"].strip() for sublabel in label.get("sublabels") or []]
        if name in taken or len(set(inner)) != len(inner):
            raise refuse(UNIQUE)
        taken.add(name)
    return [_store(state, label, owner, None) for label in labels]


def check_colors_and_attributes(label: dict[str, Any]) -> None:
    """What ends in a 500, and double attributes."""
    if len(label.get("color") or "") > 8:
        raise broken()
    seen = set()
    for attribute in label.get("attributes", []):
        if attribute["name"] in seen:
            raise refuse([f"Duplicate attribute with name '{attribute['name']}' exists"])
        seen.add(attribute["name"])
        if len("\n".join(attribute["values"])) > 4096:
            raise broken()
    for sublabel in label.get("sublabels") or []:
        check_colors_and_attributes(sublabel)


def _store(state: State, label: dict[str, Any], owner: dict[str, int], parent: int | None) -> Record:
    record: Record = {
        "id": state.next_id("label"),
        "name": label["name"].strip(),
        "color": label.get("color") or _color(label["name"]),
        "attributes": [_attribute(state, attribute) for attribute in label.get("attributes", [])],
        "type": label.get("type", "any"),
        "_parent": parent,
        "_svg": label.get("svg", ""),
        **owner,
    }
    state.labels[record["id"]] = record
    record["_sublabels"] = [_store(state, inner, owner, record["id"])["id"] for inner in label.get("sublabels") or []]
    if record["_svg"]:
        names = {html.escape(state.labels[inner]["name"]): inner for inner in record["_sublabels"]}
        record["_svg"] = re.sub(
            r'data-label-name="([^"]*)"',
            lambda found: f'data-label-id="{names.get(found[1], "")}"',
            record["_svg"],
        )
    return record


def _attribute(state: State, attribute: dict[str, Any]) -> Record:
    return {
        "id": state.next_id("attribute"),
        "name": attribute["name"],
        "mutable": attribute["mutable"],
        "input_type": attribute["input_type"],
        "default_value": attribute.get("default_value") or "",
        # Values are kept as lines of one text: a line break makes two, and none is one empty one.
        "values": "\n".join(attribute["values"]).split("\n"),
    }


def _color(name: str) -> str:
    return f"#{sum(ord(char) * 7919 for char in name) % 0xFFFFFF:06x}"


def labels_of(state: State, owner: dict[str, int]) -> list[Record]:
    """The labels of a project or task, without sublabels."""
    (key, value), *_ = owner.items()
    return [label for label in state.labels.values() if label.get(key) == value and label["_parent"] is None]


def shown_label(state: State, label: Record) -> Record:
    """A label as answered."""
    record = {key: label[key] for key in ("id", "name", "color", "attributes", "type")}
    if label["_parent"] is not None:
        return {**record, "has_parent": True}
    sublabels = [shown_label(state, state.labels[inner]) for inner in label["_sublabels"]]
    record["sublabels"] = sublabels
    if "_project" in label:
        record["project_id"] = label["_project"]
    else:
        record["task_id"] = label["_task"]
    record |= {"parent_id": None, "has_parent": False}
    if label["type"] == "skeleton":
        record["svg"] = label["_svg"]
    return record


@route("GET", "/labels")
def list_labels(call: Call) -> Answer:
    """Labels of a project, task or job; an unknown one is a 500."""
    state, query = call.state, call.query
    project = query.get("project_id")
    task = query.get("task_id")
    if query.get("job_id"):
        task = str(state.job(int(query["job_id"])).record["task_id"])
    owner: dict[str, int]
    if project is not None:
        if int(project) not in state.projects:
            raise broken()
        owner = {"_project": int(project)}
    elif task is not None:
        if int(task) not in state.tasks:
            raise broken()
        owner = owner_of(state, int(task))
    else:
        found = [label for label in state.labels.values() if label["_parent"] is None]
        return lists.answer("labels", [shown_label(state, one) for one in found], query, call.url, oldest_first=True)
    shown = [shown_label(state, label) for label in labels_of(state, owner)]
    return lists.answer("labels", shown, query, call.url, oldest_first=True)


def owner_of(state: State, task_id: int) -> dict[str, int]:
    """Whose labels a task uses."""
    project_id = state.task(task_id).record["project_id"]
    return {"_task": task_id} if project_id is None else {"_project": project_id}


@route("GET", r"/labels/(\d+)")
def read_label(call: Call, label_id: int) -> Answer:
    """One label."""
    if label_id not in call.state.labels:
        raise missing("Label")
    return as_json(shown_label(call.state, call.state.labels[label_id]))


@route("PATCH", r"/labels/(\d+)")
def rename_label(call: Call, label_id: int) -> Answer:
    """A new name also resets the colour."""
    if label_id not in call.state.labels:
        raise missing("Label")
    label = call.state.labels[label_id]
    label["name"] = call.json().get("name", label["name"])
    label["color"] = _color(label["name"])
    return as_json(shown_label(call.state, label))


def patch_labels(state: State, project_id: int, changes: list[dict[str, Any]]) -> None:
    """No id adds, an id changes, deleted deletes with the annotations."""
    check_labels(changes, known=True)
    owner = {"_project": project_id}
    by_id = {label["id"]: label for label in labels_of(state, owner)}
    for change in changes:
        if "id" in change and change["id"] not in by_id:
            raise detail(f"Not found label with id #{change['id']} to change", 404)
    names = [label["name"] for label in by_id.values()]
    for change in changes:
        if "id" not in change:
            continue
        label = by_id[change["id"]]
        if change.get("deleted"):
            delete_label(state, label)
            continue
        name = change.get("name", label["name"]).strip()
        if name != label["name"] and name in names:
            raise refuse(UNIQUE)
        label["name"], label["color"] = name, change.get("color") or label["color"]
        if change.get("type") and "skeleton" not in (change["type"], label["type"]):
            label["type"] = change["type"]
        for attribute in change.get("attributes", []):
            if not any(known["name"] == attribute["name"] for known in label["attributes"]):
                label["attributes"].append(_attribute(state, attribute))
    add_labels(state, [change for change in changes if "id" not in change], owner)
    state.touch_jobs(project_id)


def delete_label(state: State, label: Record) -> None:
    """The label with its sublabels and everything drawn with them."""
    gone = {label["id"], *label["_sublabels"]}
    for label_id in gone:
        state.labels.pop(label_id, None)
    for job in state.jobs.values():
        for kind in (job.shapes, job.tags, job.tracks):
            for key in [key for key, item in kind.items() if item["label_id"] in gone]:
                del kind[key]


# --- Projects ---


def shown_project(state: State, record: Record) -> Record:
    """A project as answered."""
    tasks = state.tasks_of(record["id"])
    url = f"{state.base}/api/projects/{record['id']}"
    shown = {
        "url": url,
        **record,
        "status": "completed"
        if tasks and all(task.record["status"] == "completed" for task in tasks)
        else "annotation",
        "dimension": "2d" if tasks else None,
        "tasks": {"count": len(tasks), "url": f"{state.base}/api/tasks?project_id={record['id']}"},
        "labels": {"url": f"{state.base}/api/labels?project_id={record['id']}"},
        "task_subsets": sorted({task.record["subset"] for task in tasks if task.record["subset"]}),
    }
    return {key: value for key, value in shown.items() if not key.startswith("_")}


@route("GET", "/projects")
def list_projects(call: Call) -> Answer:
    """Projects of the context."""
    found = [record for record in call.state.projects.values() if in_context(call, record["organization"])]
    shown = [shown_project(call.state, record) for record in found]
    return lists.answer("projects", shown, call.query, call.url)


@route("POST", "/projects")
def create_project(call: Call) -> Answer:
    """A project with its labels; names need not be unique."""
    state, data = call.state, call.json()
    wrong = check_name(data)
    if wrong:
        raise refuse(wrong)
    check_labels(data.get("labels", []))
    check_assignee(state, data)
    project_id = state.next_id("project")
    add_labels(state, data.get("labels", []), {"_project": project_id})
    date = state.date()
    state.projects[project_id] = {
        "id": project_id,
        "name": data["name"].strip(),
        "owner": state.person(call.user_id),
        "assignee": state.person(data["assignee_id"]) if data.get("assignee_id") else None,
        "guide_id": None,
        "bug_tracker": data.get("bug_tracker", ""),
        "created_date": date,
        "updated_date": state.date(),
        "organization": call.organization,
        "organization_id": call.organization,
        "target_storage": None,
        "source_storage": None,
        "assignee_updated_date": None,
    }
    shown = shown_project(state, state.projects[project_id])
    return as_json(shown, 201, Location=shown["url"])


@route("GET", r"/projects/(\d+)")
def read_project(call: Call, project_id: int) -> Answer:
    """One project, whatever the context."""
    return as_json(shown_project(call.state, call.state.project(project_id)))


@route("PATCH", r"/projects/(\d+)")
def change_project(call: Call, project_id: int) -> Answer:
    """Name, back-link, labels."""
    state = call.state
    record, data = state.project(project_id), call.json()
    if set(data) - {"name", "bug_tracker", "labels", "assignee_id"}:
        raise detail("Attempted to update an unknown field", 403)
    wrong = check_name(data, partial=True)
    if wrong:
        raise refuse(wrong)
    check_assignee(state, data)
    if "labels" in data:
        patch_labels(state, project_id, data["labels"])
    record |= {key: data[key] for key in ("name", "bug_tracker") if key in data}
    state.touch(record)
    hooks.emit(state, "update:project", project_id, {"project": shown_project(state, record)})
    return as_json(shown_project(state, record))
